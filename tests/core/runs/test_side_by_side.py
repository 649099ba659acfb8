"""Candidates that run side by side: a race (hedging), and probes that ask whether a candidate is back."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from otel_failover import Run, failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Telemetry


@pytest.fixture
def stands() -> Iterator[list[Stand]]:
    """OpenAI hangs, Anthropic serves."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(stand("openai", Answer.hang())),
            stack.enter_context(stand("anthropic", Answer.ok("served"))),
        ]


async def race(run: Run, stands: list[Stand]) -> object:
    """Ask all at once, take the first that answers, and cancel the others."""

    async def one(each: Stand) -> object:
        with run.attempt(each.candidate):
            return await each.aask()

    tasks = [asyncio.create_task(one(each)) for each in stands]
    try:
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.wait(tasks)
        return next(iter(done)).result()
    finally:
        for task in tasks:
            task.cancel()


def test_the_loser_of_a_race_was_cancelled_and_failed_nobody(telemetry: Telemetry, stands: list[Stand]) -> None:
    async def main() -> None:
        with failover_run("chat", chain=[each.candidate for each in stands]) as run:
            await race(run, stands)

    asyncio.run(main())
    first, second = telemetry.candidates
    assert (first["candidate.outcome"], first.status, first["failover.killed_by"]) == ("cancelled", "UNSET", None)
    assert (second["candidate.outcome"], second.verdict) == ("success", ("verified", None))
    assert telemetry.run["failover.outcome"] == "fallback"
    assert telemetry.run["candidate.provider"] == "anthropic"
    assert telemetry.run.status == "UNSET"


def test_the_loser_of_a_race_was_not_timed_out_by_what_comes_after(telemetry: Telemetry, stands: list[Stand]) -> None:
    """A later attempt means a caller's timeout only where nobody had won before it."""

    async def main() -> None:
        with failover_run("chat", chain=[each.candidate for each in stands]) as run:
            await race(run, stands)
            with run.attempt(stands[1].candidate):
                await stands[1].aask()

    asyncio.run(main())
    assert telemetry.candidates[0]["candidate.outcome"] == "cancelled"
    assert telemetry.candidates[0]["failover.killed_by"] is None


def test_who_won_a_race_served_it_though_another_answered_later(telemetry: Telemetry) -> None:
    with stand("openai", Answer.delayed(Answer.ok(), 0.2)) as slow, stand("anthropic", Answer.ok()) as fast:

        async def main() -> None:
            async def one(each: Stand) -> None:
                with run.attempt(each.candidate):
                    await each.aask()

            with failover_run("chat", chain=[slow.candidate, fast.candidate]) as run:
                await asyncio.gather(one(slow), one(fast))

        asyncio.run(main())
    assert [each["candidate.outcome"] for each in telemetry.candidates] == ["success", "success"]
    assert telemetry.run["candidate.provider"] == "anthropic"
    slower = telemetry.candidates[0]
    assert telemetry.run["failover.wasted.duration"] == pytest.approx((slower.end - slower.start) / 1e9, abs=0.05)


def test_a_run_ends_with_its_winner_though_a_loser_is_still_asked(telemetry: Telemetry) -> None:
    """A loser that nobody cancels goes on by itself; it neither lengthens the run nor holds it back."""
    with stand("openai", Answer.delayed(Answer.openai_rate_limit(), 0.4)) as slow, stand("anthropic") as fast:

        async def main() -> int:
            async def one(each: Stand) -> None:
                with run.attempt(each.candidate):
                    await each.aask()

            with failover_run("chat", chain=[slow.candidate, fast.candidate]) as run:
                loser = asyncio.create_task(one(slow))
                await asyncio.sleep(0)
                await one(fast)
            exported = len(telemetry.starting("failover "))
            with pytest.raises(Exception, match="429"):
                await loser
            return exported

        assert asyncio.run(main()) == 1
    loser = telemetry.candidates[0]
    assert (loser["candidate.outcome"], loser["http.response.status_code"]) == ("error", 429)
    assert loser.verdict == ("verified", None)
    assert telemetry.run.end < loser.end
    assert telemetry.run["failover.outcome"] == "fallback"


