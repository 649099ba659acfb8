"""Whether a claim sums up: it tells this attempt's own error, and that of another beside it with good reason.

Pure. For this alone short texts count as own, and those that everybody says ("Request timed out."): a report names
what happened to its candidate, and somebody else's text beside it is no theft.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover._core.attribution.words import rendered
from otel_failover._core.domain import reasons
from otel_failover._core.text import matching
from otel_failover._core.text.escapes import compiled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_failover._core.attribution.facts import OwnFacts, SourceFacts

_SHORTEST: Final = 4
_NAME: Final = 3
_SAYS_NOTHING: Final = frozenset(
    {
        "a", "an", "api", "bad", "call", "code", "error", "exception", "failed", "failure", "http", "internal",
        "invalid", "message", "none", "not", "null", "of", "request", "response", "server", "status", "the", "type",
        "unknown",
    }
)  # fmt: skip
"""Words that stand in everybody's error: a body that says no more than "error" is in each of them."""

_IN_WORDS: Final = {
    reasons.TIMEOUT: ("timed out", "timeout", "time out", "no response", "no answer", "not answer", "not respond",
                      "deadline", "hung", "too slow"),
    reasons.CONNECTION: ("connection", "connect", "unreachable", "reset", "disconnected", "network", "dns"),
    reasons.RATE_LIMIT: ("rate limit", "rate-limit", "ratelimit", "too many requests", "throttl", "limited"),
    reasons.BILLING: ("quota", "billing", "credit", "payment", "balance"),
    reasons.AUTH: ("unauthorized", "api key", "authenticat", "credential"),
    reasons.PERMISSION: ("forbidden", "permission", "not allowed", "denied"),
    reasons.MODEL_NOT_FOUND: ("not found", "no such model", "unknown model", "does not exist"),
    reasons.INVALID_REQUEST: ("bad request", "invalid request", "refused the request"),
    reasons.CONTEXT_OVERFLOW: ("too long", "context length", "context window", "too large"),
    reasons.CONTENT_POLICY: ("content policy", "filtered", "blocked", "refused to answer"),
    reasons.OVERLOADED: ("overloaded", "overload", "unavailable", "busy", "at capacity"),
    reasons.SERVER_ERROR: ("server error", "internal error", "bad gateway"),
    reasons.EMPTY_RESPONSE: ("empty", "no content", "said nothing"),
    reasons.PARTIAL_STREAM: ("cut off", "broke off", "incomplete", "ended early", "midway"),
    reasons.CANCELLED: ("cancelled", "canceled", "aborted"),
}  # fmt: skip
"""How a loop says in words why a candidate failed."""
_OF_SOCKETS: Final = frozenset({*_IN_WORDS[reasons.TIMEOUT], *_IN_WORDS[reasons.CONNECTION]})
_WENT_ON: Final = (
    r"\b(?:previous(?:ly)?|prior|earlier|fallbacks?|fell\s+back|falling\s+back|because|instead\s+of"
    r"|after(?!\s+[\d.]))\b"
)
"""Words that say of an error that it is the one before. "After 123 s" is no such word: it tells how long one waited."""


def has_own_text(texts: Sequence[str], as_said: Sequence[str], own: OwnFacts, foreign: Iterable[str]) -> bool:
    """Whether a claim holds this attempt's own error text beside others'.

    Args:
        texts: The claim's, normalised.
        as_said: The same as they were said.
        own: This attempt's evidence.
        foreign: What is others' in it, normalised.
    """
    rests = list(texts)
    for portion in foreign:
        rests = [matching.without(text, portion) for text in rests]
    mine = [text.strip("!. ") for text in own.texts if not matching.is_status_line(text)]
    mine = [
        text
        for text in mine
        # A socket's "timed out" is the reason in words, which any loop says in front of whatever it has at hand.
        if len(text) >= _SHORTEST and text not in _OF_SOCKETS and not _SAYS_NOTHING.issuperset(text.split())
    ]
    if any(_stands_in(text, rest) for text in mine for rest in rests):
        return True
    lines = [
        line for line in own.raised if "#" in (folded := matching.normalise(line)) and matching.is_status_line(folded)
    ]
    return any(_is_whole(line, " ".join(text.split())) for line in lines for text in as_said)


