"""litellm's loops are runs; what each deployment did is told by its own evidence. Real routers, local providers."""

from __future__ import annotations

import asyncio
import gc
import importlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("litellm")

from otel_failover import FailoverInstrumentor
from otel_failover.integrations import patching
from otel_failover.testing.providers import Answer
from tests.integrations.loops.litellm.bench import (
    FALLS_BACK_MIDWAY,
    NATIVE,
    WAYS,
    WRITES_ON_PARENTS,
    Bench,
    aoutcome,
    clear_clients,
    litellm,
    outcome,
    run,
    until,
    ways,
)
from tests.support.hosts import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Exported, Telemetry

QUOTA = "You exceeded your current quota"
OURS = ("candidate.", "failover.")
needs_midway = pytest.mark.skipif(not FALLS_BACK_MIDWAY, reason="routers did not fall back from a stream")


@pytest.fixture
def bench() -> Iterator[Bench]:
    clear_clients()
    with ExitStack() as stack:
        yield Bench(stack)


def told(span: Exported) -> tuple[Any, ...]:
    """Return who a candidate span names, what became of it, and what was seen of it."""
    return (
        span["candidate.provider"],
        span["candidate.model"],
        span["candidate.index"],
        span["candidate.outcome"],
        span["failover.reason.code"],
        span["failover.wire.requests"],
    )


def judged(telemetry: Telemetry) -> set[Any]:
    """Return the verdicts of all candidates."""
    return {span.verdict[0] for span in telemetry.candidates}


# --- who served -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_served_by_the_first(telemetry: Telemetry, bench: Bench, way: str) -> None:
    bench.chain(Answer.stream(["fi", "ne"]) if "stream" in way else Answer.ok("fine"), Answer.ok("never"))
    assert "".join(ways(bench.router())[way]()) == "fine"
    assert (telemetry.run["failover.outcome"], telemetry.run["failover.library"]) == ("primary", "litellm")
    assert telemetry.run["failover.chain"] == ["openai/model-a", "anthropic/model-b"]
    assert [told(span) for span in telemetry.candidates] == [("openai", "model-a", 0, "success", None, 1)]
    assert judged(telemetry) == {"verified"}
    assert bench.asked == [[200], []]


