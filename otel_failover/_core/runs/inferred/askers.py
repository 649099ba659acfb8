"""Who asks, and where: the task or the piece of work that a call is made in, and the trace.

Held weakly: nothing of ours may decide how long a task lives, and that it is gone is all that tells of its end.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_failover._core.failsafe import read

if TYPE_CHECKING:
    from collections.abc import Hashable

    from opentelemetry.trace import SpanContext


class Work:
    """A piece of work outside any task: a thread, or what one does in a context of its own (`asyncio.to_thread`).

    It lives in that context alone, and so dies with it, though the thread goes on to other work.
    """

    __slots__ = ("__weakref__", "thread")

    def __init__(self, thread: int) -> None:
        self.thread = thread


_work: Final[ContextVar[Work | None]] = ContextVar("failover-work", default=None)


def current() -> Any:
    """Return who asks: the running task of asyncio or trio, else a piece of work."""
    task = _task()
    if task is not None:
        return task
    found, thread = _work.get(), threading.get_ident()
    if found is None or found.thread != thread:
        # What another thread began was inherited with its context.
        found = Work(thread)
        _work.set(found)
    return found


def _task() -> Any:
    try:
        task: Any = asyncio.current_task()
    except RuntimeError:
        task = None
    trio: Any = sys.modules.get("trio.lowlevel") if task is None else None
    if trio is not None:
        try:
            return trio.current_task()
        except (RuntimeError, AttributeError):
            return None
    return task


def root_of(asker: Any) -> Any:
    """Return on whose behalf a task works: who waits for it and for nothing else, and so on outwards; else itself.

    Frameworks, and `wait_for` before Python 3.12, ask each candidate in a task of its own. Whoever does nothing but
    wait for a task goes on as if it had made the call itself, and no two tasks that it waits for so are at work at
    once. Who waits for several, as `gather` does, is no such one, nor is anybody of a task that two wait for.

    Args:
        asker: Who asks.
    """
    root = found = asker
    for _ in range(_OUTWARDS):
        found = _waiter_of(found) if isinstance(found, asyncio.Future) else None
        if found is None:
            break
        root = found if isinstance(found, asyncio.Task) else root
    return root


def _waiter_of(future: asyncio.Future[Any]) -> Any:
    """Return what waits for a future, a task or another future; None where that is nothing, or several."""
    called: Any = read(future, "_callbacks")
    try:
        found = [each for callback, _ in called or () if (each := _waiter_in(callback)) is not None]
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
    return found[0] if len(found) == 1 else None


def _waiter_in(callback: Any) -> Any:
    """Return what waits for a future, by what is to be called when that is done; None of any other callback."""
    task = read(callback, "__self__")
    if isinstance(task, asyncio.Task):
        return task if read(callback, "__name__") in _WAKES_UP else None
    if isinstance(callback, functools.partial):
        func: Any = callback.func
        return callback.args[0] if (read(func, "__module__"), read(func, "__name__")) == _RELEASES else None
    if read(callback, "__qualname__") not in _PASSES_ON or read(callback, "__module__") != _RELEASES[0]:
        return None
    cells = dict(zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=False))
    outer = cells["outer"].cell_contents if "outer" in cells else None
    children: Any = read(outer, "_children")
    return outer if children is None or len(children) == 1 else None


_OUTWARDS: Final = 32
"""So many waits are followed: a task that waits for one that waits for one …"""
_WAKES_UP: Final = ("task_wakeup", "__wakeup")
"""The callback by which a task waits, as C and as Python have it."""
_RELEASES: Final = ("asyncio.tasks", "_release_waiter")
"""That of `wait_for` before Python 3.12: module and function."""
_PASSES_ON: Final = ("gather.<locals>._done_callback", "shield.<locals>._inner_done_callback")


def is_over(asker: weakref.ref[Any]) -> bool:
    """Whether who asked is done: a task that has ended, a piece of work that is gone.

    Args:
        asker: Who.
    """
    found = asker()
    if found is None:
        return True
    if isinstance(found, Work):
        return _has_gone_on(found.thread)
    done: Any = read(found, "done")
    if callable(done):
        return bool(done())
    coroutine = read(found, "coro")  # trio's task has no word for it
    return coroutine is not None and read(coroutine, "cr_frame") is None


def _has_gone_on(thread: int) -> bool:
    """Whether a thread does other work by now, or none, though garbage still holds the context of what it did.

    Args:
        thread: Its number.
    """
    if thread == threading.get_ident():
        # What is at work here now was not begun inside that: it would have inherited it.
        return True
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - there is no other way to see what a thread does
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _WAITING:
            return False
        if (module, frame.f_code.co_name) == _TAKES_WORK:
            # What is further out, an instrumentation of threads for one, is of the thread and not of any work.
            return True
        frame = frame.f_back
    return True


_WAITING: Final = frozenset(
    {"_weakrefset", "anyio", "asyncio", "concurrent", "inspect", "queue", "selectors", "socket", "threading", "weakref"}
)
"""Packages in whose code alone a thread of a pool stands while it hands its result over, or waits for work."""
_TAKES_WORK: Final = ("concurrent.futures.thread", "_worker")
"""Where a thread of a pool takes one piece of work after the other: module and function."""


class Place(NamedTuple):
    """Where a call is made.

    Args:
        where: What calls of one request have in common: the trace, or on whose behalf they are made, where there is
            none.
        span: The span that is current; None where there is none.
        span_id: Its id, 0 where there is none.
        above: Its parent's in this process, as far as that is known; else 0.
        is_recording: It is being recorded.
    """

    where: Hashable
    span: Any = None
    span_id: int = 0
    above: int = 0
    is_recording: bool = False

    def shared(self, other: Place) -> int:
        """Return the id of the nearest span around two calls, 0 where it is not known.

        Loops make a span for each try, and instrumentations one for each call: what ends with the loop is above these.

        Args:
            other: Where the other call is made.
        """
        mine, theirs = (self.span_id, self.above), (other.span_id, other.above)
        return next((each for each in mine if each and each in theirs), 0)


def place_of(span: Any, asker: object) -> Place:
    """Return where a call is made.

    Args:
        span: That is current; None where there is none.
        asker: Who asks.
    """
    context: SpanContext | None = span.get_span_context() if span is not None else None
    if context is None or not context.is_valid:
        return Place(weakref.ref(root_of(asker)))
    parent: Any = read(span, "parent")
    above = parent.span_id if parent is not None and not parent.is_remote else 0
    return Place(context.trace_id, span, context.span_id, above, span.is_recording())


def hashed(thing: object) -> int | None:
    """Return a hash of what must not be kept, a credential; None where there is none, or none can be made.

    Args:
        thing: Compared by it within this process.
    """
    if thing is None:
        return None
    try:
        return hash(thing)
    except Exception:
        return None
