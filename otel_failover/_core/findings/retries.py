"""Rules about one candidate that is asked again and again."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.reasons import CONNECTION, OVERLOADED, SERVER_ERROR, TIMEOUT
from otel_failover._core.findings.common import (
    NOT_FAILED,
    about_attempts,
    answered,
    because,
    by_candidate,
    counted,
    duration,
    is_real,
    key_of,
    label,
    listed,
    name_of,
    seconds_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_failover._core.findings.record import AttemptRecord, Finding, Record, Thresholds

_NESTED: Final = 6
"""Requests of two attempts that each come with an SDK's usual two retries."""

_DOWN: Final = frozenset({SERVER_ERROR, OVERLOADED, CONNECTION})

_LONG: Final = 30.0
"""Seconds of repeats for which nobody honest lets others wait."""

_KILLED_LATE: Final = frozenset({"deadline", "caller_timeout", "stale"})


def retry_storm(record: Record, thresholds: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate was sent more than its attempts explain."""
    for group in by_candidate(record, lambda each: not each.probe):
        attempts = [record.tried[position] for position in group]
        requests = sum(each.requests for each in attempts)
        why = _unexplained(_as_calls(attempts), requests, thresholds.max_requests)
        if why:
            sent = f"{counted(requests, 'request')} in {counted(len(group), 'attempt')}"
            yield about_attempts(
                "retry_storm",
                record,
                f"{name_of(record, group[0])} was sent {sent}: {why}",
                group,
                requests=requests,
                attempts=len(group),
                calls=sum(each.calls for each in attempts),
            )


def _as_calls(attempts: Sequence[AttemptRecord]) -> list[AttemptRecord]:
    """Return attempts with those that only repeat the one before counted as a part of that."""
    found: list[AttemptRecord] = []
    for each in attempts:
        if each.repeats and found:
            found[-1] = found[-1]._replace(requests=found[-1].requests + each.requests)
        else:
            found.append(each)
    return found


def _unexplained(attempts: Sequence[AttemptRecord], requests: int, most: int | None) -> str | None:
    """Return why a candidate's requests are too many; None where they are not.

    Only the attempts whose client says how often it retries are held against that number, once for each call: a tool
    loop asks again and again in one attempt. What an unknown client does by itself proves nothing. Retries of the loop
    around retries of the SDK show without it, by their sheer number.
    """
    known = [
        (each.requests, (max(0, each.retries) + 1) * max(1, each.calls))
        for each in attempts
        if each.retries is not None
    ]
    explained = sum(allowed for _, allowed in known)
    if sum(seen for seen, _ in known) > explained:
        return f"the SDK's own retries explain {explained}"
    if most is not None and requests > most:
        return f"{most} are allowed"
    if len(attempts) > 1 and requests >= _NESTED and all(each.requests > each.calls >= 1 for each in attempts):
        return "the loop retries on top of the SDK's own retries"
    return None


def timeout_not_failed_over(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate was repeated twice after timeouts while another waited."""
    for group in by_candidate(record, lambda each: is_real(record, each)):
        repeats = [later for earlier, later in pairwise(group) if _timed_out(record.tried[earlier])]
        waiting = _waiting(record, repeats[1]) if len(repeats) > 1 else []
        if waiting:
            seconds = sum(seconds_of(record, record.tried[position]) for position in group)
            tried = f"{name_of(record, group[0])} was tried {len(group)} times despite timeouts"
            yield about_attempts(
                "timeout_not_failed_over",
                record,
                f"{tried}, {duration(seconds)} in all, while {listed(waiting, 80)} waited",
                group,
                seconds=round(seconds, 3),
                attempts=len(group),
                waiting=waiting,
            )


def outage_not_failed_over(record: Record, thresholds: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate was repeated twice while it was down or overloaded, and another waited.

    Timeouts among them count, but where they alone make up two repeats the other finding says it. An outage may pass,
    so a few quick repeats are honest where the loop then goes on, or one of them is answered: it fires where the run
    failed with the others untried, and as mere information where they waited for long.
    """
    told = {each.candidates for each in timeout_not_failed_over(record, thresholds)}
    for group in by_candidate(record, lambda each: is_real(record, each)):
        repeats = [later for earlier, later in pairwise(group) if _is_down(record.tried[earlier])]
        waiting = _waiting(record, repeats[1]) if len(repeats) > 1 else []
        if not waiting or any(answered(record.tried[position]) for position in group):
            continue
        seconds = sum(seconds_of(record, record.tried[position]) for position in group)
        never = bool(record.untried) and record.outcome not in NOT_FAILED
        if not never and seconds < _LONG:
            continue
        down = next(record.tried[at] for at in reversed(group) if _is_down(record.tried[at]))
        tried = f"{name_of(record, group[0])} was tried {len(group)} times though it was down{because(down)}"
        found = about_attempts(
            "outage_not_failed_over",
            record,
            f"{tried}, {duration(seconds)} in all, while {listed(waiting, 80)} waited",
            group,
            level="warning" if never else "info",
            seconds=round(seconds, 3),
            attempts=len(group),
            waiting=waiting,
        )
        if found.candidates not in told:
            yield found


def refusal_repeated(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate was asked again for what it had refused, and nothing had changed in between."""
    for group in by_candidate(record, lambda each: is_real(record, each) and _is_refused(each)):
        times = Counter(number for position in group for number in record.tried[position].refused)
        number, most = times.most_common(1)[0]
        if most < 2:
            continue
        about = [position for position in group if number in record.tried[position].refused]
        refused = record.tried[about[-1]]
        sentence = f"{name_of(record, about[0])} was asked {most} times for what it refuses{because(refused)}"
        yield about_attempts(
            "refusal_repeated",
            record,
            f"{sentence}: neither credential nor address had changed in between",
            about,
            times=most,
            status=refused.status,
            reason=refused.reason,
        )


def _is_refused(tried: AttemptRecord) -> bool:
    return bool(tried.refused) and tried.outcome != "success"


def _is_down(tried: AttemptRecord) -> bool:
    return tried.outcome != "success" and (tried.reason in _DOWN or _timed_out(tried))


def _timed_out(tried: AttemptRecord) -> bool:
    return tried.outcome != "success" and (tried.reason == TIMEOUT or tried.killed_by in _KILLED_LATE)


def _waiting(record: Record, moment: int) -> list[str]:
    """Return who was neither tried nor skipped before an attempt; without a chain, of those that were tried later."""
    seen = {key_of(each) for each in record.tried[: moment + 1]} | {key_of(each) for each in record.skipped}
    if record.chain:
        return [label(*entry) for place, entry in enumerate(record.chain) if place not in seen]
    later = {key_of(each): label(each.provider, each.model) for each in record.tried[moment:] if not each.probe}
    return [name for key, name in later.items() if key not in seen]
