"""A run that is over is freed at once, whatever became of it: nothing of it waits for the cycle collector."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from packaging.version import Version

from otel_failover import failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.garbage import rings
from tests.support.hosts import LoopError, Stand, by_name, stand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.support.spans import Telemetry

REFUSED = Answer.openai_quota()
HANGS = Answer.hang()
STREAMS = Answer.stream(["Hel", "lo"])
BREAKS = Answer.stream(["Hel", "lo"], then="cut")
QUESTION: Any = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def attempted(each: Stand, **options: Any) -> Any:
    """Ask in an attempt; return what is answered, None where that fails."""
    with failover_run("chat", chain=[each.candidate]) as run, suppress(openai.OpenAIError):
        with run.attempt(each.candidate):
            return each.ask(**options)
    return None


def read(stream: Any) -> None:
    with suppress(Exception):
        for _ in stream:
            pass


def a_bare_call(each: Stand) -> None:
    with failover_run("chat", chain=[each.candidate]), suppress(openai.OpenAIError):
        each.ask()


def a_call_outside(each: Stand) -> None:
    with suppress(openai.OpenAIError):
        each.ask()


def an_error_that_leaves(each: Stand) -> None:
    with suppress(openai.OpenAIError), failover_run("chat", chain=[each.candidate]) as run:
        with run.attempt(each.candidate):
            each.ask()


def a_lie(each: Stand) -> None:
    """The second candidate is told to have the first one's error."""
    said = ""
    with failover_run("chat", chain=[each.candidate, "anthropic/claude-opus-4-7"]) as run:
        for candidate in (each.candidate, "anthropic/claude-opus-4-7"):
            with suppress(openai.OpenAIError, LoopError), run.attempt(candidate):
                if said:
                    raise LoopError(said)
                try:
                    each.ask()
                except openai.OpenAIError as problem:
                    said = str(problem)
                    raise


def a_mark(each: Stand) -> None:
    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate) as attempt:
        each.ask()
        attempt.reject("too short")


def a_run_inside(each: Stand) -> None:
    with failover_run("outer", chain=[each.candidate]) as run, run.attempt(each.candidate):
        attempted(each)


def nobody_is_asked(each: Stand) -> None:
    with failover_run("chat", chain=[each.candidate]) as run:
        run.skip(each.candidate, "cooldown")


def a_stream_that_is_read(each: Stand) -> None:
    read(attempted(each, stream=True))


def a_stream_that_is_dropped(each: Stand) -> None:
    next(iter(attempted(each, stream=True)))


def a_stream_that_is_closed(each: Stand) -> None:
    attempted(each, stream=True).close()


def chunks_of_the_loops_own(each: Stand) -> None:
    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate) as attempt:
        chunks = attempt.stream(iter("abc"))
    read(chunks)


def a_generator(each: Stand) -> None:
    @failover_run("chat", chain=[each.candidate])
    def answer() -> Iterator[Any]:
        yield each.ask()
        yield None

    next(answer())


def an_asynchronous_generator(each: Stand) -> None:
    @failover_run("chat", chain=[each.candidate])
    async def answer() -> AsyncIterator[Any]:
        yield each.ask()
        yield None

    async def main() -> None:
        async for _ in answer():
            pass

    asyncio.run(main())


def a_user_who_hangs_up(each: Stand) -> None:
    async def serve() -> None:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.ensure_future(serve())
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())


def a_call_by_wire(each: Stand) -> None:
    with httpx.Client() as client, failover_run("chat"):
        client.post(f"{each.server.base_url}/chat/completions", json=QUESTION)


def a_stream_by_wire(each: Stand) -> None:
    asked = {**QUESTION, "stream": True}
    with httpx.Client() as client, failover_run("chat"):
        with client.stream("POST", f"{each.server.base_url}/chat/completions", json=asked) as answer:
            read(answer.iter_bytes())


def a_run_that_is_inferred(each: Stand) -> None:
    """Two providers are asked the same, one after the other."""
    with httpx.Client() as client:
        for url in (each.server.base_url, by_name(each.server.base_url)):
            client.post(f"{url}/chat/completions", json=QUESTION)


KINDS: dict[str, tuple[Callable[[Stand], object], Answer]] = {
    "answered": (attempted, Answer.ok()),
    "refused": (attempted, REFUSED),
    "silent": (attempted, HANGS),
    "reset": (attempted, Answer.reset()),
    "a bare call that is answered": (a_bare_call, Answer.ok()),
    "a bare call that is refused": (a_bare_call, REFUSED),
    "a call outside": (a_call_outside, Answer.ok()),
    "a call outside that is refused": (a_call_outside, REFUSED),
    "an error that leaves": (an_error_that_leaves, REFUSED),
    "a mismatch": (a_lie, REFUSED),
    "marked": (a_mark, Answer.ok()),
    "a run inside": (a_run_inside, REFUSED),
    "nobody asked": (nobody_is_asked, Answer.ok()),
    "a stream that is read": (a_stream_that_is_read, STREAMS),
    "a stream that breaks off": (a_stream_that_is_read, BREAKS),
    "a stream that is dropped": (a_stream_that_is_dropped, STREAMS),
    "a stream that is closed": (a_stream_that_is_closed, STREAMS),
    "chunks of the loop's own": (chunks_of_the_loops_own, Answer.ok()),
    "a generator": (a_generator, Answer.ok()),
    "an asynchronous generator": (an_asynchronous_generator, Answer.ok()),
    "cancelled": (a_user_who_hangs_up, Answer.ok()),
    "by wire": (a_call_by_wire, Answer.ok()),
    "by wire, refused": (a_call_by_wire, REFUSED),
    "a stream by wire": (a_stream_by_wire, STREAMS),
    "inferred": (a_run_that_is_inferred, REFUSED),
}
every_kind = pytest.mark.parametrize(("loop", "answer"), KINDS.values(), ids=KINDS)


