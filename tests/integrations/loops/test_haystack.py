"""Haystack's fallback loop: what became of every generator, told by Haystack's users' own programs unchanged."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("haystack")

import anthropic
from haystack import Pipeline, component
from haystack.components.generators.chat import FallbackChatGenerator, OpenAIChatGenerator
from haystack.dataclasses import ChatMessage, StreamingChunk
from haystack.tracing.tracer import disable_tracing, enable_tracing
from haystack.utils import Secret

from otel_failover import Candidate, summarize
from otel_failover.integrations.loops.haystack import candidate_of
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import KEYS
from tests.support.same import seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Telemetry


QUESTION = [ChatMessage.from_user("hello")]


@component
class ClaudeChatGenerator:
    """A generator of the application's own, as Haystack's documentation says how to write one."""

    def __init__(self, url: str, model: str = "claude-opus-4-7", timeout: float = 30) -> None:
        options: dict[str, Any] = {"api_key": KEYS["anthropic"], "base_url": url, "max_retries": 0, "timeout": timeout}
        self.model = model
        self.client = anthropic.Anthropic(**options)
        self.async_client = anthropic.AsyncAnthropic(**options)
        component.set_output_types(self, replies=list[ChatMessage])
        self.asked: Any = {"model": model, "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}

    def run(
        self, messages: Any, generation_kwargs: Any = None, tools: Any = None, streaming_callback: Any = None
    ) -> dict[str, Any]:
        if streaming_callback is None:
            return self._replies(self.client.messages.create(**self.asked).content[0].text)
        parts = []
        for event in self.client.messages.create(**self.asked, stream=True):
            if event.type == "content_block_delta":
                parts.append(event.delta.text)
                streaming_callback(StreamingChunk(content=event.delta.text))
        return self._replies("".join(parts))

    async def run_async(
        self, messages: Any, generation_kwargs: Any = None, tools: Any = None, streaming_callback: Any = None
    ) -> dict[str, Any]:
        return self._replies((await self.async_client.messages.create(**self.asked)).content[0].text)

    def _replies(self, text: str) -> dict[str, Any]:
        return {"replies": [ChatMessage.from_assistant(text)]}


class Bench:
    """Local providers and the generators that ask them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.servers: list[LocalProvider] = []
        self.clients: list[Any] = []

    def openai(self, *answers: Answer, model: str = "gpt-5.5", retries: int = 0, timeout: float = 30) -> Any:
        """Return Haystack's generator at a provider of its own."""
        server = self._stack.enter_context(LocalProvider("openai", *answers))
        self.servers.append(server)
        made = OpenAIChatGenerator(
            api_key=Secret.from_token(KEYS["openai"]), model=model, api_base_url=server.base_url,
            timeout=timeout, max_retries=retries,
        )  # fmt: skip
        self.clients.append(made)
        return made

    def claude(self, *answers: Answer, model: str = "claude-opus-4-7", timeout: float = 30) -> Any:
        """Return an application's generator at a provider of its own."""
        server = self._stack.enter_context(LocalProvider("anthropic", *answers))
        self.servers.append(server)
        made = ClaudeChatGenerator(server.base_url, model, timeout)
        self.clients.append(made)
        return made

    @property
    def asked(self) -> list[list[int | None]]:
        """The statuses that each provider answered with."""
        return [[served.status for served in server.log] for server in self.servers]

    def close(self) -> None:
        """Close the synchronous clients."""
        for made in self.clients:
            if made.client is not None:
                made.client.close()

    async def aclose(self) -> None:
        """Close the asynchronous clients, in the loop that used them."""
        for made in self.clients:
            if made.async_client is not None:
                await made.async_client.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        made = Bench(stack)
        yield made
        made.close()


def asked(bench: Bench, fallback: Any, how: str = "run", **options: Any) -> Any:
    """Ask in either way; return the text and Haystack's account, or the exception."""

    async def ask() -> Any:
        try:
            return await fallback.run_async(messages=QUESTION, **options)
        finally:
            await bench.aclose()

    try:
        result = asyncio.run(ask()) if how == "run_async" else fallback.run(messages=QUESTION, **options)
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem
    return result["replies"][0].text, result["meta"]["successful_chat_generator_index"]


def through(pipeline: Any, bench: Bench, how: str) -> Any:
    """Run a pipeline in either way; asynchronous ones have a class of their own in Haystack 2."""

    async def ask() -> Any:
        try:
            return await pipeline.run_async({"llm": {"messages": QUESTION}})
        finally:
            await bench.aclose()

    if how == "run" or not hasattr(pipeline, "run_async"):
        return pipeline.run({"llm": {"messages": QUESTION}})
    return asyncio.run(ask())


