"""Runs and attempts that adapters hold open without being current."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from opentelemetry.trace import get_current_span

from otel_failover import Candidate
from otel_failover._core import context as scope
from otel_failover._core.runs.run import Run

if TYPE_CHECKING:
    from tests.support.spans import Telemetry

CHAIN = [Candidate("openai", "m"), Candidate("anthropic", "m")]


def test_an_attempt_that_is_cancelled_after_its_run_was_left(telemetry: Telemetry) -> None:
    """A stream handed over by a loop that has returned, and cancelled by its consumer: both spans end."""
    run = Run("chat", CHAIN)
    run.open_detached()
    attempt = run.attempt_at(0)
    attempt.open_detached()
    run.leave(None)
    attempt.leave(asyncio.CancelledError())
    assert telemetry.candidates[0]["candidate.outcome"] == "cancelled"
    assert telemetry.run["failover.outcome"] == "cancelled"


def test_an_attempt_that_a_loop_declares_outside_its_chain_may_serve(telemetry: Telemetry) -> None:
    """It is off the chain, but the loop said itself that it was a candidate; before anybody failed it is the first."""
    with Run("chat", CHAIN) as run, run.attempt(Candidate("mistral_ai", "m")):
        pass
    with Run("chat", CHAIN) as run:
        with run.attempt_at(0) as attempt:
            attempt.fail("overloaded")
        with run.attempt(Candidate("mistral_ai", "m")):
            pass
    assert [run["failover.outcome"] for run in telemetry.named("failover chat")] == ["primary", "fallback"]


# --- what adapters ask of the core ------------------------------------------------------------------------------------


def test_the_current_attempt_is_of_its_own_run_only(telemetry: Telemetry) -> None:
    """What is asked inside an attempt is no step of its loop; for a loop inside it, it is."""
    with Run("chat", CHAIN) as run:
        assert scope.attempt_of(run) is None
        with run.attempt_at(0) as attempt, Run("chat", CHAIN) as inner:
            assert attempt.run is run
            assert (scope.attempt_of(run), scope.attempt_of(inner)) == (None, None)
        with run.attempt_at(1) as attempt:
            assert scope.attempt_of(run) is attempt
            assert scope.attempt_of(inner) is None


def test_an_attempt_is_within_itself_and_within_the_one_it_was_made_in(telemetry: Telemetry) -> None:
    with Run("chat", CHAIN) as run, run.attempt_at(0) as outer:
        with Run("chat", CHAIN), run.attempt_at(1) as beside:
            pass
        with run.attempt_at(1) as inner:
            assert inner.is_within(inner)
            assert inner.is_within(outer)
            assert not outer.is_within(inner)
            assert not inner.is_within(beside)


def test_an_attempt_owns_its_candidates_span_and_no_other(telemetry: Telemetry) -> None:
    with Run("chat", CHAIN) as run:
        outside = get_current_span()
        with run.attempt_at(0) as attempt:
            assert attempt.owns(get_current_span())
            assert not attempt.owns(outside)
            assert not attempt.owns(None)


def test_an_attempt_that_was_interrupted_is_cancelled_whatever_the_loop_does_next(telemetry: Telemetry) -> None:
    """An exception that is no error (a graph that pauses) is no timeout either, though another candidate follows."""
    with Run("chat", CHAIN) as run:
        run.attempt_at(0).__enter__().interrupted()
        assert scope.attempt_of(run) is None
        with run.attempt_at(1):
            pass
    assert [each["candidate.outcome"] for each in telemetry.candidates] == ["cancelled", "success"]


def test_a_loop_that_goes_on_after_a_cancellation_ended_it_itself(telemetry: Telemetry) -> None:
    run = Run("chat", CHAIN)
    run.open_detached()
    attempt = run.attempt_at(0)
    attempt.open_detached()
    attempt.leave(asyncio.CancelledError())
    run.step()
    run.leave(TimeoutError())
    assert telemetry.candidates[0]["failover.killed_by"] == "caller_timeout"
    assert telemetry.run["failover.outcome"] == "stopped"


def test_a_run_goes_on_from_its_opening_until_it_is_left(telemetry: Telemetry) -> None:
    """Streams may keep its span open for longer; nobody else is asked."""
    run = Run("chat", CHAIN)
    assert not run.goes_on
    run.open_detached()
    assert run.goes_on
    attempt = run.attempt_at(0)
    attempt.open_detached()
    run.leave(None)
    assert not run.goes_on
    attempt.leave(None)
    assert telemetry.run["failover.outcome"] == "primary"
