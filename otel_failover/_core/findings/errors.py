"""Rules about failures: whose they are, and what is made of them."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.providers import canonical
from otel_failover._core.domain.reasons import (
    CONTENT_POLICY,
    CONTEXT_OVERFLOW,
    MODEL_NOT_FOUND,
    OVERLOADED,
    RATE_LIMIT,
    TIMEOUT,
)
from otel_failover._core.findings.common import (
    FAILED,
    LONGEST,
    NOT_FAILED,
    OF_THE_REQUEST,
    about_attempts,
    about_places,
    because,
    by_candidate,
    is_real,
    key_of,
    label,
    listed,
    name_of,
    one_line,
)
from otel_failover._core.findings.model_names import bare
from otel_failover._core.text.matching import STOCK, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_failover._core.findings.common import Fact, Key
    from otel_failover._core.findings.record import AttemptRecord, Finding, Record, Skipped, Thresholds

_OF_A_MODEL: Final = frozenset({MODEL_NOT_FOUND, OVERLOADED, TIMEOUT, RATE_LIMIT, CONTEXT_OVERFLOW, CONTENT_POLICY})
"""Reasons that hold for one model; billing, auth and permission hold for the account."""


# --- whose failure it is ----------------------------------------------------------------------------------------------


def futile_failover(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where two candidates each refused the request itself: mere information, since to ask once more is honest."""
    if record.outcome in NOT_FAILED:
        return
    groups = by_candidate(record, lambda each: is_real(record, each) and _refused_request(each))
    if len(groups) > 1:
        about = [group[-1] for group in groups]
        names = [name_of(record, position) + because(record.tried[position]) for position in about]
        start = f"{len(groups)} candidates refused the request itself, so the request is the likely cause: "
        sentence = start + listed(names, LONGEST - len(start))
        yield about_attempts("futile_failover", record, sentence, about, level="info", refused_by=names)


def _refused_request(tried: AttemptRecord) -> bool:
    return tried.outcome != "success" and tried.reason in OF_THE_REQUEST and tried.origin == "response"


