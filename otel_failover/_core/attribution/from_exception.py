"""What an exception, or whatever a loop passes for an error, claims.

An exception is read once, when it leaves an attempt: libraries add other candidates' texts to it later. Every read is
guarded, and nothing is written to it.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_failover._core.attribution.claim import Claim, http_status
from otel_failover._core.domain import reasons
from otel_failover._core.evidence import call_error
from otel_failover._core.evidence.call_error import response_of
from otel_failover._core.evidence.error_body import ErrorBody, error_in
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.text.normal_form import MINIMUM, is_spaceless, normalise, units

_NESTED: Final = 8
_MEMBERS: Final = 32
_TEXT: Final = 8_192
_STATUS_KEYS: Final = ("status_code", "status", "http_status", "code")
"""Where a status may stand, in the order of trust; many errors have it as their code."""
_WORD: Final = 48
"""A loop's own word for a reason is no longer than this, and has fewer spaces than a sentence."""
_SPACES: Final = 3


def from_exception(problem: BaseException) -> Claim:
    """Copy the facts of an exception."""
    return _from_attributes(problem, (text_of(problem),))._replace(
        type=call_error.qualified(type(problem)),
        members=tuple(itertools.islice(_members(problem, _NESTED), _MEMBERS)),
    )


def _members(problem: object, depth: int) -> Iterator[BaseException]:
    """Yield the exceptions of a group, those of groups inside it included."""
    members = read(problem, "exceptions")
    if depth and isinstance(members, (tuple, list)):
        for member in members:
            if isinstance(member, BaseException):
                yield member
                yield from _members(member, depth - 1)


def from_error(error: object) -> Claim:
    """Copy the facts of whatever a loop passes to `attempt.fail`.

    Args:
        error: An exception; a word (`"rate_limit"`) or a sentence; a mapping; or an object with any of `status_code`,
            `code`, `message`, `reason`, `type`, `request_id`.
    """
    if isinstance(error, BaseException):
        return from_exception(error)
    if isinstance(error, str):
        word, text = _word_or_text(error)
        return Claim(word=word, texts=(text,) if text else ())
    if isinstance(error, Mapping):
        return _from_mapping(error)
    if error is None:
        return Claim()
    if isinstance(error, (int, enum.Enum)) and not isinstance(error, bool):
        status = http_status(error)
        return Claim(status=status) if status is not None else Claim(word=_word(error))
    return _from_attributes(error, ())


def _from_mapping(error: Mapping[Any, Any]) -> Claim:
    found = error_in(error)
    statuses = (http_status(error.get(name)) for name in _STATUS_KEYS)
    codes = [error.get("code"), *(found.codes if found else ())]
    word, sentence = _word_or_text(error.get("reason"))
    texts = [error.get("message"), found.message if found else None, sentence]
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
    more = (message, found.message if found else None, sentence)
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
    if len(value) <= _WORD and value.count(" ") < _SPACES and not _is_spaceless_sentence(value):
        return word, None
    return None, value[:_TEXT]


def _is_spaceless_sentence(value: str) -> bool:
    """Whether a text without spaces is a sentence: in Chinese eight characters say as much as five words do."""
    return is_spaceless(value) and units(normalise(value)) >= MINIMUM


def _word(value: object) -> str | None:
    """Return a short text, also where it is the value of an enum's member."""
    value = read(value, "value") if not isinstance(value, str) and read(value, "value") is not None else value
    return value[:255] if isinstance(value, str) and value else None
