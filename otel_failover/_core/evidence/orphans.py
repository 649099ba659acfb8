"""Sends without an attempt of their own: those of threads without context, and those that two attempts shared.

Both are found again by identity alone: an exception carries the request or the response of the send that it came of.
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_failover._core.evidence.exchange import Exchange, Owner

    _Kept = tuple[Exchange, Owner | None]
    """A send, and the evidence that it is in: the other sends of its call, and what its stream yielded."""


class Orphans:
    """Sends that no live attempt was there for: threads started without their context.

    An attempt whose exception *is* an orphan's adopts it; an orphan to the candidate's own endpoint makes its evidence
    partial. Bounded: 1,024 endpoints, 32 sends each.

    Attributes:
        endpoints: What was sent where, by endpoint.
    """

    __slots__ = ("endpoints",)

    def __init__(self) -> None:
        self.endpoints: OrderedDict[str, deque[_Kept]] = OrderedDict()

    def add(self, exchange: Exchange) -> None:
        """Remember a send that had no attempt."""
        recent = self.endpoints.get(exchange.endpoint)
        if recent is None:
            recent = self.endpoints[exchange.endpoint] = deque(maxlen=32)
            while len(self.endpoints) > 1024:
                self.endpoints.popitem(last=False)
        recent.append((exchange, exchange.owner()))

    def overlap(self, endpoint: str, since: float, adopted: list[Exchange]) -> bool:
        """Whether an orphan to an endpoint was under way since a moment, adopted ones left out."""
        recent = self.endpoints.get(endpoint)
        if not recent:
            return False
        for orphan, _ in tuple(recent):
            is_beside = orphan.stopped is None or orphan.stopped >= since
            if is_beside and not any(orphan is mine for mine in adopted):
                return True
        return False

    def find(self, response: object, request: object, ledger: Owner) -> list[Exchange]:
        """Return the orphans of the call whose response or request this is; another attempt's are not found again."""
        for recent in tuple(self.endpoints.values()):
            for orphan, owner in tuple(recent):
                if orphan.taken is not None and orphan.taken() is not ledger:
                    continue
                if orphan.request.is_(request) or (orphan.response is not None and orphan.response.is_(response)):
                    return owner.own if owner is not None else [orphan]
        return []

    def clear(self) -> None:
        """Forget everything, in a forked child."""
        self.endpoints.clear()


orphans = Orphans()


class OutsideAnswers:
    """When a model was last asked outside any run, and when the last such call that was answered began.

    A run that was left in peace, though nobody is known to have served it, may have been served there: by a thread or
    an executor that was started without its context.

    Attributes:
        asked: When the last of them began, in seconds of the monotonic clock.
        answered: When the last of those that were answered began.
        watch: What looks for runs among such calls, while one that failed is remembered; None else.
    """

    __slots__ = ("answered", "asked", "watch")

    def __init__(self) -> None:
        self.asked = self.answered = 0.0
        self.watch: Any = None

    def saw(self, began: float) -> None:
        """Take in that a call was answered.

        Args:
            began: When, in seconds of the monotonic clock.
        """
        self.answered = max(self.answered, began)


outside: Final = OutsideAnswers()


class RecentFailures:
    """Requests that failed a moment ago, so that a second attempt which shared one can own it too (single flight).

    A cache in front of a provider lets several requests wait for one call. It runs in the context of the attempt that
    came first, and is that one's; but its error leaves all of them, and each has asked the same candidate. So a send
    counts for another attempt, too, if that is at an equal candidate, was open while the send was under way, and is
    left by an exception that carries this very request or response.

    The last 128 are remembered, whether their attempts are over or not.
    """

    __slots__ = ("_recent",)

    def __init__(self) -> None:
        self._recent: deque[tuple[Exchange, Owner]] = deque(maxlen=128)

    def add(self, exchange: Exchange) -> None:
        """Remember a request that failed."""
        owner = exchange.owner()
        if owner is not None:
            self._recent.append((exchange, owner))

    def find(self, response: object, request: object, ledger: Owner) -> list[Exchange]:
        """Return the sends of the call whose response or request this is, if it was under way at the same candidate.

        Args:
            response: That an exception carries.
            request: That an exception carries.
            ledger: Of the attempt that shared it.
        """
        for exchange, owner in tuple(self._recent):
            if owner is ledger or owner.who != ledger.who:
                continue
            if None not in (owner.base, ledger.base) and owner.base != ledger.base:
                continue
            if exchange.stopped is not None and exchange.stopped < ledger.started:
                continue
            if exchange.request.is_(request) or (exchange.response is not None and exchange.response.is_(response)):
                return owner.own
        return []


recent_failures = RecentFailures()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=orphans.clear)
