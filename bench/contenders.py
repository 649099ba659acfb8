"""Who is measured: each is put on before it is measured and taken off after, within one process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import openai
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from bench.by_hand import ByHand
from bench.stage import CHAIN, FIRST, MODEL, RECORDING, SECOND, Case, Telemetry
from otel_failover import FailoverInstrumentor, failover_run
from otel_failover._core.domain import attributes as names
from otel_failover._core.evidence.orphans import orphans

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from typing_extensions import Self


class Contender:
    """The bare SDK; what all others are measured against.

    Args:
        processors: More span processors, to look at what is made.
        kind: Of telemetry, one of `stage.KINDS`.
    """

    name = "nothing"
    says = "the bare SDK"
    asked: tuple[str, ...] = ("success", "429", "stream", "by wire", "in turn")
    """The cases that it is measured in."""

    def __init__(self, *processors: SpanProcessor, kind: str = RECORDING) -> None:
        self.telemetry = Telemetry(*processors, kind=kind)

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

    def run(self, case: Any) -> None:
        """Make the loop's one pass; a refused call is a failed candidate."""
        try:
            case.ask()
        except openai.OpenAIError:
            return


class OneSpan(Contender):
    """One span by hand, with what everybody writes on it."""

    name = "one_span"
    says = "one span by hand, no metrics"
    asked = ("success", "429", "stream", "by wire")

    def __init__(self, *processors: SpanProcessor, kind: str = RECORDING) -> None:
        super().__init__(*processors, kind=kind)
        self._tracer = self.telemetry.traces.get_tracer("application")

    def run(self, case: Any) -> None:
        """Make one call."""
        asked = {names.GEN_AI_OPERATION: "chat", names.GEN_AI_PROVIDER: "openai", names.GEN_AI_REQUEST_MODEL: MODEL}
        with self._tracer.start_as_current_span(
            f"chat {MODEL}", kind=SpanKind.CLIENT, attributes=asked, record_exception=False
        ) as span:
            try:
                found = case.ask()
            except openai.APIStatusError as problem:
                span.set_attributes({names.HTTP_STATUS: problem.status_code, names.ERROR_TYPE: type(problem).__name__})
                span.set_status(StatusCode.ERROR, problem.message)
                return
            if not getattr(case, "streamed", False):
                answer = found if isinstance(found, dict) else {"id": found.id, "model": found.model}
                span.set_attributes(
                    {names.GEN_AI_RESPONSE_ID: answer["id"], names.GEN_AI_RESPONSE_MODEL: answer["model"]}
                )


class ByHandContender(Contender):
    """The hand-written equivalent."""

    name = "by_hand"
    says = "three spans and metrics, hand-written"
    asked = ("success", "429", "stream")

    def __init__(self, *processors: SpanProcessor, kind: str = RECORDING) -> None:
        super().__init__(*processors, kind=kind)
        self._loop = ByHand(
            self.telemetry.traces.get_tracer("application"), self.telemetry.metrics.get_meter("application")
        )

    def run(self, case: Any) -> None:
        """Make one pass."""
        self._loop.run(CHAIN, case)


class GenAIContender(Contender):
    """OpenTelemetry's own instrumentation of the same SDK: one span and metrics per call."""

    name = "genai_openai"
    says = "opentelemetry-instrumentation-genai-openai, one span and metrics"
    asked = ("success", "429", "stream", "in turn")

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
    asked: tuple[str, ...] = ("success", "429", "stream")

    def put_on(self) -> None:
        """Instrument; what is remembered of sends before is forgotten, so that no contender meets another's."""
        orphans.clear()
        FailoverInstrumentor().instrument(tracer_provider=self.telemetry.traces, meter_provider=self.telemetry.metrics)

    def take_off(self) -> None:
        """Uninstrument."""
        FailoverInstrumentor().uninstrument()

    def run(self, case: Any) -> None:
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

    def run(self, case: Any) -> None:
        """Make one pass."""
        with failover_run("chat", chain=CHAIN):
            super(Ours, self).run(case)


class OursOutside(Ours):
    """A call outside any run: one span."""

    name = "ours_outside"
    says = "a call outside any run, one span; two in turn, an inferred run"
    asked = ("success", "429", "stream", "by wire", "in turn")

    def run(self, case: Any) -> None:
        """Make one call."""
        super(Ours, self).run(case)


CONTENDERS: Final[tuple[type[Contender], ...]] = (
    Contender,
    OneSpan,
    ByHandContender,
    GenAIContender,
    Ours,
    OursBare,
    OursOutside,
)
"""Who can be put on and taken off in one process."""


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
    kept = None  # its traceback holds this frame


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
    return frozenset(
        (name, tuple(sorted(labels))) for name, labels, _ in telemetry.counted() if name != names.METRIC_OPEN_AGE
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
