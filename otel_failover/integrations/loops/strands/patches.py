"""Strands Agents: `ModelRouter`, from 1.53 on.

The router has no loop of its own. The agent's does it: `_handle_model_execution` calls a model until a hook no longer
asks for another call, and the router is such a hook, which names the model of the next one. A run is one pass of that
generator, for an agent that has a router; it begins where the first model is called, since a hook may forbid the call
and a middleware may answer in its place. An attempt is what `_make_invoke_model_terminal` gives: the innermost part of
one call, behind every middleware, which knows the model that was chosen and makes Strands' own `chat` span.

The router's public hooks say the same, but come before and after a call that happens in other steps of a generator:
what they would make current would leak into whoever reads the agent's events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded, read
from otel_failover.integrations.loops.shared.held_open import NOTHING, CurrentAgain, HeldOpen, is_steps
from otel_failover.integrations.loops.shared.library_run import current_run, run_between_attempts
from otel_failover.integrations.loops.shared.wrappers import driven, steps
from otel_failover.integrations.loops.strands.run import NAME, RUN, StrandsRun
from otel_failover.integrations.patching import Library, Patch
from otel_failover.integrations.seams import ASYNC_GENERATOR

if TYPE_CHECKING:
    from collections.abc import Mapping

# --- what is wrapped --------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _run_of(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> HeldOpen:
    """Return a new run for an agent that has a router."""
    agent = args[0] if args else kwargs["agent"]
    router = read(agent, "_model_router")
    if router is None:
        return NOTHING
    return StrandsRun(agent, router, args[3] if len(args) > 3 else kwargs["invocation_state"])


def _make_terminal(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap what makes the innermost part of a call: each call of that part is an attempt."""
    terminal = wrapped(*args, **kwargs)

    def invoke(asked: Any) -> Any:
        events = terminal(asked)
        return driven(_attempt_of(asked), events) if is_steps(events) else events

    return invoke


@guarded(fallback=NOTHING)
def _attempt_of(asked: Any) -> HeldOpen:
    """Return the attempt that a call is, where it is made by the agent whose run this is."""
    run = run_between_attempts(StrandsRun, RUN)
    return run.attempt(asked.model) if run is not None and run.agent is asked.agent else NOTHING


@guarded(fallback=NOTHING)
def _inside(*_: Any) -> HeldOpen:
    """Return the attempt again, below Strands' own span: the provider's call belongs below the candidate's."""
    run = current_run(StrandsRun, RUN)
    attempt = scope.attempt_of(run.run) if run is not None else None
    return CurrentAgain(attempt) if attempt is not None else NOTHING


_LOOP: Final = "strands.event_loop.event_loop"

STRANDS: Final = Library(
    NAME,
    "strands-agents",
    ">=1.53",
    (
        Patch(
            _LOOP,
            "_handle_model_execution",
            steps(_run_of),
            "an agent's calls of models until no hook asks for another",
            kind=ASYNC_GENERATOR,
            takes="agent, _, _, invocation_state",
        ),
        Patch(_LOOP, "_make_invoke_model_terminal", _make_terminal, "one call of a model, behind every middleware"),
        Patch(
            _LOOP,
            "stream_messages",
            steps(_inside),
            "that call below Strands' span, which it makes under another parent",
            kind=ASYNC_GENERATOR,
        ),
    ),
)
"""What is wrapped of Strands Agents."""
