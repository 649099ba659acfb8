"""A configured chain: its members, and who is where.

Worked out once for the chains that come again and again; a run only looks things up.
"""

from __future__ import annotations

import operator
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain.endpoint import deployment_in, is_base
from otel_failover._core.domain.providers import metric_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otel_failover._core.domain.candidate import Candidate

NOBODY: Final[frozenset[str]] = frozenset()
NOWHERE: Final[tuple[int, ...]] = ()


class Siblings:
    """Members of a chain at one endpoint, as one of them sees the others: deployments of one resource, say.

    Args:
        place: Of the one that sees them.
        there: All members at that endpoint, itself included, by their places.
    """

    __slots__ = ("_place", "_there", "has_base")

    def __init__(self, place: int, there: Mapping[int, Candidate]) -> None:
        self._place, self._there = place, there
        self.has_base = there[place].base is not None

    def asked_by(self, base: str, model: str) -> int | None:
        """Return the place of the other member that a base URL belongs to; None where it may be this member's.

        It is another's only where that is certain. Where both declare a path, by the paths; else where the URL names a
        deployment that is another member's profile, or another member's model and the call asks for that as well: a
        deployment may bear the name of an older model than it has by now.

        Args:
            base: Path of the base URL; of the request's, where no SDK sends it.
            model: As the request asks for it.
        """
        member, deployment = self._there[self._place], deployment_in(base)
        declared = deployment_in(member.base)
        if member.base is not None and declared is None:
            if is_base(member.base, base):
                return None
            return next((at for at, each in self._there.items() if each.base and is_base(each.base, base)), None)
        if deployment is None or deployment in (member.model, member.profile, declared):
            return None
        for at, each in self._there.items():
            if deployment in (each.profile, deployment_in(each.base)):
                return at
            if deployment == each.model and model != member.model:
                return at
        return None


class Chain:
    """The members of a chain in order, and what they are looked up by: however long it is, a look costs the same.

    Args:
        entries: As the host gave them: candidates or texts.

    Attributes:
        siblings: By a member's place, the other members at its own endpoint, where there are any.
    """

    __slots__ = (
        "_by_entry", "_by_member", "_by_model", "_deployments", "_mixed",
        "doubled", "endpoints", "entries", "key", "labels", "members", "owners", "siblings",
    )  # fmt: skip

    def __init__(self, entries: tuple[Any, ...]) -> None:
        self.entries = entries
        self.members = tuple(identity.parse(entry) for entry in entries)
        self.labels = [candidate.label for candidate in self.members]
        self.key = tuple(self.labels)
        times = Counter(metric_value(each.provider) for each in self.members)
        self.doubled = frozenset(shown for shown, count in times.items() if count > 1)
        self.owners: dict[str, str] = {}
        self._by_entry: dict[int, list[int]] = {}
        self._by_member: dict[Candidate, list[int]] = {}
        self._by_model: dict[str, list[int]] = {}
        self._deployments: dict[str, list[int]] = {}
        for place, (entry, member) in enumerate(zip(entries, self.members, strict=True)):
            self._by_entry.setdefault(id(entry), []).append(place)
            self._by_member.setdefault(member, []).append(place)
            self._by_model.setdefault(member.model, []).append(place)
            deployment = deployment_in(member.base)
            if deployment is not None:
                self._deployments.setdefault(deployment, []).append(place)
            if member.endpoint is not None:
                self.owners.setdefault(member.endpoint, member.provider)
        self.endpoints = frozenset(self.owners)
        self.siblings: dict[int, Siblings] = {}
        self._mixed: dict[str, Mapping[int, Candidate]] = {}
        if len(self.owners) < len(self.members):
            self._find_siblings()

    def places(self, given: object, candidate: Candidate) -> Sequence[int]:
        """Return where a candidate stands: by object, else by equality.

        Args:
            given: As the host gave it.
            candidate: The same, understood.
        """
        same = self._by_entry.get(id(given))
        return same if same is not None else self._by_member.get(candidate, NOWHERE)

    def _find_siblings(self) -> None:
        """Take note of members at one endpoint; without an endpoint, of those of one provider."""
        at: dict[tuple[str | None, str], dict[int, Candidate]] = {}
        for place, each in enumerate(self.members):
            at.setdefault((each.endpoint, "" if each.endpoint else each.provider), {})[place] = each
        for (endpoint, _), there in at.items():
            if len(there) > 1:
                self.siblings |= {place: Siblings(place, there) for place in there}
                if endpoint is not None and len({each.provider for each in there.values()}) > 1:
                    self._mixed[endpoint] = there

    def owner_of(self, endpoint: str, base: str, model: str) -> str | None:
        """Return the provider whose member declares an endpoint; None where none does.

        Behind one gateway there may be several: then the one whose path or model fits, else the first.

        Args:
            endpoint: Scheme, host and port.
            base: Path of the base URL.
            model: As requested.
        """
        there = self._mixed.get(endpoint)
        if there is None:
            return self.owners.get(endpoint)
        members = list(there.values())
        fitting = [each for each in members if each.base and is_base(each.base, base)]
        fitting = fitting or [each for each in members if each.model == model]
        return (fitting or members)[0].provider

    def siblings_of(self, place: int) -> Siblings | None:
        """Return the other members at a member's own endpoint; None where there are none.

        Args:
            place: The member's, -1 outside the chain.
        """
        return self.siblings.get(place)

    def named(self, base: str, model: str, endpoint: str, provider: str) -> list[int]:
        """Return the places of the members that are the deployment which a call asks: by model, profile or URL.

        Args:
            base: Path of the call's base URL. Where that names no deployment, the SDK puts the model in its place.
            model: As requested.
            endpoint: Of that URL.
            provider: Whom the call asks.
        """
        deployment = deployment_in(base)
        places: Iterable[int] = self._deployments.get(deployment or model, NOWHERE)
        if deployment is not None:
            every = enumerate(self.members)
            places = {*places, *(at for at, each in every if deployment in (each.model, each.profile))}
        if not places:
            return []
        there = ((at, self.members[at]) for at in sorted(places))
        return [
            at
            for at, each in there
            if each.endpoint == endpoint or (each.endpoint is None and each.provider == provider)
        ]

    def asking_for(self, model: str) -> Sequence[int]:
        """Return the places of a model, and those that leave it open.

        Args:
            model: As requested.
        """
        places, anywhere = self._by_model.get(model, NOWHERE), self._by_model.get("", NOWHERE)
        return sorted({*places, *anywhere}) if anywhere else places

    def has_twice(self, candidate: Candidate) -> bool:
        """Whether an entry stands in it twice, so that only the place tells them apart.

        Args:
            candidate: The entry, understood.
        """
        return len(self._by_member.get(candidate, NOWHERE)) > 1


EMPTY: Final = Chain(())


def chain_of(entries: tuple[Any, ...]) -> Chain:
    """Return the chain of some entries; the objects matter, since equal ones may stand in it twice."""
    known = _recent.get(len(entries))
    if known is not None and all(map(operator.is_, known.entries, entries)):
        return known
    if all(type(entry) is str for entry in entries):
        return _of_texts(entries)
    made = _recent[len(entries)] = Chain(entries)
    if len(_recent) > _MOST:
        _recent.pop(next(iter(_recent)))
    return made


_MOST: Final = 32
_recent: Final[dict[int, Chain]] = {}


@lru_cache(maxsize=64)
def _of_texts(entries: tuple[str, ...]) -> Chain:
    return Chain(entries)
