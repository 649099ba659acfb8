"""What exporters send is read; what is none is refused with a sentence, whatever it is."""

from __future__ import annotations

import gzip
import json
import random
import zlib

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from otel_failover.cli.demo import otlp
from otel_failover.cli.drawing.span_view import from_readable
from otel_failover.cli.watch.payload import JSON, MOST_UNPACKED, PROTOBUF, BadPayloadError, spans_in, unpacked
from tests.cli.drawing.test_span_view import some_spans


def test_a_span_is_the_same_in_protobuf_and_in_json() -> None:
    """Ids, times, statuses, the service, and every kind of attribute."""
    spans = some_spans()
    expected = [from_readable(span) for span in spans]
    assert spans_in(encode_spans(spans).SerializeToString(), PROTOBUF) == expected
    assert spans_in(otlp.line(spans).encode(), JSON) == expected
    assert {view.service for view in expected} == {"s"}


@pytest.mark.parametrize(("encoding", "packed"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("", bytes)])
def test_a_body_is_decompressed(encoding: str, packed: type[bytes]) -> None:
    assert unpacked(packed(b"body"), encoding) == b"body"


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (b"no gzip", "gzip", "it says gzip, and is none"),
        (gzip.compress(b"body" * 99)[:-9], "gzip", "it says gzip, and is cut"),
        (gzip.compress(bytes(MOST_UNPACKED + 1)), "gzip", "it is over 64 MiB when decompressed"),
        (b"", "br", "content encoding 'br' is not known"),
    ],
)
def test_what_cannot_be_decompressed_is_refused(body: bytes, encoding: str, why: str) -> None:
    with pytest.raises(BadPayloadError, match=why):
        unpacked(body, encoding)


SPANS: list[object] = [
    5, {"traceId": 5}, {"status": {"code": 9}}, {"status": []}, {"attributes": [{}]}, {"startTimeUnixNano": "soon"},
    {"startTimeUnixNano": None}, {"events": {"a": 1}}, {"links": "no"}, {"name": 5}, {"name": None},
]  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        *("", "[]", "7", "null", "{", '{"resourceSpans": 5}', '{"resourceSpans": [[]]}', "[" * 100_000),
        *(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}) for span in SPANS),
    ],
    ids=lambda document: document[-40:],
)
def test_json_that_is_no_otlp_is_refused(document: str) -> None:
    with pytest.raises(BadPayloadError, match="it is no OTLP in JSON"):
        spans_in(document.encode(), JSON)


def test_bytes_that_are_no_otlp_are_refused_or_hold_spans_that_can_be_read() -> None:
    whole = encode_spans(some_spans()).SerializeToString()
    chance, refused = random.Random(7), 0
    for _ in range(500):
        broken = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            spans_in(bytes(broken[: chance.randrange(len(broken))]), PROTOBUF)
        except BadPayloadError:
            refused += 1
    assert refused > 100
