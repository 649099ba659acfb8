"""aiohttp: every request of its client, as evidence; google-genai sends its asynchronous calls by it.

Wrapped is `ClientSession._request`, where `get`, `post` and `request` all end, redirects inside. There is no request
object that an exception carries: a response binds by identity, an exception that comes out of here by itself. A body
has to be read before its connection is free again, so an unread response is never kept alive; it is looked at when the
host has read it, in `ClientResponse.read`. Unchanged from aiohttp 3.10 to 3.14. No spans of our own.
"""

from __future__ import annotations

import json
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from otel_failover._core.domain import reasons
from otel_failover._core.evidence import wire
from otel_failover._core.evidence.call_error import transport_reason
from otel_failover._core.evidence.references import Reference
from otel_failover._core.failsafe import guarded, read, text_of
from otel_failover.integrations.patching import Library, Patch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token
    from types import TracebackType

    from typing_extensions import Self

    from otel_failover._core.evidence.exchange import Exchange


_ERROR: Final = 400

_started: ContextVar[list[Any] | None] = ContextVar("otel_failover_started", default=None)
"""Responses whose status line came, of the request that is being sent."""

_unread: weakref.WeakKeyDictionary[Any, Exchange] = weakref.WeakKeyDictionary()
"""Exchanges by the response whose body the host has still to read."""


class Sent:
    """What is remembered of a request, under the names that `httpx` gives it; worked out when somebody asks.

    Args:
        session: That sends it.
        url: Where it goes, as given.
        options: Of `ClientSession.request`.
    """

    __slots__ = ("__weakref__", "_auth", "_base", "_common", "_options", "_timeout", "_url")

    def __init__(self, session: Any, url: object, options: Mapping[str, Any]) -> None:
        self._url, self._options = url, options
        self._base: Any = read(session, "_base_url")
        self._common, self._timeout = read(session, "headers"), read(session, "timeout")
        self._auth: Any = options.get("auth") or read(session, "_default_auth")

    @property
    def url(self) -> str:
        """The URL with its query; a relative one below the session's base URL."""
        params, url = self._options.get("params"), text_of(self._url)
        if self._base is not None and "://" not in url:
            url = text_of(self._base.join(type(self._base)(url)))
        query = params if isinstance(params, str) or not params else urlencode(params, doseq=True)
        return f"{url}?{query}" if query else url

    @property
    def headers(self) -> dict[str, str]:
        """The session's headers, the request's own, and its credentials."""
        given: Any = (self._common, self._options.get("headers"))
        found = {str(name): str(value) for each in given if each for name, value in dict(each).items()}
        return {**found, "Authorization": self._auth.encode()} if self._auth is not None else found

    @property
    def document(self) -> object:
        """The body, where the session will encode it; None for any other."""
        return self._options.get("json")

    @property
    def content(self) -> bytes | None:
        """The body, where it is one piece."""
        data, document = self._options.get("data"), self._options.get("json")
        if document is not None:
            return json.dumps(document, ensure_ascii=False, default=str).encode()
        return data.encode() if isinstance(data, str) else data if isinstance(data, bytes) else None

    @property
    def extensions(self) -> dict[str, Any]:
        """The timeouts in seconds; a plain number was a total once."""
        given = self._options.get("timeout")
        total = read(given, "total")
        if isinstance(given, (int, float)):
            total = given
        elif not hasattr(given, "sock_read"):
            given = self._timeout
            total = read(given, "total")
        connects = [each for name in ("connect", "sock_connect") if (each := read(given, name)) is not None]
        connect = min(connects, default=None)  # type: ignore[type-var]
        return {"timeout": {"connect": connect, "read": read(given, "sock_read"), "total": total}}


class _Request(wire.Send):
    """One request of a session, which may raise for an answer that came."""

    __slots__ = ("_before", "_came", "_is_decoded")

    def __init__(self, exchange: Exchange, *, is_decoded: bool) -> None:
        super().__init__(exchange)
        self._is_decoded = is_decoded

    def body_of(self, response: Any) -> wire.Body:
        """Return the stream that every way of reading the body ends in; nothing where the answer has none."""
        content: Any = response.content
        empty = content is None or (content.at_eof() and not content.total_bytes)
        return wire.Body(None if empty else content, response, self._is_decoded)

    def __enter__(self) -> Self:
        self._came: list[Any] = []
        self._before: Token[list[Any] | None] = _started.set(self._came)
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        wire.restore(_started, self._before)
        super().__exit__(kind, problem, traceback)

    @guarded(fallback=None)
    def answered(self, response: Any) -> None:
        """Record that a response came; its connection is the host's to give back, so it is not kept alive."""
        exchange = self.exchange
        wire.answered_with(exchange, response, response.status, response.headers)
        if exchange.response is not None:
            exchange.response.release()
        _unread[response] = exchange
        if read(response, "_body") is not None:
            _has_read(response)

    @guarded(fallback=None)
    def raised(self, problem: BaseException) -> None:
        """Record that no response came, or that one did which the session raises for."""
        answer = self._came[-1] if self._came else None
        by_transport = transport_reason(problem)[0] != reasons.CLIENT_ERROR
        if answer is not None and answer.status >= _ERROR and not by_transport:
            self.answered(answer)
        else:
            wire.failed(self.exchange, problem)
        wire.charge(self.exchange, problem)


