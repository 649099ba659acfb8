"""Claim held against evidence: the verdict.

Pure: no OpenTelemetry, no clocks, no foreign objects. What identity can show (this *is* the other attempt's response)
has been found out before and comes in as `Bonds`; what the wire said comes in as `OwnFacts` and `SourceFacts`. The
rules, and the order they are tried in, are those of the table in `docs/reference/rules.md`.

Both kinds of wrong verdict are bugs. A mismatch therefore always needs positive foreign evidence, or an answer that
nobody gave; a match that is merely missing is `unverified`.

In one file: the rules read as the table does, from the top; each of them takes what binds from the same few matches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from otel_failover._core.attribution.facts import Bonds, OwnFacts, SourceFacts, Verdict
from otel_failover._core.attribution.words import held, rendered, reports
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
from otel_failover._core.text import matching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from otel_failover._core.attribution.claim import Claim
    from otel_failover._core.attribution.words.rendered import Rendering


_ERROR: Final = 400
_SHOWN: Final = {REQUEST: RESPONSE, CAUSE: OBJECT}
_CUT_CODE: Final = 5
"""Characters of a code that is cut, from which on it counts."""
_STRENGTH: Final = {OBJECT: 5, CAUSE: 5, RESPONSE: 4, REQUEST: 4, REQUEST_ID: 3, TEXT: 2, FACTS: 1}


class _Match(NamedTuple):
    """One way in which a claim is bound to an attempt other than the judged one, and by which words of its texts."""

    how: str
    facts: SourceFacts
    portion: str = ""

    @property
    def rank(self) -> tuple[int, int]:
        """The strongest binding first, then the latest."""
        return _STRENGTH[self.how], self.facts.order


class _Case(NamedTuple):
    """What one verdict is about, with the claim's texts normalised and what SDKs have rendered into them."""

    claim: Claim
    bonds: Bonds
    own: OwnFacts
    others: Sequence[SourceFacts]
    texts: tuple[str, ...]
    said: tuple[str, ...]
    renderings: tuple[Rendering, ...]


def _no_history(_: str) -> SourceFacts | None:
    return None


def judge(
    claim: Claim,
    bonds: Bonds,
    own: OwnFacts,
    others: Sequence[SourceFacts] = (),
    history: Callable[[str], SourceFacts | None] = _no_history,
    disabled: frozenset[str] = frozenset(),
) -> Verdict:
    """Hold a claim against the evidence.

    Args:
        claim: What was said.
        bonds: Whose its objects are.
        own: What the wire said inside the attempt that is spoken of.
        others: What it said inside the other attempts of the run, the same candidate's earlier ones included.
        history: Finds an earlier run's error by fingerprint.
        disabled: Rules that are switched off.

    Returns:
        The verdict with the first rule of `RULES` that fires.
    """
    said = tuple(text for text in claim.texts if not rendered.is_wordless(text))
    if claim.word is not None and claim.reason is None:
        said = (*said, claim.word)  # a word that nobody knows may be all that is left of somebody's error
    texts = tuple(filter(None, map(matching.normalise, said)))
    renderings = tuple(each for text in said for each in rendered.read(text))
    case = _Case(claim, bonds, own, others, texts, said, renderings)
    matches = list(_matches(case, history))
    replayed = any(match.facts.same for match in matches)
    for rule, verdict in _fired(case, _foreign(matches), replayed=replayed):
        if rule not in disabled:
            return verdict
    # No rule objects. Whether own evidence holds every provider fact of the claim is another question.
    synthetic = claim.status if _is_synthetic(case) else None
    if _holds(case):
        return Verdict(replayed=replayed, synthetic=synthetic)
    rule = EVIDENCE_INCOMPLETE if not own.complete else NOTHING_SENT if own.sent == 0 else NOTHING_BOUND
    return Verdict(UNVERIFIED, rule, replayed=replayed, synthetic=synthetic)


