"""What an exception, or whatever a loop passes for an error, claims.

An exception is read once, when it leaves an attempt: libraries add other candidates' texts to it later. Every read is
guarded, and nothing is written to it.

What a wrapper carries as its attempt or cause is its content, where it has no words of its own: the text of tenacity's
`RetryError` is the `repr` of a future.
"""

from __future__ import annotations

import enum
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from otel_failover._core.attribution.claim import Claim, http_status
from otel_failover._core.attribution.words import rendered
from otel_failover._core.domain import providers, reasons
from otel_failover._core.evidence import call_error
from otel_failover._core.evidence.call_error import response_of
from otel_failover._core.evidence.error_body import ErrorBody, error_in
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.text.normal_form import is_spaceless, normalise, units

_NESTED: Final = 8
_MEMBERS: Final = 32
_TEXT: Final = 8_192
_STATUS_KEYS: Final = ("status_code", "status", "http_status", "code")
"""Where a status may stand, in the order of trust; many errors have it as their code."""
_HOLDS: Final = (
    "error", "err", "exception", "exc", "original_error", "cause", "error_message", "errorMessage", "text",
    "description", "detail", "details", "content", "body", "response",
)  # fmt: skip
"""Where a result that is none of an error itself has one."""
_WORD: Final = 48
"""A loop's own word for a reason is no longer than this, and has fewer spaces than a sentence."""
_SPACES: Final = 3
_SPACELESS_WORD: Final = 20
"""Units from which a text in a script without spaces is none any more: "リクエストタイムアウト" has 18.7."""


_CARRIED: Final = (
    "last_attempt", "__cause__", "original_error", "original_exception", "last_exception", "last_error",
    "inner_exception", "wrapped", "cause", "exception", "error", "reason",
)  # fmt: skip
"""Where wrappers keep what they wrap: tenacity, loops of their own, `concurrent.futures`."""
_ERRORS: Final = ("errors", "exceptions", "failures", "attempts")
"""Keys of a mapping under which several errors stand in a list."""
_NO_CLAIM: Final = ("previous", "fallback", "retry")


def from_exception(problem: BaseException) -> Claim:
    """Copy the facts of an exception; of what it carries, where it says nothing itself."""
    content = content_of(problem)
    claim = _from_attributes(content, (text_of(content),))
    if content is problem and (inner := carried_by(problem)) is not None:
        # It says a status or a code, and leaves the words to what it carries.
        claim = claim._replace(texts=(*claim.texts, text_of(content_of(inner))[:_TEXT]))
    members = tuple(itertools.islice(_members(content, _NESTED), _MEMBERS))
    texts = (text for member in members for text in _from_attributes(member, (text_of(member),)).texts)
    return claim._replace(
        type=call_error.qualified(type(problem)),
        texts=tuple(dict.fromkeys((*claim.texts, *texts))),
        members=members,
    )


def content_of(thing: object) -> object:
    """Return what a wrapper that says nothing by itself carries; the thing itself where it says anything.

    Args:
        thing: An exception, or a future that holds one.
    """
    seen: list[object] = []
    while len(seen) < _NESTED and not _has_facts(thing):
        carried = carried_by(thing)
        if carried is None or any(carried is each for each in seen):
            break
        seen.append(thing)
        thing = carried
    return thing


def carried_by(thing: object) -> BaseException | None:
    """Return what an exception without words of its own wraps, or a future holds; None where there is nothing.

    Args:
        thing: An exception, a future, or anything else.
    """
    # The attribute, not the method: that waits for an open future, and asyncio's stops warning of an error unseen.
    held = read(thing, "_exception") if not isinstance(thing, BaseException) else None
    if isinstance(held, BaseException) and callable(read(thing, "done")):
        return held
    if not isinstance(thing, BaseException) or not _is_wordless(thing):
        return None
    for name in _CARRIED:
        found = read(thing, name)
        found = found if isinstance(found, BaseException) else read(found, "_exception")
        if isinstance(found, BaseException) and found is not thing:
            return found
    return None


def _is_wordless(problem: BaseException) -> bool:
    """Whether an exception says nothing: neither in words, nor by its class that it is a timeout or a broken line."""
    text = text_of(problem)
    if text != type(problem).__name__ and not rendered.is_wordless(text):
        return False
    return call_error.transport_reason(problem)[0] == reasons.CLIENT_ERROR


