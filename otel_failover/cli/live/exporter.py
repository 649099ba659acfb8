"""`OTEL_TRACES_EXPORTER=failover_console`: each run as a tree on standard error, as it ends; no collector.

Standard error, since a service's standard output may be data, and since its log is where people look. It may stand
beside other exporters (`failover_console,otlp`), behind any span processor, in each of several processes.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TextIO

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_failover._core.config import runtime
from otel_failover._core.domain import attributes as names
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.text.gate import clean
from otel_failover.cli.live.belonging import OpenAttempt
from otel_failover.cli.live.gathering import Gathering

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from otel_failover.cli.drawing.span_view import SpanView
    from otel_failover.cli.live.terminal import Terminal

INSTALL: Final = "pip install 'otel-failover[watch]'"
_PAUSE: Final = 1.0
"""Seconds between two looks at what is still open."""

_MOST: Final = 10_000
"""Spans that may wait for being drawn."""

_logger: Final = logging.getLogger("otel_failover")
_exporters: Final[weakref.WeakSet[ConsoleExporter]] = weakref.WeakSet()


class ConsoleExporter(SpanExporter):
    """A span exporter that draws each run as a tree when it ends, and each call outside any run as a line.

    A thread of its own, a daemon, looks once a second which runs are still open, and says so of those that take long.
    Nothing of it raises into the host, and no thread of the host waits for another one's drawing.

    Args:
        out: Where to; standard error by default.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._came: deque[SpanView] = deque()
        self._lock = threading.RLock()
        self._is_drawing, self._dropped = False, 0
        self._gathering = Gathering()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._terminal = _terminal(out)
        if self._terminal is not None:
            _exporters.add(self)
            self._start()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take in spans that have ended, and draw what is complete."""
        self._take(spans)
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Draw what has come; runs that are still going are waited for."""
        self._draw()
        return True

    def shutdown(self) -> None:
        """Draw what is left: runs that did not end, as far as they have come."""
        self._stop.set()
        self._draw(whole=True)

    # --- drawing ------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _take(self, spans: Sequence[ReadableSpan]) -> None:
        if self._terminal is None or self._terminal.is_gone:
            return
        from otel_failover.cli.drawing.span_view import from_readable

        if len(self._came) < _MOST:
            self._came.extend(map(from_readable, spans))
        else:  # somebody's drawing has stopped: a terminal that is held
            self._dropped += len(spans)
        self._draw()

    @guarded(fallback=None)
    def _draw(self, *, whole: bool = False) -> None:
        """Draw what is complete, unless somebody is at it, who then draws this too.

        Args:
            whole: And all that is left.
        """
        # A span may end in a finalizer that runs in the midst of our own drawing, in the same thread: it must not wait
        # for itself, and must not draw into what is half drawn. Nor is a thread of the host to wait for a slow terminal
        # that another one writes to.
        while self._came or whole:
            if not self._lock.acquire(blocking=whole):
                return
            try:
                if self._is_drawing:
                    return
                self._is_drawing = True
                try:
                    self._draw_all(whole=whole)
                finally:
                    self._is_drawing = False
            finally:
                self._lock.release()
            whole = False

    def _draw_all(self, *, whole: bool) -> None:
        terminal, views = self._terminal, []
        while self._came:
            views.append(self._came.popleft())
        pictures = self._gathering.add(views, time.time_ns())
        if whole:
            pictures += self._gathering.rest()
        if terminal is None:
            return
        for picture in pictures:
            terminal.draw(picture)
        dropped, self._dropped = self._dropped, 0
        if dropped:
            terminal.say(f"{dropped} spans came faster than they could be drawn, and are lost", "yellow")

    # --- what is still open -------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._look, name="otel-failover-console", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(_PAUSE):
            self._say_what_is_open()

    @guarded(fallback=None)
    def _say_what_is_open(self) -> None:
        terminal = self._terminal
        if terminal is None or terminal.is_gone or not self._lock.acquire(blocking=False):
            return
        try:
            if self._is_drawing:
                return
            self._is_drawing = True
            try:
                lines, pictures = self._gathering.going(time.time_ns(), open_attempts())
                for line in lines:
                    terminal.going(line)
                for picture in pictures:
                    terminal.draw(picture)
            finally:
                self._is_drawing = False
        finally:
            self._lock.release()
        self._draw()

    def after_fork(self) -> None:
        """Begin anew in a forked process: what waits is the parent's, and so was the thread."""
        self._came.clear()
        self._lock, self._is_drawing = threading.RLock(), False
        self._gathering.forget()
        if self._thread is not None and not self._stop.is_set():
            self._stop = threading.Event()
            self._start()


def _terminal(out: TextIO | None) -> Terminal | None:
    """Return what draws; None, and a WARNING, where the package is missing that it takes."""
    try:
        from otel_failover.cli.live.terminal import Terminal
    except ImportError as problem:
        _logger.warning("otel-failover: failover_console draws nothing: it needs %s (%s)", INSTALL, problem)
        return None
    return Terminal(out, _redacted)


def _redacted(text: str) -> str:
    """Return a text without credentials, and without what the user's own patterns mean, where they are known."""
    active = runtime.known()
    return clean(text) if active is None else active.redacted(text)


def open_attempts() -> list[OpenAttempt]:
    """Return what is open in this process."""
    active, now, clock = runtime.known(), time.time_ns(), time.monotonic()
    found = []
    for attempt in tuple(active.open_attempts) if active is not None else ():
        run: Any = read(attempt, "run")
        began = now - int((clock - attempt.started) * 1e9)
        run_began = now - int((clock - run.started) * 1e9) if attempt.run_id else began
        name = f"{names.SPAN_RUN} {run.operation}" if attempt.run_id else "call"
        who = f"{attempt.provider} {attempt.model}".strip()
        found.append(OpenAttempt(attempt.run_id, name, who, began, run_began))
    return found


def _after_fork() -> None:
    for exporter in list(_exporters):
        exporter.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=guarded(fallback=None)(_after_fork))
