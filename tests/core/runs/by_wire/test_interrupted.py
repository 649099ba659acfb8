"""Whoever reads a stream under a deadline of its own, a piece at a time, may read on: then it was served.

What aiohttp's stream has not lost, a later reading gets; httpx's is over with the first that is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.core.runs.by_wire.ways import asked
from tests.support.same import same_everywhere

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.spans import Exported, Telemetry

aiohttp = pytest.importorskip("aiohttp")

SOON: Final = 0.01
DRIPPING: Final = Answer.stream(4, drip=0.04)
READINGS: Final[dict[str, Callable[[Any], Awaitable[bytes]]]] = {
    "readany": lambda content: content.readany(),
    "read": lambda content: content.read(64),
    "readline": lambda content: content.readline(),
    "readchunk": lambda content: _first(content.readchunk()),
    "iter_any": lambda content: _next(content.iter_any()),
}
PLACES: Final = ("outside", "bare", "attempt")


async def _first(reading: Awaitable[tuple[bytes, bool]]) -> bytes:
    return (await reading)[0]


async def _next(pieces: Any) -> bytes:
    try:
        piece: bytes = await pieces.__anext__()
    except StopAsyncIteration:
        return b""
    return piece


async def patiently(content: Any, reading: Callable[[Any], Awaitable[bytes]] = READINGS["readany"]) -> tuple[int, int]:
    """Read to the end, each time for a moment only; return how often nothing came, and how much did."""
    waits = size = 0
    while True:
        try:
            piece = await asyncio.wait_for(reading(content), SOON)
        except asyncio.TimeoutError:
            waits += 1
            continue
        if not piece:
            return waits, size
        size += len(piece)


@contextlib.contextmanager
def inside(place: str, at: LocalProvider) -> Any:
    candidate = Candidate("openai", "m", at.endpoint)
    with contextlib.ExitStack() as stack:
        if place != "outside":
            run = stack.enter_context(failover_run("chat", chain=[candidate, Candidate("groq", "m", "http://b.test")]))
            if place == "attempt":
                stack.enter_context(run.attempt(candidate))
        yield


def told(telemetry: Telemetry) -> Exported:
    """Return the span that says what came of the first who was asked."""
    spans = telemetry.candidates or [each for each in telemetry.spans if each["gen_ai.operation.name"]]
    return spans[0]


def said(span: Exported) -> tuple[str | None, str | None, str | None]:
    return span["candidate.outcome"], span["failover.reason.code"], span["failover.killed_by"]


# --- it reads on ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_a_deadline_for_each_piece_is_no_failure(telemetry: Telemetry, place: str, reading: Any) -> None:
    async def main(at: LocalProvider) -> tuple[int, int]:
        url, body = asked(at, "chat", stream=True)
        async with aiohttp.ClientSession() as session:
            with inside(place, at):
                async with session.post(url, json=body) as response:
                    return await patiently(response.content, reading)

    with LocalProvider("openai", DRIPPING) as at:
        waits, size = asyncio.run(main(at))
    assert waits > 1
    assert size > 1000
    span = told(telemetry)
    assert said(span) == ("success", None, None)
    assert (span["failover.evidence"], span.verdict) == ("complete", ("verified", None))
    assert span.end - span.start > 0.1e9
    if place != "outside":
        assert telemetry.run["failover.outcome"] == "primary"


@pytest.mark.parametrize("declared", [False, True], ids=["bare", "attempt"])
def test_a_stream_that_is_tried_in_the_run_and_read_behind_it_has_served(telemetry: Telemetry, declared: bool) -> None:
    async def main(at: LocalProvider) -> None:
        url, body = asked(at, "chat", stream=True)
        async with aiohttp.ClientSession() as session:
            with inside("attempt" if declared else "bare", at):
                response = await session.post(url, json=body)
                await response.content.readany()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(response.content.readany(), SOON)
            await patiently(response.content)

    with LocalProvider("openai", DRIPPING) as at:
        asyncio.run(main(at))
    assert said(told(telemetry)) == ("success", None, None)
    assert telemetry.run["failover.outcome"] == "primary"


def test_who_reads_on_is_not_left_by_another_task_that_asks_meanwhile(telemetry: Telemetry) -> None:
    async def read(session: Any, at: LocalProvider, waits: asyncio.Event) -> None:
        url, body = asked(at, "chat", stream=True)
        async with session.post(url, json=body) as response:
            await response.content.readany()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(response.content.readany(), SOON)
            waits.set()
            await asyncio.sleep(0.05)
            await patiently(response.content)

    async def main(one: LocalProvider, other: LocalProvider) -> None:
        chain = [Candidate("openai", "m", one.endpoint), Candidate("groq", "m", other.endpoint)]
        waits = asyncio.Event()
        async with aiohttp.ClientSession() as session:
            with failover_run("chat", chain=chain):
                first = asyncio.create_task(read(session, one, waits))
                await waits.wait()
                url, body = asked(other, "chat", stream=False)
                async with session.post(url, json=body) as response:
                    await response.read()
                await first

    with LocalProvider("openai", DRIPPING) as one, LocalProvider("openai", Answer.ok()) as other:
        asyncio.run(main(one, other))
    by_provider = {each["candidate.provider"]: each["candidate.outcome"] for each in telemetry.candidates}
    assert by_provider == {"openai": "success", "groq": "success"}


def test_a_second_reader_that_may_not_wait_is_no_end(telemetry: Telemetry) -> None:
    async def main(at: LocalProvider) -> None:
        url, body = asked(at, "chat", stream=True)
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
            await response.content.readany()
            first = asyncio.create_task(response.content.readany())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another coroutine"):
                await response.content.readany()
            await first
            await response.content.read()

    with LocalProvider("openai", DRIPPING) as at:
        asyncio.run(main(at))
    assert said(told(telemetry)) == ("success", None, None)


# --- it does not ------------------------------------------------------------------------------------------------------

HOW: Final = ("closed", "kept", "kept quietly", "dropped", "cancelled")


async def leave(session: Any, at: LocalProvider, how: str, kept: list[Any]) -> None:
    """Ask, take what comes, wait a moment for more; and leave it at that."""
    url, body = asked(at, "chat", stream=True)
    response = await session.post(url, json=body)
    if how.startswith("kept"):
        kept.append(response)
    async with response if how in ("closed", "cancelled") else contextlib.nullcontext():
        await response.content.readany()
        with contextlib.suppress(*[asyncio.TimeoutError] if how == "kept quietly" else []):
            while await asyncio.wait_for(response.content.readany(), SOON):
                pass


@pytest.mark.parametrize("declared", [False, True], ids=["bare", "attempt"])
@pytest.mark.parametrize("how", HOW)
def test_a_loop_that_goes_on_without_it_had_a_deadline(telemetry: Telemetry, how: str, declared: bool) -> None:
    kept: list[Any] = []

    async def main(one: LocalProvider, other: LocalProvider) -> None:
        chain = [Candidate("openai", "m", one.endpoint), Candidate("groq", "m", other.endpoint)]
        async with aiohttp.ClientSession() as session:
            with failover_run("chat", chain=chain) as run:
                with (
                    contextlib.suppress(asyncio.TimeoutError),
                    run.attempt(chain[0]) if declared else contextlib.nullcontext(),
                ):
                    if how == "cancelled":
                        await asyncio.wait_for(leave(session, one, how, kept), SOON * 20)
                    await leave(session, one, how, kept)
                url, body = asked(other, "chat", stream=True)
                with run.attempt(chain[1]) if declared else contextlib.nullcontext():
                    async with session.post(url, json=body) as response:
                        await response.read()

    silent = Answer.stream(2, then="hang", hang_seconds=0.4)
    with LocalProvider("openai", silent) as one, LocalProvider("openai", Answer.stream(3)) as other:
        asyncio.run(main(one, other))
    first, second = telemetry.candidates
    assert said(first) == ("partial", "timeout", "caller_timeout")
    assert second["candidate.outcome"] == "success"
    assert first.end <= second.start
    assert telemetry.run["failover.outcome"] == "fallback"
    kept.clear()


@pytest.mark.parametrize("how", HOW)
def test_outside_any_run_it_was_cancelled(telemetry: Telemetry, how: str) -> None:
    kept: list[Any] = []

    async def main(at: LocalProvider) -> None:
        async with aiohttp.ClientSession() as session:
            with contextlib.suppress(asyncio.TimeoutError):
                await leave(session, at, how, kept)

    with LocalProvider("openai", Answer.stream(2, then="hang", hang_seconds=0.4)) as at:
        asyncio.run(main(at))
        kept.clear()
        gc.collect()
    (span,) = telemetry.spans
    assert (span["candidate.outcome"], span.end - span.start < 0.5e9) == ("cancelled", True)


@pytest.mark.parametrize("declared", [False, True], ids=["bare", "attempt"])
def test_a_user_who_hangs_up_has_cancelled_the_run(telemetry: Telemetry, declared: bool) -> None:
    async def main(at: LocalProvider) -> None:
        async with aiohttp.ClientSession() as session:

            async def serve() -> None:
                with inside("attempt" if declared else "bare", at):
                    url, body = asked(at, "chat", stream=True)
                    response = await session.post(url, json=body)
                    await patiently(response.content)

            serving = asyncio.create_task(serve())
            await asyncio.sleep(SOON * 8)
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving

    with LocalProvider("openai", Answer.stream(2, then="hang", hang_seconds=0.4)) as at:
        asyncio.run(main(at))
    assert said(told(telemetry)) == ("cancelled", "cancelled", "user")
    assert telemetry.run["failover.outcome"] == "cancelled"


def test_what_breaks_off_after_it_was_read_on_has_broken_off(telemetry: Telemetry) -> None:
    async def main(at: LocalProvider) -> None:
        url, body = asked(at, "chat", stream=True)
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
            await patiently(response.content)

    with LocalProvider("openai", Answer.stream(4, drip=0.04, then="cut")) as at:
        with pytest.raises(aiohttp.ClientError):
            asyncio.run(main(at))
    assert said(told(telemetry)) == ("partial", "partial_stream", None)


def test_httpx_has_nothing_more_behind_a_deadline(telemetry: Telemetry) -> None:
    """Its stream ends where its reader was cancelled: what the host takes for the end is none."""

    async def main(at: LocalProvider) -> list[bytes]:
        url, body = asked(at, "chat", stream=True)
        async with httpx.AsyncClient() as client, client.stream("POST", url, json=body) as response:
            pieces = response.aiter_raw()
            await pieces.__anext__()
            with pytest.raises(asyncio.TimeoutError):
                while True:
                    await asyncio.wait_for(pieces.__anext__(), SOON)
            return [each async for each in pieces]

    with LocalProvider("openai", DRIPPING) as at:
        assert asyncio.run(main(at)) == []
    assert said(told(telemetry)) == ("cancelled", "cancelled", None)


# --- the host cannot tell ---------------------------------------------------------------------------------------------


def test_the_host_reads_what_it_reads_without_us(switch_on: Callable[[], Any]) -> None:
    async def main(at: LocalProvider) -> int:
        url, body = asked(at, "chat", stream=True)
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
            return (await patiently(response.content))[1]

    same_everywhere(switch_on, lambda at: asyncio.run(main(at)), "openai", DRIPPING)
