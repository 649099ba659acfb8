"""Zero-length spans that make something visible in a trace viewer and searchable by name."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.trace import StatusCode

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_failover._core.config.runtime import Runtime


class Marker(NamedTuple):
    """A span of no length to be made, which shows as a row of its own.

    Args:
        runtime: Whose tracer makes it.
        name: Of the span.
        context: Of its parent.
        attributes: What stands on it.
        description: Of its ERROR status.
        time: In nanoseconds.
    """

    runtime: Runtime
    name: str
    context: Context
    attributes: dict[str, Any]
    description: str
    time: int

    def make(self) -> None:
        """Start and end it."""
        span = self.runtime.tracer.start_span(self.name, self.context, attributes=self.attributes, start_time=self.time)
        span.set_status(StatusCode.ERROR, self.description)
        span.end(self.time)


_waiting: Final[deque[Marker]] = deque(maxlen=256)


def make_waiting() -> None:
    """Make the markers that could not be made where the mismatch was found."""
    while _waiting:
        _waiting.popleft().make()
