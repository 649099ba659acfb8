"""urllib3: requests that a program sends by its pools alone, as evidence; and the bodies that are read from it.

Wrapped is `HTTPConnectionPool.urlopen(method, url, …)`, where `request`, `PoolManager` and the retries all end; what
requests and botocore send by it is a part of theirs, and not counted again. Every streamed body of the three is read by
`HTTPResponse.stream`, `read`, `read1` or `read_chunked`. Unchanged from urllib3 1.26 to 2.8. No spans of our own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.evidence import wire
from otel_failover._core.failsafe import guarded, read, text_of
from otel_failover._core.runs.by_wire.reading import listened, piece_of
from otel_failover.integrations.patching import Library, Patch
from otel_failover.integrations.seams import GENERATOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover._core.evidence.exchange import Exchange


class Sent:
    """What is remembered of a request, under the names that `httpx` gives it.

    Args:
        url: Where it goes, as a whole.
        headers: That are sent with it.
        content: The body, as it was given.
    """

    __slots__ = ("__weakref__", "body", "headers", "url")

    def __init__(self, url: str, headers: object, content: object) -> None:
        self.url, self.headers, self.body = url, headers, content


class _Request(wire.ChargedSend):
    """One request of a pool."""

    __slots__ = ()

    @guarded(fallback=None)
    def answered(self, response: Any) -> None:
        """Record that a response came."""
        wire.answered_with(self.exchange, response, response.status, response.headers)


def urlopen(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `HTTPConnectionPool.urlopen`: open, call, settle; its retries call it again, and are part of it."""
    with _opened(instance, args, kwargs) as sent:
        response = wrapped(*args, **kwargs)
        sent.answered(response)
    return response


@guarded(fallback=wire.NO_SEND)
def _opened(pool: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> wire.Send:
    """Record that a request goes out."""
    given = {**dict(zip(("method", "url", "body", "headers"), args, strict=False)), **kwargs}
    url = text_of(given.get("url"))
    if "://" not in url:
        host = f"[{pool.host}]" if ":" in pool.host else pool.host  # it keeps an address of IPv6 without its brackets
        url = f"{pool.scheme}://{host}:{pool.port or (443 if pool.scheme == 'https' else 80)}{url}"
    method, later = text_of(given.get("method")).upper(), kwargs.get("preload_content") is False

    def request() -> Sent:
        headers = given.get("headers")
        return Sent(url, headers if headers is not None else read(pool, "headers"), given.get("body"))

    exchange: Exchange | None = wire.sending_to(wire.endpoint_in(url), method, request, later=later)
    return wire.NO_SEND if exchange is None else wire.as_call(_Request(exchange, lambda: _timeouts(pool, kwargs)))


@guarded(fallback=None)
def _timeouts(pool: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the seconds of `timeout`: a number, or urllib3's `Timeout`; the pool's own where none was given."""
    given = kwargs.get("timeout")
    if not isinstance(given, (int, float)) and not hasattr(given, "connect_timeout"):
        given = read(pool, "timeout")
    if isinstance(given, (int, float)):
        return {"connect": given, "read": given}
    return {"connect": read(given, "connect_timeout"), "read": read(given, "read_timeout")}


# --- the body of a call by wire, as the host reads it -----------------------------------------------------------------


def stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `HTTPResponse.stream` and `read_chunked`: hand the pieces on, one by one."""
    inner = wrapped(*args, **kwargs)
    return listened(inner, instance, is_decoded=_decodes(instance, args, kwargs)) if wire.bodies else inner


def piece(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `HTTPResponse.read` and `read1`: one piece, or all that is left; an empty one is the end."""
    if not wire.bodies:
        return wrapped(*args, **kwargs)
    wanted = args[0] if args else kwargs.get("amt")
    decoded = _decodes(instance, args, kwargs)
    return piece_of(instance, lambda: wrapped(*args, **kwargs), wanted, is_decoded=decoded)


def _decodes(response: Any, args: Any, kwargs: Any) -> bool:
    given = args[1] if len(args) > 1 else kwargs.get("decode_content")
    return bool(read(response, "decode_content") if given is None else given)


def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `HTTPResponse.close`: a consumer that stops early."""
    try:
        return wrapped(*args, **kwargs)
    finally:
        call = wire.bodies.get(instance) if wire.bodies else None
        if call is not None:
            call.response_closed()


_BODY: Final = "the body of a call by wire, while the host reads it"
_NO_FURTHER: Final = "the end of a body that is not read to its end"
_BODIES: Final = "bodies"

URLLIB3: Final = Library(
    "urllib3",
    "urllib3",
    ">=1.26.18",
    (
        Patch("urllib3.connectionpool", "HTTPConnectionPool.urlopen", urlopen, "every way of sending ends here"),
        Patch("urllib3.response", "HTTPResponse.stream", stream, _BODY, kind=GENERATOR, group=_BODIES),
        Patch("urllib3.response", "HTTPResponse.read_chunked", stream, _BODY, kind=GENERATOR, group=_BODIES),
        Patch("urllib3.response", "HTTPResponse.read", piece, _BODY, takes="amt, decode_content", group=_BODIES),
        Patch("urllib3.response", "HTTPResponse.read1", piece, _BODY, since="2.3", group=_BODIES),
        Patch("urllib3.response", "HTTPResponse.close", close, _NO_FURTHER, group=_BODIES),
    ),
)
"""What is wrapped of urllib3."""
