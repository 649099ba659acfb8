"""One HTTP request, what came back, and where those are found that no attempt was there for.

Nothing here reads a body that the host has not read, or keeps a success alive. Binding is by identity: requests,
responses and exceptions are remembered by weak reference and compared with `is`; a bare `id()` is never a key.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import time
import weakref
from collections import OrderedDict, deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import reasons
from otel_failover._core.evidence import headers as header_facts
from otel_failover._core.evidence.error_body import ErrorBody, read_error, seconds_asked, text_holds
from otel_failover._core.failsafe import read

if TYPE_CHECKING:
    from otel_failover._core.evidence.ledger import Ledger

OWN: Final = "own"
ELSEWHERE: Final = "elsewhere"
"""A call to a host that the table or the chain gives to somebody else: a call of its own."""
ASIDE: Final = "aside"
"""Token refresh, image fetches, tools, probes: kept for identity, settle nothing."""

_HELD_STATUS: Final = 400
_KEPT: Final = 2_048


class Reference:
    """One foreign object, remembered without keeping it alive where that is possible.

    Args:
        thing: The object. Builtin exceptions cannot be weakly referenced; they are held until `release`.
        hold: Keep it alive until `release`.
    """

    __slots__ = ("_strong", "_weak")

    def __init__(self, thing: object, *, hold: bool = False) -> None:
        self._strong: object | None = thing if hold else None
        try:
            self._weak: weakref.ref[Any] | None = weakref.ref(thing)
        except TypeError:
            self._weak, self._strong = None, thing

    @property
    def target(self) -> Any:
        """The object, or None where it is gone."""
        return self._weak() if self._weak is not None else self._strong

    def release(self) -> None:
        """Let go of an object that was held for its content."""
        if self._weak is not None:
            self._strong = None

    def forget(self) -> None:
        """Let go of the object altogether."""
        self._strong = None

    @property
    def weak(self) -> bool:
        """Whether the object can be remembered without keeping it alive."""
        return self._weak is not None

    def is_(self, thing: object) -> bool:
        """Whether this is the very object."""
        return thing is not None and self.target is thing


class Exchange:
    """One HTTP request, and what came back: an answer, a transport error, or nothing yet.

    Args:
        request: The HTTP library's own request object.
        endpoint: Scheme, host and port it goes to.
        method: HTTP method.
        stream: Whether the host reads the body later.
        hold: Keep request and response alive until the attempt has ended; orphans are not.
    """

    __slots__ = (
        "__weakref__", "_body", "_sent", "_told", "call", "endpoint", "failure", "hold", "issued_id", "kind", "ledger",
        "method",
        "model", "problem", "request",
        "request_id", "response", "retry_after", "started", "status", "stopped", "stream", "taken", "timeout",
        "timeout_configured",
    )  # fmt: skip

    def __init__(self, request: object, endpoint: str, method: str, *, stream: bool = False, hold: bool = True) -> None:
        self.request = Reference(request, hold=hold)
        self.endpoint, self.method, self.stream, self.hold = endpoint, method, stream, hold
        self.started = time.monotonic()
        self.stopped: float | None = None
        self.response: Reference | None = None
        self.status: int | None = None
        self.request_id: str | None = None
        self.issued_id: str | None = None
        self.retry_after: float | None = None
        self.failure: str | None = None
        self.problem: Reference | None = None
        self.timeout: str | None = None
        self.timeout_configured: float | None = None
        self.kind = ASIDE
        self.call: Any = None
        self.model: str | None = None
        self.ledger: Ledger | None = None
        self.taken: weakref.ref[Ledger] | None = None
        self._body: ErrorBody | None = None
        self._told: dict[bytes, str] | None = None
        self._sent: header_facts.Sent | None = None

    # --- told by the transport ----------------------------------------------------------------------------------------

    def answered(self, response: object, status: int, headers: Any) -> None:
        """Record that a response came, before its body is read."""
        wanted = status >= _HELD_STATUS or (self.kind == OWN and not self.stream)
        self.response = Reference(response, hold=self.hold and wanted)
        self.status = status
        told = header_facts.of_answer(headers)
        self.request_id = header_facts.issued_id(told)
        self.stopped = time.monotonic()
        if status >= _HELD_STATUS:
            self._told = told
            self.retry_after = seconds_asked(told)
            flights.add(self)
            if self.request_id is not None and self.request_id not in self.sent.ids:
                self.issued_id = self.request_id

    def failed(self, problem: BaseException, configured: object = None) -> None:
        """Record that no response came.

        Args:
            problem: What the transport raised.
            configured: The timeouts the request was sent with, as `httpx` keeps them: `{"connect": s, "read": s, …}`.
        """
        self.failure, self.timeout = transport_reason(problem)
        if self.ledger is not None and not self.ledger.closed:
            self.problem = Reference(problem)
        if self.timeout and isinstance(configured, dict):
            seconds = configured.get(self.timeout)
            self.timeout_configured = float(seconds) if isinstance(seconds, (int, float)) else None
        self.stopped = time.monotonic()
        flights.add(self)

    # --- asked by the attempt -----------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether neither an answer nor a transport error has come."""
        return self.stopped is None

    @property
    def is_to_its_calls_base(self) -> bool:
        """Whether an inference call sent it to the base URL that its client has."""
        return self.call is not None and self.call.inference and self.call.endpoint == self.endpoint

    @property
    def is_error(self) -> bool:
        """Whether the provider answered with an error status."""
        return self.status is not None and self.status >= _HELD_STATUS

    @property
    def body(self) -> ErrorBody:
        """What the error body says; read once it is there, and only if the host has read it."""
        if self._body is None:
            if not self.is_error or self.response is None:
                return ErrorBody()
            found = read_error(self.response.target, self._told)
            if not found.whole:
                return found
            self._body = found
        return self._body

    def holds(self, text: str) -> bool | None:
        """Whether a normalised text stands in a successful body or in the request; None where it cannot be seen."""
        found = [text_holds(self.request.target, text, request=True)]
        if self.response is not None and not self.is_error and not self.stream:
            found.append(text_holds(self.response.target, text))
        return True if True in found else None if None in found else False

    @property
    def sent(self) -> header_facts.Sent:
        """What this request's own headers tell; read once, when they can no longer change."""
        if self._sent is not None:
            return self._sent
        request = self.request.target
        found = header_facts.of_request(read(request, "headers"), read(request, "url"))
        self._sent = found if self.stopped is not None else None
        return found

    def reduce(self) -> None:
        """Let go of everything but the facts, once the attempt has ended."""
        if self.is_error:
            body = self.body
            self._body = body._replace(text=body.text[:_KEPT]) if len(body.text) > _KEPT else body
        self.request.release()
        if self.response is not None:
            self.response.release()
        self.call = self.problem = self._sent = self._told = None


