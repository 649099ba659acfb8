"""One claim held against the evidence of the attempt that it speaks of.

Only on the way to a doubtful verdict: an attempt that is left by its own call's unchanged exception is verified by
identity alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_failover._core.attribution import rules
from otel_failover._core.attribution.bonds import bind
from otel_failover._core.attribution.facts import OwnFacts, SourceFacts, Verdict
from otel_failover._core.attribution.source import Source
from otel_failover._core.domain import endpoint, providers, reasons
from otel_failover._core.evidence.error_body import pieces
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.text.matching import normalise, quoted_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_failover._core.attribution.claim import Claim
    from otel_failover._core.domain.outcome import Outcome
    from otel_failover._core.domain.positions import ChainPositions
    from otel_failover._core.evidence.exchange import Exchange
    from otel_failover._core.evidence.ledger import Ledger


class JudgedAttempt(NamedTuple):
    """The attempt that a claim speaks of.

    Args:
        ledger: Its evidence.
        outcome: How it ended, or would end now.
        message: Its own error in our words, as `attempt.error` has it; empty where there is none. A loop may repeat it.
        positions: Who stands where in its run's chain; None outside any run.
        ids: Of its trace, its span and its run: a provider may have been told them.
    """

    ledger: Ledger
    outcome: Outcome
    message: str = ""
    positions: ChainPositions | None = None
    ids: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Provider and model, as far as they are known."""
        who = self.ledger.who
        known = who[:2] if isinstance(who, tuple) else (self.ledger.provider, self.ledger.model)
        return tuple(name for name in known if isinstance(name, str) and name)

    def member_at(self, exchange: Exchange) -> tuple[str, int] | None:
        """Return provider and place of the chain's member that a send to somebody else goes to."""
        if self.positions is None:
            return None
        if exchange.sibling is not None:
            return self.positions.chain.members[exchange.sibling].provider, exchange.sibling
        member = self.positions.member_at(exchange.endpoint)
        return None if member is None else (member.provider, self.positions.place_of(member))


def judge(
    claim: Claim,
    attempt: JudgedAttempt,
    others: Sequence[tuple[Source, SourceFacts]],
    history: Callable[[str], SourceFacts | None],
    disabled: frozenset[str],
) -> Verdict:
    """Hold one claim against an attempt's evidence.

    Args:
        claim: As it was made.
        attempt: That it speaks of.
        others: The other attempts of the run, as this one sees them.
        history: Finds an earlier run's error by fingerprint.
        disabled: Rules that are switched off.
    """
    own, against = own_facts(attempt), list(others)
    to_others = [_source_of(exchange, attempt) for exchange in attempt.ledger.to_others]
    if to_others:
        misdirected = _misdirected(claim, to_others, attempt) if not own.sent else None
        own = own._replace(misdirected=misdirected)
        if misdirected is None:
            against += [(source, source.facts) for source in to_others]
    bonds = bind(claim, attempt.ledger, against, own)
    return rules.judge(claim, bonds, own, [facts for _, facts in against], history, disabled)


