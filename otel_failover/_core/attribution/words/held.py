"""Whether own evidence holds what a claimed text says, where it does not hold it word for word.

A claim that no rule objects to is `verified` where it says nothing that own evidence does not. Libraries seldom repeat
an error as it came: they put their own class before it, their name, what waiting has cost; and where the provider said
nothing, or little ("Overloaded"), that is all there is. So a text is own, too, where nothing is left of it once these
are taken out:

1. own texts, short ones included: an error's message, what an SDK or a transport raised, what an HTTP library says of
   an own answer's status and URL;
2. what says nothing of any answer: names of classes and of the candidate, the words that renderings are made of,
   numbers (a status that is not own aside), and what the interpreter says of a value ("object has no attribute");
3. the own reason in words.

Where an own text was found, a few words of the loop's own may be left ("claude failed: Request timed out."). Nothing is
own that is another attempt's, in whatever length.

Pure: no OpenTelemetry, no clock, no foreign objects.
"""

from __future__ import annotations

import contextlib
import functools
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from otel_failover._core.domain import reasons
from otel_failover._core.text import matching
from otel_failover._core.text.normal_form import units

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from otel_failover._core.attribution.facts import OwnFacts, SourceFacts

_SHORTEST: Final = 4
"""Letters below which an own text is found by chance."""
_START: Final = 12
"""Letters of another's message that show, in a text that is cut, that it is not own."""
_CLASS: Final = re.compile(r"(?:\w+\.)*\w*(?:error|exception|timeout|warning)")
_STATUS: Final = re.compile(r"(?<![\w.:])[45]\d\d(?![\w.])")
_ID: Final = re.compile(r"req_[0-9A-Za-z]{16,64}")
_RUNTIME: Final = re.compile(
    r'(?:" \S+ " |\S+ )?object (?:has no attribute|is not an?|is not) (?:" \S+ "|\w+)'
    r"|\w+ index out of range|expecting value (?:line # column # )?(?:char #)?|extra data line # column # char #"
)
"""What the interpreter and its JSON decoder say of a value, normalised: this process said it, no provider."""
_NEUTRAL: Final = frozenset(
    {
        "a", "after", "an", "and", "answer", "api", "as", "at", "attempt", "attempts", "b", "because", "body", "by",
        "call", "calling",
        "cause", "caused", "code", "configured", "detail", "details", "elapsed", "endpoint", "error", "error_str",
        "errors", "exception", "failed", "failure", "false", "for", "from",
        "got", "handle", "http", "in", "is", "it", "llm",
        "llms", "message", "model", "model_name", "ms", "msg", "none", "null", "of", "on", "original", "param",
        "passed",
        "provider", "raised", "reason", "received", "request", "request_id", "response", "retries", "retry", "s",
        "retryable", "second", "seconds", "status", "status_code", "str", "taken",
        "that", "the", "this", "time", "to", "true", "trying",
        "type", "max", "occurred", "operation", "reached", "unknown", "url", "value", "was", "when", "while", "with",
    }
)  # fmt: skip
"""Words that renderings are made of."""
_LOST: Final = frozenset(
    {
        "aborted", "all", "broken", "cannot", "chunked", "closed", "complete", "connect", "connection", "could",
        "disconnected", "end", "errno", "host", "incomplete", "lost", "network", "not", "peer", "pipe", "read",
        "refused", "remote", "reset", "sending", "server", "ssl", "unable", "without",
    }
)  # fmt: skip
_OF_REASON: Final[dict[str, frozenset[str]]] = {
    reasons.TIMEOUT: frozenset(
        {
            "connect", "connection", "data", "deadline", "did", "exceeded", "no", "not", "operation", "out", "passed",
            "read", "reading", "socket", "timed", "timeout", "within", "write",
        }
    ),
    reasons.CONNECTION: _LOST,
    reasons.PARTIAL_STREAM: _LOST,
    reasons.CANCELLED: frozenset({"canceled", "cancelled"}),
}  # fmt: skip
"""The words for what happens where no answer comes, by our reason."""
_UNANSWERED: Final = frozenset({reasons.TIMEOUT, reasons.CONNECTION})


