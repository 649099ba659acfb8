"""What can be open without being current, and the few things that every kind of it needs.

A run or an attempt that lasts as long as a generator must not be current between the generator's steps: whatever the
host does meanwhile would land inside it. So opening (`open_detached`), being current (`context`, one step at a time)
and ending (`leave`) are three things here. In a `with`, all three happen around one call.
"""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core import context as scope
from otel_failover._core.runs.functions import aiterate, iterate
from otel_failover._core.spans import deferred

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

    from otel_failover._core.runs.functions import Opened


class HeldOpen:
    """What can be open without being current; by itself it opens nothing, and changes no context."""

    _attachment: scope.Attachment | None = None

    def open_detached(self) -> None:
        """Open without becoming current."""

    @property
    def context(self) -> Context | None:
        """The context in which its steps are made; None leaves the current one as it is."""
        return None

    def stream_output(self) -> None:
        """Called for each item that a generator inside it has handed on."""

    def returned(self, result: Any) -> Any:
        """Called with what the host's function returned; returns what the host gets: the same object.

        Args:
            result: Of the host's function.
        """
        return result

    def leave(self, problem: BaseException | None) -> None:
        """End what `open_detached` opened.

        Args:
            problem: The exception that left it, if any.
        """

    def __enter__(self) -> Self:
        self.open_detached()
        context = self.context
        if context is not None:
            self._attachment = scope.Attachment(context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._attachment is not None:
            self._attachment.detach()
        self.leave(problem)


NOTHING: Final = HeldOpen()
"""Stands where there is no run and no attempt to open: the host's call is left alone."""


class CurrentAgain(HeldOpen):
    """Makes something current again that somebody else has opened, and will end.

    For one call, or for a generator's steps: a framework may make a part of an attempt under a span of its own, taken
    from a context without ours.

    Args:
        opened: The run or the attempt.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    @property
    def context(self) -> Context | None:
        """The context of what is open."""
        return self._opened.context


class OpenUntilDriven:
    """Ends what nobody ever drives. It lives in the frame of the coroutine or generator that should have driven it.

    A generator that is dropped before its first step runs no code at all, not even a `finally`, and says nothing. What
    it would have ended stays open for ever, unless something in its frame is collected with it: this.

    Args:
        end: Ends what was never begun; the driver sets it to None at its first step.
    """

    __slots__ = ("__weakref__", "end")

    def __init__(self, end: Callable[[], object] | None) -> None:
        self.end = end

    def __del__(self) -> None:
        end, self.end = self.end, None
        if end is not None:
            end()


class OpenUntilLeft(HeldOpen):
    """A run or an attempt that is open already, held by what a function returned, and ended once.

    Args:
        opened: The run or the attempt.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened, self._left = opened, False

    @property
    def run(self) -> object:
        """What is held: `summarize()` finds its run here."""
        return self._opened

    @property
    def context(self) -> Context | None:
        """The context in which its steps are made."""
        return self._opened.context

    def stream_output(self) -> None:
        """Called for each item that a generator inside it has handed on."""
        self._opened.stream_output()

    def leave(self, problem: BaseException | None) -> None:
        """End it, once: what drives it and what drops it may both come by."""
        if not self._left:
            self._left = True
            self._opened.leave(problem)

    def until_dropped(self, end: Callable[[], object] | None = None) -> OpenUntilDriven:
        """Return what ends it where nobody ever drives what the function returned.

        Args:
            end: Ends that too.
        """
        undriven = OpenUntilDriven(end)
        # Collected anywhere, also under a lock that ending a span needs: so the end may wait for a safe moment.
        weakref.finalize(undriven, deferred.end_when_safe, functools.partial(self.leave, None)).atexit = False
        return undriven

    def steps(self, inner: Any) -> Any:
        """Return a generator of the same kind, driven inside it; dropped before its first step, it ends this too.

        Args:
            inner: The host's generator.
        """
        undriven = self.until_dropped()

        def fresh(undriven: OpenUntilDriven = undriven) -> OpenUntilLeft:  # noqa: ARG001 - held in the generator's frame
            return self

        return drive(fresh, inner)


class OpenPastCall(HeldOpen):
    """A run or an attempt around one call whose result may keep it open.

    Args:
        opened: The run or the attempt.
        keep: Called with the result; returns whether that keeps it open, and will end it.
    """

    def __init__(self, opened: Opened, keep: Callable[[Any], bool]) -> None:
        self._opened, self._keep, self._kept = opened, keep, False

    @property
    def run(self) -> object:
        """What is held: `summarize()` finds its run here."""
        return self._opened

    def open_detached(self) -> None:
        """Open it."""
        self._opened.open_detached()

    @property
    def context(self) -> Context | None:
        """The context in which the call is made."""
        return self._opened.context

    def returned(self, result: Any) -> Any:
        """Ask whether the result keeps it open, and return it."""
        self._kept = self._keep(result)
        return result

    def leave(self, problem: BaseException | None) -> None:
        """End it, unless it is kept open."""
        if problem is not None or not self._kept:
            self._opened.leave(problem)


def is_steps(result: object) -> bool:
    """Whether something is a generator, of either kind."""
    return isinstance(result, (types.GeneratorType, types.AsyncGeneratorType))


def drive(fresh: Callable[[], Opened], inner: Any) -> Any:
    """Return a generator of the same kind, whose every step is made inside a run or an attempt.

    Args:
        fresh: Makes the run or the attempt, at the first step.
        inner: The host's generator.
    """
    return aiterate(fresh, inner) if inspect.isasyncgen(inner) else iterate(fresh, inner)
