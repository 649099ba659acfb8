"""Trying candidates: what the adapters of libraries share.

An adapter says what a call opens: a function of the call's object, arguments and keyword arguments gives the run or the
attempt, and `NOTHING` where the host's call is to be left alone. It is guarded, since reading foreign objects may
raise. `around`, `aaround` and `steps` make of it a wrapper for each kind of function that libraries have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover.integrations.loops.shared.held_open import NOTHING, Openable, drive, is_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

    from otel_failover._core.runs.attempt import Attempt
    from otel_failover._core.runs.functions import Opened

HOLDS_NO_LOCK: Final = True
"""What is closed below our frames can be ended at once: see `dropping`."""

# --- wrappers ---------------------------------------------------------------------------------------------------------
# What is open is named `opened` in their frames: by that name `run_of` finds the run that an exception has left.


def around(opening: Callable[[Any, tuple[Any, ...], Mapping[str, Any]], AbstractContextManager[Any]]) -> Any:
    """Return a wrapper for a function, which is called inside what its call opens.

    Args:
        opening: Of the object, the arguments and the keyword arguments; raises nothing.
    """

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        opened = opening(instance, args, kwargs)
        with opened:
            return wrapped(*args, **kwargs)

    return wrapper


def aaround(opening: Callable[[Any, tuple[Any, ...], Mapping[str, Any]], AbstractContextManager[Any]]) -> Any:
    """Return a wrapper for a coroutine function, which is awaited inside what its call opens.

    Args:
        opening: Of the object, the arguments and the keyword arguments; raises nothing.
    """

    async def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        opened = opening(instance, args, kwargs)
        with opened:
            return await wrapped(*args, **kwargs)

    return wrapper


def steps(opening: Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Opened]) -> Any:
    """Return a wrapper for what gives a generator of either kind, which works inside what its call opens.

    It begins with the generator's first step and ends with the generator. What is no generator is left alone.

    Args:
        opening: Of the object, the arguments and the keyword arguments; raises nothing.
    """

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        inner = wrapped(*args, **kwargs)
        return driven(opening(instance, args, kwargs), inner) if is_steps(inner) else inner

    return wrapper


def driven(opened: Opened, inner: Any) -> Any:
    """Return a generator of the same kind that works inside what is opened at its first step.

    Args:
        opened: The run or the attempt; `NOTHING` leaves the generator as it is.
        inner: The host's generator.
    """
    return inner if opened is NOTHING else drive(lambda: opened, inner)


# --- attempts ---------------------------------------------------------------------------------------------------------


def _ignored(problem: Exception, began: bool) -> None:
    """Nobody wants to know."""


class Tried(Openable):
    """One attempt, as long as a generator lasts.

    Args:
        attempt: The attempt.
        failed: Told of the error that the candidate raised, and whether its output had begun by then.
    """

    def __init__(self, attempt: Attempt, failed: Callable[[Exception, bool], None] = _ignored) -> None:
        self._attempt, self._failed, self._began = attempt, failed, False

    def open_detached(self) -> None:
        """Open the attempt."""
        self._attempt.open_detached()

    @property
    def context(self) -> Context | None:
        """The attempt's context."""
        return self._attempt.context

    def stream_output(self) -> None:
        """Take note that the candidate's output has begun."""
        self._began = True
        self._attempt.stream_output()

    def leave(self, problem: BaseException | None) -> None:
        """End the attempt."""
        if isinstance(problem, Exception):
            self._failed(problem, self._began)
        self._attempt.leave(problem)


class Answering(Openable):
    """One attempt, as long as a call lasts whose answer the loop may yet refuse.

    Args:
        attempt: The attempt.
        failed: Told of the error that the candidate raised; its output has not begun.
    """

    def __init__(self, attempt: Attempt, failed: Callable[[Exception, bool], None] = _ignored) -> None:
        self._attempt, self._failed = attempt, failed

    def __enter__(self) -> Self:
        self._attempt.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if problem is None:
            self._attempt.answered()
        elif isinstance(problem, Exception):
            self._failed(problem, False)
        self._attempt.__exit__(kind, problem, traceback)


class Inside(Openable):
    """A part of an attempt that a framework makes under a span of its own: the candidate's is current there again.

    Args:
        attempt: The attempt.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    @property
    def context(self) -> Context | None:
        """The attempt's context."""
        return self._attempt.context