def outcomes(telemetry: Telemetry) -> list[tuple[int, str, str | None]]:
    """Return place, outcome and reason of every attempt, in order; none may be a mismatch."""
    assert not telemetry.markers
    return [
        (span["candidate.index"], span["candidate.outcome"], span["failover.reason.code"])
        for span in telemetry.candidates
    ]


def verdicts(telemetry: Telemetry) -> set[str]:
    return {span.verdict[0] for span in telemetry.spans if span.verdict[0] is not None}


ways = pytest.mark.parametrize("how", ["run", "run_async"])


@ways
def test_the_first_serves(telemetry: Telemetry, bench: Bench, how: str) -> None:
    fallback = FallbackChatGenerator([bench.openai(Answer.ok("fine")), bench.claude()])
    assert asked(bench, fallback, how) == ("fine", 0)
    assert outcomes(telemetry) == [(0, "success", None)]
    run = telemetry.run
    assert (run.status, run["failover.outcome"], run["failover.library"]) == ("UNSET", "primary", "haystack")
    assert run["failover.chain"] == ["openai/gpt-5.5", "anthropic/claude-opus-4-7"]
    assert bench.asked == [[200], []]


@ways
def test_the_second_serves(telemetry: Telemetry, bench: Bench, how: str) -> None:
    fallback = FallbackChatGenerator([bench.openai(Answer.openai_quota()), bench.claude(Answer.ok("fine"))])
    assert asked(bench, fallback, how) == ("fine", 1)
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]
    assert (telemetry.run["failover.outcome"], telemetry.run["candidate.provider"]) == ("fallback", "anthropic")
    first, second = telemetry.candidates
    assert (first["http.response.status_code"], first["failover.wire.requests"]) == (429, 1)
    assert [each["candidate.endpoint"] for each in (first, second)] == [server.endpoint for server in bench.servers]
    assert verdicts(telemetry) == {"verified"}
    assert bench.asked == [[429], [200]]


@ways
def test_all_fail_each_for_its_own_reason(telemetry: Telemetry, bench: Bench, how: str) -> None:
    """The final error tells the last one's text only: it is the run's report, no evidence and no mismatch."""
    first, second = bench.openai(Answer.openai_model_not_found()), bench.claude(Answer.anthropic_rate_limit())
    problem = asked(bench, FallbackChatGenerator([first, second]), how)
    assert isinstance(problem, RuntimeError)
    assert "All 2 chat generators failed" in str(problem)
    assert outcomes(telemetry) == [(0, "error", "model_not_found"), (1, "error", "rate_limit")]
    assert [span["http.response.status_code"] for span in telemetry.candidates] == [404, 429]
    run = telemetry.run
    assert (run.status, run["error.type"]) == ("ERROR", "exhausted")
    assert run.description == "2 of 2 failed: openai model_not_found, anthropic rate_limit"
    assert run["failover.findings"] == ["lossy_report"]
    assert verdicts(telemetry) == {"verified"}


@ways
def test_a_hang_is_a_timeout_of_its_own(telemetry: Telemetry, bench: Bench, how: str) -> None:
    first, second = bench.openai(Answer.openai_quota()), bench.claude(Answer.hang(), timeout=0.15)
    assert isinstance(asked(bench, FallbackChatGenerator([first, second]), how), RuntimeError)
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "error", "timeout")]
    assert "http.response.status_code" not in telemetry.candidates[1].attributes
    assert verdicts(telemetry) == {"verified"}


