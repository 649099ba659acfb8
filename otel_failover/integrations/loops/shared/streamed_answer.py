"""Answers that are handed over open: an attempt whose candidate gives an asynchronous context manager of a stream.

The attempt lasts until the stream has ended, failed, or been left. An error is the candidate's only where it comes out
of opening the stream, of reading it or of closing it; what the consumer raises while it has the stream is its own.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded
from otel_failover._core.runs.functions import Managed
from otel_failover._core.runs.streams import AsyncChunks

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    from otel_failover._core.runs.attempt import Attempt


class OpenDuringStream:
    """An attempt that is held open by the stream that its candidate has handed over.

    Args:
        attempt: The attempt.
        ended: Called at the end, with what the candidate raised, if anything, and whether its output had begun.
    """

    def __init__(self, attempt: Attempt, ended: Callable[[BaseException | None, bool], None]) -> None:
        self._attempt, self._ended = attempt, ended
        self._key = 0
        self._began = False
        self.over = self.handed = False

    def open_detached(self) -> None:
        """Open the attempt without making it current."""
        self._attempt.open_detached()

    @property
    def context(self) -> Context | None:
        """The context in which its steps are made."""
        return self._attempt.context

    def stream_context(self) -> Context | None:
        """Return the context in which the next event is made: what is read sends nothing, so no span is current."""
        if self._attempt.context is None:
            return None
        return scope.with_values({scope.ATTEMPT: self._attempt, scope.RUN: self._attempt.run, scope.CALL: None})

    def stream_output(self) -> None:
        """Called for each event that was handed on."""
        self._began = True
        self._attempt.stream_output()

    def stream_ended(self, problem: BaseException | None = None) -> None:
        """End the attempt: the stream has ended, failed or been left. The first of these counts."""
        if self.over:
            return
        self.over = True
        if _open.get(self._key):
            _open[self._key] = [(ref, each) for ref, each in _open[self._key] if each is not self]
            if not _open[self._key]:
                del _open[self._key]
        self._attempt.leave(problem)
        self._ended(problem, self._began)

    def leave(self, problem: BaseException | None) -> None:
        """End the attempt: the context manager was left.

        What leaves it is the candidate's error only while it was being entered; later it is the consumer's.
        """
        self.stream_ended(None if self.handed else problem)

    @guarded(fallback=None)
    def hold(self, response: object) -> None:
        """Let this be found by the response that was handed over.

        Args:
            response: The stream; not kept alive.
        """
        self._key = id(response)
        _open.setdefault(self._key, []).append((weakref.ref(response), self))


_open: Final[dict[int, list[tuple[weakref.ref[Any], OpenDuringStream]]]] = {}
"""What is open by its response's id, each with a weak reference that proves it: responses have no hash."""


class _HandedOver(Managed):
    """The host's context manager, and the attempt around it."""

    def __init__(self, opened: OpenDuringStream, inner: Any, wrap: Callable[[Any], None]) -> None:
        super().__init__(opened, inner)
        self._stream, self._wrap = opened, wrap

    async def __aenter__(self) -> Any:
        """Open the attempt, enter the host's, and watch the stream that it gives."""
        response = await super().__aenter__()
        self._entered(response)
        return response

    @guarded(fallback=None)
    def _entered(self, response: Any) -> None:
        self._stream.handed = True
        self._stream.hold(response)
        self._wrap(response)


def hand_over(opened: OpenDuringStream, managed: Any, wrap: Callable[[Any], None]) -> Any:
    """Return a context manager that does as the host's does, with an attempt around it.

    Args:
        opened: The attempt.
        managed: The host's asynchronous context manager of a stream.
        wrap: Sees to it that `listen` wraps the stream's `__aiter__`.
    """
    return _HandedOver(opened, managed, wrap)


def _held_by(stream: object) -> list[OpenDuringStream]:
    """Return what a stream holds open, the innermost first."""
    held = tuple(_open.get(id(stream), ()))
    return [opened for reference, opened in held if reference() is stream and not opened.over]


async def awaited(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap a method that waits for a stream's first event: its error is the candidate's, as one of the stream's is."""
    try:
        return await wrapped(*args, **kwargs)
    except BaseException as problem:
        for opened in _held_by(instance):
            opened.stream_ended(problem)
        raise


def listen(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap a stream's `__aiter__`: the attempts that it holds open see its events and its end."""
    events = wrapped(*args, **kwargs)
    for opened in _held_by(instance):
        events = AsyncChunks(events, opened)
    return events
