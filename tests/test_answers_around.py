"""A span around a run that names a response: it may tell who answered, never who failed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.hosts import stand
from tests.test_coexistence import needs_hook

if TYPE_CHECKING:
    from tests.spans import Exported, Telemetry

BREAKS_OFF = Answer.stream(["Hel", "lo "], then="error")


def around(telemetry: Telemetry, name: int, answer: int) -> Exported:
    """Run a loop inside a span that names one candidate, and the response of one; the first one breaks off."""
    with stand("openai", BREAKS_OFF) as first, stand("anthropic", Answer.ok()) as second:
        pair, ids = (first, second), ["", ""]
        with telemetry.tracer.start_as_current_span("chat") as span:
            with failover_run("chat", chain=[each.candidate for each in pair]) as run:
                for index, each in enumerate(pair):
                    with contextlib.suppress(Exception), run.attempt(each.candidate):
                        _ask(each, ids, index, stream=index == 0)
            span.set_attribute("gen_ai.provider.name", pair[name].candidate.provider)
            span.set_attribute("gen_ai.request.model", pair[name].candidate.model)
            span.set_attribute("gen_ai.response.id", ids[answer])
    (found,) = (span for span in telemetry.named("chat") if span.scope == "application")
    return found


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
    (found,) = (span for span in telemetry.named("chat") if span.scope == "application")
    assert found.verdict == (None, None)
