"""What has come is drawn, by one thread: the command's own."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Final

from otel_failover._core.domain import attributes as names
from otel_failover._core.failsafe import guarded
from otel_failover.cli.live.gathering import Gathering

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_failover.cli.drawing.span_view import SpanView
    from otel_failover.cli.live.belonging import OpenAttempt
    from otel_failover.cli.live.terminal import Terminal

_GRACE: Final = 1_000_000_000
"""Nanoseconds that a run waits for spans of other processes."""
_PAUSE: Final = 0.1
_LOOK: Final = 1.0
_HEARD: Final = 5.0
"""Seconds after which what a process said of itself is too old."""
_MOST: Final = 10_000
"""Batches that may wait while a terminal is stopped; what comes beyond that is dropped, and counted."""


class Showing:
    """Takes what listeners hand on, and draws it; listeners call from threads of their own.

    Args:
        terminal: Where the pictures go.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal, self._gathering = terminal, Gathering(_GRACE)
        self._came: queue.Queue[Sequence[SpanView]] = queue.Queue(_MOST)
        self._refusals: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._looked = 0.0
        self._open: dict[int, tuple[float, Sequence[OpenAttempt]]] = {}
        self.problems: dict[str, None] = {}
        self.watched = self.spans = self.ours = self._dropped = 0

    # --- what listeners hand on ---------------------------------------------------------------------------------------

    def took(self, views: Sequence[SpanView]) -> None:
        """Take spans."""
        try:
            self._came.put_nowait(views)
        except queue.Full:
            self._dropped += len(views)

    def refused(self, why: str) -> None:
        """Take note of a request that could not be read."""
        self._refusals.put(why)

    def began(self, problem: str) -> None:
        """Take note of a Python of the watched command."""
        if problem:
            self.problems[problem] = None
        else:
            self.watched += 1

    def is_open(self, process: int, attempts: Sequence[OpenAttempt]) -> None:
        """Take note of what is open in a process; one that says no more of it is over, or cannot."""
        self._open[process] = (time.monotonic(), attempts)

    # --- drawing ------------------------------------------------------------------------------------------------------

    def until(self, is_over: Callable[[], bool]) -> None:
        """Draw what comes until something is over, and then all that is left.

        Args:
            is_over: Asked again and again.
        """
        while not is_over():
            self._draw(_PAUSE)
        self._draw(0)
        for picture in self._gathering.rest():
            self._terminal.draw(picture)
        if self._dropped:
            self._terminal.say(f"{self._dropped} spans came faster than they could be drawn, and are lost", "yellow")

    @guarded(fallback=None)
    def _draw(self, patience: float) -> None:
        views: list[SpanView] = []
        try:
            views += self._came.get(timeout=patience) if patience else self._came.get_nowait()
            while True:
                views += self._came.get_nowait()
        except queue.Empty:
            pass
        now = time.time_ns()
        self.spans += len(views)
        self.ours += sum(view.scope == names.SCOPE for view in views)
        for picture in [*self._gathering.add(views, now), *self._gathering.due(now)]:
            self._terminal.draw(picture)
        refusals = {self._refusals.get() for _ in range(self._refusals.qsize())}
        for why in sorted(refusals):
            self._terminal.say(f"a request was refused: {why}", "yellow")
        if time.monotonic() - self._looked > _LOOK:
            self._looked = time.monotonic()
            self._look(now)

    def _look(self, now: int) -> None:
        since = time.monotonic() - _HEARD
        heard = [attempts for told, attempts in tuple(self._open.values()) if told > since]
        lines, pictures = self._gathering.going(now, [each for attempts in heard for each in attempts])
        for line in lines:
            self._terminal.going(line)
        for picture in pictures:
            self._terminal.draw(picture)
