"""What happened to a request, candidate by candidate, in a form that may be shown to the people behind an API.

From the run's own evidence where there is one, so that what a stale exception claims cannot surface; else from what the
exceptions say. No provider's text unless it is asked for; status suggestions and titles come from closed tables.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain import providers, reasons
from otel_failover._core.domain.outcome import (
    CANCELLED,
    ERROR,
    EXHAUSTED,
    FALLBACK,
    PRIMARY,
    SKIPPED,
    STOPPED,
    UNASKED,
    UNSEEN,
)
from otel_failover._core.failsafe import guarded
from otel_failover._core.runs.run import Run
from otel_failover._core.summary.find_run import run_of, run_of_result
from otel_failover._core.summary.row import OPEN, OUTCOMES, SKIPS, UNTRIED, CandidateSummary, title_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover._core.domain.candidate import Candidate
    from otel_failover._core.findings.attempt_record import AttemptRecord
    from otel_failover._core.findings.record import Skipped
    from otel_failover._core.runs.attempt import Attempt

__all__ = ["OUTCOMES", "RUN_OUTCOMES", "CandidateSummary", "Summary", "schema", "summarize"]

FAILED: Final = "failed"

RUN_OUTCOMES: Final = (PRIMARY, FALLBACK, EXHAUSTED, STOPPED, CANCELLED, UNSEEN, UNASKED, OPEN, FAILED)
"""What may have become of a run: `open` while it lasts, `failed` where only exceptions are at hand."""

_NOT_FAILED: Final = frozenset({PRIMARY, FALLBACK, UNSEEN, UNASKED, OPEN})

_REFUSALS: Final = frozenset({reasons.INVALID_REQUEST, reasons.CONTEXT_OVERFLOW, reasons.CONTENT_POLICY})
_STATUSES: Final = ((frozenset({reasons.RATE_LIMIT}), 429), (frozenset({reasons.TIMEOUT}), 504), (_REFUSALS, 422))
_UNAVAILABLE: Final = 503
_DEPTH: Final = 8
_MOST: Final = 64


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of a request, and of each candidate.

    Args:
        outcome: One of `RUN_OUTCOMES`.
        candidates: In the order of the chain, else of the attempts.
        has_text: The providers' sentences were asked for.
    """

    outcome: str
    candidates: tuple[CandidateSummary, ...] = ()
    has_text: bool = False

    @property
    def status(self) -> int | None:
        """The HTTP status a service might answer with: a suggestion.

        None where the request was served, or may have been by what nobody saw, or still runs; and where no candidate is
        known: that is no provider's failure.

        429, 504 or 422 where every candidate that was tried ran into a rate limit, gave no response in time, or refused
        the request itself; else 503.
        """
        if self.outcome in _NOT_FAILED or not self.candidates:
            return None
        not_failed = (SKIPPED, UNTRIED, OPEN)
        found = {each.reason for each in self.candidates if each.outcome not in not_failed}
        return next((status for alike, status in _STATUSES if found and found <= alike), _UNAVAILABLE)

    def as_dict(self) -> dict[str, Any]:
        """Return it in plain JSON types, as `schema()` describes them.

        Two keys, neither of them RFC 9457's own: a service adds them to its problem, or to a WebSocket event.
        """
        return {
            "outcome": self.outcome,
            "candidates": [each.as_dict(text=self.has_text) for each in self.candidates],
        }

    def __str__(self) -> str:
        return "; ".join(map(str, self.candidates)) or self.outcome


def summarize(failure: object, *, text: bool = False) -> Summary:
    """Return what became of a request, candidate by candidate.

    Args:
        failure: A run, open or over; or an exception, of a loop, a framework or an SDK. The run that it left is found
            by its traceback; its evidence is the truth, whatever the exception says. Without one (no traceback, as
            after pickling; no run around the loop) the exceptions are taken at their word. Also what a framework
            returns that makes the error a value, as agno's agents do.
        text: With each provider's own sentence, redacted; only from a run's evidence, never from an exception.

    Returns:
        A summary; `as_dict()` is what a service sends. Never raises.
    """
    return _summarize(failure, text=text) or Summary(FAILED, has_text=text)


@guarded(fallback=None)
def _summarize(failure: object, *, text: bool) -> Summary | None:
    if isinstance(failure, Run):
        return Summary(_outcome(failure), tuple(_of_run(failure, text=text)), text)
    if not isinstance(failure, BaseException):
        found_run = run_of_result(failure)
        return None if found_run is None else _summarize(found_run, text=text)
    found = list(_sources(failure, _DEPTH))
    if len(found) == 1 and isinstance(found[0], Run):
        left = found[0]
        return Summary(_outcome(left, left=True), tuple(_of_run(left, text=text)), text)
    rows: list[CandidateSummary] = []
    for each in found:
        rows += _of_run(each, text=text) if isinstance(each, Run) else [each]
    return Summary(FAILED, tuple(rows[:_MOST]), text)


