"""The one private door into spans that the SDK has frozen."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Status, StatusCode

if TYPE_CHECKING:
    from collections.abc import Iterable


def write(span: Any, attributes: dict[str, Any]) -> bool:
    """Write attributes onto a span that is ending.

    Through the public API while the span still records (an SDK that follows the specification); else through the
    private attributes, which the same thread has ended a moment ago (frozen by `_attributes._immutable` since 1.43).
    Nothing else can write at this moment.

    Args:
        span: The span of `_on_ending`.
        attributes: What to set.

    Returns:
        Whether it was written.
    """
    if span.is_recording():
        span.set_attributes(attributes)
        return True
    private: Any = getattr(span, "_attributes", None)
    frozen = getattr(private, "_immutable", None)
    if not isinstance(frozen, bool) or not hasattr(private, "__setitem__"):
        return False
    private._immutable = False  # noqa: SLF001 - the private door, see above
    try:
        for key, value in attributes.items():
            private[key] = value
    finally:
        private._immutable = frozen  # noqa: SLF001
    return True


def take_out_events(span: Any, events: Iterable[Any]) -> None:
    """Take events out of a span of ours that application code put there; OpenTelemetry has no public way.

    Args:
        span: A recording span.
        events: The very objects.
    """
    kept: Any = getattr(getattr(span, "_events", None), "_dq", None)
    doomed = list(events)
    if isinstance(kept, deque) and doomed:
        left = [event for event in kept if not any(event is each for each in doomed)]
        kept.clear()
        kept.extend(left)


def take_out(span: Any, keys: Iterable[str]) -> None:
    """Take a status and attributes out of a span of ours that application code put there.

    OpenTelemetry has no public way; where the private one is not there either, the key stays and the verdict tells.

    Args:
        span: A recording span.
        keys: What to take out.
    """
    if isinstance(getattr(span, "_status", None), Status):
        span._status = Status(StatusCode.UNSET)  # noqa: SLF001 - as above
    private: Any = getattr(span, "_attributes", None)
    if hasattr(private, "__delitem__"):
        for key in keys:
            if key in private:
                del private[key]
