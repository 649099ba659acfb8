"""What somebody says about an error, copied out of foreign objects.

An exception is read once, when it leaves an attempt: libraries add other candidates' texts to it later. Every read is
guarded, and nothing is written to it.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from otel_failover._core.attribution.rules import OBJECT, REQUEST, RESPONSE, Claim, Incident
from otel_failover._core.attribution.source import Trail, response_of
from otel_failover._core.config import usage_hints as hints
from otel_failover._core.domain import reasons
from otel_failover._core.evidence import ledger as evidence
from otel_failover._core.evidence.error_body import ErrorBody, error_in
from otel_failover._core.evidence.exchange import ASIDE, flights, orphans
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.text import matching as wording

_DEPTH: Final = 8
_MEMBERS: Final = 32
_TEXT: Final = 8_192
_WORD: Final = 48
_SPACES: Final = 3


class Said(NamedTuple):
    """One claim as it was made, before it is held against anything.

    Args:
        type: Class name, or `error.type` as a span has it.
        texts: Messages, unredacted: never exported as they are.
        status: HTTP status.
        codes: Structured codes.
        request_ids: Request ids.
        word: The loop's own word for the reason.
        structured: A provider's structured body is part of it.
        thing: The exception or error object.
        members: The exceptions of a group.
        response_id: The response id that a success names.
        conflict: The provider that the same span names for its error.
    """

    type: str | None = None
    texts: tuple[str, ...] = ()
    status: int | None = None
    codes: frozenset[str] = frozenset()
    request_ids: frozenset[str] = frozenset()
    word: str | None = None
    structured: bool = False
    thing: Any = None
    members: tuple[BaseException, ...] = ()
    response_id: str | None = None
    conflict: str | None = None

    @property
    def reason(self) -> str | None:
        """The claimed reason in our vocabulary, where we know the word."""
        return reasons.neutral(self.word)


def from_exception(problem: BaseException) -> Said:
    """Copy the facts of an exception."""
    said = _from_attributes(problem, (text_of(problem),))
    return Said(
        type=evidence.qualified(type(problem)),
        texts=said.texts,
        status=said.status,
        codes=said.codes,
        request_ids=said.request_ids,
        word=said.word,
        structured=said.structured,
        thing=problem,
        members=tuple(itertools.islice(_members(problem, _DEPTH), _MEMBERS)),
    )


def _members(problem: object, depth: int) -> Iterator[BaseException]:
    """Yield the exceptions of a group, those of groups inside it included."""
    members = read(problem, "exceptions")
    if depth and isinstance(members, (tuple, list)):
        for member in members:
            if isinstance(member, BaseException):
                yield member
                yield from _members(member, depth - 1)


def from_error(error: object) -> Said:
    """Copy the facts of whatever a loop passes to `attempt.fail`.

    Args:
        error: An exception; a word (`"rate_limit"`) or a sentence; a mapping; or an object with any of `status_code`,
            `code`, `message`, `reason`, `type`, `request_id`.
    """
    if isinstance(error, BaseException):
        return from_exception(error)
    if isinstance(error, str):
        word, text = _word_or_text(error)
        return Said(word=word, texts=(text,) if text else ())
    if isinstance(error, Mapping):
        return _from_mapping(error)
    if error is None:
        return Said()
    if isinstance(error, (int, enum.Enum)) and not isinstance(error, bool):
        number = _number(error)
        return Said(status=number) if number is not None else Said(word=_text(error))
    return _from_attributes(error, ())


def _from_mapping(error: Mapping[Any, Any]) -> Said:
    found = error_in(error)
    named = (_number(error.get(name)) for name in ("status_code", "status", "http_status"))
    status = next((number for number in named if number is not None), None)
    codes = [error.get("code"), *(found.codes if found else ())]
    word, sentence = _word_or_text(error.get("reason"))
    texts = [error.get("message"), found.message if found else None, sentence]
    return Said(
        type=_text(error.get("type")),
        texts=tuple(dict.fromkeys(text[:_TEXT] for text in texts if isinstance(text, str) and text)),
        status=status if status is not None else _number(error.get("code")),
        codes=frozenset(code for code in codes if isinstance(code, str) and code),
        request_ids=frozenset(filter(None, [_text(error.get("request_id"))])),
        word=word,
        structured=isinstance(error.get("error"), Mapping) and _is_providers(found),
        thing=error,
    )


def _from_attributes(thing: object, texts: tuple[str, ...]) -> Said:
    """Read what SDKs and agents put on their errors."""
    message, body = read(thing, "message"), read(thing, "body")
    found = error_in(body) if isinstance(body, Mapping) else None
    status = next(
        (n for name in ("status_code", "status", "http_status") if (n := _number(read(thing, name))) is not None),
        None,
    )
    code = read(thing, "code")
    if status is None:
        status = _number(code)
    codes = [code, read(thing, "type"), read(thing, "status"), *(found.codes if found else ())]
    word, sentence = _word_or_text(read(thing, "reason"))
    more = (message, found.message if found else None, sentence)
    said = [*texts, *(text for text in more if isinstance(text, str))]
    return Said(
        texts=tuple(dict.fromkeys(text[:_TEXT] for text in said if text)),
        status=status,
        codes=frozenset(code for code in codes if isinstance(code, str) and 0 < len(code) < 128),
        request_ids=frozenset(filter(None, [_text(read(thing, "request_id"))])),
        word=word,
        structured=_is_providers(found) or (found is not None and response_of(thing) is not None),
        thing=thing,
    )


def _is_providers(found: ErrorBody | None) -> bool:
    """Whether a structured body is a provider's: loops have envelopes of their own."""
    return found is not None and any(code.lower() in reasons.PROVIDER_CODES for code in found.codes)


