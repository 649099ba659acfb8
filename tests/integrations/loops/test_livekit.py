"""LiveKit's FallbackAdapter: what became of every candidate, and of the probes beside them."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

pytest.importorskip("livekit.agents.llm")

from otel_failover import Candidate, FailoverInstrumentor
from otel_failover.integrations.loops.livekit import candidate_of
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import KEYS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.support.spans import Telemetry

# LiveKit Agents is not there wherever these files are checked.
llm = pytest.importorskip("livekit.agents.llm")
openais, claudes = pytest.importorskip("livekit.plugins.openai"), pytest.importorskip("livekit.plugins.anthropic")
GPT, CLAUDE = "openai/gpt-5.5", "anthropic/claude-opus-4-7"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "livekit")


class Bench:
    """Local providers and the LLMs that ask them; closes what it opened."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._clients: list[Any] = []
        self.servers: list[LocalProvider] = []

    def openai(self, *answers: Answer, model: str = "gpt-5.5", timeout: float = 30) -> Any:
        """Return an LLM at a provider of its own, which speaks as OpenAI does."""
        server = self._stack.enter_context(LocalProvider("openai", *answers))
        client = openai.AsyncOpenAI(base_url=server.base_url, api_key=KEYS["openai"], max_retries=0, timeout=timeout)
        return self._keep(server, client, openais.LLM(model=model, client=client, api_key=KEYS["openai"]))

    def anthropic(self, *answers: Answer, model: str = "claude-opus-4-7", timeout: float = 30) -> Any:
        """Return an LLM at a provider of its own, which speaks as Anthropic does."""
        server = self._stack.enter_context(LocalProvider("anthropic", *answers))
        client = anthropic.AsyncAnthropic(
            base_url=server.base_url, api_key=KEYS["anthropic"], max_retries=0, timeout=timeout
        )
        made = claudes.LLM(model=model, client=client, api_key=KEYS["anthropic"], base_url=server.base_url)
        made._client = client  # the first releases of the plugin take no notice of the one they are given
        return self._keep(server, client, made)

    def _keep(self, server: LocalProvider, client: Any, made: Any) -> Any:
        self.servers.append(server)
        self._clients.append(client)
        return made

    @property
    def asked(self) -> list[list[int | None]]:
        """The statuses that each provider answered with."""
        return [[served.status for served in server.log] for server in self.servers]

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run something asynchronous, and close the clients in its loop."""

        async def whole() -> Any:
            try:
                return await work()
            finally:
                for client in self._clients:
                    await client.close()

        return asyncio.run(whole())

    def ask(self, *llms: Any, times: int = 1, **options: Any) -> Any:
        """Ask an adapter, probes and all; return the text or the exception, of each time where there are several."""

        async def work() -> Any:
            adapter = adapted(*llms, **options)
            said = []
            for _ in range(times):
                said.append(await answered(adapter))
                await probed(adapter)
            return said if times > 1 else said[0]

        return self.run(work)


def adapted(*llms: Any, **options: Any) -> Any:
    """Return an adapter that retries nothing by itself."""
    return llm.FallbackAdapter(list(llms), **{"max_retry_per_llm": 0, "attempt_timeout": 5.0, **options})


def asking() -> Any:
    context = llm.ChatContext([])
    context.add_message(role="user", content="hello")
    return context


async def answered(adapter: Any) -> Any:
    """Return what an adapter answers, or the exception."""
    said = ""
    try:
        async with adapter.chat(chat_ctx=asking(), tools=[]) as stream:
            async for chunk in stream:
                said += (chunk.delta.content or "") if chunk.delta else ""
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem
    return said


async def probed(adapter: Any) -> None:
    """Wait for the probes under way."""
    tasks = [status.recovering_task for status in adapter._status if status.recovering_task is not None]
    if tasks:
        await asyncio.wait(tasks)


async def reached(server: LocalProvider) -> None:
    """Wait until a provider has been asked."""
    while not server.log:  # noqa: ASYNC110 - the server is another thread's, and has no event of this loop
        await asyncio.sleep(0)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


def outcomes(telemetry: Telemetry) -> list[tuple[int, int, str, str | None]]:
    """Return place, number, outcome and reason of every attempt; all are verified, and none is a mismatch."""
    assert {span.verdict[0] for span in telemetry.candidates} <= {"verified"}
    assert not telemetry.markers
    keys = ("candidate.index", "candidate.attempt", "candidate.outcome", "failover.reason.code")
    return sorted(tuple(span[key] for key in keys) for span in telemetry.candidates)


# --- one pass ---------------------------------------------------------------------------------------------------------


def test_the_first_serves(telemetry: Telemetry, bench: Bench) -> None:
    assert bench.ask(bench.openai(Answer.ok("fine")), bench.anthropic()) == "fine"
    assert outcomes(telemetry) == [(0, 1, "success", None)]
    run = telemetry.run
    assert (run.status, run["failover.outcome"], run["failover.library"]) == ("UNSET", "primary", "livekit")
    assert run["failover.chain"] == [GPT, CLAUDE]
    assert bench.asked == [[200], []]


def test_the_second_serves_while_the_first_is_probed(telemetry: Telemetry, bench: Bench) -> None:
    """The probe's answer comes while another one is asked: it stays the first one's, and serves nothing."""
    said = bench.ask(
        bench.openai(Answer.openai_quota(), Answer.openai_rate_limit()),
        bench.anthropic(Answer.delayed(Answer.ok("fine"), 0.2)),
    )
    assert said == "fine"
    assert outcomes(telemetry) == [
        (0, 1, "error", "billing"),
        (0, 2, "error", "rate_limit"),
        (1, 1, "success", None),
    ]
    run = telemetry.run
    assert (run["failover.outcome"], run["candidate.provider"], run.status) == ("fallback", "anthropic", "UNSET")
    assert {span["failover.wire.requests"] for span in telemetry.candidates} == {1}
    assert {span.parent_id for span in telemetry.candidates} == {run.span_id}
    assert bench.asked == [[429, 429], [200]]


def test_a_probe_that_succeeds_has_not_served(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.openai(Answer.openai_server_error(), Answer.ok("back"))
    assert bench.ask(first, bench.anthropic(Answer.delayed(Answer.ok("fine"), 0.2))) == "fine"
    assert outcomes(telemetry) == [
        (0, 1, "error", "server_error"),
        (0, 2, "success", None),
        (1, 1, "success", None),
    ]
    run = telemetry.run
    assert (run["failover.outcome"], run["candidate.provider"]) == ("fallback", "anthropic")


def test_a_probe_that_outlives_its_run_does_not_keep_it(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.openai(Answer.openai_server_error(), Answer.delayed(Answer.ok("back"), 0.3))
    assert bench.ask(first, bench.anthropic(Answer.ok("fine"))) == "fine"
    run = telemetry.run
    probe = next(span for span in telemetry.candidates if span["candidate.attempt"] == 2)
    assert run["failover.outcome"] == "fallback"
    assert run.end < probe.end


def test_all_fail_each_for_its_own_reason(telemetry: Telemetry, bench: Bench) -> None:
    """LiveKit's own error says nothing of whose fault it was: it is a report."""
    problem = bench.ask(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.anthropic_not_found()))
    assert "all LLMs failed" in str(problem)
    tried = [each for each in outcomes(telemetry) if each[1] == 1]
    assert tried == [(0, 1, "error", "billing"), (1, 1, "error", "model_not_found")]
    run = telemetry.run
    assert (run.status, run["error.type"]) == ("ERROR", "exhausted")
    assert run.description == "2 of 2 failed: openai billing, anthropic model_not_found"