async def request(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `ClientSession._request`: open, call, settle."""
    with _opened(instance, args, kwargs) as sent:
        response = await wrapped(*args, **kwargs)
        sent.answered(response)
    return response


async def start(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `ClientResponse.start`: an answer that `raise_for_status` turns into an exception is seen here only.

    And what came, before the spans of other instrumentations end, which are told of it inside `_request`.
    """
    try:
        result = await wrapped(*args, **kwargs)
    except Exception as problem:
        wire.glimpsed_failure(instance.url, problem)
        raise
    wire.glimpsed(instance.url, instance.status)
    started = _started.get()
    if started is not None:
        started[:] = [instance]
    return result


async def connect(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `BaseConnector.connect`: nobody is there, which spans of other instrumentations say before we hear it."""
    try:
        return await wrapped(*args, **kwargs)
    except Exception as problem:
        wire.glimpsed_failure(read(args[0] if args else kwargs.get("req"), "url"), problem)
        raise


async def body(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `ClientResponse.read`: the host has the body, and the connection is free."""
    result = await wrapped(*args, **kwargs)
    if _unread:
        _has_read(instance)
    return result


# --- the body of a call by wire, as the host reads it -----------------------------------------------------------------


def piece(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `StreamReader._read_nowait_chunk`: every way of reading takes its pieces here."""
    data = wrapped(*args, **kwargs)
    if wire.bodies:
        call = wire.bodies.get(instance)
        if call is not None:
            call.touched()
            call.hear(data)
            _ended(call, instance)
    return data


def _ended(call: Any, stream: Any) -> None:
    """End a call whose body has been read: nothing is left, and nothing more will come."""
    if stream.at_eof():
        call.body_ended(None)


async def wait(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `StreamReader._wait`: the reader waits here, and what breaks the waiting off is raised here.

    Whoever is cancelled here may read on: the stream has lost nothing. One that may not wait, since another does, has
    no say at all.
    """
    call = wire.bodies.get(instance) if wire.bodies else None
    if call is None or call.done or read(instance, "_waiter") is not None:
        return await wrapped(*args, **kwargs)
    call.touched()
    try:
        result = await wrapped(*args, **kwargs)
    except Exception as problem:
        call.body_ended(problem)
        raise
    except BaseException as problem:
        call.interrupted(problem)
        raise
    _ended(call, instance)
    return result


def eof(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `StreamReader.feed_eof`: where the host has read all that came, the body ends here."""
    result = wrapped(*args, **kwargs)
    call = wire.bodies.get(instance) if wire.bodies else None
    if call is not None and not call.is_untouched:
        _ended(call, instance)
    return result


def broken(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `StreamReader.set_exception`: the body broke off, whether or not the host is waiting for more of it."""
    call = wire.bodies.get(instance) if wire.bodies else None
    if call is not None:
        problem = args[0] if args else kwargs.get("exc")
        call.body_ended(problem if isinstance(problem, BaseException) else None)
    return wrapped(*args, **kwargs)


def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `ClientResponse.close` and `release`: a host that reads no further; the stream is told so as of an error."""
    call = wire.bodies.get(read(instance, "content")) if wire.bodies else None
    if call is not None:
        call.response_closed()
    return wrapped(*args, **kwargs)


@guarded(fallback=wire.NO_SEND)
def _opened(session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> wire.Send:
    """Record that a request goes out."""
    method = args[0] if args else kwargs.get("method")
    url = args[1] if len(args) > 1 else kwargs.get("str_or_url", kwargs.get("url"))
    endpoint = wire.endpoint_in(text_of(url)) or wire.endpoint_in(text_of(read(session, "_base_url")))
    exchange = wire.sending_to(endpoint, text_of(method).upper(), lambda: Sent(session, url, kwargs), later=True)
    if exchange is None:
        return wire.NO_SEND
    given = kwargs.get("auto_decompress")
    unpacks = given if given is not None else read(session, "_auto_decompress")
    return wire.as_call(_Request(exchange, is_decoded=unpacks is not False))


@guarded(fallback=None)
def _has_read(response: Any) -> None:
    """Keep a response that was read, until its attempt has ended."""
    exchange = _unread.pop(response, None)
    owner = exchange.owner() if exchange is not None else None
    if exchange is None or owner is None or not owner.live:
        return
    wanted = exchange.is_error or not exchange.stream
    exchange.response = Reference(response, hold=exchange.hold and wanted)


_BODY: Final = "the body of a call by wire, while the host reads it"
_BODIES: Final = "bodies"
_NO_FURTHER: Final = "the end of a body that is not read to its end"

AIOHTTP: Final = Library(
    "aiohttp",
    "aiohttp",
    ">=3.10",
    (
        Patch("aiohttp.client", "ClientSession._request", request, "every way of sending ends here"),
        Patch("aiohttp.client_reqrep", "ClientResponse.start", start, "an answer that the session raises for"),
        Patch("aiohttp.connector", "BaseConnector.connect", connect, "nobody is there, before spans of others end"),
        Patch("aiohttp.client_reqrep", "ClientResponse.read", body, "the body, once the host has read it"),
        Patch("aiohttp.client_reqrep", "ClientResponse.close", close, _NO_FURTHER, group=_BODIES),
        Patch("aiohttp.client_reqrep", "ClientResponse.release", close, _NO_FURTHER, group=_BODIES),
        Patch("aiohttp.streams", "StreamReader._read_nowait_chunk", piece, _BODY, group=_BODIES),
        Patch("aiohttp.streams", "StreamReader._wait", wait, _BODY, group=_BODIES),
        Patch("aiohttp.streams", "StreamReader.feed_eof", eof, _BODY, group=_BODIES),
        Patch("aiohttp.streams", "StreamReader.set_exception", broken, _BODY, group=_BODIES),
    ),
)
"""What is wrapped of aiohttp."""
