"""What a run got wrong: one frozen record of a run in, findings out.

Pure: no OpenTelemetry, no clock, no I/O, so that live telemetry and traces written elsewhere share the rules. Each rule
is one function of the table at the end, and silent wherever an honest loop could look the same.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.candidate import shown
from otel_failover._core.domain.model_names import bare, is_opaque, is_prefixed, match
from otel_failover._core.domain.providers import canonical
from otel_failover._core.domain.reasons import (
    AUTH,
    BILLING,
    CONTENT_POLICY,
    CONTEXT_OVERFLOW,
    INVALID_REQUEST,
    MODEL_NOT_FOUND,
    OVERLOADED,
    RATE_LIMIT,
    TIMEOUT,
    UNKNOWN,
)
from otel_failover._core.domain.verdicts import FINDINGS_OFF
from otel_failover._core.findings.record import AttemptRecord, Finding, Record, Report, Skipped, Thresholds
from otel_failover._core.text.matching import STOCK, fingerprint
from otel_failover._core.text.redaction import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

__all__ = ["AttemptRecord", "Finding", "Record", "Report", "Skipped", "Thresholds", "find"]

_LONGEST: Final = 255
_NAME: Final = 64
_MOST_NAMED: Final = 8
_MOST_LISTED: Final = 32
_SPAN_ID: Final = re.compile("[0-9a-f]{16}")
"""Each is a new text, which has nothing to be cleaned of."""

_NESTED: Final = 6  # requests: two attempts, each with an SDK's usual two retries

_SERVED: Final = frozenset({"primary", "fallback"})
_FAILED: Final = frozenset({"error", "partial", "rejected"})
_RAN_OUT: Final = frozenset({"deadline", "caller_timeout"})
_KILLED_LATE: Final = _RAN_OUT | {"stale"}
_REFUSALS: Final = frozenset({INVALID_REQUEST, CONTEXT_OVERFLOW, CONTENT_POLICY})
_OF_A_MODEL: Final = frozenset({MODEL_NOT_FOUND, OVERLOADED, TIMEOUT, RATE_LIMIT, CONTEXT_OVERFLOW, CONTENT_POLICY})
"""Reasons that hold for one model; billing, auth and permission hold for the account."""

_MODEL_WAS_FOUND: Final = frozenset({CONTEXT_OVERFLOW, CONTENT_POLICY, BILLING, AUTH})
_Key = int | tuple[str, str, str | None]
_Fact = str | int | float | list[str] | None


def find(
    record: Record,
    thresholds: Thresholds = Thresholds(),  # noqa: B008 - frozen
    disabled: Collection[str] = (),
    enabled: Collection[str] = (),
) -> tuple[Finding, ...]:
    """Return what a run got wrong.

    Args:
        record: The run, over.
        thresholds: What counts as too much.
        disabled: Rules that are switched off, by name; wins over `enabled`.
        enabled: Rules of `FINDINGS_OFF` that are switched on.

    Returns:
        Findings in the order of `FINDINGS`, each rule at most once per candidate that it is about.
    """
    if _is_plain(record, thresholds):
        return ()
    return tuple(
        finding
        for name, rule in _TABLE.items()
        if name not in disabled and (name not in FINDINGS_OFF or name in enabled)
        for finding in rule(record, thresholds)
    )


def _is_plain(record: Record, thresholds: Thresholds) -> bool:
    """Whether no rule can fire: nearly every run is served at once by one request, and is not to pay for the rules."""
    if record.outcome != "primary" or len(record.tried) != 1 or record.skipped or record.report:
        return False
    only = record.tried[0]
    if record.booked and only.index not in record.booked:
        return False
    odd = only.probe or only.cancelled_before or only.empty or only.text_error or only.outcome != "success"
    most = 1 if thresholds.max_requests is None else min(1, thresholds.max_requests)
    placed = only.index >= 0 or not record.chain
    return placed and not odd and only.requests <= most and _other_model(record, only) is None


# Who is who


def _key(of: AttemptRecord | Skipped) -> _Key:
    """Tell candidates apart: by place, outside the chain by what they are."""
    return of.index if of.index >= 0 else (of.provider, of.model, of.profile)


def _is_real(record: Record, tried: AttemptRecord) -> bool:
    """Whether the loop tried a candidate: no probe, and no bare call beside a declared chain (a moderation call)."""
    return not tried.probe and (tried.declared or tried.index >= 0 or not record.chain)


def _by_candidate(record: Record, wanted: Callable[[AttemptRecord], bool]) -> list[list[int]]:
    """Return the positions of the wanted attempts, per candidate, in order of first appearance."""
    found: dict[_Key, list[int]] = {}
    for position, tried in enumerate(record.tried):
        if wanted(tried):
            found.setdefault(_key(tried), []).append(position)
    return list(found.values())


def _attempts(record: Record) -> list[list[int]]:
    return _by_candidate(record, lambda tried: _is_real(record, tried))


def _seconds(record: Record, tried: AttemptRecord) -> float:
    """Return how long an attempt took; one that is open, until the run ended."""
    ended = max(tried.ended, record.seconds) if tried.outcome == "open" else tried.ended
    return max(0.0, ended - tried.began)


def _timed_out(tried: AttemptRecord) -> bool:
    return tried.outcome != "success" and (tried.reason == TIMEOUT or tried.killed_by in _KILLED_LATE)


# Words


@lru_cache(maxsize=512)
def _line(text: str, limit: int = _NAME) -> str:
    """Return a host's or provider's word as a sentence may carry it: redacted, short, on one line."""
    printable = "".join(each if each.isprintable() else " " for each in shown(text))
    return cut(" ".join(printable.split()), limit)


def _label(provider: str, model: str, limit: int = _NAME) -> str:
    return _line("/".join(filter(None, (provider, model))), limit) or "an unnamed candidate"


def _name(record: Record, position: int) -> str:
    return _label(record.tried[position].provider, record.tried[position].model)


def _told_apart(record: Record, position: int) -> str:
    """Return a candidate's name, with its place where another candidate has the same one: two keys, one model."""
    name, tried = _name(record, position), record.tried[position]
    twins = (_key(other) for at, other in enumerate(record.tried) if _name(record, at) == name)
    return f"{name} #{tried.index}" if tried.index >= 0 and any(twin != _key(tried) for twin in twins) else name