def _sources(problem: BaseException, depth: int) -> Iterator[Run | CandidateSummary]:
    """Yield what a failure is known by: the run that it left, else those of a group's members, else its own words."""
    from otel_failover._core.summary.from_exception import members_of, rows_of  # late: most processes never need it

    left = run_of(problem)
    if left is not None:
        yield left
        return
    members = members_of(problem) if depth else ()
    if not any(run_of(member) is not None for member in members):
        yield from rows_of(problem)
        return
    seen: list[Run] = []
    for member in members:
        for each in _sources(member, depth - 1):
            if not isinstance(each, Run):
                yield each
            elif not any(each is known for known in seen):
                seen.append(each)
                yield each


# --- from a run's evidence --------------------------------------------------------------------------------------------


def _outcome(of: Run, *, left: bool = False) -> str:
    """Return what became of a run.

    Args:
        of: The run.
        left: An exception has left it, though something in it may still be open.
    """
    return of.outcome if of.is_over or (left and of.is_left) else OPEN


def _of_run(of: Run, *, text: bool) -> Iterator[CandidateSummary]:
    """Yield a row for each candidate: the chain's in its order, then others as they came."""
    rows: dict[object, CandidateSummary] = {}
    for skipped in of.skips:
        rows[skipped.index if skipped.index >= 0 else (skipped.provider, skipped.model)] = _skipped(skipped)
    for record in of.records:
        if not record.probe:
            rows[record.key] = _ended(record, of, _times(rows.get(record.key)), text=text)
    for attempt in of.open_attempts:
        if not attempt.is_probe:
            rows[attempt.key] = _still_open(attempt, of, _times(rows.get(attempt.key)), text=text)
    if of.is_left and of.served is None and of.outcome != UNSEEN:
        for index, member in enumerate(of.chain.members):
            rows.setdefault(index, _untried(member))
    return iter([rows[key] for key in sorted(rows, key=_place)])


def _place(key: object) -> int:
    return key if isinstance(key, int) else _MOST * _MOST


def _times(before: CandidateSummary | None) -> int:
    return (before.attempts if before is not None else 0) + 1


def _ended(record: AttemptRecord, of: Run, times: int, *, text: bool) -> CandidateSummary:
    provider = _provider(record.provider, is_declared=record.declared or (record.index >= 0 and of.has_chain))
    message = record.error.message if text and record.error is not None else None
    return CandidateSummary(
        provider, record.model or None, record.status, record.reason, title_of(record.outcome, record.reason),
        record.outcome, times, message,
    )  # fmt: skip


def _still_open(attempt: Attempt, of: Run, times: int, *, text: bool) -> CandidateSummary:
    error, model = attempt.error, identity.shown(attempt.model) or None
    is_declared = attempt.is_declared or (attempt.index >= 0 and of.has_chain)
    provider = _provider(attempt.provider, is_declared=is_declared)
    if error is None:
        return CandidateSummary(provider, model, None, None, title_of(OPEN, None), OPEN, times, None)
    return CandidateSummary(
        provider, model, error.status_code, error.reason, title_of(ERROR, error.reason), ERROR, times,
        error.message if text else None,
    )  # fmt: skip


def _provider(provider: str, *, is_declared: bool) -> str | None:
    """Return the provider as it may be shown: the name of a host that nobody declared is the service's own affair."""
    known = providers.metric_value(provider) != providers.OTHER
    return identity.shown(provider) or None if is_declared or known else None


def _skipped(skipped: Skipped) -> CandidateSummary:
    reason = skipped.reason if skipped.reason in SKIPS else None
    return CandidateSummary(
        identity.shown(skipped.provider) or None, skipped.model or None, None, reason,
        title_of(SKIPPED, reason), SKIPPED, 0,
    )  # fmt: skip


def _untried(member: Candidate) -> CandidateSummary:
    return CandidateSummary(
        identity.shown(member.provider) or None, identity.shown(member.model) or None, None, None,
        title_of(UNTRIED, None), UNTRIED, 0,
    )  # fmt: skip


# --- what it looks like on the wire -----------------------------------------------------------------------------------


def schema() -> dict[str, Any]:
    """Return the JSON schema of `Summary.as_dict()`, as it ships in the package."""
    from importlib import resources

    shipped = resources.files("otel_failover").joinpath("summary.schema.json")
    found: dict[str, Any] = json.loads(shipped.read_text(encoding="utf-8"))
    return found
