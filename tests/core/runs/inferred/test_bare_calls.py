"""Bare calls: which attempt they are, whose they are, and what never counts as one."""

# ruff: noqa: PT012, SIM117 - how run, attempt and call are nested is what is tested
from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai
import pytest

from otel_failover import Candidate, FailoverInstrumentor, failover_run
from otel_failover._core.config import usage_hints
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.fresh import as_imported
from tests.support.hosts import KEYS, MESSAGES, LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.support.spans import Telemetry

SECOND_KEY = "sk-proj-Jw5nT8rQ2kYb7VxPz4Lc"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def tried(stands: Sequence[Stand]) -> None:
    """The commonest loop: a call inside a `for`."""
    for each in stands:
        try:
            each.ask()
        except Exception:  # noqa: BLE001
            continue
        return


def chain_of(stands: Sequence[Stand]) -> list[Candidate]:
    return [each.candidate for each in stands]


# --- in a run ---------------------------------------------------------------------------------------------------------


def test_bare_calls_of_a_declared_chain_are_its_attempts(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = [
        stack.enter_context(stand("openai", Answer.openai_quota())),
        stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.1)),
        stack.enter_context(stand("gcp.gemini", Answer.ok())),
    ]
    with failover_run("chat", chain=chain_of(stands)):
        tried(stands)
    spans = telemetry.candidates
    assert [span["candidate.provider"] for span in spans] == ["openai", "anthropic", "gcp.gemini"]
    assert [span["candidate.index"] for span in spans] == [0, 1, 2]
    assert [span["failover.reason.code"] for span in spans] == ["billing", "timeout", None]
    assert all(span.verdict == ("verified", None) for span in spans)
    assert all(span.parent_id == telemetry.run.span_id for span in spans)
    assert [len(telemetry.children(span)) for span in spans] == [1, 1, 1], (
        "the SDK of Anthropic makes none without a global provider"
    )
    assert telemetry.run["failover.outcome"] == "fallback"


def test_the_same_candidate_again_is_its_next_attempt(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.ok()))
    with failover_run("chat", chain=chain_of([first, second])):
        tried([first, first, first, second])
    spans = telemetry.candidates
    assert [span["candidate.index"] for span in spans] == [0, 0, 0, 1]
    assert [span["candidate.attempt"] for span in spans] == [1, 2, 3, 1]
    assert telemetry.run["failover.attempt.count"] == 4


def test_without_a_chain_places_are_in_order_of_first_appearance(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.anthropic_overloaded(), Answer.ok()))
    with failover_run("chat"):
        tried([second, first, second])
    spans = telemetry.candidates
    assert [span["candidate.index"] for span in spans] == [0, 1, 0]
    assert [span["candidate.attempt"] for span in spans] == [1, 1, 2]
    assert [span["candidate.model"] for span in spans] == ["claude-opus-4-7", "gpt-5.5", "claude-opus-4-7"]
    assert telemetry.run["failover.outcome"] == "primary"
    assert telemetry.run["failover.untried"] is None


@pytest.mark.parametrize("declared", [False, True], ids=["no chain", "chain"])
def test_two_keys_of_one_provider_are_two_candidates(telemetry: Telemetry, stack: ExitStack, declared: bool) -> None:
    """The keys are compared in memory; neither leaves."""
    first = stack.enter_context(stand("openai", Answer.openai_quota(), Answer.ok()))
    other = openai.OpenAI(api_key=SECOND_KEY, base_url=first.server.base_url, max_retries=0)
    chain = [Candidate("openai", "gpt-5.5", first.server.endpoint, name) for name in ("east", "west")]
    with failover_run("chat", chain=chain if declared else None):
        with pytest.raises(openai.RateLimitError):
            first.ask()
        other.chat.completions.create(model="gpt-5.5", messages=MESSAGES)
    spans = telemetry.candidates
    assert [span["candidate.index"] for span in spans] == [0, 1]
    assert [span["candidate.profile"] for span in spans] == (["east", "west"] if declared else [None, None])
    assert telemetry.run["failover.outcome"] == "fallback"
    exported = b"".join(telemetry.exporter.raw)
    assert SECOND_KEY.encode() not in exported
    assert KEYS["openai"].encode() not in exported


ASIDES: list[Callable[[Stand], Any]] = [
    lambda each: each.client.moderations.create(input="hello"),
    lambda each: each.client.models.list(),
]


