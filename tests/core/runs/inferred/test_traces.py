"""What an inferred run looks like: its tree, its links, its times, and what is counted, found and told."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import openai
import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.metrics import CallbackOptions
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_failover import FailoverInstrumentor, summarize
from otel_failover._core.config import runtime
from otel_failover._core.evidence.orphans import outside
from otel_failover._core.runs.inferred import memory
from otel_failover.testing.providers import Answer
from tests.core.runs.inferred.played import runs_told
from tests.support.hosts import MESSAGES, Stand, stand

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.spans import Exported, Telemetry


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def tried(stands: Sequence[Stand], **options: Any) -> BaseException | None:
    """A loop as people write it; returns the last error where nobody has answered."""
    last: BaseException | None = None
    for each in stands:
        try:
            found = each.ask(**options)
            if options.get("stream"):
                list(found)
        except Exception as problem:  # noqa: BLE001
            last = problem
            continue
        return None
    return last


def inferred(telemetry: Telemetry) -> Exported:
    (run,) = (each for each in telemetry.starting("failover ") if each["failover.library"] == "inferred")
    return run


def refused_and_answered(stack: ExitStack) -> tuple[Stand, Stand]:
    first = stack.enter_context(stand("openai", Answer.openai_quota(), Answer.openai_quota(), Answer.openai_quota()))
    return first, stack.enter_context(stand("anthropic", Answer.ok(), Answer.ok(), Answer.ok()))


# --- the tree ---------------------------------------------------------------------------------------------------------


def test_the_tree_the_links_and_the_times(telemetry: Telemetry, stack: ExitStack) -> None:
    first, second = refused_and_answered(stack)
    with telemetry.tracer.start_as_current_span("POST /chat"):
        tried([first, first, second])
        time.sleep(0.05)
    run = inferred(telemetry)
    (around,) = telemetry.named("POST /chat")
    before, again = telemetry.starting("chat gpt-5.5")
    (candidate,) = telemetry.candidates
    assert run.parent_id == around.span_id == before.parent_id
    assert candidate.parent_id == run.span_id
    assert [link["span_id"] for link in run.links] == [before.span_id, again.span_id]
    assert [link["candidate.outcome"] for link in run.links] == ["error", "error"]
    assert {link["failover.reason.code"] for link in run.links} == {"billing"}
    assert {link["candidate.model"] for link in run.links} == {"gpt-5.5"}
    assert {link["candidate.index"] for link in run.links} == {0}
    assert candidate["failover.run.id"] == run["failover.run.id"]
    assert (candidate["candidate.index"], candidate["candidate.attempt"]) == (1, 1)
    assert 0 <= before.start - run.start < 200e6, "put back to the first call's start"
    assert candidate.end <= run.end < candidate.end + 30e6, "and ended with the last attempt"
    assert run.end < around.end - 40e6
    assert (run.status, run["failover.outcome"], run["failover.attempt.count"]) == ("UNSET", "fallback", 3)
    assert run["candidate.model"] == "claude-opus-4-7"
    assert run["failover.chain"] is run["failover.untried"] is None
    assert 0 < run["failover.wasted.duration"] < (run.end - run.start) / 1e9


def test_a_call_before_it_is_not_written_again(telemetry: Telemetry, stack: ExitStack) -> None:
    first, second = refused_and_answered(stack)
    with telemetry.tracer.start_as_current_span("POST /chat"):
        tried([first])
        (alone,) = telemetry.starting("chat gpt-5.5")
        tried([second])
    (after,) = telemetry.starting("chat gpt-5.5")
    assert after.raw == alone.raw
    assert "failover.run.id" not in after.attributes


def test_a_failed_one_describes_itself(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.anthropic_overloaded()))
    with telemetry.tracer.start_as_current_span("POST /chat"):
        assert tried([first, second]) is not None
    run = inferred(telemetry)
    assert (run.status, run["failover.outcome"], run["error.type"]) == ("ERROR", "exhausted", "exhausted")
    assert run.description == "2 of 2 failed: 127.0.0.1 billing, 127.0.0.1 overloaded"


def test_an_attempt_under_another_span_stays_there_and_links_the_run(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.anthropic_overloaded()))
    third = stack.enter_context(stand("gcp.gemini", Answer.ok()))
    with telemetry.tracer.start_as_current_span("POST /chat"):
        for each in (first, second, third):
            with telemetry.tracer.start_as_current_span(f"ask {each.candidate.model}"):
                tried([each])
    run = inferred(telemetry)
    assert run["failover.outcome"] == "fallback", "the end of the span around one try is not that of the loop"
    below, beside = telemetry.candidates
    (span,) = telemetry.named(f"ask {second.candidate.model}")
    (other,) = telemetry.named(f"ask {third.candidate.model}")
    assert run.parent_id == span.span_id
    assert (below.parent_id, below.links) == (run.span_id, [])
    assert beside.parent_id == other.span_id
    assert [link["span_id"] for link in beside.links] == [run.span_id]
    assert beside["failover.run.id"] == run["failover.run.id"]


# --- the error that is another's --------------------------------------------------------------------------------------


def test_a_stale_error_is_found_across_the_two(telemetry: Telemetry, stack: ExitStack) -> None:
    """The incident, by a loop that nobody declared: the words of the first, told of the second, which hung."""
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.1))
    with telemetry.tracer.start_as_current_span("POST /chat"):
        problem = tried([first])
        aside: Any = {"record_exception": False, "set_status_on_exception": False}
        with suppress(Exception), telemetry.tracer.start_as_current_span("ask", **aside) as span:
            span.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.request.model": second.candidate.model})
            try:
                second.ask()
            finally:
                span.set_status(trace.StatusCode.ERROR, str(problem))
    run = inferred(telemetry)
    assert run["failover.outcome"] == "exhausted"
    (candidate,) = telemetry.candidates
    assert candidate.verdict == ("verified", None)
    assert (candidate["failover.reason.code"], candidate["error.type"]) == ("timeout", "timeout")
    (span_after,) = telemetry.named("ask")
    assert span_after.verdict == ("mismatch", "stale_error")
    (marker,) = telemetry.markers
    assert marker["failover.attribution.source.index"] in (0, 1)


# --- what is counted, found and told ----------------------------------------------------------------------------------


def test_what_is_counted(telemetry: Telemetry, stack: ExitStack) -> None:
    first, second = refused_and_answered(stack)
    with telemetry.tracer.start_as_current_span("POST /chat"):
        tried([first, second])
    runs = telemetry.metric("failover.runs")
    labels = {"failover.library": "inferred", "failover.loop.name": "chat", "failover.outcome": "fallback"}
    assert runs[tuple(sorted(labels.items()))] == 1
    attempts = telemetry.metric("failover.attempts")
    told = {(dict(key)["candidate.outcome"], dict(key).get("failover.reason.code")): n for key, n in attempts.items()}
    assert told[("error", "billing")] == told[("success", None)] == 1, "the call before counts once"
    assert telemetry.metric("failover.run.duration")[tuple(sorted(labels.items()))] == 1


def test_findings_are_drawn_as_of_any_run(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    denied = Answer.error(401, "Incorrect API key provided", code="invalid_api_key")
    first = stack.enter_context(stand("openai", denied, denied))
    second = stack.enter_context(stand("anthropic", Answer.ok()))
    with telemetry.tracer.start_as_current_span("POST /chat"), caplog.at_level(logging.INFO, "otel_failover"):
        tried([first, first, second])
    assert inferred(telemetry)["failover.findings"] == ["refusal_repeated"]
    assert "refusal_repeated" in caplog.text


@pytest.mark.parametrize("which", ["last", "first", "raised from the last"])
def test_its_errors_are_summed_up_by_the_exception_that_is_left(
    telemetry: Telemetry, stack: ExitStack, which: str
) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.anthropic_overloaded()))
    with telemetry.tracer.start_as_current_span("POST /chat"):
        problems = []
        for each in (first, second):
            try:
                each.ask()
            except Exception as problem:  # noqa: BLE001, PERF203
                problems.append(problem)
        shown = problems[0] if which == "first" else problems[1]
        if which == "raised from the last":
            with pytest.raises(RuntimeError) as caught:
                raise RuntimeError("all failed") from problems[1]
            shown = caught.value
        rows = list(summarize(shown).candidates)
    assert [row.reason for row in rows] == ["billing", "overloaded"]


def test_one_that_was_served_is_nobodys_error(telemetry: Telemetry, stack: ExitStack) -> None:
    first, second = refused_and_answered(stack)
    problem = None
    with telemetry.tracer.start_as_current_span("POST /chat"):
        try:
            first.ask()
        except openai.APIError as raised:
            problem = raised
        tried([second])
        assert problem is not None
        assert len(summarize(problem).candidates) == 1


# --- streams, threads, tasks ------------------------------------------------------------------------------------------


def test_a_stream_that_breaks_off_is_failed_over(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.stream(then="error", message="The server had an error")))
    second = stack.enter_context(stand("anthropic", Answer.ok()))
    with telemetry.tracer.start_as_current_span("POST /chat"):
        tried([first, second], stream=True)
    run = inferred(telemetry)
    assert [link["candidate.outcome"] for link in run.links] == ["partial"]
    assert run["failover.outcome"] == "fallback"
    (candidate,) = telemetry.candidates
    assert candidate.end <= run.end


def test_a_stream_outlives_the_span_around_it(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("gcp.gemini", Answer.stream(["a", "b", "c"])))
    with telemetry.tracer.start_as_current_span("POST /chat"):
        tried([first])
        chunks = second.ask(stream=True)
        next(iter(chunks))
    assert not telemetry.starting("failover ")
    list(chunks)
    run = inferred(telemetry)
    assert run["failover.outcome"] == "fallback"
    assert run.end >= telemetry.candidates[0].end


def test_each_in_a_thread_of_a_pool_that_carries_the_context(telemetry: Telemetry, stack: ExitStack) -> None:
    first, second = refused_and_answered(stack)

    async def served() -> None:
        with telemetry.tracer.start_as_current_span("POST /chat"):
            for each in (first, second):
                with suppress(openai.APIError):
                    await asyncio.to_thread(each.ask)

    asyncio.run(served())
    assert inferred(telemetry)["failover.outcome"] == "fallback"


@pytest.mark.parametrize("threads", ["plain", "instrumented"])
def test_each_in_a_thread_of_a_pool_that_is_slow_to_let_go_of_its_context(
    telemetry: Telemetry, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, threads: str
) -> None:
    """What a thread of a pool did is over when it waits for more, whoever holds its context or wraps its threads."""
    if threads == "instrumented":
        run = threading.Thread.run
        monkeypatch.setattr(threading.Thread, "run", lambda self: run(self))
    asked = refused_and_answered(stack)
    pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in asked]
    held = []
    with telemetry.tracer.start_as_current_span("POST /chat"):
        for each, pool in zip(asked, pools, strict=True):
            held.append(copy_context())
            with suppress(openai.APIError):
                pool.submit(held[-1].run, each.ask).result()
    assert inferred(telemetry)["failover.outcome"] == "fallback"


def test_threads_without_context_are_missed(telemetry: Telemetry, stack: ExitStack) -> None:
    """Documented: nothing says that the two belong together."""
    first, second = refused_and_answered(stack)
    with telemetry.tracer.start_as_current_span("POST /chat"):
        for each in (first, second):
            thread = threading.Thread(target=tried, args=([each],))
            thread.start()
            thread.join()
    assert not telemetry.starting("failover ")


def test_an_embedding_of_the_same_text_asks_nothing(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota(), Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.ok()))
    with telemetry.tracer.start_as_current_span("POST /chat"):
        with suppress(openai.APIError):
            first.client.embeddings.create(model="text-embedding-3-small", input=MESSAGES[0]["content"])
        with suppress(openai.APIError):
            first.client.moderations.create(input=MESSAGES[0]["content"])
        tried([second])
    assert not telemetry.starting("failover ")


# --- without a span that is recorded ----------------------------------------------------------------------------------

REMOTE = SpanContext(0x5F0B3C6E8D1A2F4B7C9E0D1F2A3B4C5D, 0x1122334455667788, True, TraceFlags(1))  # noqa: FBT003


@pytest.mark.parametrize("around", ["nothing", "a caller elsewhere"])
def test_it_is_over_with_the_answer_where_no_span_is_around_it(
    telemetry: Telemetry, stack: ExitStack, around: str
) -> None:
    first, second = refused_and_answered(stack)
    token = None
    if around == "a caller elsewhere":
        token = context_api.attach(set_span_in_context(NonRecordingSpan(REMOTE)))
    try:
        tried([first, second])
    finally:
        if token is not None:
            context_api.detach(token)
    run = inferred(telemetry)
    assert run["failover.outcome"] == "fallback"
    assert run.parent_id == (None if around == "nothing" else f"{REMOTE.span_id:016x}")
    assert outside.watch is None, "nothing is remembered any more"


def test_unserved_it_is_over_when_whoever_asked_is_gone(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.anthropic_overloaded()))
    thread = threading.Thread(target=tried, args=([first, second],))
    thread.start()
    thread.join()
    gc.collect()
    assert inferred(telemetry)["failover.outcome"] == "exhausted"


@pytest.mark.parametrize("noticed", ["gauge", "flush", "call"])
def test_silence_ends_it(telemetry: Telemetry, stack: ExitStack, noticed: str) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota(), Answer.ok()))
    second = stack.enter_context(stand("anthropic", Answer.anthropic_overloaded()))
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, infer_within=0.5)
    tried([first, second])
    telemetry.provider.force_flush()
    telemetry.metric("failover.attempt.open.age")
    assert not telemetry.starting("failover "), "it may yet go on"
    time.sleep(0.6)
    if noticed == "gauge":
        list(runtime.current().metrics.open_ages())
    elif noticed == "flush":
        telemetry.provider.force_flush()
    else:
        first.ask()
    run = inferred(telemetry)
    assert run["failover.outcome"] == "exhausted"
    assert (time.time_ns() - run.end) / 1e9 > 0.4, "it ended with its last attempt"


@pytest.mark.parametrize("tracing", ["sampled out", "no SDK"])
def test_it_is_counted_where_no_span_is_recorded(telemetry: Telemetry, stack: ExitStack, tracing: str) -> None:
    first, second = refused_and_answered(stack)
    provider: Any = TracerProvider(sampler=ALWAYS_OFF) if tracing == "sampled out" else trace.NoOpTracerProvider()
    FailoverInstrumentor().uninstrument()
    meters = MeterProvider(metric_readers=[telemetry.reader.__class__()])
    FailoverInstrumentor().instrument(tracer_provider=provider, meter_provider=meters)
    with provider.get_tracer("service").start_as_current_span("POST /chat"):
        assert tried([first, second]) is None
    counted = [dict(point.attributes or {}) for point in runtime.current().metrics.runs.observe(CallbackOptions())]
    outcomes = [each["failover.outcome"] for each in counted if each["failover.library"] == "inferred"]
    assert outcomes == ["fallback"]


def test_suppressed_calls_are_left_alone(telemetry: Telemetry, stack: ExitStack) -> None:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    first, second = refused_and_answered(stack)
    with telemetry.tracer.start_as_current_span("POST /chat"), suppress_instrumentation():
        tried([first, second])
    assert runs_told(telemetry) == []


def test_off(telemetry: Telemetry, stack: ExitStack) -> None:
    first, second = refused_and_answered(stack)
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, infer_runs="off")
    with telemetry.tracer.start_as_current_span("POST /chat"):
        tried([first, second])
    assert not telemetry.starting("failover ")
    assert len(telemetry.starting("chat gpt-5.5")) == 1


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_nothing_is_remembered_while_all_calls_succeed(telemetry: Telemetry, stack: ExitStack) -> None:
    _, second = refused_and_answered(stack)
    with telemetry.tracer.start_as_current_span("POST /chat"):
        tried([second])
        tried([second])
    assert outside.watch is None


def test_at_most_256_failures_are_remembered_and_no_object_of_the_hosts(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai"))
    first.server.program(*[Answer.openai_quota()] * (memory.MOST + 20))
    errors = []
    for number in range(memory.MOST + 20):
        try:
            first.client.chat.completions.create(
                model="gpt-5.5", messages=[{"role": "user", "content": f"secret question {number}"}]
            )
        except openai.APIError as raised:
            errors.append(raised)
    held = [streak.failures[-1] for streak in outside.watch.memory.streaks]
    assert len(held) == memory.MOST
    assert all(each.attempt() is not None for each in held[-2:]), "their exceptions' frames keep them"
    errors.clear()
    gc.collect()
    assert all(each.attempt() is None for each in held), "nothing of ours keeps them"
    assert "secret question" not in repr(held)
    assert "exceeded your current quota" not in repr(held)


def test_a_guard_that_fails_and_the_model_behind_it_are_no_run(telemetry: Telemetry, stack: ExitStack) -> None:
    guard = stack.enter_context(stand("openai", Answer.openai_rate_limit()))
    model = stack.enter_context(stand("anthropic", Answer.ok()))
    with suppress(openai.RateLimitError):
        guard.client.chat.completions.create(model="llama-guard-4-12b", messages=MESSAGES)
    model.ask()
    assert telemetry.starting("failover ") == []