def transport_reason(problem: BaseException) -> tuple[str, str | None]:
    """Return our reason and the timeout's kind for what a transport raised; by class names, to import no library."""
    kind: Any = type(problem)
    return _reason_of(kind)


@lru_cache(maxsize=128)
def _reason_of(kind: type) -> tuple[str, str | None]:
    if issubclass(kind, (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, concurrent.futures.CancelledError)):
        return reasons.CANCELLED, None
    names = [cls.__name__ for cls in kind.__mro__]
    if any("Timeout" in name for name in names):
        leaf = names[0].lower()
        return reasons.TIMEOUT, next((which for start, which in _TIMEOUTS if leaf.startswith(start)), "total")
    if not _TRANSPORT.isdisjoint(names) or issubclass(kind, OSError):
        return (reasons.CONNECTION if _LOCAL.isdisjoint(names) else reasons.CLIENT_ERROR), None
    return reasons.CLIENT_ERROR, None


_TIMEOUTS: Final = (
    ("connect", "connect"), ("read", "read"), ("write", "write"), ("pool", "pool"), ("sockettimeout", "read"),
)  # fmt: skip
"""Kinds of timeout by how a class's name starts; aiohttp's `SocketTimeoutError` is that of `sock_read`."""

_TRANSPORT: Final = frozenset(
    {
        "TransportError", "ClientConnectionError", "ClientPayloadError",
        "ProtocolError", "HTTPClientError", "ConnectionError", "IncompleteReadError",
    }
)  # fmt: skip
"""Base classes of transport errors: httpx's, aiohttp's two that are no OSError, urllib3's, and botocore's three."""

