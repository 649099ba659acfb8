"""Who the candidates of a configured loop are, and where in its chain each attempt stands."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.failsafe import read, text_of
from otel_failover.integrations.loops.configured.paths import RESULT, Path, UnresolvedError

if TYPE_CHECKING:
    from otel_failover._core.runs.attempt import Attempt
    from otel_failover._core.runs.run import Run
    from otel_failover.integrations.loops.configured.function import Function

WHO: Final = ("provider", "model", "endpoint", "profile")
"""What a candidate is known by."""


class Source:
    """How a loop says who its candidates are.

    Args:
        paths: Of the attempt, by field.
        operation: What is asked for.
        chain: Where it is configured as a list.
        recurses: Whether the run function is the attempt function too.
    """

    def __init__(
        self, paths: Mapping[str, Path], operation: str, chain: tuple[Any, ...] | None, recurses: bool
    ) -> None:
        self._paths, self.operation, self._chain, self.recurses = paths, operation, chain, recurses

    def entries(self, function: Function, given: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
        """Return the chain of one run as the host has it; None where it is not known."""
        if self._chain is not None:
            return self._chain
        found = function.read("chain", given, kwargs)
        if found is None or isinstance(found, (str, Candidate)):
            return None if found is None else (found,)
        try:
            if iter(found) is found:
                function.tell("chain", "", "an iterator, which can be read only once; a list is needed")
                return None
            return tuple(found)
        except Exception as problem:
            function.tell("chain", "it cannot be read as a list: ", type(problem).__name__)
            return None

    def candidate(self, entry: Any) -> Candidate:
        """Return an entry of a chain as a Candidate: the host's objects are read as the attempt's would be."""
        if isinstance(entry, (str, Candidate)):
            return identity.parse(entry)
        if isinstance(entry, (tuple, list)) and len(entry) > 1:
            return Candidate(*(text_or_none(each) or "" for each in entry[:2]))
        found = {field: self._of(entry, field) for field in WHO}
        if not found["provider"] and not found["model"]:
            return identity.parse(entry)
        return candidate_of(found)

    def _of(self, entry: Any, field: str) -> Any:
        path = self._paths.get(field)
        if path is not None and not path.root:
            return path.literal
        for ending in path.endings() if path is not None and path.root != RESULT else ():
            with contextlib.suppress(UnresolvedError):
                return ending.follow(entry)
        found = entry.get(field) if isinstance(entry, Mapping) else read(entry, field)
        return found if isinstance(found, (str, Enum)) else None


class Pass:
    """One run of a configured loop: who stands where in its chain.

    Args:
        loop: The loop's name.
        entries: Of its chain, as the host has them.
        members: The same, understood.
    """

    def __init__(self, loop: str, entries: tuple[Any, ...], members: list[Candidate]) -> None:
        self.loop, self._entries, self._members = loop, entries, members
        self._placed: dict[Candidate, int] = {}
        self._used: set[int] = set()

    def attempt(self, run: Run, candidate: Candidate, things: list[Any]) -> Attempt:
        """Return the next attempt: at the host's own object, else at an equal member, else at one that fits.

        Args:
            run: The run.
            candidate: Who is tried, as far as it is known.
            things: What the paths started at and passed; one of them may be the chain's own entry.
        """
        passed = [each for each in things if each is not None]
        places = [at for at, each in enumerate(self._entries) if any(each is thing for thing in passed)]
        if places:
            at = next((at for at in places if at not in self._used), places[-1])
        elif candidate in self._members or not (candidate.provider or candidate.model):
            return run.attempt(candidate)
        else:
            at = self._fitting(candidate)
        self._used.add(at)
        return run.attempt_at(at, candidate) if at >= 0 else run.attempt(candidate)

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


def text_or_none(value: Any) -> str | None:
    """Return a host's word as text; None where there is none."""
    if isinstance(value, Enum) and not isinstance(value, str):
        value = value.value
    return None if value is None else text_of(value)[:1000] or None


def candidate_of(found: Mapping[str, Any]) -> Candidate:
    """Return a Candidate of what was read, by field."""
    words = {field: text_or_none(found.get(field)) for field in WHO}
    return Candidate(words["provider"] or "", words["model"] or "", words["endpoint"], words["profile"])
