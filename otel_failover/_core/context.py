"""State in the OpenTelemetry context: which run, attempt and call are current.

Never in baggage: SDKs send baggage to providers. Detaching goes through the token itself, guarded: a generator that is
closed from another task detaches in a foreign context, where OpenTelemetry would log an error into the host's logs.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

RUN: Final = context_api.create_key("failover-run")
ATTEMPT: Final = context_api.create_key("failover-attempt")
CALL: Final = context_api.create_key("failover-call")
SPAN: Final = next(iter(set_span_in_context(INVALID_SPAN, context_api.Context())))
"""OpenTelemetry's own key, of the span that is current: for adapters that leave ours out of a context."""

_innermost: Final[ContextVar[Context | None]] = ContextVar("failover-attempt", default=None)
"""The context that we made current last, where it is in an attempt; OpenTelemetry's own may have been exchanged."""
entered: Final = _innermost.get
"""Returns that context, None where there is none: asked for each span of the process, so without a function between."""


def run_in(context: Context | None = None) -> Any:
    """Return the `Run` of a context, None where there is none; `runs.run.current_run` is the same with its type."""
    return (context_api.get_current() if context is None else context).get(RUN)


def attempt_in(context: Context | None = None) -> Any:
    """Return the `Attempt` of a context, live or not; `runs.attempt.current_attempt` is the same with its type."""
    found = (context_api.get_current() if context is None else context).get(ATTEMPT)
    return displaced(context) if found is None and entered() is not None else found


def attempt_of(run: Any) -> Any:
    """Return the current attempt where it is a run's own, live or not: for adapters, what it asks is no step of theirs.

    Args:
        run: The run of an adapter's pass; None where that has not opened one.
    """
    attempt = attempt_in()
    return attempt if attempt is not None and run is not None and attempt.run is run else None


def displaced(context: Context | None) -> Any:
    """Return the attempt that was entered last, where a context lacks it that is used inside of it.

    Some instrumentations make a context current, or start spans in one, that they took before the attempt began
    (OpenTelemetry's of LangChain: its span's around the whole loop), or that they made of a request's headers alone
    (FastAPI's own, of an application that is reached in this process). A context of another run is left alone.
    """
    # The variable is ours, so it follows the task and the thread as the OpenTelemetry context does, and nobody else
    # exchanges what is in it.
    innermost = _innermost.get()
    entered: Any = innermost.get(ATTEMPT) if innermost is not None else None
    if entered is None or not entered.live:
        return None
    run = run_in(context)
    return entered if run is None or run is entered.run else None


def call_in(context: Context | None = None) -> Any:
    """Return the open SDK call of a context; where that lacks its attempt, the one that we made current last."""
    current = context_api.get_current() if context is None else context
    found = current.get(CALL)
    if found is None and (innermost := _innermost.get()) is not None and current.get(ATTEMPT) is None:
        return innermost.get(CALL) if displaced(current) is not None else None
    return found


def with_values(values: dict[str, object], span: Span | None = None, base: Context | None = None) -> Context:
    """Return a context with our keys, and a span, set: one copy instead of one per key."""
    if span is not None:
        values[SPAN] = span
    return context_api.Context(context_api.get_current() if base is None else base, **values)


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
    """One attach and its detach.

    The token is reset directly, and not by `opentelemetry.context.detach`: a generator that is closed from another task
    or thread, or collected, detaches in a context where the token was never set. OpenTelemetry catches that, and writes
    "Failed to detach context" with a traceback into the host's log; there is nothing to mend then, since the context
    that was left attached is gone with its task.
    """

    __slots__ = ("_before", "_token")

    def __init__(self, context: Context) -> None:
        self._token: Any = context_api.attach(context)
        self._before = _innermost.set(context if context.get(ATTEMPT) is not None else None)

    def detach(self) -> None:
        """Restore what was current before; never logs, never raises, and leaves a foreign context alone."""
        token, self._token = self._token, None
        if token is None:
            return
        try:
            _innermost.reset(self._before)
            token.var.reset(token)
        except (ValueError, RuntimeError):
            return
        except AttributeError:
            context_api.detach(token)


_SUPPRESS: Final = "suppress_instrumentation"


def is_suppressed(current: Context) -> bool:
    """Whether instrumentation is suppressed in a context, by the key that OpenTelemetry's own exporters set."""
    return any(map(current.get, _KEYS))


def _keys() -> tuple[str, ...]:
    key = getattr(context_api, "_SUPPRESS_INSTRUMENTATION_KEY", None)
    return (key, _SUPPRESS) if isinstance(key, str) else (_SUPPRESS,)


_KEYS: Final = _keys()
