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

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.config import runtime
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.shared.held_open import NOTHING, is_steps
from otel_failover.integrations.loops.shared.library_run import KeyedPass, asking, pass_in
from otel_failover.integrations.loops.shared.wrappers import Inside, Tried, driven, steps
from otel_failover.integrations.loops.strands.candidates import candidate_of
from otel_failover.integrations.patching import Library, Patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context

    from otel_failover._core.runs.functions import Opened

_NAME: Final = "strands"
_PASS: Final = context_api.create_key("failover-strands")
_DEEP: Final = 8


class _Pass(KeyedPass):
    """One pass of an agent's loop over its router's candidates; its run is opened by its first attempt.

    Args:
        agent: Whose pass it is.
        router: The agent's `ModelRouter`.
        state: The invocation's, where the router counts its switches.
    """

    def __init__(self, agent: Any, router: Any, state: Any) -> None:
        self.agent, self._router, self._state = agent, router, state
        self._candidates = tuple(router.candidates)
        super().__init__(_PASS, Run("chat", [_entry(each) for each in self._candidates], library=_NAME))
        self._raised: BaseException | None = None

    def open_detached(self) -> None:
        """Do nothing yet: a hook may forbid the first call."""

    @property
    def context(self) -> Context | None:
        """The host's own context, by which this pass is found."""
        return context_api.set_value(_PASS, self)

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End the run, if there was one; where candidates are left, the router had the last word."""
        raised, self._raised = self._raised, None
        if problem is not None and problem is raised and len(self.asked) < len(self._candidates):
            self.run.stop(self._why())
        super().leave(problem)

    def _why(self) -> str:
        cap = read(self._router, "_max_switches")
        switches = read(self._state.get(self._router._state_key(self.agent)), "switches")
        capped = isinstance(cap, int) and isinstance(switches, int) and switches >= cap
        return "max_switches" if capped else "the strategy named no other candidate"

    def attempt(self, model: Any) -> Tried:
        """Return the attempt at a model; one that the router does not have stands outside the chain."""
        if not self.run.goes_on:
            self.run.open_detached()
        known = candidate_of(model)
        index = next((at for at, each in enumerate(self._candidates) if _reaches(each.model, model)), -1)
        self.asked.update((index,) if index >= 0 else ())
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


@guarded(fallback=NOTHING)
def _pass_of(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Opened:
    """Return a new pass for an agent that has a router."""
    agent = args[0] if args else kwargs["agent"]
    router = read(agent, "_model_router")
    if router is None or not runtime.current().active:
        return NOTHING
    return _Pass(agent, router, args[3] if len(args) > 3 else kwargs["invocation_state"])


def _make_terminal(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap what makes the innermost part of a call: each call of that part is an attempt."""
    terminal = wrapped(*args, **kwargs)

    def invoke(asked: Any) -> Any:
        events = terminal(asked)
        return driven(_attempt_of(asked), events) if is_steps(events) else events

    return invoke


@guarded(fallback=NOTHING)
def _attempt_of(asked: Any) -> Opened:
    """Return the attempt that a call is, where it is made by the agent whose pass this is."""
    opened = asking(_Pass, _PASS)
    return opened.attempt(asked.model) if opened is not None and opened.agent is asked.agent else NOTHING


@guarded(fallback=NOTHING)
def _inside(*_: Any) -> Opened:
    """Return the attempt again, below Strands' own span: the provider's call belongs below the candidate's."""
    opened = pass_in(_Pass, _PASS)
    attempt = scope.attempt_of(opened.run) if opened is not None else None
    return Inside(attempt) if attempt is not None else NOTHING


_LOOP: Final = "strands.event_loop.event_loop"

STRANDS: Final = Library(
    _NAME,
    "strands-agents",
    ">=1.53,<2",
    (
        Patch(
            _LOOP,
            "_handle_model_execution",
            steps(_pass_of),
            "an agent's calls of models until no hook asks for another",
        ),
        Patch(_LOOP, "_make_invoke_model_terminal", _make_terminal, "one call of a model, behind every middleware"),
        Patch(
            _LOOP,
            "stream_messages",
            steps(_inside),
            "that call below Strands' span, which it makes under another parent",
        ),
    ),
)
"""What is wrapped of Strands Agents."""
