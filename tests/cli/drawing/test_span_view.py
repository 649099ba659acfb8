"""Spans from the SDK and from files are the same to the renderers."""

from __future__ import annotations

import json

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from otel_failover.cli.demo import otlp
from otel_failover.cli.drawing.span_view import SpanView, by_trace, from_otlp, from_readable


def some_spans() -> list[ReadableSpan]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(resource=Resource({"service.name": "s"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("scope")
    with tracer.start_as_current_span("parent") as parent:
        parent.set_attributes({"text": "ü", "whole": 2**40, "real": 0.5, "yes": True, "list": ("a", "b"), "no": False})
        parent.add_event("exception", {"traceId": "not an id"})
        child = tracer.start_span("child", set_span_in_context(parent))
        child.set_status(Status(StatusCode.ERROR, "went wrong"))
        child.end()
    return list(exporter.get_finished_spans())


def test_a_span_is_the_same_from_the_sdk_and_from_its_file() -> None:
    """Ids, times, statuses and every kind of attribute survive the way through OTLP JSON."""
    spans = some_spans()
    line = otlp.line(spans)
    assert list(from_otlp(json.loads(line))) == [from_readable(span) for span in spans]


def test_the_encoding_is_otlps_own() -> None:
    """Hex ids, numbers for enums, strings for 64-bit integers; keys of attributes are left alone."""
    line = otlp.line(some_spans())
    assert "\n" not in line
    (resource,) = json.loads(line)["resourceSpans"]
    child, parent = resource["scopeSpans"][0]["spans"]
    assert len(bytes.fromhex(parent["traceId"])) == 16
    assert len(bytes.fromhex(parent["spanId"])) == 8
    assert child["parentSpanId"] == parent["spanId"]
    assert child["status"] == {"code": 2, "message": "went wrong"}
    assert child["kind"] == 1
    assert parent["startTimeUnixNano"].isdecimal()
    values = {pair["key"]: pair["value"] for pair in parent["attributes"]}
    assert values["whole"] == {"intValue": str(2**40)}
    assert values["yes"] == {"boolValue": True}
    assert parent["events"][0]["attributes"] == [{"key": "traceId", "value": {"stringValue": "not an id"}}]


def test_a_view_is_a_copy() -> None:
    """What is written on the SDK's object after export is not seen."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("scope").start_span("a", attributes={"k": 1}).end()
    (span,) = exporter.get_finished_spans()
    view = from_readable(span)
    span._attributes = {}  # type: ignore[misc,assignment,unused-ignore]
    assert view.attributes == {"k": 1}


def test_files_of_other_writers_are_read() -> None:
    """Names for enums, upper-case ids, nested values, and nothing at all."""
    span = {
        "traceId": "AB" * 16,
        "spanId": "CD" * 8,
        "name": "n",
        "status": {"code": "STATUS_CODE_ERROR"},
        "attributes": [
            {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "7"}}]}}},
            {"key": "empty", "value": {}},
        ],
    }
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}, {}]}
    (view,) = from_otlp(request)
    assert (view.trace_id, view.span_id, view.status) == ("ab" * 16, "cd" * 8, "ERROR")
    assert view.attributes == {"map": {"k": 7}, "empty": None}
    assert list(from_otlp({})) == []


def test_traces_come_in_the_order_of_their_start() -> None:
    """And their spans too."""
    views = [SpanView("c", "2", "1", start=3), SpanView("b", "1", "2", start=2), SpanView("a", "1", "1", start=1)]
    assert [[view.name for view in trace] for trace in by_trace(views).values()] == [["a", "b"], ["c"]]