_LOCAL: Final = frozenset(
    {
        "UnsupportedProtocol", "LocalProtocolError",
        "InvalidURL", "MissingSchema", "InvalidSchema", "InvalidHeader", "UnrewindableBodyError",
    }
)  # fmt: skip
"""Transport errors about what this process would send: httpx's two, and those of requests, where each is an OSError."""


# --- sends without an attempt -----------------------------------------------------------------------------------------


class Orphans:
    """Sends that no live attempt was there for: threads started without their context.

    An attempt whose exception *is* an orphan's adopts it; an orphan to the candidate's own endpoint makes its evidence
    partial. Bounded: 1,024 endpoints, 32 sends each.
    """

    __slots__ = ("_by_endpoint",)

    def __init__(self) -> None:
        self._by_endpoint: OrderedDict[str, deque[Exchange]] = OrderedDict()

    def add(self, exchange: Exchange) -> None:
        """Remember a send that had no attempt."""
        recent = self._by_endpoint.get(exchange.endpoint)
        if recent is None:
            recent = self._by_endpoint[exchange.endpoint] = deque(maxlen=32)
            while len(self._by_endpoint) > 1024:
                self._by_endpoint.popitem(last=False)
        recent.append(exchange)

    def overlap(self, endpoint: str, since: float, adopted: list[Exchange]) -> bool:
        """Whether an orphan to an endpoint was under way since a moment, adopted ones left out."""
        recent = self._by_endpoint.get(endpoint)
        if not recent:
            return False
        return any(
            (orphan.stopped is None or orphan.stopped >= since) and not any(orphan is mine for mine in adopted)
            for orphan in tuple(recent)
        )

    def find(self, response: object, request: object, ledger: Ledger) -> list[Exchange]:
        """Return the orphans of the call whose response or request this is; another attempt's are not found again."""
        for recent in tuple(self._by_endpoint.values()):
            for orphan in tuple(recent):
                if orphan.taken is not None and orphan.taken() is not ledger:
                    continue
                if orphan.request.is_(request) or (orphan.response is not None and orphan.response.is_(response)):
                    return orphan.ledger.own if orphan.ledger is not None else [orphan]
        return []

    def clear(self) -> None:
        """Forget everything, in a forked child."""
        self._by_endpoint.clear()


orphans = Orphans()


class Flights:
    """Requests that failed a moment ago, so that a second attempt which shared one can own it too (single flight).

    Remembered weakly, the last 128.
    """

    __slots__ = ("_recent",)

    def __init__(self) -> None:
        self._recent: deque[weakref.ref[Exchange]] = deque(maxlen=128)

    def add(self, exchange: Exchange) -> None:
        """Remember a request that failed."""
        self._recent.append(weakref.ref(exchange))

    def find(self, response: object, request: object, ledger: Ledger) -> list[Exchange]:
        """Return the sends of the call whose response or request this is, if it was under way at the same candidate.

        Args:
            response: That an exception carries.
            request: That an exception carries.
            ledger: Of the attempt that shared it.
        """
        for reference in tuple(self._recent):
            exchange = reference()
            owner = exchange.ledger if exchange is not None else None
            if exchange is None or owner is None or owner is ledger or owner.who != ledger.who:
                continue
            if exchange.stopped is not None and exchange.stopped < ledger.started:
                continue
            if exchange.request.is_(request) or (exchange.response is not None and exchange.response.is_(response)):
                return owner.own
        return []


flights = Flights()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=orphans.clear)
