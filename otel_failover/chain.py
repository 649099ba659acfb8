"""A configured chain: its members, and who is where.

Worked out once for the chains that come again and again; a run only looks things up.
"""

from __future__ import annotations

import operator
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from otel_failover import identity

if TYPE_CHECKING:
    from otel_failover.identity import Candidate

NOBODY: Final[frozenset[str]] = frozenset()


class Chain:
    """The members of a chain in order.

    Args:
        entries: As the host gave them: candidates or texts.
    """

    __slots__ = ("_entries", "doubled", "endpoints", "key", "labels", "members")

    def __init__(self, entries: tuple[Any, ...]) -> None:
        self._entries = entries
        self.members = tuple(identity.parse(entry) for entry in entries)
        self.labels = [candidate.label for candidate in self.members]
        self.key = tuple(self.labels)
        self.endpoints = frozenset(each.endpoint for each in self.members if each.endpoint is not None)
        times = Counter((each.provider, each.model) for each in self.members)
        self.doubled = frozenset(who for who, count in times.items() if count > 1)

    def places(self, given: object, candidate: Candidate) -> list[int]:
        """Return where a candidate stands: by object, else by equality.

        Args:
            given: As the host gave it.
            candidate: The same, understood.
        """
        same = [index for index, entry in enumerate(self._entries) if entry is given]
        return same or [index for index, member in enumerate(self.members) if member == candidate]


EMPTY: Final = Chain(())


def chain_of(entries: tuple[Any, ...]) -> Chain:
    """Return the chain of some entries; the objects matter, since equal ones may stand in it twice."""
    known = _recent.get(len(entries))
    if known is not None and all(map(operator.is_, known._entries, entries)):
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
