"""Streams of litellm's: an attempt lasts until the stream that it gave has ended, failed or been left.

The host gets litellm's own object, whose steps are made inside the attempt: a `CustomStreamWrapper`, or what reads the
events of another endpoint; in older releases that may be a plain generator, which is driven. A router wraps it once
more, in a generator that goes on to the next candidate where the stream fails; that is driven inside the run.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.spans import deferred
from otel_failover.integrations.loops.litellm import stream_events
from otel_failover.integrations.loops.litellm.run import NAME, RUN, LitellmRun
from otel_failover.integrations.loops.shared.held_open import HeldOpen, OpenPastCall, OpenUntilLeft, is_steps
from otel_failover.integrations.loops.shared.methods import wrap_where_defined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.context import Context

    from otel_failover._core.runs.attempt import Attempt
    from otel_failover._core.runs.run import Run

_GENERATORS: Final = ("_async_generator", "_sync_generator")


class OpenDuringChunks(HeldOpen):
    """An attempt that is held open by litellm's stream of chunks.

    Args:
        run: The run.
        attempt: Its attempt, open without being current.
        is_chat: Each chunk is output. The events of other endpoints begin with some that are none, which a router holds
            back: there the wire tells whether output had begun.
    """

    def __init__(self, run: LitellmRun, attempt: Attempt, *, is_chat: bool) -> None:
        self._library_run, self._attempt, self._is_chat = run, attempt, is_chat
        self._over = self._began = self._watched = False
        self.working = False

    @property
    def run(self) -> Run:
        """Its run: `summarize()` finds it here."""
        return self._library_run.run

    @property
    def context(self) -> Context | None:
        """The context in which its steps are made; None once it has ended."""
        inside = None if self._over else self._attempt.context
        return None if inside is None else scope.with_values({RUN: self._library_run}, base=inside)

    @guarded(fallback=None)
    def output(self, stream: object) -> None:  # noqa: ARG002 - as `watch` has it
        """Called for each chunk that was handed on."""
        self.stream_output()

    def stream_output(self) -> None:
        """Called for each chunk that was handed on."""
        if self._is_chat:
            self._began = True
            self._attempt.stream_output()

    def leave(self, problem: BaseException | None) -> None:
        """End the attempt."""
        self.ended(problem)

    def watch(self, result: Any) -> None:
        """See the events of the stream, once its request has been sent.

        Args:
            result: litellm's stream.
        """
        self._watched = self._watched or stream_events.watch(result, self._attempt.ledger)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Make one step, inside the attempt: an error that comes out of it is the candidate's."""
        self.working = True
        try:
            with scope.attached(self.context):
                yield
        except BaseException as problem:
            self.ended(problem)
            raise
        finally:
            self.working = False

    @guarded(fallback=None)
    def ended(self, problem: BaseException | None = None) -> None:
        """End the attempt, once.

        Args:
            problem: What came out of the stream; its end is no error.
        """
        if self._over:
            return
        self._over = True
        if isinstance(problem, (StopIteration, StopAsyncIteration)):
            problem = None
        if isinstance(problem, Exception):
            self._library_run.stream_failed(began=self._began or self._attempt.ledger.stream.begun)
        stream_events.ended(self._attempt.ledger, problem, watched=self._watched)
        self._let_go()
        self._attempt.leave(problem)

    def _let_go(self) -> None:
        """End the calls by wire whose bodies the stream was made of: litellm's log may hold them long after it."""
        for exchange in self._attempt.ledger.own:
            call = exchange.call
            if call is not None and call.wire is exchange:
                call.response_closed()


_streams: Final[weakref.WeakKeyDictionary[Any, OpenDuringChunks]] = weakref.WeakKeyDictionary()


def _is_patched(kind: type) -> bool:
    """Whether a stream is of the kind whose steps are made inside its attempt from the start."""
    return any(each.__name__ == "CustomStreamWrapper" for each in kind.__mro__)


