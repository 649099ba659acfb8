"""An exception that an SDK call raised, read once while its facts are still its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
from functools import lru_cache
from typing import Any, Final

from otel_failover._core.domain import reasons
from otel_failover._core.evidence.error_body import ErrorBody, error_in
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.references import Reference

_FACTS: Final = ("message", "status_code", "status", "code", "type", "reason", "request_id", "body", "response")


class CallError:
    """An exception that a provider call raised inside an attempt, with what it said at that moment.

    Libraries add other candidates' texts to an exception later (litellm mutates `.message`), so what it said is copied
    when it is raised.
    """

    __slots__ = ("_facts", "_transport", "code", "reference", "status", "text", "type_name")

    def __init__(self, problem: BaseException) -> None:
        self._transport = _transport_of(problem)
        self.reference = Reference(problem)
        self.text = text_of(problem)
        self.type_name = qualified(type(problem))
        self.status = _number(read(problem, "status_code"))
        self.code = read(problem, "code")
        self._facts = _facts(problem)

    def transport(self) -> tuple[str, str | None]:
        """Return the reason, and the timeout's kind, where it came of the transport after the status line."""
        return self._transport

    def unchanged(self, problem: BaseException) -> bool:
        """Whether it still says what it said when it was raised."""
        return text_of(problem) == self.text and _facts(problem) == self._facts

    def forget(self) -> None:
        """Let go of an exception that could not be remembered weakly."""
        self.reference.forget()


def _facts(problem: BaseException) -> list[object]:
    """Return what an exception says, by what each fact is compared.

    Itself where it is plain, its text where it is a body, else its identity.
    """
    found: list[object] = []
    for name in _FACTS:
        value = read(problem, name)
        if value is None or isinstance(value, (str, int, float)):
            found.append(value)
        else:
            found.append(repr(value)[:4096] if isinstance(value, (dict, list)) else id(value))
    return found


def _transport_of(problem: BaseException) -> tuple[str, str | None]:
    """Return the transport error behind an SDK's exception: its cause's, else its own by name."""
    cause = read(problem, "__cause__")
    if isinstance(cause, BaseException):
        found = transport_reason(cause)
        if found[0] != reasons.CLIENT_ERROR:
            return found
    return transport_reason(problem)


def qualified(cls: type) -> str:
    """Return a class's name as `error.type` carries it: `openai.RateLimitError`, builtins without a module."""
    module = cls.__module__
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def error_in_exception(problem: BaseException) -> ErrorBody | None:
    """Return the error that an SDK's exception states, as it read it from a stream's event."""
    body = read(problem, "body")
    return error_in(body) if isinstance(body, dict) else None


# --- what a transport raised ------------------------------------------------------------------------------------------


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