def _has_facts(thing: object) -> bool:
    """Whether an object says anything else about an error than by its text."""
    values = [read(thing, name) for name in (*_STATUS_KEYS, "request_id", "message", "body")]
    return any(isinstance(value, (int, Mapping)) or (isinstance(value, str) and value) for value in values)


def errors_inside(problem: BaseException) -> Iterator[BaseException]:
    """Yield what an exception carries where it says nothing by itself, and the members of a group.

    Args:
        problem: What left an attempt, or was told of it.
    """
    content = content_of(problem)
    if isinstance(content, BaseException) and content is not problem:
        yield content
    yield from itertools.islice(_members(content, _NESTED), _MEMBERS)


def _members(problem: object, depth: int) -> Iterator[BaseException]:
    """Yield the exceptions of a group, those of groups inside it included."""
    members = read(problem, "exceptions")
    if depth and isinstance(members, (tuple, list)):
        for member in members:
            if isinstance(member, BaseException):
                content = content_of(member)
                yield content if isinstance(content, BaseException) else member
                yield from _members(member, depth - 1)


def from_error(error: object) -> Claim:
    """Copy the facts of whatever a loop passes to `attempt.fail`.

    Args:
        error: An exception, or a future that holds one; a word (`"rate_limit"`) or a sentence; a mapping; a list of any
            of these; or an object with any of `status_code`, `code`, `message`, `reason`, `type`, `request_id`.
    """
    return _from_error(error, _NESTED)


def _from_error(error: object, depth: int) -> Claim:
    content = carried_by(error) if not isinstance(error, (BaseException, str, Mapping)) else error
    if isinstance(content, BaseException):
        return from_exception(content)
    if isinstance(error, (list, tuple)):
        return _of_several(Claim(), error, depth - 1) if depth else Claim()
    if isinstance(error, str):
        word, text = _word_or_text(error)
        return Claim(word=word, texts=(text,) if text else ())
    if error is None or isinstance(error, bool):
        return Claim()
    if isinstance(error, (bytes, bytearray)):
        return _from_bytes(bytes(error[:_TEXT]), depth)
    if isinstance(error, (int, enum.Enum)):
        status = http_status(error)
        return Claim(status=status) if status is not None else Claim(word=_word(error))
    claim = _from_mapping(error, depth) if isinstance(error, Mapping) else _from_attributes(error, ())
    return claim if _says_anything(claim) or claim.members else _from_inside(error, claim, depth)


def _from_bytes(error: bytes, depth: int) -> Claim:
    """Copy the facts of a body."""
    text = error.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    return _from_error(body, depth - 1) if isinstance(body, Mapping) and depth else Claim(texts=(text,))


def _from_inside(error: object, claim: Claim, depth: int) -> Claim:
    """Copy the facts of what a result holds that says nothing by itself; what cannot be read is no word of praise."""
    for name in _HOLDS if depth else ():
        value = error.get(name) if isinstance(error, Mapping) else read(error, name)
        if value is not None and value is not error and not callable(value):
            found = _from_error(value, depth - 1)
            if _says_anything(found) or found.members:
                return found
    return claim._replace(is_unread=True)


def _of_several(claim: Claim, errors: Iterable[object], depth: int) -> Claim:
    """Return a claim with those of several errors added: each counts.

    Args:
        claim: What is said beside them.
        errors: At most 32 are looked at.
        depth: How many lists may stand in one another.
    """
    claims = [_from_error(error, depth) for error in itertools.islice(errors, _MEMBERS)]
    if len(claims) == 1 and not _says_anything(claim):
        return claims[0]
    # A word is as good as a sentence here: "Error code: 503" is all that some exceptions say.
    claims = [each._replace(texts=(each.word,)) if each.word and not each.texts else each for each in claims]
    members = [member for each in claims for member in ((each.thing,) if _is_raised(each) else each.texts[:1])]
    every = (claim, *claims)
    return claim._replace(
        texts=tuple(dict.fromkeys(text for each in every for text in each.texts)),
        codes=frozenset(code for each in every for code in each.codes),
        request_ids=frozenset(name for each in every for name in each.request_ids),
        members=(*members, *(member for each in claims for member in each.members))[:_MEMBERS],
    )


def _is_raised(claim: Claim) -> bool:
    return isinstance(claim.thing, BaseException)


def _says_anything(claim: Claim) -> bool:
    facts = (claim.texts, claim.codes, claim.request_ids, claim.word, claim.type)
    return claim.status is not None or any(facts)