def _foreign(matches: Sequence[_Match]) -> list[_Match]:
    """Return the matches with another candidate, strongest and latest first.

    Own wins every tie. Two candidates often say the same: one provider behind two names, a gateway that relays its
    upstream's words, a sentence that everybody uses. Where the candidate's own earlier attempt said it as well, the
    claim is a replay of that, and nothing shows that it came from anybody else. A text that is its own explains the
    status and the code beside it, too.
    """
    same = {(match.how, match.portion) for match in matches if match.facts.same}
    found = [m for m in matches if not m.facts.same and (m.how, m.portion) not in same]
    if any(match.how == TEXT and match.facts.same for match in matches):
        found = [match for match in found if match.how not in (TEXT, FACTS)]
    return sorted(found, key=lambda match: match.rank, reverse=True)


def _fired(case: _Case, foreign: Sequence[_Match], *, replayed: bool) -> Iterator[tuple[str, Verdict]]:
    """Yield each rule that fires, in the order of `RULES`."""
    claim, own = case.claim, case.own
    by_words = [match for match in foreign if match.portion]
    if _is_report(case, by_words):
        # A report names others with good reason; only an object or a response that is another's still counts.
        foreign = [match for match in foreign if match.how in (OBJECT, RESPONSE) and not case.bonds.own_member]
        by_words = []
        if not foreign:
            yield REPORT, Verdict(UNVERIFIED, REPORT, replayed=replayed)
    if by_words and _is_own(case):
        yield MIXED_ERROR, Verdict(INCONSISTENT, MIXED_ERROR, by_words[0].how, by_words[0].facts)
        foreign = [match for match in foreign if not match.portion]
    for match in foreign:
        rule = FOREIGN_ERROR if match.facts.alive else STALE_ERROR
        yield rule, Verdict(MISMATCH, rule, _SHOWN.get(match.how, match.how), match.facts)
    if (source := _other_response(case)) is not None:
        yield FOREIGN_RESPONSE, Verdict(MISMATCH, FOREIGN_RESPONSE, FACTS, source)
    if own.misdirected is not None:
        yield WRONG_ENDPOINT, Verdict(MISMATCH, WRONG_ENDPOINT, FACTS, own.misdirected)
    if claim.conflict is not None:
        source = _conflicting_source(claim.conflict, claim.status, case.others)
        yield PROVIDER_CONFLICT, Verdict(MISMATCH, PROVIDER_CONFLICT, FACTS, source)
    if not replayed and _is_unanswered(own) and _says_answer(case):
        yield CLAIMED_ANSWER, Verdict(MISMATCH, CLAIMED_ANSWER, FACTS)
    if _conflicting_status(case):
        yield STATUS_CONFLICT, Verdict(INCONSISTENT, STATUS_CONFLICT, replayed=replayed)
    if _conflicting_reason(case):
        yield REASON_CONFLICT, Verdict(INCONSISTENT, REASON_CONFLICT, replayed=replayed)


# --- what binds a claim to another attempt ----------------------------------------------------------------------------


def _matches(case: _Case, history: Callable[[str], SourceFacts | None]) -> Iterator[_Match]:
    """Yield every way in which the claim is bound to an attempt other than this one.

    Texts and facts bind to another candidate only where own evidence is complete: what was not seen may have said the
    same. Identity, and a request id that was issued once, need no such proof.
    """
    claim, bonds, own, others, texts, *_ = case
    for how, facts in bonds.foreign:
        if how not in bonds.own:
            yield _Match(how, facts)
    for facts in bonds.cause:
        if _repeats(case, facts):
            yield _Match(CAUSE, facts)
    for name in claim.request_ids - own.request_ids:
        issuers = [facts for facts in others if name in facts.request_ids]
        if len(issuers) == 1 and not own.sent_id(name):
            yield _Match(REQUEST_ID, issuers[0])
    if texts:
        yield from (match for match in _by_text(case, history) if own.complete or match.facts.same)
        if own.complete:
            yield from _by_quoted_id(case)
    if own.complete:
        yield from _by_code(case)
        for each in case.renderings:
            yield from (_Match(FACTS, facts, matching.normalise(each.text)) for facts in _answered(each, case))


def _repeats(case: _Case, facts: SourceFacts) -> bool:
    """Whether a claim repeats a fact of the attempt that raised its cause, and own evidence does not hold it.

    `raise Timeout from rate_limit` is how honest code says why it went on, so a cause alone accuses nobody.
    """
    claim, own = case.claim, case.own
    if claim.status is not None and claim.status in facts.statuses - own.statuses:
        return True
    if (claim.codes & facts.codes) - own.codes or (claim.request_ids & facts.request_ids) - own.request_ids:
        return True
    return any(
        (portion := matching.quoted(message, text, own.reasons)) and not _owns_text(own, portion)
        for message in facts.messages
        for text in case.said
    )


