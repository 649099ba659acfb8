"""Claim held against evidence: the verdict.

Pure: no OpenTelemetry, no clocks, no foreign objects. What identity can tell (this *is* the other attempt's response)
has been found out before and comes in as bonds; what the wire said comes in as `OwnFacts` and `SourceFacts`. The
rules, and the order they are tried in, are those of the README's table.

Both kinds of wrong verdict are bugs. A mismatch therefore always needs positive foreign evidence, or an answer that
nobody gave; a match that is merely missing is `unverified`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from otel_failover._core.attribution.facts import Claim, OwnFacts, SourceFacts, Verdict
from otel_failover._core.domain import reasons
from otel_failover._core.domain.verdicts import (
    CAUSE,
    CLAIMED_ANSWER,
    EVIDENCE_INCOMPLETE,
    FACTS,
    FOREIGN_ERROR,
    FOREIGN_RESPONSE,
    INCONSISTENT,
    MISMATCH,
    MIXED_ERROR,
    NOTHING_BOUND,
    NOTHING_SENT,
    OBJECT,
    PROVIDER_CONFLICT,
    REASON_CONFLICT,
    REPORT,
    REQUEST,
    REQUEST_ID,
    RESPONSE,
    SEVERITY,
    STALE_ERROR,
    STATUS_CONFLICT,
    TEXT,
    UNVERIFIED,
    WRONG_ENDPOINT,
)
from otel_failover._core.text import matching as wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


_SHOWN: Final = {REQUEST: RESPONSE, CAUSE: OBJECT}
_STRENGTH: Final = {OBJECT: 5, CAUSE: 5, RESPONSE: 4, REQUEST: 4, REQUEST_ID: 3, TEXT: 2, FACTS: 1}


class _Match(NamedTuple):
    how: str
    incident: SourceFacts
    portion: str = ""

    @property
    def rank(self) -> tuple[int, int]:
        return _STRENGTH[self.how], self.incident.order


def _no_history(_: str) -> SourceFacts | None:
    return None


def judge(
    claim: Claim,
    own: OwnFacts,
    others: Sequence[SourceFacts] = (),
    history: Callable[[str], SourceFacts | None] = _no_history,
    disabled: frozenset[str] = frozenset(),
) -> Verdict:
    """Hold a claim against the evidence.

    Args:
        claim: What was said.
        own: What the wire said inside the attempt that is spoken of.
        others: What it said inside the other attempts of the run, the same candidate's earlier ones included.
        history: Finds an earlier run's error by fingerprint.
        disabled: Rules that are switched off.

    Returns:
        The verdict with the first rule of `RULES` that fires.
    """
    if claim.unchanged:
        return Verdict()
    texts = tuple(filter(None, map(wording.normalise, claim.texts)))
    matches = list(_matches(claim, own, others, history, texts))
    replayed = any(match.incident.same for match in matches)
    foreign = _foreign(matches)
    for rule, verdict in _fired(claim, own, others, foreign, texts, replayed=replayed):
        if rule not in disabled:
            return verdict
    return _unfired(claim, own, texts, replayed=replayed)


def _foreign(matches: Sequence[_Match]) -> list[_Match]:
    """The matches with another candidate, strongest and latest first; own wins a tie on the same fact."""
    same = {(match.how, match.portion) for match in matches if match.incident.same}
    found = [m for m in matches if not m.incident.same and (m.how, m.portion) not in same]
    if any(match.how == TEXT and match.incident.same for match in matches):
        found = [match for match in found if match.how not in (TEXT, FACTS)]
    return sorted(found, key=lambda match: match.rank, reverse=True)


def _fired(
    claim: Claim,
    own: OwnFacts,
    others: Sequence[SourceFacts],
    foreign: Sequence[_Match],
    texts: Sequence[str],
    *,
    replayed: bool,
) -> Iterator[tuple[str, Verdict]]:
    """Yield each rule that fires, in the order of `RULES`."""
    by_text = [match for match in foreign if match.how == TEXT]
    if _is_report(claim, own, by_text, texts):
        foreign = [match for match in foreign if match.how in (OBJECT, RESPONSE) and not claim.own_member]
        by_text = []
        if not foreign:
            yield REPORT, Verdict(UNVERIFIED, REPORT, replayed=replayed)
    if by_text and _is_own(claim, own):
        yield MIXED_ERROR, Verdict(INCONSISTENT, MIXED_ERROR, TEXT, by_text[0].incident)
        foreign = [match for match in foreign if match.how != TEXT]
    for match in foreign:
        rule = FOREIGN_ERROR if match.incident.alive else STALE_ERROR
        yield rule, Verdict(MISMATCH, rule, _SHOWN.get(match.how, match.how), match.incident)
    if source := _other_response(claim, own, others):
        yield FOREIGN_RESPONSE, Verdict(MISMATCH, FOREIGN_RESPONSE, FACTS, source)
    if own.misdirected is not None:
        yield WRONG_ENDPOINT, Verdict(MISMATCH, WRONG_ENDPOINT, FACTS, own.misdirected)
    if claim.conflict is not None:
        yield (
            PROVIDER_CONFLICT,
            Verdict(MISMATCH, PROVIDER_CONFLICT, FACTS, _conflicting(claim, claim.conflict, others)),
        )
    if not replayed and _is_unanswered(own) and _says_answer(claim, own, texts):
        yield CLAIMED_ANSWER, Verdict(MISMATCH, CLAIMED_ANSWER, FACTS)
    if _conflicting_status(claim, own):
        yield STATUS_CONFLICT, Verdict(INCONSISTENT, STATUS_CONFLICT, replayed=replayed)
    if _conflicting_reason(claim, own):
        yield REASON_CONFLICT, Verdict(INCONSISTENT, REASON_CONFLICT, replayed=replayed)


def _unfired(claim: Claim, own: OwnFacts, texts: Sequence[str], *, replayed: bool) -> Verdict:
    """Say whether every provider fact of a claim that no rule objects to is held by own evidence."""
    synthetic = claim.status if _is_synthetic(claim, own) else None
    if _holds(claim, own, texts):
        return Verdict(replayed=replayed, synthetic=synthetic)
    rule = EVIDENCE_INCOMPLETE if not own.complete else NOTHING_SENT if own.sent == 0 else NOTHING_BOUND
    return Verdict(UNVERIFIED, rule, replayed=replayed, synthetic=synthetic)


# --- binding ----------------------------------------------------------------------------------------------------------


def _matches(
    claim: Claim,
    own: OwnFacts,
    others: Sequence[SourceFacts],
    history: Callable[[str], SourceFacts | None],
    texts: Sequence[str],
) -> Iterator[_Match]:
    """Yield every way in which the claim is bound to an attempt other than this one."""
    for how, incident in claim.foreign:
        if how not in claim.own:
            yield _Match(how, incident)
    for incident in claim.cause:
        if _repeats(claim, own, incident, texts):
            yield _Match(CAUSE, incident)
    for name in claim.request_ids - own.request_ids:
        issuers = [incident for incident in others if name in incident.request_ids]
        if len(issuers) == 1:
            yield _Match(REQUEST_ID, issuers[0])
    if texts:
        yield from (match for match in _by_text(own, others, history, texts) if own.complete or match.incident.same)
        yield from (match for match in _by_quoted_id(claim, own, others) if own.complete)
    if own.complete:
        yield from (_Match(FACTS, incident) for incident in others if _shares_facts(claim, own, incident))


def _repeats(claim: Claim, own: OwnFacts, incident: SourceFacts, texts: Sequence[str]) -> bool:
    """Whether the claim repeats a fact of the exception it names as its cause, and own evidence does not hold it."""
    if claim.status is not None and claim.status in incident.statuses - own.statuses:
        return True
    if (claim.codes & incident.codes) - own.codes or (claim.request_ids & incident.request_ids) - own.request_ids:
        return True
    return any(
        (portion := wording.quoted(message, text)) and not _owns_text(own, portion)
        for message in incident.messages
        for text in texts
    )


def _by_text(
    own: OwnFacts, others: Sequence[SourceFacts], history: Callable[[str], SourceFacts | None], texts: Sequence[str]
) -> Iterator[_Match]:
    """Yield the attempts whose error message stands in the claim, and in none of the own bytes."""
    found = False
    for incident in others:
        for message in incident.messages:
            portion = next((p for text in texts if (p := wording.quoted(message, text))), None)
            if portion and not _owns_text(own, portion):
                found = True
                yield _Match(TEXT, incident, portion)
    if found:
        return
    for text in texts:
        for piece in wording.pieces(text):
            incident_before = history(wording.fingerprint(piece))
            if incident_before is not None and not _owns_text(own, piece):
                yield _Match(TEXT, incident_before, piece)
                return


def _by_quoted_id(claim: Claim, own: OwnFacts, others: Sequence[SourceFacts]) -> Iterator[_Match]:
    """Yield the attempts whose request id stands in a claim's text as an error's body has it: for short messages."""
    foreign = [(name, each) for each in others for name in each.request_ids - own.request_ids - claim.request_ids]
    for name, incident in foreign:
        once = sum(name in each.request_ids for each in others) == 1
        naming = (text for text in claim.texts if name in text and wording.quotes_id(name, text))
        if once and any(not _is_quoted(text, own) for text in naming):
            yield _Match(TEXT, incident, name)


def _is_quoted(text: str, own: OwnFacts) -> bool:
    """Whether a whole text is an own one, whatever it speaks of."""
    return any(wording.normalise(text) in mine for mine in own.texts)


def _owns_text(own: OwnFacts, portion: str) -> bool:
    """Whether own bytes hold a text, or may hold it because they could not be seen."""
    return any(portion in text for text in own.texts) or own.elsewhere(portion) is not False


def _shares_facts(claim: Claim, own: OwnFacts, incident: SourceFacts) -> bool:
    """Whether status and structured code together are another's, where own evidence has neither.

    Neither is enough alone: both are small alphabets. A loop's own word for a code does not count, nor does a claim
    whose status or code is own.
    """
    codes = {code for code in claim.codes & incident.codes if code.lower() in reasons.PROVIDER_CODES}
    return bool(
        codes
        and not claim.codes & own.codes
        and claim.status in incident.statuses
        and claim.status not in own.statuses
        and own.sent
    )


# --- rules ------------------------------------------------------------------------------------------------------------


def _is_own(claim: Claim, own: OwnFacts) -> bool:
    """Whether object, response, request id or code is own."""
    if claim.own & {OBJECT, RESPONSE} or claim.request_ids & own.request_ids:
        return True
    foreign = any(how in (OBJECT, RESPONSE) for how, _ in claim.foreign)
    return bool(claim.codes & own.codes) and not foreign


def _is_report(claim: Claim, own: OwnFacts, by_text: Sequence[_Match], texts: Sequence[str]) -> bool:
    """Whether a claim sums up several candidates, this one truthfully among them."""
    if claim.own_member:
        return True
    if not by_text or claim.own & {OBJECT, RESPONSE, REQUEST} or claim.request_ids & own.request_ids:
        return False
    return _tells_own_beside(own, texts, [match.portion for match in by_text])


def _tells_own_beside(own: OwnFacts, texts: Sequence[str], foreign: Sequence[str]) -> bool:
    """Whether a claim tells this attempt's own error text beside others'; short and stock ones count here."""
    rests = list(texts)
    for portion in foreign:
        rests = [text.replace(portion, " ") for text in rests]
    own_texts = [text.strip("!. ") for text in own.texts if not wording.is_status_line(text)]
    return any(len(text) > 3 and text in rest for text in own_texts for rest in rests)


def _other_response(claim: Claim, own: OwnFacts, others: Sequence[SourceFacts]) -> SourceFacts | None:
    """Return the only other candidate whose answer has the response id that a success names."""
    if claim.response_id is None or claim.response_id in own.response_ids:
        return None
    issuers = [incident for incident in others if claim.response_id in incident.response_ids]
    return issuers[0] if len(issuers) == 1 and not issuers[0].same else None


def _conflicting(claim: Claim, provider: str, others: Sequence[SourceFacts]) -> SourceFacts:
    """Return the attempt at the provider that a span names for its error: one with its status, the latest; if known."""
    theirs = [incident for incident in others if incident.provider == provider and not incident.same]
    fitting = [incident for incident in theirs if claim.status in incident.statuses] or theirs
    return max(fitting, key=lambda incident: incident.order, default=SourceFacts(provider, index=-1))


def _is_unanswered(own: OwnFacts) -> bool:
    return own.complete and own.sent > 0 and own.answered == 0


def _says_answer(claim: Claim, own: OwnFacts, texts: Sequence[str]) -> bool:
    """Whether a claim carries what only a provider's answer can give."""
    issued = any(wording.is_issued(name) for name in claim.request_ids - own.request_ids)
    if issued or claim.structured:
        return True
    if any(code.lower() in reasons.PROVIDER_CODES for code in claim.codes - own.codes):
        return True
    phrases = [phrase for phrase in wording.KNOWN_WORDING for text in texts if phrase in text]
    phrases = [phrase for phrase in phrases if not _owns_text(own, phrase)]
    return bool(phrases) and (bool(claim.own) or not _tells_own_beside(own, texts, phrases))


