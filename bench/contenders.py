"""Who is measured: each is put on before it is measured and taken off after, within one process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import openai
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bench.by_hand import ByHand
from bench.stage import CHAIN, FIRST, SECOND, Case, Telemetry
from otel_failover import FailoverInstrumentor, failover_run
from otel_failover._core.domain import attributes as names

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from typing_extensions import Self


class Contender:
    """The bare SDK; what all others are measured against.

    Args:
        processors: More span processors, to look at what is made.
    """

    name = "nothing"
    says = "the bare SDK"

    def __init__(self, *processors: SpanProcessor) -> None:
        self.telemetry = Telemetry(*processors)

    def __enter__(self) -> Self:
        self.put_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.take_off()

    def put_on(self) -> None:
        """Instrument."""

    def take_off(self) -> None:
        """Leave no wrapper behind."""

    def run(self, case: Case) -> None:
        """Make the loop's one pass; a refused call is a failed candidate."""
        try:
            case.ask()
        except openai.OpenAIError:
            return


class ByHandContender(Contender):
    """The hand-written equivalent."""

    name = "by_hand"
    says = "three spans and metrics, hand-written"

    def __init__(self, *processors: SpanProcessor) -> None:
        super().__init__(*processors)
        self._loop = ByHand(
            self.telemetry.traces.get_tracer("application"), self.telemetry.metrics.get_meter("application")
        )

    def run(self, case: Case) -> None:
        """Make one pass."""
        self._loop.run(CHAIN, case)


class GenAIContender(Contender):
    """OpenTelemetry's own instrumentation of the same SDK: one span and metrics per call."""

    name = "genai_openai"
    says = "opentelemetry-instrumentation-genai-openai, one span and metrics"

    def put_on(self) -> None:
        """Instrument."""
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument(
            tracer_provider=self.telemetry.traces, meter_provider=self.telemetry.metrics, skip_dep_check=True
        )

    def take_off(self) -> None:
        """Uninstrument."""
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

        OpenAIInstrumentor().uninstrument()


class Ours(Contender):
    """A run with a declared attempt."""

    name = "ours"
    says = "failover_run, with run.attempt(c)"

    def put_on(self) -> None:
        """Instrument."""
        FailoverInstrumentor().instrument(tracer_provider=self.telemetry.traces, meter_provider=self.telemetry.metrics)

    def take_off(self) -> None:
        """Uninstrument."""
        FailoverInstrumentor().uninstrument()

    def run(self, case: Case) -> None:
        """Make one pass."""
        with failover_run("chat", chain=CHAIN) as run:
            for candidate in CHAIN:
                try:
                    with run.attempt(candidate):
                        case.ask()
                        return
                except openai.OpenAIError:  # noqa: PERF203 - that is what a fallback loop is
                    continue


class OursBare(Ours):
    """A run whose attempt is inferred from the call."""

    name = "ours_bare"
    says = "failover_run, a bare call inside"

    def run(self, case: Case) -> None:
        """Make one pass."""
        with failover_run("chat", chain=CHAIN):
            super(Ours, self).run(case)


class OursOutside(Ours):
    """A call outside any run: one span."""

    name = "ours_outside"
    says = "a call outside any run, one span"

    def run(self, case: Case) -> None:
        """Make one call."""
        super(Ours, self).run(case)


CONTENDERS: Final[tuple[type[Contender], ...]] = (
    Contender,
    ByHandContender,
    GenAIContender,
    Ours,
    OursBare,
    OursOutside,
)


# --- the incident -----------------------------------------------------------------------------------------------------


class LoopError(Exception):
    """What a loop raises for its candidate."""


def two_failures(first: Case, second: Case, *, stale: bool) -> None:
    """Try two candidates in vain: one is out of quota, the other never answers.

    Args:
        first: Who answers 429.
        second: Who does not answer.
        stale: The loop raises the first one's words for the second, as a new exception; else the SDK's own error.
    """
    kept: openai.OpenAIError | None = None
    with failover_run("chat", chain=(FIRST, SECOND)) as run:
        for candidate, case in ((FIRST, first), (SECOND, second)):
            try:
                with run.attempt(candidate):
                    try:
                        case.ask()
                    except openai.OpenAIError as problem:
                        if stale and kept is not None:
                            raise LoopError(str(kept)) from None
                        kept = problem
                        raise
            except (openai.OpenAIError, LoopError):  # noqa: PERF203 - as above
                continue


# --- the same names ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """What a contender put on the wire, without the values.

    Args:
        spans: Name, kind, status, attribute names and events of each span, children first.
        metrics: Name and attribute names of each metric that counted something.
    """

    spans: tuple[tuple[Any, ...], ...]
    metrics: frozenset[tuple[str, tuple[str, ...]]]


def shape_of(contender: type[Contender], case: Case) -> Shape:
    """Run a contender once and return what it exported.

    Args:
        contender: Who.
        case: What it is asked.
    """
    exporter = InMemorySpanExporter()
    with contender(SimpleSpanProcessor(exporter)) as made:
        made.run(case)
        metrics = _metrics(made.telemetry)
    made.telemetry.shutdown()
    return Shape(tuple(_span(span) for span in exporter.get_finished_spans()), metrics)


def _span(span: ReadableSpan) -> tuple[Any, ...]:
    events = tuple((event.name, tuple(sorted(event.attributes or ()))) for event in span.events)
    return span.name, span.kind.name, span.status.status_code.name, tuple(sorted(span.attributes or ())), events


def _metrics(telemetry: Telemetry) -> frozenset[tuple[str, tuple[str, ...]]]:
    """Return the series that a run counted in: not those born at 0, nor the gauge that is read when asked."""
    data = telemetry.reader.get_metrics_data()
    return frozenset(
        (metric.name, tuple(sorted(point.attributes or ())))
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if metric.name != names.METRIC_OPEN_AGE and any(getattr(point, kind, 0) for kind in ("value", "count"))
    )


def assert_same_names(cases: tuple[Case, ...]) -> None:
    """Fail where the hand-written loop says less, or more, than ours: the comparison would not be one.

    Args:
        cases: What both are asked.

    Raises:
        AssertionError: Names the case and both shapes.
    """
    for case in cases:
        ours, by_hand = shape_of(Ours, case), shape_of(ByHandContender, case)
        assert len(ours.spans) == 3, f"{case.name}: {len(ours.spans)} spans, not three: {ours.spans}"
        for mine, theirs in zip(ours.spans, by_hand.spans, strict=True):
            assert mine == theirs, f"{case.name}: ours {mine}, by hand {theirs}"
        assert ours.metrics == by_hand.metrics, f"{case.name}: ours {ours.metrics}, by hand {by_hand.metrics}"