def _by_text(case: _Case, history: Callable[[str], SourceFacts | None]) -> Iterator[_Match]:
    """Yield the attempts whose error message stands in the claim, and in none of the own bytes.

    An earlier run is asked last, and by fingerprint: that an attempt of this run said it explains more.
    """
    found = False
    for facts in case.others:
        for message in facts.messages:
            words = rendered.without_prefix(message)
            quotes = (matching.quoted(words, text, case.own.reasons) for text in case.said)
            portion = next(filter(None, quotes), None)
            if portion and not _owns_text(case.own, portion):
                found = True
                yield _Match(TEXT, facts, portion)
    if found:
        return
    for text in case.said:
        for earlier, piece in matching.remembered(text, history):
            if matching.says_enough(piece, own=case.own.reasons) and not _owns_text(case.own, piece):
                yield _Match(TEXT, earlier, piece)
                return


def _by_quoted_id(case: _Case) -> Iterator[_Match]:
    """Yield the attempts whose request id stands in a claim's text as an error's body has it: for short messages."""
    claim, own, others = case.claim, case.own, case.others
    foreign = [(name, each) for each in others for name in each.request_ids - own.request_ids - claim.request_ids]
    for name, facts in foreign:
        once = sum(name in each.request_ids for each in others) == 1
        naming = (text for text in claim.texts if name in text and name in matching.quoted_ids(text))
        # A text that own evidence holds as a whole is own, whatever it speaks of.
        if (
            once
            and not own.sent_id(name)
            and any(not any(matching.normalise(text) in mine for mine in own.texts) for text in naming)
        ):
            yield _Match(TEXT, facts, name)


def _owns_text(own: OwnFacts, portion: str) -> bool:
    """Whether own bytes hold a text, or may hold it because they could not be seen."""
    return any(matching.holds(text, portion) for text in own.texts) or own.text_in_bytes(portion) is not False


def _by_code(case: _Case) -> Iterator[_Match]:
    """Yield the attempts whose structured code the claim has in a field of its own, and own evidence nowhere.

    Status and code are one attempt's: beside an own code nothing binds. With a status that is own or nobody's, a word
    that loops also make up does not count; nor one that says just why this attempt failed, since loops fold providers'
    codes into one vocabulary; unless it came with a provider's body.
    """
    claim, own = case.claim, case.own
    if not own.sent or claim.codes & own.codes:
        return
    for code in claim.codes:
        why = reasons.of_code(code)
        is_providers = code.lower() in reasons.PROVIDER_CODES
        fits = why is not None and any(reasons.compatible(why, evident) for evident in own.reasons)
        if (not is_providers and (why is None or fits)) or _owns_code(own, code):
            continue
        is_telling = is_providers and (claim.structured or why not in own.reasons)
        for facts in _with_status([facts for facts in case.others if code in facts.codes], claim.status):
            if is_telling or claim.status in facts.statuses - own.statuses:
                yield _Match(FACTS, facts)


def _with_status(attempts: list[SourceFacts], status: int | None) -> list[SourceFacts]:
    """Return the attempts that were answered with a status, where any was: status and code are one attempt's."""
    return [facts for facts in attempts if status in facts.statuses] or attempts


def _answered(rendering: Rendering, case: _Case) -> Iterator[SourceFacts]:
    """Yield the attempts whose answer an SDK has rendered: by its code, or by the host that was asked, with its status.

    A code that is cut counts from five characters on, where only one of those that this run has seen begins so.
    """
    own, others = case.own, case.others
    known = {code.casefold() for facts in others for code in facts.codes}
    mine = {code.casefold() for code in own.codes}
    codes = {code.casefold() for code in rendering.codes}
    cut = rendering.cut_code.casefold()
    if len(cut) >= _CUT_CODE:
        fitting = {code for code in known | mine if code.startswith(cut)}
        codes |= fitting if len(fitting) == 1 else set()
    if codes and not codes & mine:
        for code in sorted(codes & known):
            theirs = [facts for facts in others if any(code == each.casefold() for each in facts.codes)]
            if not _owns_code(own, cut if code.startswith(cut) and cut and code not in rendering.codes else code):
                yield from (facts for facts in theirs if _may_be_of(rendering, facts))
    address, status = rendering.address, rendering.status
    if address is None or status is None or status in own.statuses:
        return
    asked = [facts for facts in others if address in facts.addresses]
    if len({(facts.provider, facts.model, facts.index) for facts in asked}) == 1 and not own.went_to(address):
        yield from (facts for facts in asked if status in facts.statuses)


