"""Listens for OTLP over HTTP, on loopback only; what comes is handed on as spans.

A page in a browser can send requests to loopback, too: those of a form have no media type of OTLP's, and are refused;
any other asks first, and is told nothing.
"""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Protocol

from otel_failover.cli.watch.payload import JSON, MOST, PROTOBUF, BadPayloadError, open_in, spans_in, unpacked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_failover.cli.drawing.span_view import SpanView
    from otel_failover.cli.live.belonging import OpenAttempt

HOST: Final = "127.0.0.1"
TRACES: Final = "/v1/traces"
WATCHED: Final = "/watched"
"""Where each Python of a watched command says that it is watched, by an empty body, or why not."""
OPEN: Final = "/open"
"""Where each of them says, once a second, what is open in it."""
_IGNORED: Final = ("/v1/metrics", "/v1/logs")
_PATIENCE: Final = 10
_LINE: Final = 1_024


class Receiver(Protocol):
    """Whom a listener hands on to, from threads of its own."""

    def took(self, views: Sequence[SpanView]) -> None:
        """Take spans."""

    def refused(self, why: str) -> None:
        """Take note of a request that could not be read."""

    def began(self, problem: str) -> None:
        """Take note of a Python of the watched command: why it is not watched; empty where it is."""

    def is_open(self, process: int, attempts: Sequence[OpenAttempt]) -> None:
        """Take note of what is open in a process of the watched command now."""


class Listener:
    """A server for OTLP over HTTP: protobuf and JSON, gzip; metrics and logs are accepted and ignored.

    Args:
        receiver: Whom to hand on to.
        port: Where; 0 takes a free one.

    Raises:
        OSError: Somebody else listens there.
    """

    def __init__(self, receiver: Receiver, port: int = 0) -> None:
        self._server = _Server((HOST, port), _handler(receiver))
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # On Windows a second server could listen on the same port, and get the first one's requests.
    allow_reuse_address = os.name != "nt"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that is gone."""


class _UnreadableError(Exception):
    """A request that is answered with a status of its own.

    Args:
        status: Of the answer.
        why: A sentence.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _PATIENCE

        def do_POST(self) -> None:
            path = self.path.partition("?")[0].rstrip("/")
            if path not in (TRACES, WATCHED, OPEN, *_IGNORED):
                self._answer(404, f"{TRACES} is where spans are taken")
                return
            try:
                body, kind = self._body(), self.headers.get_content_type()
                if path == TRACES:
                    if kind not in (PROTOBUF, JSON):
                        raise _UnreadableError(415, f"content type {kind[:60]!r} is not OTLP's: {PROTOBUF} or {JSON}")  # noqa: TRY301
                    encoding = self.headers.get("content-encoding", "").strip().lower()
                    receiver.took(spans_in(unpacked(body, encoding), kind))
                elif path == WATCHED:
                    receiver.began(body[:_LINE].decode("utf-8", "replace"))
                elif path == OPEN:
                    receiver.is_open(*open_in(body))
            except (_UnreadableError, BadPayloadError) as problem:
                receiver.refused(str(problem))
                self._answer(getattr(problem, "status", 400), str(problem))
            except OSError:  # it was not sent to its end
                self.close_connection = True
            else:
                self._answer(200, "{}" if kind == JSON else "", kind if kind in (JSON, PROTOBUF) else PROTOBUF)

        def _body(self) -> bytes:
            if "chunked" in self.headers.get("transfer-encoding", "").lower():
                return self._chunks()
            try:
                length = int(self.headers.get("content-length", ""))
            except ValueError:
                raise self._torn(411, "it does not say how long it is") from None
            if not 0 <= length <= MOST:
                raise self._torn(413, f"it is over {MOST >> 20} MiB")
            body = self.rfile.read(length)
            if len(body) < length:
                raise self._torn(400, "it was not sent to its end")
            return body

        def _chunks(self) -> bytes:
            body = bytearray()
            while True:
                try:
                    size = int(self.rfile.readline(_LINE).partition(b";")[0], 16)
                except ValueError:
                    raise self._torn(400, "its chunks cannot be read") from None
                if not 0 <= size <= MOST - len(body):
                    raise self._torn(413, f"it is over {MOST >> 20} MiB")
                body += self.rfile.read(size)
                while size == 0 and self.rfile.readline(_LINE).strip():
                    pass
                if size == 0:
                    return bytes(body)
                self.rfile.readline(_LINE)

        def _torn(self, status: int, why: str) -> _UnreadableError:
            """Return what says that the rest of the connection cannot be read any more."""
            self.close_connection = True
            return _UnreadableError(status, why)

        def _answer(self, status: int, text: str, kind: str = "text/plain") -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            if self.close_connection or status == 404:
                self.close_connection = True
                self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Log nothing."""

    return Handler
