"""Zero-length spans that make something visible: a row of its own in a trace viewer, found by its name."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import StatusCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    from otel_failover._core.config.runtime import Runtime

waiting: Final[deque[Callable[[], None]]] = deque(maxlen=256)
"""Markers that could not be made where the mismatch was found."""


def make(
    runtime: Runtime, name: str, context: Context, attributes: dict[str, Any], description: str, time: int
) -> None:
    """Start and end a marker.

    Args:
        runtime: Whose tracer makes it.
        name: Of the span.
        context: Of its parent.
        attributes: What stands on it.
        description: Of its ERROR status.
        time: In nanoseconds.
    """
    span = runtime.tracer.start_span(name, context, attributes=attributes, start_time=time)
    span.set_status(StatusCode.ERROR, description)
    span.end(time)


def make_later(*marker: Any) -> None:
    """Make a marker at our next step, where none can be started at the moment that shows it is due.

    Args:
        marker: As for `make`.
    """
    waiting.append(partial(make, *marker))


def make_waiting() -> None:
    """Make the markers that could not be made where the mismatch was found."""
    while waiting:
        waiting.popleft()()
