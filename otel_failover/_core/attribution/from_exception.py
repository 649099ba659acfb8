"""What somebody says about an error, copied out of foreign objects.

An exception is read once, when it leaves an attempt: libraries add other candidates' texts to it later. Every read is
guarded, and nothing is written to it.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_failover._core.attribution.claim import Said
from otel_failover._core.domain import reasons
from otel_failover._core.evidence import call_error
from otel_failover._core.evidence.carried_response import response_of
from otel_failover._core.evidence.error_body import ErrorBody, error_in
from otel_failover._core.failsafe import read, text_of

_DEPTH: Final = 8
_MEMBERS: Final = 32
_TEXT: Final = 8_192
_WORD: Final = 48
_SPACES: Final = 3


def from_exception(problem: BaseException) -> Said:
    """Copy the facts of an exception."""
    said = _from_attributes(problem, (text_of(problem),))
    return Said(
        type=call_error.qualified(type(problem)),
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
