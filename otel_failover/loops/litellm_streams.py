"""Streams of litellm's: an attempt lasts until the `CustomStreamWrapper` that it gave has ended, failed or been left.

The host gets litellm's own object, whose steps are made inside the attempt. A router wraps it once more, in a generator
that goes on to the next candidate where the stream fails; that generator is driven inside the pass.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any, Final

from otel_failover import dropping, patching, scope
from otel_failover.bodies import error_in
from otel_failover.failsafe import guarded, read
from otel_failover.loops.holding import Held, is_steps
from otel_failover.loops.litellm_pass import NAME, PASS, Pass

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

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
            if not self._attempt.ledger.calls:
                _failed(self._attempt, problem, around)
        self._attempt.leave(problem)


def _failed(attempt: Attempt, problem: Exception, around: BaseException | None) -> None:
    """Take a failed stream into the evidence, where no SDK reads it: litellm's reader of events states what it read."""
    ledger, found = attempt.ledger, problem
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
        if is_steps(inner):
            driven = Held(opened).steps(inner)
            if read(result, "completion_stream") is inner:
                result.completion_stream = driven
            setattr(result, name, driven)
            return True
    return False


# --- wrappers ---------------------------------------------------------------------------------------------------------


class _Step:
    """One step of a stream, made inside its attempt: an error that comes out is the candidate's.

    Args:
        result: litellm's stream, one that we hold or any other.
    """

    __slots__ = ("_around", "_attachment", "_stream")

    def __init__(self, result: Any) -> None:
        self._stream = _streams.get(result)

    def __enter__(self) -> Self:
        stream = self._stream
        if stream is not None:
            self._around, stream.working = sys.exc_info()[1], True
            context = stream.context
            self._attachment = None if context is None else scope.Attachment(context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        stream = self._stream
        if stream is None:
            return
        if self._attachment is not None:
            self._attachment.detach()
        if problem is not None:
            stream.ended(problem, self._around)
        stream.working = False

    def output(self, chunk: Any) -> Any:
        """Take note that a chunk was made, and return it."""
        if self._stream is not None:
            self._stream.output()
        return chunk


async def anext_chunk(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `__anext__`, which makes a chunk."""
    with _Step(instance) as step:
        return step.output(await wrapped(*args, **kwargs))


def next_chunk(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `__next__` likewise."""
    with _Step(instance) as step:
        return step.output(wrapped(*args, **kwargs))


async def afetch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `fetch_stream`, which sends the request of providers that are asked without an SDK."""
    with _Step(instance):
        return await wrapped(*args, **kwargs)


def fetch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `fetch_sync_stream` likewise."""
    with _Step(instance):
        return wrapped(*args, **kwargs)


async def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `aclose`: a stream that is closed is over; one that closes itself while it works ends on its own."""
    try:
        return await wrapped(*args, **kwargs)
    finally:
        stream = _streams.get(instance)
        if stream is not None and not stream.working:
            stream.ended()
