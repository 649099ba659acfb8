"""Streams of litellm's: an attempt lasts until the `CustomStreamWrapper` that it gave has ended, failed or been left.

The host gets litellm's own object, whose steps are made inside the attempt. A router wraps it once more, in a generator
that goes on to the next candidate where the stream fails; that generator is driven inside the pass.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.spans import deferred
from otel_failover.integrations import patching
from otel_failover.integrations.loops.litellm import stream_events as litellm_events
from otel_failover.integrations.loops.litellm.run import NAME, PASS, Pass
from otel_failover.integrations.loops.shared.held_open import Held, is_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context

    from otel_failover._core.runs.attempt import Attempt
    from otel_failover._core.runs.run import Run

_GENERATORS: Final = ("_async_generator", "_sync_generator")


class Stream:
    """An attempt that is held open by its stream.

    Args:
        opened: The pass.
        attempt: Its attempt, open aside.
    """

    def __init__(self, opened: Pass, attempt: Attempt) -> None:
        self._pass, self._attempt = opened, attempt
        self._over = self._began = self._watched = False
        self.working = False

    @property
    def run(self) -> Run:
        """Its run: a summary finds it here."""
        return self._pass.run

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

    def watch(self, result: Any) -> None:
        """See the events of the stream, once its request has been sent.

        Args:
            result: litellm's stream.
        """
        self._watched = self._watched or litellm_events.watch(result, self._attempt.ledger)

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
        """Take note of the end, once.

        Args:
            problem: What came out of the stream; its end is no error.
        """
        if self._over:
            return
        self._over = True
        if isinstance(problem, (StopIteration, StopAsyncIteration)):
            problem = None
        if isinstance(problem, Exception):
            self._pass.failed(began=self._began)
        litellm_events.ended(self._attempt.ledger, problem, watched=self._watched)
        self._attempt.leave(problem)


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
    stream.watch(result)
    weakref.finalize(result, deferred.end_when_safe, stream.ended).atexit = False
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


async def anext_chunk(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `__anext__`: a chunk is made inside the attempt, and an error that comes out is the candidate's."""
    opened = _streams.get(instance)
    if opened is None:
        return await wrapped(*args, **kwargs)
    with opened.step():
        chunk = await wrapped(*args, **kwargs)
    opened.output()
    return chunk


def next_chunk(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `__next__` likewise."""
    opened = _streams.get(instance)
    if opened is None:
        return wrapped(*args, **kwargs)
    with opened.step():
        chunk = wrapped(*args, **kwargs)
    opened.output()
    return chunk


async def afetch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `fetch_stream`, which sends the request of providers that are asked without an SDK."""
    opened = _streams.get(instance)
    if opened is None:
        return await wrapped(*args, **kwargs)
    with opened.step():
        result = await wrapped(*args, **kwargs)
    opened.watch(instance)
    return result


def fetch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `fetch_sync_stream` likewise."""
    opened = _streams.get(instance)
    if opened is None:
        return wrapped(*args, **kwargs)
    with opened.step():
        result = wrapped(*args, **kwargs)
    opened.watch(instance)
    return result


async def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `aclose`: a stream that is closed is over; one that closes itself while it works ends on its own."""
    try:
        return await wrapped(*args, **kwargs)
    finally:
        stream = _streams.get(instance)
        if stream is not None and not stream.working:
            stream.ended()
