"""The span of a run: what became of it, in our own words only. No provider's text stands on it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import providers
from otel_failover._core.domain.candidate import shown
from otel_failover._core.spans.marker import LEAST
from otel_failover._core.spans.registry import enclosing
from otel_failover._core.text.gate import named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span

    from otel_failover._core.config.runtime import Runtime
    from otel_failover._core.domain.candidate import Candidate
    from otel_failover._core.spans.registry import EnclosedRun

_UNTRIED: Final = 64


class RunSpan:
    """Owns one run's span, and makes the spans of the candidates that it passes over.

    Args:
        runtime: Settings, tracer, instruments.
        operation: What is asked for, redacted; part of the span's name.
        attributes: What is known at the start, so that samplers see it.
        current: The context that the run happens in.
        since: When it began, in nanoseconds; None for now.
        links: To the calls that it began with, before it was known to be one.
    """

    __slots__ = ("_runtime", "span")

    def __init__(
        self,
        runtime: Runtime,
        operation: str,
        attributes: Mapping[str, Any],
        current: Context,
        since: int | None = None,
        links: Sequence[Link] = (),
    ) -> None:
        self._runtime = runtime
        self.span: Span = runtime.tracer.start_span(
            f"{names.SPAN_RUN} {operation}", current, SpanKind.INTERNAL, attributes, links, since
        )

    @staticmethod
    def note_enclosing(run: EnclosedRun, current: Context) -> None:
        """Let the checker know which span a run happens in: a span that encloses runs is judged by their evidence.

        Args:
            run: The run.
            current: The context that it happens in.
        """
        around = get_current_span(current)
        if around.is_recording():
            enclosing.begin(around.get_span_context().span_id, run)

    def skip(
        self,
        candidate: Candidate,
        index: int,
        reason: str,
        cause: str | None,
        run_id: str,
        parent: Context | None,
        *,
        doubled: bool,
    ) -> None:
        """Make the span of a candidate that is passed over: it has hardly any length.

        Args:
            candidate: Who.
            index: Its place in the chain, -1 outside it.
            reason: The loop's word, redacted.
            cause: The span where the failure that armed it was seen.
            run_id: Of the run.
            parent: The run's context.
            doubled: The provider occurs twice in the chain, so that the span's name needs the place.
        """
        attributes: dict[str, Any] = {
            names.CANDIDATE_PROVIDER: named(candidate.provider),
            names.CANDIDATE_MODEL: shown(candidate.model),
            names.CANDIDATE_INDEX: index,
            names.CANDIDATE_OUTCOME: "skipped",
            names.RUN_ID: run_id,
            names.SKIP_REASON: reason,
        }
        if cause:
            attributes[names.SKIP_CAUSE_SPAN_ID] = cause
        now = time.time_ns()
        place = f" #{index}" if doubled else ""
        name = f"{names.SPAN_SKIP} {providers.metric_value(candidate.provider)}{place}"
        span = self._runtime.tracer.start_span(name, parent, SpanKind.INTERNAL, attributes, start_time=now)
        span.end(now + LEAST)

    def fail(
        self, attributes: dict[str, Any], outcome: str, sentence: str, stop_reason: str | None, untried: Sequence[str]
    ) -> None:
        """Say that the run failed, and how.

        Args:
            attributes: Of the span; what is added stands there.
            outcome: `exhausted` or `stopped`.
            sentence: Who failed of what, in our own words.
            stop_reason: Why the loop ended on purpose, in its own word.
            untried: Labels of the places that were neither tried nor passed over.
        """
        attributes[names.ERROR_TYPE] = outcome
        if stop_reason is not None:
            attributes[names.STOP_REASON] = self._runtime.redacted(stop_reason, (), 255)
        if untried:
            attributes[names.UNTRIED] = list(untried[:_UNTRIED])
        self.span.set_status(StatusCode.ERROR, sentence)

    def end(self, at: int) -> None:
        """End it.

        Args:
            at: When the run was left, in nanoseconds.
        """
        self.span.end(at)
