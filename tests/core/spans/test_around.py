"""A span around a run: it may tell who answered, and blame only who failed so."""

from __future__ import annotations

import contextlib
import contextvars
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import StatusCode

from otel_failover import failover_run
from otel_failover._core.spans import registry
from otel_failover.testing.providers import Answer
from tests.host.test_coexistence import needs_hook
from tests.support.hosts import LoopError, stand

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from otel_failover._core.runs.run import Run
    from tests.support.spans import Exported, Telemetry

BUSY = "The engine of region seven has no workers left for this deployment"
BREAKS_OFF = Answer.stream(["Hel", "lo "], then="error")


@contextlib.contextmanager
def spanned(telemetry: Telemetry, chain: list[Any]) -> Iterator[tuple[Any, Any]]:
    """A run with a span of the application around it; gives both."""
    with telemetry.tracer.start_as_current_span("chat") as span, failover_run("chat", chain=chain) as run:
        yield run, span


def of_application(telemetry: Telemetry) -> Exported:
    (found,) = (span for span in telemetry.named("chat") if span.scope == "application")
    return found


def around(telemetry: Telemetry, name: int, answer: int) -> Exported:
    """Run a loop inside a span that names one candidate, and the response of one; the first one breaks off."""
    with stand("openai", BREAKS_OFF) as first, stand("anthropic", Answer.ok()) as second:
        pair, ids = (first, second), ["", ""]
        with spanned(telemetry, [each.candidate for each in pair]) as (run, span):
            for index, each in enumerate(pair):
                with contextlib.suppress(Exception), run.attempt(each.candidate):
                    _ask(each, ids, index, stream=index == 0)
            span.set_attribute("gen_ai.provider.name", pair[name].candidate.provider)
            span.set_attribute("gen_ai.request.model", pair[name].candidate.model)
            span.set_attribute("gen_ai.response.id", ids[answer])
    return of_application(telemetry)


def _ask(each: Any, ids: list[str], index: int, *, stream: bool) -> None:
    if not stream:
        ids[index] = each.ask().id
        return
    for chunk in each.ask(stream=True):
        ids[index] = ids[index] or getattr(chunk, "id", "") or chunk.message.id


@needs_hook
def test_a_span_of_who_served_with_the_response_of_who_failed(telemetry: Telemetry) -> None:
    span = around(telemetry, name=1, answer=0)
    assert span.verdict == ("mismatch", "foreign_response")
    assert (span["failover.attribution.source.provider"], span["failover.attribution.source.index"]) == ("openai", 0)
    assert span["failover.attribution.expected.provider"] == "anthropic"
    assert [marker.parent_id for marker in telemetry.markers] == [span.span_id]


@needs_hook
@pytest.mark.parametrize("name", [0, 1])
def test_the_response_of_who_served(telemetry: Telemetry, name: int) -> None:
    """Named after who was asked for, or after who answered: both are told by honest spans."""
    assert around(telemetry, name, answer=1).verdict in ((None, None), ("verified", None))
    assert not telemetry.markers


def test_the_response_of_who_broke_off_under_its_own_name(telemetry: Telemetry) -> None:
    around(telemetry, name=0, answer=0)
    assert not telemetry.markers


def test_a_response_that_is_nobodys(telemetry: Telemetry) -> None:
    """A later run's, or one that was not seen."""
    with stand("openai", Answer.ok()) as only, telemetry.tracer.start_as_current_span("chat") as span:
        with failover_run("chat", chain=[only.candidate]), contextlib.suppress(Exception):
            only.ask()
        span.set_attribute("gen_ai.request.model", only.candidate.model)
        span.set_attribute("gen_ai.response.id", "chatcmpl-of-somebody")
    assert not telemetry.markers
    assert of_application(telemetry).verdict == (None, None)


# --- many at a time ---------------------------------------------------------------------------------------------------


def fail(run: Run) -> None:
    with contextlib.suppress(LoopError), run.attempt("openai/m"):
        raise LoopError(BUSY)


def requests(telemetry: Telemetry, many: int) -> list[str | None]:
    """Serve many requests at a time, all begun before the first ends; return the verdicts on the spans around them."""
    opened = []
    for _ in range(many):
        context, stack = contextvars.copy_context(), contextlib.ExitStack()
        span = context.run(stack.enter_context, telemetry.tracer.start_as_current_span("chat"))
        run = context.run(stack.enter_context, failover_run("chat", chain=["openai/m", "anthropic/n"]))
        context.run(fail, run)
        opened.append((context, stack, span))
    for context, stack, span in opened:
        span.set_attribute("gen_ai.provider.name", "openai")
        span.set_status(StatusCode.ERROR, BUSY)
        context.run(stack.close)
    return [span.verdict[0] for span in telemetry.named("chat") if span.scope == "application"]


@needs_hook
def test_spans_around_many_open_requests_are_judged(telemetry: Telemetry) -> None:
    many = 1_100
    assert requests(telemetry, many) == ["unverified"] * many