@pytest.mark.parametrize("way", WAYS)
def test_served_by_a_later_one_in_one_run(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """A hop that falls back is nested in the one before; the candidates stand side by side, in order."""
    last = Answer.stream(["fi", "ne"]) if "stream" in way else Answer.ok("fine")
    bench.chain(Answer.openai_quota(), Answer.anthropic_not_found("model-b"), last)
    with telemetry.tracer.start_as_current_span("request") as around:
        assert "".join(ways(bench.router())[way]()) == "fine"
    assert telemetry.run["failover.outcome"] == "fallback"
    assert telemetry.run.parent_id == f"{around.get_span_context().span_id:016x}"
    assert [told(span) for span in telemetry.candidates] == [
        ("openai", "model-a", 0, "error", "billing", 1),
        ("anthropic", "model-b", 1, "error", "model_not_found", 1),
        ("openai", "model-c", 2, "success", None, 1),
    ]
    assert {span.parent_id for span in telemetry.candidates} == {telemetry.run.span_id}
    assert {span.trace_id for span in telemetry.spans} == {telemetry.run.trace_id}
    assert judged(telemetry) == {"verified"}
    assert not telemetry.run["failover.findings"]


@pytest.mark.parametrize("way", WAYS)
def test_all_failed(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """The router raises the first one's exception with the others' words in it: a report, nobody's error."""
    bench.chain(Answer.openai_quota(), Answer.anthropic_not_found("model-b"), Answer.openai_server_error())
    problem = ways(bench.router())[way]()
    assert isinstance(problem, litellm.RateLimitError)
    assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("exhausted", "ERROR")
    assert telemetry.run.description == (
        "3 of 3 failed: openai billing, anthropic model_not_found, openai server_error"
    )
    assert [span["http.response.status_code"] for span in telemetry.candidates] == [429, 404, 500]
    assert [QUOTA in span.description for span in telemetry.candidates] == [True, False, False]
    assert judged(telemetry) == {"verified"}
    assert telemetry.markers == []


def test_a_provider_asked_without_an_sdk(telemetry: Telemetry, bench: Bench) -> None:
    """Gemini is asked over plain HTTP: the send is its own evidence."""
    bench.add("a", "gemini", Answer.gemini_quota(), model="gemini-2.5-flash")
    bench.add("b", "openai", Answer.ok("fine"), model="model-b")
    assert ways(bench.router())["async"]() == "fine"
    first, _ = telemetry.candidates
    assert told(first) == ("gcp.gemini", "gemini-2.5-flash", 0, "error", "rate_limit", 1)
    assert (first["http.response.status_code"], first.verdict[0]) == (429, "verified")


def test_a_call_outside_its_loops_is_left_alone(telemetry: Telemetry, bench: Bench) -> None:
    bench.chain(Answer.ok("fine"))
    params = bench.deployments[0]["litellm_params"]
    assert outcome(lambda: litellm.completion(**params, messages=MESSAGES)) == "fine"
    assert not telemetry.starting("failover ")
    assert not telemetry.candidates


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_no_key_and_no_hash_of_one_is_exported(telemetry: Telemetry, bench: Bench) -> None:
    """litellm's own id of a deployment is a hash over its parameters, the key included."""
    bench.chain(Answer.openai_quota(), Answer.ok("fine"))
    router = bench.router()
    ways(router)["async"]()
    ids = [each["model_info"]["id"].encode() for each in router.model_list]
    raw = b"".join(span.raw for span in telemetry.spans if span.scope == "otel_failover")
    assert ids
    assert not [each for each in ids if each in raw]


# --- streams, ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["stream", "async stream"])
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_stream_that_fails_after_output_began(telemetry: Telemetry, bench: Bench, way: str, kind: str) -> None:
    """Nobody else is asked, and nobody is said to have been bypassed."""
    failing = Answer.stream(["Hel", "lo"], then="error", message="The engine fell over in the middle of it")
    bench.add("a", kind, failing, model="model-a")
    bench.add("b", "openai", Answer.ok("never"), model="model-b")
    assert isinstance(ways(bench.router())[way](), Exception)
    (candidate,) = telemetry.candidates
    assert candidate["candidate.outcome"] == "partial"
    assert candidate["http.response.status_code"] == 200
    assert candidate.verdict[0] == "verified"
    assert telemetry.run["failover.stop.reason"] == "it failed after output began"
    assert bench.asked == [[200], []]


@needs_midway
@pytest.mark.parametrize("way", ["stream", "async stream"])
def test_a_stream_that_fails_before_output_falls_back(telemetry: Telemetry, bench: Bench, way: str) -> None:
    """The router asks the next one while the host reads: in the same run."""
    bench.add("a", "anthropic", Answer.stream([], then="error", message="Overloaded", type="overloaded_error"))
    bench.add("b", "openai", Answer.stream(["fi", "ne"]), model="model-b")
    assert "".join(ways(bench.router())[way]()) == "fine"
    assert [told(span)[3] for span in telemetry.candidates][-1] == "success"
    assert telemetry.run["failover.outcome"] == "fallback"
    assert {span.parent_id for span in telemetry.candidates} == {telemetry.run.span_id}


@pytest.mark.parametrize("read", [0, 1])
def test_a_stream_that_is_dropped_ends_its_run(telemetry: Telemetry, bench: Bench, read: int) -> None:
    bench.chain(Answer.openai_quota(), Answer.stream(["a", "b", "c"]))
    router = bench.router()

    async def drop() -> Any:
        stream = await router.acompletion("a", list(MESSAGES), stream=True)
        for _ in range(read):
            await stream.__anext__()
        del stream
        gc.collect()
        return None

    run(drop)
    assert telemetry.run["failover.outcome"] == "fallback"
    assert [told(span)[3] for span in telemetry.candidates] == ["error", "success"]


def test_nothing_is_current_while_the_host_has_a_chunk(telemetry: Telemetry, bench: Bench) -> None:
    from opentelemetry import context as context_api

    bench.chain(Answer.openai_quota(), Answer.stream(["a", "b"]))
    before = context_api.get_current()
    for _ in bench.router().completion("a", list(MESSAGES), stream=True):
        assert context_api.get_current() == before


def test_cancelled(telemetry: Telemetry, bench: Bench) -> None:
    bench.chain(Answer.openai_quota(), Answer.hang())
    router = bench.router()

    async def cancel() -> Any:
        task = asyncio.ensure_future(router.acompletion("a", list(MESSAGES)))
        await until(lambda: bool(bench.servers[1].log))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(lambda: cancel())
    assert [told(span)[3] for span in telemetry.candidates] == ["error", "cancelled"]
    assert telemetry.run["failover.outcome"] == "cancelled"


def test_timed_out(telemetry: Telemetry, bench: Bench) -> None:
    """litellm's exception says 408, which nobody sent."""
    bench.add("a", "openai", Answer.hang(), model="model-a", timeout=0.3)
    bench.add("b", "anthropic", Answer.ok("fine"), model="model-b")
    assert ways(bench.router())["async"]() == "fine"
    first, _ = telemetry.candidates
    assert (first["failover.reason.code"], first["http.response.status_code"]) == ("timeout", None)
    assert first.verdict[0] != "mismatch"


def test_runs_side_by_side_do_not_cross(telemetry: Telemetry, bench: Bench) -> None:
    bench.chain(Answer.openai_quota(), Answer.anthropic_not_found("model-b"), Answer.ok("fine"))
    router = bench.router(allowed_fails=1000)

    async def many() -> Any:
        asked = (aoutcome(lambda: router.acompletion("a", list(MESSAGES))) for _ in range(8))
        assert await asyncio.gather(*asked) == ["fine"] * 8

    run(many)
    runs = telemetry.starting("failover chat")
    assert len(runs) == 8
    for each in runs:
        names = [told(span)[:4] for span in telemetry.children(each) if span.name.startswith("candidate ")]
        assert [name[2:] for name in names] == [(0, "error"), (1, "error"), (2, "success")]
    assert judged(telemetry) == {"verified"}


def test_embeddings_are_asked_by_the_same_loop(telemetry: Telemetry, bench: Bench) -> None:
    bench.chain(Answer.openai_quota(), Answer.openai_quota())
    problem = run(lambda: bench.router().aembedding("a", input=["hello"]))
    assert isinstance(problem, Exception)
    assert telemetry.run.name == "failover embeddings"
    assert told(telemetry.candidates[0])[:5] == ("openai", "model-a", 0, "error", "billing")


# --- the host ---------------------------------------------------------------------------------------------------------

ANSWERS = {
    "first serves": (Answer.ok("fine"), Answer.ok("never")),
    "second serves": (Answer.openai_quota(), Answer.ok("fine")),
    "both fail": (Answer.openai_model_not_found(), Answer.anthropic_rate_limit()),
    "breaks off": (Answer.stream(["Hel", "lo"], then="cut"), Answer.ok("fine")),
}


def without_numbers(value: object) -> str:
    """Return a text without what differs from one time to the next."""
    import re

    return re.sub(r"req_\w+|0x[0-9a-f]+|127\.0\.0\.1:\d+", "", f"{type(value).__name__}: {value}")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", ANSWERS)
def test_its_behaviour_is_the_same_with_us(case: str, way: str) -> None:
    """Same answers, same exceptions with the same words, same requests in the same order."""
    if case == "breaks off" and "stream" not in way:
        pytest.skip("only a stream breaks off")
    seen = []
    for ours in (False, True):
        with ExitStack() as stack:
            bench = Bench(stack)
            bench.chain(*ANSWERS[case])
            if ours:
                FailoverInstrumentor().instrument()
            try:
                seen.append((without_numbers(ways(bench.router())[way]()), bench.asked))
            finally:
                if ours:
                    FailoverInstrumentor().uninstrument()
    assert seen[0] == seen[1]


def test_everything_is_taken_off_again(telemetry: Telemetry) -> None:
    FailoverInstrumentor().uninstrument()
    try:
        core: Any = importlib.import_module("litellm.router_rust.core") if NATIVE else None
        loop = core.RustCore._drive if NATIVE else litellm.Router.async_function_with_fallbacks
        places = [litellm.acompletion, litellm.completion, litellm.aresponses, loop]
        assert not [each for each in places if isinstance(each, (patching.Wrapper, patching.BoundWrapper))]
    finally:
        FailoverInstrumentor().instrument(tracer_provider=telemetry.provider)


# --- litellm's own telemetry ------------------------------------------------------------------------------------------


def its_own(telemetry: Telemetry) -> Any:
    """Return litellm's callback, in its default mode, which exports through the test's provider and says when it has."""
    module: Any = importlib.import_module("litellm.integrations.opentelemetry")

    class Told(module.OpenTelemetry):  # type: ignore[misc]
        written = 0

        async def async_log_success_event(self, *args: Any, **kwargs: Any) -> None:
            await super().async_log_success_event(*args, **kwargs)
            self.written += 1

        async def async_log_failure_event(self, *args: Any, **kwargs: Any) -> None:
            await super().async_log_failure_event(*args, **kwargs)
            self.written += 1

    return Told(config=module.OpenTelemetryConfig(exporter=telemetry.exporter), tracer_provider=telemetry.provider)


def described(span: Exported) -> Any:
    """Return what a span says, without what we add and what differs from one time to the next."""
    kept = {
        key: without_numbers(value)
        for key, value in span.attributes.items()
        if not key.startswith(OURS)
        and key.startswith(("gen_ai.system", "gen_ai.request", "error.type", "error.llm", "http."))
    }
    return span.name, span.status, kept, [name for name, _ in span.events]


@pytest.fixture
def callback(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Register it with litellm."""
    if not WRITES_ON_PARENTS:
        pytest.skip("its callback writes on a parent span only where it is handed one")
    found = its_own(telemetry)
    monkeypatch.setattr(litellm, "callbacks", [found])
    return found


def asked_in_a_request(telemetry: Telemetry, bench: Bench, callback: Any, fails: int) -> Exported:
    """Ask inside a span, which stays open until the callback has written on it: the winner's answer, the first error."""
    router, before = bench.router(), callback.written
    expected = 1 + fails

    async def request() -> Any:
        with telemetry.tracer.start_as_current_span("request"):
            answer = await router.acompletion("a", list(MESSAGES))
            await until(lambda: callback.written >= before + expected)
            return answer

    assert run(request) == "fine"
    return telemetry.named("request")[0]


def test_the_first_ones_error_on_the_winners_span_is_a_mismatch(
    telemetry: Telemetry, bench: Bench, callback: Any
) -> None:
    """The request's own span ends OK, names Anthropic, and carries OpenAI's 429."""
    bench.chain(Answer.openai_quota(), Answer.ok("fine"))
    span = asked_in_a_request(telemetry, bench, callback, fails=1)
    assert (span["gen_ai.system"], span["error.llm_provider"], span.status) == ("anthropic", "openai", "OK")
    assert span.verdict == ("mismatch", "provider_conflict")
    assert span["failover.attribution.source.provider"] == "openai"
    (marker,) = telemetry.markers
    assert marker.parent_id == span.span_id
    assert (marker["candidate.index"], marker["failover.attribution.source.index"]) == (1, 0)
    assert marker["failover.attribution.source.span_id"] == telemetry.candidates[0].span_id
    assert marker["failover.attribution.own"] == "answered 200, no error"
    assert judged(telemetry) == {"verified"}


def test_an_honest_request_is_none(telemetry: Telemetry, bench: Bench, callback: Any) -> None:
    bench.chain(Answer.ok("fine"), Answer.ok("never"))
    span = asked_in_a_request(telemetry, bench, callback, fails=0)
    assert span["gen_ai.system"] == "openai"
    assert span.verdict[0] in (None, "verified")
    assert telemetry.markers == []


@pytest.mark.parametrize("case", ["first serves", "second serves"])
def test_its_callback_writes_where_it_would_without_us(
    telemetry: Telemetry, bench: Bench, callback: Any, case: str
) -> None:
    """Our spans are never what is current when it looks."""
    bench.chain(*ANSWERS[case])
    fails = int(case == "second serves")
    asked_in_a_request(telemetry, bench, callback, fails)
    ours = [described(span) for span in telemetry.spans if span.scope != "otel_failover"]
    assert not [span for span in telemetry.spans if span.scope == "otel_failover" and span["gen_ai.system"]]
    telemetry.clear()
    FailoverInstrumentor().uninstrument()
    try:
        asked_in_a_request(telemetry, bench, callback, fails)
    finally:
        FailoverInstrumentor().instrument(tracer_provider=telemetry.provider)
    assert sorted((described(span) for span in telemetry.spans), key=str) == sorted(ours, key=str)
