"""Rules about the chain: who was left out of it, who was tried beside it, and who was tried after its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.reasons import INVALID_REQUEST, UNKNOWN, is_known
from otel_failover._core.findings.common import (
    FAILED,
    LONGEST,
    UNKNOWN_SERVER,
    about_attempts,
    about_places,
    answered,
    by_candidate,
    counted,
    is_stray_server,
    label,
    listed,
    name_of,
    one_line,
    refused_itself,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover._core.findings.common import Fact
    from otel_failover._core.findings.record import AttemptRecord, Finding, Record, Thresholds


def chain_bypassed(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a failed run left candidates untried, and nobody said why.

    Not where the request itself was refused: to ask no further is as right as to go on. Nor where an error left a run
    that had asked nobody: no candidate's failure was passed over.
    """
    left = _left_untried(record)
    last = next((each for each in reversed(record.tried) if each.outcome in FAILED and not each.probe), None)
    asked_nobody = last is None and bool(record.left_by)
    if left and not record.stop_reason and not asked_nobody and not _was_refused(record):
        sentence = f"stopped {_so_far(record)}" + (f": {_not_failed_over(last)}" if last else "")
        yield _untried("chain_bypassed", record, sentence, left, last)


def chain_stopped(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a failed run left candidates untried on purpose; mere information where the request was refused."""
    left = _left_untried(record)
    if left and record.stop_reason:
        sentence = f"stopped on purpose ('{one_line(record.stop_reason)}') {_so_far(record)}"
        level = "info" if _was_refused(record) else "warning"
        yield _untried("chain_stopped", record, sentence, left, level=level)


def _was_refused(record: Record) -> bool:
    """Whether a candidate refused the request itself."""
    return any(refused_itself(each) and not each.probe for each in record.tried)


def _left_untried(record: Record) -> tuple[int, ...]:
    if record.outcome != "stopped" or len(record.chain) < 2:
        return ()
    return tuple(sorted({place for place in record.untried if 0 <= place < len(record.chain)}))


def _places_tried(record: Record) -> set[int]:
    return {each.index for each in record.tried if each.index >= 0 and not each.probe}


def _so_far(record: Record) -> str:
    """Return how far a run came: `after 1 of 3 candidates (1 skipped)`."""
    tried = _places_tried(record)
    skipped = len({each.index for each in record.skipped if each.index >= 0} - tried)
    beside = f" ({skipped} skipped)" if skipped else ""
    if all(each.probe for each in record.tried):
        return f"before any of {len(record.chain)} candidates was tried{beside}"
    return f"after {len(tried)} of {len(record.chain)} candidates{beside}"


def _not_failed_over(last: AttemptRecord) -> str:
    """Return which failure ended the loop: `'weird' 418 from qwen-portal was recognised by nobody`."""
    said = last.code or last.message
    words = [f"'{one_line(said, 80)}'" if said else one_line(last.reason or "a failure")]
    words += [str(last.status)] if last.status is not None else []
    strange = last.reason in (None, UNKNOWN) or (
        last.reason == INVALID_REQUEST and last.code and not is_known(last.code)
    )
    fate = "was recognised by nobody" if strange else "was not failed over"
    return f"{' '.join(words)} from {label(last.provider, '')} {fate}"


def _untried(
    rule: str,
    record: Record,
    sentence: str,
    left: tuple[int, ...],
    last: AttemptRecord | None = None,
    *,
    level: str = "warning",
) -> Finding:
    names = [label(*record.chain[place]) for place in left]
    start = f"{sentence}; untried: "
    facts: dict[str, Fact] = {
        "chain": len(record.chain),
        "tried": len(_places_tried(record)),
        "untried": names,
        "stop_reason": record.stop_reason or None,
    }
    if last:
        facts |= {"provider": last.provider, "model": last.model, "status": last.status, "code": last.code}
        facts |= {"reason": last.reason, "span_ids": [last.span_id] if last.span_id else None}
    return about_places(rule, left, start + listed(names, LONGEST - len(start)), facts, level)


def nothing_served(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a run was left in peace, though nobody is known to have served it."""
    if record.outcome not in UNKNOWN_SERVER:
        return
    failed = {each.key for each in record.tried if each.outcome in FAILED and not each.probe}
    before = f" after {counted(len(failed), 'candidate')} had failed" if failed else ""
    if record.outcome == "unasked":
        sentence = "nobody was asked: no call to a provider was seen in the run, and no error left it"
    else:
        sentence = f"who served it was not seen{before}: {one_line(record.unseen, 80) or 'something unseen may have'}"
        sentence += "; run.attempt(candidate) around each try would tell"
    places = tuple(sorted({each.index for each in record.tried if each.index >= 0})) if record.chain else ()
    facts: dict[str, Fact] = {"failed": len(failed), "unseen": record.unseen or None}
    yield about_places("nothing_served", places, sentence, facts, "info")


def sticky_fallback(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a loop begins run after run at a later place, though its first was neither skipped nor tried."""
    began = next((each for each in record.tried if not each.probe), None)
    if record.begun_later < _IN_A_ROW or began is None or not 0 < began.index < len(record.chain):
        return
    first, there = label(*record.chain[0]), label(*record.chain[began.index])
    sentence = f"{record.begun_later} runs in a row began at {there}; {first}, the first of the chain, was neither"
    facts: dict[str, Fact] = {"runs": record.begun_later, "first": first, "began": there}
    yield about_places("sticky_fallback", (0,), f"{sentence} tried nor skipped", facts, "info")


_IN_A_ROW: Final = 3
"""So many runs make a habit."""


def off_chain(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where somebody outside the declared chain was tried by the loop, or served in its stead."""
    if not record.chain:
        return
    for group in by_candidate(record, lambda each: _is_stray(record, each)):
        name = name_of(record, group[0])
        did = "served" if answered(record.tried[group[-1]]) else "was tried"
        sentence = f"{name} {did}, though it is not in the declared chain of {len(record.chain)}"
        yield about_attempts("off_chain", record, sentence, group, candidate=name, attempts=len(group))


def _is_stray(record: Record, tried: AttemptRecord) -> bool:
    """Whether an attempt outside the chain counts: one the loop declared, or a bare call that served in its stead."""
    return tried.index < 0 and not tried.probe and (tried.declared or is_stray_server(record, tried))


def cancelled_continued(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate was tried after the run had been told to end."""
    for group in by_candidate(record, lambda each: each.cancelled_before):
        requests = sum(record.tried[position].requests for position in group)
        sentence = f"{name_of(record, group[0])} was tried after the run had been cancelled or stopped"
        if requests:
            sentence += f", and was sent {counted(requests, 'request')}"
        yield about_attempts("cancelled_continued", record, sentence, group, requests=requests, attempts=len(group))
