"""Errors of earlier runs, by the fingerprint of their text."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_failover._core.attribution.facts import SourceFacts


_MOST: Final = 1_024
_SECONDS: Final = 600.0
_WHOSE: Final = 8


class History:
    """Errors of earlier runs, by fingerprint only: at most 1,024, for 10 minutes.

    Without a lock, so that a fork never finds it held: each step is one operation of a dict.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, dict[object, SourceFacts]]] = OrderedDict()

    def add(self, fingerprint: str, who: object, facts: SourceFacts) -> None:
        """Remember that a candidate's provider said a message.

        Args:
            fingerprint: Of the normalised message.
            who: The candidate's identity.
            facts: Of the attempt; kept without its messages.
        """
        now = time.monotonic()
        _, whose = self._known.pop(fingerprint, (now, {}))
        if len(whose) < _WHOSE or who in whose:
            whose[who] = facts
        self._known[fingerprint] = (now, whose)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def clear(self) -> None:
        """Forget everything: what another configuration saw proves nothing now."""
        self._known.clear()

    def find(self, fingerprint: str, who: object) -> SourceFacts | None:
        """Return an earlier attempt that said this: the candidate's own, since own wins a tie, else the latest."""
        known = self._known.get(fingerprint)
        if known is None or time.monotonic() - known[0] > _SECONDS:
            return None
        whose = dict(known[1])
        mine = next((facts for other, facts in whose.items() if _may_be(who, other)), None)
        if mine is not None:
            return mine._replace(same=True)
        return max(whose.values(), key=lambda facts: facts.order)


history: Final = History()


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
