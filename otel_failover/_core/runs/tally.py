"""Who served a run, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.candidate import shown
from otel_failover._core.domain.outcome import (
    CANCELLED,
    EXHAUSTED,
    FALLBACK,
    PRIMARY,
    STOPPED,
    SUCCESS,
    UNASKED,
    UNSEEN,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_failover._core.domain.candidate import Candidate
    from otel_failover._core.findings.attempt_record import AttemptRecord
    from otel_failover._core.runs.question import Question

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
    | as the run inside | nobody was asked but by a run inside, which has failed |
    | `stopped` | nobody was asked, and an error left it |
    | `unseen` | it was left in peace, and something that was not seen could have served it since its last failure |
    | `unasked` | nobody was asked, and it was left in peace |
    | `stopped` | places of the chain are untried; or the loop said stop, where nobody declared a chain |
    | `cancelled` | every attempt was cancelled |
    | `exhausted` | else |

    It is left in peace where no error leaves it, the loop has not said stop, and has declared none of its attempts: a
    loop that declares them tells of each, so where none succeeded it has failed, whatever it returns.

    Outside a declared chain an attempt that the loop declared serves as any other. A bare call serves there where no
    member of the chain did: the first that asked what a failed one was asked, or the first at all where none failed.

    Attributes:
        count: Attempts begun.
        served: Who of its own served; of attempts side by side (hedged), the first to succeed, else the last.
        served_inside: Who served a run inside it, which counts where it tried nobody by itself.
        served_at: When, in seconds of the monotonic clock.
        stray: The record of the bare call outside the chain that served, where no member did.
        first: Place of the candidate that was tried first.
        last: Who was tried last.
        failed_at: When the last attempt that did not serve it ended, in seconds of the monotonic clock.
        beside_at: When the last thing in it began that is no attempt and may have served it.
        has_asked_beside: Something was asked in it, by a way that we do not know.
        inside: What became of the last run inside it; empty where there was none.
        is_declared: The loop has declared an attempt.
        wasted: Seconds spent in attempts that did not serve it.
        skipped: Places that were passed over.
        probes: Orders of the attempts that only asked whether a candidate is back.
        is_left_by_cancel: It was left by cancellation, or an attempt was that outlived it.
        is_left_by_error: An exception left it.
        is_cancelled: Its caller had cancelled it, and the loop went on.
        stop_reason: Why the loop ended on purpose.
    """

    __slots__ = (
        "_asked", "_failures", "_first_stray", "beside_at", "count", "failed_at", "first", "has_asked_beside", "inside",
        "is_cancelled", "is_declared", "is_left_by_cancel", "is_left_by_error", "last", "probes", "served", "served_at",
        "served_inside", "skipped", "stop_reason", "stray", "wasted",
    )  # fmt: skip

    def __init__(self) -> None:
        self.count, self.wasted, self.served_at = 0, 0.0, 0.0
        self.served: Place | None = None
        self.served_inside: Place | None = None
        self.stray: AttemptRecord | None = None
        self.first: int | None = None
        self.last: Place | None = None
        self.failed_at = self.beside_at = 0.0
        self.inside = ""
        self.is_declared = self.has_asked_beside = False
        self.skipped: set[int] = set()
        self.probes: set[int] = set()
        self.is_left_by_cancel = self.is_left_by_error = self.is_cancelled = False
        self.stop_reason: str | None = None
        self._failures: list[tuple[Candidate, int, str]] = []
        self._asked: list[Question] = []
        self._first_stray: AttemptRecord | None = None

    def attempt_ended(self, record: AttemptRecord, began: float, ended: float, *, can_serve: bool) -> None:
        """Take in what became of an attempt.

        Args:
            record: What became of it.
            began: When, in seconds of the monotonic clock.
            ended: The same.
            can_serve: It is in the chain, or nobody declared one.
        """
        settled = record.settled
        outcome = settled.outcome
        if outcome == SUCCESS and not record.probe and can_serve:
            if self.served is not None and began < self.served_at:
                self.wasted += ended - began
            else:
                self.served, self.served_at = (record.candidate, record.index), ended
        elif outcome != SUCCESS:
            self.wasted += ended - began
            if not record.probe:
                self.failed_at = max(self.failed_at, ended)
                if outcome != CANCELLED and len(self._failures) < _FAILURES:
                    self._failures.append((record.candidate, record.index, settled.reason or outcome))

    def asked_in_vain(self, question: Question | None) -> None:
        """Take in what a bare call was asked that did not serve.

        Args:
            question: As far as it is known.
        """
        if question is not None and len(self._asked) < _FAILURES and question not in self._asked:
            self._asked.append(question)

    def answered_off_chain(self, record: AttemptRecord, question: Question | None, began: float) -> None:
        """Take in a bare call outside the chain that was answered.

        Args:
            record: What became of it.
            question: What it was asked, as far as that is known.
            began: When, in seconds of the monotonic clock.
        """
        self._first_stray = self._first_stray or record
        if question is not None and any(question.is_like(each) for each in self._asked):
            self.stray = self.stray or record
        # Another question may be the same in other words; it may as well be what a loop asks about its failure.
        self.beside_at = max(self.beside_at, began)

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
        is_asked_beside = self.stray is not None or self._first_stray is not None
        if self.served is None and is_asked_beside and (stray := self.server_off_chain) is not None:
            return stray.candidate, stray.index
        return self.served if own or declared or self.is_left_by_error else self.served_inside

    @property
    def server_off_chain(self) -> AttemptRecord | None:
        """The bare call outside the chain that served; None where a member of the chain did, or nobody."""
        if self.served is not None or self.is_left_by_error:
            return None
        return self.stray if self.failed_at else self._first_stray

    def outcome(self, *, declared: bool, untried: bool, may_have_served: Callable[[float], object]) -> str:
        """Return what became of the run, or would if it ended now.

        Args:
            declared: The run has a chain.
            untried: Some of it was neither tried nor passed over.
            may_have_served: Tells what could have served it unseen since a moment, in seconds of the monotonic clock; 0
                for its start. Asked only where nobody is known to have.
        """
        served = self.served or self.who_served(declared=declared)
        if served is not None:
            # A model outside the chain that answers before anybody has failed is the first, bumped.
            first = served[1] == 0 or (served[1] < 0 and not self.failed_at and not self.skipped)
            return PRIMARY if first else FALLBACK
        if self.is_left_by_cancel:
            return CANCELLED
        return (
            self._unasked()
            or self._in_peace(may_have_served, passed_over=not untried)
            or self._failed(declared=declared, untried=untried)
        )

    def _unasked(self) -> str | None:
        """Return what became of a run that asked nobody, where that shows it."""
        if self.count or self.skipped:
            return None
        if self.inside in (EXHAUSTED, STOPPED):
            return self.inside
        return STOPPED if self.is_left_by_error else None

    def _in_peace(self, may_have_served: Callable[[float], object], *, passed_over: bool) -> str | None:
        """Return what became of a run that was left in peace without being served; None where it has failed."""
        if self.is_left_by_error or self.is_declared or self.stop_reason is not None:
            return None
        if may_have_served(self.failed_at):
            return UNSEEN
        all_skipped = bool(self.skipped) and passed_over
        return UNASKED if not self.count and not all_skipped else None

    def _failed(self, *, declared: bool, untried: bool) -> str:
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
        tried, failed = set(), []
        for who, index, reason in self._failures:
            tried.add((who.identity, index))
            failed.append(f"{who.provider or shown(who.model)} {reason}")
        total = members if members is not None else len(tried)
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"{len(tried)} of {total} failed{skipped}" + (f": {', '.join(failed)}" if failed else "")
