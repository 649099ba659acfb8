"""What an answer holds: whether there is anything in it, whether its text reads like an error, what a chunk adds.

Read from the SDKs' own response objects, by the shapes of OpenAI's, Anthropic's and Google's; of any other shape
nothing is concluded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.failsafe import read
from otel_failover._core.text.matching import KNOWN_WORDING, normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONGEST: Final = 400
"""An answer longer than this is no error message."""

_USUAL: Final = frozenset({"stop", "length", None})
"""Finish reasons of an answer beside whose text nothing else is to be looked for."""
_SAID_ANYWAY: Final = ("tool_calls", "function_call", "refusal", "audio")
_NO_TEXT: Final = ("function_call", "inline_data", "executable_code", "code_execution_result")
_SILENT: Final = frozenset({"reasoning", "thinking", "redacted_thinking"})


def is_empty(answer: object) -> bool | None:
    """Return whether an answer has neither text nor a tool call; None where its shape is not known."""
    parts = _parts(answer)
    return None if parts is None else not any(_says(part) for part in parts)


def is_common(answer: Any) -> bool:
    """Whether an answer is the common one, on every request: a chat completion whose text ended as usual."""
    try:
        choice = answer.choices[0]
        text = choice.message.content
        return type(text) is str and text != "" and not text.isspace() and choice.finish_reason in _USUAL
    except Exception:
        return False


def reads_like_error(answer: object) -> bool | None:
    """Return whether the text of an answer is a provider's or an agent's error message; None where it has no text."""
    parts = _parts(answer)
    text = "".join(filter(None, map(_text, parts))) if parts is not None else ""
    if not text or len(text) > _LONGEST:
        return None if not text else False
    plain = normalise(text)
    return any(wording in plain for wording in KNOWN_WORDING)


def _parts(answer: object) -> list[Any] | None:
    """Return the parts of an answer: messages, content blocks, output items."""
    choices = read(answer, "choices")
    if isinstance(choices, list):
        return [read(choice, "message") or choice for choice in choices]
    candidates = read(answer, "candidates")
    if isinstance(candidates, list):
        return list(_flat(read(read(each, "content"), "parts") for each in candidates))
    content = read(answer, "content") if read(answer, "stop_reason") else read(answer, "output")
    return list(content) if isinstance(content, list) else None


def _flat(lists: Iterable[Any]) -> Iterator[Any]:
    for each in lists:
        yield from each or ()


def _says(part: Any) -> bool:
    """Whether a part of an answer is anything for whoever asked: text, a tool call, a picture."""
    if any(read(part, name) for name in _SAID_ANYWAY):
        return True
    kind = read(part, "type")
    if kind in _SILENT or read(part, "thought") is True:
        return False
    if kind not in (None, "text", "message", "output_text"):
        return True
    if kind is None and any(read(part, name) for name in _NO_TEXT):
        return True
    text = _text(part)
    return bool(text and text.strip())


def _text(part: Any) -> str | None:
    for name in ("text", "content"):
        value = read(part, name)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return "".join(filter(None, map(_text, value)))
    return None


# --- chunks of a stream -----------------------------------------------------------------------------------------------

WORDLESS: Final = " "
"""What stands for output that is no text: a piece of a tool call, of a thought."""

_WORDLESS: Final = ("tool_calls", "function_call", "partial_json", "thinking", "refusal")


def chunk_text(chunk: object) -> str:
    """Return the text that a stream's chunk adds, in the shapes of OpenAI's and Anthropic's SDKs."""
    if isinstance(chunk, str):
        return chunk
    choices = read(chunk, "choices")
    delta = read(choices[0], "delta") if isinstance(choices, list) and choices else read(chunk, "delta")
    if isinstance(delta, str):
        return delta
    if delta is None and isinstance(choices, list) and choices:  # a completion's, which has no delta
        chunk = choices[0]
    text = read(delta, "content") or read(delta, "text") or read(chunk, "text") or wordless(delta)
    return text if isinstance(text, str) else ""


def wordless(delta: object) -> str:
    """Return `WORDLESS` where a piece of a stream is output though it has no text."""
    return WORDLESS if delta is not None and any(read(delta, name) for name in _WORDLESS) else ""
