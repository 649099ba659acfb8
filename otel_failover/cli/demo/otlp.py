"""The demo's spans over OTLP: as lines of JSON in a file, and sent with its metrics to a collector.

A line is one ExportTraceServiceRequest, as collectors' file exporters write it and Jaeger's UI takes it. OTLP's JSON is
protobuf's with two exceptions (opentelemetry-proto, "JSON Protobuf Encoding"): trace and span ids are hex, not base64;
enums are numbers. Spans are encoded by OpenTelemetry's own encoder, so only the ids are left to do.
"""

from __future__ import annotations

import base64
import json
import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_failover.cli.otlp_endpoints import METRICS, TRACES, Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId"})

_PATIENCE: Final = 5
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


# --- a line in a file -------------------------------------------------------------------------------------------------


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


# --- sending ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one signal.

    Args:
        endpoint: Where it was sent to.
        problem: Why it was not taken; None if it was.
    """

    endpoint: Endpoint
    problem: str | None

    @property
    def harmless(self) -> bool:
        """Whether it was taken, or could not be: below one base URL, a store of traces answers 404 to metrics."""
        endpoint = self.endpoint
        is_optional = endpoint.signal == METRICS and endpoint.below_base
        return self.problem is None or (is_optional and "code: 404" in self.problem)


def send(endpoint: Endpoint, spans: Sequence[ReadableSpan], data: MetricsData | None) -> Delivery:
    """Send one signal, and say whether the collector took it.

    Args:
        endpoint: Where to, and which signal.
        spans: The demo's spans.
        data: The demo's metrics.
    """
    return Delivery(endpoint, _problem(endpoint, spans, data))


def _problem(endpoint: Endpoint, spans: Sequence[ReadableSpan], data: MetricsData | None) -> str | None:
    problem = endpoint.problem()
    if problem is not None:
        return problem
    with _last_complaint() as complaints, _direct(endpoint.host):
        try:
            sent = _send_traces(endpoint, spans) if endpoint.signal == TRACES else _send_metrics(endpoint, data)
        except Exception as failure:
            return f"{type(failure).__name__}: {failure}"
    if sent:
        return None
    return "; ".join(filter(None, [complaints[-1] if complaints else "the exporter does not say why", endpoint.hint]))


def _send_traces(endpoint: Endpoint, spans: Sequence[ReadableSpan]) -> bool:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    exporter: SpanExporter = OTLPSpanExporter(endpoint=endpoint.url, timeout=_PATIENCE)
    try:
        return exporter.export(spans) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()


def _send_metrics(endpoint: Endpoint, data: MetricsData | None) -> bool:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult

    exporter: MetricExporter = OTLPMetricExporter(endpoint=endpoint.url, timeout=_PATIENCE)
    try:
        return data is not None and exporter.export(data) is MetricExportResult.SUCCESS
    finally:
        exporter.shutdown()


class _Keeps(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's text on one line."""
        self.messages.append(" ".join(record.getMessage().split()))


@contextmanager
def _last_complaint() -> Iterator[list[str]]:
    """Give a list that fills with what the exporter logs: its result is a bare FAILURE."""
    logger, handler = logging.getLogger("opentelemetry.exporter"), _Keeps()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield handler.messages
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextmanager
def _direct(host: str) -> Iterator[None]:
    """Let no proxy stand between this machine and a collector on it; exporters before 1.45 ask the environment."""
    if host not in _LOOPBACK:
        yield
        return
    before: dict[str, Any] = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    os.environ.update(dict.fromkeys(before, "*"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