def test_the_sdks_retries_are_counted(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.openai(Answer.openai_server_error(), retries=1)
    assert asked(bench, FallbackChatGenerator([first, bench.claude(Answer.ok("fine"))])) == ("fine", 1)
    assert telemetry.candidates[0]["failover.wire.requests"] == 2
    assert telemetry.candidates[0]["failover.wire.statuses"] == ["500", "500"]


def test_one_generator_twice_and_two_alike_are_places_of_their_own(telemetry: Telemetry, bench: Bench) -> None:
    first, second = bench.openai(Answer.openai_quota()), bench.openai(Answer.openai_bad_key())
    asked(bench, FallbackChatGenerator([first, second, first]))
    assert [each[0] for each in outcomes(telemetry)] == [0, 1, 2]
    assert bench.asked == [[429, 429], [401]]
    assert [span.name for span in telemetry.candidates] == [f"candidate openai #{place}" for place in range(3)]


def test_an_answer_that_haystack_cannot_read_is_rejected(telemetry: Telemetry, bench: Bench) -> None:
    """The provider did answer; Haystack failed to read what the component made of it, and went on."""

    class Odd(ClaudeChatGenerator):
        def _replies(self, text: str) -> Any:
            return [text]

    server = bench.claude(Answer.ok("odd"))
    odd = Odd(bench.servers[0].base_url)
    bench.clients += [odd]
    assert asked(bench, FallbackChatGenerator([odd, bench.openai(Answer.ok("fine"))])) == ("fine", 1)
    assert server is not odd
    assert [each[:2] for each in outcomes(telemetry)] == [(0, "rejected"), (1, "success")]


@ways
def test_the_final_error_leads_to_every_candidates_own(telemetry: Telemetry, bench: Bench, how: str) -> None:
    first, second = bench.openai(Answer.openai_quota()), bench.claude(Answer.anthropic_overloaded())
    rows = summarize(asked(bench, FallbackChatGenerator([first, second]), how)).candidates
    assert [(row.provider, row.status_code, row.reason) for row in rows] == [
        ("openai", 429, "billing"),
        ("anthropic", 529, "overloaded"),
    ]


# --- streams, pipelines, many at once ---------------------------------------------------------------------------------


def test_a_stream_that_fails_midway_is_partial(telemetry: Telemetry, bench: Bench) -> None:
    chunks: list[str] = []
    first, second = bench.claude(Answer.stream(["Hel", "lo"], then="error")), bench.openai(Answer.ok("fine"))
    fallback = FallbackChatGenerator([first, second])
    assert asked(bench, fallback, streaming_callback=lambda chunk: chunks.append(chunk.content)) == ("fine", 1)
    assert chunks[:2] == ["Hel", "lo"]
    assert [each[:2] for each in outcomes(telemetry)] == [(0, "partial"), (1, "success")]
    assert telemetry.run["failover.findings"] == ["partial_delivered"]
    assert verdicts(telemetry) == {"verified"}


def test_a_stream_that_is_refused_is_an_error(telemetry: Telemetry, bench: Bench) -> None:
    fallback = FallbackChatGenerator([bench.openai(Answer.openai_rate_limit()), bench.claude(Answer.ok("fine"))])
    assert asked(bench, fallback, streaming_callback=lambda chunk: None) == ("fine", 1)
    assert outcomes(telemetry) == [(0, "error", "rate_limit"), (1, "success", None)]


@ways
def test_a_pipeline(telemetry: Telemetry, bench: Bench, how: str) -> None:
    """The component keeps what a pipeline reads of it: sockets, types, its asynchronous way."""
    pipeline = Pipeline()
    fallback = FallbackChatGenerator([bench.openai(Answer.openai_server_error()), bench.claude(Answer.ok("fine"))])
    pipeline.add_component("llm", fallback)
    result = through(pipeline, bench, how)
    assert result["llm"]["replies"][0].text == "fine"
    assert outcomes(telemetry) == [(0, "error", "server_error"), (1, "success", None)]


def test_a_chain_in_a_chain(telemetry: Telemetry, bench: Bench) -> None:
    """A generator that is itself a chain is a run of its own inside its attempt."""
    inner = FallbackChatGenerator([bench.openai(Answer.openai_quota()), bench.openai(Answer.openai_bad_key())])
    assert asked(bench, FallbackChatGenerator([inner, bench.claude(Answer.ok("fine"))])) == ("fine", 1)
    assert not telemetry.markers
    outer, child = telemetry.starting("failover ")
    assert (outer["failover.chain"][0], child["failover.outcome"]) == ("fallback/", "exhausted")
    (attempt,) = [span for span in telemetry.candidates if span.span_id == child.parent_id]
    assert (attempt["candidate.provider"], attempt["candidate.outcome"]) == ("fallback", "error")


def test_runs_side_by_side_never_cross(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.openai(*[Answer.delayed(Answer.openai_quota(), 0.02)] * 8)
    fallback = FallbackChatGenerator([first, bench.claude(*[Answer.anthropic_rate_limit()] * 8)])

    async def all_at_once() -> None:
        try:
            await asyncio.gather(
                *(fallback.run_async(messages=QUESTION) for _ in range(8)), return_exceptions=True
            )  # fmt: skip
        finally:
            await bench.aclose()

    asyncio.run(all_at_once())
    runs = telemetry.starting("failover ")
    assert len(runs) == 8
    for run in runs:
        own = [(each["candidate.index"], each["failover.reason.code"]) for each in telemetry.children(run)]
        assert own == [(0, "billing"), (1, "rate_limit")]
    assert verdicts(telemetry) == {"verified"}


def test_cancelled(telemetry: Telemetry, bench: Bench) -> None:
    async def cancelled() -> None:
        task = asyncio.ensure_future(fallback.run_async(messages=QUESTION))
        while not bench.servers[0].log:  # noqa: ASYNC110 - the server is a thread, and sets no event
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await bench.aclose()

    fallback = FallbackChatGenerator([bench.openai(Answer.hang()), bench.claude()])
    asyncio.run(cancelled())
    assert outcomes(telemetry) == [(0, "cancelled", "cancelled")]
    assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("cancelled", "UNSET")


# --- beside Haystack's own spans --------------------------------------------------------------------------------------


@ways
def test_haystacks_own_spans_are_honest(telemetry: Telemetry, bench: Bench, how: str) -> None:
    """Its spans of a generator carry that generator's own error: none of them is a mismatch."""
    try:
        opentelemetry = importlib.import_module("haystack.tracing.opentelemetry")
    except ImportError:
        opentelemetry = pytest.importorskip(
            "haystack_integrations.tracing.opentelemetry", reason="in 3, a package apart"
        )
    enable_tracing(opentelemetry.OpenTelemetryTracer(telemetry.tracer))
    try:
        fallback = FallbackChatGenerator(
            [bench.openai(Answer.openai_quota()), bench.claude(Answer.anthropic_rate_limit())]
        )
        pipeline = Pipeline()
        pipeline.add_component("llm", fallback)
        if how == "run":
            with pytest.raises(Exception, match="All 2 chat generators failed"):
                pipeline.run({"llm": {"messages": QUESTION}})
        else:
            assert isinstance(asked(bench, fallback, how), RuntimeError)
    finally:
        disable_tracing()
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "error", "rate_limit")]
    assert verdicts(telemetry) == {"verified"}


