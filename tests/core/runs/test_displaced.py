"""An instrumentation that makes current, inside an attempt, a context it took before: the attempt is still known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as context_api

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import stand

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from tests.support.hosts import Stand
    from tests.support.spans import Telemetry


def ask_in(context: Context, asked: Stand) -> None:
    token = context_api.attach(context)
    try:
        asked.ask()
    finally:
        context_api.detach(token)


@pytest.mark.parametrize("taken", ["in the run", "before the run"])
def test_a_call_in_a_context_taken_before_the_attempt_is_the_attempts(telemetry: Telemetry, taken: str) -> None:
    before = context_api.get_current()
    with stand("openai", Answer.ok("fine")) as first, failover_run("chat", chain=[first.candidate]) as run:
        context = context_api.get_current() if taken == "in the run" else before
        with run.attempt(first.candidate):
            ask_in(context, first)
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span["failover.wire.requests"]) == ("success", 1)
    assert span.verdict[0] == "verified"


def test_a_span_started_in_a_context_taken_before_the_attempt_is_the_attempts(telemetry: Telemetry) -> None:
    with stand("openai", Answer.ok("fine")) as first, failover_run("chat", chain=[first.candidate]) as run:
        context = context_api.get_current()
        with run.attempt(first.candidate):
            telemetry.tracer.start_span("theirs", context=context).end()
            first.ask()
        telemetry.tracer.start_span("after", context=context).end()
    assert telemetry.named("theirs")[0]["candidate.provider"] == "openai"
    assert "candidate.provider" not in telemetry.named("after")[0].attributes


def test_a_context_of_another_run_stays_that_runs(telemetry: Telemetry) -> None:
    with stand("openai", Answer.ok("fine")) as first, stand("anthropic", Answer.ok("fine")) as second:
        with failover_run("other", chain=[second.candidate]) as other:
            context = context_api.get_current()
            with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate):
                ask_in(context, second)
                first.ask()
    tried: dict[Any, Any] = {span["candidate.provider"]: span["failover.run.id"] for span in telemetry.candidates}
    assert tried == {"anthropic": other.id, "openai": run.id}
