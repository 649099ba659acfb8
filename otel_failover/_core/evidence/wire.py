"""What every transport adapter reports: a request goes out, an answer or an error comes back.

The request belongs to the live attempt in whose context it is sent. Without one it is an orphan, remembered only where
it goes to a provider, so that other HTTP traffic of the process costs next to nothing.

A POST that no open SDK call claims may be a call by itself, by the path and the body of what it asks: `Runtime.by_wire`
decides that and opens it, since calls stand above the evidence.

In one file: what a request may be, and all that a transport reports of it, stand side by side; half is docstrings.
"""

from __future__ import annotations

import os
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.config import runtime
from otel_failover._core.context import is_suppressed
from otel_failover._core.domain import endpoint as endpoints
from otel_failover._core.domain import providers
from otel_failover._core.evidence.call_error import CallError, transport_reason
from otel_failover._core.evidence.exchange import Exchange, Glimpse
from otel_failover._core.evidence.ledger import Ledger
from otel_failover._core.evidence.orphans import orphans, outside, recent_failures
from otel_failover._core.failsafe import guarded, read, text_of
from otel_failover._core.text.escapes import compiled

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token
    from types import TracebackType

    from typing_extensions import Self

    class WireCall(Protocol):
        """A call by wire, as far as what records its request notifies it."""

        def came(self, response: Any, body_of: Callable[[Any], Body]) -> None:
            """Take note that the library has handed back an answer."""

        def raised(self, problem: BaseException) -> None:
            """Settle with what the library raised."""


_endpoints: Final[dict[tuple[bytes, bytes], str]] = {}
_MOST: Final = 1024

above: Final[ContextVar[Exchange | None]] = ContextVar("otel_failover_above", default=None)
"""The exchange that a library below is part of: litellm's `httpx` sends through aiohttp."""

streaming: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
"""Calls by the response whose body is still to be read: an SDK's stream finds its call here."""


class Bodies:
    """Calls by wire, by the object from which the host has still to read their answer.

    By its number, since aiohttp's cannot be weakly referenced; an entry counts only while the response that has the
    object lives, and goes with that.
    """

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: dict[int, tuple[Any, weakref.ref[Any]]] = {}

    def __bool__(self) -> bool:
        return bool(self.entries)

    def get(self, source: object) -> Any:
        """Return the call whose answer is read from an object; None where there is none."""
        entry = self.entries.get(id(source))
        if entry is None:
            return None
        holder = entry[1]()
        is_its = holder is source or (holder is not None and read(holder, "content") is source)
        return entry[0] if is_its else None

    def add(self, source: object, holder: object, call: Any) -> int:
        """Remember whose answer is read from an object; return its number, to forget it by.

        Args:
            source: The object.
            holder: The response that has it, or it itself.
            call: By wire.
        """
        number, entries = id(source), self.entries

        def forget(gone: weakref.ref[Any]) -> None:
            if (held := entries.get(number)) is not None and held[1] is gone:
                entries.pop(number, None)

        entries[number] = (call, weakref.ref(holder, forget))
        return number

    def clear(self) -> None:
        """Forget everything, in a forked child."""
        self.entries.clear()

    def forget(self, number: int, call: object) -> None:
        """Forget an object, if it is still this call's."""
        if (held := self.entries.get(number)) is not None and held[0] is call:
            self.entries.pop(number, None)


bodies: Final = Bodies()

unread: dict[Any, None] = {}
"""Calls by wire that were refused, and nobody has read why: they settle at the host's next step at the latest."""


def _after_fork() -> None:
    """Leave what the parent reads to the parent: a forked child would settle it once more."""
    bodies.clear()
    unread.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def settle_unread(of: Callable[[Any], bool]) -> None:
    """Settle calls whose error nobody has read: the host goes on without it.

    Args:
        of: Whether a call is one of whoever goes on.
    """
    for call in tuple(unread):
        if of(call):
            call.left_unread()


