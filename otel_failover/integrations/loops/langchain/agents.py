"""LangChain's fallback for agents: one model call of an agent that has `ModelFallbackMiddleware`.

The middleware asks a handler for the agent's own model, then for each of its own; each call of the handler is one
attempt. The error that leaves is the last candidate's: a report, and no evidence.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.config import runtime
from otel_failover._core.failsafe import guarded, read
from otel_failover.integrations.loops.langchain.run import Pass
from otel_failover.integrations.loops.shared.held_open import NOTHING, Openable
from otel_failover.integrations.patching import Library, Patch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    from otel_failover._core.runs.attempt import Attempt

NAME: Final = "langchain"


class _Call(Openable):
    """One call of the handler: an attempt, unless the graph is being interrupted."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def __enter__(self) -> Self:
        self._attempt.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if _interrupts(problem):
            # At once: LangChain 1.0 goes on to the next model, and that does not make it a timeout.
            self._attempt.interrupted()
            return
        self._attempt.__exit__(kind, problem, traceback)


class _Pass(Pass):
    """One pass of an agent's models, which an interrupted graph leaves as a cancelled one does."""

    def leave(self, problem: BaseException | None) -> None:
        """End; what interrupts a graph is an exception, and no error."""
        super().leave(asyncio.CancelledError() if _interrupts(problem) else problem)


def _interrupts(problem: BaseException | None) -> bool:
    bubble = getattr(sys.modules.get("langgraph.errors"), "GraphBubbleUp", None)
    return bubble is not None and isinstance(problem, bubble)


@guarded(fallback=None)
def _pass_of(instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Pass | None:
    """Return a new pass: the agent's own model, then the middleware's; None while we are off."""
    if not runtime.current().active:
        return None
    request = args[0] if args else kwargs["request"]
    return _Pass((request.model, *instance.models), NAME)


@guarded(fallback=NOTHING)
def _attempt_at(opened: Pass, request: Any) -> Openable:
    attempt = opened.next(read(request, "model"))
    return NOTHING if attempt is None else _Call(attempt)


def _given(args: tuple[Any, ...], kwargs: Mapping[str, Any], handler: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with another handler in the place of the host's."""
    if "handler" in kwargs:
        return args, {**kwargs, "handler": handler}
    return (args[0], handler, *args[2:]) if args else args, dict(kwargs)


def _wrap_model_call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `ModelFallbackMiddleware.wrap_model_call` with a run, and its handler with attempts."""
    opened = _pass_of(instance, args, kwargs)
    if opened is None:
        return wrapped(*args, **kwargs)
    ask = kwargs["handler"] if "handler" in kwargs else args[1]

    def handler(request: Any) -> Any:
        with _attempt_at(opened, request):
            return ask(request)

    given, named = _given(args, kwargs, handler)
    with opened:
        return wrapped(*given, **named)


async def _awrap_model_call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `ModelFallbackMiddleware.awrap_model_call` with a run, and its handler with attempts."""
    opened = _pass_of(instance, args, kwargs)
    if opened is None:
        return await wrapped(*args, **kwargs)
    ask = kwargs["handler"] if "handler" in kwargs else args[1]

    async def handler(request: Any) -> Any:
        with _attempt_at(opened, request):
            return await ask(request)

    given, named = _given(args, kwargs, handler)
    with opened:
        return await wrapped(*given, **named)


_MODULE: Final = "langchain.agents.middleware.model_fallback"
_CLASS: Final = "ModelFallbackMiddleware"

LANGCHAIN: Final = Library(
    NAME,
    "langchain",
    ">=1,<2",
    (
        Patch(_MODULE, f"{_CLASS}.wrap_model_call", _wrap_model_call, "one pass of an agent's models, since 1.0"),
        Patch(_MODULE, f"{_CLASS}.awrap_model_call", _awrap_model_call, "the same, asynchronous"),
    ),
)
