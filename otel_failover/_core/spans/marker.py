"""Spans of hardly any length that make something visible: a row of its own in a trace viewer, found by its name."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import StatusCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    from otel_failover._core.config.runtime import Runtime

LEAST: Final = 1_000
"""How long a span without a length is, in nanoseconds: Jaeger warns of one that ends when it starts."""

BEFORE_END: Final = 2_000
"""How long before its span's end an event lies that is written there, in nanoseconds: Jaeger, which cuts all times to
microseconds, hides what lies on the end or behind it."""

waiting: Final[deque[Callable[[], None]]] = deque(maxlen=256)
"""Markers that could not be made where the mismatch was found."""


def make(
    runtime: Runtime,
    name: str,
    context: Context,
    attributes: dict[str, Any],
    description: str,
    time: int,
    event: str | None = None,
) -> None:
    """Start and end a marker.

    Args:
        runtime: Whose tracer makes it.
        name: Of the span.
        context: Of its parent.
        attributes: What stands on it.
        description: Of its ERROR status.
        time: In nanoseconds.
        event: What is seen first when the row is opened, in a sentence; None for nothing.
    """
    span = runtime.tracer.start_span(name, context, attributes=attributes, start_time=time)
    span.set_status(StatusCode.ERROR, description)
    if event is not None:
        span.add_event(event, timestamp=time)
    span.end(time + LEAST)


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
