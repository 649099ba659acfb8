"""Spans and metrics as they leave the process, in a form that tests read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.trace import Tracer

_STATUS = {0: "UNSET", 1: "OK", 2: "ERROR"}


@dataclass
class Exported:
    """One span as it was serialised at export time."""

    name: str
    span_id: str
    parent_id: str | None
    trace_id: str
    status: str
    description: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    scope: str
    start: int
    end: int
    raw: bytes = field(repr=False, default=b"")
    links: list[dict[str, Any]] = field(default_factory=list)

    def __getitem__(self, key: str) -> Any:
        return self.attributes.get(key)

    @property
    def verdict(self) -> tuple[str | None, str | None]:
        """Verdict and rule."""
        return self["failover.attribution.verdict"], self["failover.attribution.rule"]


class SerialisingExporter(SpanExporter):
    """Keeps what OTLP would carry, byte by byte, at the moment of export."""

    def __init__(self) -> None:
        self.spans: list[Exported] = []
        self.raw: list[bytes] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the SDK's signature
        message = encode_spans(spans)
        self.raw.append(message.SerializeToString())
        self.spans += spans_in(message)
        return SpanExportResult.SUCCESS


def spans_in(message: Any) -> list[Exported]:
    """Return the spans that a message of OTLP carries."""
    return [
        _exported(span, scope.scope.name)
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _exported(span: Any, scope: str) -> Exported:
    return Exported(
        name=span.name,
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() or None,
        trace_id=span.trace_id.hex(),
        status=_STATUS[span.status.code],
        description=span.status.message,
        attributes={each.key: value_of(each.value) for each in span.attributes},
        events=[(e.name, {each.key: value_of(each.value) for each in e.attributes}) for e in span.events],
        scope=scope,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        raw=span.SerializeToString(),
        links=[
            {"span_id": link.span_id.hex(), **{each.key: value_of(each.value) for each in link.attributes}}
            for link in span.links
        ],
    )


def value_of(value: Any) -> Any:
    """Return a value of OTLP as Python has it."""
    kind = value.WhichOneof("value")
    found: Any = getattr(value, kind) if kind else None
    return [value_of(each) for each in found.values] if kind == "array_value" else found


@dataclass
class Telemetry:
    """What a test looks at.

    Attributes:
        planted: Keys that must not leave the process, besides those of the table.
        disclosed: Ids of spans in which the application itself wrote a key.
    """

    provider: TracerProvider
    exporter: SerialisingExporter
    reader: InMemoryMetricReader
    planted: set[str] = field(default_factory=set)
    disclosed: set[str] = field(default_factory=set)

    @property
    def tracer(self) -> Tracer:
        """A tracer of the application."""
        return self.provider.get_tracer("application")

    @property
    def spans(self) -> list[Exported]:
        """Everything exported so far."""
        return self.exporter.spans

    def named(self, name: str) -> list[Exported]:
        """Spans of one name, in the order of their start."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start)

    def starting(self, prefix: str) -> list[Exported]:
        """Spans whose name starts with a word, in the order of their start."""
        return sorted((span for span in self.spans if span.name.startswith(prefix)), key=lambda span: span.start)

    @property
    def run(self) -> Exported:
        """The only run span."""
        (run,) = self.starting("failover ")
        return run

    @property
    def candidates(self) -> list[Exported]:
        """Candidate spans in order."""
        return self.starting("candidate ")

    @property
    def markers(self) -> list[Exported]:
        """Marker spans."""
        return self.named("failover.attribution.mismatch")

    def children(self, span: Exported) -> list[Exported]:
        """Spans right below one."""
        return sorted((each for each in self.spans if each.parent_id == span.span_id), key=lambda each: each.start)

    def clear(self) -> None:
        """Forget what was exported."""
        self.exporter.spans.clear()
        self.exporter.raw.clear()

    def metric(self, name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        """Points of a metric by their attributes: a count or a sum."""
        data = self.reader.get_metrics_data()
        found: dict[tuple[tuple[str, Any], ...], Any] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        for point in metric.data.data_points:
                            key = tuple(sorted((point.attributes or {}).items()))
                            found[key] = getattr(point, "value", getattr(point, "count", None))
        return found