def _may_be_of(rendering: Rendering, facts: SourceFacts) -> bool:
    """Whether nothing else in a rendering speaks against an attempt: its status, and the whole of its message."""
    if rendering.status is not None and facts.statuses and rendering.status not in facts.statuses:
        return False
    message = rendering.message.rstrip("!. ")
    theirs = [matching.normalise(each) for each in facts.messages]
    return not message or not theirs or any(message in each or each in message for each in theirs)


def _owns_code(own: OwnFacts, code: str) -> bool:
    return _owns_text(own, matching.normalise(code))


# --- rules ------------------------------------------------------------------------------------------------------------


def _is_own(case: _Case) -> bool:
    """Whether object, response, request id or code is own."""
    claim, bonds, own = case.claim, case.bonds, case.own
    if bonds.own & {OBJECT, RESPONSE} or claim.request_ids & own.request_ids:
        return True
    foreign = any(how in (OBJECT, RESPONSE) for how, _ in bonds.foreign)
    return bool(claim.codes & own.codes) and not foreign


def _is_report(case: _Case, by_words: Sequence[_Match]) -> bool:
    """Whether a claim sums up several candidates, this one truthfully among them."""
    if case.bonds.own_member:
        return True
    if not by_words or case.bonds.own & {OBJECT, RESPONSE, REQUEST} or case.claim.request_ids & case.own.request_ids:
        return False
    return _tells_own_error(case, [(match.portion, match.facts) for match in by_words])


def _tells_own_error(case: _Case, foreign: Sequence[tuple[str, SourceFacts]]) -> bool:
    """Whether a claim tells this attempt's own error, too, beside what is others' in it."""
    own, portions = case.own, [portion for portion, _ in foreign]
    return reports.has_own_text(case.texts, case.said, own, portions) or reports.tells_why(case.said, own, foreign)


def _other_response(case: _Case) -> SourceFacts | None:
    """Return the only other candidate whose answer has the response id that a success names."""
    name = case.claim.response_id
    if name is None or name in case.own.response_ids:
        return None
    issuers = [facts for facts in case.others if name in facts.response_ids]
    return issuers[0] if len(issuers) == 1 and not issuers[0].same else None


def _conflicting_source(provider: str, status: int | None, others: Sequence[SourceFacts]) -> SourceFacts:
    """Return the attempt at the provider that a span names for its error.

    The latest with the claimed status, else the latest at all; where there was none, the provider is all we know.
    """
    theirs = [facts for facts in others if facts.provider == provider and not facts.same]
    fitting = [facts for facts in theirs if status in facts.statuses] or theirs
    return max(fitting, key=lambda facts: facts.order, default=SourceFacts(provider, index=-1))


def _is_unanswered(own: OwnFacts) -> bool:
    return own.complete and own.sent > 0 and own.answered == 0


def _says_answer(case: _Case) -> bool:
    """Whether a claim carries what only a provider's answer can give.

    That is an issued request id, a structured body, a provider's code, or one of the sentences that only providers say.
    Never a stock phrase: an SDK says "Connection error." of itself, and everybody says it, so it proves no answer.
    """
    claim, own = case.claim, case.own
    issued = any(matching.is_issued(name) for name in claim.request_ids - own.request_ids)
    if issued or claim.structured:
        return True
    if any(code.lower() in reasons.PROVIDER_CODES for code in claim.codes - own.codes):
        return True
    phrases = [phrase for text in case.texts for phrase in matching.known_in(text)]
    phrases = [phrase for phrase in phrases if not _owns_text(own, phrase)]
    phrases += [matching.normalise(each.text) for each in case.renderings if _is_answer(each, own)]
    nobody = SourceFacts("")
    return bool(phrases) and (bool(case.bonds.own) or not _tells_own_error(case, [(each, nobody) for each in phrases]))


