"""What an answer under a 200 may be instead: an error, or a refusal. Imported late: looked at only where in doubt.

Gateways answer 200 before they know, and put the upstream's error into the body; MiniMax and Baidu always do. A model
that will not answer says so in its finish reason. Only what stands at the top of an answer counts: its text, a tool's
result or a filter's report may hold an error object too, and mean nothing by it.

An answer is an SDK's own object, or a decoded document (`Document`), which is read by the same names. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from otel_failover._core.evidence.answers.content import is_empty
from otel_failover._core.failsafe import read

_LONGEST: Final = 65_536
_SIGN: Final = re.compile(
    rb'"error"\s*:\s*[^\sn]|"error_code"\s*:\s*[^\s0]|"base_resp"|"(?:type|object)"\s*:\s*"error"'
)
"""What an error under a 200 has somewhere; `"error": null` stands on every answer of OpenAI's Responses."""
_SAYS: Final = ("message", "code", "type", "status", "metadata", "details", "innererror", "param", "error_type")
_USABLE: Final = (
    "content", "output", "data", "result", "results", "response", "text", "generated_text", "generations",
    "embeddings", "predictions", "completion", "images",
)  # fmt: skip
"""Where other answers stand than those whose parts `content` knows."""

_REFUSALS: Final = frozenset(
    {
        "content_filter", "content_filtered", "refusal", "safety", "recitation", "blocklist", "prohibited_content",
        "spii", "model_armor", "guardrail_intervened", "image_safety", "image_prohibited_content", "error_toxic",
        "sensitive",
    }
)  # fmt: skip
"""Finish reasons of an answer that was withheld: OpenAI's, Anthropic's, Google's, Bedrock's, Cohere's, Zhipu's."""


class Document:
    """A decoded answer, read by attributes as an SDK's object is.

    Args:
        it: A JSON object.
    """

    __slots__ = ("it",)

    def __init__(self, it: Mapping[str, Any]) -> None:
        self.it = it

    def __getattr__(self, name: str) -> Any:
        """Return a field by its name, or by Google's spelling of it."""
        found = self.it.get(name)
        if found is None and "_" in name:
            head, *rest = name.split("_")
            found = self.it.get(head + "".join(map(str.capitalize, rest)))
        return _seen(found)


def _seen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Document(value)
    return [_seen(each) for each in value] if isinstance(value, list) else value


def document(content: object, *, doubtful: bool = False) -> Document | None:
    """Return an answer's body, decoded; None where it is no JSON object, or shows no sign of an error.

    Args:
        content: Bytes that the host has read.
        doubtful: Decode it also where nothing in it looks like an error.
    """
    if not isinstance(content, bytes) or len(content) > _LONGEST:
        return None
    if not doubtful and _SIGN.search(content) is None:
        return None
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = _of_events(content)
    if isinstance(found, list) and found:
        found = found[-1]
    return Document(found) if isinstance(found, Mapping) else None


def looks_like_error(content: bytes) -> bool:
    """Whether something in a body, or in a part of one, may be an error: worth decoding.

    Args:
        content: As it came.
    """
    return _SIGN.search(content) is not None


def _of_events(content: bytes) -> Any:
    """Return the event of a stream that holds an error, where the host has read the whole stream as a body."""
    for line in content.splitlines():
        data = line.removeprefix(b"data:").strip()
        if data.startswith(b"{") and _SIGN.search(data) is not None:
            try:
                found = json.loads(data)
            except (ValueError, RecursionError):
                continue
            if isinstance(found, Mapping) and error_in(Document(found)) is not None:
                return found
    return None


# --- an error ---------------------------------------------------------------------------------------------------------