def test_an_error_of_a_candidate_that_is_still_asked_is_foreign_not_stale(telemetry: Telemetry) -> None:
    """One of two SDK tries has failed already when the other candidate's failure is told in its words."""
    with stand("openai", Answer.openai_quota(), Answer.hang()) as first, stand("anthropic", Answer.hang()) as second:

        async def main() -> None:
            stolen = asyncio.Event()
            text = ""

            async def asks_twice() -> None:
                nonlocal text
                with run.attempt(first.candidate):
                    try:
                        await first.aask()
                    except Exception as problem:  # noqa: BLE001 - a loop's own retry
                        text = str(problem)
                    stolen.set()
                    await first.aask()

            async def tells_the_others() -> None:
                with run.attempt(second.candidate):
                    await stolen.wait()
                    try:
                        await second.aask(timeout=0.1)
                    except Exception:  # noqa: BLE001 - replaced, which is the incident
                        raise LoopError(text, provider="anthropic") from None

            with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
                task = asyncio.create_task(asks_twice())
                with pytest.raises(LoopError):
                    await tells_the_others()
                task.cancel()
                await asyncio.wait([task])

        asyncio.run(main())
    (stolen_by,) = (each for each in telemetry.candidates if each["candidate.provider"] == "anthropic")
    assert stolen_by.verdict == ("mismatch", "foreign_error")
    assert stolen_by["failover.attribution.source.provider"] == "openai"
    assert len(telemetry.markers) == 1


def test_a_probe_never_serves_and_never_fails_a_run(telemetry: Telemetry) -> None:
    """A recovery probe asks the failed candidate again, beside the next one."""
    answers = (Answer.openai_rate_limit(), Answer.ok("back again"))
    with stand("openai", *answers) as first, stand("anthropic", Answer.delayed(Answer.ok(), 0.2)) as second:

        async def probe(run: Run) -> None:
            with run.attempt(first.candidate, probe=True):
                await first.aask()

        async def main() -> None:
            with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
                with pytest.raises(Exception, match="429"), run.attempt(first.candidate):
                    await first.aask()
                probing = asyncio.create_task(probe(run))
                with run.attempt(second.candidate):
                    await second.aask()
                await probing

        asyncio.run(main())
    failed, *others = telemetry.candidates
    assert failed["http.response.status_code"] == 429
    assert sorted((each["candidate.provider"], each["candidate.outcome"]) for each in others) == [
        ("anthropic", "success"),
        ("openai", "success"),
    ]
    assert all(each.verdict == ("verified", None) for each in telemetry.candidates)
    assert telemetry.run["candidate.provider"] == "anthropic"
    assert telemetry.run["failover.outcome"] == "fallback"


def test_a_failing_probe_beside_the_next_candidate_is_its_own_error_alone(telemetry: Telemetry) -> None:
    """The probe's 429 lands while Anthropic is asked: it is neither Anthropic's, nor one of the run's failures."""
    limited = (Answer.openai_rate_limit(), Answer.openai_rate_limit())
    overloaded = Answer.delayed(Answer.anthropic_overloaded(), 0.2)
    with stand("openai", *limited) as first, stand("anthropic", overloaded) as second:

        async def probe(run: Run) -> None:
            with pytest.raises(Exception, match="429"), run.attempt(first.candidate, probe=True):
                await first.aask()

        async def main() -> None:
            with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
                with pytest.raises(Exception, match="429"), run.attempt(first.candidate):
                    await first.aask()
                probing = asyncio.create_task(probe(run))
                with pytest.raises(Exception, match="529"), run.attempt(second.candidate):
                    await second.aask()
                await probing

        asyncio.run(main())
    told = {(each["candidate.provider"], each["http.response.status_code"]) for each in telemetry.candidates}
    assert told == {("openai", 429), ("anthropic", 529)}
    assert not telemetry.markers
    assert telemetry.run.description == "2 of 2 failed: openai rate_limit, anthropic overloaded"


def test_an_answer_that_the_loop_keeps_on_judging_is_rejected_when_it_goes_on(telemetry: Telemetry) -> None:
    with stand("openai", Answer.ok()) as first, stand("anthropic", Answer.ok()) as second:
        with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
            for each in (first, second):
                attempt = run.attempt(each.candidate)
                with attempt:
                    each.ask()
                    attempt.answered()
    refused, taken = telemetry.candidates
    assert (refused["candidate.outcome"], refused["http.response.status_code"], refused.status) == (
        "rejected",
        200,
        "UNSET",
    )
    assert refused["failover.reason.code"] == "response_rejected"
    assert refused.end <= taken.start
    assert taken["candidate.outcome"] == "success"
    assert telemetry.run["failover.outcome"] == "fallback"


def test_an_answer_that_ends_the_run_by_an_exception_was_not_taken(telemetry: Telemetry) -> None:
    with (
        stand("openai", Answer.ok()) as only,
        pytest.raises(LoopError),
        failover_run("chat", chain=[only.candidate]) as run,
    ):
        attempt = run.attempt(only.candidate)
        with attempt:
            only.ask()
            attempt.answered()
        raise LoopError("the answer was of no use")
    assert telemetry.candidates[0]["candidate.outcome"] == "rejected"
    assert telemetry.run["failover.outcome"] == "exhausted"
    assert telemetry.run.description == "1 of 1 failed: openai response_rejected"
