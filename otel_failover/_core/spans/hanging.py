"""Candidates that hang, reported while they do: a span that has not ended is never exported.

Asked by the gauge of open attempts whenever metrics are collected; no thread of ours.
"""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import candidate as identity
from otel_failover._core.failsafe import guarded
from otel_failover._core.spans import marker
from otel_failover._core.text.gate import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.trace import SpanContext

    from otel_failover._core.config.runtime import Runtime

    class Watched(Protocol):
        """An attempt that is open, as far as the watch asks."""

        started: float

        @property
        def provider(self) -> str:
            """The candidate's provider."""

        @property
        def model(self) -> str:
            """The candidate's model."""

        @property
        def live(self) -> bool:
            """Whether it still takes evidence."""

        @property
        def run_id(self) -> str:
            """Of its run; empty where there is none."""

        @property
        def span_context(self) -> SpanContext:
            """Its span's."""

        @property
        def is_untouched(self) -> bool:
            """Whether its answer's headers came, and the host has not begun to read on."""

        @property
        def chunks(self) -> Sequence[str] | None:
            """What its stream has yielded so far; None where it is none."""

        def inherited(self) -> dict[str, Any]:
            """Return the attributes that stand on every span started inside it."""


_progress: Final[weakref.WeakKeyDictionary[Watched, tuple[tuple[Any, ...], float]]] = weakref.WeakKeyDictionary()
"""What was last seen of a stream, and when: one that still yields does not hang."""
_reported: Final[weakref.WeakSet[Watched]] = weakref.WeakSet()


@guarded(fallback=None)
def look_at(runtime: Runtime, attempt: Watched, now: float) -> None:
    """Tell once of an attempt that has been silent for longer than `stale_after`.

    Args:
        runtime: Settings, tracer, logs.
        attempt: Open for longer than that.
        now: In seconds of the monotonic clock.
    """
    if attempt in _reported or not attempt.live:
        return
    if attempt.is_untouched:  # it is the host that takes its time
        _progress[attempt] = ((), now)
        return
    seen = _seen(attempt)
    before, since = _progress.get(attempt, ((), attempt.started))
    if seen and seen != before:
        _progress[attempt] = (seen, now)
        return
    if now - since <= runtime.settings.stale_after:
        return
    _reported.add(attempt)
    _report(runtime, attempt, now - since)


def _seen(attempt: Watched) -> tuple[Any, ...]:
    """Return what changes whenever a stream yields; empty where nothing was yielded."""
    chunks = attempt.chunks
    return (len(chunks), id(chunks[0]), id(chunks[-1])) if chunks else ()


def _report(runtime: Runtime, attempt: Watched, seconds: float) -> None:
    """Make the marker below the attempt's span, which cannot be exported yet, and log it."""
    sentence = f"{named(attempt.provider)}/{identity.shown(attempt.model)} has been silent for {seconds:.1f} s"
    attributes: dict[str, Any] = {**attempt.inherited(), names.SILENT_DURATION: round(seconds, 3)}
    if attempt.run_id:
        attributes[names.RUN_ID] = attempt.run_id
    parent = set_span_in_context(NonRecordingSpan(attempt.span_context))
    marker.make(runtime, names.SPAN_HUNG, parent, attributes, sentence, time.time_ns())
    place = attempt.span_context
    runtime.logs.log_limited(
        ("hung", attempt.provider, attempt.model),
        lambda: f"{sentence} trace_id={place.trace_id:032x} span_id={place.span_id:016x}",
    )