def endpoint_of(url: Any) -> str:
    """Return scheme, host and port of an `httpx.URL`, remembered by its raw parts."""
    key = (url.raw_scheme, url.netloc)
    found = _endpoints.get(key)
    if found is None:
        if len(_endpoints) >= _MOST:
            _endpoints.clear()
        found = endpoints.endpoint_of(f"{key[0].decode('ascii')}://{key[1].decode('ascii')}") or ""
        _endpoints[key] = found
    return found


def endpoint_in(url: str) -> str:
    """Return scheme, host and port of an absolute URL, by what stands before its path; empty for a relative one.

    The rest of the URL, which may hold a key, is not remembered.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return ""
    place = rest.partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2]
    return endpoints.endpoint_of(f"{scheme}://{place}") or ""


class Body(NamedTuple):
    """What a host reads an answer's body from.

    Args:
        source: The object by whose methods it is read; None where there is nothing left to be read.
        holder: The object with which it goes, where nobody reads it or closes it.
        is_decoded: The library decodes it before it can be seen.
    """

    source: Any
    holder: Any
    is_decoded: bool = False


class Send:
    """One request on its way, in a `with` around the call of the library that sends it.

    An exception that leaves the `with` settles the exchange; what comes back is reported by `answered`. Requests of
    libraries below, made meanwhile, are part of this one: `above` says so. Nothing here raises, and nothing is
    swallowed.

    Args:
        exchange: The request, as the ledger of its attempt has it.
    """

    __slots__ = ("_token", "exchange")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def __enter__(self) -> Self:
        self._token: Token[Exchange | None] = above.set(self.exchange)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if problem is not None:
            self.raised(problem)
        try:
            above.reset(self._token)
        except (ValueError, RuntimeError):
            return  # a coroutine that is closed in a foreign context, whose values are left alone

    @guarded(fallback=None)
    def answered(self, response: Any) -> None:
        """Record that a response came."""
        exchange = self.exchange
        exchange.answered(response, response.status_code, response.headers)
        if exchange.is_error:
            recent_failures.add(exchange)
        if exchange.stream and exchange.call is not None:
            streaming[response] = exchange.call

    def body_of(self, response: Any) -> Body:
        """Return what the host reads the body from, where it does so after the library has returned."""
        return Body(response, response)

    def raised(self, problem: BaseException) -> None:
        """Record that no response came."""
        failed(self.exchange, problem)


class ChargedSend(Send):
    """A request of a library whose exceptions do not carry it: they are bound to it by themselves.

    Args:
        exchange: The request.
        timeouts: Returns the timeouts by kind, in seconds; asked only where the request fails.
    """

    __slots__ = ("_timeouts",)

    def __init__(self, exchange: Exchange, timeouts: Callable[[], object]) -> None:
        super().__init__(exchange)
        self._timeouts = timeouts

    def raised(self, problem: BaseException) -> None:
        """Record that no response came, and whose exception this is."""
        failed(self.exchange, problem, self._timeouts())
        charge(self.exchange, problem)


class _CallSend(Send):
    """A request that is a call by itself, around what records it: the call ends with it, or with the body.

    Args:
        send: Records it, in its library's way.
        call: That it is.
    """

    __slots__ = ("_call", "_response", "_send")

    def __init__(self, send: Send, call: WireCall) -> None:
        super().__init__(send.exchange)
        self._send, self._call = send, call
        self._response: Any = None

    def __enter__(self) -> Self:
        self._send.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._send.__exit__(kind, problem, traceback)
        if problem is not None:
            self._call.raised(problem)
        else:
            self._call.came(self._response, self._send.body_of)

    def answered(self, response: Any) -> None:
        """Record that a response came."""
        self._send.answered(response)
        self._response = response


def as_call(send: Send) -> Send:
    """Return a send that settles its call as well, where it is one by itself.

    Args:
        send: Records the request.
    """
    call: Any = send.exchange.call
    return _CallSend(send, call) if call is not None and call.wire is send.exchange else send


class _NoSend(Send):
    """Stands where nobody is interested in a request: it records nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        """Stand for no exchange."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    def answered(self, response: Any) -> None:
        """Record nothing."""


NO_SEND: Final = _NoSend()


@guarded(fallback=NO_SEND)
def opened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Send:
    """Record that a request goes out by `httpx`, or by a library like it.

    Args:
        args: Of `Client.send`: the request first.
        kwargs: Of `Client.send`: `stream`.

    Returns:
        The send, to be used in a `with` around the host's call; `NO_SEND` where nobody is interested.
    """
    if not runtime.current().active:
        return NO_SEND
    request: Any = args[0] if args else kwargs.get("request")
    exchange = _sent(endpoint_of(request.url), request.method, bool(kwargs.get("stream")), lambda: request)
    if exchange is None:
        return NO_SEND
    send = Send(exchange)
    return send if exchange.call is None or exchange.call.wire is None else as_call(send)


@guarded(fallback=None)
def sending_to(
    endpoint: str,
    method: str,
    request: Callable[[], object],
    *,
    stream: bool = False,
    later: bool = False,
    redirected: bool = False,
) -> Exchange | None:
    """Record that a request goes out, by a library that is not `httpx`.

    Args:
        endpoint: Scheme, host and port it goes to.
        method: HTTP method.
        request: Makes what is remembered of it: `headers`, `url`, `content`, `extensions`, as `httpx` has them.
        stream: The host reads the body later; what the SDK's call asked for counts besides.
        later: The library hands every answer back before its body is read, whatever the host asked for.
        redirected: The library follows a redirect: a part of what it was asked to send before.

    Returns:
        The exchange to settle; None where nobody is interested, or where it lies under one that is counted.
    """
    outer = above.get()
    if not runtime.current().active or (outer is not None and outer.open and outer.endpoint == endpoint):
        return None
    return _sent(endpoint, method, stream, request, later=later, as_asked=True, redirected=redirected)


def _sent(
    endpoint: str,
    method: str,
    stream: bool,
    request: Callable[[], object],
    *,
    later: bool = False,
    as_asked: bool = False,
    redirected: bool = False,
) -> Exchange | None:
    current = context_api.get_current()
    call: Any = current.get(scope.CALL)
    if call is None and current.get(scope.ATTEMPT) is None and scope.entered() is not None:
        call = scope.call_in(current)
    if method == "POST" and not redirected and (call is None or call.endpoint != endpoint or call.done):
        by_itself: Exchange | None = runtime.current().by_wire(endpoint, request, current, stream=stream, later=later)
        if by_itself is not None:
            return by_itself
    if as_asked and call is not None:
        stream = stream or call.asked.streamed
    attempt = scope.attempt_in(current)
    if attempt is not None and attempt.live:
        ledger, exchange = attempt.ledger, Exchange(request(), endpoint, method, stream=stream)
        ledger.add(exchange, call)
        if ledger.rootless:
            orphans.add(exchange)
        return exchange
    # Most HTTP traffic of a service goes to no provider. Only what may be a candidate's is worth remembering, in case a
    # thread without context has sent it; and in a run what may be a call of an SDK that we do not know.
    known = endpoint in runtime.endpoints or providers.provider_of_host(endpoints.host_of(endpoint)) is not None
    run = scope.run_in(current)
    if not known and run is None:
        return None
    sent = request()
    if method == "POST" and not is_suppressed(current) and _may_ask(sent):
        exchange = _Unclaimed(sent, endpoint, method, stream=stream)
        if run is None:
            outside.asked = exchange.started
        else:
            exchange.run = weakref.ref(run)
            run.asked_beside()
    elif known:
        exchange = Exchange(sent, endpoint, method, stream=stream, hold=False)
    else:
        return None
    if known:
        orphans.add(exchange)
    return exchange


class _Unclaimed(Exchange):
    """A request that no SDK's call claims, and that may have asked a model.

    Where it is answered, the run in whose context it is sent may have been served by it; outside any run, whichever.
    """

    __slots__ = ("run",)

    def __init__(self, request: object, endpoint: str, method: str, *, stream: bool) -> None:
        super().__init__(request, endpoint, method, stream=stream, hold=False)
        # Weakly: the last of them are remembered for a while, and a run has better things to do than to wait for that.
        self.run: weakref.ref[Any] | None = None

    def answered(self, response: object, status: int, headers: Any) -> None:
        """Record that a response came, before its body is read."""
        super().answered(response, status, headers)
        if _GOOD <= status < _GOOD + 100:
            run = self.run() if self.run is not None else None
            if self.run is None:
                outside.saw(self.started)
            elif run is not None:
                run.answered_beside(self.started)


def _may_ask(request: object) -> bool:
    """Whether a request may ask a model a question, by its path: embeddings, moderation and counting never do."""
    path = text_of(read(request, "url")).partition("?")[0]
    return compiled(_NO_QUESTION).search(path) is None


_GOOD: Final = 200
_NO_QUESTION: Final = (
    r"(?i)embed|rerank|moderation|classification|guardrail|count.?tokens|input_tokens|tokeniz"
    r"|/(?:files|uploads|batches|vector_stores|audio)(?:/|$)|oauth|/token$|/v1/(?:traces|metrics|logs)$"
)
"""Paths of what is asked of a provider that is no question, of token endpoints, and of telemetry."""


@guarded(fallback=None)
def glimpsed(url: object, status: int) -> None:
    """Take note of an answer where a library below has it: spans of other instrumentations end before it reaches us.

    Args:
        url: Where that library sent the request.
        status: HTTP status.
    """
    exchange = above.get()
    if exchange is not None and exchange.stopped is None:
        exchange.glimpse = Glimpse(url, status)


@guarded(fallback=None)
def glimpsed_failure(url: object, problem: BaseException) -> None:
    """Take note of what a library below raises, for the same reason.

    Args:
        url: Where that library sent the request.
        problem: What is raised.
    """
    exchange = above.get()
    if exchange is not None and exchange.stopped is None:
        exchange.glimpse = Glimpse(url, None, transport_reason(problem)[0], text_of(problem))


def restore(variable: ContextVar[Any], token: Token[Any]) -> None:
    """Undo a `set`; a coroutine that was closed in a foreign context leaves that alone."""
    try:
        variable.reset(token)
    except (ValueError, RuntimeError):
        return


def answered_with(exchange: Exchange, response: object, status: int, headers: Any) -> None:
    """Record that a response came, for libraries of another shape; the caller is guarded.

    Args:
        exchange: The request.
        response: The library's own response object.
        status: HTTP status.
        headers: By name.
    """
    exchange.answered(response, status, headers)
    if exchange.is_error:
        recent_failures.add(exchange)


@guarded(fallback=None)
def failed(exchange: Exchange, problem: BaseException, timeouts: object = None) -> None:
    """Record that no response came.

    Args:
        exchange: The request.
        problem: What was raised.
        timeouts: By kind, in seconds, where the request does not carry them as `httpx` does.
    """
    extensions = read(exchange.request.target, "extensions")
    exchange.failed(problem, extensions.get("timeout") if isinstance(extensions, dict) else timeouts)
    recent_failures.add(exchange)


@guarded(fallback=None)
def charge(exchange: Exchange, problem: BaseException) -> None:
    """Bind an exception by itself where no SDK call does, for libraries whose exceptions say little else.

    Args:
        exchange: The request that raised it.
        problem: What was raised.
    """
    if exchange.call is not None or not isinstance(problem, Exception):
        return
    raised, ledger = CallError(problem), exchange.owner()
    while isinstance(ledger, Ledger):
        if ledger.live:
            ledger.raised.append(raised)
        ledger = ledger.parent


@guarded(fallback=None)
def closed(response: Any) -> None:
    """Record that a response was closed; its stream may have been read to the end, or not."""
    call = streaming.get(response) if streaming else None
    if call is not None:
        call.response_closed()
