"""What an error body says under unusual keys, and what a gateway relays in it. Imported late: most errors have neither.

A gateway answers with an envelope of its own around what its upstream said: as text or JSON in `metadata.raw`
(OpenRouter), or escaped inside the message (litellm's proxy, and whoever answers with `str()` of an SDK's exception).
That is read one level down. Who the upstream is (`provider_name`) names nobody: the gateway was asked.

Pure: no OpenTelemetry, no clock.
"""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

import ast
import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from otel_failover._core.domain.reasons.deciding import DASHSCOPE, numbered

_LONGEST: Final = 16_384
_CODE: Final = 128
_EARLIER: Final = 8
_STATUSES: Final = range(400, 600)
_NO_CODES: Final = frozenset({"error", "none", "null", "failure", "failed", "fail", "success"})
_MESSAGES: Final = ("error_msg", "message", "detail", "title", "error_description")
_OPENS: Final = ("- ", ": ", "b'", 'b"', "] ", "'", '"', "\n", "(")
_WAITS: Final = ("retry_after_seconds", "retry_after", "estimated_time")


class Unusual(NamedTuple):
    """What stands in an error body beside its usual keys.

    Args:
        message: Its sentence, where that stands elsewhere.
        words: Further codes, which say more than the usual ones.
        numbers: The providers' own, as `reasons.from_answer` takes them.
        stated: A status that the body states.
        note: Sentences that are no message: a `title`, a `code` that is one.
        wait: Seconds to wait.
        relayed: What a gateway's upstream said: text, or a decoded body.
        earlier: What upstreams said that the gateway asked before: never the reason.
    """

    message: str = ""
    words: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    stated: int | None = None
    note: str = ""
    wait: object = None
    relayed: object = None
    earlier: tuple[object, ...] = ()


def is_code(word: object) -> bool:
    """Whether a value is a structured code: xAI writes a sentence in its place, others a status or `None`."""
    return isinstance(word, str) and 0 < len(word) <= _CODE and " " not in word and word.lower() not in _NO_CODES


def is_status(word: str) -> bool:
    """Whether a code is a status in quotes: litellm's proxy writes it so."""
    return len(word) == len("429") and _number(word) in _STATUSES


def unusual(body: Mapping[str, Any], error: Mapping[str, Any], space: str) -> Unusual:
    """Read what the usual keys do not hold.

    Args:
        body: The decoded body.
        error: The error in it; the body itself where it has no envelope.
        space: The key that its code stands under, for a number.
    """
    base = _mapping(body.get("base_resp"))
    metadata, inner = _mapping(error.get("metadata")), _mapping(error.get("innererror"))
    words: list[Any] = [
        inner.get("code"),
        metadata.get("limit_source"),
        metadata.get("reason"),
        metadata.get("error_type"),
    ]
    words += [error.get("error_type"), error.get("error_code"), body.get("error_type"), body.get("error_code")]
    if "request_id" in body and error is not body and error.get("code") == error.get("type") == "insufficient_quota":
        words.append(DASHSCOPE)
    given = [error.get("code"), error.get("status"), error.get("status_code"), error.get("http_code")]
    given += [body.get("code"), body.get("status"), body.get("status_code")]
    numbers = [
        (space, error.get("code")),
        ("error_code", body.get("error_code")),
        ("base_resp", base.get("status_code")),
    ]
    relayed, also = metadata.get("raw"), metadata.get("previous_errors") or body.get("previous_errors")
    if "flagged_input" in metadata:
        words.append("content_policy")
    return Unusual(
        message=_text(base.get("status_msg")) or next(_sentences(error), ""),
        words=tuple(word for word in words if is_code(word)),
        numbers=tuple(_numbered(numbers)),
        stated=next((status for each in given if (status := _number(each)) in _STATUSES), None),
        note=" ".join(_notes(body, error)),
        wait=_wait((error, metadata, body), metadata.get("headers")),
        relayed=relayed,
        earlier=tuple(also[:_EARLIER]) if isinstance(also, list) else (),
    )


def _numbered(given: list[tuple[str, Any]]) -> Iterator[str]:
    """Yield the providers' own numbers; a status is none."""
    for space, value in given:
        number = _number(value)
        if number is not None and (number not in _STATUSES or space == "error_code"):
            yield numbered(space, number)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    """Return an integer, also where it stands in quotes."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 8:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value else None


def _sentences(error: Mapping[str, Any]) -> Iterator[str]:
    """Yield what may be the message: Mistral puts FastAPI's list of problems there."""
    for name in _MESSAGES:
        value = error.get(name)
        while isinstance(value, (Mapping, list)) and value:
            value = (
                value[0] if isinstance(value, list) else value.get("detail") or value.get("msg") or value.get("message")
            )
        if isinstance(value, str) and value:
            yield value


def _notes(body: Mapping[str, Any], error: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sentences that are no message."""
    for value in (error.get("code"), error.get("title"), body.get("title")):
        if isinstance(value, str) and " " in value:
            yield value


def _wait(places: tuple[Mapping[str, Any], ...], headers: object) -> object:
    for place in places:
        for name in _WAITS:
            if place.get(name) is not None:
                return place[name]
    given = _mapping(headers)
    return next((given[name] for name in given if isinstance(name, str) and name.lower() == "retry-after"), None)


# --- what is relayed --------------------------------------------------------------------------------------------------


def decoded(relayed: object) -> object:
    """Return what an upstream said as it was decoded, its text where it is no JSON.

    Args:
        relayed: Of a gateway: text, JSON as text, or decoded already.
    """
    if not isinstance(relayed, str):
        return relayed
    text = relayed[:_LONGEST].strip()
    if text.startswith("data:"):  # an event of the upstream's stream
        text = text[5:].strip()
    if text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text


def body_in(message: str) -> Mapping[str, Any] | None:
    """Return the error body that stands inside a message, escaped or as Python writes it; None where none does.

    Only one that has the form of an error: a message may quote a schema, or what a prompt holds.

    Args:
        message: Of an error.
    """
    start = message.find("{")
    if start == -1 or (start and not message[:start].endswith(_OPENS)):
        return None
    found = _parsed(message[start : start + _LONGEST])
    if not isinstance(found, Mapping):
        return None
    error = found.get("error") or found.get("Error") or found.get("errors")
    if isinstance(error, (str, Mapping, list)) and error:
        return found
    return found if isinstance(found.get("message"), str) and (found.get("code") or found.get("type")) else None


def _parsed(text: str) -> object:
    """Decode the object that a text starts with: JSON, JSON whose quotes are escaped, or Python's own writing."""
    for candidate in (text, text.replace('\\"', '"').replace("\\n", " "), text.replace("\\\\", "\\")):
        with contextlib.suppress(ValueError, RecursionError):
            return json.JSONDecoder(strict=False).raw_decode(candidate)[0]
    try:
        return ast.literal_eval(text[: text.rindex("}") + 1])
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None
