"""The caller's own deadline inside an attempt, told or not, and the cancellations that look like it."""

from __future__ import annotations

import _thread
import asyncio
import signal
import sys
import threading
import time
from concurrent import futures
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.support.spans import Exported, Telemetry

SECONDS = 0.2


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


class SlowError(Exception):
    """An application's own, which does not say timeout by its name."""


# --- deadlines --------------------------------------------------------------------------------------------------------


async def by_wait_for(call: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(call, SECONDS)


async def by_timeout(call: Awaitable[Any]) -> Any:
    async with asyncio.timeout(SECONDS):
        return await call


async def by_fail_after(call: Awaitable[Any]) -> Any:
    with anyio.fail_after(SECONDS):
        return await call


async def by_move_on_after(call: Awaitable[Any]) -> Any:
    with anyio.move_on_after(SECONDS):
        return await call
    raise TimeoutError


async def by_wait(call: Awaitable[Any]) -> Any:
    task = asyncio.ensure_future(call)
    done, _ = await asyncio.wait([task], timeout=SECONDS)
    if not done:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise TimeoutError
    return task.result()


DEADLINES = [
    by_wait_for,
    pytest.param(by_timeout, marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="since Python 3.11")),
    by_fail_after,
    by_move_on_after,
    by_wait,
]
TOLD = [
    "raised",
    "wrapped",
    "wrapped from none",
    "own class from none",
    "told",
    "told in a sentence",
    "rejected",
    "untold",
]


async def asked(attempt: Any, call: Awaitable[Any], within: Callable[[Any], Awaitable[Any]], how: str) -> Any:
    """Ask within a deadline, and say of it what a loop may say."""
    try:
        return await within(call)
    except (TimeoutError, asyncio.TimeoutError) as problem:
        if how == "raised":
            raise
        if how == "wrapped":
            raise LoopError("gave up") from problem
        if how == "wrapped from none":
            raise LoopError("request exceeded its time") from None
        if how == "own class from none":
            raise SlowError from None
        if how == "told":
            attempt.fail("timeout")
        if how == "told in a sentence":
            attempt.fail("the provider took too long")
        if how == "rejected":
            attempt.reject("empty reply")
    return None


def gave_up(span: Exported) -> None:
    """It is the caller who ran out of time."""
    assert (span["candidate.outcome"], span.status) == ("error", "ERROR")
    assert (span["failover.reason.code"], span["error.type"]) == ("timeout", "timeout")
    assert (span["failover.error.origin"], span["http.response.status_code"]) == ("transport", None)
    assert (span["failover.timeout.kind"], span["failover.killed_by"]) == ("caller", "caller_timeout")
    assert span.description.startswith("no response from openai within 0.")


@pytest.mark.parametrize("within", DEADLINES)
@pytest.mark.parametrize("how", TOLD)
def test_a_deadline_inside_an_attempt_is_the_callers(
    telemetry: Telemetry, stack: ExitStack, within: Callable[[Any], Awaitable[Any]], how: str
) -> None:
    first = stack.enter_context(stand("openai", Answer.hang(), timeout=30.0))
    second = stack.enter_context(stand("anthropic", Answer.ok()))

    async def main() -> None:
        with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
            for each in (first, second):
                try:
                    with run.attempt(each.candidate) as attempt:
                        reply = await (asked(attempt, each.aask(), within, how) if each is first else each.aask())
                        error = attempt.error
                except (LoopError, SlowError, TimeoutError, asyncio.TimeoutError):
                    continue
                if reply is not None:
                    return
                assert error is not None
                assert error.reason == "timeout"

    asyncio.run(main())
    gave_up(telemetry.candidates[0])
    assert telemetry.run["failover.outcome"] == "fallback"
    assert telemetry.markers == []


@pytest.mark.parametrize("ends", ["raised", "returned"])
def test_so_where_no_other_candidate_follows(telemetry: Telemetry, stack: ExitStack, ends: str) -> None:
    first = stack.enter_context(stand("openai", Answer.hang(), timeout=30.0))

    async def main() -> None:
        with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate) as attempt:
            await asked(attempt, first.aask(), by_wait_for, "raised" if ends == "raised" else "untold")

    if ends == "raised":
        with pytest.raises((TimeoutError, asyncio.TimeoutError)):
            asyncio.run(main())
    else:
        asyncio.run(main())
    gave_up(telemetry.candidates[0])
    assert telemetry.run["failover.outcome"] == "exhausted"


