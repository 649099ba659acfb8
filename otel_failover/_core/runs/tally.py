"""Who served a run, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.candidate import shown
from otel_failover._core.domain.outcome import CANCELLED, EXHAUSTED, FALLBACK, PRIMARY, STOPPED, SUCCESS

if TYPE_CHECKING:
    from otel_failover._core.domain.candidate import Candidate
    from otel_failover._core.findings.attempt_record import AttemptRecord

_FAILURES: Final = 64

Place = tuple["Candidate", int]
"""A candidate and its place in the chain, -1 outside it."""


class Tally:
    """Counts a run's attempts and keeps who served it.

    What became of a run, in this order:

    | outcome | when |
    |---|---|
    | `primary`, `fallback` | somebody served it: the first place of the chain, or another one |
    | `cancelled` | the run, or an attempt that outlived it, was left by cancellation |
    | `stopped` | places of the chain are untried; or the loop said stop, where nobody declared a chain |
    | `cancelled` | every attempt was cancelled |
    | `exhausted` | else |

    Attributes:
        count: Attempts begun.
        served: Who of its own served; of attempts side by side (hedged), the first to succeed, else the last.
        served_inside: Who served a run inside it, which counts where it tried nobody by itself.
        served_at: When, in seconds of the monotonic clock.
        last: Who was tried last.
        wasted: Seconds spent in attempts that did not serve it.
        skipped: Places that were passed over.
        is_left_by_cancel: It was left by cancellation, or an attempt was that outlived it.
        is_left_by_error: An exception left it.
        is_cancelled: Its caller had cancelled it, and the loop went on.
        stop_reason: Why the loop ended on purpose.
    """

    __slots__ = (
        "_failures", "count", "is_cancelled", "is_left_by_cancel", "is_left_by_error", "last", "served", "served_at",
        "served_inside", "skipped", "stop_reason", "wasted",
    )  # fmt: skip

    def __init__(self) -> None:
        self.count, self.wasted, self.served_at = 0, 0.0, 0.0
        self.served: Place | None = None
        self.served_inside: Place | None = None
        self.last: Place | None = None
        self.skipped: set[int] = set()
        self.is_left_by_cancel = self.is_left_by_error = self.is_cancelled = False
        self.stop_reason: str | None = None
        self._failures: list[tuple[Candidate, int, str]] = []

    def attempt_ended(self, record: AttemptRecord, began: float, ended: float, *, can_serve: bool) -> None:
        """Take in what became of an attempt.

        Args:
            record: What became of it.
            began: When, in seconds of the monotonic clock.
            ended: The same.
            can_serve: It is in the chain, or nobody declared one.
        """
        outcome, settled = record.outcome, record.settled
        if outcome == SUCCESS and not record.probe and can_serve:
            if self.served is not None and began < self.served_at:
                self.wasted += ended - began
            else:
                self.served, self.served_at = (record.candidate, record.index), ended
        elif outcome != SUCCESS:
            self.wasted += ended - began
            if outcome != CANCELLED and not record.probe and len(self._failures) < _FAILURES:
                self._failures.append((record.candidate, record.index, settled.reason or outcome))

    @property
    def has_tried(self) -> bool:
        """Whether an attempt was begun or a candidate passed over."""
        return bool(self.count or self.skipped)

    def who_served(self, *, declared: bool) -> Place | None:
        """Return who served: its own candidate; in a run that only holds another, that one's.

        A run with a chain, or one that an error leaves, is no such run: its own loop was passed by.

        Args:
            declared: The run has a chain.
        """
        own = self.served is not None or self.count or self.skipped
        return self.served if own or declared or self.is_left_by_error else self.served_inside

    def outcome(self, *, declared: bool, untried: bool) -> str:
        """Return what became of the run, or would if it ended now.

        Args:
            declared: The run has a chain.
            untried: Some of it was neither tried nor passed over.
        """
        served = self.who_served(declared=declared)
        if served is not None:
            return PRIMARY if served[1] == 0 else FALLBACK
        if self.is_left_by_cancel:
            return CANCELLED
        if untried or (self.stop_reason is not None and not declared):
            return STOPPED
        if self.count and not self._failures:
            return CANCELLED
        return EXHAUSTED

    def sentence(self, members: int | None) -> str:
        """Return how the run failed: "3 of 3 failed: openai rate_limit, anthropic timeout, gcp.gemini timeout".

        Args:
            members: Of the chain; None where nobody declared one.
        """
        tried = {(candidate.identity, index) for candidate, index, _ in self._failures}
        total = members if members is not None else len(tried)
        failed = ", ".join(f"{who.provider or shown(who.model)} {reason}" for who, _, reason in self._failures)
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"{len(tried)} of {total} failed{skipped}" + (f": {failed}" if failed else "")