@pytest.mark.parametrize("ask", ASIDES, ids=["moderation", "models"])
@pytest.mark.parametrize("where", ["run", "attempt"])
@pytest.mark.parametrize("fails", [False, True])
def test_what_is_no_inference_is_nobodys_evidence(
    telemetry: Telemetry, stack: ExitStack, ask: Callable[[Stand], Any], where: str, fails: bool
) -> None:
    answer = Answer.error(401, "This key may not look at these things") if fails else Answer.ok()
    first = stack.enter_context(stand("openai", answer, Answer.openai_rate_limit()))
    with failover_run("chat", chain=chain_of([first])) as run:
        with run.attempt(first.candidate) if where == "attempt" else contextlib.nullcontext():
            with contextlib.suppress(openai.AuthenticationError):
                ask(first)
            with pytest.raises(openai.RateLimitError):
                first.ask()
    (span,) = telemetry.candidates
    assert span["failover.wire.statuses"] == ["429"]
    assert span["failover.reason.code"] == "rate_limit"
    assert span.verdict == ("verified", None)
    assert telemetry.run["failover.outcome"] == "exhausted"


def test_counting_tokens_is_nobodys_evidence(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("anthropic", Answer.ok(), Answer.anthropic_overloaded()))
    with failover_run("chat", chain=chain_of([first])) as run, run.attempt(first.candidate):
        first.client.messages.count_tokens(model="claude-opus-4-7", messages=MESSAGES)
        with pytest.raises(anthropic.APIStatusError):
            first.ask()
    (span,) = telemetry.candidates
    assert span["failover.wire.statuses"] == ["529"]
    assert span["candidate.outcome"] == "error"


def test_only_such_calls_serve_nobody(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.ok()))
    with failover_run("chat", chain=chain_of([first])):
        first.client.moderations.create(input="hello")
        first.client.models.list()
    assert telemetry.candidates == []
    assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("unasked", "UNSET")


def test_an_embedding_of_another_model_serves_nobody(telemetry: Telemetry, stack: ExitStack) -> None:
    """A search before the question: to the candidate's own endpoint, for another model than the chain's."""
    first = stack.enter_context(stand("openai", Answer.ok(), Answer.openai_rate_limit()))
    with failover_run("chat", chain=chain_of([first])):
        first.client.embeddings.create(model="text-embedding-3-small", input="hello")
        tried([first])
    assert telemetry.run["failover.outcome"] == "exhausted"
    assert [span["candidate.index"] for span in telemetry.candidates] == [-1, 0]


AFTER = pytest.param("after")


@pytest.mark.parametrize("order", ["before", AFTER])
def test_an_embedding_inside_an_attempt_is_not_its_answer(telemetry: Telemetry, stack: ExitStack, order: str) -> None:
    """The chat failed; that an embedding to the same endpoint did not is no success of the candidate."""
    first = stack.enter_context(stand("openai"))
    first.server.program(*([Answer.ok(), Answer.openai_quota()][:: 1 if order == "before" else -1]))

    def embed() -> None:
        first.client.embeddings.create(model="text-embedding-3-small", input="hello")

    with failover_run("chat", chain=chain_of([first])) as run, run.attempt(first.candidate):
        if order == "before":
            embed()
        with contextlib.suppress(openai.RateLimitError):
            first.ask()
        if order == "after":
            embed()
    (span,) = telemetry.candidates
    assert span["candidate.outcome"] == "error"
    assert span["failover.reason.code"] == "billing"


def test_a_plain_request_is_no_attempt(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.ok()))
    with failover_run("chat", chain=chain_of([first])):
        httpx.get(f"{first.server.endpoint}/health")
    assert telemetry.candidates == []


# --- outside any run --------------------------------------------------------------------------------------------------


def test_a_call_outside_any_run_has_a_span_of_its_own(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_rate_limit(), Answer.ok()))
    with pytest.raises(openai.RateLimitError):
        first.ask()
    first.ask()
    assert [span.name for span in telemetry.spans] == ["chat gpt-5.5", "chat gpt-5.5"]
    failed, served = telemetry.spans
    for span in (failed, served):
        assert span["candidate.model"] == "gpt-5.5"
        assert span["candidate.index"] == 0
        assert span["failover.evidence"] == "complete"
        assert span["failover.run.id"] is None
        assert span.verdict == ("verified", None)
    assert (failed.status, failed["http.response.status_code"]) == ("ERROR", 429)
    assert failed["error.type"] == "openai.RateLimitError"
    assert failed["failover.reason.code"] == "rate_limit"
    assert failed.description.startswith("Rate limit reached")
    assert (served.status, served["candidate.outcome"]) == ("UNSET", "success")
    assert served["gen_ai.response.id"] == first.server.log[-1].response_id


WHERE = ["span", "thread", "task"]


def again(telemetry: Telemetry, **settings: Any) -> None:
    """Turn us on again, set otherwise."""
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, **settings)


def hints(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if "nobody declared" in record.getMessage()]