def _number(value: object) -> int | None:
    """Return an HTTP status, or None: enums and numeric texts are statuses too, booleans and other codes are not."""
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
        return int(value)
    return None


def _word_or_text(value: object) -> tuple[str | None, str | None]:
    """Tell a loop's own word for a reason from a sentence, which is a text like any other."""
    word = _text(value)
    if word is None or not isinstance(value, str):
        return word, None
    if reasons.neutral(value) is not None or (len(value) <= _WORD and value.count(" ") < _SPACES):
        return word, None
    return None, value[:_TEXT]


def _text(value: object) -> str | None:
    value = read(value, "value") if not isinstance(value, str) and read(value, "value") is not None else value
    return value[:255] if isinstance(value, str) and value else None


# --- binding by identity ----------------------------------------------------------------------------------------------


def bind(said: Said, ledger: evidence.Ledger, others: Sequence[tuple[Trail, Incident]]) -> Claim:
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
    thing: object, ledger: evidence.Ledger, others: Sequence[tuple[Trail, Incident]]
) -> tuple[frozenset[str], list[tuple[str, Incident]]]:
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
        if exchange.kind == ASIDE:
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
    for link in chain_of(thing):
        response, request = response_of(link), read(link, "request")
        if response is None and request is None:
            continue
        mine = ledger.by_response(response) or ledger.by_request(request)
        if mine is not None and mine.is_to_its_calls_base and not ledger.own:
            ledger.adopt(mine)
            hints.sent_elsewhere(ledger.endpoint, mine.endpoint)
        if mine is not None or known:
            return
        found = orphans.find(response, request, ledger) or flights.find(response, request, ledger)
        for exchange in found:
            ledger.adopt(exchange)
            if exchange.ledger is not None and exchange.ledger.heard:
                ledger.heard = True
        if found and isinstance(link, BaseException):
            ledger.last_failed = evidence.Raised(link)
            ledger.raised.append(ledger.last_failed)
            return


def chain_of(thing: object) -> Iterator[object]:
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
    if any(ledger.raised_here(link) is not None for link in chain_of(member)):
        return True
    text = wording.normalise(text_of(member))
    own = [raised.text for raised in ledger.raised] + [e.body.message for e in ledger.exchanges if e.is_error]
    return any(known in text for known in map(wording.normalise, own) if known)
