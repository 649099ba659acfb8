"""A configured chain: its members, and who is where.

Worked out once for the chains that come again and again; a run only looks things up.
"""

from __future__ import annotations

import operator
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import candidate as identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_failover._core.domain.candidate import Candidate

NOBODY: Final[frozenset[str]] = frozenset()
NOWHERE: Final[tuple[int, ...]] = ()


class Chain:
    """The members of a chain in order, and what they are looked up by: however long it is, a look costs the same.

    Args:
        entries: As the host gave them: candidates or texts.
    """

    __slots__ = (
        "_by_entry", "_by_member", "_by_model",
        "doubled", "endpoints", "entries", "key", "labels", "members", "owners",
    )  # fmt: skip

    def __init__(self, entries: tuple[Any, ...]) -> None:
        self.entries = entries
        self.members = tuple(identity.parse(entry) for entry in entries)
        self.labels = [candidate.label for candidate in self.members]
        self.key = tuple(self.labels)
        times = Counter((each.provider, each.model) for each in self.members)
        self.doubled = frozenset(who for who, count in times.items() if count > 1)
        self.owners: dict[str, str] = {}
        self._by_entry: dict[int, list[int]] = {}
        self._by_member: dict[Candidate, list[int]] = {}
        self._by_model: dict[str, list[int]] = {}
        for place, (entry, member) in enumerate(zip(entries, self.members, strict=True)):
            self._by_entry.setdefault(id(entry), []).append(place)
            self._by_member.setdefault(member, []).append(place)
            self._by_model.setdefault(member.model, []).append(place)
            if member.endpoint is not None:
                self.owners.setdefault(member.endpoint, member.provider)
        self.endpoints = frozenset(self.owners)

    def places(self, given: object, candidate: Candidate) -> Sequence[int]:
        """Return where a candidate stands: by object, else by equality.

        Args:
            given: As the host gave it.
            candidate: The same, understood.
        """
        same = self._by_entry.get(id(given))
        return same if same is not None else self._by_member.get(candidate, NOWHERE)

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
