"""Whether two calls ask the same: what a model was asked, as hashes of this process; never its text.

Read only where it matters, after a failure, and from the body that the SDK was given, in whatever dialect: OpenAI's
messages and responses, Anthropic's, Gemini's, Bedrock's.
"""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from otel_failover._core.failsafe import guarded, read

_TURNS: Final = ("messages", "input", "contents")
_ALONE: Final = ("prompt", "message", "inputs")
_SYSTEM: Final = ("system", "instructions", "system_instruction", "systemInstruction", "preamble")
_PARTS: Final = ("content", "parts")
_USERS: Final = frozenset({"user", "human", "USER", ""})
_ABOVE: Final = frozenset({"system", "developer"})
_TOOLS: Final = frozenset({"tool", "function"})
_RESULTS: Final = ("tool_result", "function_call_output")
_RESULT_KEYS: Final = ("toolResult", "functionResponse", "function_response")
_ANSWERED: Final = ("content", "output", "response", "result")
_START: Final = 64
_TAIL: Final = 32
_MOST: Final = 65_536
_FIRST: Final = 4
_DEPTH: Final = 5


class Question(NamedTuple):
    """What was asked.

    Args:
        asked: Of the user's last text, the parts beside it, and the results of tools after it.
        system: Of the start of the system's text; None where there is none.
        tools: Of the tools' names; None where none are offered.
        previous: Of the answer that it goes on from; None where it starts by itself.
    """

    asked: int
    system: int | None = None
    tools: int | None = None
    previous: int | None = None

    def is_like(self, other: "Question") -> bool:
        """Whether another call asks the same: equal, and equal in whatever both have besides.

        Args:
            other: What that asks.
        """
        return self.asked == other.asked and all(
            mine is None or theirs is None or mine == theirs for mine, theirs in zip(self[1:], other[1:], strict=True)
        )


@guarded(fallback=None)
def question_of(body: object) -> Question | None:
    """Return what a body asks; None where no text of a user is found in it.

    Args:
        body: As the SDK was given it: a mapping, in the dialect of its provider.
    """
    body = _unpacked(body)
    turns = _turns(body)
    results: list[str] = []
    for turn in reversed(turns):
        role = _role_of(turn)
        parts = _parts_of(turn)
        results += [_answer_of(part) for part in reversed(parts) if role in _TOOLS or _is_result(part)]
        if role not in _USERS:
            continue
        texts = [_folded(text) for part in parts if not _is_result(part) and (text := _text_of(part))]
        if any(texts):
            others = [_longest(part)[-_TAIL:] for part in parts if not _is_result(part) and not _text_of(part)]
            last = results[0] if results else ""
            asked = hash((tuple(texts), tuple(others), len(results), last))
            previous = _get(body, "previous_response_id")
            return Question(asked, _system(body, turns), _tools(body), hash(previous) if previous else None)
    return None


def _unpacked(body: object) -> object:
    """Return a body; Bedrock's `InvokeModel` is given its vendor's as JSON."""
    packed = _get(body, "body")
    if isinstance(packed, (str, bytes, bytearray)) and len(packed) <= _MOST:
        try:
            return json.loads(packed)
        except ValueError:
            return body
    return body


def _turns(body: object) -> list[Any]:
    """Return who said what, in order; a text alone is the user's."""
    for name in _TURNS:
        found = _get(body, name)
        if isinstance(found, (list, tuple)):
            return list(found)
        if found:
            return [found]
    return [found for name in _ALONE if isinstance(found := _get(body, name), str) and found][:1]


def _role_of(turn: object) -> str:
    """Return whose turn it is; empty for a text or a part alone, which is the user's."""
    role = _get(turn, "role")
    return role if isinstance(role, str) else ""


def _parts_of(turn: Any) -> list[Any]:
    """Return the pieces of a turn: a text, or parts that are texts, images, results of tools."""
    if isinstance(turn, str):
        return [turn]
    for name in _PARTS:
        found = _get(turn, name)
        # A tool's result has a content of its own, and is one piece.
        if found is not None and not _is_result(turn):
            return list(found) if isinstance(found, (list, tuple)) else [found]
    return [turn]


def _is_result(part: object) -> bool:
    return _get(part, "type") in _RESULTS or any(_get(part, name) is not None for name in _RESULT_KEYS)


def _answer_of(part: object) -> str:
    """Return what a tool has answered, without the id of its call."""
    inner = next((each for name in _RESULT_KEYS if (each := _get(part, name)) is not None), part)
    return _longest(next((each for name in _ANSWERED if (each := _get(inner, name)) is not None), inner))


def _text_of(part: object) -> str | None:
    text = part if isinstance(part, str) else _get(part, "text")
    return text if isinstance(text, str) else None


def _longest(part: object, depth: int = _DEPTH) -> str:
    """Return the longest text inside: an image's data or address, what a tool has answered."""
    if isinstance(part, str):
        return part
    if not depth or part is None:
        return ""
    if isinstance(part, Mapping):
        inner: Any = part.values()
    elif isinstance(part, (list, tuple)):
        inner = part
    else:
        inner = (read(part, "__dict__") or {}).values()  # type: ignore[attr-defined]
    return max((_longest(each, depth - 1) for each in inner), key=len, default="")


def _folded(text: str) -> str:
    """Return a text with its white space folded; of a very long one, its two ends."""
    if len(text) > _MOST:
        text = f"{text[: _MOST // 2]} {len(text)} {text[-_MOST // 2 :]}"
    return " ".join(text.split())


def _system(body: object, turns: list[Any]) -> int | None:
    """Return a hash of the start of the system's text, wherever the dialect has it."""
    config = _get(body, "config")
    given = [_get(body, name) for name in _SYSTEM] + [_get(config, "system_instruction")]
    given += [part for turn in turns[:_FIRST] if _role_of(turn) in _ABOVE for part in _parts_of(turn)]
    found = next((text for each in given if each and (text := _folded(_longest(each)))), "")
    return hash(found[:_START]) if found else None


def _tools(body: object) -> int | None:
    """Return a hash of the names of the tools that are offered."""
    given = _get(body, "tools") or _get(_get(body, "toolConfig"), "tools")
    if not isinstance(given, (list, tuple)):
        return None
    names = {_get(each, "name") or _get(_get(each, "function"), "name") or _get(_get(each, "toolSpec"), "name")
             for each in given}  # fmt: skip
    return hash(frozenset(names)) if names and all(isinstance(name, str) for name in names) else None


def _get(thing: object, name: str) -> Any:
    """Return a field of a mapping, or of an SDK's own object; a text has none."""
    if isinstance(thing, Mapping):
        return thing.get(name)
    return None if thing is None or isinstance(thing, (str, bytes, list, tuple)) else read(thing, name)
