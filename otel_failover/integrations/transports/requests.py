"""requests: every request of its sessions, as evidence.

Wrapped is `Session.send(request, **kwargs)`, where `get`, `post` and `request` all end, redirects inside: the request
and response objects that pass there are the very ones that `requests` exceptions carry. A body that is streamed is the
host's to read. Unchanged from requests 2.31 to 2.34. No spans of our own. What `HTTPAdapter.send` gets is noted while
the send is under way: the span of another instrumentation of `Session.send` ends before the answer has come to us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.evidence import wire
from otel_failover._core.failsafe import guarded, read, text_of
from otel_failover.integrations.patching import Library, Patch

if TYPE_CHECKING:
    from collections.abc import Mapping


def send(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `Session.send`: open, call, settle; a redirect to the same host is part of it."""
    with _opened(instance, args, kwargs) as sent:
        response = wrapped(*args, **kwargs)
        sent.answered(response)
    return response


def below(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `HTTPAdapter.send`: what came, before the spans of other instrumentations of `Session.send` end."""
    if wire.above.get() is None:
        return wrapped(*args, **kwargs)
    url = read(args[0] if args else kwargs.get("request"), "url")
    try:
        response = wrapped(*args, **kwargs)
    except Exception as problem:
        wire.glimpsed_failure(url, problem)
        raise
    wire.glimpsed(url, response.status_code)
    return response


@guarded(fallback=wire.NO_SEND)
def _opened(session: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> wire.Send:
    """Record that a request goes out."""
    request = args[0] if args else kwargs.get("request")
    endpoint = wire.endpoint_in(text_of(read(request, "url")))
    stream = bool(kwargs.get("stream", read(session, "stream")))
    around = wire.above.get()
    exchange = wire.sending_to(
        endpoint,
        text_of(read(request, "method")).upper(),
        lambda: request,
        stream=stream,
        # A session that follows a redirect calls itself so.
        redirected=around is not None and around.open and kwargs.get("allow_redirects") is False,
    )
    return wire.NO_SEND if exchange is None else wire.as_call(_Send(exchange, lambda: _timeouts(kwargs)))


class _Send(wire.ChargedSend):
    """A request of a session, whose streamed answers are read from urllib3's response."""

    __slots__ = ()

    def body_of(self, response: Any) -> wire.Body:
        """Return urllib3's response, by whose methods every body is read."""
        raw = read(response, "raw")
        return wire.Body(response if raw is None else raw, response if raw is None else raw)


@guarded(fallback=None)
def _timeouts(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the seconds of `timeout`: one number for both kinds, a pair, or urllib3's `Timeout`."""
    given = kwargs.get("timeout")
    if isinstance(given, (tuple, list)):
        return dict(zip(("connect", "read"), given, strict=False))
    if isinstance(given, (int, float)):
        return {"connect": given, "read": given}
    return {"connect": read(given, "connect_timeout"), "read": read(given, "read_timeout")}


REQUESTS: Final = Library(
    "requests",
    "requests",
    ">=2.31",
    (
        Patch("requests.sessions", "Session.send", send, "the request and response objects that exceptions carry"),
        Patch("requests.adapters", "HTTPAdapter.send", below, "what came, before the spans of others end"),
    ),
)
"""What is wrapped of requests."""
