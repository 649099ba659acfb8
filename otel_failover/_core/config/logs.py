"""What is logged once, or once in a while: so that a loop that fails all night does not fill the log with one line."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from otel_failover._core.failsafe import logger

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_LOOPS: Final = 1_024
_MOST_LINES: Final = 256


class Logs:
    """The lines of one runtime.

    Args:
        interval: Seconds between two lines that say the same.
        not_instrumented: `instrument()` was not called, which the first run logs.

    Attributes:
        not_instrumented: That is still to be logged.
    """

    __slots__ = (
        "_in_a_row", "_interval", "_lines", "_once", "_serving", "_warn_no_sdk", "not_instrumented",
    )  # fmt: skip

    def __init__(self, interval: float, *, not_instrumented: bool = False) -> None:
        self._interval = interval
        self._warn_no_sdk = True
        self.not_instrumented = not_instrumented
        self._serving: dict[tuple[object, ...], str] = {}
        self._in_a_row: dict[tuple[object, ...], int] = {}
        self._once: dict[tuple[object, ...], None] = {}
        self._lines: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()

    def warn_not_instrumented(self) -> None:
        """Log once that `instrument()` was never called, where nobody switched us off on purpose."""
        if self.not_instrumented:
            self.not_instrumented = False
            logger.warning(
                "otel-failover: nothing is instrumented, so no evidence is seen and every reason is unknown: call "
                "FailoverInstrumentor().instrument(), or start with opentelemetry-instrument."
            )

    def warn_no_sdk(self) -> None:
        """Log once that no OpenTelemetry SDK is configured."""
        if self._warn_no_sdk:
            self._warn_no_sdk = False
            logger.warning(
                "otel-failover: no OpenTelemetry SDK is configured: spans go nowhere, and spans of others are not "
                "checked. Set a TracerProvider, or start with opentelemetry-instrument (and opentelemetry-distro)."
            )

    def log_limited(self, key: tuple[object, ...], message: Callable[[], str], level: int = logging.WARNING) -> None:
        """Log a line at most once per interval and key, with the number of those that were left out since.

        Args:
            key: What makes two lines the same.
            message: Makes the line, where it is logged.
            level: Of `logging`.
        """
        now = time.monotonic()
        since, suppressed = self._lines.get(key, (None, 0))
        if since is not None and now - since < self._interval:
            self._lines[key] = (since, suppressed + 1)
            return
        self._lines[key] = (now, 0)
        self._lines.move_to_end(key)
        while len(self._lines) > _MOST_LINES:
            self._lines.popitem(last=False)
        logger.log(level, "%s%s", message(), f" suppressed={suppressed}" if suppressed else "")

    def is_first(self, key: tuple[object, ...]) -> bool:
        """Whether something is told for the first time, of the last 1,024 that were asked about.

        Args:
            key: What makes two tellings the same.
        """
        if key in self._once:
            return False
        self._once[key] = None
        if len(self._once) > _MOST_LOOPS:
            self._once.pop(next(iter(self._once)), None)
        return True

    def in_a_row(self, loop: tuple[object, ...], *, counts: bool) -> int:
        """Return how many passes of a loop in a row have had something in common, this one included.

        Args:
            loop: Library, name and chain of the loop.
            counts: This pass has it; else the row is broken.
        """
        if not counts:
            if self._in_a_row:
                self._in_a_row.pop(loop, None)
            return 0
        found = self._in_a_row[loop] = self._in_a_row.get(loop, 0) + 1
        if len(self._in_a_row) > _MOST_LOOPS:
            self._in_a_row.pop(next(iter(self._in_a_row)), None)
        return found

    def log_served(self, loop: tuple[object, ...], who: str) -> None:
        """Log when another candidate than before serves a loop: a failover that nobody hears of is a failure too.

        Args:
            loop: Library, name and chain of the loop.
            who: `provider/model` of the one that served.
        """
        if (before := self._serving.get(loop)) == who:
            return
        self._serving[loop] = who
        if len(self._serving) > _MOST_LOOPS:
            self._serving.pop(next(iter(self._serving)))
        if before is not None:
            line = f"{loop[1]} ({loop[0]}) is now served by {who}, before by {before}"
            self.log_limited(("served", loop), lambda: line, logging.INFO)