class OpenPastStream(OpenPastCall):
    """An attempt around one call, kept open by the stream that it gives.

    Args:
        run: The run.
        attempt: Its attempt.
    """

    def __init__(self, run: LitellmRun, attempt: Attempt) -> None:
        super().__init__(attempt, partial(_hold, run, attempt))
        self._library_run, self._attempt = run, attempt

    def returned(self, result: Any) -> Any:
        """Keep the attempt open; a plain generator can only be driven by another."""
        if not is_steps(result):
            return super().returned(result)
        self._kept = True
        return OpenUntilLeft(OpenDuringChunks(self._library_run, self._attempt, is_chat=False)).steps(result)


@guarded(fallback=False)
def _hold(run: LitellmRun, attempt: Attempt, result: Any) -> bool:
    """Keep an attempt open until the stream that it gave is over; return whether it is held."""
    kind = type(result)
    is_chat = _is_patched(kind)
    if not is_chat and not [name for name, step in _STEPS.items() if wrap_where_defined(NAME, kind, name, step)]:
        return False
    stream = _streams[result] = OpenDuringChunks(run, attempt, is_chat=is_chat)
    stream.watch(result)
    # A stream that nobody reads to its end or closes is over when it is collected; that may be under any lock.
    weakref.finalize(result, deferred.end_when_safe, stream.ended).atexit = False
    wrap_where_defined(NAME, kind, "aclose", close)
    return True


@guarded(fallback=False)
def drive(run: LitellmRun, result: Any) -> bool:
    """Keep a run open while the generator of a router's stream may still ask the next candidate.

    Args:
        run: The run.
        result: What the router is about to return.

    Returns:
        Whether it is kept open.
    """
    for name in _GENERATORS:
        inner = read(result, name)
        if is_steps(inner):
            driven = OpenUntilLeft(run).steps(inner)
            if read(result, "completion_stream") is inner:
                result.completion_stream = driven
            setattr(result, name, driven)
            return True
    return False


# --- wrappers ---------------------------------------------------------------------------------------------------------


def _stepped(then: Callable[[OpenDuringChunks, Any], None]) -> Any:
    """Return a wrapper for a method that makes one step of a stream, inside its attempt.

    Args:
        then: Called after the step, with what is open and the stream.
    """

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        opened = _streams.get(instance)
        if opened is None:
            return wrapped(*args, **kwargs)
        with opened.step():
            result = wrapped(*args, **kwargs)
        then(opened, instance)
        return result

    return wrapper


def _astepped(then: Callable[[OpenDuringChunks, Any], None]) -> Any:
    """Return a wrapper for an asynchronous method that makes one step of a stream, inside its attempt.

    Args:
        then: Called after the step, with what is open and the stream.
    """

    async def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        opened = _streams.get(instance)
        if opened is None:
            return await wrapped(*args, **kwargs)
        with opened.step():
            result = await wrapped(*args, **kwargs)
        then(opened, instance)
        return result

    return wrapper


next_chunk: Final = _stepped(OpenDuringChunks.output)
"""Wraps `__next__`: a chunk is made inside the attempt, and an error that comes out is the candidate's."""
anext_chunk: Final = _astepped(OpenDuringChunks.output)
"""Wraps `__anext__` likewise."""
_STEPS: Final = {"__anext__": anext_chunk, "__next__": next_chunk}

fetch: Final = _stepped(OpenDuringChunks.watch)
"""Wraps `fetch_sync_stream`, which sends the request of providers that are asked without an SDK."""
afetch: Final = _astepped(OpenDuringChunks.watch)
"""Wraps `fetch_stream` likewise."""


async def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `aclose`: a stream that is closed is over; one that closes itself while it works ends on its own."""
    try:
        return await wrapped(*args, **kwargs)
    finally:
        stream = _streams.get(instance)
        if stream is not None and not stream.working:
            stream.ended()
