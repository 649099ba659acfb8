"""Who stands where in a run: the places of its chain, declared or as they appear, and who has been at them.

With a chain, identity is the position; without one, the same provider, model, base URL and credential are the same
candidate, in order of first appearance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_failover._core.domain import providers
from otel_failover._core.domain.candidate import Candidate, asked_at
from otel_failover._core.domain.chain import EMPTY
from otel_failover._core.domain.endpoint import host_of, is_base

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_failover._core.domain.asked import Asked
    from otel_failover._core.domain.chain import Chain


class _Seen:
    """A candidate of a run whose chain nobody declared, as it was asked first.

    Args:
        candidate: Who.
        credential: That it was asked with; None where a loop declared it.
        inferred: A call was what showed it, so that its base URL is known to the last letter.
    """

    __slots__ = ("_credential", "_inferred", "candidate")

    def __init__(self, candidate: Candidate, credential: object = None, *, inferred: bool = False) -> None:
        self.candidate, self._credential, self._inferred = candidate, credential, inferred

    def is_same(self, other: _Seen) -> bool:
        """Whether another is the same candidate; a path that a loop declares may go less far than a client's."""
        mine, theirs = self.candidate.base, other.candidate.base
        if self.candidate != other.candidate or not (
            self._credential is None or other._credential is None or self._credential == other._credential
        ):
            return False
        if mine is None or theirs is None or mine == theirs:
            return True
        return not (self._inferred and other._inferred) and is_base(mine, theirs)


