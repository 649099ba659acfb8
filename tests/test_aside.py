"""Runs and attempts that adapters hold open without being current."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from otel_failover import Candidate
from otel_failover.run import Run

if TYPE_CHECKING:
    from tests.spans import Telemetry

CHAIN = [Candidate("openai", "m"), Candidate("anthropic", "m")]


def test_an_attempt_that_is_cancelled_after_its_run_was_left(telemetry: Telemetry) -> None:
    """A stream handed over by a loop that has returned, and cancelled by its consumer: both spans end."""
    run = Run("chat", CHAIN)
    run.open_aside()
    attempt = run.attempt_at(0)
    attempt.open_aside()
    run.leave(None)
    attempt.leave(asyncio.CancelledError())
    assert telemetry.candidates[0]["candidate.outcome"] == "cancelled"
    assert telemetry.run["failover.outcome"] == "cancelled"


def test_an_attempt_that_a_loop_declares_outside_its_chain_may_serve(telemetry: Telemetry) -> None:
    """It is off the chain, but the loop said itself that it was a candidate: only an inferred call never serves."""
    with Run("chat", CHAIN) as run, run.attempt(Candidate("mistral_ai", "m")):
        pass
    assert telemetry.run["failover.outcome"] == "fallback"