def test_a_hang_is_a_timeout_of_its_own(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.openai(Answer.hang(), timeout=0.3)  # the first releases hand no timeout of the adapter's on
    said = bench.ask(first, bench.anthropic(Answer.ok("fine")), attempt_timeout=0.3)
    assert said == "fine"
    assert [each for each in outcomes(telemetry) if each[1] == 1] == [
        (0, 1, "error", "timeout"),
        (1, 1, "success", None),
    ]
    assert "http.response.status_code" not in telemetry.candidates[0].attributes


def test_one_that_is_unavailable_is_skipped(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.openai(Answer.openai_quota())
    assert bench.ask(first, bench.anthropic(Answer.ok("fine")), times=2) == ["fine", "fine"]
    runs = telemetry.starting("failover ")
    assert [run["failover.outcome"] for run in runs] == ["fallback", "fallback"]
    (skip,) = telemetry.starting("skip ")
    assert (skip["candidate.provider"], skip["candidate.index"]) == ("openai", 0)
    assert (skip["failover.skip.reason"], skip.parent_id) == ("cooldown", runs[1].span_id)


def test_livekits_own_retries_are_requests_of_one_attempt(telemetry: Telemetry, bench: Bench) -> None:
    limit = Answer.openai_server_error()
    said = bench.ask(bench.openai(limit), bench.anthropic(Answer.ok("fine")), max_retry_per_llm=1, retry_interval=0.001)
    assert said == "fine"
    first = next(span for span in telemetry.candidates if span["candidate.attempt"] == 1)
    assert (first["candidate.outcome"], first["failover.wire.requests"]) == ("error", 2)
    assert not telemetry.markers


def test_one_llm_twice_is_told_by_its_place(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.openai(Answer.openai_server_error())
    bench.ask(first, bench.openai(Answer.ok("fine")))
    assert [each[0] for each in outcomes(telemetry) if each[1] == 1] == [0, 1]
    assert telemetry.run["candidate.index"] == 1


# --- streams, cancelled, concurrent -----------------------------------------------------------------------------------


def test_a_stream_that_fails_midway_is_partial(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.anthropic(Answer.stream(["Hel", "lo"], then="error"))
    assert isinstance(bench.ask(first, bench.openai()), Exception)
    assert outcomes(telemetry)[0][:3] == (0, 1, "partial")
    run = telemetry.run
    assert (run["failover.outcome"], run["failover.stop.reason"]) == ("stopped", "it failed after output began")
    assert run["failover.untried"] == [GPT]
    assert bench.asked[1] == []


def test_closed_by_the_user(telemetry: Telemetry, bench: Bench) -> None:
    """LiveKit cancels its own task when a stream is closed: an interruption."""

    async def work() -> None:
        adapter = adapted(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.hang()))
        stream = adapter.chat(chat_ctx=asking(), tools=[])
        await reached(bench.servers[1])
        await stream.aclose()
        await probed(adapter)

    bench.run(work)
    assert [each[:3] for each in outcomes(telemetry) if each[1] == 1] == [(0, 1, "error"), (1, 1, "cancelled")]
    assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("cancelled", "UNSET")


def test_runs_side_by_side_never_cross(telemetry: Telemetry, bench: Bench) -> None:
    async def work() -> Any:
        made = [(bench.openai(Answer.openai_server_error()), bench.anthropic(Answer.ok("fine"))) for _ in range(6)]
        adapters = [adapted(*pair) for pair in made]
        said = await asyncio.gather(*map(answered, adapters))
        await asyncio.gather(*map(probed, adapters))
        return said

    assert bench.run(work) == ["fine"] * 6
    runs = telemetry.starting("failover chat")
    assert len(runs) == 6
    for run in runs:
        below = [span for span in telemetry.candidates if span.parent_id == run.span_id]
        first = [span for span in below if span["candidate.attempt"] == 1]
        assert [(span["candidate.index"], span["candidate.outcome"]) for span in first] == [
            (0, "error"),
            (1, "success"),
        ]
        assert {span["failover.wire.requests"] for span in below} == {1}
    assert not telemetry.markers


# --- what LiveKit's own spans say -------------------------------------------------------------------------------------

HONEST: Any = {
    "first serves": (Answer.ok("fine"), Answer.ok("fine")),
    "second serves": (Answer.openai_quota(), Answer.ok("fine")),
    "both fail": (Answer.openai_quota(), Answer.anthropic_not_found()),
    "fails midway": (Answer.stream(["Hel", "lo"], then="error"), Answer.ok("fine")),
}


@pytest.mark.parametrize("case", HONEST)
def test_its_spans_are_never_flagged(telemetry: Telemetry, bench: Bench, case: str) -> None:
    """The adapter's span names the first one and carries a report that names nobody's error."""
    if importlib.util.find_spec("livekit.agents.telemetry") is None:
        pytest.skip("LiveKit made no spans yet")
    native = importlib.import_module("livekit.agents.telemetry")
    native.set_tracer_provider(telemetry.provider)
    first, second = HONEST[case]
    bench.ask(bench.openai(first), bench.anthropic(second))
    assert telemetry.named("llm_fallback_adapter") or telemetry.starting("llm_request")
    assert not telemetry.markers
    assert not [span for span in telemetry.spans if span.verdict[0] in ("mismatch", "inconsistent")]


# --- who an LLM is, and the same with us as without -------------------------------------------------------------------


def test_who_an_llm_is(bench: Bench) -> None:
    async def work() -> None:
        there = openai.AsyncOpenAI(base_url="https://api.groq.com/openai/v1", api_key="any")
        made = openais.LLM(model="llama", client=there, api_key="any")
        assert candidate_of(made) == Candidate("groq", "llama", "https://api.groq.com")
        assert candidate_of(object()) == Candidate("", "")
        local = bench.anthropic()
        assert candidate_of(local) == Candidate("anthropic", "claude-opus-4-7", bench.servers[0].endpoint)

    bench.run(work)


@pytest.mark.parametrize("case", HONEST)
def test_results_errors_and_requests_are_the_same(case: str) -> None:
    first, second = HONEST[case]

    def once() -> Any:
        with ExitStack() as stack:
            bench = Bench(stack)
            said = bench.ask(bench.openai(first), bench.anthropic(second))
            told = (type(said), str(said).partition(" after ")[0][:60]) if isinstance(said, Exception) else said
            return told, bench.asked

    without = once()
    FailoverInstrumentor().instrument()
    try:
        assert once() == without
    finally:
        FailoverInstrumentor().uninstrument()
