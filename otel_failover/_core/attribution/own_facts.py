"""Brings a claim and the evidence of one attempt into the form in which `attribution` compares them.

Only on the way to a doubtful verdict: an attempt that is left by its own call's unchanged exception is verified by
identity alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_failover._core.attribution import rules as attribution
from otel_failover._core.attribution.bonds import bind
from otel_failover._core.attribution.facts import OwnFacts, SourceFacts, Verdict
from otel_failover._core.attribution.source import Source
from otel_failover._core.domain import endpoint, providers, reasons
from otel_failover._core.evidence.error_body import pieces
from otel_failover._core.text import matching as wording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_failover._core.attribution.claim import Said
    from otel_failover._core.domain.outcome import Outcome
    from otel_failover._core.domain.positions import ChainPositions
    from otel_failover._core.evidence.exchange import Exchange
    from otel_failover._core.evidence.ledger import Ledger

Pair = tuple[Source, SourceFacts]


def judge(
    said: Said,
    ledger: Ledger,
    settled: Outcome,
    positions: ChainPositions | None,
    others: Sequence[Pair],
    model: str,
    history: Callable[[str], SourceFacts | None],
    disabled: frozenset[str],
    told: str = "",
) -> Verdict:
    """Hold one claim against an attempt's evidence.

    Args:
        said: The claim.
        ledger: The attempt's evidence.
        settled: How it ended, or would end now.
        positions: Of its run; None outside any.
        others: The other attempts of the run, as this one sees them.
        model: The candidate's model.
        history: Finds an earlier run's error by fingerprint.
        disabled: Rules that are switched off.
        told: The own error in our words, as `attempt.error` tells it: a loop may report it.
    """
    aside = [_elsewhere(exchange, positions) for exchange in ledger.to_others]
    own = own_evidence(ledger, settled, told)
    pairs = list(others)
    if aside:
        member = _misdirected(said, aside, positions, model) if not own.sent else None
        own = own._replace(misdirected=member)
        if member is None:
            pairs += [(trail, trail.incident) for trail in aside]
    claim = bind(said, ledger, pairs)
    return attribution.judge(claim, own, [incident for _, incident in pairs], history, disabled)


def own_evidence(ledger: Ledger, settled: Outcome, told: str = "") -> OwnFacts:
    """Collect an attempt's own evidence in the form in which it is compared."""
    own, bodies = ledger.own, [exchange.body for exchange in ledger.exchanges if exchange.is_error]
    if ledger.stream.error is not None:
        bodies.append(ledger.stream.error)
    texts = [text for body in bodies for text in (body.message, body.text)]
    texts += [*(raised.text for raised in ledger.raised), told]
    codes = {code for body in bodies for code in body.codes}
    codes |= {raised.code for raised in ledger.raised if isinstance(raised.code, str)}
    issued = {e.request_id for e in ledger.exchanges if e.request_id} | {i for e in own for i in e.sent.ids}
    return OwnFacts(
        complete=ledger.state[0] == "complete",
        sent=len(own),
        answered=sum(exchange.status is not None for exchange in own),
        statuses=frozenset(exchange.status for exchange in own if exchange.status is not None),
        codes=frozenset(codes),
        request_ids=frozenset(issued),
        response_ids=frozenset(ledger.answer.response_ids),
        texts=tuple(filter(None, dict.fromkeys(wording.normalise(p) for text in texts if text for p in pieces(text)))),
        reasons=frozenset(_evident(own, settled)),
        elsewhere=ledger.holds,
    )


def _evident(own: list[Exchange], settled: Outcome) -> set[str]:
    """The reasons that own evidence gives, those of SDK retries included."""
    evident = {settled.reason} if settled.reason else set()
    for exchange in own:
        if exchange.failure:
            evident.add(exchange.failure)
        elif exchange.is_error:
            evident.add(reasons.from_answer(exchange.status, exchange.body.code, None, exchange.body.message))
        elif exchange.status is not None:
            evident.add(reasons.RESPONSE_REJECTED)
    return evident


def _elsewhere(exchange: Exchange, positions: ChainPositions | None) -> Source:
    """What a call to somebody else's host said inside this attempt."""
    member = positions.member_at(exchange.endpoint) if positions is not None else None
    host = endpoint.host_of(exchange.endpoint)
    provider = member.provider if member is not None else providers.provider_of_host(host) or host
    return Source(provider, -1, exchange.model or "", "", 0, None, [exchange])


def _misdirected(said: Said, aside: list[Source], positions: ChainPositions | None, model: str) -> SourceFacts | None:
    """Return the member whose endpoint got this candidate's request instead of the candidate.

    The request asks for this candidate's model, or the claim is its answer: a call to somebody else for another purpose
    (moderation, embeddings) is none.
    """
    for trail in aside:
        (exchange,) = trail.exchanges
        member = positions.member_at(exchange.endpoint) if positions is not None else None
        if positions is None or member is None or exchange.method != "POST":
            continue
        if exchange.model == model or (said.thing is not None and any(trail.bonds(said.thing))):
            return trail.incident._replace(index=positions.place_of(member))
    return None