def _firsts(record: Record, groups: Iterable[Sequence[int]]) -> list[str]:
    return [_name(record, positions[0]) for positions in groups]


def _listed(names: Sequence[str], room: int = 120) -> str:
    """Return as many names as there is room for, at least one, and the number of the others."""
    kept = min(len(names), _MOST_NAMED)
    while kept > 1 and len(_joined(names, kept)) > room:
        kept -= 1
    return _joined(names, kept)


def _joined(names: Sequence[str], kept: int) -> str:
    rest = len(names) - kept
    return ", ".join([*names[:kept], f"…(+{rest})"] if rest else names)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _length(seconds: float) -> str:
    return f"{seconds:.1f} s"


def _because(tried: AttemptRecord) -> str:
    """Return reason and status in brackets, what there is of them."""
    facts = [each for each in (tried.reason and _line(tried.reason), tried.status) if each]
    return f" ({' '.join(map(str, facts))})" if facts else ""


def _finding(
    rule: str, record: Record, sentence: str, about: Sequence[int], *, level: str = "warning", **facts: _Fact
) -> Finding:
    """Return a finding about attempts, given by their positions."""
    indexes = {record.tried[position].index for position in about}
    places = tuple(sorted(index for index in indexes if index >= 0)) if record.chain else tuple(about)
    spans = [span for span in (record.tried[position].span_id for position in about) if span]
    return _at(rule, places, sentence, {**facts, "span_ids": spans or None}, level)


def _at(
    rule: str, places: tuple[int, ...], sentence: str, facts: Mapping[str, _Fact], level: str = "warning"
) -> Finding:
    kept = {name: _fact(value) for name, value in facts.items() if value is not None}
    return Finding(rule, cut(sentence, _LONGEST), level, places, kept)


def _fact(value: str | float | list[str]) -> str | int | float | list[str]:
    if isinstance(value, list):
        return [each if _SPAN_ID.fullmatch(each) else _line(each, _LONGEST) for each in value[:_MOST_LISTED]]
    return _line(value, _LONGEST) if isinstance(value, str) else value