def _stands_in(text: str, rest: str) -> bool:
    """Whether a text stands in another as words of its own."""
    at = rest.find(text)
    while at != -1:
        before, behind = rest[at - 1 : at] if at else "", rest[at + len(text) : at + len(text) + 1]
        if not before.isalnum() and not behind.isalnum():
            return True
        at = rest.find(text, at + 1)
    return matching.is_long_enough(text) and matching.holds(rest, text)


def _is_whole(line: str, text: str) -> bool:
    """Whether a bare status line stands in a text by itself: it begins everybody's text ("Error code: 503 - {…}")."""
    at = text.find(line) if len(line) >= _SHORTEST else -1
    while at != -1:
        behind = text[at + len(line) :]
        if not behind[:1].isalnum() and not behind.lstrip().startswith("-"):
            return True
        at = text.find(line, at + 1)
    return False


def tells_why(as_said: Iterable[str], own: OwnFacts, foreign: Sequence[tuple[str, SourceFacts]]) -> bool:
    """Whether a claim tells the own failure in a loop's words, and says of the other's text whose or of when it is.

    "anthropic timed out after 0.2 s (fallback from openai because of: …)". A name alone is a label, and an SDK's words
    are no loop's; what follows the own candidate's name is told of that.

    Args:
        as_said: The claim's texts.
        own: This attempt's evidence.
        foreign: What is others' in them, normalised, and whose it is.
    """
    for text in as_said:
        found = [(sides, facts) for portion, facts in foreign if (sides := rendered.around(text, portion)) is not None]
        if not found:
            continue
        (before, behind), _ = min(found, key=lambda each: len(each[0][0]))
        told = _own_failure(before, own)
        if told is None and _own_failure(behind, own) is None:
            continue
        if _names_the_one_before(before[told or 0 :], own, [facts for _, facts in found]):
            return True
    return False


def _own_failure(text: str, own: OwnFacts) -> int | None:
    """Return where a text has told the own reason in words, or the own status, for the first time."""
    words = [phrase for reason in own.reasons for phrase in (*_IN_WORDS.get(reason, ()), reason.replace("_", " "))]
    ends = [at + len(word) for word in words if (at := text.find(word)) != -1]
    for number in compiled(r"(?<![\d.])[45]\d\d(?![\d.]?\d)").finditer(text):
        if int(number[0]) in own.statuses:
            ends.append(number.end())
            break
    return min(ends, default=None)


def _names_the_one_before(text: str, own: OwnFacts, sources: Iterable[SourceFacts]) -> bool:
    mine = {name for each in own.names for name in _names(each)}
    theirs = {name for facts in sources for name in _names_of(facts)} - mine
    ends = [found.end() for found in compiled(_WENT_ON).finditer(text)]
    ends += [found for name in theirs for found in _ends_of(name, text)]
    return bool(ends) and not any(found > max(ends) for name in mine for found in _ends_of(name, text))


def _names_of(facts: SourceFacts) -> set[str]:
    hosts = {host for host, _ in facts.addresses if not host.replace(".", "").isdigit()}
    return {*_names(facts.provider), *_names(facts.model), *hosts}


def _names(name: str) -> set[str]:
    """Return how a loop may write a provider or a model: `gcp.gemini` is Gemini, `mistral_ai` is Mistral."""
    folded = name.casefold()
    short = {
        folded.rpartition("/")[2],
        folded.replace("_", ""),
        folded.removesuffix("_ai"),
        folded.removeprefix("gcp."),
    }
    return {each for each in (folded, *short, folded.removeprefix("aws.")) if len(each) >= _NAME}


def _ends_of(name: str, text: str) -> list[int]:
    """Return where a name ends in a text, as a word of its own."""
    ends, at = [], text.find(name)
    while at != -1:
        end = at + len(name)
        if not (at and text[at - 1].isalnum()) and not text[end : end + 1].isalnum():
            ends.append(end)
        at = text.find(name, end)
    return ends
