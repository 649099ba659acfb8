"""`on_mismatch=correct`: exception events that application code put on a candidate's span, and that are not its own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import get_current_span

from otel_failover import FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import Stand, stand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Exported, Telemetry

QUOTA = "You exceeded your current quota"


@pytest.fixture
def stands() -> Iterator[list[Stand]]:
    """OpenAI answers its quota error, Anthropic is overloaded."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(stand("openai", Answer.openai_quota())),
            stack.enter_context(stand("anthropic", Answer.anthropic_overloaded())),
        ]


def loop(stands: list[Stand], *, wrong: bool) -> None:
    """A loop that records an exception on the current span: its own, and the previous candidate's where it is wrong."""
    previous: Exception | None = None
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each in stands:
            try:
                with run.attempt(each.candidate):
                    try:
                        each.ask()
                    except Exception as problem:  # noqa: BLE001 - a loop's own retry
                        if wrong and previous is not None:
                            get_current_span().record_exception(previous)
                        get_current_span().record_exception(problem)
                        previous = problem
                        raise
            except Exception:  # noqa: BLE001, S112 - the loop goes on
                continue


def told(span: Exported) -> list[Any]:
    """What the exception events of a span say."""
    return [attributes.get("exception.message") for name, attributes in span.events if name == "exception"]


@pytest.mark.parametrize("mode", ["annotate", "correct"])
def test_a_foreign_exception_event_is_a_mismatch_in_both_modes(
    mode: str, telemetry: Telemetry, stands: list[Stand]
) -> None:
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, on_mismatch=mode)
    loop(stands, wrong=True)
    first, second = telemetry.candidates
    assert first.verdict == ("verified", None)
    assert second.verdict == ("mismatch", "stale_error")
    assert second["error.type"] == "overloaded"
    assert QUOTA in second["failover.attribution.claimed.message"]
    assert [marker.parent_id for marker in telemetry.markers] == [second.span_id]


@pytest.mark.parametrize("mode", ["annotate", "correct"])
def test_an_exception_that_has_nothing_to_do_with_providers_is_no_claim(
    mode: str, telemetry: Telemetry, stands: list[Stand]
) -> None:
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, on_mismatch=mode)
    with failover_run("chat", chain=[stands[1].candidate]) as run:
        with pytest.raises(Exception, match="529"), run.attempt(stands[1].candidate):
            get_current_span().record_exception(KeyError("the cache has no such conversation: 7f3a"))
            stands[1].ask()
    (only,) = telemetry.candidates
    assert only.verdict == ("verified", None)
    assert len(told(only)) == 2


def test_annotate_leaves_what_application_code_wrote(telemetry: Telemetry, stands: list[Stand]) -> None:
    loop(stands, wrong=True)
    assert any(QUOTA in text for text in told(telemetry.candidates[1]))


def test_correct_takes_out_the_foreign_event_and_nothing_else(telemetry: Telemetry, stands: list[Stand]) -> None:
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, on_mismatch="correct")
    loop(stands, wrong=True)
    first, second = telemetry.candidates
    assert not any(QUOTA in text for text in told(second))
    assert any("Overloaded" in text for text in told(second))
    assert len(told(second)) == 2
    assert any(QUOTA in text for text in told(first))


def test_correct_leaves_an_honest_loop_alone(telemetry: Telemetry, stands: list[Stand]) -> None:
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, on_mismatch="correct")
    loop(stands, wrong=False)
    assert [each.verdict for each in telemetry.candidates] == [("verified", None), ("verified", None)]
    assert [len(told(each)) for each in telemetry.candidates] == [2, 2]
    assert not telemetry.markers
