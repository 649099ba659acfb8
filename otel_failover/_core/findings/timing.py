"""Rules about time: a candidate that takes too long, and one that is left too little of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.reasons import TIMEOUT
from otel_failover._core.findings.common import (
    about_attempts,
    by_candidate,
    duration,
    is_real,
    key_of,
    name_of,
    one_line,
    seconds_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover._core.findings.common import Key
    from otel_failover._core.findings.record import AttemptRecord, Finding, Record, Thresholds

_RAN_OUT: Final = frozenset({"deadline", "caller_timeout"})


def hung_candidate(record: Record, thresholds: Thresholds) -> Iterator[Finding]:
    """Fire where an attempt went on for too long without success, or survived its end."""
    for group in by_candidate(record, lambda each: _is_hung(record, each, thresholds.stale_after)):
        longest = max(group, key=lambda position: seconds_of(record, record.tried[position]))
        tried, seconds = record.tried[longest], seconds_of(record, record.tried[longest])
        if tried.outcome == "open":
            killed = f", though killed ({one_line(tried.killed_by)})" if tried.killed_by else ""
            did = f"was still open when the run ended, {duration(seconds)} after it began{killed}"
        else:
            did = f"took {duration(seconds)} without success; more than {duration(thresholds.stale_after)} is hung"
        yield about_attempts(
            "hung_candidate",
            record,
            f"{name_of(record, longest)} {did}",
            group,
            seconds=round(seconds, 3),
            stale_after=thresholds.stale_after,
            killed_by=tried.killed_by,
        )


def _is_hung(record: Record, tried: AttemptRecord, stale_after: float) -> bool:
    if tried.outcome == "open" and tried.killed_by:
        return True
    return tried.outcome != "success" and seconds_of(record, tried) > stale_after


def starved_candidate(record: Record, thresholds: Thresholds) -> Iterator[Finding]:
    """Fire where a later candidate ran out of the time that earlier ones had used up.

    Earlier ones must have taken ten times as long as it was given, and the first of them must be another: a candidate
    that runs into its own short timeout at once has starved nobody, nor itself.
    """
    reported: set[Key] = set()
    for position, tried in enumerate(record.tried):
        key, given = key_of(tried), _time_given(record, tried)
        if given >= thresholds.starved_below or not is_real(record, tried) or key in reported:
            continue
        before = [each for each in record.tried[:position] if not each.probe]
        spent = sum(seconds_of(record, each) for each in before if key_of(each) != key)
        if spent < max(10 * given, thresholds.starved_below) or key_of(before[0]) == key:
            continue
        reported.add(key)
        yield about_attempts(
            "starved_candidate",
            record,
            f"{name_of(record, position)} was given {given:.2f} s and ran out of time, after earlier candidates"
            f" had taken {duration(spent)}",
            [position],
            given=round(given, 3),
            spent=round(spent, 3),
        )


def _time_given(record: Record, tried: AttemptRecord) -> float:
    """Return the seconds that an attempt had before it ran out of time; endless where it did not."""
    if tried.outcome == "success" or not (tried.reason == TIMEOUT or tried.killed_by in _RAN_OUT):
        return float("inf")
    seconds = seconds_of(record, tried)
    return seconds if tried.configured is None else min(seconds, max(0.0, tried.configured))
