"""Calling a host's function inside a run or an attempt, whatever it is and whatever it hands back.

Coroutine functions and generator functions of both kinds keep their kind. Any other function is called at once, and
held open if what it returns goes on working: a coroutine, a generator, a task or future, a context manager made by
contextlib. The host gets the same object wherever it can be kept, else one of the same kind and name.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_failover._core.failsafe import guarded, read
from otel_failover.integrations.loops.shared.held_open import (
    NOTHING,
    CurrentAgain,
    OpenUntilDriven,
    OpenUntilLeft,
    drive,
    is_steps,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from otel_failover._core.runs.functions import Opened


class Visit(Protocol):
    """One call of a configured function."""

    def open(self) -> Opened:
        """Make the run or the attempt, or `NOTHING`; asked when the work begins, raises nothing."""

    def returned(self, result: Any) -> None:
        """Called with what the function returned in the end; raises nothing."""


@contextlib.contextmanager
def _manager() -> Iterator[None]:
    yield


@contextlib.asynccontextmanager
async def _amanager() -> AsyncIterator[None]:
    yield


_MANAGERS: Final = (type(_manager()), type(_amanager()))

HOLDS_NO_LOCK: Final = True
"""What is closed below our frames can be ended at once: see `deferred`."""
PLAIN: Final = "plain"
COROUTINE: Final = "coroutine"
GENERATOR: Final = "generator"
ASYNC_GENERATOR: Final = "async generator"


def kind_of(function: Any) -> str:
    """Return which kind of function it is.

    Args:
        function: A function or method, wrapped or not.
    """
    if inspect.iscoroutinefunction(function):
        return COROUTINE
    if inspect.isgeneratorfunction(function):
        return GENERATOR
    return ASYNC_GENERATOR if inspect.isasyncgenfunction(function) else PLAIN


def call(kind: str, visit: Visit, wrapped: Any, args: Any, kwargs: Any) -> Any:
    """Call a function inside what its visit opens.

    Args:
        kind: As `kind_of` says. Coroutines and generators begin, and open, at their first step.
        visit: Opens, and is called with the result.
        wrapped: The host's function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Returns:
        What it returns, or what drives that.
    """
    if kind is PLAIN:
        return _plain(visit, wrapped, args, kwargs)
    inner = wrapped(*args, **kwargs)
    if kind is COROUTINE:
        return _named(_awaiting(visit.open, visit, OpenUntilDriven(inner.close), inner), inner)
    return _named(drive(visit.open, inner), inner)


def _plain(visit: Visit, wrapped: Any, args: Any, kwargs: Any) -> Any:
    opened = visit.open()
    opened.open_detached()
    try:
        with CurrentAgain(opened):
            result = wrapped(*args, **kwargs)
    except BaseException as problem:
        opened.leave(problem)
        raise
    held = _hold(opened, visit, result) if opened is not NOTHING else None
    if held is not None:
        return held
    visit.returned(result)
    opened.leave(None)
    return result


@guarded(fallback=None)
def _hold(opened: Opened, visit: Visit, result: Any) -> Any:
    """Keep a run or an attempt open while what a plain function returned goes on working; None where nothing does."""
    if isinstance(result, types.CoroutineType):
        held = OpenUntilLeft(opened)
        return _named(_awaiting(lambda: held, visit, held.until_dropped(result.close), result), result)
    if is_steps(result):
        return _named(OpenUntilLeft(opened).steps(result), result)
    if isinstance(result, _MANAGERS) and is_steps(read(result, "gen")):
        # Its generator is what works; the object stays the host's.
        manager: Any = result
        manager.gen = OpenUntilLeft(opened).steps(manager.gen)
        return result
    if isinstance(result, Future) or hasattr(type(result), "_asyncio_future_blocking"):
        result.add_done_callback(functools.partial(_done, OpenUntilLeft(opened), visit))
        return result
    return None


async def _awaiting(fresh: Callable[[], Opened], visit: Visit, undriven: OpenUntilDriven, inner: Any) -> Any:
    """Await a coroutine inside a run or an attempt."""
    undriven.end = None
    opened = fresh()
    with opened:
        result = await inner
        visit.returned(result)
    return result


@guarded(fallback=None)
def _done(held: OpenUntilLeft, visit: Visit, future: Any) -> None:
    """End what a task or future held open.

    Its exception is read past `exception()`: asyncio takes one that was asked for so as seen by the host, and would no
    longer log that nobody ever retrieved it.
    """
    from asyncio import CancelledError

    problem = CancelledError() if future.cancelled() else read(future, "_exception")
    if isinstance(problem, BaseException):
        held.leave(problem)
        return
    visit.returned(future.result())
    held.leave(None)


def _named(made: Any, inner: Any) -> Any:
    """Give what drives a coroutine or generator the name that tasks and warnings show."""
    made.__name__, made.__qualname__ = inner.__name__, inner.__qualname__
    return made
