"""A trace as Jaeger's UI saves it and its older query API answers it, as spans.

Times are microseconds, lists are JSON in a text, and what OpenTelemetry has fields for stands in tags:
`otel.scope.name`, `otel.status_code`, `otel.status_description`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import attributes as names
from otel_failover.cli.drawing.span_view import ERROR, OK, UNSET, EventView, LinkView, SpanView, service_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SCOPES: Final = ("otel.scope.name", "otel.library.name")
_LISTS: Final = frozenset({names.CHAIN, names.FINDING_CANDIDATES, names.FINDINGS, names.UNTRIED, names.WIRE_STATUSES})
_STATUS: Final = "otel.status_code"
_DESCRIPTION: Final = "otel.status_description"


def is_trace(document: Mapping[str, Any]) -> bool:
    """Whether a document is one trace of Jaeger's."""
    return isinstance(document.get("spans"), list) and "traceID" in document


def spans_of(trace: Mapping[str, Any]) -> Iterator[SpanView]:
    """Yield the spans of a trace.

    Args:
        trace: With `traceID`, `spans` and `processes`.
    """
    services = {
        key: service_of({"service.name": process.get("serviceName")})
        for key, process in (trace.get("processes") or {}).items()
    }
    for span in trace["spans"]:
        yield _span(span, services)


def _span(span: Mapping[str, Any], services: Mapping[str, str]) -> SpanView:
    tags = _tags(span.get("tags") or ())
    references = span.get("references") or ()
    parents = [each for each in references if each.get("refType") == "CHILD_OF" and each["traceID"] == span["traceID"]]
    parent = parents[0] if parents else None
    scope = next((str(tags.pop(key)) for key in _SCOPES if key in tags), "")
    start = int(span["startTime"]) * 1000
    status = str(tags.pop(_STATUS, ""))
    description = str(tags.pop(_DESCRIPTION, ""))
    return SpanView(
        name=span["operationName"],
        trace_id=_padded(span["traceID"], 32),
        span_id=_padded(span["spanID"], 16),
        parent_id=_padded(parent["spanID"], 16) if parent is not None else None,
        start=start,
        end=start + int(span["duration"]) * 1000,
        status=status if status in (OK, ERROR) else ERROR if tags.get("error") is True else UNSET,
        description=description,
        attributes=tags,
        scope=scope,
        events=tuple(_event(each) for each in span.get("logs") or ()),
        links=tuple(LinkView(_padded(each["spanID"], 16)) for each in references if each is not parent),
        service=services.get(span.get("processID", ""), ""),
    )


def _padded(number: str, digits: int) -> str:
    """Return an id with the zeros in front that Jaeger may leave out."""
    return number.lower().rjust(digits, "0")


def _event(log: Mapping[str, Any]) -> EventView:
    fields = _tags(log.get("fields") or ())
    return EventView(str(fields.pop("event", "")), fields)


def _tags(tags: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {tag["key"]: _value(tag["key"], tag.get("value")) for tag in tags}


def _value(key: str, value: Any) -> Any:
    """Return a list where a text must be one: a provider's message may look like one, too."""
    if key not in _LISTS or not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return tuple(found) if isinstance(found, list) else value
