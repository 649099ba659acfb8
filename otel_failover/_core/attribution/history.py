"""Errors of earlier runs, by the fingerprint of their text."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_failover._core.attribution.facts import SourceFacts


_MOST: Final = 1_024
_SECONDS: Final = 600.0
_WHOSE: Final = 8


class History:
    """Errors of earlier runs, by fingerprint only: at most 1,024, for 10 minutes.

    Each is known by its whole text and by how it starts, since a claim may be cut.

    Without a lock, so that a fork never finds it held: each step is one operation of a dict.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, dict[object, SourceFacts]]] = OrderedDict()
        self._starts: OrderedDict[str, tuple[float, dict[object, SourceFacts]]] = OrderedDict()

    def add(self, fingerprint: str, starts: Iterable[str], who: object, facts: SourceFacts) -> None:
        """Remember that a candidate's provider said a message.

        Args:
            fingerprint: Of the normalised message.
            starts: Those of its first units, at most two.
            who: The candidate's identity.
            facts: Of the attempt; kept without its messages.
        """
        now = time.monotonic()
        _add(self._known, fingerprint, now, who, facts)
        for start in starts:
            _add(self._starts, start, now, who, facts)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        while len(self._starts) > 2 * _MOST:
            self._starts.popitem(last=False)

    def clear(self) -> None:
        """Forget everything: what another configuration saw proves nothing now."""
        self._known.clear()
        self._starts.clear()

    def find(self, fingerprint: str, who: object) -> SourceFacts | None:
        """Return an earlier attempt that said this: the candidate's own, since own wins a tie, else the latest.

        Args:
            fingerprint: Of a whole message, or of how one starts.
            who: The identity of the candidate that is spoken of.
        """
        known = self._known.get(fingerprint) or self._starts.get(fingerprint)
        if known is None or time.monotonic() - known[0] > _SECONDS:
            return None
        whose = dict(known[1])
        mine = next((facts for other, facts in whose.items() if _may_be(who, other)), None)
        if mine is not None:
            return mine._replace(same=True)
        return max(whose.values(), key=lambda facts: facts.order)


history: Final = History()


def _add(
    known: OrderedDict[str, tuple[float, dict[object, SourceFacts]]],
    fingerprint: str,
    now: float,
    who: object,
    facts: SourceFacts,
) -> None:
    _, whose = known.pop(fingerprint, (now, {}))
    if len(whose) < _WHOSE or who in whose:
        whose[who] = facts
    known[fingerprint] = (now, whose)


def _may_be(one: Any, other: Any) -> bool:
    """Whether two identities may be one candidate: only what both know can part them."""
    (mine, place, base), (theirs, their_place, their_base) = one, other
    pairs = (
        (mine.endpoint, theirs.endpoint), (mine.profile, theirs.profile), (place, their_place), (base, their_base)
    )  # fmt: skip
    known = all(a == b for a, b in pairs if a is not None and b is not None)
    return (
        known and (mine.provider == theirs.provider or mine.endpoint == theirs.endpoint) and mine.model == theirs.model
    )
