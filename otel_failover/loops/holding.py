"""Holding a run or an attempt open around what a function handed back, and ending it once whatever becomes of that."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Final

from otel_failover import dropping, scope

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

    from otel_failover.decorating import Opened


class Undriven:
    """Ends what was never begun: lives in the frame of what should have driven it."""

    __slots__ = ("__weakref__", "end")

    def __init__(self, end: Callable[[], object] | None) -> None:
        self.end = end

    def __del__(self) -> None:
        end, self.end = self.end, None
        if end is not None:
            end()


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


class Held(Current):
    """A run or an attempt that is open already, to be left once."""

    __slots__ = ("_left",)

    def __init__(self, opened: Opened) -> None:
        super().__init__(opened)
        self._left = False

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, problem, traceback)
        self.leave(problem)

    def open_aside(self) -> None:
        """Do nothing: it is open."""

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
        weakref.finalize(undriven, dropping.dropped, functools.partial(self.leave, None)).atexit = False
        return undriven


class Nothing:
    """Stands where there is no run and no attempt to open."""

    context: Context | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do nothing."""

    def open_aside(self) -> None:
        """Do nothing."""

    def stream_output(self) -> None:
        """Do nothing."""

    def leave(self, problem: BaseException | None) -> None:
        """Do nothing."""


NOTHING: Final = Nothing()
