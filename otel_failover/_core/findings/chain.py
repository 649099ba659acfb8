"""Rules about the chain: who was left out of it, who was tried beside it, and who was tried after its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_failover._core.domain.reasons import UNKNOWN
from otel_failover._core.findings.common import (
    FAILED,
    LONGEST,
    about_attempts,
    about_places,
    answered,
    by_candidate,
    counted,
    label,
    listed,
    name_of,
    one_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover._core.findings.common import Fact
    from otel_failover._core.findings.record import AttemptRecord, Finding, Record, Thresholds


def chain_bypassed(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a failed run left candidates untried, and nobody said why."""
    left = _left_untried(record)
    if left and not record.stop_reason:
        last = next((each for each in reversed(record.tried) if each.outcome in FAILED and not each.probe), None)
        sentence = f"stopped {_so_far(record)}" + (f": {_not_failed_over(last)}" if last else "")
        yield _untried("chain_bypassed", record, sentence, left, last)


def chain_stopped(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a failed run left candidates untried on purpose."""
    left = _left_untried(record)
    if left and record.stop_reason:
        sentence = f"stopped on purpose ('{one_line(record.stop_reason)}') {_so_far(record)}"
        yield _untried("chain_stopped", record, sentence, left)


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
    fate = "was recognised by nobody" if last.reason in (None, UNKNOWN) else "was not failed over"
    return f"{' '.join(words)} from {label(last.provider, '')} {fate}"


def _untried(
    rule: str, record: Record, sentence: str, left: tuple[int, ...], last: AttemptRecord | None = None
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
    return about_places(rule, left, start + listed(names, LONGEST - len(start)), facts)


def off_chain(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where somebody outside the declared chain was tried by the loop, or served in its stead."""
    if not record.chain:
        return
    has_served = any(answered(each) and each.index >= 0 for each in record.tried)
    for group in by_candidate(record, lambda each: _is_stray(each, chain_served=has_served)):
        name = name_of(record, group[0])
        did = "served" if answered(record.tried[group[-1]]) else "was tried"
        sentence = f"{name} {did}, though it is not in the declared chain of {len(record.chain)}"
        yield about_attempts("off_chain", record, sentence, group, candidate=name, attempts=len(group))


def _is_stray(tried: AttemptRecord, *, chain_served: bool) -> bool:
    """Whether an attempt outside the chain counts: one the loop declared, or a bare call that served in its stead."""
    if tried.index >= 0 or tried.probe:
        return False
    return tried.declared or (tried.outcome == "success" and not chain_served)


def cancelled_continued(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate was tried after the run had been told to end."""
    for group in by_candidate(record, lambda each: each.cancelled_before):
        requests = sum(record.tried[position].requests for position in group)
        sentence = f"{name_of(record, group[0])} was tried after the run had been cancelled or stopped"
        if requests:
            sentence += f", and was sent {counted(requests, 'request')}"
        yield about_attempts("cancelled_continued", record, sentence, group, requests=requests, attempts=len(group))
