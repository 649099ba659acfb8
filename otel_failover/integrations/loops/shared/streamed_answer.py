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


class Answer:
    """An attempt that is held open by what its candidate has handed over.

    Args:
        attempt: The attempt.
        ended: Told of the end: what the candidate raised, if anything, and whether its output had begun.
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
        """Take note that an event was handed on."""
        self._began = True
        self._attempt.stream_output()

    def stream_ended(self, problem: BaseException | None = None) -> None:
        """Take note of the stream's end."""
        if self.over:
            return
        self.over = True
        if _answers.get(self._key):
            _answers[self._key] = [(ref, each) for ref, each in _answers[self._key] if each is not self]
            if not _answers[self._key]:
                del _answers[self._key]
        self._attempt.leave(problem)
        self._ended(problem, self._began)

    def leave(self, problem: BaseException | None) -> None:
        """Take note that the context manager was left: with the candidate's own error only while it was entered."""
        self.stream_ended(None if self.handed else problem)

    @guarded(fallback=None)
    def hold(self, response: object) -> None:
        """Find this answer by the response that was handed over.

        Args:
            response: The stream; not kept alive.
        """
        self._key = id(response)
        _answers.setdefault(self._key, []).append((weakref.ref(response), self))


_answers: Final[dict[int, list[tuple[weakref.ref[Any], Answer]]]] = {}
"""Open answers by their response's id, each with a weak reference that proves it: responses have no hash."""


class _Handed(Managed):
    """The host's context manager, and the attempt around it."""

    def __init__(self, answer: Answer, inner: Any, wrap: Callable[[Any], None]) -> None:
        super().__init__(answer, inner)
        self._answer, self._wrap = answer, wrap

    async def __aenter__(self) -> Any:
        """Open, enter the host's, and listen to what it gives."""
        response = await super().__aenter__()
        self._taken(response)
        return response

    @guarded(fallback=None)
    def _taken(self, response: Any) -> None:
        self._answer.handed = True
        self._answer.hold(response)
        self._wrap(response)


def hand_over(answer: Answer, managed: Any, wrap: Callable[[Any], None]) -> Any:
    """Return a context manager that does as the host's does, with an attempt around it.

    Args:
        answer: The attempt.
        managed: The host's asynchronous context manager of a stream.
        wrap: Sees to it that `listen` wraps the stream's `__aiter__`.
    """
    return _Handed(answer, managed, wrap)


def _of(instance: object) -> list[Answer]:
    """Return the open answers that a stream was handed over by, the innermost first."""
    held = tuple(_answers.get(id(instance), ()))
    return [answer for reference, answer in held if reference() is instance and not answer.over]


async def awaited(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap a method that waits for a stream's first event: its error is the candidate's, as one of the stream's is."""
    try:
        return await wrapped(*args, **kwargs)
    except BaseException as problem:
        for answer in _of(instance):
            answer.stream_ended(problem)
        raise


def listen(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap a stream's `__aiter__`: the answers that it was handed over by hear its events and its end."""
    events = wrapped(*args, **kwargs)
    for answer in _of(instance):
        events = AsyncChunks(events, answer)
    return events
