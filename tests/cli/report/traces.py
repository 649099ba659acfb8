"""Traces for pages: made-up spans as OTLP writes them into a file, and as Jaeger's UI saves them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cli.drawing.drawing import span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_failover.cli.drawing.span_view import SpanView

QUOTA = "You exceeded your current quota, please check your plan"


def run(
    number: int = 1, parent: int | None = None, *, run_id: str = "r", outcome: str = "fallback", **more: Any
) -> SpanView:
    facts = {"failover.run.id": run_id, "failover.outcome": outcome, "candidate.provider": "gcp.gemini",
             "candidate.model": "gemini-2.5-flash", "failover.library": "manual", **more.pop("attributes", {})}  # fmt: skip
    return span("failover chat", number, parent, attributes=facts, service="shop", **more)


def candidate(number: int, parent: int | None, who: str, outcome: str = "error", **facts: Any) -> SpanView:
    """A candidate's span; further facts with `_` for `.`."""
    provider, _, model = who.partition("/")
    named = {name.replace("__", "."): value for name, value in facts.items() if "__" in name}
    fields = {name: value for name, value in facts.items() if "__" not in name}
    attributes = {"candidate.provider": provider, "candidate.model": model, "candidate.outcome": outcome,
                  "failover.run.id": fields.pop("run_id", "r"), **named}  # fmt: skip
    status = "ERROR" if outcome in ("error", "partial") else "UNSET"
    return span(f"candidate {provider}", number, parent, attributes=attributes, status=status, **fields)


def marker(number: int, parent: int, source: int, **facts: Any) -> SpanView:
    attributes = {"failover.attribution.rule": "stale_error", "failover.attribution.bound_by": "text",
                  "failover.attribution.source.provider": "openai", "failover.attribution.source.span_id": f"{source:016x}",
                  "failover.attribution.claimed.status_code": 429, "failover.attribution.claimed.reason": "quota",
                  "failover.attribution.claimed.message": QUOTA,
                  "failover.attribution.own": "no response in 123.0 s (timeout)", **facts}  # fmt: skip
    return span("failover.attribution.mismatch", number, parent, status="ERROR", attributes=attributes)


def incident(run_id: str = "r") -> list[SpanView]:
    """OpenAI is out of quota, Anthropic never answers and is told to be; the third answers."""
    verified = {"failover__attribution__verdict": "verified"}
    return [
        run(run_id=run_id, attributes={"failover.wasted.duration": 1.5}),
        candidate(2, 1, "openai/gpt-5.5", http__response__status_code=429, failover__reason__code="billing",
                  description=QUOTA, run_id=run_id, **verified),
        candidate(3, 1, "anthropic/claude-opus-4-7", failover__reason__code="timeout",
                  failover__attribution__verdict="mismatch", failover__attribution__mismatch=True, run_id=run_id),
        marker(4, 3, 2),
        candidate(5, 1, "gcp.gemini/gemini-2.5-flash", "success", http__response__status_code=200, run_id=run_id,
                  **verified),
    ]  # fmt: skip


# --- as files ---------------------------------------------------------------------------------------------------------


def otlp(views: Iterable[SpanView]) -> str:
    """Return a line of OTLP JSON."""
    scopes: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for view in views:
        scopes.setdefault((view.service, view.scope), []).append({
            "traceId": view.trace_id, "spanId": view.span_id, "parentSpanId": view.parent_id or "", "name": view.name,
            "startTimeUnixNano": str(view.start), "endTimeUnixNano": str(view.end),
            "status": {"code": {"UNSET": 0, "OK": 1, "ERROR": 2}[view.status], "message": view.description},
            "attributes": _pairs(view.attributes),
            "events": [{"name": each.name, "attributes": _pairs(each.attributes)} for each in view.events],
            "links": [{"spanId": each.span_id, "attributes": _pairs(each.attributes)} for each in view.links],
        })  # fmt: skip
    return json.dumps({"resourceSpans": [
        {"resource": {"attributes": _pairs({"service.name": service})},
         "scopeSpans": [{"scope": {"name": scope}, "spans": spans}]}
        for (service, scope), spans in scopes.items()
    ]})  # fmt: skip


def _pairs(attributes: Any) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return (
        {"arrayValue": {"values": [_value(each) for each in value]}}
        if not isinstance(value, str)
        else {"stringValue": value}
    )


def jaeger(views: Iterable[SpanView]) -> dict[str, Any]:
    """Return a trace as Jaeger's UI saves it: zeros in front of ids left out, lists as texts, statuses as tags."""
    views = list(views)
    services = {
        service: f"p{number}" for number, service in enumerate(dict.fromkeys(each.service for each in views), 1)
    }
    trace_id = views[0].trace_id
    return {"data": [{
        "traceID": trace_id,
        "spans": [{
            "traceID": trace_id, "spanID": view.span_id.lstrip("0"), "operationName": view.name,
            "references": [{"refType": "CHILD_OF", "traceID": trace_id, "spanID": view.parent_id.lstrip("0")}]
            if view.parent_id else [],
            "startTime": view.start // 1000, "duration": (view.end - view.start) // 1000,
            "tags": [*_tags(view.attributes), *_tags({"otel.scope.name": view.scope}),
                     *(_tags({"otel.status_code": view.status}) if view.status != "UNSET" else []),
                     *(_tags({"otel.status_description": view.description}) if view.description else []),
                     *(_tags({"error": True}) if view.status == "ERROR" else [])],
            "logs": [{"timestamp": view.end // 1000, "fields": _tags({"event": each.name, **each.attributes})}
                     for each in view.events],
            "processID": services[view.service], "warnings": None,
        } for view in views],
        "processes": {number: {"serviceName": service or "unknown_service", "tags": []} for service, number in services.items()},
        "warnings": None,
    }], "total": 0, "errors": None}  # fmt: skip


def _tags(attributes: Any) -> list[dict[str, Any]]:
    kinds = {bool: "bool", int: "int64", float: "float64", str: "string"}
    return [
        {
            "key": key,
            "type": kinds.get(type(value), "string"),
            "value": value if type(value) in kinds else json.dumps(value),
        }
        for key, value in attributes.items()
    ]