def _is_answer(rendering: Rendering, own: OwnFacts) -> bool:
    """Whether an SDK can only have rendered this of an answer, and not of an error of its own.

    Never by class or status; nor where what it wraps is this attempt's own text, or what everybody says: litellm makes
    "AnthropicException - Connection refused", status 500.
    """
    message = rendering.message
    if message and (message in matching.STOCK or _owns_text(own, message)):
        return False
    if any(matching.is_issued(name) for name in rendering.request_ids - own.request_ids):
        return True
    known = {code for code in rendering.codes if reasons.of_code(code) is not None}
    if rendering.structured and (known or (matching.is_long_enough(message) and matching.says_enough(message))):
        return not any(_owns_code(own, code) for code in known)
    return any(code.lower() in reasons.PROVIDER_CODES for code in known)


def _is_synthetic(case: _Case) -> bool:
    """Whether a claimed status is one that libraries make up for such evidence: litellm says 408 for a timeout."""
    status, own = case.claim.status, case.own
    if status is None or status in own.statuses:
        return False
    made_up = (reasons.SYNTHETIC_STATUSES.get(reason, frozenset()) for reason in own.reasons)
    if any(status in statuses for statuses in made_up):
        return True
    evident = own.reasons - {reasons.RESPONSE_REJECTED}
    return any(reasons.compatible(reasons.from_answer(status), reason) for reason in evident)


def _conflicting_status(case: _Case) -> bool:
    status, own = case.claim.status, case.own
    if status is None or not own.complete or not own.sent or status in own.statuses:
        return False
    return not _is_synthetic(case)


def _conflicting_reason(case: _Case) -> bool:
    reason, own = case.claim.reason, case.own
    if reason is None or not own.complete or not own.reasons:
        return False
    if any(status >= _ERROR and reasons.from_answer(status) == reason for status in own.statuses):
        return False  # whoever looks at nothing but the status says so with good reason
    return not any(reasons.compatible(reason, evident) for evident in own.reasons)


def _holds(case: _Case) -> bool:
    """Whether own evidence holds every provider fact of the claim."""
    claim, own, texts = case.claim, case.own, case.texts
    if claim.status is not None and claim.status not in own.statuses and not _is_synthetic(case):
        return False
    if not all(_fits_code(code, own) for code in claim.codes - own.codes):
        return False
    if claim.request_ids - own.request_ids:
        return False
    if claim.response_id is not None and own.response_ids and claim.response_id not in own.response_ids:
        return False
    if not texts and claim.status is None and not claim.codes and not claim.request_ids:
        return own.complete and not claim.is_unread
    if claim.is_unread or any(_names_other_host(rendering, case) for rendering in case.renderings):
        return False
    if claim.word is not None and held.is_foreign(claim.word, own, case.others):
        return False
    said = (text for text in case.said if text is not claim.word and matching.normalise(text))
    rendered_own = tuple(matching.normalise(each.text) for each in case.renderings if _is_of_own_answer(each, own))
    return all(held.holds(text, case.said, own, case.others, rendered_own) for text in said)


def _is_of_own_answer(rendering: Rendering, own: OwnFacts) -> bool:
    """Whether a rendering is an HTTP library's of an own answer: it tells status and URL, and both are own."""
    address = rendering.address
    return address is not None and rendering.status in own.statuses and own.went_to(address)


def _names_other_host(rendering: Rendering, case: _Case) -> bool:
    """Whether an SDK's words say that another candidate's host was asked, and this attempt asked nobody there."""
    address = rendering.address
    theirs = address is not None and any(address in facts.addresses for facts in case.others if not facts.same)
    return theirs and address is not None and not case.own.went_to(address)


def _fits_code(code: str, own: OwnFacts) -> bool:
    """Whether a code that own evidence lacks is no provider's, or says no more than own evidence does."""
    reason = reasons.of_code(code)
    return reason is None or any(reasons.compatible(reason, evident) for evident in own.reasons)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the gravest of several verdicts, the first among equals."""
    return max(verdicts, key=lambda verdict: SEVERITY[verdict.verdict], default=Verdict())
