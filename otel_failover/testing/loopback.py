"""A small HTTP/1.1 server on the loopback address that can misbehave on purpose.

`http.server` would do for well-behaved answers. The local providers also have to stay silent, break off in
mid-body, reset the connection, and notice at once that a client has given up, with thousands of such
connections open. So this is one event loop in one daemon thread: a silent connection costs a timer, and a
client that leaves is an event. What goes over the wire is h11's, which knows no sockets; an answer whose framing is
to be broken goes past it, by its own wish.

A handler gets one `Request` and returns a generator: it yields a `Head`, pieces of the body and `Pause`s to wait, and
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
from typing import TYPE_CHECKING

try:
    import h11
except ImportError:
    raise ImportError("the local providers need h11: pip install 'otel-failover[testing]'") from None

if TYPE_CHECKING:
    from typing import TypeAlias

__all__ = ["Ending", "Head", "Last", "LoopbackServer", "Pause", "Request", "Steps"]

_ADDRESS = "127.0.0.1"
_BACKLOG = 1024
_STOP_TIMEOUT = 5.0
_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_LONGEST_HEAD = 1024 * 1024
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Ending(Enum):
    """What becomes of the connection after an answer."""

    KEEP = "keep"  # open for the next request, where the client wants that
    CLOSE = "close"  # an orderly end (FIN)
    RESET = "reset"  # a broken one (RST)


@dataclass(frozen=True, slots=True)
class Head:
    """The status line and the header fields of an answer, and the first of its body, in one piece.

    Args:
        status: Statuses the standard library has no phrase for (Anthropic's 529) get an empty one, which is valid.
        fields: Without a `content-length`, the body goes out in chunks.
        body: What goes out with it.
        is_framed: The body is what the fields say. Where it is not, its bytes go out as they stand: too few of them,
            too many, no chunks where the fields promise some.
    """

    status: int
    fields: Mapping[str, str]
    body: bytes = b""
    is_framed: bool = True


@dataclass(frozen=True, slots=True)
class Last:
    """The last piece of a body; its end goes out with it."""

    data: bytes


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


Step: TypeAlias = "Head | bytes | Last | Pause"
Steps = Generator[Step, None, Ending]


class _Wire:
    """One connection's HTTP: requests out of bytes, bytes out of the steps of an answer."""

    def __init__(self) -> None:
        self._protocol = self._fresh()
        self._head: h11.Request | None = None
        self._body: list[bytes] = []
        self._is_framed = self._keeps = True

    @staticmethod
    def _fresh() -> h11.Connection:
        return h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST_HEAD)

    def receive(self, data: bytes) -> None:
        """Take in what came."""
        self._protocol.receive_data(data)

    @property
    def is_waited_for(self) -> bool:
        """Whether the client sends its body only once it has been told to."""
        return bool(self._protocol.they_are_waiting_for_100_continue)

    def go_on(self) -> bytes:
        """Return what tells it to."""
        return self._sent(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))

    def next_request(self) -> Request | None:
        """Return the next whole request; None while there is none.

        Raises:
            h11.RemoteProtocolError: It is not HTTP/1.
        """
        while True:
            event = self._protocol.next_event()
            if isinstance(event, h11.Request):
                self._head, self._body = event, []
            elif isinstance(event, h11.Data):
                self._body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                return self._request()
            else:
                return None

    def _request(self) -> Request:
        assert self._head is not None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self._head.headers}
        self._keeps = "close" not in headers.get("connection", "").lower() and self._head.http_version != b"1.0"
        path, _, query = self._head.target.decode("latin-1").partition("?")
        return Request(self._head.method.decode("latin-1"), path, query, headers, b"".join(self._body))

    def bytes_of(self, step: Head | bytes | Last) -> bytes:
        """Return what goes out for a step of an answer."""
        if isinstance(step, Head):
            self._is_framed = step.is_framed
            return self._head_of(step) + self._data(step.body)
        if isinstance(step, Last):
            return self._data(step.data) + self.end()
        return self._data(step)

    def _head_of(self, head: Head) -> bytes:
        try:
            phrase = HTTPStatus(head.status).phrase
        except ValueError:
            phrase = ""
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.fields.items()]
        return self._sent(h11.Response(status_code=head.status, headers=fields, reason=phrase.encode()))

    def _data(self, data: bytes) -> bytes:
        if not data or not self._is_framed:
            return data
        # An answer to HEAD has a body's fields and no body.
        is_bare = self._head is not None and self._head.method == b"HEAD"
        return b"" if is_bare else self._sent(h11.Data(data=data))

    def end(self) -> bytes:
        """Return the end of the answer, where it has not gone out yet."""
        is_open = self._is_framed and self._protocol.our_state is h11.SEND_BODY
        return self._sent(h11.EndOfMessage()) if is_open else b""

    def starts_over(self) -> bool:
        """Make ready for the next request; return whether there can be one on this connection."""
        if not self._is_framed:
            # h11 waits for the body that the head promised; the connection goes on as if it had come.
            rest, _ = self._protocol.trailing_data
            self._protocol, self._is_framed = self._fresh(), True
            self._protocol.receive_data(rest) if rest else None
            return self._keeps
        if self._protocol.our_state is not h11.DONE:
            return False
        self._protocol.start_next_cycle()
        return True

    def _sent(self, event: h11.Event) -> bytes:
        return self._protocol.send(event) or b""


class _Connection(asyncio.Protocol):
    """One client's connection: takes requests off the wire and plays one answer after the other.

    Small chunks leave at once: asyncio sets TCP_NODELAY only on sockets that name their protocol, which accepted ones
    do not.
    """

    def __init__(self, handler: Callable[[Request], Steps], connections: set[_Connection]) -> None:
        self._handler = handler
        self._connections = connections
        self._wire = _Wire()
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
        self._wire.receive(data)
        self._serve()

    def abort(self) -> None:
        """Drop the connection, whatever it is doing."""
        self._transport.abort()

    def _serve(self) -> None:
        """Answer the complete requests in order; an answer that takes its time keeps the next waiting."""
        while self._steps is None:
            try:
                request = self._wire.next_request()
            except h11.RemoteProtocolError:
                self._transport.write(_BAD_REQUEST)
                self._transport.close()
                return
            if request is None:
                if self._wire.is_waited_for:
                    self._transport.write(self._wire.go_on())
                return
            self._steps = self._handler(request)
            self._advance(self._steps)

    def _advance(self, steps: Steps) -> None:
        """Play an answer up to its next pause or its end."""
        while True:
            try:
                step = next(steps)
                if isinstance(step, Pause):
                    self._timer = asyncio.get_running_loop().call_later(step.seconds, self._resume, steps)
                    return
                self._transport.write(self._wire.bytes_of(step))
            except StopIteration as stop:  # noqa: PERF203 - any step may be its last
                self._end(stop.value)
                return
            except BaseException:
                # A defect of ours: the client must not wait for it, and asyncio logs it.
                self._transport.abort()
                raise

    def _resume(self, steps: Steps) -> None:
        self._timer = None
        self._advance(steps)
        self._serve()

    def _end(self, ending: Ending) -> None:
        """End one answer; if the connection ends with it, `_steps` stays set, so nothing more is served."""
        if ending is Ending.RESET:
            # Closing a socket that may not linger sends RST instead of FIN.
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            self._transport.abort()
            return
        if ending is Ending.KEEP:
            if rest := self._wire.end():
                self._transport.write(rest)
            if self._wire.starts_over():
                self._steps = None
                return
        self._transport.close()


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
