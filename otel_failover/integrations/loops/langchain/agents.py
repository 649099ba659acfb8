"""LangChain's fallback for agents: one model call of an agent that has `ModelFallbackMiddleware`.

The middleware asks a handler for the agent's own model, then for each of its own; each call of the handler is one
attempt. The error that leaves is the last candidate's: a report, and no evidence.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.failsafe import guarded, read
from otel_failover.integrations.loops.langchain.run import LangChainRun
from otel_failover.integrations.loops.shared.held_open import NOTHING, HeldOpen
from otel_failover.integrations.loops.shared.wrappers import aaround, around
from otel_failover.integrations.patching import Library, Patch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from otel_failover._core.runs.attempt import Attempt

NAME: Final = "langchain"


def _interrupts(problem: BaseException | None) -> bool:
    """Whether this is LangGraph interrupting the graph, for a person to look at it: an exception, and no error."""
    bubble = getattr(sys.modules.get("langgraph.errors"), "GraphBubbleUp", None)
    return bubble is not None and isinstance(problem, bubble)


class _AgentRun(LangChainRun):
    """One pass of an agent's models."""

    def leave(self, problem: BaseException | None) -> None:
        """End the run; an interrupted graph leaves it as a cancelled one does."""
        super().leave(asyncio.CancelledError() if _interrupts(problem) else problem)


class _OpenUnlessInterrupted(HeldOpen):
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


# --- what is wrapped --------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _run_of(instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> HeldOpen:
    """Return a new run: the agent's own model, then the middleware's."""
    request = args[0] if args else kwargs["request"]
    return _AgentRun((request.model, *instance.models), NAME)


@guarded(fallback=NOTHING)
def _attempt_at(run: LangChainRun, request: Any) -> HeldOpen:
    attempt = run.attempt(read(request, "model"))
    return NOTHING if attempt is None else _OpenUnlessInterrupted(attempt)


def _with_attempts(run: _AgentRun, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments of `wrap_model_call`, with an attempt around each call of the handler."""
    ask = _handler_in(args, kwargs)

    def handler(request: Any) -> Any:
        opened = _attempt_at(run, request)
        with opened:
            return ask(request)

    return _with_handler(args, kwargs, handler)


def _with_aattempts(run: _AgentRun, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments of `awrap_model_call`, with an attempt around each call of the handler."""
    ask = _handler_in(args, kwargs)

    async def handler(request: Any) -> Any:
        opened = _attempt_at(run, request)
        with opened:
            return await ask(request)

    return _with_handler(args, kwargs, handler)


def _handler_in(args: Any, kwargs: Mapping[str, Any]) -> Callable[[Any], Any]:
    found: Callable[[Any], Any] = kwargs["handler"] if "handler" in kwargs else args[1]
    return found


def _with_handler(args: Any, kwargs: dict[str, Any], handler: Any) -> tuple[Any, dict[str, Any]]:
    """Return the arguments with another handler in the place of the host's."""
    if "handler" in kwargs:
        return args, {**kwargs, "handler": handler}
    return (args[0], handler, *args[2:]) if args else args, kwargs


_MODULE: Final = "langchain.agents.middleware.model_fallback"
_CLASS: Final = "ModelFallbackMiddleware"

LANGCHAIN: Final = Library(
    NAME,
    "langchain",
    ">=1",
    (
        Patch(
            _MODULE,
            f"{_CLASS}.wrap_model_call",
            around(_run_of, _with_attempts),
            "one pass of an agent's models, since 1.0; the handler asks one of them",
            takes="request, handler",
            group="wrap_model_call",
        ),
        Patch(
            _MODULE,
            f"{_CLASS}.awrap_model_call",
            aaround(_run_of, _with_aattempts),
            "the same, asynchronous",
            takes="request, handler",
            group="awrap_model_call",
        ),
    ),
)
