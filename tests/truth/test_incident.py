"""The incident: OpenAI's quota error, reported as Anthropic's while Anthropic was timing out."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import StatusCode

from otel_failover import Attempt, failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Exported, Telemetry

QUOTA = "You exceeded your current quota"


@pytest.fixture
def stands() -> Iterator[list[Stand]]:
    """OpenAI answers its real quota error, Anthropic hangs, Gemini serves."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(stand("openai", Answer.openai_quota())),
            stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.15)),
            stack.enter_context(stand("gcp.gemini", Answer.ok("served"))),
        ]


Theft = "Callable[[Telemetry, Attempt, Exception, Exception], None]"


def new_exception(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
    raise LoopError(str(stale)) from None


def new_exception_in_context(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
    try:
        raise own
    except Exception:
        raise LoopError(f"candidate failed: {stale}")  # noqa: B904 - the context is the point


def from_own_cause(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
    raise LoopError(str(stale)) from own


def old_object(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
    raise stale


def restamped(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
    raise LoopError(str(stale), provider="anthropic", status_code=408, model="claude-opus-4-7")


def cut_short(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
    raise LoopError(str(stale)[:70] + "...", provider="anthropic")


def said(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
    attempt.fail({"status": 429, "message": str(stale)})


def request_id_only(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
    raise LoopError("candidate failed", request_id=stale.request_id)  # type: ignore[attr-defined]


def response_only(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
    raise LoopError("candidate failed", response=stale.response)  # type: ignore[attr-defined]


def status_and_code(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
    raise LoopError("candidate failed", status_code=429, code="insufficient_quota")


def stale_cause(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
    raise LoopError("rate limited", status_code=429) from stale


THEFTS: list[tuple[Callable[..., None], str]] = [
    (new_exception, "text"),
    (new_exception_in_context, "text"),
    (from_own_cause, "text"),
    (old_object, "object"),
    (restamped, "text"),
    (cut_short, "text"),
    (said, "text"),
    (request_id_only, "request_id"),
    (response_only, "response"),
    (status_and_code, "facts"),
    (stale_cause, "object"),
]


def loop(telemetry: Telemetry, stands: list[Stand], theft: Callable[..., None]) -> None:
    """Share one session between the candidates, as the incident did."""
    session: list[Exception] = []
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each in stands:
            try:
                with run.attempt(each.candidate) as attempt:
                    try:
                        each.ask()
                    except Exception as problem:  # noqa: BLE001 - a loop's own retry
                        session.append(problem)
                        if len(session) > 1:
                            theft(telemetry, attempt, session[0], problem)
                        else:
                            raise
            except Exception:  # noqa: S112, BLE001 - the loop goes on
                continue


def no_quota_outside_claims(span: Exported) -> None:
    """Own facts only: the stale text stands nowhere but in the claim."""
    assert QUOTA not in span.description
    for key, value in span.attributes.items():
        assert key.startswith("failover.attribution.claimed.") or QUOTA not in str(value), key
    for _, attributes in span.events:
        assert QUOTA not in str(attributes)


@pytest.mark.parametrize(("theft", "bound_by"), THEFTS, ids=lambda value: getattr(value, "__name__", value))
def test_anthropic_shows_its_own_timeout_and_the_stale_error_is_pinned_on_openai(
    telemetry: Telemetry, stands: list[Stand], theft: Callable[..., None], bound_by: str
) -> None:
    loop(telemetry, stands, theft)

    first, second, third = telemetry.candidates
    assert first.verdict == ("verified", None)
    assert first["failover.reason.code"] == "billing"
    assert first["http.response.status_code"] == 429

    assert second.verdict == ("mismatch", "stale_error")
    assert second["failover.attribution.mismatch"] is True
    assert second["failover.attribution.source.provider"] == "openai"
    assert second["failover.attribution.source.index"] == 0
    assert second["failover.attribution.source.span_id"] == first.span_id
    assert second["failover.attribution.bound_by"] == bound_by
    assert second["error.type"] == second["failover.reason.code"] == "timeout"
    assert second["failover.error.origin"] == "transport"
    assert second["http.response.status_code"] is None
    assert second["failover.reason.host"] is None
    assert second["failover.wire.statuses"] == ["-"]
    assert second.status == "ERROR"
    no_quota_outside_claims(second)

    assert third.verdict == ("verified", None)
    assert third["candidate.outcome"] == "success"
    assert telemetry.run["failover.outcome"] == "fallback"
    assert telemetry.run.status == "UNSET"
    assert telemetry.run["error.type"] is None

    (marker,) = telemetry.markers
    assert marker.parent_id == second.span_id
    assert marker.status == "ERROR"
    assert marker.end - marker.start == 1000
    assert marker["candidate.provider"] == "anthropic"
    assert (
        telemetry.metric("failover.attribution.mismatches")[
            (
                ("failover.attribution.expected.provider", "anthropic"),
                ("failover.attribution.rule", "stale_error"),
                ("failover.attribution.source.provider", "openai"),
            )
        ]
        == 1
    )


def as_status(span: Any, text: str) -> None:
    span.set_status(StatusCode.ERROR, text)


def as_attribute(span: Any, text: str) -> None:
    span.set_attribute("error.message", text)


def as_event(span: Any, text: str) -> None:
    span.set_status(StatusCode.ERROR)
    span.add_event("exception", {"exception.type": "openai.RateLimitError", "exception.message": text})


@pytest.mark.parametrize("write", [as_status, as_attribute, as_event])
def test_a_span_of_the_application_inside_the_attempt_is_judged_too(
    telemetry: Telemetry, stands: list[Stand], write: Callable[[Any, str], None]
) -> None:
    def theft(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
        with telemetry.tracer.start_as_current_span("ask") as span:
            write(span, str(stale))
        raise own

    loop(telemetry, stands, theft)

    _, second, _ = telemetry.candidates
    (ask,) = telemetry.named("ask")
    assert ask["candidate.provider"] == "anthropic"
    assert ask.verdict == ("mismatch", "stale_error")
    assert ask["failover.attribution.source.provider"] == "openai"
    assert [marker.parent_id for marker in telemetry.markers] == [ask.span_id]
    assert second.verdict == ("verified", None)
    no_quota_outside_claims(second)


def test_a_text_set_on_the_candidates_own_span_is_replaced_by_its_own_error(
    telemetry: Telemetry, stands: list[Stand]
) -> None:
    """`get_current_span()` inside an attempt is the candidate's: whatever is written there, own evidence has the last word."""
    from opentelemetry.trace import get_current_span

    def theft(telemetry: Telemetry, attempt: Attempt, stale: Exception, own: Exception) -> None:
        get_current_span().set_status(StatusCode.ERROR, str(stale))
        get_current_span().set_attribute("error.type", "insufficient_quota")
        get_current_span().set_attribute("http.response.status_code", 429)
        raise own

    loop(telemetry, stands, theft)

    _, second, _ = telemetry.candidates
    assert second["error.type"] == "timeout"
    assert second["http.response.status_code"] is None or second.verdict[0] == "mismatch"
    assert QUOTA not in second.description


def test_the_loop_may_report_the_truth_from_the_attempt(telemetry: Telemetry, stands: list[Stand]) -> None:
    told: list[Any] = []
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each in stands:
            try:
                with run.attempt(each.candidate) as attempt:
                    each.ask()
            except Exception:  # noqa: BLE001 - the loop goes on
                told.append(attempt.error)

    assert [(e.provider, e.status_code, e.reason, e.origin) for e in told] == [
        ("openai", 429, "billing", "response"),
        ("anthropic", None, "timeout", "transport"),
    ]
    assert told[0].message.startswith(QUOTA)
    assert told[1].message == "no response from anthropic within 0.2 s"
