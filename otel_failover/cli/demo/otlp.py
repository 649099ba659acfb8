"""Spans as OTLP JSON: one ExportTraceServiceRequest a line, as collectors' file exporters write and Jaeger's UI takes.

OTLP's JSON is protobuf's with two exceptions (opentelemetry-proto, "JSON Protobuf Encoding"): trace and span ids are
hex, not base64; enums are numbers. Spans are encoded by OpenTelemetry's own encoder, so only the ids are left to do.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId"})


def line(spans: Sequence[ReadableSpan]) -> str:
    """Return one line of OTLP JSON, without its newline.

    Args:
        spans: Finished spans, as an exporter gets them.
    """
    from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    request = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    return json.dumps(_with_hex_ids(request), ensure_ascii=False, separators=(",", ":"))


def _with_hex_ids(node: Any) -> Any:
    """Return a JSON tree whose ids are hex; an attribute that happens to be called so is a `key`, never a field."""
    if isinstance(node, list):
        return [_with_hex_ids(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        name: base64.b64decode(value).hex() if name in _IDS else _with_hex_ids(value) for name, value in node.items()
    }
