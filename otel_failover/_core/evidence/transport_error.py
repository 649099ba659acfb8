"""What a transport raised, in our words: the reason, and which timeout ran out."""

from __future__ import annotations

import asyncio
import concurrent.futures
from functools import lru_cache
from typing import Any, Final

from otel_failover._core.domain import reasons


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