def error_in(answer: object) -> Any:
    """Return the error body that an answer is, as `error_body.error_in` takes it; None where it is an answer.

    Args:
        answer: An SDK's object, or a `Document`.
    """
    error = _plain(read(answer, "error"))
    if read(answer, "type") == "error" or read(answer, "object") == "error":
        return _plain(answer, (*_SAYS, "error", "request_id"))
    if error and read(answer, "status") == "failed":
        return {"error": error}
    if (chosen := _in_choices(answer, error)) is not None:
        return {"error": chosen}
    if isinstance(error, bool) or (not _says_something(error) and not _is_numbered(answer)):
        return None
    if _is_usable(answer):
        return None
    return _plain(answer, (*_SAYS, "error", "error_code", "error_msg", "base_resp", "request_id"))


def _says_something(error: Any) -> bool:
    if isinstance(error, Mapping):
        return any(error.get(name) for name in ("message", "code", "type"))
    return isinstance(error, str) and not error.isspace() and error != ""


def _is_numbered(answer: object) -> bool:
    """Whether an answer names the number of an error, which is 0 for none: MiniMax and Baidu."""
    number = read(answer, "error_code")
    given = read(read(answer, "base_resp"), "status_code") or _of_mapping(read(answer, "base_resp"), "status_code")
    return any(each not in (None, 0, "0", "") and isinstance(each, (int, str)) for each in (number, given))


def _of_mapping(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _in_choices(answer: object, error: Any) -> Any:
    """Return the error of an answer whose every choice ended with one; None where there is none."""
    choices = read(answer, "choices")
    if not isinstance(choices, list) or not choices:
        return None
    if any(_field(choice, "finish_reason") != "error" for choice in choices):
        return None
    said = [each for choice in choices if _says_something(each := _plain(_field(choice, "error")))]
    return next(iter(said), error if _says_something(error) else None)


def _field(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, Mapping) else read(thing, name)


def _is_usable(answer: object) -> bool:
    """Whether there is an answer beside the error."""
    if is_empty(answer) is False:
        return True
    if isinstance(read(answer, "choices"), list) or isinstance(read(answer, "candidates"), list):
        return False
    message = read(answer, "message")
    if message is not None and not isinstance(message, str):
        return True
    return any(read(answer, name) for name in _USABLE)


def _plain(value: Any, names: tuple[str, ...] = _SAYS) -> Any:
    """Return an error as it was decoded: SDKs make an object of the fields that they know."""
    if isinstance(value, Document):
        return value.it
    if value is None or isinstance(value, (str, int, float, Mapping)):
        return value
    found = {name: _plain(read(value, name)) for name in names}
    return {name: each for name, each in found.items() if each is not None and isinstance(each, (str, int, Mapping))}


# --- a refusal --------------------------------------------------------------------------------------------------------


def is_refusal(answer: object) -> bool:
    """Whether an answer was withheld for what it, or the prompt, holds.

    Args:
        answer: An SDK's object, a chunk of a stream, or a `Document`.
    """
    blocked = _word(read(read(answer, "prompt_feedback"), "block_reason"))
    if blocked and blocked not in ("block_reason_unspecified", "blocked_reason_unspecified"):
        return True
    words = [read(answer, "stop_reason"), read(read(answer, "incomplete_details"), "reason")]
    words.append(read(read(answer, "delta"), "stop_reason"))
    response = read(answer, "response")
    words.append(read(read(response, "incomplete_details"), "reason"))
    for name in ("choices", "candidates"):
        parts = read(answer, name)
        for each in parts if isinstance(parts, list) else ():
            words.append(read(each, "finish_reason"))
            if read(read(each, "message"), "refusal"):
                return True
    return any(_word(word) in _REFUSALS for word in words)


def _word(value: object) -> str:
    """Return a finish reason in small letters, also an enum's."""
    value = read(value, "value") if not isinstance(value, str) and value is not None else value
    return value.lower() if isinstance(value, str) else ""


def is_failed(answer: object) -> bool:
    """Whether an answer says of itself that it failed, though there may be text in it."""
    return read(answer, "status") == "failed"