def _is_synthetic(claim: Claim, own: OwnFacts) -> bool:
    """Whether a claimed status is one that libraries make up for such evidence."""
    if claim.status is None or claim.status in own.statuses:
        return False
    made_up = (reasons.SYNTHETIC_STATUSES.get(reason, frozenset()) for reason in own.reasons)
    if any(claim.status in statuses for statuses in made_up):
        return True
    evident = own.reasons - {reasons.RESPONSE_REJECTED}
    return any(reasons.compatible(reasons.from_answer(claim.status), reason) for reason in evident)


def _conflicting_status(claim: Claim, own: OwnFacts) -> bool:
    if claim.status is None or not own.complete or not own.sent or claim.status in own.statuses:
        return False
    return not _is_synthetic(claim, own)


def _conflicting_reason(claim: Claim, own: OwnFacts) -> bool:
    if claim.reason is None or not own.complete or not own.reasons:
        return False
    return not any(reasons.compatible(claim.reason, evident) for evident in own.reasons)


def _holds(claim: Claim, own: OwnFacts, texts: Sequence[str]) -> bool:
    """Whether own evidence holds every provider fact of the claim."""
    if claim.status is not None and claim.status not in own.statuses and not _is_synthetic(claim, own):
        return False
    if not all(_fits_code(code, own) for code in claim.codes - own.codes):
        return False
    if claim.request_ids - own.request_ids:
        return False
    if claim.response_id is not None and own.response_ids and claim.response_id not in own.response_ids:
        return False
    if not texts and claim.status is None and not claim.codes and not claim.request_ids:
        return own.complete
    return all(wording.is_held(text, own.texts) for text in texts)


def _fits_code(code: str, own: OwnFacts) -> bool:
    """Whether a code that own evidence lacks is no provider's, or says no more than own evidence does."""
    reason = reasons.of_code(code)
    return reason is None or any(reasons.compatible(reason, evident) for evident in own.reasons)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the gravest of several verdicts, the first among equals."""
    return max(verdicts, key=lambda verdict: SEVERITY[verdict.verdict], default=Verdict())