@ways
def test_openinferences_spans_are_honest(telemetry: Telemetry, bench: Bench, how: str) -> None:
    """Its span of each generator carries that generator's own error, and that of the fallback the run's report."""
    openinference = pytest.importorskip("openinference.instrumentation.haystack")
    openinference.HaystackInstrumentor().instrument(tracer_provider=telemetry.provider, skip_dep_check=True)
    try:
        pipeline = Pipeline()
        pipeline.add_component(
            "llm",
            FallbackChatGenerator([bench.openai(Answer.openai_quota()), bench.claude(Answer.anthropic_overloaded())]),
        )
        with pytest.raises(Exception, match="All 2 chat generators failed"):
            through(pipeline, bench, how)
    finally:
        openinference.HaystackInstrumentor().uninstrument()
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "error", "overloaded")]
    assert verdicts(telemetry) == {"verified"}
    assert any(span.scope == "openinference.instrumentation.haystack" for span in telemetry.spans)


# --- who a generator is -----------------------------------------------------------------------------------------------


def test_who_a_generator_is() -> None:
    key = Secret.from_token(KEYS["openai"])
    assert candidate_of(OpenAIChatGenerator(api_key=key, model="m")) == Candidate("openai", "m")
    groq = OpenAIChatGenerator(api_key=key, model="m", api_base_url="https://api.groq.com/openai/v1")
    assert candidate_of(groq) == Candidate("groq", "m", "https://api.groq.com")
    named = type("GoogleGenAIChatGenerator", (), {"model": "gemini"})
    assert candidate_of(named()) == Candidate("gcp.gemini", "gemini")
    assert candidate_of(object()) == Candidate("", "")


# --- the same with us and without -------------------------------------------------------------------------------------

PAIRS: dict[str, tuple[Answer, Answer]] = {
    "first serves": (Answer.ok("fine"), Answer.ok()),
    "second serves": (Answer.openai_quota(), Answer.ok("fine")),
    "both fail": (Answer.openai_model_not_found(), Answer.anthropic_rate_limit()),
    "reset": (Answer.reset(), Answer.reset()),
}


@pytest.mark.parametrize("pair", PAIRS)
@ways
def test_the_same(switch_on: Callable[[], Any], how: str, pair: str) -> None:
    """Results, final error with its text and causes, and every request are those of a program without us."""

    def once() -> Any:
        with ExitStack() as stack:
            bench = Bench(stack)
            first, second = PAIRS[pair]
            result = asked(bench, FallbackChatGenerator([bench.openai(first), bench.claude(second)]), how)
            found = seen(result) if isinstance(result, Exception) else result
            bench.close()
            sent = [
                [(each.method, each.path, each.body, each.status, sorted(each.headers)) for each in server.log]
                for server in bench.servers
            ]
            return found, sent

    without = once()
    telemetry = switch_on()
    assert once() == without
    assert telemetry.starting("failover ")
