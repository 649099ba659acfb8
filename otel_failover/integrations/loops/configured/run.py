"""One run of a configured loop, and where in its chain each attempt stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.configured.candidates import WHO
from otel_failover.integrations.loops.shared.library_run import LibraryRun

if TYPE_CHECKING:
    from otel_failover._core.domain.candidate import Candidate
    from otel_failover._core.runs.attempt import Attempt


class ConfiguredRun(LibraryRun):
    """One run of a configured loop: who stands where in its chain.

    An attempt belongs to its own loop's run only, so that loops may share an attempt function, and one that is entered
    by another door makes nothing.

    Args:
        loop: The loop's name.
        operation: What is asked for.
        entries: Of its chain, as the host has them; None where it is not known.
        members: The same, understood.
    """

    def __init__(
        self, loop: str, operation: str, entries: tuple[Any, ...] | None, members: list[Candidate] | None
    ) -> None:
        super().__init__(Run(operation, members, library="configured", name=loop), entries or ())
        self.loop, self._members = loop, members or []
        self._placed: dict[Candidate, int] = {}

    def attempt(self, candidate: Candidate, things: list[Any]) -> Attempt:
        """Return the next attempt: at the host's own object, else at an equal member, else at one that fits.

        Args:
            candidate: Who is tried, as far as it is known.
            things: What the paths started at and passed; one of them may be the chain's own entry.
        """
        passed = [each for each in things if each is not None]
        places = [at for at, each in enumerate(self.entries) if any(each is thing for thing in passed)]
        if places:
            at = next((at for at in places if at not in self.asked), places[-1])
        elif candidate in self._members or not (candidate.provider or candidate.model):
            return self.run.attempt(candidate)
        else:
            at = self._fitting(candidate)
        self.asked.add(at)
        return self.run.attempt_at(at, candidate) if at >= 0 else self.run.attempt(candidate)

    def _fitting(self, candidate: Candidate) -> int:
        """Return the first place that nobody else holds whose member says nothing else, -1 where there is none."""
        if candidate not in self._placed:
            fits = [at for at, each in enumerate(self._members) if _fits(each, candidate)]
            held = set(self._placed.values())
            self._placed[candidate] = next((at for at in fits if at not in held), fits[-1] if fits else -1)
        return self._placed[candidate]

    def knows(self, candidate: Candidate) -> bool:
        """Whether the chain holds a candidate."""
        return candidate in self._members


def _fits(member: Candidate, candidate: Candidate) -> bool:
    pairs = [(getattr(member, field), getattr(candidate, field)) for field in WHO]
    return all(one == other or not one or not other for one, other in pairs)