def own_facts(attempt: JudgedAttempt) -> OwnFacts:
    """Collect an attempt's own evidence in the form in which it is compared.

    Texts and codes are those of all sends that the attempt made, unrelated ones too (an error of a token refresh is no
    other candidate's), and of what its calls raised. Statuses are those of own sends alone.
    """
    ledger = attempt.ledger
    own, bodies = ledger.own, [exchange.body for exchange in ledger.exchanges if exchange.is_error]
    if ledger.stream.error is not None:
        bodies.append(ledger.stream.error)
    texts = [text for body in bodies for text in (*body.messages, body.text)]
    texts += [*(raised.text for raised in ledger.raised), attempt.message]
    texts += [exchange.said for exchange in ledger.exchanges if exchange.said]
    glimpses = [glimpse for exchange in own if (glimpse := exchange.glimpsed) is not None]
    texts += [glimpse.said for glimpse in glimpses]
    codes = {code for body in bodies for code in body.codes}
    codes |= {raised.code for raised in ledger.raised if isinstance(raised.code, str)}
    issued = {e.request_id for e in ledger.exchanges if e.request_id} | {i for e in own for i in e.sent.ids}
    issued |= {name for body in bodies for name in quoted_ids(body.text)}
    return OwnFacts(
        complete=ledger.state[0] == "complete",
        sent=len(own),
        answered=sum(exchange.status is not None for exchange in own),
        statuses=frozenset(exchange.heard_status for exchange in own if exchange.heard_status is not None).union(
            *(body.statuses for body in bodies),
            {glimpse.status for glimpse in glimpses if glimpse.status is not None},
        ),
        codes=frozenset(codes),
        request_ids=frozenset(issued),
        response_ids=frozenset(ledger.answer.response_ids),
        texts=tuple(filter(None, dict.fromkeys(normalise(p) for text in texts if text for p in pieces(text)))),
        reasons=frozenset(_evident_reasons(own, attempt.outcome).union(g.failure for g in glimpses if g.failure)),
        text_in_bytes=ledger.holds,
        raised=tuple(" ".join(raised.text.split()) for raised in ledger.raised),
        names=attempt.names,
        sent_id=lambda name: _was_sent(attempt, name),
        went_to=lambda address: _went_to(attempt.ledger, address),
        answers=ledger.good_texts,
    )


def _was_sent(attempt: JudgedAttempt, name: str) -> bool:
    """Whether a request id is one that this attempt sent, or the trace's, a span's or the run's, dashes dropped."""
    ledger, plain = attempt.ledger, name.replace("-", "").casefold()
    if any(plain == each.replace("-", "").casefold() for each in attempt.ids):
        return True
    return any(exchange.sent_id(name) for exchange in (*ledger.exchanges, *ledger.to_others))


def _went_to(ledger: Ledger, address: tuple[str, int]) -> bool:
    """Whether anything of an attempt was sent to a host and port, or redirected there: a client follows by itself."""
    urls = [ledger.endpoint] if ledger.endpoint else []
    for exchange in (*ledger.exchanges, *ledger.to_others):
        urls.append(exchange.endpoint)
        if exchange.call is not None and exchange.call.endpoint:
            urls.append(exchange.call.endpoint)
        response = exchange.response.target if exchange.response is not None else None
        if response is not None:
            past = read(response, "history")
            each = [response, *(past if isinstance(past, (list, tuple)) else ())]
            urls += [text_of(url) for one in each if (url := read(one, "url")) is not None]
    return any(endpoint.address_of(found) == address for url in urls if (found := endpoint.endpoint_of(url)))


def _evident_reasons(own: list[Exchange], outcome: Outcome) -> set[str]:
    """Return the reasons that own evidence gives, those of SDK retries included."""
    evident = {outcome.reason} if outcome.reason else set()
    for exchange in own:
        if exchange.failure:
            evident.add(exchange.failure)
        elif exchange.is_error:
            evident.add(exchange.body.reason(exchange.status))
        elif exchange.status is not None:
            evident.add(reasons.RESPONSE_REJECTED)
    return evident


def _source_of(exchange: Exchange, attempt: JudgedAttempt) -> Source:
    """Return what a call to somebody else, inside the judged attempt, may be the source of."""
    member, host = attempt.member_at(exchange), endpoint.host_of(exchange.endpoint)
    provider = member[0] if member is not None else providers.provider_of_host(host) or host
    return Source(provider=provider, index=-1, model=exchange.model or "", exchanges=[exchange])


def _misdirected(claim: Claim, to_others: list[Source], attempt: JudgedAttempt) -> SourceFacts | None:
    """Return the member whose endpoint got this candidate's request instead of the candidate.

    The request asks for this candidate's model, or the claim is its answer: a call to somebody else for another purpose
    (moderation, embeddings) is none.
    """
    for source in to_others:
        (exchange,) = source.exchanges
        member = attempt.member_at(exchange)
        if member is None or exchange.method != "POST":
            continue
        if exchange.model == attempt.ledger.model or (claim.thing is not None and any(source.bonds(claim.thing))):
            return source.facts._replace(index=member[1])
    return None