def test_a_deadline_in_front_of_a_thread_that_goes_on(telemetry: Telemetry, stack: ExitStack) -> None:
    """The request is still under way when the loop says that it gave it up."""
    import contextvars

    first = stack.enter_context(stand("openai", Answer.hang(), timeout=1.0))
    second = stack.enter_context(stand("anthropic", Answer.ok()))
    with futures.ThreadPoolExecutor(1) as pool, failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with run.attempt(first.candidate) as attempt:
            under_way = pool.submit(contextvars.copy_context().run, first.ask)
            try:
                under_way.result(timeout=SECONDS)
            except futures.TimeoutError:
                attempt.fail("timeout")
        with run.attempt(second.candidate):
            second.ask()
    gave_up(telemetry.candidates[0])


# --- what is none -----------------------------------------------------------------------------------------------------


def cancelled_soon(main: Callable[[], Any]) -> None:
    async def all_of_it() -> None:
        task = asyncio.ensure_future(main())
        await asyncio.sleep(SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(all_of_it())


def test_a_user_who_hangs_up_is_no_deadline(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.hang(), timeout=30.0))

    async def main() -> None:
        with failover_run("chat", chain=[first.candidate, "anthropic/m"]) as run, run.attempt(first.candidate):
            await first.aask()

    cancelled_soon(main)
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span.status, span["failover.killed_by"]) == ("cancelled", "UNSET", "user")
    assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("cancelled", "UNSET")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task counts its cancellations since Python 3.11")
@pytest.mark.parametrize("how", ["swallowed", "told", "turned into an error"])
def test_nor_is_one_whose_cancellation_the_host_catches(telemetry: Telemetry, stack: ExitStack, how: str) -> None:
    first = stack.enter_context(stand("openai", Answer.hang(), timeout=30.0))

    async def main() -> None:
        with (
            failover_run("chat", chain=[first.candidate, "anthropic/m"]) as run,
            run.attempt(first.candidate) as attempt,
        ):
            try:
                await first.aask()
            except asyncio.CancelledError:
                if how == "told":
                    attempt.fail("cancelled")
                if how == "turned into an error":
                    raise LoopError("client is gone") from None

    cancelled_soon(main)
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span.status) == ("cancelled", "UNSET")
    assert (span["failover.reason.code"], span["failover.killed_by"]) == ("cancelled", None)


def test_nor_is_a_call_that_the_loop_says_it_cancelled(telemetry: Telemetry, stack: ExitStack) -> None:
    """A stop button: the call's task is cancelled, not the loop's."""
    first = stack.enter_context(stand("openai", Answer.hang(), timeout=30.0))

    async def main() -> None:
        with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate) as attempt:
            call = asyncio.ensure_future(first.aask())
            await asyncio.sleep(SECONDS)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            attempt.fail("aborted")

    asyncio.run(main())
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span["failover.reason.code"]) == ("cancelled", "cancelled")


@pytest.mark.parametrize("caught", [True, False], ids=["caught", "left by it"])
def test_a_loser_of_a_race_stays_cancelled(telemetry: Telemetry, stack: ExitStack, caught: bool) -> None:
    slow = stack.enter_context(stand("openai", Answer.hang(), timeout=30.0))
    fast = stack.enter_context(stand("anthropic", Answer.ok()))

    async def main() -> None:
        with failover_run("chat", chain=[slow.candidate, fast.candidate]) as run:

            async def one(each: Stand) -> Any:
                with run.attempt(each.candidate):
                    try:
                        return await each.aask()
                    except asyncio.CancelledError:
                        if not caught:
                            raise
                        return None

            tasks = [asyncio.ensure_future(one(each)) for each in (slow, fast)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            tasks[0].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    spans = {span["candidate.provider"]: span for span in telemetry.candidates}
    if not caught or sys.version_info >= (3, 11):
        assert (spans["openai"]["candidate.outcome"], spans["openai"].status) == ("cancelled", "UNSET")
    assert telemetry.run["failover.outcome"] == "fallback"


@pytest.mark.parametrize("kind", ["a call", "a stream"])
def test_nor_is_a_user_at_a_terminal_who_stops_it(telemetry: Telemetry, stack: ExitStack, kind: str) -> None:
    """Ctrl-C, which the loop catches inside the attempt, to ask what is next."""
    then: Any = {} if kind == "a call" else {"stream": True}
    silent = Answer.stream((), then="hang") if then else Answer.hang()
    first = stack.enter_context(stand("openai", replace(silent, hang_seconds=2.0), timeout=30.0))

    def press() -> None:
        while not first.server.log:
            time.sleep(0.005)
        time.sleep(SECONDS)
        _thread.interrupt_main()

    # A suite that was started in the background has been told to ignore it.
    stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))
    presses = threading.Thread(target=press)
    presses.start()
    with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate):
        try:
            for _ in first.ask(**then):
                pass
        except KeyboardInterrupt:
            presses.join()
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span.status) == ("cancelled", "UNSET")
    assert telemetry.run["failover.outcome"] == "cancelled"


