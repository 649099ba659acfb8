"""A span around a run, or inside it around its attempts: it may tell who answered, and blame only who failed so."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import StatusCode

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.hosts import stand
from tests.test_coexistence import needs_hook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.spans import Exported, Telemetry

BUSY = "The engine is currently overloaded, please try again later"
BREAKS_OFF = Answer.stream(["Hel", "lo "], then="error")


PLACES = ["around the run", "around its attempts"]
in_both_places = pytest.mark.parametrize("place", PLACES)


@contextlib.contextmanager
def spanned(telemetry: Telemetry, place: str, chain: list[Any]) -> Iterator[tuple[Any, Any]]:
    """A run with a span of the application around it, or inside it; gives both."""
    outer, inner = contextlib.ExitStack(), contextlib.ExitStack()
    with outer, inner:
        where = outer if place == PLACES[0] else inner
        if where is outer:
            span = where.enter_context(telemetry.tracer.start_as_current_span("chat"))
        run = outer.enter_context(failover_run("chat", chain=chain))
        if where is inner:
            span = where.enter_context(telemetry.tracer.start_as_current_span("chat"))
        yield run, span


def of_application(telemetry: Telemetry) -> Exported:
    (found,) = (span for span in telemetry.named("chat") if span.scope == "application")
    return found


def around(telemetry: Telemetry, place: str, name: int, answer: int) -> Exported:
    """Run a loop inside a span that names one candidate, and the response of one; the first one breaks off."""
    with stand("openai", BREAKS_OFF) as first, stand("anthropic", Answer.ok()) as second:
        pair, ids = (first, second), ["", ""]
        with spanned(telemetry, place, [each.candidate for each in pair]) as (run, span):
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
@in_both_places
def test_a_span_of_who_served_with_the_response_of_who_failed(telemetry: Telemetry, place: str) -> None:
    span = around(telemetry, place, name=1, answer=0)
    assert span.verdict == ("mismatch", "foreign_response")
    assert (span["failover.attribution.source.provider"], span["failover.attribution.source.index"]) == ("openai", 0)
    assert span["failover.attribution.expected.provider"] == "anthropic"
    assert [marker.parent_id for marker in telemetry.markers] == [span.span_id]


@needs_hook
@in_both_places
@pytest.mark.parametrize("name", [0, 1])
def test_the_response_of_who_served(telemetry: Telemetry, place: str, name: int) -> None:
    """Named after who was asked for, or after who answered: both are told by honest spans."""
    assert around(telemetry, place, name, answer=1).verdict in ((None, None), ("verified", None))
    assert not telemetry.markers


@in_both_places
def test_the_response_of_who_broke_off_under_its_own_name(telemetry: Telemetry, place: str) -> None:
    around(telemetry, place, name=0, answer=0)
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


# --- errors -----------------------------------------------------------------------------------------------------------


def told(telemetry: Telemetry, place: str, name: int, error: int) -> Exported:
    """Let both fail, each in its own way, inside a span that names one of them and tells the error of one."""
    with stand("openai", Answer.openai_quota()) as first, stand("anthropic", Answer.anthropic_overloaded()) as second:
        pair, errors = (first, second), []
        with spanned(telemetry, place, [each.candidate for each in pair]) as (run, span):
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
@in_both_places
@pytest.mark.parametrize("name", [0, 1])
def test_an_error_under_the_name_of_who_did_not_fail_so(telemetry: Telemetry, place: str, name: int) -> None:
    span = told(telemetry, place, name, error=1 - name)
    assert span.verdict == ("mismatch", "stale_error")
    assert span["failover.attribution.source.index"] == 1 - name
    assert [marker.parent_id for marker in telemetry.markers] == [span.span_id]


@needs_hook
@in_both_places
@pytest.mark.parametrize("name", [0, 1])
def test_an_error_under_the_name_of_who_failed_so(telemetry: Telemetry, place: str, name: int) -> None:
    assert told(telemetry, place, name, error=name).verdict == ("verified", None)
    assert not telemetry.markers


@needs_hook
def test_a_span_of_each_try_is_held_against_all_tries_of_its_candidate(telemetry: Telemetry) -> None:
    """Both say the same by themselves, and the second's span ends while its stream is open."""
    busy, again = Answer.error(529, BUSY), Answer.stream(["Hel", "lo "], then="error")
    with stand("openai", Answer.error(503, BUSY)) as first, stand("anthropic", busy, again) as second:
        with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
            for each in (first, second):
                with telemetry.tracer.start_as_current_span("chat") as span:
                    span.set_attribute("gen_ai.provider.name", each.candidate.provider)
                    with contextlib.suppress(Exception), run.attempt(each.candidate):
                        each.ask()
                    span.set_status(StatusCode.ERROR, BUSY)
            with telemetry.tracer.start_as_current_span("chat") as span:
                span.set_attribute("gen_ai.provider.name", second.candidate.provider)
                with run.attempt(second.candidate):
                    stream = second.ask(stream=True)
                next(iter(stream))
                span.set_status(StatusCode.ERROR, BUSY)
            stream.close()
    assert [span.verdict[0] for span in telemetry.named("chat") if span.scope == "application"] == ["verified"] * 3
    assert not telemetry.markers


@needs_hook
def test_a_span_around_a_stream_that_is_open_is_held_against_it(telemetry: Telemetry) -> None:
    """What an attempt that is not over would say is not known yet: nothing is certain, so nobody is blamed."""
    answers = Answer.anthropic_rate_limit(), Answer.stream(["Hel", "lo "], then="error")
    with stand("openai", Answer.error(503, BUSY)) as first, stand("anthropic", *answers) as second:
        with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
            for each in (first, second):
                with contextlib.suppress(Exception), run.attempt(each.candidate):
                    each.ask()
            with telemetry.tracer.start_as_current_span("chat") as span:
                span.set_attribute("gen_ai.provider.name", second.candidate.provider)
                with run.attempt(second.candidate):
                    stream = second.ask(stream=True)
                next(iter(stream))
                span.set_status(StatusCode.ERROR, BUSY)
            stream.close()
    assert of_application(telemetry).verdict[0] == "unverified"
    assert not telemetry.markers
