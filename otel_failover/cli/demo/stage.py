"""Runs the scenarios with telemetry of their own, and keeps what an exporter would have got."""

from __future__ import annotations

import logging
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from otel_failover.cli.demo import otlp, scenarios
from otel_failover.cli.drawing.span_view import SpanView, from_readable
from otel_failover.instrumentor import FailoverInstrumentor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Self

    from otel_failover.cli.demo.scenarios import Deviation, Played, Scenario

SERVICE: Final = "otel-failover-demo"
_LOUD: Final = (
    "otel_failover", "opentelemetry", "openai", "anthropic", "google_genai", "httpx", "httpx2", "httpcore", "httpcore2"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Act:
    """One scenario that has run, and its trace.

    Args:
        played: What was reported, and what was answered.
        views: The spans as they were at export.
        line: The same as a line of OTLP JSON.
        deviations: What is not as expected.
    """

    played: Played
    views: tuple[SpanView, ...]
    line: str
    deviations: tuple[Deviation, ...]


class _Kept(SpanExporter):
    """Keeps spans as they are at export: what is written on a span later never left the process, and is not shown."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.views: list[SpanView] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep some spans."""
        self.spans += spans
        self.views += map(from_readable, spans)
        return SpanExportResult.SUCCESS


class Stage:
    """Tracer provider, meter provider and instrumentation of the demo, from `with` to its end.

    Whatever the environment configures is left out, so that the same code shows the same thing everywhere; under
    `opentelemetry-instrument` the instrumentation that is already there is taken off first.
    """

    def __init__(self) -> None:
        self._exporter = _Kept()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(scenarios.own_environment())
            stack.enter_context(_quiet())
            self._start()
            stack.callback(self._stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        resource = Resource.create({"service.name": SERVICE, "service.instance.id": str(uuid.uuid4())})
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider(metric_readers=[self._reader], resource=resource, shutdown_on_exit=False)
        self._tracers = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
        self._tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        instrumentor = FailoverInstrumentor()
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()
        instrumentor.instrument(tracer_provider=self._tracers, meter_provider=self._meters, loops=list(scenarios.LOOPS))

    def _stop(self) -> None:
        FailoverInstrumentor().uninstrument()
        self._tracers.shutdown()
        self._meters.shutdown()

    def play(self, scenario: Scenario) -> Act:
        """Run a scenario in a trace of its own, and hold its spans against what is expected."""
        first = len(self._exporter.spans)
        with trace.use_span(trace.INVALID_SPAN):
            played = scenarios.play(scenario, self._tracers)
        spans, views = self._exporter.spans[first:], self._exporter.views[first:]
        return Act(played, tuple(views), otlp.line(spans), tuple(scenarios.deviations(played, views)))

    @property
    def spans(self) -> list[ReadableSpan]:
        """All spans so far, for an exporter."""
        return self._exporter.spans

    def metrics(self) -> MetricsData | None:
        """Return what the instruments counted so far."""
        return self._reader.get_metrics_data()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep loggers silent: what they would say stands in the output already."""
    loggers = [logging.getLogger(name) for name in _LOUD]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