def _from_mapping(error: Mapping[Any, Any], depth: int) -> Claim:
    keys = [key for key in error if isinstance(key, str) and not any(word in key.lower() for word in _NO_CLAIM)]
    several: list[object] = [error[key] for key in keys if carried_by(error[key]) or _is_exception(error[key])]
    several += [error[key] for key in keys if isinstance(error[key], (str, Mapping)) and _names_provider(key)]
    for key in keys:
        if isinstance(listed := error[key], (list, tuple)) and (key in _ERRORS or any(map(_is_exception, listed))):
            several += listed
    if several and depth:
        taken = [*several, *(error[key] for key in _ERRORS if key in error)]
        rest = {key: value for key, value in error.items() if not any(value is each for each in taken)}
        return _of_several(_of_one(rest), several, depth - 1)
    return _of_one(error)


def _names_provider(key: str) -> bool:
    """Whether a key says whose error its value is: `openai`, `openai/gpt-5.5`."""
    return providers.canonical(key.partition("/")[0]) in providers.PROVIDERS


def _is_exception(value: object) -> bool:
    return isinstance(value, BaseException)


def _of_one(error: Mapping[Any, Any]) -> Claim:
    found = error_in(error)
    statuses = (http_status(error.get(name)) for name in _STATUS_KEYS)
    codes = [error.get("code"), *(found.codes if found else ())]
    word, sentence = _word_or_text(error.get("reason"))
    texts = [error.get("message"), *(found.messages if found else ()), sentence]
    return Claim(
        type=_word(error.get("type")),
        texts=tuple(dict.fromkeys(text[:_TEXT] for text in texts if isinstance(text, str) and text)),
        status=next((status for status in statuses if status is not None), None),
        codes=frozenset(code for code in codes if isinstance(code, str) and code),
        request_ids=frozenset(filter(None, [_word(error.get("request_id"))])),
        word=word,
        structured=isinstance(error.get("error"), Mapping) and _is_providers(found),
        thing=error,
    )


def _from_attributes(thing: object, texts: tuple[str, ...]) -> Claim:
    """Read what SDKs and agents put on their errors."""
    message, body, code = read(thing, "message"), read(thing, "body"), read(thing, "code")
    found = error_in(body) if isinstance(body, Mapping) else None
    statuses = (http_status(read(thing, name)) for name in _STATUS_KEYS)
    codes = [code, read(thing, "type"), read(thing, "status"), *(found.codes if found else ())]
    word, sentence = _word_or_text(read(thing, "reason"))
    more = (message, *(found.messages if found else ()), sentence)
    texts = (*texts, *(text for text in more if isinstance(text, str)))
    return Claim(
        texts=tuple(dict.fromkeys(text[:_TEXT] for text in texts if text)),
        status=next((status for status in statuses if status is not None), None),
        codes=frozenset(code for code in codes if isinstance(code, str) and 0 < len(code) < 128),
        request_ids=frozenset(filter(None, [_word(read(thing, "request_id"))])),
        word=word,
        structured=_is_providers(found) or (found is not None and response_of(thing) is not None),
        thing=thing,
    )


def _is_providers(found: ErrorBody | None) -> bool:
    """Whether a structured body is a provider's: loops have envelopes of their own."""
    return found is not None and any(code.lower() in reasons.PROVIDER_CODES for code in found.codes)


def _word_or_text(value: object) -> tuple[str | None, str | None]:
    """Return a loop's own word for a reason, or a sentence, which is a text like any other: one of the two is None."""
    word = _word(value)
    if word is None or not isinstance(value, str):
        return word, None
    if reasons.neutral(value) is not None:
        return word, None
    if len(value) <= _WORD and max(value.count(" "), len(value.split()) - 1) < _SPACES and not _is_sentence(value):
        return word, None
    return None, value[:_TEXT]


def _is_sentence(value: str) -> bool:
    """Whether a text is one though it has few spaces: in Chinese seven characters say as much as four words do."""
    if is_spaceless(value):
        return units(normalise(value)) >= _SPACELESS_WORD
    return ("%" in value or "+" in value) and normalise(value).count(" ") > value.count(" ")


def _word(value: object) -> str | None:
    """Return a short text, also where it is the value of an enum's member."""
    value = read(value, "value") if not isinstance(value, str) and read(value, "value") is not None else value
    return value[:255] if isinstance(value, str) and value else None
