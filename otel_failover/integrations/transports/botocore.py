"""botocore: every request of its clients, as evidence; Bedrock is asked by it.

Wrapped is `URLLib3Session.send(request)`: below the retries, which each pass here, and above urllib3, which raises
other errors than botocore does. An `AWSResponse` whose body nobody has read yet is not read by us; that of an error is
read by botocore itself. `ClientError` carries a copy of the facts and no object of the wire: `providers/bedrock.py`
binds it. Unchanged from botocore 1.35 to 1.44. No spans of our own.
"""

from __future__ import annotations

from typing import Any, Final

from otel_failover._core.evidence import wire
from otel_failover._core.failsafe import guarded, read, text_of
from otel_failover.integrations.patching import Library, Patch


def send(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `URLLib3Session.send`: open, call, settle."""
    with _opened(instance, args[0] if args else kwargs.get("request")) as sent:
        response = wrapped(*args, **kwargs)
        sent.answered(response)
    return response


@guarded(fallback=wire.NO_SEND)
def _opened(session: Any, request: Any) -> wire.Send:
    """Record that a request goes out."""
    endpoint = wire.endpoint_in(text_of(request.url))
    stream = bool(read(request, "stream_output"))
    exchange = wire.sending_to(endpoint, text_of(request.method).upper(), lambda: request, later=stream)
    if exchange is None:
        return wire.NO_SEND
    return wire.as_call(_Send(exchange, lambda: _timeouts(session, request)))


class _Send(wire.ChargedSend):
    """A request whose streamed answers are read from urllib3's response."""

    __slots__ = ()

    def body_of(self, response: Any) -> wire.Body:
        """Return urllib3's response, by whose methods every body is read."""
        raw = read(response, "raw")
        return wire.Body(response if raw is None else raw, response if raw is None else raw)


@guarded(fallback=None)
def _timeouts(session: Any, request: Any) -> dict[str, Any]:
    """Return the seconds that the session was given, and the request, where it has its own."""
    given, context = read(session, "_timeout"), read(request, "context")
    plain = given if isinstance(given, (int, float)) else None
    own = context.get("read_timeout") if isinstance(context, dict) else None
    connect, total = read(given, "connect_timeout"), read(given, "read_timeout")
    return {"connect": plain if plain is not None else connect, "read": own or (total if plain is None else plain)}


BOTOCORE: Final = Library(
    "botocore",
    "botocore",
    ">=1.35",
    (Patch("botocore.httpsession", "URLLib3Session.send", send, "every try of every client ends here"),),
)
"""What is wrapped of botocore as a transport."""