@needs_hook
def test_a_bound_that_is_reached_is_counted_and_said_once(
    telemetry: Telemetry, our_failures: Counter[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "OPEN", 3)
    assert requests(telemetry, 5) == [None, None, "unverified", "unverified", "unverified"]
    assert our_failures == {"_core.spans.registry": 2}
    assert [record.getMessage() for record in caplog.records if "not judged" in record.getMessage()] == [
        "otel-failover: more than 3 spans are open at a time: the oldest of them are not judged"
    ]


# --- errors -----------------------------------------------------------------------------------------------------------


def told(telemetry: Telemetry, name: int, error: int) -> Exported:
    """Let both fail, each in its own way, inside a span that names one of them and tells the error of one."""
    with stand("openai", Answer.openai_quota()) as first, stand("anthropic", Answer.anthropic_overloaded()) as second:
        pair, errors = (first, second), []
        with spanned(telemetry, [each.candidate for each in pair]) as (run, span):
            span.set_attribute("gen_ai.provider.name", pair[name].candidate.provider)
            for each in pair:
                try:
                    with run.attempt(each.candidate):
                        each.ask()
                except Exception as problem:  # noqa: BLE001 - that is the loop
                    errors.append(str(problem))
            span.set_status(StatusCode.ERROR, errors[error])
    return of_application(telemetry)


@needs_hook
def test_an_error_under_the_name_of_who_did_not_fail_so(telemetry: Telemetry) -> None:
    span = told(telemetry, name=1, error=0)
    assert span.verdict == ("mismatch", "stale_error")
    assert span["failover.attribution.source.index"] == 0
    assert [marker.parent_id for marker in telemetry.markers] == [span.span_id]


@needs_hook
def test_the_last_ones_error_under_the_first_ones_name_tells_how_it_ended(telemetry: Telemetry) -> None:
    """An agent's span is named after its primary, and ends with what the fallback said: no lie, and no own error."""
    assert told(telemetry, name=0, error=1).verdict == ("unverified", "report")
    assert not telemetry.markers


@needs_hook
@pytest.mark.parametrize("name", [0, 1])
def test_an_error_under_the_name_of_who_failed_so(telemetry: Telemetry, name: int) -> None:
    assert told(telemetry, name, error=name).verdict == ("verified", None)
    assert not telemetry.markers


# --- more than one run, and reports -----------------------------------------------------------------------------------


def tell(run: Any, each: Any) -> str:
    """Make one attempt that fails; return what the SDK's exception says."""
    with pytest.raises(Exception) as caught, run.attempt(each.candidate):  # noqa: PT011 - the SDK's own
        each.ask()
    return str(caught.value)


@needs_hook
@pytest.mark.parametrize("which", [0, 1])
def test_a_span_around_several_runs_may_tell_the_error_of_each(telemetry: Telemetry, which: int) -> None:
    """A batch, or a retry of the whole loop: what the named candidate said in any of them is its own."""
    with (
        stand("openai", Answer.error(503, BUSY), Answer.error(500, "quite another thing happened here")) as only,
        stand("anthropic", Answer.error(529, BUSY), Answer.error(529, BUSY)) as other,
        telemetry.tracer.start_as_current_span("chat") as span,
    ):
        span.set_attribute("gen_ai.provider.name", "openai")
        said = []
        for _ in range(2):
            with failover_run("chat", chain=[only.candidate, other.candidate]) as run:
                said.append(tell(run, only))
                tell(run, other)
        span.set_status(StatusCode.ERROR, said[which])
    assert of_application(telemetry).verdict == ("verified", None)
    assert not telemetry.markers


@needs_hook
@pytest.mark.parametrize(
    ("named", "verdict"),
    [("openai", ("unverified", "report")), ("gcp.gemini", ("mismatch", "stale_error"))],
    ids=["who was tried first", "any other"],
)
def test_a_span_around_several_runs_may_tell_how_one_of_them_ended(
    telemetry: Telemetry, named: str, verdict: tuple[str, str]
) -> None:
    with (
        stand("openai", Answer.hang(), Answer.hang(), timeout=0.2) as first,
        stand("gcp.gemini", Answer.hang(), Answer.hang(), timeout=0.2) as second,
        stand("anthropic", Answer.error(529, BUSY), Answer.ok()) as last,
        telemetry.tracer.start_as_current_span("chat") as span,
    ):
        span.set_attribute("gen_ai.provider.name", named)
        chain = [first.candidate, second.candidate, last.candidate]
        with failover_run("chat", chain=chain) as run:
            tell(run, first)
            tell(run, second)
            span.set_status(StatusCode.ERROR, tell(run, last))
        with failover_run("chat", chain=chain) as run:
            tell(run, first)
            tell(run, second)
            with run.attempt(last.candidate):
                last.ask()
    assert of_application(telemetry).verdict == verdict


@needs_hook
def test_a_span_that_sums_up_in_the_words_of_the_attempts_is_a_report(telemetry: Telemetry) -> None:
    """`attempt.error` is what a loop should report: of a candidate that said nothing it tells that."""
    with (
        stand("anthropic", Answer.hang(), timeout=0.2) as first,
        stand("openai", Answer.openai_quota()) as second,
        telemetry.tracer.start_as_current_span("chat") as span,
    ):
        span.set_attribute("gen_ai.provider.name", "anthropic")
        errors = []
        with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
            for each in (first, second):
                with contextlib.suppress(Exception), run.attempt(each.candidate) as attempt:
                    each.ask()
                errors.append(attempt.error)
        told = [f"{error.provider}: {error.message}" for error in errors if error is not None]
        assert len(told) == 2
        span.set_status(StatusCode.ERROR, "; ".join(told))
    assert of_application(telemetry).verdict[0] != "mismatch"
    assert not telemetry.markers