class ChainPositions:
    """The places of one run, whose chain nobody has declared yet."""

    __slots__ = ("_holders", "_numbers", "_seen", "chain", "declared", "used")

    def __init__(self) -> None:
        self.chain: Chain = EMPTY
        self.declared = False
        self.used: set[int] = set()
        self._seen: list[_Seen] = []
        self._holders: dict[int, tuple[object, str]] = {}
        self._numbers: dict[object, int] = {}

    def declare(self, chain: Chain) -> None:
        """Take the configured chain.

        Args:
            chain: Its members in order.
        """
        self.chain, self.declared = chain, True

    # --- finding a place ----------------------------------------------------------------------------------------------

    def of(self, given: object, candidate: Candidate) -> int:
        """Return a candidate's place: by object, then by equality, equal entries in order of first use.

        Of equal entries, those whose URL has the same path come first. Where none is equal, the entries of the same
        provider and model count that differ only by what one of the two leaves open.

        Args:
            given: As the host gave it.
            candidate: The same, understood.
        """
        if not self.declared:
            return self._first_appearance(_Seen(candidate))
        members = self.chain.members
        places = self.chain.places(given, candidate)
        if not places and candidate.model:
            places = [at for at, each in enumerate(members) if each.is_like(candidate)]
        if len(places) > 1 and candidate.base is not None:
            places = [i for i in places if members[i].base == candidate.base] or places
        for place in places:
            if place not in self.used:
                return place
        return places[-1] if places else -1

    def of_call(self, asked: Asked, provider: str, aliases: Mapping[str, str]) -> tuple[Candidate, int]:
        """Return who a provider call outside any attempt asks, and its place.

        With a chain, that is the first place that fits and is not held by another credential, nor by another base URL:
        two entries for the same model may differ by their keys only, or by deployments of one resource, and the first
        call with each takes the next of them.

        Args:
            asked: What the SDK was asked.
            provider: Whom that is (`asked.provider_of`).
            aliases: The user's own, from words in lower case to providers.

        Returns:
            The candidate and its place, -1 where a declared chain has none that fits.
        """
        if not self.declared:
            candidate = asked_at(provider, asked.model, asked.endpoint or None, asked.base)
            return candidate, self._first_appearance(_Seen(candidate, asked.credential, inferred=True))
        holder = (asked.credential, asked.base)
        fitting = self._fitting(asked, provider, aliases)
        index = next((i for i in fitting if self._holders.get(i, holder) == holder), -1)
        if index < 0:
            return asked_at(provider, asked.model, asked.endpoint or None, asked.base), -1
        self._holders[index] = holder
        listed = self.chain.members[index]
        return Candidate(listed.provider, listed.model, listed.endpoint or asked.endpoint, listed.profile), index

    def _first_appearance(self, seen: _Seen) -> int:
        """Return the place of a candidate in a chain that nobody declared: in order of first appearance."""
        for index, known in enumerate(self._seen):
            if known.is_same(seen):
                return index
        self._seen.append(seen)
        return len(self._seen) - 1

    def _fitting(self, asked: Asked, provider: str, aliases: Mapping[str, str]) -> Iterator[int]:
        """Yield the places that a call fits: by deployment, by endpoint and model, by provider and model, by model.

        The name of a deployment in the URL comes before the word in the body, which Azure does not read. The model
        alone decides only where neither the aliases nor the table know the host: a call to a provider that is known is
        not its namesake's at another. A member that declares a path is asked by nobody at another.
        """
        chain, base = self.chain.members, asked.base
        yield from self.chain.named(base, asked.model, asked.endpoint, provider)
        same_model = self.chain.asking_for(asked.model)
        there = [i for i in same_model if chain[i].endpoint == asked.endpoint]
        if len(there) > 1:
            there.sort(key=lambda i: chain[i].base is None)  # the same path is surer than none
        yield from (i for i in there if (path := chain[i].base) is None or is_base(path, base))
        yield from (i for i in same_model if chain[i].endpoint is None and chain[i].provider == provider)
        known = providers.alias_of(asked.endpoint, aliases) if aliases else None
        if known is None and providers.provider_of_host(host_of(asked.endpoint)) is None:
            yield from (i for i in same_model if chain[i].endpoint is None)

    # --- counting -----------------------------------------------------------------------------------------------------

    def next_number(self, candidate: Candidate, index: int) -> int:
        """Return which attempt at a candidate this is, 1-based."""
        key: object = index if index >= 0 else candidate.identity
        number = self._numbers[key] = self._numbers.get(key, 0) + 1
        return number

    def anew(self, was: Candidate, candidate: Candidate, index: int) -> tuple[int, int | None]:
        """Return the place, and the number there, of an attempt whose candidate has become known after it began.

        Args:
            was: What was known of it before.
            candidate: What is known now.
            index: Its place so far.

        Returns:
            The place; the number is None where the place is the same.
        """
        found = self._found_anew(was, candidate, index)
        if found == index:
            return index, None
        key: object = index if index >= 0 else was.identity
        self._numbers[key] = max(0, self._numbers.get(key, 0) - 1)
        self.used.add(found)
        return found, self.next_number(candidate, found)

    def _found_anew(self, was: Candidate, candidate: Candidate, index: int) -> int:
        if self.declared:
            if index >= 0:
                return index
            return next((at for at, each in enumerate(self.chain.members) if each.is_like(candidate)), -1)
        if not 0 <= index < len(self._seen):
            return index
        known = next((at for at, each in enumerate(self._seen) if each.candidate == candidate), -1)
        if known >= 0:
            return known
        if self._numbers.get(index, 0) == 1 and self._seen[index].candidate == was:
            self._seen[index] = _Seen(candidate)
            return index
        self._seen.append(_Seen(candidate))
        return len(self._seen) - 1

    # --- the chain ----------------------------------------------------------------------------------------------------

    @property
    def untried(self) -> list[int]:
        """Places that were neither tried nor skipped."""
        return [at for at in range(len(self.chain.members)) if at not in self.used]

    def is_doubled(self, candidate: Candidate) -> bool:
        """Whether the provider occurs twice, as span names show it, so that the name needs the place."""
        shown = providers.metric_value(candidate.provider)
        if self.declared:
            return shown in self.chain.doubled
        return sum(providers.metric_value(known.candidate.provider) == shown for known in self._seen) > 1

    def member_at(self, endpoint: str) -> Candidate | None:
        """Return the chain's only owner of an endpoint, or of a well-known host."""
        provider = providers.provider_of_host(host_of(endpoint))
        for member in self.chain.members:
            if member.endpoint == endpoint or (member.endpoint is None and member.provider == provider):
                return member
        return None

    def place_of(self, member: Candidate) -> int:
        """Return a member's place in the chain, -1 outside it."""
        return self.chain.members.index(member) if member in self.chain.members else -1

    def forget(self) -> None:
        """Let go of credentials and candidates, once the run is over."""
        self._holders.clear()
        self._seen.clear()
