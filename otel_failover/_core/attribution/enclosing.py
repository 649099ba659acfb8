"""A claim on a span that encloses runs, held against the candidate that the span names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_failover._core.attribution import rules
from otel_failover._core.attribution.facts import UNBOUND, OwnFacts, Verdict
from otel_failover._core.config import runtime

if TYPE_CHECKING:
    from otel_failover._core.attribution.claim import Claim
    from otel_failover._core.attribution.source import Source


def judge_enclosing(claim: Claim, own: list[Source], others: list[Source]) -> Verdict:
    """Hold a span around a run against the candidate it names.

    The candidate's attempts are over, or several: so all of them together are what is own. A successful answer was let
    go with its attempt; where there was one, a text may have stood in it, and no text binds to anybody else.

    Args:
        claim: What the span says. It has no objects, so nothing is bound by identity.
        own: The attempts at the candidate that the span names.
        others: The attempts at the other candidates.
    """
    facts = [source.facts for source in own]
    sends = [exchange for source in own for exchange in source.exchanges]
    answered_well = any(exchange.status is not None and not exchange.is_error for exchange in sends)
    evidence = OwnFacts(
        complete=all(source.complete for source in own),
        sent=len(sends),
        answered=sum(exchange.status is not None for exchange in sends),
        statuses=frozenset(exchange.status for exchange in sends if exchange.status is not None).union(
            *(each.statuses for each in facts)
        ),
        codes=frozenset(code for each in facts for code in each.codes),
        request_ids=frozenset(name for each in facts for name in each.request_ids),
        response_ids=frozenset(name for each in facts for name in each.response_ids),
        texts=tuple(text for source in own for text in source.texts),
        reasons=frozenset(source.reason for source in own if source.reason),
        text_in_bytes=lambda _: None if answered_well else False,
    )
    disabled = runtime.current().disabled_rules
    return rules.judge(claim, UNBOUND, evidence, [source.facts for source in others], disabled=disabled)


def sentence_of(source: Source) -> str:
    """Return an attempt's own evidence in a few words, for the marker and the log; also where it served."""
    if source.sentence:
        return source.sentence
    statuses = [str(exchange.status) for exchange in source.exchanges if exchange.status is not None]
    return f"answered {statuses[-1]}, no error" if statuses else "an answer without error"