def holds(
    raw: str, said: Iterable[str], own: OwnFacts, others: Sequence[SourceFacts], renderings: Sequence[str] = ()
) -> bool:
    """Whether own evidence holds everything that a text says of an answer.

    Args:
        raw: As it was said.
        said: All the claim's texts, as they were said: numbers stand in them.
        own: The judged attempt's evidence.
        others: The other attempts of the run, the same candidate's earlier ones included.
        renderings: What HTTP libraries make of own answers ("Client error '429 …' for url '…"), normalised.
    """
    text = matching.normalise(raw)
    if any(matching.holds(mine, text) for mine in own.texts):
        return True
    rest, found = _without_own(text, (*renderings, *own.texts, *own.answers(), *_phrases(own.statuses)))
    rest, of_runtime = _RUNTIME.subn(" ", rest)
    if _is_of_others(rest, own, others):
        return False
    if matching.is_held(raw, own.texts) or matching.is_held(raw, own.answers()):
        return True
    if _names_other_status(said, own) or _names_other_id(raw, own):
        return False
    left = [word for word in rest.split() if not _says_nothing(word, own)]
    if not left:
        is_told = own.complete or not _UNANSWERED.isdisjoint(own.reasons)
        return found or (is_told and (of_runtime > 0 or _tells_own(rest, said, own)))
    return (
        found and units(" ".join(left)) < matching.MINIMUM and not any(_gives_other_reason(word, own) for word in left)
    )


def is_foreign(word: str, own: OwnFacts, others: Sequence[SourceFacts]) -> bool:
    """Whether a loop's own word for a reason has a fact in it that is none of this attempt's: a code, a status, an id.

    Args:
        word: As it was said.
        own: The judged attempt's evidence.
        others: The other attempts of the run.
    """
    text = matching.normalise(word)
    if units(text) >= _START and any(text in mine for mine in own.texts):
        return False
    return _is_of_others(text, own, others) or _names_other_status((word,), own) or _names_other_id(word, own)


def _names_other_id(raw: str, own: OwnFacts) -> bool:
    """Whether a text names a request id as OpenAI and Anthropic issue them, and none of this attempt's."""
    return any(matching.is_issued(name) and name not in own.request_ids for name in _ID.findall(raw))


def _phrases(statuses: Iterable[int]) -> Iterator[str]:
    """Yield what HTTP itself calls own statuses ("Bad Gateway"): an SDK says so where the body has no words for it."""
    for status in statuses:
        with contextlib.suppress(ValueError):
            yield HTTPStatus(status).phrase.casefold()


def _without_own(text: str, texts: Iterable[str]) -> tuple[str, bool]:
    """Return what is left of a text without own ones, and whether one was found that says more than a status."""
    found = False
    for mine in sorted(texts, key=len, reverse=True):
        part = mine.strip("!. ")
        if len(part) >= _SHORTEST and part in text:
            text = text.replace(part, " ")
            found = found or not matching.is_status_line(part)
    return text, found


def _is_of_others(rest: str, own: OwnFacts, others: Sequence[SourceFacts]) -> bool:
    """Whether anything in a text is what another candidate's answer said: its message, however short, or its code."""
    words = {word.strip(".!?") for word in rest.split()}
    for each in others:
        if each.same:
            continue
        if any(code.lower() in words for code in each.codes - own.codes):
            return True
        for message in map(matching.normalise, each.messages):
            if any(matching.holds(mine, message) for mine in own.texts):
                continue  # own wins every tie
            start = message.strip("!. ")[:_START]
            if f" {start}" in f" {rest}" and not all(_says_nothing(word, own) for word in message.split()):
                return True
    return False


def _names_other_status(said: Iterable[str], own: OwnFacts) -> bool:
    """Whether a number that reads like an error's status is that of no own answer."""
    return any(int(number) not in own.statuses for text in said for number in _STATUS.findall(text))


@functools.lru_cache(maxsize=64)
def _named(names: tuple[str, ...]) -> frozenset[str]:
    """Return the words of a candidate's names."""
    return frozenset(matching.normalise(" ".join(names)).split())


def _says_nothing(word: str, own: OwnFacts) -> bool:
    """Whether a word says nothing of an answer, or no more than what own evidence shows."""
    bare = word.strip(".!?*/-_&")
    return not any(map(str.isalpha, bare)) or bare in _NEUTRAL or _is_telling(bare, own)


def _tells_own(rest: str, said: Iterable[str], own: OwnFacts) -> bool:
    """Whether words that say nothing of an answer say whose they are: a class, a name, the own reason or status."""
    if any(int(number) in own.statuses for text in said for number in _STATUS.findall(text)):
        return True
    return any(_is_telling(word.strip(".!?*/-_&"), own) for word in rest.split())


def _is_telling(bare: str, own: OwnFacts) -> bool:
    if bare in _named(own.names) or _CLASS.fullmatch(bare) is not None:
        return True
    return any(bare in _OF_REASON.get(reason, ()) or bare in reason.split("_") for reason in own.reasons)


def _gives_other_reason(word: str, own: OwnFacts) -> bool:
    """Whether a word is a reason, and none that may stand beside the evident ones."""
    reason = reasons.neutral(word.strip(".!?"))
    return reason is not None and not any(reasons.compatible(reason, evident) for evident in own.reasons)
