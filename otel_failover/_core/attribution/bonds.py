"""Whose the objects of a claim are: found by identity, never by what a label says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_failover._core.attribution.facts import Bonds, OwnFacts, SourceFacts
from otel_failover._core.attribution.from_exception import carried_by
from otel_failover._core.attribution.words import reports
from otel_failover._core.config import usage_hints
from otel_failover._core.domain.verdicts import OBJECT, REQUEST, RESPONSE
from otel_failover._core.evidence.call_error import CallError, causes_of, response_of
from otel_failover._core.evidence.orphans import orphans, recent_failures
from otel_failover._core.evidence.ownership import UNRELATED
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.text import matching

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_failover._core.attribution.claim import Claim
    from otel_failover._core.attribution.source import Source
    from otel_failover._core.evidence.ledger import Ledger


def bind(claim: Claim, ledger: Ledger, others: Sequence[tuple[Source, SourceFacts]], own_facts: OwnFacts) -> Bonds:
    """Find out by identity whose the objects of a claim are.

    Args:
        claim: As it was made.
        ledger: The judged attempt's own evidence; an unrelated send that the claim *is* the answer of becomes part of
            it.
        others: The other attempts of the run, and their facts as this one sees them.
        own_facts: What the own evidence says.
    """
    own, foreign = _bonds_of(claim.thing, ledger, others) if claim.thing is not None else (frozenset(), [])
    own_member = False
    for member in claim.members:
        mine, theirs = _bonds_of(member, ledger, others)
        is_own = bool(mine) or any(facts.same for _, facts in theirs)
        own_member = own_member or is_own or (not theirs and _wraps_own(member, ledger, own_facts))
        foreign = [*foreign, *theirs]
    # Only what was raised `from` something else says so. `__context__` never counts: Python fills it with whatever was
    # being handled, which in a loop is the failure of the candidate before, of which the error at hand says nothing.
    cause = read(claim.thing, "__cause__") or carried_by(claim.thing)
    caused = tuple(facts for source, facts in others if any(source.bonds(cause))) if cause is not None else ()
    return Bonds(own, tuple(foreign), caused, own_member)


def _bonds_of(
    thing: object, ledger: Ledger, others: Sequence[tuple[Source, SourceFacts]]
) -> tuple[frozenset[str], list[tuple[str, SourceFacts]]]:
    """Return the bonds of one error object, with own evidence and with that of others.

    Own wins a tie: an object or a response may be known to several attempts (single flight, a nested run). One that is
    own is nobody else's in the same way, and a request that is shared beside it says nothing more.
    """
    own = frozenset(own_bonds(thing, ledger))
    foreign = [(how, facts) for source, facts in others for how in source.bonds(thing)]
    if OBJECT in own or RESPONSE in own:
        foreign = [(how, facts) for how, facts in foreign if how not in own and how != REQUEST]
    return own, foreign


def own_bonds(thing: object, ledger: Ledger) -> Iterator[str]:
    """Yield the ways in which an error object is bound to own evidence by identity.

    A send that settled nothing until now (a token refresh, a probe) is own from here on, since its answer is the error.
    """
    if ledger.raised_here(thing) is not None:
        yield OBJECT
    response, request = response_of(thing), read(thing, "request")
    if response is not None and (exchange := ledger.by_response(response)) is not None:
        ledger.adopt(exchange)
        yield RESPONSE
    if request is not None and (exchange := ledger.by_request(request)) is not None:
        if exchange.kind == UNRELATED:
            ledger.adopt(exchange)
        yield REQUEST


def adopt(thing: BaseException, ledger: Ledger) -> None:
    """Take in the sends of a call that had no attempt, or another attempt at the same candidate, if this is its error.

    Two ways lead there. A thread that was started without its context sends where no attempt is current (an orphan);
    and a cache may let two attempts share one call in flight (single flight): the call runs in the context of whoever
    came first, and its error leaves both. That error's own request or response proves it, never its words.

    A call whose client sends to another endpoint than the candidate declares is taken in as well, where nothing else
    was asked.

    Args:
        thing: What leaves the attempt; what it was raised from counts, since loops wrap errors in their own.
        ledger: The attempt's evidence.
    """
    known = ledger.raised_here(thing) is not None
    for link in causes_of(thing):
        response, request = response_of(link), read(link, "request")
        if response is None and request is None:
            continue
        mine = ledger.by_response(response) or ledger.by_request(request)
        if mine is not None and mine.is_to_its_calls_base and not ledger.own:
            ledger.adopt(mine)
            usage_hints.sent_elsewhere(ledger.endpoint, mine.endpoint)
        if mine is not None or known:
            return
        found = orphans.find(response, request, ledger) or recent_failures.find(response, request, ledger)
        for exchange in found:
            ledger.adopt(exchange)
            owner = exchange.owner()
            if owner is not None and owner.heard:
                ledger.stream.begun = True
        if found and isinstance(link, BaseException):
            ledger.last_failed = CallError(link)
            ledger.raised.append(ledger.last_failed)
            return


def _wraps_own(member: BaseException | str, ledger: Ledger, own: OwnFacts) -> bool:
    """Whether a member of a group is the own error in another wrapping: raised from it, or with its words."""
    if any(ledger.raised_here(link) is not None for link in causes_of(member)):
        return True
    text = text_of(member)
    return reports.has_own_text((matching.normalise(text),), (text,), own, ())