def test_in_trio_too(telemetry: Telemetry, stack: ExitStack) -> None:
    trio = pytest.importorskip("trio")
    first = stack.enter_context(stand("openai", Answer.hang(), timeout=30.0))
    second = stack.enter_context(stand("openai", Answer.hang(), timeout=30.0, model="gpt-5.5-mini"))

    async def main() -> None:
        with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
            with run.attempt(first.candidate), trio.move_on_after(SECONDS):
                await first.aask()
            with trio.move_on_after(SECONDS), run.attempt(second.candidate):
                await second.aask()

    trio.run(main)
    first_left, last_left = telemetry.candidates
    gave_up(first_left)
    if sys.version_info >= (3, 11):
        gave_up(last_left)
    else:  # nothing tells there that the loop took its cancellation back
        assert last_left["candidate.outcome"] == "cancelled"


def test_a_run_that_trio_cancels_as_a_whole_is_cancelled(telemetry: Telemetry, stack: ExitStack) -> None:
    trio = pytest.importorskip("trio")
    first = stack.enter_context(stand("openai", Answer.hang(), timeout=30.0))

    async def main() -> None:
        with (
            trio.move_on_after(SECONDS),
            failover_run("chat", chain=[first.candidate]) as run,
            run.attempt(first.candidate),
        ):
            await first.aask()

    trio.run(main)
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span.status) == ("cancelled", "UNSET")
    assert telemetry.run["failover.outcome"] == "cancelled"


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("within", DEADLINES)
@pytest.mark.parametrize("chunks", [(), ("Hel", "lo")], ids=["before output", "after output"])
def test_a_deadline_inside_a_stream(
    telemetry: Telemetry, stack: ExitStack, within: Callable[[Any], Awaitable[Any]], chunks: tuple[str, ...]
) -> None:
    first = stack.enter_context(stand("openai", Answer.stream(chunks, then="hang"), timeout=30.0))
    second = stack.enter_context(stand("anthropic", Answer.ok()))

    async def read() -> Any:
        return [chunk async for chunk in await first.aask(stream=True)]

    async def main() -> None:
        with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
            with run.attempt(first.candidate) as attempt:
                await asked(attempt, read(), within, "untold")
            with run.attempt(second.candidate):
                await second.aask()

    asyncio.run(main())
    span = telemetry.candidates[0]
    assert span["candidate.outcome"] == ("partial" if chunks else "error")
    assert (span["failover.reason.code"], span["failover.killed_by"]) == ("timeout", "caller_timeout")


@pytest.mark.parametrize("outlives", [True, False], ids=["after the attempt was left", "inside it"])
@pytest.mark.parametrize("bare", [True, False], ids=["bare", "declared"])
def test_a_user_who_hangs_up_on_a_stream_is_no_deadline(
    telemetry: Telemetry, stack: ExitStack, outlives: bool, bare: bool
) -> None:
    first = stack.enter_context(stand("openai", Answer.stream(("Hel", "lo"), then="hang"), timeout=30.0))

    async def main() -> None:
        with failover_run("chat", chain=[first.candidate]) as run:
            with ExitStack() as inside:
                if not bare:
                    inside.enter_context(run.attempt(first.candidate))
                stream = await first.aask(stream=True)
                if outlives:
                    inside.close()
                async for _ in stream:
                    pass

    cancelled_soon(main)
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span.status, span["failover.killed_by"]) == ("cancelled", "UNSET", "user")
    assert telemetry.run["failover.outcome"] == "cancelled"


def test_a_call_that_succeeds_after_a_stream_was_given_up_is_a_success(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.stream((), then="hang"), Answer.ok(), timeout=30.0))

    async def read() -> Any:
        return [chunk async for chunk in await first.aask(stream=True)]

    async def main() -> None:
        with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate) as attempt:
            await asked(attempt, read(), by_wait_for, "untold")
            await first.aask()

    asyncio.run(main())
    assert telemetry.candidates[0]["candidate.outcome"] == "success"
    assert telemetry.run["failover.outcome"] == "primary"