@pytest.mark.parametrize("where", WHERE)
def test_the_hint_comes_once_after_ten_loops_that_nobody_declared(
    telemetry: Telemetry,
    stack: ExitStack,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """With a span around each, or none at all: a script, a worker, a server that nobody instruments."""
    as_imported(usage_hints, monkeypatch)
    again(telemetry, infer_runs="off")
    caplog.set_level(logging.INFO, "otel_failover")
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.ok()))

    async def as_task() -> None:
        tried([first, second])

    told = []
    for _ in range(12):
        with telemetry.tracer.start_as_current_span("POST /chat") if where == "span" else contextlib.nullcontext():
            if where == "task":
                asyncio.run(as_task())
            else:
                tried([first, second])
        told.append(len(hints(caplog)))
    assert told == [0] * 9 + [1] * 3
    (record,) = hints(caplog)
    assert record.levelno == logging.INFO
    assert "failover_run" in record.getMessage()
    assert "OTEL_FAILOVER_LOOPS" in record.getMessage()


@pytest.mark.parametrize("kind", ["two tasks", "two threads", "later"])
def test_a_failure_of_somebody_else_gives_no_hint(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Without a span, one request's failure is not another's: of another task or thread, or long ago."""
    as_imported(usage_hints, monkeypatch)
    again(telemetry, infer_runs="off")
    if kind == "later":
        monkeypatch.setattr(usage_hints, "AT_ONCE", 0.0)
    caplog.set_level(logging.INFO, "otel_failover")
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.ok()))

    async def asked(one: Stand) -> None:
        tried([one])

    async def both() -> None:
        await asyncio.gather(asked(first), asked(second))

    for _ in range(12):
        if kind == "two tasks":
            asyncio.run(both())
        elif kind == "two threads":
            for one in (first, second):
                thread = threading.Thread(target=tried, args=([one],))
                thread.start()
                thread.join()
        else:
            tried([first, second])
    assert not hints(caplog)


@pytest.mark.parametrize("kind", ["retries", "two spans", "in a run", "successes"])
def test_what_looks_like_no_loop_gives_no_hint(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    as_imported(usage_hints, monkeypatch)
    caplog.set_level(logging.INFO, "otel_failover")
    first = stack.enter_context(stand("openai", Answer.ok() if kind == "successes" else Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.ok()))
    for _ in range(12):
        with telemetry.tracer.start_as_current_span("one"):
            with failover_run("chat") if kind == "in a run" else contextlib.nullcontext():
                tried([first, first] if kind == "retries" else [first] if kind == "two spans" else [first, second])
        if kind == "two spans":
            with telemetry.tracer.start_as_current_span("two"):
                tried([second])
    assert "nobody declared" not in caplog.text


@pytest.mark.parametrize("where", WHERE)
def test_the_hint_of_an_inferred_run_comes_once_with_the_first(
    telemetry: Telemetry,
    stack: ExitStack,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    as_imported(usage_hints, monkeypatch)
    caplog.set_level(logging.INFO, "otel_failover")
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.ok()))

    async def as_task() -> None:
        tried([first, second])

    for _ in range(12):
        with telemetry.tracer.start_as_current_span("POST /chat") if where == "span" else contextlib.nullcontext():
            asyncio.run(as_task()) if where == "task" else tried([first, second])
    (record,) = hints(caplog)
    assert record.levelno == logging.INFO
    for word in ("failover_run", "OTEL_FAILOVER_LOOPS", "infer_runs=off"):
        assert word in record.getMessage()


# --- whose it is ------------------------------------------------------------------------------------------------------


class Nowhere(httpx.BaseTransport):
    """Answers for any host, so that the real hosts' names can be used."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, json={"error": {"message": "Not so many, please", "code": "rate_limit_exceeded"}})


def client(base_url: str | None = None) -> openai.OpenAI:
    transport: Any = Nowhere()
    made: Any
    try:
        import httpx2

        class Here(httpx2.BaseTransport):
            def handle_request(self, request: httpx2.Request) -> httpx2.Response:
                body = {"error": {"message": "Not so many, please", "code": "rate_limit_exceeded"}}
                return httpx2.Response(429, json=body)

        made = httpx2.Client(transport=Here())
        return openai.OpenAI(api_key=SECOND_KEY, base_url=base_url, max_retries=0, http_client=made)
    except (ImportError, TypeError):
        made = httpx.Client(transport=transport)
        return openai.OpenAI(api_key=SECOND_KEY, base_url=base_url, max_retries=0, http_client=made)


def asked(base_url: str | None, model: str = "gpt-5.5") -> None:
    with pytest.raises(openai.RateLimitError):
        client(base_url).chat.completions.create(model=model, messages=MESSAGES)


@pytest.mark.parametrize(
    ("base_url", "provider"),
    [
        (None, "openai"),
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://api.deepseek.com/v1", "deepseek"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "gcp.gemini"),
        ("https://mine.openai.azure.com/openai/v1/", "azure.ai.openai"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("http://vllm.internal:8000/v1", "vllm.internal"),
        ("https://llm.example.com/openai/v1", "llm.example.com"),
    ],
)
def test_the_provider_is_the_hosts_never_the_sdks(telemetry: Telemetry, base_url: str | None, provider: str) -> None:
    asked(base_url)
    with failover_run("chat"):
        asked(base_url)
    outside, inside = telemetry.starting("chat ")
    assert outside["candidate.provider"] == inside["candidate.provider"] == provider
    (span,) = telemetry.candidates
    assert span["candidate.provider"] == provider
    assert span.name == (
        "candidate other" if "." in provider and provider[:3] not in ("gcp", "azu") else f"candidate {provider}"
    )


def test_the_chains_endpoint_comes_first(telemetry: Telemetry) -> None:
    chain = [Candidate("my-gateway", "gpt-5.5", "https://api.deepseek.com"), Candidate("deepseek", "gpt-5.5")]
    with failover_run("chat", chain=chain):
        asked("https://api.deepseek.com/v1")
    assert telemetry.candidates[0]["candidate.provider"] == "my-gateway"
    assert telemetry.candidates[0]["candidate.index"] == 0


def test_a_table_of_hosts_comes_before_the_model_alone(telemetry: Telemetry) -> None:
    with failover_run("chat", chain=[Candidate("openai", "shared-model"), Candidate("groq", "shared-model")]):
        asked("https://api.groq.com/openai/v1", "shared-model")
    assert telemetry.candidates[0]["candidate.provider"] == "groq"
    assert telemetry.candidates[0]["candidate.index"] == 1


def test_an_unknown_host_is_the_chains_entry_with_that_model(telemetry: Telemetry) -> None:
    with failover_run("chat", chain=["openai/gpt-5.5", "vllm/qwen3-coder"]):
        asked("http://10.0.0.7:8000/v1", "qwen3-coder")
    assert telemetry.candidates[0]["candidate.provider"] == "vllm"
    assert telemetry.candidates[0]["candidate.index"] == 1
    assert telemetry.candidates[0]["candidate.endpoint"] == "http://10.0.0.7:8000"


def test_a_known_host_of_somebody_else_is_not_the_chains_entry(telemetry: Telemetry) -> None:
    """The chain names a model of OpenAI's; the call for it goes to OpenRouter."""
    with failover_run("chat", chain=[Candidate("openai", "gpt-5.5")]):
        asked("https://openrouter.ai/api/v1")
    (span,) = telemetry.candidates
    assert (span["candidate.provider"], span["candidate.index"]) == ("openrouter", -1)


@pytest.fixture
def aliased(telemetry: Telemetry) -> Telemetry:
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(
        tracer_provider=telemetry.provider,
        provider_aliases={"llm.example.com": "openai", "api.groq.com": "my-groq"},
        gateways=["openrouter.ai"],
    )
    return telemetry


@pytest.mark.parametrize(
    ("base_url", "provider"),
    [
        ("https://llm.example.com/openai/v1", "openai"),
        ("https://api.groq.com/openai/v1", "my-groq"),
        ("https://openrouter.ai/api/v1", "openrouter.ai"),
    ],
)
def test_aliases_come_before_the_table_and_gateways_are_nobodys(
    aliased: Telemetry, base_url: str, provider: str
) -> None:
    with failover_run("chat"):
        asked(base_url)
    (span,) = aliased.candidates
    assert span["candidate.provider"] == provider
    assert span.name == ("candidate other" if provider == "openrouter.ai" else f"candidate {provider}")


def test_a_declared_provider_stands_whatever_the_host(telemetry: Telemetry, stack: ExitStack) -> None:
    proxy = stack.enter_context(LocalProvider("openai", Answer.openai_quota()))
    asking = openai.OpenAI(api_key=SECOND_KEY, base_url=proxy.base_url, max_retries=0)
    with failover_run("chat", chain=["anthropic/claude-opus-4-7"]) as run:
        with pytest.raises(LoopError), run.attempt("anthropic/claude-opus-4-7"):
            with pytest.raises(openai.RateLimitError):
                asking.chat.completions.create(model="claude-opus-4-7", messages=MESSAGES)
            raise LoopError("rate limited", status_code=429)
    (span,) = telemetry.candidates
    assert span["candidate.provider"] == "anthropic"
    assert span["http.response.status_code"] == 429
    assert telemetry.starting("chat ")[0]["candidate.provider"] == "anthropic"
