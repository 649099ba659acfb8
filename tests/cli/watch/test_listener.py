"""OTLP on loopback: from real exporters, and from whoever sends what is none."""

from __future__ import annotations

import gzip
import http.client
import socket
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_failover.cli.demo import otlp
from otel_failover.cli.drawing.span_view import SpanView, from_readable
from otel_failover.cli.live.belonging import OpenAttempt
from otel_failover.cli.watch.grpc_listener import GrpcListener
from otel_failover.cli.watch.listener import Listener
from tests.cli.drawing.test_span_view import some_spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Kept:
    def __init__(self) -> None:
        self.views: list[SpanView] = []
        self.refusals: list[str] = []
        self.pythons: list[str] = []
        self.open: dict[int, Sequence[OpenAttempt]] = {}

    def took(self, views: Sequence[SpanView]) -> None:
        self.views += views

    def refused(self, why: str) -> None:
        self.refusals.append(why)

    def began(self, problem: str) -> None:
        self.pythons.append(problem)

    def is_open(self, process: int, attempts: Sequence[OpenAttempt]) -> None:
        self.open[process] = attempts


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def listener(kept: Kept) -> Iterator[Listener]:
    server = Listener(kept)
    yield server
    server.close()


def post(port: int, body: Any, path: str = "/v1/traces", **headers: str) -> tuple[int, bytes]:
    """Send a request; return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, body, named, encode_chunked=not isinstance(body, bytes))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_what_is_open_in_a_process_is_taken(kept: Kept, listener: Listener) -> None:
    assert post(listener.port, b'[7, [["r", "failover\\u001b chat", "openai m", 5, 3]]]', "/open")[0] == 200
    assert kept.open == {7: [OpenAttempt("r", "failover  chat", "openai m", 5, 3)]}
    for nonsense in (b"", b"7", b"[7]", b"[7, 5]", b'[7, [["r"]]]', b'["x", []]', b"[" * 100_000):
        assert post(listener.port, nonsense, "/open")[0] == 400, nonsense
    assert len(kept.refusals) == 7
    assert list(kept.open) == [7]


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_the_exporters_spans_are_taken(kept: Kept, listener: Listener, compression: Compression) -> None:
    spans = some_spans()
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{listener.port}/v1/traces", compression=compression)
    assert exporter.export(spans) is SpanExportResult.SUCCESS
    exporter.shutdown()  # type: ignore[no-untyped-call]
    assert kept.views == [from_readable(span) for span in spans]


def test_the_grpc_exporters_spans_are_taken(kept: Kept) -> None:
    grpc_exporter = pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")
    server = GrpcListener(kept)
    try:
        exporter = grpc_exporter.OTLPSpanExporter(endpoint=f"http://127.0.0.1:{server.port}", insecure=True)
        assert exporter.export(some_spans()) is SpanExportResult.SUCCESS
        with pytest.raises(OSError, match=r"\w"):
            GrpcListener(kept, server.port)
    finally:
        server.close()
    assert [view.name for view in kept.views] == ["child", "parent"]


def test_json_is_taken(kept: Kept, listener: Listener) -> None:
    body = otlp.line(some_spans()).encode()
    assert post(listener.port, body, content_type="application/json; charset=utf-8") == (200, b"{}")
    assert post(listener.port, gzip.compress(body), content_type="application/json", content_encoding="gzip")[0] == 200
    assert len(kept.views) == 4


def test_a_body_in_chunks_is_taken(kept: Kept, listener: Listener) -> None:
    """As Node's exporter sends what it compresses."""
    body = encode_spans(some_spans()).SerializeToString()
    parts = iter([body[:100], body[100:]])
    answer = post(listener.port, parts, content_type="application/x-protobuf", transfer_encoding="chunked")
    assert answer == (200, b"")
    assert len(kept.views) == 2


@pytest.mark.parametrize("path", ["/v1/metrics", "/v1/logs"])
def test_metrics_and_logs_are_accepted_and_ignored(kept: Kept, listener: Listener, path: str) -> None:
    assert post(listener.port, b"\xff\xff", path, content_type="application/x-protobuf") == (200, b"")
    assert (kept.views, kept.refusals) == ([], [])


@pytest.mark.parametrize(
    ("headers", "body", "status", "why"),
    [
        ({"content_type": "application/x-protobuf"}, b"\xff\xff\xff", 400, "it is no OTLP in protobuf"),
        ({"content_type": "application/json"}, b"{", 400, "it is no OTLP in JSON"),
        ({"content_type": "application/json", "content_encoding": "gzip"}, b"{}", 400, "it says gzip, and is none"),
        ({"content_type": "text/plain"}, b"{}", 415, "content type 'text/plain' is not OTLP's"),
        ({"content_type": "application/json", "content_length": "99999999"}, b"{}", 413, "it is over 16 MiB"),
        ({"content_type": "application/json", "content_length": "-1"}, b"{}", 413, "it is over 16 MiB"),
        ({"content_type": "application/json", "content_length": "ten"}, b"{}", 411, "it does not say how long it is"),
        ({"content_type": "application/json", "transfer_encoding": "chunked"}, b"zz\r\n", 400, "its chunks cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_otlp_is_refused(
    kept: Kept, listener: Listener, headers: dict[str, str], body: bytes, status: int, why: str
) -> None:
    answer, said = post(listener.port, body, **headers)
    assert (answer, kept.views) == (status, [])
    assert kept.refusals == [said.decode()]
    assert why in kept.refusals[0]
    assert post(listener.port, b"{}", content_type="application/json")[0] == 200


def test_other_paths_are_not_found(kept: Kept, listener: Listener) -> None:
    assert post(listener.port, b"", "/")[0] == 404


def test_a_client_that_goes_away_in_the_middle_hurts_nobody(
    kept: Kept, listener: Listener, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", listener.port)) as connection:
        connection.sendall(b"POST /v1/traces HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{}")
    assert post(listener.port, b"{}", content_type="application/json")[0] == 200
    assert capfd.readouterr().err == ""


def test_it_listens_on_loopback_only(kept: Kept, listener: Listener) -> None:
    with socket.socket() as other:
        other.settimeout(1)
        # 127.0.0.2 is this machine too, on Linux: what listens everywhere listens there.
        assert other.connect_ex(("127.0.0.2", listener.port)) != 0


def test_a_port_in_use_is_an_error(kept: Kept, listener: Listener) -> None:
    with pytest.raises(OSError, match=r"\w"):
        Listener(kept, listener.port)
