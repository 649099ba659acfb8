"""What every transport adapter reports: a request goes out, an answer or an error comes back.

The request belongs to the live attempt in whose context it is sent. Without one it is an orphan, remembered only where
it goes to a provider, so that other HTTP traffic of the process costs next to nothing.
"""

from __future__ import annotations

import contextlib
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.config import runtime
from otel_failover._core.domain import endpoint as endpoints
from otel_failover._core.domain import providers
from otel_failover._core.evidence.call_error import CallError
from otel_failover._core.evidence.exchange import Exchange
from otel_failover._core.evidence.ledger import Ledger, current_ledger
from otel_failover._core.evidence.orphans import orphans, recent_failures
from otel_failover._core.failsafe import guarded, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

_endpoints: Final[dict[tuple[bytes, bytes], str]] = {}
_MOST: Final = 1024

above: Final[ContextVar[Exchange | None]] = ContextVar("otel_failover_above", default=None)
"""The exchange that a library below is part of: litellm's `httpx` sends through aiohttp."""

streaming: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
"""Calls by the response whose body is still to be read: an SDK's stream finds its call here."""


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


@guarded(fallback=None)
def sending(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exchange | None:
    """Record that a request goes out.

    Args:
        args: Of `Client.send`: the request first.
        kwargs: Of `Client.send`: `stream`.

    Returns:
        The exchange to settle; None where nobody is interested.
    """
    if not runtime.current().active:
        return None
    request: Any = args[0] if args else kwargs.get("request")
    return _sent(endpoint_of(request.url), request.method, bool(kwargs.get("stream")), lambda: request)


@guarded(fallback=None)
def sending_to(endpoint: str, method: str, request: Callable[[], object], *, stream: bool = False) -> Exchange | None:
    """Record that a request goes out, by a library that is not `httpx`.

    Args:
        endpoint: Scheme, host and port it goes to.
        method: HTTP method.
        request: Makes what is remembered of it: `headers`, `url`, `content`, `extensions`, as `httpx` has them.
        stream: The host reads the body later; what the SDK's call asked for counts besides.

    Returns:
        The exchange to settle; None where nobody is interested, or where it lies under one that is counted.
    """
    outer = above.get()
    if not runtime.current().active or (outer is not None and outer.open and outer.endpoint == endpoint):
        return None
    call = scope.call_in()
    return _sent(endpoint, method, stream or (call is not None and call.asked.streamed), request)


def _sent(endpoint: str, method: str, stream: bool, request: Callable[[], object]) -> Exchange | None:
    current = context_api.get_current()
    ledger = current_ledger(current)
    if ledger is not None:
        exchange = Exchange(request(), endpoint, method, stream=stream)
        ledger.add(exchange, scope.call_in(current))
        if ledger.rootless:
            orphans.add(exchange)
        return exchange
    if endpoint not in runtime.endpoints and providers.provider_of_host(endpoints.host_of(endpoint)) is None:
        return None
    exchange = Exchange(request(), endpoint, method, stream=stream, hold=False)
    orphans.add(exchange)
    return exchange


def restore(variable: ContextVar[Any], token: Token[Any] | None) -> None:
    """Undo a `set`; a coroutine that was closed in a foreign context leaves that alone."""
    if token is not None:
        with contextlib.suppress(ValueError, RuntimeError):
            variable.reset(token)


@guarded(fallback=None)
def answered(exchange: Exchange | None, response: Any) -> None:
    """Record that a response came, in the shape that `httpx`, `requests` and botocore share."""
    if exchange is None:
        return
    answered_with(exchange, response, response.status_code, response.headers)
    if exchange.stream and exchange.call is not None:
        streaming[response] = exchange.call


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
def failed(exchange: Exchange | None, problem: BaseException, timeouts: object = None) -> None:
    """Record that no response came.

    Args:
        exchange: The request.
        problem: What was raised.
        timeouts: By kind, in seconds, where the request does not carry them as `httpx` does.
    """
    if exchange is None:
        return
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
    raised, ledger = CallError(problem), exchange.ledger
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
