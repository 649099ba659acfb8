"""One span as the renderers read it, wherever it comes from: the SDK, or OTLP JSON in a file."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

UNSET: Final = "UNSET"
OK: Final = "OK"
ERROR: Final = "ERROR"
_STATUS: Final = (UNSET, OK, ERROR)
_CONTROL: Final = ("Cc", "Cf", "Zl", "Zp")
"""Unicode's categories of what is not seen but acts: escapes, changes of direction, line ends."""
_STATUS_NAMES: Final = {f"STATUS_CODE_{status}": status for status in _STATUS}


@dataclass(frozen=True, slots=True)
class EventView:
    """An event of a span.

    Args:
        name: Its name.
        attributes: Copied when the view is made.
    """

    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link of a span.

    Args:
        span_id: 16 hex digits, of the span that it leads to.
        attributes: Copied when the view is made.
    """

    span_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanView:
    """A finished span.

    Args:
        name: Its name.
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        parent_id: 16 hex digits; None for a root.
        start: Nanoseconds since the epoch.
        end: Nanoseconds since the epoch.
        status: `UNSET`, `OK` or `ERROR`.
        description: The status's description.
        attributes: Copied when the view is made: what is written on the span later is not seen.
        scope: Name of the instrumentation scope.
        events: In the order in which they were added.
        links: In the order in which they were added.
        service: Name of the service; empty where it has none.
        note: What a reader has to know of it besides.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None = None
    start: int = 0
    end: int = 0
    status: str = UNSET
    description: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    scope: str = ""
    events: tuple[EventView, ...] = ()
    links: tuple[LinkView, ...] = ()
    service: str = ""
    note: str = ""

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return max(0, self.end - self.start) / 1e9


def from_readable(span: ReadableSpan) -> SpanView:
    """Return the view of a span of the SDK, as it is now."""
    context, parent, scope = span.context, span.parent, span.instrumentation_scope
    return SpanView(
        name=span.name,
        trace_id=f"{context.trace_id:032x}" if context else "",
        span_id=f"{context.span_id:016x}" if context else "",
        parent_id=f"{parent.span_id:016x}" if parent else None,
        start=span.start_time or 0,
        end=span.end_time or 0,
        status=span.status.status_code.name,
        description=span.status.description or "",
        attributes=dict(span.attributes or {}),
        scope=scope.name if scope else "",
        events=tuple(EventView(event.name, dict(event.attributes or {})) for event in span.events),
        links=tuple(LinkView(f"{each.context.span_id:016x}", dict(each.attributes or {})) for each in span.links),
        service=service_of(span.resource.attributes if span.resource is not None else {}),
    )


def service_of(attributes: Mapping[str, Any]) -> str:
    """Return the name of a service; empty where the SDK made one up."""
    name = str(attributes.get("service.name") or "")
    return "" if name.startswith("unknown_service") else name


def from_otlp(request: Mapping[str, Any]) -> Iterator[SpanView]:
    """Yield the spans of an ExportTraceServiceRequest in OTLP's JSON encoding.

    Args:
        request: One decoded document, or one line of a file: `{"resourceSpans": [...]}`.
    """
    for resource in request.get("resourceSpans", ()):
        service = service_of(_attributes(resource.get("resource", {}).get("attributes", ())))
        for scope in resource.get("scopeSpans", ()):
            name = scope.get("scope", {}).get("name", "")
            yield from (_from_otlp_span(span, name, service) for span in scope.get("spans", ()))


def _from_otlp_span(span: Mapping[str, Any], scope: str, service: str) -> SpanView:
    status = span.get("status", {})
    code = status.get("code", 0)
    return SpanView(
        name=span.get("name", ""),
        trace_id=span.get("traceId", "").lower(),
        span_id=span.get("spanId", "").lower(),
        parent_id=span.get("parentSpanId", "").lower() or None,
        start=int(span.get("startTimeUnixNano", 0)),
        end=int(span.get("endTimeUnixNano", 0)),
        status=_STATUS_NAMES.get(code, UNSET) if isinstance(code, str) else _STATUS[code],
        description=status.get("message", ""),
        attributes=_attributes(span.get("attributes", ())),
        scope=scope,
        events=tuple(_from_otlp_event(event) for event in span.get("events", ())),
        links=tuple(_from_otlp_link(link) for link in span.get("links", ())),
        service=service,
    )


def _from_otlp_event(event: Mapping[str, Any]) -> EventView:
    return EventView(event.get("name", ""), _attributes(event.get("attributes", ())))


def _from_otlp_link(link: Mapping[str, Any]) -> LinkView:
    return LinkView(link.get("spanId", "").lower(), _attributes(link.get("attributes", ())))


def _attributes(pairs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: _value(pair.get("value", {})) for pair in pairs}


def _value(value: Mapping[str, Any]) -> Any:
    """Return an AnyValue as Python's own; 64-bit integers are strings in JSON."""
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return tuple(_value(each) for each in value["arrayValue"].get("values", ()))
    if "kvlistValue" in value:
        return _attributes(value["kvlistValue"].get("values", ()))
    return next(
        (value[kind] for kind in ("stringValue", "boolValue", "doubleValue", "bytesValue") if kind in value), None
    )


def printable(text: str) -> str:
    """Return a text with a blank for each control character: a span's text may not move a terminal's cursor."""
    return "".join(" " if unicodedata.category(sign) in _CONTROL else sign for sign in text)


def shown(view: SpanView) -> SpanView:
    """Return a view whose texts are printable."""
    return replace(
        view,
        name=printable(view.name),
        description=printable(view.description),
        service=printable(view.service),
        attributes=_shown(view.attributes),
        events=tuple(EventView(printable(each.name), _shown(each.attributes)) for each in view.events),
        links=tuple(LinkView(each.span_id, _shown(each.attributes)) for each in view.links),
    )


def _shown(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: printable(value) if isinstance(value, str) else value for key, value in attributes.items()}


def by_trace(views: Iterable[SpanView]) -> dict[str, list[SpanView]]:
    """Return spans by trace, traces in the order of their first start, spans in the order of theirs."""
    traces: dict[str, list[SpanView]] = {}
    for view in sorted(views, key=lambda view: view.start):
        traces.setdefault(view.trace_id, []).append(view)
    return traces
