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

import inspect
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover import runtime, scope
from otel_failover.decorating import aiterate
from otel_failover.failsafe import guarded, read
from otel_failover.identity import Candidate
from otel_failover.loops.strands_models import candidate_of
from otel_failover.loops.trying import Held, Inside, Tried
from otel_failover.patching import Library, Patch
from otel_failover.run import Run

if TYPE_CHECKING:
    from opentelemetry.context import Context

_NAME: Final = "strands"
_PASS: Final = context_api.create_key("failover-strands")
_DEEP: Final = 8


class _Pass(Held):
    """One pass of an agent's loop over its router's candidates; its run is opened by its first attempt.

    Args:
        agent: Whose pass it is.
        router: The agent's `ModelRouter`.
        state: The invocation's, where the router counts its switches.
    """

    def __init__(self, agent: Any, router: Any, state: Any) -> None:
        self.agent, self._router, self._state = agent, router, state
        self._candidates = tuple(router.candidates)
        self.run: Run | None = None
        self._tried: set[int] = set()
        self._raised: BaseException | None = None

    @property
    def context(self) -> Context | None:
        """The host's own context, by which this pass is found."""
        return context_api.set_value(_PASS, self)

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End the run, if there was one; where candidates are left, the router had the last word."""
        run, raised, self._raised = self.run, self._raised, None
        if run is None:
            return
        if problem is not None and problem is raised and len(self._tried) < len(self._candidates):
            run.stop(self._why())
        run.leave(problem)

    def _why(self) -> str:
        cap = read(self._router, "_max_switches")
        switches = read(self._state.get(self._router._state_key(self.agent)), "switches")
        capped = isinstance(cap, int) and isinstance(switches, int) and switches >= cap
        return "max_switches" if capped else "the strategy named no other candidate"

    def attempt(self, model: Any) -> Tried:
        """Return the attempt at a model; one that the router does not have stands outside the chain."""
        if self.run is None:
            self.run = Run("chat", [_entry(each) for each in self._candidates], library=_NAME)
            self.run.open_aside()
        known = candidate_of(model)
        index = next((at for at, each in enumerate(self._candidates) if _reaches(each.model, model)), -1)
        self._tried.update((index,) if index >= 0 else ())
        attempt = self.run.attempt_at(index, known) if index >= 0 else self.run.attempt(known)
        return Tried(attempt, self._failed)

    def _failed(self, problem: Exception, began: bool) -> None:  # noqa: ARG002 - Strands goes on either way
        self._raised = problem


def _entry(candidate: Any) -> Candidate:
    """Return who a router's candidate is; which one a router inside it will choose is not known before."""
    name = candidate.name if isinstance(candidate.name, str) else None
    if hasattr(candidate.model, "candidates"):
        return Candidate("", "", None, name)
    known = candidate_of(candidate.model)
    return Candidate(known.provider, known.model, known.endpoint, name)


def _reaches(given: Any, model: Any, depth: int = 0) -> bool:
    """Whether a candidate is a model, or a router that may choose it."""
    if given is model or depth > _DEEP:
        return given is model
    return any(_reaches(each.model, model, depth + 1) for each in getattr(given, "candidates", ()))


# --- what is wrapped --------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _pass_of(events: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Pass | None:
    agent = args[0] if args else kwargs["agent"]
    router = read(agent, "_model_router")
    if router is None or not runtime.current().active or not inspect.isasyncgen(events):
        return None
    return _Pass(agent, router, args[3] if len(args) > 3 else kwargs["invocation_state"])


def _execute(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap an agent's loop over calls of a model."""
    events = wrapped(*args, **kwargs)
    opened = _pass_of(events, args, kwargs)
    return events if opened is None else aiterate(lambda: opened, events)


def _make_terminal(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap what makes the innermost part of a call: each call of that part is an attempt."""
    terminal = wrapped(*args, **kwargs)

    def invoke(asked: Any) -> Any:
        events = terminal(asked)
        tried = _attempt_of(asked, events)
        return events if tried is None else aiterate(lambda: tried, events)

    return invoke


@guarded(fallback=None)
def _attempt_of(asked: Any, events: Any) -> Tried | None:
    """Return the attempt that a call is: of the agent whose pass this is, outside any attempt of it."""
    opened = context_api.get_value(_PASS)
    if not isinstance(opened, _Pass) or opened.agent is not asked.agent or not inspect.isasyncgen(events):
        return None
    if not runtime.current().active or _is_in_attempt(opened):
        return None
    return opened.attempt(asked.model)


def _is_in_attempt(opened: _Pass) -> bool:
    current = scope.attempt_in()
    return current is not None and current._run is opened.run


def _stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap what asks the model, below Strands' own span: the provider's call belongs below the candidate's."""
    events = wrapped(*args, **kwargs)
    inside = _inside(events)
    return events if inside is None else aiterate(lambda: inside, events)


@guarded(fallback=None)
def _inside(events: Any) -> Inside | None:
    opened, attempt = context_api.get_value(_PASS), scope.attempt_in()
    if not isinstance(opened, _Pass) or attempt is None or not _is_in_attempt(opened):
        return None
    return Inside(attempt) if inspect.isasyncgen(events) else None


_LOOP: Final = "strands.event_loop.event_loop"

STRANDS: Final = Library(
    _NAME,
    "strands-agents",
    ">=1.53,<2",
    (
        Patch(_LOOP, "_handle_model_execution", _execute, "an agent's calls of models until no hook asks for another"),
        Patch(_LOOP, "_make_invoke_model_terminal", _make_terminal, "one call of a model, behind every middleware"),
        Patch(_LOOP, "stream_messages", _stream, "that call below Strands' span, which it makes under another parent"),
    ),
)
"""What is wrapped of Strands Agents."""
