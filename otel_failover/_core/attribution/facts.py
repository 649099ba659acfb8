"""What the rules compare with a claim: its bonds, own evidence, the facts of other attempts; and the verdict.

Pure records: no foreign object stands in them.
"""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

from collections.abc import Callable
from typing import Final, NamedTuple

from otel_failover._core.domain.verdicts import VERIFIED


class SourceFacts(NamedTuple):
    """What one attempt's wire said, as far as somebody else could repeat it.

    Args:
        provider: Whose it is.
        index: Its place in the chain.
        span_id: 16 hex digits of the span where it was first seen.
        order: Larger is later.
        alive: Whether the attempt is still open (hedged, probing).
        same: Whether it is the judged candidate's own earlier attempt: replayed, never foreign.
        messages: Error messages as they were sent: where a text may have been cut, brackets and line breaks tell.
        codes: Structured codes of its error bodies.
        statuses: Statuses of its error responses.
        request_ids: Ids that its responses issued, in a header or in an error's body, echoes left out.
        response_ids: Ids of its successful responses.
        model: As requested.
        addresses: Host and port of each place it asked.
    """

    provider: str
    index: int = 0  # type: ignore[assignment]  # hides tuple's own `index`, which nobody asks
    span_id: str = ""
    order: int = 0
    alive: bool = False
    same: bool = False
    messages: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    request_ids: frozenset[str] = frozenset()
    response_ids: frozenset[str] = frozenset()
    model: str = ""
    addresses: frozenset[tuple[str, int]] = frozenset()


def _went_nowhere(_: tuple[str, int]) -> bool:
    return False


def _was_not_sent(_: str) -> bool:
    return False


def _in_no_bytes(_: str) -> bool | None:
    return False


class OwnFacts(NamedTuple):
    """The judged attempt's own evidence.

    Args:
        complete: Every call returned or raised, every send answered or failed, every error body seen whole.
        sent: Own requests, of which `answered` got a response.
        statuses: Statuses of own responses, those of SDK retries included.
        codes: Structured codes of own error bodies.
        request_ids: Ids issued by own responses, and ids that we sent ourselves.
        response_ids: Ids of own successful responses.
        texts: Normalised texts of own error bodies, own stream errors and own exceptions.
        reasons: What own evidence says, in our vocabulary.
        text_in_bytes: Returns whether a normalised text stands in the rest of the own bytes (successful bodies, chunks,
            the request); None where some of them could not be seen, so that it may. A function, since those bytes are
            searched only where a text would bind.
        misdirected: An endpoint of another chain member was called and the candidate's was not.
        raised: What its calls' exceptions said, as it was, white space folded: "Error code: 503" is a whole text.
        names: Provider and model, as a loop may call this candidate.
        sent_id: Returns whether a request id stands in anything that this attempt sent, or is the trace's, a span's or
            the run's; a function for the same reason.
        went_to: Returns whether anything of this attempt was sent, or redirected, to a host and port. A function, since
            that is asked only where a claim names one.
        answers: Returns the normalised texts of own answers that were no errors; a function for the same reason.
    """

    complete: bool = True
    sent: int = 0
    answered: int = 0
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    request_ids: frozenset[str] = frozenset()
    response_ids: frozenset[str] = frozenset()
    texts: tuple[str, ...] = ()
    reasons: frozenset[str] = frozenset()
    text_in_bytes: Callable[[str], bool | None] = _in_no_bytes
    misdirected: SourceFacts | None = None
    raised: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    sent_id: Callable[[str], bool] = _was_not_sent
    went_to: Callable[[tuple[str, int]], bool] = _went_nowhere
    answers: Callable[[], tuple[str, ...]] = tuple


class Bonds(NamedTuple):
    """Whose the objects of a claim are, found out by identity: what a claim says has no part in it.

    Args:
        own: How its error object is bound to own evidence: `object`, `response`, `request`.
        foreign: How it, or a member of its group, is bound to other attempts, and to which.
        cause: The attempts that raised what it was raised from, by `__cause__`. That alone proves little: it counts if
            the claim repeats one of their facts.
        own_member: It is an exception group, and a member of it is own.
    """

    own: frozenset[str] = frozenset()
    foreign: tuple[tuple[str, SourceFacts], ...] = ()
    cause: tuple[SourceFacts, ...] = ()
    own_member: bool = False


UNBOUND: Final = Bonds()
"""A claim without an object: a span's, or a word."""


class Verdict(NamedTuple):
    """The outcome of one check.

    Args:
        verdict: `verified`, `unverified`, `inconsistent` or `mismatch`.
        rule: The rule that fired, or why it is unverified; None where verified.
        bound_by: How the claim was bound to its source.
        source: Whose error it is; None for `claimed_answer` and where nobody else is involved.
        replayed: It is the candidate's own earlier error.
        synthetic: A claimed status that a library made up.
    """

    verdict: str = VERIFIED
    rule: str | None = None
    bound_by: str | None = None
    source: SourceFacts | None = None
    replayed: bool = False
    synthetic: int | None = None
