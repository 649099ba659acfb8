"""What an exporter sends, as spans: OTLP in protobuf or JSON, perhaps compressed, of a bounded size."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from otel_failover.cli.drawing.span_view import (
    ERROR,
    OK,
    UNSET,
    EventView,
    LinkView,
    SpanView,
    from_otlp,
    printable,
    service_of,
)
from otel_failover.cli.live.belonging import OpenAttempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
MOST: Final = 16 << 20
"""Bytes of a request, as it is sent."""
MOST_UNPACKED: Final = 64 << 20
_LONG: Final = 120
_STATUS: Final = (UNSET, OK, ERROR)
_WINDOW: Final = {"gzip": 31, "deflate": 15}
"""How zlib is told which of its formats to expect."""


class BadPayloadError(ValueError):
    """A request that is no OTLP; its text says why."""


def unpacked(body: bytes, encoding: str) -> bytes:
    """Return a body without its compression.

    Args:
        body: As it was sent.
        encoding: The header `Content-Encoding`.

    Raises:
        BadPayloadError: It cannot be decompressed, or is too large then.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOW:
        raise BadPayloadError(f"content encoding {encoding[:40]!r} is not known: gzip and deflate are")
    reader = zlib.decompressobj(_WINDOW[encoding])
    try:
        plain = reader.decompress(body, MOST_UNPACKED)
    except zlib.error as problem:
        raise BadPayloadError(f"it says {encoding}, and is none ({problem})") from None
    if reader.unconsumed_tail:
        raise BadPayloadError(f"it is over {MOST_UNPACKED >> 20} MiB when decompressed")
    if not reader.eof:
        raise BadPayloadError(f"it says {encoding}, and is cut")
    return plain


def spans_in(body: bytes, kind: str) -> list[SpanView]:
    """Return the spans of an ExportTraceServiceRequest.

    Args:
        body: Decompressed.
        kind: Its media type.

    Raises:
        BadPayloadError: It is none.
    """
    try:
        if kind != JSON:
            return list(from_protobuf(body))
        views = list(from_otlp(json.loads(body)))
        if not all(is_text(view) for view in views):
            raise TypeError  # noqa: TRY301
    except (Exception, RecursionError) as problem:
        what = "OTLP in JSON" if kind == JSON else "OTLP in protobuf"
        raise BadPayloadError(f"it is no {what} ({type(problem).__name__})") from None
    return views


def open_in(body: bytes) -> tuple[int, list[OpenAttempt]]:
    """Return which process says what is open in it.

    Args:
        body: `[process, [[run id, run's name, who, began, run began], ...]]`, in JSON.

    Raises:
        BadPayloadError: It is none.
    """
    try:
        process, attempts = json.loads(body)
        found = [
            OpenAttempt(_short(run_id), _short(name), _short(who), int(began), int(since))
            for run_id, name, who, began, since in attempts
        ]
        return int(process), found
    except (Exception, RecursionError) as problem:
        raise BadPayloadError(f"it does not say what is open ({type(problem).__name__})") from None


def _short(text: str) -> str:
    return printable(text)[:_LONG]


def is_text(view: SpanView) -> bool:
    """Whether what has to be text is text: JSON has other types where protobuf has none."""
    texts = [view.name, view.description, view.scope, *(event.name for event in view.events)]
    return all(isinstance(each, str) for each in texts) and all(isinstance(key, str) for key in view.attributes)


def from_protobuf(body: bytes) -> Iterator[SpanView]:
    """Yield the spans of an ExportTraceServiceRequest in protobuf.

    Args:
        body: The message's bytes.
    """
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    yield from from_message(ExportTraceServiceRequest.FromString(body))


def from_message(request: Any) -> Iterator[SpanView]:
    """Yield the spans of an ExportTraceServiceRequest that has been parsed."""
    for resource in request.resource_spans:
        service = service_of(_attributes(resource.resource.attributes))
        for scope in resource.scope_spans:
            yield from (_view(span, scope.scope.name, service) for span in scope.spans)


def _view(span: Any, scope: str, service: str) -> SpanView:
    return SpanView(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() or None,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        status=_STATUS[span.status.code] if span.status.code < len(_STATUS) else UNSET,
        description=span.status.message,
        attributes=_attributes(span.attributes),
        scope=scope,
        events=tuple(EventView(each.name, _attributes(each.attributes)) for each in span.events),
        links=tuple(LinkView(each.span_id.hex(), _attributes(each.attributes)) for each in span.links),
        service=service,
    )


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    """Return an AnyValue as Python's own."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(map(_value, value.array_value.values))
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)
