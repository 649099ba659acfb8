"""Whose the objects of a claim are: found by identity, never by what a label says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_failover._core.attribution.facts import Claim, SourceFacts
from otel_failover._core.attribution.from_exception import _DEPTH
from otel_failover._core.config import usage_hints as hints
from otel_failover._core.domain.verdicts import OBJECT, REQUEST, RESPONSE
from otel_failover._core.evidence import call_error
from otel_failover._core.evidence import ledger as evidence
from otel_failover._core.evidence.carried_response import response_of
from otel_failover._core.evidence.orphans import orphans, recent_failures
from otel_failover._core.evidence.ownership import UNRELATED
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.text import matching as wording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_failover._core.attribution.claim import Said
    from otel_failover._core.attribution.source import Source


def bind(said: Said, ledger: evidence.Ledger, others: Sequence[tuple[Source, SourceFacts]]) -> Claim:
    """Find out by identity whose the objects of a claim are.

    Args:
        said: The claim.
        ledger: The judged attempt's own evidence; an orphan that the claim *is* becomes part of it.
        others: The other attempts of the run, and their incidents as this one sees them.

    Returns:
        The claim, ready for `attribution.judge`.
    """
    own, foreign = _bonds(said.thing, ledger, others) if said.thing is not None else (frozenset(), [])
    own_member = False
    for member in said.members:
        mine, theirs = _bonds(member, ledger, others)
        own_member = own_member or bool(mine) or any(i.same for _, i in theirs) or _wraps_own(member, ledger)
        foreign = [*foreign, *theirs]
    caused = read(said.thing, "__cause__")
    return Claim(
        texts=said.texts,
        status=said.status,
        codes=said.codes,
        request_ids=said.request_ids,
        reason=said.reason,
        response_id=said.response_id,
        structured=said.structured,
        own=own,
        foreign=tuple(foreign),
        cause=tuple(incident for trail, incident in others if any(trail.bonds(caused))) if caused is not None else (),
        own_member=own_member,
        conflict=said.conflict,
    )


def _bonds(
    thing: object, ledger: evidence.Ledger, others: Sequence[tuple[Source, SourceFacts]]
) -> tuple[frozenset[str], list[tuple[str, SourceFacts]]]:
    """Return the bonds of one error object, with own evidence and with that of others."""
    own = set(own_bonds(thing, ledger))
    foreign = [(how, incident) for trail, incident in others for how in trail.bonds(thing)]
    if OBJECT in own or RESPONSE in own:
        foreign = [(how, incident) for how, incident in foreign if how not in own and how != REQUEST]
    return frozenset(own), foreign


def own_bonds(thing: object, ledger: evidence.Ledger) -> Iterator[str]:
    """Yield the ways in which an error object is bound to own evidence by identity."""
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


def adopt(thing: BaseException, ledger: evidence.Ledger) -> None:
    """Take in the sends of a call that had no attempt, or another attempt at the same candidate, if this is its error.

    Also that of a call whose client sends elsewhere than the candidate declares, where nothing else was asked.

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
            hints.sent_elsewhere(ledger.endpoint, mine.endpoint)
        if mine is not None or known:
            return
        found = orphans.find(response, request, ledger) or recent_failures.find(response, request, ledger)
        for exchange in found:
            ledger.adopt(exchange)
            if exchange.ledger is not None and exchange.ledger.heard:
                ledger.stream.begun = True
        if found and isinstance(link, BaseException):
            ledger.last_failed = call_error.CallError(link)
            ledger.raised.append(ledger.last_failed)
            return


def causes_of(thing: object) -> Iterator[object]:
    """Yield an exception and what it was raised from: causes, and the context while no cause hides it."""
    seen: list[object] = []
    while thing is not None and len(seen) < _DEPTH and not any(thing is other for other in seen):
        seen.append(thing)
        yield thing
        cause = read(thing, "__cause__")
        hidden = read(thing, "__suppress_context__")
        thing = cause if cause is not None else None if hidden else read(thing, "__context__")


def _wraps_own(member: BaseException, ledger: evidence.Ledger) -> bool:
    """Whether a member of a group is the own error in another wrapping: raised from it, or with its words."""
    if any(ledger.raised_here(link) is not None for link in causes_of(member)):
        return True
    text = wording.normalise(text_of(member))
    own = [raised.text for raised in ledger.raised] + [e.body.message for e in ledger.exchanges if e.is_error]
    return any(known in text for known in map(wording.normalise, own) if known)
