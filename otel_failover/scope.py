"""State in the OpenTelemetry context: which run, attempt and call are current.

Never in baggage: SDKs send baggage to providers. Detaching goes through the token itself, guarded: a generator that is
closed from another task detaches in a foreign context, where OpenTelemetry would log an error into the host's logs.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from otel_failover.attempt import Attempt
    from otel_failover.run import Run

RUN: Final = context_api.create_key("failover-run")
ATTEMPT: Final = context_api.create_key("failover-attempt")
CALL: Final = context_api.create_key("failover-call")


def run_in(context: Context | None = None) -> Run | None:
    """Return the run of a context, whether it still takes attempts or not."""
    return context_api.get_value(RUN, context)  # type: ignore[return-value]


def attempt_in(context: Context | None = None) -> Attempt | None:
    """Return the attempt of a context, live or not."""
    found: Any = context_api.get_value(ATTEMPT, context)
    return displaced(context) if found is None else found


_entered: ContextVar[Attempt | None] = ContextVar("failover-attempt", default=None)


def displaced(context: Context | None) -> Attempt | None:
    """Return the attempt that was entered last, where a context lacks it that is used inside of it.

    Some instrumentations make a context current, or start spans in one, that they took before the attempt began
    (OpenTelemetry's of LangChain: its span's around the whole loop). A context of another run is left alone.
    """
    entered = _entered.get()
    if entered is None or not entered.live:
        return None
    return entered if run_in(context) in (None, entered._run) else None


def call_in(context: Context | None = None) -> Any:
    """Return the open SDK call of a context."""
    return context_api.get_value(CALL, context)


def with_values(values: dict[str, object], span: Span | None = None, base: Context | None = None) -> Context:
    """Return a context with our keys, and a span, set: one copy instead of one per key."""
    start = context_api.get_current() if base is None else base
    if span is not None:
        values[_SPAN_KEY] = span
    return context_api.Context({**start, **values})


_SPAN_KEY: Final = next(iter(set_span_in_context(INVALID_SPAN, context_api.Context())))


@contextmanager
def attached(context: Context | None) -> Iterator[None]:
    """Make a context current for a while; None leaves things as they are."""
    if context is None:
        yield
        return
    attachment = Attachment(context)
    try:
        yield
    finally:
        attachment.detach()


class Attachment:
    """One attach and its detach."""

    __slots__ = ("_entered", "_token")

    def __init__(self, context: Context) -> None:
        self._token: Any = context_api.attach(context)
        self._entered = _entered.set(context_api.get_value(ATTEMPT, context))  # type: ignore[arg-type]

    def detach(self) -> None:
        """Restore what was current before; never logs, never raises, and leaves a foreign context alone."""
        token, self._token = self._token, None
        if token is None:
            return
        with suppress(ValueError, RuntimeError):
            _entered.reset(self._entered)
        variable = getattr(token, "var", None)
        if variable is None:
            context_api.detach(token)
            return
        try:
            variable.reset(token)
        except (ValueError, RuntimeError):
            return
