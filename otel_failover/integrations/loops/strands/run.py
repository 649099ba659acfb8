"""One pass of an agent's loop over the candidates of its router in Strands Agents.

The run is never current: the library makes its spans below what is current, and hands the generator's steps to whoever
reads the agent's events.
"""

from __future__ import annotations

from typing import Any, Final

from opentelemetry import context as context_api

from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.failsafe import read
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.shared.library_run import LibraryRun
from otel_failover.integrations.loops.shared.wrappers import OpenDuringGenerator
from otel_failover.integrations.loops.strands.candidates import candidate_of

NAME: Final = "strands"
RUN: Final = context_api.create_key("failover-strands")
_DEEP: Final = 8


class StrandsRun(LibraryRun):
    """One pass of an agent's loop over its router's candidates; its run is opened by its first attempt.

    Args:
        agent: Whose loop it is.
        router: The agent's `ModelRouter`.
        state: The invocation's, where the router counts its switches.
    """

    def __init__(self, agent: Any, router: Any, state: Any) -> None:
        entries = tuple(router.candidates)
        super().__init__(Run("chat", [_entry(each) for each in entries], library=NAME), entries, RUN)
        self.agent, self._router, self._state = agent, router, state

    def open_detached(self) -> None:
        """Do nothing yet: a hook may forbid the first call."""

    def explain(self, problem: BaseException | None) -> None:
        """Record `stop` where the latest error leaves though others are left: the router had the last word."""
        if problem is not None and problem is self.raised and self.has_untried:
            self.run.stop(self._why())

    def _why(self) -> str:
        cap = read(self._router, "_max_switches")
        switches = read(self._state.get(self._router._state_key(self.agent)), "switches")
        capped = isinstance(cap, int) and isinstance(switches, int) and switches >= cap
        return "max_switches" if capped else "the strategy named no other candidate"

    def attempt(self, model: Any) -> OpenDuringGenerator:
        """Return the attempt at a model; one that the router does not have stands outside the chain."""
        if not self.run.goes_on:
            self.run.open_detached()
        known = candidate_of(model)
        index = next((at for at, each in enumerate(self.entries) if _reaches(each.model, model)), -1)
        self.asked.update((index,) if index >= 0 else ())
        attempt = self.run.attempt_at(index, known) if index >= 0 else self.run.attempt(known)
        return OpenDuringGenerator(attempt, self.failed)


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
