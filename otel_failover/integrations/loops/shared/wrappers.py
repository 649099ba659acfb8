"""Wrappers for every kind of function that frameworks have, and what their calls open.

An adapter writes an *opening*: a function of the wrapped function's object, arguments and keyword arguments that
returns what the call opens, and `NOTHING` where the host's call is to be left alone. It is guarded, since reading
foreign objects may raise; the wrappers ask it only while we are active. Which wrapper to use:

| your framework's function …                       | use this wrapper                                                |
|---------------------------------------------------|-----------------------------------------------------------------|
| returns an answer                                 | `around`                                                        |
| is a coroutine function                           | `aaround`                                                       |
| returns a generator, of either kind               | `steps`                                                         |
| returns something that works on after the call,   | `around_result`, `aaround_result`, which show it to what is     |
| or errors as values                               | opened                                                          |
| returns an asynchronous context manager           | `around_manager`                                                |
| … of a candidate's stream                         | `streamed_answer.hand_over`                                     |
| is given a function that asks one candidate       | `around`, `aaround` with `given`, which puts an attempt around  |
|                                                   | that function                                                   |

| what a call is …                                  | let the opening return                                          |
|---------------------------------------------------|-----------------------------------------------------------------|
| one pass of the loop                              | the adapter's `LibraryRun`                                      |
| one candidate, whose answer is taken as it is     | the `Attempt` itself                                            |
| one candidate, whose answer the loop may refuse   | `OpenDuringCall`                                                |
| one candidate, for as long as a generator lasts   | `OpenDuringGenerator`                                           |
| either, kept open by what the call returns        | `OpenPastCall`                                                  |
| a part of an attempt under the framework's span   | `CurrentAgain`                                                  |
| a candidate that hands over its stream            | `streamed_answer.OpenDuringStream`                              |

`summarize()` finds the run of an exception by looking for a local variable called `opened` in our own frames of its
traceback, so every wrapper must use that name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.config import runtime
from otel_failover._core.runs.functions import Managed
from otel_failover.integrations.loops.shared.held_open import NOTHING, HeldOpen, drive, is_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import TypeAlias

    from opentelemetry.context import Context
    from typing_extensions import Self

    from otel_failover._core.runs.attempt import Attempt
    from otel_failover._core.runs.functions import Opened

    Args: TypeAlias = tuple[Any, ...]
    Kwargs: TypeAlias = Mapping[str, Any]
    Opening: TypeAlias = Callable[[Any, Args, Kwargs], AbstractContextManager[Any]]
    GeneratorOpening: TypeAlias = Callable[[Any, Args, Kwargs], Opened]
    Given: TypeAlias = Callable[[Any, Args, dict[str, Any]], tuple[Args, dict[str, Any]]]

HOLDS_NO_LOCK: Final = True
"""What is closed below our frames can be ended at once: see `deferred`."""


# --- wrappers ---------------------------------------------------------------------------------------------------------


def opened_by(opening: Callable[[Any, Args, Kwargs], Any], instance: Any, args: Any, kwargs: Any) -> Any:
    """Return what a call opens; `NOTHING` while we are not active.

    SDKs and frameworks keep bound methods that were wrapped, so a wrapper may be called long after it was taken off.
    """
    return opening(instance, args, kwargs) if runtime.current().active else NOTHING


def around(opening: Opening, given: Given | None = None) -> Any:
    """Return a wrapper for a function, which is called inside what its call opens.

    Args:
        opening: Of the object, the arguments and the keyword arguments; raises nothing.
        given: Returns other arguments for a call that opens something, of that and the arguments; raises nothing.
    """

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        opened = opened_by(opening, instance, args, kwargs)
        if given is not None and opened is not NOTHING:
            args, kwargs = given(opened, args, kwargs)
        with opened:
            return wrapped(*args, **kwargs)

    return wrapper


def aaround(opening: Opening, given: Given | None = None) -> Any:
    """Return a wrapper for a coroutine function, which is awaited inside what its call opens.

    Args:
        opening: Of the object, the arguments and the keyword arguments; raises nothing.
        given: Returns other arguments for a call that opens something, of that and the arguments; raises nothing.
    """

    async def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        opened = opened_by(opening, instance, args, kwargs)
        if given is not None and opened is not NOTHING:
            args, kwargs = given(opened, args, kwargs)
        with opened:
            return await wrapped(*args, **kwargs)

    return wrapper


def around_result(opening: Callable[[Any, Args, Kwargs], HeldOpen]) -> Any:
    """Return a wrapper for a function, called inside what its call opens, which is shown what the function returns.

    Args:
        opening: Of the object, the arguments and the keyword arguments; raises nothing.
    """

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        opened = opened_by(opening, instance, args, kwargs)
        with opened:
            return opened.returned(wrapped(*args, **kwargs))

    return wrapper


def aaround_result(opening: Callable[[Any, Args, Kwargs], HeldOpen]) -> Any:
    """Return a wrapper for a coroutine function, awaited inside what its call opens, which is shown the result.

    Args:
        opening: Of the object, the arguments and the keyword arguments; raises nothing.
    """

    async def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        opened = opened_by(opening, instance, args, kwargs)
        with opened:
            return opened.returned(await wrapped(*args, **kwargs))

    return wrapper


def steps(opening: GeneratorOpening) -> Any:
    """Return a wrapper for what gives a generator of either kind, which works inside what its call opens.

    It begins with the generator's first step and ends with the generator. What is no generator is left alone.

    Args:
        opening: Of the object, the arguments and the keyword arguments; raises nothing.
    """

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        inner = wrapped(*args, **kwargs)
        return driven(opened_by(opening, instance, args, kwargs), inner) if is_steps(inner) else inner

    return wrapper


def driven(opened: Opened, inner: Any) -> Any:
    """Return a generator of the same kind that works inside what is opened at its first step.

    Args:
        opened: The run or the attempt; `NOTHING` leaves the generator as it is.
        inner: The host's generator.
    """
    return inner if opened is NOTHING else drive(lambda: opened, inner)


def around_manager(opening: GeneratorOpening) -> Any:
    """Return a wrapper for what gives an asynchronous context manager, entered and left inside what the call opens.

    Args:
        opening: Of the object, the arguments and the keyword arguments; raises nothing.
    """

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        inner = wrapped(*args, **kwargs)
        opened = opened_by(opening, instance, args, kwargs)
        return inner if opened is NOTHING else Managed(opened, inner)

    return wrapper


# --- attempts ---------------------------------------------------------------------------------------------------------


def _ignored(problem: Exception, began: bool) -> None:
    """Do nothing: no adapter asked for it."""


class OpenDuringCall(HeldOpen):
    """One attempt, for as long as a call lasts whose answer the loop may yet refuse.

    Args:
        attempt: The attempt.
        failed: Called with the candidate's error, and that its output had not begun.
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


class OpenDuringGenerator(HeldOpen):
    """One attempt, for as long as a generator lasts.

    Args:
        attempt: The attempt.
        failed: Called with the candidate's error, and whether its output had begun.
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
        """Called for each item that was handed on: the candidate's output has begun."""
        self._began = True
        self._attempt.stream_output()

    def leave(self, problem: BaseException | None) -> None:
        """End the attempt."""
        if isinstance(problem, Exception):
            self._failed(problem, self._began)
        self._attempt.leave(problem)
