"""A small HTTP/1.1 server on the loopback address that can misbehave on purpose.

`http.server` would do for well-behaved answers. The local providers also have to stay silent, break off in
mid-body, reset the connection, and notice at once that a client has given up, with thousands of such
connections open. So this is one event loop in one daemon thread: a silent connection costs a timer, and a
client that leaves is an event.

A handler gets one `Request` and returns a generator: it yields bytes to write and `Pause`s to wait, and
returns the `Ending` of the connection. When the client leaves first, the generator is closed, so it learns of
it as of any `GeneratorExit`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

__all__ = ["Ending", "LoopbackServer", "Pause", "Request", "Steps", "http_chunk", "http_head"]

_ADDRESS = "127.0.0.1"
_BACKLOG = 1024
_STOP_TIMEOUT = 5.0
_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Ending(Enum):
    """What becomes of the connection after an answer."""

    KEEP = "keep"  # open for the next request, where the client wants that
    CLOSE = "close"  # an orderly end (FIN)
    RESET = "reset"  # a broken one (RST)


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence for some seconds before the next step."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; header names are lowercased, the query is kept apart from the path."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    keep_alive: bool = True


Steps = Generator[bytes | Pause, None, Ending]


def http_head(status: int, headers: Mapping[str, str]) -> bytes:
    """Return the status line and the header fields of an answer.

    Statuses the standard library has no phrase for (Anthropic's 529) get an empty one, which is valid.
    """
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {phrase}\r\n{fields}\r\n".encode("latin-1")


def http_chunk(data: bytes) -> bytes:
    """Return `data` as one chunk of a chunked body; empty data ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _parse_head(head: bytes) -> Request:
    """Return the request a head describes, without its body; raises ValueError for what is not HTTP/1."""
    request_line, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = request_line.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"{version!r} is not a version of HTTP/1")
    fields = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    path, _, query = target.partition("?")
    wanted = headers.get("connection", "").lower()
    keep_alive = wanted != "close" if version == "HTTP/1.1" else wanted == "keep-alive"
    return Request(method, path, query, headers, keep_alive=keep_alive)


def _unchunk(data: bytearray) -> tuple[bytes, int] | None:
    """Return a chunked body and the length it takes on the wire, or None while it is incomplete."""
    parts: list[bytes] = []
    position = 0
    while (line_end := data.find(b"\r\n", position)) >= 0:
        size = int(bytes(data[position:line_end]).partition(b";")[0], 16)
        if size == 0:
            end = data.find(b"\r\n\r\n", line_end)
            return (b"".join(parts), end + 4) if end >= 0 else None
        start = line_end + 2
        parts.append(bytes(data[start : start + size]))
        position = start + size + 2
    return None


class _Connection(asyncio.Protocol):
    """One client's connection: takes requests off the wire and plays one answer after the other.

    Small chunks leave at once: asyncio sets TCP_NODELAY only on sockets that name their protocol, which accepted ones
    do not.
    """

    def __init__(self, handler: Callable[[Request], Steps], connections: set[_Connection]) -> None:
        self._handler = handler
        self._connections = connections
        self._received = bytearray()
        self._head: Request | None = None
        self._steps: Steps | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._steps is not None:
            self._steps.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._serve()

    def abort(self) -> None:
        """Drop the connection, whatever it is doing."""
        self._transport.abort()

    def _serve(self) -> None:
        """Answer the complete requests in order; an answer that takes its time keeps the next waiting."""
        while self._steps is None:
            try:
                request = self._take_request()
            except ValueError:
                self._transport.write(_BAD_REQUEST)
                self._transport.close()
                return
            if request is None:
                return
            self._steps = self._handler(request)
            self._advance(self._steps, request)

    def _advance(self, steps: Steps, request: Request) -> None:
        """Play an answer up to its next pause or its end."""
        while True:
            try:
                step = next(steps)
            except StopIteration as stop:
                self._end(stop.value, keep_alive=request.keep_alive)
                return
            except BaseException:
                # A defect of ours: the client must not wait for it, and asyncio logs it.
                self._transport.abort()
                raise
            if isinstance(step, Pause):
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(step.seconds, self._resume, steps, request)
                return
            self._transport.write(step)

    def _resume(self, steps: Steps, request: Request) -> None:
        self._timer = None
        self._advance(steps, request)
        self._serve()

    def _end(self, ending: Ending, *, keep_alive: bool) -> None:
        """End one answer; if the connection ends with it, `_steps` stays set, so nothing more is served."""
        if ending is Ending.RESET:
            # Closing a socket that may not linger sends RST instead of FIN.
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            self._transport.abort()
        elif ending is Ending.CLOSE or not keep_alive:
            self._transport.close()
        else:
            self._steps = None

    def _take_request(self) -> Request | None:
        """Remove one whole request from what was received; None while there is none."""
        if self._head is None:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return None
            self._head = _parse_head(bytes(self._received[:end]))
            del self._received[: end + 4]
            if self._head.headers.get("expect", "").lower() == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._take_body(self._head.headers)
        if body is None:
            return None
        head, self._head = self._head, None
        return Request(head.method, head.path, head.query, head.headers, body, head.keep_alive)

    def _take_body(self, headers: Mapping[str, str]) -> bytes | None:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            unchunked = _unchunk(self._received)
            if unchunked is None:
                return None
            body, length = unchunked
        else:
            length = int(headers.get("content-length", 0))
            if len(self._received) < length:
                return None
            body = bytes(self._received[:length])
        del self._received[:length]
        return body


class LoopbackServer:
    """Serves a handler on a port of its own, from one daemon thread.

    The port is chosen at the first start and kept: a server that is closed refuses connections there, and one
    that is started again comes back under the same address, as a provider does after an outage.
    """

    def __init__(self, handler: Callable[[Request], Steps]) -> None:
        self._handler = handler
        self._connections: set[_Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.port: int | None = None

    def start(self, name: str) -> None:
        """Listen; `name` is the thread's. Raises OSError when somebody else has taken the kept port."""
        if self._thread is not None:
            return
        # Bound and listening in the caller's thread: errors surface there, and no client can come too early.
        listener = socket.create_server((_ADDRESS, self.port or 0), backlog=_BACKLOG)
        self.port = listener.getsockname()[1]
        # Named outright: the host's event loop policy (uvloop) is none of our business.
        self._loop = asyncio.SelectorEventLoop()
        ready = threading.Event()
        arguments = (self._loop, listener, ready)
        self._thread = threading.Thread(target=self._run, args=arguments, name=name, daemon=True)
        self._thread.start()
        ready.wait()

    def close(self) -> None:
        """Stop listening and drop every connection, hanging ones too."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_STOP_TIMEOUT)

    def _run(self, loop: asyncio.AbstractEventLoop, listener: socket.socket, ready: threading.Event) -> None:
        server = loop.run_until_complete(
            loop.create_server(self._connection, sock=listener, backlog=_BACKLOG),
        )
        loop.call_soon(ready.set)
        try:
            loop.run_forever()
        finally:
            server.close()
            loop.run_until_complete(self._drop_connections())
            loop.close()

    def _connection(self) -> _Connection:
        return _Connection(self._handler, self._connections)

    async def _drop_connections(self) -> None:
        """Finish what asyncio has begun to accept, then drop all; they learn of it in the next round."""
        accepting = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*accepting, return_exceptions=True)
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)
