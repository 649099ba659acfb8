"""Holding a run or an attempt open around what a function handed back, and ending it once whatever becomes of that."""

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

    from otel_failover._core.runs.functions import Detached, Opened


class Undriven:
    """Ends what was never begun: lives in the frame of what should have driven it."""

    __slots__ = ("__weakref__", "end")

    def __init__(self, end: Callable[[], object] | None) -> None:
        self.end = end

    def __del__(self) -> None:
        end, self.end = self.end, None
        if end is not None:
            end()


class Openable:
    """What can be open without being current; by itself it opens nothing, and changes no context.

    In a `with`, it is current too: around one call.
    """

    _attachment: scope.Attachment | None = None

    def open_detached(self) -> None:
        """Open without becoming current."""

    @property
    def context(self) -> Context | None:
        """The context in which its steps are made; None leaves things as they are."""
        return None

    def stream_output(self) -> None:
        """Take note that something was handed on."""

    def told(self, result: Any) -> Any:
        """Take note of what the call gave, and return it.

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


NOTHING: Final = Openable()
"""Stands where there is no run and no attempt to open."""


class Current:
    """Makes a run or an attempt current for one call."""

    __slots__ = ("_attachment", "_opened")

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._attachment: scope.Attachment | None = None

    def __enter__(self) -> Self:
        context = self._opened.context
        self._attachment = scope.Attachment(context) if context is not None else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._attachment is not None:
            self._attachment.detach()


class Held(Openable):
    """A run or an attempt that is open already, to be left once.

    Args:
        opened: The run or the attempt.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened, self._left = opened, False

    @property
    def run(self) -> object:
        """What is held: a summary finds its run here."""
        return self._opened

    @property
    def context(self) -> Context | None:
        """The context in which its steps are made."""
        return self._opened.context

    def stream_output(self) -> None:
        """Take note that something was handed on."""
        self._opened.stream_output()

    def leave(self, problem: BaseException | None) -> None:
        """End it, once."""
        if not self._left:
            self._left = True
            self._opened.leave(problem)

    def until_dropped(self, end: Callable[[], object] | None = None) -> Undriven:
        """Return what ends it where nobody ever drives what the function returned.

        Args:
            end: Ends that too.
        """
        undriven = Undriven(end)
        weakref.finalize(undriven, deferred.end_when_safe, functools.partial(self.leave, None)).atexit = False
        return undriven

    def steps(self, inner: Any) -> Any:
        """Return a generator of either kind, driven inside it; it is left where nobody ever drives that.

        Args:
            inner: The host's generator.
        """
        undriven = self.until_dropped()

        def fresh(undriven: Undriven = undriven) -> Held:  # noqa: ARG001 - held in the generator's frame
            return self

        return drive(fresh, inner)


class Kept(Openable):
    """A run or an attempt around one call whose result may keep it open.

    Args:
        opened: The run or the attempt.
        keep: Told of the result; tells whether that keeps it open, and will leave it.
    """

    def __init__(self, opened: Detached, keep: Callable[[Any], bool]) -> None:
        self._opened, self._keep, self._kept = opened, keep, False

    def open_detached(self) -> None:
        """Open it."""
        self._opened.open_detached()

    @property
    def context(self) -> Context | None:
        """The context in which the call is made."""
        return self._opened.context

    def told(self, result: Any) -> Any:
        """Take note of what the call gave, and return it."""
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
