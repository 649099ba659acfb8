"""Streams that nobody closes: they end when they are collected, and that may be anywhere.

The collector runs inside any allocation: also one that is made under a lock of OpenTelemetry's, of logging's or of
ours. A finalizer that ended a span there would take the lock that its own thread holds further down the stack, and wait
for it for ever. So it looks down the stack first; where such code stands on it, the end waits for our next step.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_LOCKING: Final = frozenset({"opentelemetry", "otel_failover", "logging", "threading", "queue", "concurrent"})
"""Packages whose code may hold a lock that the end of a span needs."""

DRIVES: Final = "HOLDS_NO_LOCK"
"""Set by those modules of ours that only drive the host's code, and so stand below it on every stack."""

waiting: Final[deque[Callable[[], None]]] = deque()
"""Ends that could not be made where something was collected."""


def end_when_safe(end: Callable[[], None]) -> None:
    """End a stream that was collected: now where no lock can be held, else at our next step.

    Args:
        end: Ends it; never raises.
    """
    if _is_safe():
        end()
    else:
        waiting.append(end)


def end_later(end: Callable[[], None]) -> None:
    """End something at our next step.

    Args:
        end: Ends it; never raises.
    """
    waiting.append(end)


def end_waiting() -> None:
    """End the streams that could not be ended where they were collected."""
    while waiting:
        waiting.popleft()()


def _is_safe() -> bool:
    """Whether no frame below us belongs to code that may hold a lock we need."""
    frame = sys._getframe(2)  # noqa: SLF001 - there is no other way to see who was interrupted
    while frame is not None:
        around = frame.f_globals
        if str(around.get("__name__", "")).partition(".")[0] in _LOCKING and DRIVES not in around:
            return False
        frame = frame.f_back  # type: ignore[assignment]
    return True