# Rules: the run as a whole


def _chain_bypassed(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a failed run left candidates untried, and nobody said why."""
    left = _left(record)
    if left and not record.stop_reason:
        last = next((each for each in reversed(record.tried) if each.outcome in _FAILED and not each.probe), None)
        told = f"stopped {_so_far(record)}" + (f": {_not_taken_up(last)}" if last else "")
        yield _untried("chain_bypassed", record, told, left, last)


def _chain_stopped(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a failed run left candidates untried on purpose."""
    left = _left(record)
    if left and record.stop_reason:
        told = f"stopped on purpose ('{_line(record.stop_reason)}') {_so_far(record)}"
        yield _untried("chain_stopped", record, told, left)


def _left(record: Record) -> tuple[int, ...]:
    if record.outcome != "stopped" or len(record.chain) < 2:
        return ()
    return tuple(sorted({place for place in record.untried if 0 <= place < len(record.chain)}))


def _places_tried(record: Record) -> set[int]:
    return {each.index for each in record.tried if each.index >= 0 and not each.probe}


def _so_far(record: Record) -> str:
    skipped = len({each.index for each in record.skipped if each.index >= 0} - _places_tried(record))
    beside = f" ({skipped} skipped)" if skipped else ""
    if all(each.probe for each in record.tried):
        return f"before any of {len(record.chain)} candidates was tried{beside}"
    return f"after {len(_places_tried(record))} of {len(record.chain)} candidates{beside}"


def _not_taken_up(tried: AttemptRecord) -> str:
    """Say which failure ended the loop: `'weird' 418 from qwen-portal was recognised by nobody`."""
    said = tried.code or tried.message
    words = [f"'{_line(said, 80)}'" if said else _line(tried.reason or "a failure")]
    words += [str(tried.status)] if tried.status is not None else []
    fate = "was recognised by nobody" if tried.reason in (None, UNKNOWN) else "was not failed over"
    return f"{' '.join(words)} from {_label(tried.provider, '')} {fate}"


def _untried(rule: str, record: Record, told: str, left: tuple[int, ...], last: AttemptRecord | None = None) -> Finding:
    names = [_label(*record.chain[place]) for place in left]
    start = f"{told}; untried: "
    facts: dict[str, _Fact] = {
        "chain": len(record.chain),
        "tried": len(_places_tried(record)),
        "untried": names,
        "stop_reason": record.stop_reason or None,
    }
    if last:
        facts |= {"provider": last.provider, "model": last.model, "status": last.status, "code": last.code}
        facts |= {"reason": last.reason, "span_ids": [last.span_id] if last.span_id else None}
    return _at(rule, left, start + _listed(names, _LONGEST - len(start)), facts)


def _futile_failover(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where two candidates each refused the request itself."""
    if record.outcome in _SERVED:
        return
    groups = _by_candidate(record, lambda each: _is_real(record, each) and _refused(each))
    if len(groups) > 1:
        names = [_name(record, group[-1]) + _because(record.tried[group[-1]]) for group in groups]
        told = f"{len(groups)} candidates refused the request itself, so the request is the likely cause: "
        about = [group[-1] for group in groups]
        yield _finding("futile_failover", record, told + _listed(names, _LONGEST - len(told)), about, refused_by=names)


def _refused(tried: AttemptRecord) -> bool:
    return tried.outcome != "success" and tried.reason in _REFUSALS and tried.origin == "response"


def _local_failure(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where this process failed before anything was sent, whoever was to be asked."""
    tried = record.tried
    if record.outcome in _SERVED or any(each.requests or each.origin != "client" for each in tried):
        return
    if any(each.evidence == "complete" for each in tried):
        names = _firsts(record, _by_candidate(record, lambda _: True))
        said = next((f" '{_line(each.message, 80)}'" for each in tried if each.message), "")
        told = f"nothing was sent, the failure is this process's own{said}, not a provider's: "
        yield _finding("local_failure", record, told + _listed(names), range(len(tried)), attempts=len(tried))


def _lossy_report(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where the final error leaves out a failed candidate, or blames who did not fail."""
    report = record.report
    lasts = [group[-1] for group in _attempts(record)] if report else []
    failed = [last for last in lasts if record.tried[last].outcome in _FAILED]
    if report is None or len(failed) < 2:
        return
    missing = [last for last in failed if last not in report.told]
    culprits = _culprits(record)
    blamed = [_label(each, "") for each in sorted(report.blamed) if each and canonical(each) not in culprits]
    if missing or blamed:
        yield _finding(
            "lossy_report",
            record,
            f"the final {_line(report.type) or 'error'} {_lacks(record, failed, missing, blamed)}",
            missing,
            level="info",
            failed=len(failed),
            missing=[_name(record, position) for position in missing] or None,
            blamed=blamed or None,
        )


def _lacks(record: Record, failed: Sequence[int], missing: Sequence[int], blamed: Sequence[str]) -> str:
    parts = []
    if missing:
        names = [_name(record, position) for position in missing]
        parts.append(f"leaves out {len(missing)} of {len(failed)} failed candidates: {_listed(names, 90)}")
    if blamed:
        parts.append(f"blames {_listed(blamed, 60)}, which did not fail")
    return "; it ".join(parts)


def _culprits(record: Record) -> set[str]:
    """Return who may be blamed: who failed or hung, whom a router asked for them, who was skipped for a failure."""
    failed = [each for each in record.tried if each.outcome in _FAILED or each.outcome == "open"]
    found = {canonical(each.provider) for each in failed}
    found |= {canonical(each.model.partition("/")[0]) for each in failed if "/" in each.model}
    causes = [(each.provider, each.cause[0]) for each in record.skipped if each.cause]
    return found | {canonical(of) for of, cause in causes if canonical(of) == canonical(cause)}


# Rules: too much, too long, too late


def _retry_storm(record: Record, thresholds: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate was sent more than its attempts explain."""
    for group in _by_candidate(record, lambda each: not each.probe):
        attempts = [record.tried[position] for position in group]
        requests = sum(each.requests for each in attempts)
        why = _storm(attempts, requests, thresholds.max_requests)
        if why:
            sent = f"{_count(requests, 'request')} in {_count(len(group), 'attempt')}"
            yield _finding(
                "retry_storm",
                record,
                f"{_name(record, group[0])} was sent {sent}: {why}",
                group,
                requests=requests,
                attempts=len(group),
                calls=sum(each.calls for each in attempts),
            )


def _storm(attempts: Sequence[AttemptRecord], requests: int, most: int | None) -> str | None:
    known = [(each.requests, max(0, each.retries) + 1) for each in attempts if each.retries is not None]
    explained = sum(allowed for _, allowed in known)
    if sum(seen for seen, _ in known) > explained:
        return f"the SDK's own retries explain {explained}"
    if most is not None and requests > most:
        return f"{most} are allowed"
    if len(attempts) > 1 and requests >= _NESTED and all(each.requests > each.calls >= 1 for each in attempts):
        return "the loop retries on top of the SDK's own retries"
    return None


def _hung_candidate(record: Record, thresholds: Thresholds) -> Iterator[Finding]:
    """Fire where an attempt went on for too long without success, or survived its end."""
    for group in _by_candidate(record, lambda each: _hung(record, each, thresholds.stale_after)):
        longest = max(group, key=lambda position: _seconds(record, record.tried[position]))
        tried, seconds = record.tried[longest], _seconds(record, record.tried[longest])
        killed = f", though killed ({_line(tried.killed_by)})" if tried.killed_by else ""
        told = f"was still open when the run ended, {_length(seconds)} after it began{killed}"
        if tried.outcome != "open":
            told = f"took {_length(seconds)} without success; more than {_length(thresholds.stale_after)} is hung"
        yield _finding(
            "hung_candidate", record, f"{_name(record, longest)} {told}", group,
            seconds=round(seconds, 3), stale_after=thresholds.stale_after, killed_by=tried.killed_by,
        )  # fmt: skip


def _hung(record: Record, tried: AttemptRecord, stale_after: float) -> bool:
    if tried.outcome == "open" and tried.killed_by:
        return True
    return tried.outcome != "success" and _seconds(record, tried) > stale_after


def _timeout_not_failed_over(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate was repeated twice after timeouts while another waited."""
    for group in _attempts(record):
        repeats = [later for earlier, later in pairwise(group) if _timed_out(record.tried[earlier])]
        waiting = _waiting(record, repeats[1]) if len(repeats) > 1 else []
        if waiting:
            seconds = sum(_seconds(record, record.tried[position]) for position in group)
            told = f"{_name(record, group[0])} was tried {len(group)} times despite timeouts, {_length(seconds)} in all"
            yield _finding(
                "timeout_not_failed_over",
                record,
                f"{told}, while {_listed(waiting, 80)} waited",
                group,
                seconds=round(seconds, 3),
                attempts=len(group),
                waiting=waiting,
            )


def _waiting(record: Record, moment: int) -> list[str]:
    """Return who was neither tried nor skipped before an attempt; without a chain, of those that were tried later."""
    seen = {_key(each) for each in record.tried[: moment + 1]} | {_key(each) for each in record.skipped}
    if record.chain:
        return [_label(*entry) for place, entry in enumerate(record.chain) if place not in seen]
    later = {_key(each): _label(each.provider, each.model) for each in record.tried[moment:] if not each.probe}
    return [name for key, name in later.items() if key not in seen]


def _starved_candidate(record: Record, thresholds: Thresholds) -> Iterator[Finding]:
    """Fire where a later candidate ran out of the time that earlier ones had used up."""
    told: set[_Key] = set()
    for position, tried in enumerate(record.tried):
        given = _given(record, tried)
        if given < thresholds.starved_below and _is_real(record, tried) and _key(tried) not in told:
            before = [each for each in record.tried[:position] if not each.probe]
            spent = sum(_seconds(record, each) for each in before if _key(each) != _key(tried))
            if spent >= max(10 * given, thresholds.starved_below) and _key(before[0]) != _key(tried):
                told.add(_key(tried))
                sentence = (
                    f"{_name(record, position)} was given {given:.2f} s and ran out of time, after earlier candidates"
                    f" had taken {_length(spent)}"
                )
                yield _finding(
                    "starved_candidate", record, sentence, [position], given=round(given, 3), spent=round(spent, 3)
                )


def _given(record: Record, tried: AttemptRecord) -> float:
    """Return the seconds that an attempt had before it ran out of time; endless where it did not."""
    if tried.outcome == "success" or not (tried.reason == TIMEOUT or tried.killed_by in _RAN_OUT):
        return float("inf")
    seconds = _seconds(record, tried)
    return seconds if tried.configured is None else min(seconds, max(0.0, tried.configured))


# Rules: one candidate's failure on another


def _unjustified_skip(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate was skipped for what another one did."""
    told: set[_Key] = set()
    for skipped in record.skipped:
        whose = _not_its_own(skipped)
        if whose and skipped.cause and _key(skipped) not in told:
            told.add(_key(skipped))
            name, cause = _label(skipped.provider, skipped.model), _label(*skipped.cause[:2])
            word = f" ({_line(skipped.reason)})" if skipped.reason else ""
            why = f" ({_line(skipped.cause_reason)})" if skipped.cause_reason else ""
            yield _at(
                "unjustified_skip",
                (skipped.index,) if skipped.index >= 0 and record.chain else (),
                f"{name} was skipped{word} for the failure of another {whose}: {cause}{why}",
                {
                    "candidate": name,
                    "profile": skipped.profile,
                    "reason": skipped.reason,
                    "cause": cause,
                    "cause_profile": skipped.cause[2],
                    "cause_reason": skipped.cause_reason,
                },
            )


def _not_its_own(skipped: Skipped) -> str | None:
    """Return what the cited candidate differs in; None where its failure may stand for this one too."""
    provider, model, profile = skipped.cause or ("", "", None)
    if not provider or not skipped.provider:
        return None
    if canonical(provider) != canonical(skipped.provider):
        return "provider"
    if profile and skipped.profile and profile != skipped.profile:
        return "profile"
    same = bare(model, provider) == bare(skipped.model, provider)
    return "model" if model and not same and skipped.cause_reason in _OF_A_MODEL else None


def _identical_errors(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where one error text stands for two candidates, and one of them cannot have said it."""
    told: set[_Key] = set()
    for holders, liars in sorted(set(_shared(record))):
        fresh = [each for each in liars if _key(record.tried[each]) not in told]
        if fresh:
            told |= {_key(record.tried[each]) for each in fresh}
            names = [_told_apart(record, each) for each in fresh]
            others = [_told_apart(record, each) for each in holders if each not in liars]
            whose = f"the error text of {others[0]}" if others else "one error text"
            does, their = ("carries", "its") if len(names) == 1 else ("carry", "their")
            sentence = f"{_listed(names)} {does} {whose}; {their} own evidence is complete and does not hold it"
            yield _finding("identical_errors", record, sentence, holders, carried_by=names, held_by=others or None)


def _shared(record: Record) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield for each shared text who holds it, and who cannot have it from an answer: one position per candidate."""
    for text in {each for tried in record.tried for each in tried.own | tried.claimed} - _stock():
        groups = _by_candidate(record, partial(_holds, text))
        if len(groups) > 1:
            liars = [group[0] for group in groups if not _may_have_said(record, group, text)]
            if liars:
                yield tuple(group[0] for group in groups), tuple(liars)


def _holds(text: str, tried: AttemptRecord) -> bool:
    return text in tried.own or text in tried.claimed


def _may_have_said(record: Record, holders: Sequence[int], text: str) -> bool:
    """Whether a candidate's answer may have held a text: in any attempt up to its last claim, for it may replay it."""
    key = _key(record.tried[holders[0]])
    until = [each for each in record.tried[: holders[-1] + 1] if _key(each) == key]
    return any(text in each.own or each.evidence != "complete" for each in until)


@lru_cache(maxsize=1)
def _stock() -> frozenset[str]:
    """Return the fingerprints of what every client says: such a text names nobody."""
    return frozenset(map(fingerprint, STOCK))


# Rules: what came back


def _text_error(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where an answer reads like an error message."""
    for group in _by_candidate(record, lambda each: _answered(each) and each.text_error is True):
        told = f"{_name(record, group[0])} answered with a text that reads like an error message"
        yield _finding("text_error", record, told, group)


def _empty_success(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where an answer holds nothing."""
    for group in _by_candidate(record, lambda each: _answered(each) and each.empty is True):
        told = f"{_name(record, group[0])} succeeded with an answer that holds neither text nor a tool call"
        yield _finding("empty_success", record, told, group)


def _answered(tried: AttemptRecord) -> bool:
    return tried.outcome == "success" and not tried.probe


def _partial_delivered(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate broke off after its output had begun."""
    for group in _by_candidate(record, lambda each: each.outcome == "partial" and not each.probe):
        last = record.tried[group[-1]]
        begun = "had been handed on" if last.streamed else "had begun"
        told = f"{_name(record, group[-1])} broke off after output {begun}{_because(last)}"
        server = _server(record, group[-1])
        if server is not None:
            same = _key(record.tried[server]) == _key(last)
            told += "; its next try then served" if same else f"; {_name(record, server)} then served"
        name = _name(record, server) if server is not None else None
        yield _finding("partial_delivered", record, told, group, reason=last.reason, served_by=name)


def _server(record: Record, after: int) -> int | None:
    """Return who served the run after an attempt."""
    later = range(after + 1, len(record.tried)) if record.outcome in _SERVED else ()
    return next((at for at in later if _answered(record.tried[at]) and _is_real(record, record.tried[at])), None)


def _wrong_model(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where an answer names another member's model."""
    for group in _by_candidate(record, lambda each: not each.probe and _other_model(record, each) is not None):
        tried = record.tried[group[0]]
        other = _other_model(record, tried) or ""
        told = f"{_name(record, group[0])} answered as '{_line(tried.response_model)}', the model of {other}"
        yield _finding("wrong_model", record, told, group, response_model=tried.response_model, member=other)


def _other_model(record: Record, tried: AttemptRecord) -> str | None:
    """Return the member whose model the answer names; None where it may be this candidate's own."""
    answer = bare(tried.response_model, tried.provider)
    if not answer or is_opaque(tried.model, tried.provider):
        return None
    own = record.chain[tried.index][1] if 0 <= tried.index < len(record.chain) else tried.model
    known = max(match(bare(model, tried.provider), answer) for model in (tried.model, own))
    members = record.chain or [(each.provider, each.model) for each in record.tried]
    longest, best = max((match(bare(model, provider), answer), -at) for at, (provider, model) in enumerate(members))
    return _label(*members[-best]) if longest > known else None


def _misbooked_success(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where the loop's own result names another member than whoever served."""
    served = [at for at, each in enumerate(record.tried) if _answered(each)]
    named = [_label(*record.chain[place]) for place in sorted(record.booked) if place < len(record.chain)]
    if record.outcome not in _SERVED or not served or not named:
        return
    if any(record.tried[at].index in record.booked for at in served):
        return
    told = f"the loop's result says that {_listed(named)} answered; it was {_name(record, served[-1])}"
    yield _finding("misbooked_success", record, told, served[-1:], booked=named, served=_name(record, served[-1]))


def _model_name_prefixed(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a provider knows no model of a name that carries the provider's own prefix."""
    served = {_key(each) for each in record.tried if each.outcome == "success"}
    for group in _by_candidate(record, lambda each: _unknown_name(each) and _key(each) not in served):
        tried = record.tried[group[0]]
        told = f"{_label(tried.provider, '')} refused the model '{_line(tried.model)}'{_because(tried)}"
        told += ": the name carries a provider's prefix"
        yield _finding("model_name_prefixed", record, told, group, model=tried.model, status=tried.status)


def _unknown_name(tried: AttemptRecord) -> bool:
    refused = tried.status in (400, 404) and tried.reason not in _MODEL_WAS_FOUND
    return (tried.reason == MODEL_NOT_FOUND or refused) and is_prefixed(tried.model, tried.provider)


def _off_chain(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where somebody outside the declared chain was tried by the loop, or served in its stead."""
    if not record.chain:
        return
    served = any(_answered(each) and each.index >= 0 for each in record.tried)
    for group in _by_candidate(record, lambda each: _is_stray(each, served=served)):
        did = "served" if _answered(record.tried[group[-1]]) else "was tried"
        told = f"{_name(record, group[0])} {did}, though it is not in the declared chain of {len(record.chain)}"
        yield _finding("off_chain", record, told, group, candidate=_name(record, group[0]), attempts=len(group))


def _is_stray(tried: AttemptRecord, *, served: bool) -> bool:
    if tried.index >= 0 or tried.probe:
        return False
    return tried.declared or (tried.outcome == "success" and not served)


def _cancelled_continued(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate was tried after the run had been told to end."""
    for group in _by_candidate(record, lambda each: each.cancelled_before):
        requests = sum(record.tried[position].requests for position in group)
        told = f"{_name(record, group[0])} was tried after the run had been cancelled or stopped"
        sent = f"{told}, and was sent {_count(requests, 'request')}" if requests else told
        yield _finding("cancelled_continued", record, sent, group, requests=requests, attempts=len(group))


_TABLE: Final[dict[str, Callable[[Record, Thresholds], Iterator[Finding]]]] = {
    "chain_bypassed": _chain_bypassed,
    "chain_stopped": _chain_stopped,
    "retry_storm": _retry_storm,
    "hung_candidate": _hung_candidate,
    "timeout_not_failed_over": _timeout_not_failed_over,
    "futile_failover": _futile_failover,
    "unjustified_skip": _unjustified_skip,
    "identical_errors": _identical_errors,
    "lossy_report": _lossy_report,
    "local_failure": _local_failure,
    "text_error": _text_error,
    "empty_success": _empty_success,
    "partial_delivered": _partial_delivered,
    "wrong_model": _wrong_model,
    "misbooked_success": _misbooked_success,
    "model_name_prefixed": _model_name_prefixed,
    "off_chain": _off_chain,
    "starved_candidate": _starved_candidate,
    "cancelled_continued": _cancelled_continued,
}