@every_kind
def test_a_run_leaves_nothing_to_the_collector(
    telemetry: Telemetry, loop: Callable[[Stand], object], answer: Answer
) -> None:
    with stand("openai", answer, timeout=0.1 if answer is HANGS else 5.0) as each:
        assert rings(lambda: loop(each)) == []
    assert telemetry.spans != []


def test_what_holds_itself_is_found() -> None:
    """The test's own test: two objects of ours that hold one another, and one that holds itself by a closure."""

    def leave() -> None:
        one, other = failover_run("chat"), failover_run("chat")
        one.around, other.around = other, one  # type: ignore[assignment]
        third = failover_run("chat")
        third.around = lambda: third  # type: ignore[assignment]

    assert [each for each in rings(leave) if each == ["Run"]] == [["Run"]] * 3


@pytest.mark.parametrize("answer", [Answer.ok(), REFUSED, STREAMS], ids=["answered", "refused", "a stream"])
def test_a_run_that_is_over_is_gone(telemetry: Telemetry, answer: Answer) -> None:
    """Nor does anything else keep it, or what was asked and answered."""
    if answer is STREAMS and (Version(openai.__version__) < Version("3") or sys.version_info < (3, 11)):
        pytest.skip("a streamed response of httpx, and before Python 3.11 of httpx2 as well, holds itself")
    gone: list[Any] = []

    def serve(each: Stand) -> None:
        with failover_run("chat", chain=[each.candidate]) as run, suppress(openai.OpenAIError):
            with run.attempt(each.candidate) as attempt:
                gone.extend((weakref.ref(run), weakref.ref(attempt)))
                stream = each.ask(stream=answer is STREAMS)
        if answer is STREAMS:
            read(stream)

    with stand("openai", answer) as each:
        gc.collect()
        gc.disable()
        try:
            serve(each)
            assert [each() for each in gone] == [None, None]
        finally:
            gc.enable()
    assert telemetry.run["failover.attempt.count"] == 1


@pytest.mark.parametrize("collects", [False, True], ids=["no collection", "a collection"])
def test_single_flight_does_not_depend_on_when_garbage_is_collected(telemetry: Telemetry, collects: bool) -> None:
    """Whoever sent the request is long done when its error leaves the attempt that had waited for it."""

    async def both(shared: Stand, stack: ExitStack) -> None:
        begun, flight = asyncio.Event(), list[asyncio.Task[Any]]()
        done = asyncio.Event()

        async def sends() -> None:
            with failover_run("chat", chain=[shared.candidate]) as run, suppress(openai.RateLimitError):
                with run.attempt(shared.candidate):
                    flight.append(asyncio.ensure_future(shared.aask()))
                    begun.set()
                    await flight[0]

        async def waits() -> None:
            await begun.wait()
            with failover_run("chat", chain=[shared.candidate]) as run, suppress(openai.RateLimitError):
                with run.attempt(shared.candidate):
                    await done.wait()
                    await flight[0]

        waiting = asyncio.ensure_future(waits())
        await sends()
        if collects:
            gc.collect()
        done.set()
        await waiting
        await shared.aclose()

    with ExitStack() as stack, stand("openrouter", Answer.delayed(Answer.openai_rate_limit(), 0.05)) as shared:
        gc.collect()
        gc.disable()
        try:
            asyncio.run(both(shared, stack))
        finally:
            gc.enable()
    assert [span["failover.wire.statuses"] for span in telemetry.candidates] == [["429"], ["429"]]
    assert [span.verdict for span in telemetry.candidates] == [("verified", None)] * 2


def test_a_builtin_error_outside_any_run_is_let_go_of(telemetry: Telemetry) -> None:
    """Python's own exceptions can only be held strongly, with all frames of the request: not by what is remembered."""

    class Witness:
        """Stands in a frame; dies with it."""

    seen: list[Any] = []

    def broken(_: httpx.Request) -> httpx.Response:
        witness = Witness()
        seen.append(weakref.ref(witness))
        raise ConnectionResetError(104, "reset")

    with LocalProvider("openai") as provider:
        url = f"{provider.base_url}/chat/completions"
        with httpx.Client(transport=httpx.MockTransport(broken)) as client, suppress(OSError):
            client.post(url, json=QUESTION)
    gc.collect()
    assert len(telemetry.spans) == 1
    assert seen[0]() is None
