"""httpx and httpx2: every request an SDK sends, sync and async, as evidence.

Wrapped is `Client.send` / `AsyncClient.send`, not the transport below: there the request and response objects are the
very ones that SDK exceptions carry, which is what binds an error to the wire. A transport below may send by another
library, as litellm's does by aiohttp; that send is a part of this one, and not counted again. Signature `(request, *,
stream, auth, follow_redirects)`, unchanged from httpx 0.27 to 0.28 and httpx2 2.12 to 2.16. No spans of our own.

Below both, what `httpcore` gets is noted while the send is under way: other instrumentations stand between the two, and
their spans end before the answer has come to us.
"""

from __future__ import annotations

from typing import Any, Final

from otel_failover._core.evidence import wire
from otel_failover._core.failsafe import read
from otel_failover._core.runs.by_wire.reading import listened
from otel_failover.integrations.patching import Library, Patch
from otel_failover.integrations.seams import ASYNC_GENERATOR, GENERATOR


def send(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `Client.send`: open, call, settle."""
    with wire.opened(args, kwargs) as sent:
        response = wrapped(*args, **kwargs)
        sent.answered(response)
    return response


async def asend(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `AsyncClient.send`: open, call, settle."""
    with wire.opened(args, kwargs) as sent:
        response = await wrapped(*args, **kwargs)
        sent.answered(response)
    return response


def below(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `httpcore.ConnectionPool.handle_request`: what came, before the spans above it end."""
    if wire.above.get() is None:
        return wrapped(*args, **kwargs)
    try:
        response = wrapped(*args, **kwargs)
    except Exception as problem:
        wire.glimpsed_failure(_url(args, kwargs), problem)
        raise
    wire.glimpsed(_url(args, kwargs), response.status)
    return response


async def abelow(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `httpcore.AsyncConnectionPool.handle_async_request`: the same."""
    if wire.above.get() is None:
        return await wrapped(*args, **kwargs)
    try:
        response = await wrapped(*args, **kwargs)
    except Exception as problem:
        wire.glimpsed_failure(_url(args, kwargs), problem)
        raise
    wire.glimpsed(_url(args, kwargs), response.status)
    return response


def _url(args: Any, kwargs: Any) -> Any:
    return read(args[0] if args else kwargs.get("request"), "url")


def pieces(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `Response.iter_raw` and `aiter_raw`: every way of reading a body ends here, before it is decompressed."""
    inner = wrapped(*args, **kwargs)
    return listened(inner, instance) if wire.bodies.entries else inner


def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `Response.close`: a consumer that stops early, by whatever helper it has the stream."""
    try:
        return wrapped(*args, **kwargs)
    finally:
        if wire.streaming:
            wire.closed(instance)


async def aclose(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `Response.aclose`: a consumer that stops early, by whatever helper it has the stream."""
    try:
        return await wrapped(*args, **kwargs)
    finally:
        if wire.streaming:
            wire.closed(instance)


def _library(name: str, supported: str, core: str) -> Library:
    why = "the request and response objects that SDK exceptions carry pass here"
    each_piece = "the body of a call by wire, while the host reads it"
    early = "what came, before the spans of other instrumentations of httpx end"
    return Library(
        name,
        name,
        supported,
        (
            Patch(name, "Client.send", send, why, takes="request, *, stream"),
            Patch(name, "AsyncClient.send", asend, why, takes="request, *, stream"),
            Patch(name, "Response.iter_raw", pieces, each_piece, kind=GENERATOR, group="bodies"),
            Patch(name, "Response.aiter_raw", pieces, each_piece, kind=ASYNC_GENERATOR, group="bodies"),
            Patch(name, "Response.close", close, "the end of a stream that is closed early"),
            Patch(name, "Response.aclose", aclose, "the end of a stream that is closed early"),
            Patch(core, "ConnectionPool.handle_request", below, early, apart=True),
            Patch(core, "AsyncConnectionPool.handle_async_request", abelow, early, apart=True),
        ),
    )


HTTPX: Final = _library("httpx", ">=0.25,<1", "httpcore")
HTTPX2: Final = _library("httpx2", ">=2.12", "httpcore2")