def local_failure(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where this process failed before anything was sent, whoever was to be asked; or before anybody was asked."""
    tried = record.tried
    if record.outcome in NOT_FAILED or any(each.requests or each.origin != "client" for each in tried):
        return
    if not tried:
        yield from _nobody_asked(record)
    if any(each.evidence == "complete" for each in tried):
        names = [name_of(record, group[0]) for group in by_candidate(record, lambda _: True)]
        said = next((f" '{one_line(each.message, 80)}'" for each in tried if each.message), "")
        start = f"nothing was sent, the failure is this process's own{said}, not a provider's: "
        yield about_attempts("local_failure", record, start + listed(names), range(len(tried)), attempts=len(tried))


def _nobody_asked(record: Record) -> Iterator[Finding]:
    """Yield what an error that left a run says where nobody had been asked, nor passed over."""
    if record.left_by and record.outcome == "stopped" and not record.stop_reason and not record.asked_elsewhere:
        whom = f"any of {len(record.chain)} candidates" if len(record.chain) > 1 else "anybody"
        sentence = f"{one_line(record.left_by)} left the run before {whom} was asked"
        facts: dict[str, Fact] = {"error": record.left_by, "attempts": 0}
        yield about_places(
            "local_failure", (), f"{sentence}: the failure is this process's own, not a provider's", facts
        )


def unjustified_skip(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate was skipped for what another one did."""
    reported: set[Key] = set()
    for skipped in record.skipped:
        another = _differs_in(skipped)
        if another is None or skipped.cause is None or key_of(skipped) in reported:
            continue
        reported.add(key_of(skipped))
        name, cause = label(skipped.provider, skipped.model), label(*skipped.cause[:2])
        word = f" ({one_line(skipped.reason)})" if skipped.reason else ""
        why = f" ({one_line(skipped.cause_reason)})" if skipped.cause_reason else ""
        yield about_places(
            "unjustified_skip",
            (skipped.index,) if skipped.index >= 0 and record.chain else (),
            f"{name} was skipped{word} for the failure of another {another}: {cause}{why}",
            {
                "candidate": name,
                "profile": skipped.profile,
                "reason": skipped.reason,
                "cause": cause,
                "cause_profile": skipped.cause[2],
                "cause_reason": skipped.cause_reason,
            },
        )


def _differs_in(skipped: Skipped) -> str | None:
    """Return what the cited candidate differs in; None where its failure may stand for this one too.

    A rate limit or an unknown model says nothing about another model of the same account; an unpaid bill does.
    """
    provider, model, profile = skipped.cause or ("", "", None)
    if not provider or not skipped.provider:
        return None
    if canonical(provider) != canonical(skipped.provider):
        return "provider"
    if profile and skipped.profile and profile != skipped.profile:
        return "profile"
    same = bare(model, provider) == bare(skipped.model, provider)
    return "model" if model and not same and skipped.cause_reason in _OF_A_MODEL else None


# --- one text for two candidates --------------------------------------------------------------------------------------


def identical_errors(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where one error text stands for two candidates, and one of them cannot have said it."""
    reported: set[Key] = set()
    for holders, carriers in sorted(set(_shared_texts(record))):
        fresh = [each for each in carriers if key_of(record.tried[each]) not in reported]
        if fresh:
            reported |= {key_of(record.tried[each]) for each in fresh}
            names = [_unambiguous_name(record, each) for each in fresh]
            others = [_unambiguous_name(record, each) for each in holders if each not in carriers]
            whose = f"the error text of {others[0]}" if others else "one error text"
            does, their = ("carries", "its") if len(names) == 1 else ("carry", "their")
            sentence = f"{listed(names)} {does} {whose}; {their} own evidence is complete and does not hold it"
            yield about_attempts(
                "identical_errors", record, sentence, holders, carried_by=names, held_by=others or None
            )


def _shared_texts(record: Record) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield for each shared text who holds it, and who only carries it: the position of one attempt per candidate."""
    for text in {each for tried in record.tried for each in tried.own | tried.claimed} - _stock_fingerprints():
        groups = by_candidate(record, partial(_holds, text))
        if len(groups) > 1:
            carriers = [group[0] for group in groups if not _may_have_said(record, group, text)]
            if carriers:
                yield tuple(group[0] for group in groups), tuple(carriers)


def _holds(text: str, tried: AttemptRecord) -> bool:
    return text in tried.own or text in tried.claimed


def _may_have_said(record: Record, holders: Sequence[int], text: str) -> bool:
    """Whether a candidate's own answer may have held a text.

    In any of its attempts up to its last claim: a loop may repeat in its third try what the candidate said in the
    first. Where the evidence of one of them has a gap, the text may have stood there.
    """
    key = key_of(record.tried[holders[0]])
    until = [each for each in record.tried[: holders[-1] + 1] if key_of(each) == key]
    return any(text in each.own or each.evidence != "complete" for each in until)


def _unambiguous_name(record: Record, position: int) -> str:
    """Return a candidate's name, with its place where another candidate has the same one: two keys, one model."""
    name, tried = name_of(record, position), record.tried[position]
    twins = (key_of(other) for at, other in enumerate(record.tried) if name_of(record, at) == name)
    return f"{name} #{tried.index}" if tried.index >= 0 and any(twin != key_of(tried) for twin in twins) else name


@lru_cache(maxsize=1)
def _stock_fingerprints() -> frozenset[str]:
    """Return the fingerprints of what every client says: such a text names nobody."""
    return frozenset(map(fingerprint, STOCK))


# --- what the final error says ----------------------------------------------------------------------------------------


def lossy_report(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where the final error leaves out a failed candidate, or blames who did not fail."""
    report = record.report
    if report is None:
        return
    lasts = [group[-1] for group in by_candidate(record, lambda each: is_real(record, each))]
    failed = [last for last in lasts if record.tried[last].outcome in FAILED]
    if len(failed) < 2:
        return
    missing = [last for last in failed if last not in report.told]
    missing_names = [name_of(record, position) for position in missing]
    culprits = _culprits(record)
    blamed = [label(each, "") for each in sorted(report.blamed) if each and canonical(each) not in culprits]
    parts = []
    if missing:
        parts.append(f"leaves out {len(missing)} of {len(failed)} failed candidates: {listed(missing_names, 90)}")
    if blamed:
        parts.append(f"blames {listed(blamed, 60)}, which did not fail")
    if parts:
        yield about_attempts(
            "lossy_report",
            record,
            f"the final {one_line(report.type) or 'error'} {'; it '.join(parts)}",
            missing,
            level="info",
            failed=len(failed),
            missing=missing_names or None,
            blamed=blamed or None,
        )


def _culprits(record: Record) -> set[str]:
    """Return who may be blamed: who failed or hung, whom a router asked for them, who was skipped for a failure.

    A model called `openrouter/auto` names the router before the slash, which an error may rightly blame. A skipped
    candidate may be blamed where its own provider's failure armed the skip.
    """
    failed = [each for each in record.tried if each.outcome in FAILED or each.outcome == "open"]
    found = {canonical(each.provider) for each in failed}
    found |= {canonical(each.model.partition("/")[0]) for each in failed if "/" in each.model}
    causes = [(each.provider, each.cause[0]) for each in record.skipped if each.cause]
    return found | {canonical(of) for of, cause in causes if canonical(of) == canonical(cause)}
