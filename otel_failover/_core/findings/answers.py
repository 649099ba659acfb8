"""Rules about what came back: an answer that is none, that is another model's, or that broke off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.reasons import (
    AUTH,
    BILLING,
    CONTENT_POLICY,
    CONTEXT_OVERFLOW,
    MODEL_NOT_FOUND,
)
from otel_failover._core.findings.common import (
    SERVED,
    about_attempts,
    answered,
    because,
    by_candidate,
    is_real,
    key_of,
    label,
    listed,
    name_of,
    one_line,
)
from otel_failover._core.findings.model_names import bare, is_opaque, is_prefixed, match

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover._core.findings.record import AttemptRecord, Finding, Record, Thresholds

_MODEL_WAS_FOUND: Final = frozenset({CONTEXT_OVERFLOW, CONTENT_POLICY, BILLING, AUTH})
"""Reasons of a refusal that only a provider that knows the model gives."""


def text_error(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where an answer reads like an error message."""
    for group in by_candidate(record, lambda each: answered(each) and each.text_error is True):
        sentence = f"{name_of(record, group[0])} answered with a text that reads like an error message"
        yield about_attempts("text_error", record, sentence, group)


def empty_success(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where an answer holds nothing."""
    for group in by_candidate(record, lambda each: answered(each) and each.empty is True):
        sentence = f"{name_of(record, group[0])} succeeded with an answer that holds neither text nor a tool call"
        yield about_attempts("empty_success", record, sentence, group)


def partial_delivered(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a candidate broke off after its output had begun."""
    for group in by_candidate(record, lambda each: each.outcome == "partial" and not each.probe):
        last = record.tried[group[-1]]
        begun = "had been handed on" if last.streamed else "had begun"
        sentence = f"{name_of(record, group[-1])} broke off after output {begun}{because(last)}"
        server = _served_after(record, group[-1])
        name = name_of(record, server) if server is not None else None
        if server is not None:
            same = key_of(record.tried[server]) == key_of(last)
            sentence += "; its next try then served" if same else f"; {name} then served"
        yield about_attempts("partial_delivered", record, sentence, group, reason=last.reason, served_by=name)


def _served_after(record: Record, position: int) -> int | None:
    """Return the attempt after a position that served the run."""
    later = range(position + 1, len(record.tried)) if record.outcome in SERVED else ()
    return next((at for at in later if answered(record.tried[at]) and is_real(record, record.tried[at])), None)


def wrong_model(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where an answer names another member's model."""
    for group in by_candidate(record, lambda each: not each.probe and other_model(record, each) is not None):
        tried = record.tried[group[0]]
        other = other_model(record, tried) or ""
        name = name_of(record, group[0])
        sentence = f"{name} answered as '{one_line(tried.response_model)}', the model of {other}"
        yield about_attempts("wrong_model", record, sentence, group, response_model=tried.response_model, member=other)


def other_model(record: Record, tried: AttemptRecord) -> str | None:
    """Return the member whose model the answer names; None where it may be this candidate's own.

    Names begin alike (`gpt-5.5`, `gpt-5.5-mini`), so the member whose name covers most of the answer's is meant, and
    the candidate itself where none covers more than its own.
    """
    answer = bare(tried.response_model, tried.provider)
    if not answer or is_opaque(tried.model, tried.provider):
        return None
    own = record.chain[tried.index][1] if 0 <= tried.index < len(record.chain) else tried.model
    known = max(match(bare(model, tried.provider), answer) for model in (tried.model, own))
    members = record.chain or [(each.provider, each.model) for each in record.tried]
    longest, best = max((match(bare(model, provider), answer), -at) for at, (provider, model) in enumerate(members))
    return label(*members[-best]) if longest > known else None


def misbooked_success(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where the loop's own result names another member than whoever served."""
    served = [at for at, each in enumerate(record.tried) if answered(each)]
    named = [label(*record.chain[place]) for place in sorted(record.booked) if place < len(record.chain)]
    if record.outcome not in SERVED or not served or not named:
        return
    if any(record.tried[at].index in record.booked for at in served):
        return
    name = name_of(record, served[-1])
    sentence = f"the loop's result says that {listed(named)} answered; it was {name}"
    yield about_attempts("misbooked_success", record, sentence, served[-1:], booked=named, served=name)


def model_name_prefixed(record: Record, _: Thresholds) -> Iterator[Finding]:
    """Fire where a provider knows no model of a name that carries the provider's own prefix."""
    served = {key_of(each) for each in record.tried if each.outcome == "success"}
    for group in by_candidate(record, lambda each: _is_unknown_name(each) and key_of(each) not in served):
        tried = record.tried[group[0]]
        refused = f"{label(tried.provider, '')} refused the model '{one_line(tried.model)}'{because(tried)}"
        sentence = f"{refused}: the name carries a provider's prefix"
        yield about_attempts("model_name_prefixed", record, sentence, group, model=tried.model, status=tried.status)


def _is_unknown_name(tried: AttemptRecord) -> bool:
    """Whether a provider refused a model's name; many answer 400 to an unknown one, and say no more."""
    refused = tried.status in (400, 404) and tried.reason not in _MODEL_WAS_FOUND
    return (tried.reason == MODEL_NOT_FOUND or refused) and is_prefixed(tried.model, tried.provider)
