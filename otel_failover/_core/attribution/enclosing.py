"""A claim on a span that encloses runs, held against the candidate that the span names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_failover._core.attribution import rules as attribution
from otel_failover._core.attribution.facts import Claim, OwnFacts, Verdict
from otel_failover._core.config import runtime

if TYPE_CHECKING:
    from otel_failover._core.attribution.claim import Said
    from otel_failover._core.attribution.source import Source


def _answer_of(trail: Source) -> str:
    """Return the own evidence of a candidate that served in a few words."""
    statuses = [str(exchange.status) for exchange in trail.exchanges if exchange.status is not None]
    return f"answered {statuses[-1]}, no error" if statuses else "an answer without error"


def judge_enclosing(said: Said, own: list[Source], others: list[Source]) -> Verdict:
    """Hold a span around a run against the candidate it names.

    Args:
        said: The claim.
        own: Trails of the candidate that the span names.
        others: Trails of the other candidates.
    """
    mine = [trail.incident for trail in own]
    sends = [exchange for trail in own for exchange in trail.exchanges]
    evidence = OwnFacts(
        complete=all(trail.complete for trail in own),
        sent=len(sends),
        answered=sum(exchange.status is not None for exchange in sends),
        statuses=frozenset(exchange.status for exchange in sends if exchange.status is not None),
        codes=frozenset(code for incident in mine for code in incident.codes),
        request_ids=frozenset(name for incident in mine for name in incident.request_ids),
        response_ids=frozenset(name for incident in mine for name in incident.response_ids),
        texts=tuple(text for trail in own for text in trail.texts),
        reasons=frozenset(trail.reason for trail in own if trail.reason),
        # What a success said is not kept: a text may stand in it.
        elsewhere=lambda _: None if any(e.status is not None and not e.is_error for e in sends) else False,
    )
    claim = Claim(
        said.texts,
        said.status,
        said.codes,
        said.request_ids,
        said.reason,
        said.response_id,
        conflict=said.conflict,
    )
    rules = runtime.current().disabled_rules
    return attribution.judge(claim, evidence, [trail.incident for trail in others], disabled=rules)
