"""A collector on loopback that takes OTLP over HTTP, and keeps what it got."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Collector:
    """The server, for a `with`.

    Args:
        status: What it answers.
        unknown: Paths that it answers 404 to.
    """

    def __init__(self, status: int = 200, unknown: tuple[str, ...] = ()) -> None:
        self.got: dict[str, list[bytes]] = {}
        self.headers: list[Any] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(status, unknown))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def _handler(self, status: int, unknown: tuple[str, ...]) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.got.setdefault(self.path, []).append(body)
                collector.headers.append(self.headers)
                self.send_response(404 if self.path in unknown else status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
