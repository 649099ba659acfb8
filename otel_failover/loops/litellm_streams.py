"""Streams of litellm's: an attempt lasts until the `CustomStreamWrapper` that it gave has ended, failed or been left.

The host gets litellm's own object, whose steps are made inside the attempt. A router wraps it once more, in a generator
that goes on to the next candidate where the stream fails; that generator is driven inside the pass.
"""

from __future__ import annotations

import inspect
import sys
import weakref
from typing import TYPE_CHECKING, Any, Final

from otel_failover import dropping, patching, scope
from otel_failover.bodies import error_in
from otel_failover.decorating import aiterate, iterate
from otel_failover.failsafe import guarded, read
from otel_failover.loops.holding import Held
from otel_failover.loops.litellm_pass import NAME, PASS, Pass

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_failover.attempt import Attempt

_GENERATORS: Final = ("_async_generator", "_sync_generator")


class Stream:
    """An attempt that is held open by its stream.

    Args:
        opened: The pass.
        attempt: Its attempt, open aside.
    """

    def __init__(self, opened: Pass, attempt: Attempt) -> None:
        self._pass, self._attempt = opened, attempt
        self._over = self._began = False
        self.working = False

    @property
    def context(self) -> Context | None:
        """The context in which its steps are made; None once it has ended."""
        inside = None if self._over else self._attempt.context
        return None if inside is None else scope.with_values({PASS: self._pass}, base=inside)

    @guarded(fallback=None)
    def output(self) -> None:
        """Take note that a chunk was handed on."""
        self._began = True
        self._attempt.stream_output()

    @guarded(fallback=None)
    def ended(self, problem: BaseException | None = None, around: BaseException | None = None) -> None:
        """Take note of the end, once.

        Args:
            problem: What came out of the stream; its end is no error.
            around: What was being handled when the step began: nothing from there on is the stream's.
        """
        if self._over:
            return
        self._over = True
        if isinstance(problem, (StopIteration, StopAsyncIteration)):
            problem = None
        if isinstance(problem, Exception):
            self._pass.failed(began=self._began)
            if not self._attempt._ledger.calls:
                _failed(self._attempt, problem, around)
        self._attempt.leave(problem)


def _failed(attempt: Attempt, problem: Exception, around: BaseException | None) -> None:
    """Take a failed stream into the evidence, where no SDK reads it: litellm's reader of events states what it read."""
    ledger, found = attempt._ledger, problem
    ledger.call_raised(problem)
    for _ in range(_LINKS):
        inner = read(found, "__cause__") or read(found, "__context__")
        if not isinstance(inner, Exception) or inner is around:
            return
        found = inner
        if type(found).__module__.startswith("litellm.llms."):
            ledger.stream_error = error_in({"message": read(found, "message")})
            return
        if not type(found).__module__.startswith("litellm."):
            ledger.call_raised(found)
            return


_LINKS: Final = 8
_streams: Final[weakref.WeakKeyDictionary[Any, Stream]] = weakref.WeakKeyDictionary()


def is_stream(result: object) -> bool:
    """Whether a call has given a stream of litellm's."""
    return any(each.__name__ == "CustomStreamWrapper" for each in type(result).__mro__)


@guarded(fallback=False)
def hold(opened: Pass, attempt: Attempt, result: Any) -> bool:
    """Keep an attempt open until its stream is over.

    Args:
        opened: The pass.
        attempt: Its attempt, open aside.
        result: What the candidate gave.

    Returns:
        Whether it is held.
    """
    if not is_stream(result):
        return False
    stream = _streams[result] = Stream(opened, attempt)
    weakref.finalize(result, dropping.dropped, stream.ended).atexit = False
    owner = next((each for each in type(result).__mro__ if "aclose" in vars(each)), None)
    if owner is not None:
        patching.also(NAME, owner, "aclose", close)
    return True


@guarded(fallback=False)
def drive(opened: Pass, result: Any) -> bool:
    """Keep a pass open while the generator of a router's stream may still ask the next candidate.

    Args:
        opened: The pass.
        result: What the router is about to return.

    Returns:
        Whether it is kept open.
    """
    for name in _GENERATORS:
        inner = read(result, name)
        if inspect.isasyncgen(inner) or inspect.isgenerator(inner):
            driven = _driven(Held(opened), inner)
            if read(result, "completion_stream") is inner:
                result.completion_stream = driven
            setattr(result, name, driven)
            return True
    return False


def _driven(held: Held, inner: Any) -> Any:
    undriven = held.until_dropped()

    def fresh(undriven: object = undriven) -> Held:  # noqa: ARG001 - held in the generator's frame
        return held

    return aiterate(fresh, inner) if inspect.isasyncgen(inner) else iterate(fresh, inner)


# --- wrappers ---------------------------------------------------------------------------------------------------------


async def anext_chunk(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `__anext__`: a chunk is made inside the attempt, and an error that comes out is the candidate's."""
    stream = _streams.get(instance)
    if stream is None:
        return await wrapped(*args, **kwargs)
    around, stream.working = sys.exc_info()[1], True
    try:
        with scope.attached(stream.context):
            chunk = await wrapped(*args, **kwargs)
    except BaseException as problem:
        stream.ended(problem, around)
        raise
    finally:
        stream.working = False
    stream.output()
    return chunk


def next_chunk(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `__next__` likewise."""
    stream = _streams.get(instance)
    if stream is None:
        return wrapped(*args, **kwargs)
    around, stream.working = sys.exc_info()[1], True
    try:
        with scope.attached(stream.context):
            chunk = wrapped(*args, **kwargs)
    except BaseException as problem:
        stream.ended(problem, around)
        raise
    finally:
        stream.working = False
    stream.output()
    return chunk


async def afetch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `fetch_stream`, which sends the request of providers that are asked without an SDK."""
    stream = _streams.get(instance)
    if stream is None:
        return await wrapped(*args, **kwargs)
    around, stream.working = sys.exc_info()[1], True
    try:
        with scope.attached(stream.context):
            return await wrapped(*args, **kwargs)
    except BaseException as problem:
        stream.ended(problem, around)
        raise
    finally:
        stream.working = False


def fetch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `fetch_sync_stream` likewise."""
    stream = _streams.get(instance)
    if stream is None:
        return wrapped(*args, **kwargs)
    around, stream.working = sys.exc_info()[1], True
    try:
        with scope.attached(stream.context):
            return wrapped(*args, **kwargs)
    except BaseException as problem:
        stream.ended(problem, around)
        raise
    finally:
        stream.working = False


async def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `aclose`: a stream that is closed is over; one that closes itself while it works ends on its own."""
    try:
        return await wrapped(*args, **kwargs)
    finally:
        stream = _streams.get(instance)
        if stream is not None and not stream.working:
            stream.ended()
