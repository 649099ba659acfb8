"""Whether two calls ask the same: what a model was asked, as hashes of this process; never its text.

Read only where it matters, after a failure, and from the body that the SDK was given or that was sent, in whatever
dialect: a conversation that is told in two of them is one question.

| dialect | who said what | a tool's result |
|---|---|---|
| OpenAI's chat, Groq, Mistral, vLLM … | `messages`, text or parts | a message of the role `tool` |
| OpenAI's responses, LM Studio | `input`: a text, or items | an item `…_call_output` |
| Anthropic, Bedrock Converse | `messages` of blocks | a block `tool_result`, `toolResult` in a user's message |
| Gemini, Vertex AI | `contents` of parts | a part `functionResponse` |
| Gemini's interactions | `input`: a text, parts, or turns | a part `function_result` |
| Mistral's conversations | `inputs`: a text, or entries | an entry `function.result` |
| Cohere 2, Ollama, DashScope (`input.messages`) | as OpenAI's | as OpenAI's |
| Cohere 1 | `chat_history`, then `message` | `tool_results` |
| completions, watsonx, TGI, Replicate | a text alone | none |

What users say in a row is one text: dialects whose turns alternate have it so.

What the system says is compared whole within one dialect: a document, or an agent's part, may stand behind many equal
words. Across two it is compared by its first half only, since a loop may add a word for one of them at its end. The
model's own name and times of day are no difference. A system that says nothing is another than one that says something,
where its dialect has a place for it: a router before the model, and the model.

In one file: a question is read in one pass over a body, and each dialect is a line or two of it.
"""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from otel_failover._core.failsafe import guarded, read
from otel_failover._core.text.escapes import compiled

_TURNS: Final = ("messages", "contents", "input", "inputs")
_ALONE: Final = ("prompt", "message", "inputText")
_SYSTEM: Final = ("system", "instructions", "system_instruction", "systemInstruction", "preamble", "system_prompt")
_PARTS: Final = ("content", "parts", "message")
_USERS: Final = frozenset({"user", "human", ""})
_ABOVE: Final = frozenset({"system", "developer"})
_TOOLS: Final = frozenset({"tool", "function"})
_SAID_BY_NOBODY: Final = "item"
"""Stands for the role of an item that has none and is no user's: a call of a tool, a thought."""
_USERS_PARTS: Final = frozenset(
    {
        "text", "input_text", "message", "message.input", "image", "image_url", "input_image", "audio", "input_audio",
        "file", "input_file", "document", "video",
    }
)  # fmt: skip
"""Types of what a user says where no role says so."""
_RESULTS: Final = frozenset({"tool_result", "function_result", "function.result"})
_OUTPUT: Final = "_call_output"
_RESULT_KEYS: Final = ("toolResult", "functionResponse", "function_response")
_ANSWERED: Final = ("content", "output", "outputs", "response", "result")
_WRAPPERS: Final = ("text", "json", "result", "output", "response", "content", "document", "data")
_BESIDE: Final = frozenset({"type", "id", "status", "annotations", "cache_control", "name", "citations", "title"})
"""What may stand beside what a tool has answered, and is not the tool's."""
_NOTHING: Final = ("cachePoint", "cache_point")
_PREVIOUS: Final = ("previous_response_id", "previous_interaction_id", "conversation")
_GUARD: Final = "guard"
"""In the name of each: Llama Guard, Granite Guardian, gpt-oss-safeguard, Qwen3Guard, NemoGuard, WildGuard."""
_HOSTED: Final = (*_PREVIOUS, "cachedContent", "cached_content", "agent_id", "assistant_id")
"""With one of these the provider may hold what the system says."""
_CLOCK: Final = r"\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?"
_START: Final = 64
_TAIL: Final = 32
_SAMPLES: Final = 16
_PLACE: Final = 48
"""Characters of a sample; those of so many bytes are whole groups of three."""
_NAME: Final = 2
"""Characters from which on a model's name is looked for in what the system says."""
_MOST: Final = 65_536
_WHOLE: Final = 1_048_576
"""Bytes of a body that are parsed; a longer one asks a question that is not known."""
_FIRST: Final = 4
_DEPTH: Final = 6


class System(NamedTuple):
    """What the system says: hashes of it as it stands, and of it without the model's name and times of day.

    Args:
        dialect: Where it stands in a body.
        whole: Of all of it.
        starts: Of its first 64 characters, 128, 256 …, up to half of it.
    """

    dialect: int
    whole: tuple[int, int]
    starts: tuple[tuple[int, int], ...]

    def is_like(self, other: "System") -> bool:
        """Whether another says the same.

        Args:
            other: What is said there.
        """
        if self.dialect == other.dialect:
            mine, theirs = self.whole, other.whole
        else:
            shorter = min(len(self.starts), len(other.starts)) - 1
            mine, theirs = self.starts[shorter], other.starts[shorter]
        return mine[0] == theirs[0] or mine[1] == theirs[1]


SILENT: Final = System(0, (0, 0), ((0, 0),))
"""Of a body that has a place for it, where nothing stands."""


class Question(NamedTuple):
    """What was asked.

    Args:
        asked: Of the user's last text, the parts beside it, and the results of tools after it.
        system: Of the system's text, `SILENT` where it says nothing; None where that cannot be told.
        tools: Of the tools' names; None where none are offered.
        previous: Of the answer that it goes on from; None where it starts by itself.
        schema: Of the name of the schema that the answer shall have; None where it has none.
    """

    asked: int
    system: System | None = None
    tools: int | None = None
    previous: int | None = None
    schema: int | None = None

    def is_like(self, other: "Question") -> bool:
        """Whether another call asks the same: equal, and equal in whatever both have besides.

        Args:
            other: What that asks.
        """
        if self.asked != other.asked:
            return False
        said, there = self.system, other.system
        if said is not None and there is not None and not said.is_like(there):
            return False
        return all(
            mine is None or theirs is None or mine == theirs for mine, theirs in zip(self[2:], other[2:], strict=True)
        )


@guarded(fallback=None)
def question_of(body: object, model: str = "") -> Question | None:
    """Return what a body asks; None where no text of a user is found in it.

    Args:
        body: As the SDK was given it, a mapping in the dialect of its provider; or as it was sent, in bytes.
        model: That is asked. One that guards others is given what they are, and asked whether it is safe.
    """
    body = _unpacked(body)
    turns = _turns(body)
    texts: list[str] = []
    others: list[object] = []
    results: list[str] = []
    for piece, is_result in _backwards(turns):
        if is_result:
            if texts:  # of an earlier question
                break
            results.append(_told(piece))
        elif piece is None:  # somebody else's turn
            if texts:
                break
        elif isinstance(text := _text_of(piece), str):
            texts += [text] if text and not text.isspace() else []
        elif not any(_get(piece, name) is not None for name in _NOTHING):
            others.append(_marks_of(_longest(piece)))
    if not texts:
        return None
    told = (_folded(" ".join(reversed(texts))), tuple(reversed(others)), len(results), "".join(results[:1]))
    asked = hash((*told, _GUARD) if _GUARD in model.lower() else told)
    previous = next((found for name in _PREVIOUS if (found := _get(body, name))), None)
    went_before = hash(_longest(previous)) if previous else None
    return Question(asked, _system(body, turns, model), _tools(body), went_before, _schema(body))


def _unpacked(body: object) -> object:
    """Return a body; Bedrock's `InvokeModel` is given its vendor's as JSON."""
    packed = body if isinstance(body, (bytes, bytearray)) else _get(body, "body")
    if isinstance(packed, (str, bytes, bytearray)) and len(packed) <= _WHOLE:
        try:
            return json.loads(packed)
        except (ValueError, RecursionError):
            return None if packed is body else body
    return body


# --- who said what ----------------------------------------------------------------------------------------------------


def _turns(body: object) -> list[Any]:
    """Return who said what, in order; a text alone is the user's."""
    if isinstance(inner := _get(body, "input"), Mapping):  # DashScope's, Replicate's
        body = inner
    for name in _TURNS:
        found = _get(body, name)
        if isinstance(found, (list, tuple)) and found:
            return list(found)
        if found:
            return [found]
    alone = next((found for name in _ALONE if (found := _get(body, name))), None)
    if not isinstance(alone, (str, list)) and not _get(body, "tool_results"):
        return []
    history, results, images = (_get(body, name) for name in ("chat_history", "tool_results", "images"))
    turns = list(history) if isinstance(history, (list, tuple)) else []
    if alone:
        turns.append({"role": "user", "content": alone, "images": images})
    return [*turns, {"role": "tool", "tool_results": results}] if isinstance(results, (list, tuple)) else turns


def _backwards(turns: list[Any]) -> Iterator[tuple[Any, bool]]:
    """Yield what users said and tools answered, the last first, and which it is; None for anybody else's turn."""
    for turn in reversed(turns):
        role = _role_of(turn)
        if role in _TOOLS:
            yield from ((each, True) for each in reversed(_results_of(turn)))
        elif role in _USERS:
            for part in reversed(_parts_of(turn)):
                found = _is_result(part)
                yield (_answer_of(part) if found else part), found
        elif role not in _ABOVE:
            yield None, False


def _role_of(turn: object) -> str:
    """Return whose turn it is, in small letters; empty for a text or a part alone, which is the user's."""
    role = _get(turn, "role")
    if isinstance(role, str):
        return role.lower()
    kind = _get(turn, "type")
    if not isinstance(kind, str) or kind in _USERS_PARTS or _is_result(turn):
        return ""
    return _SAID_BY_NOBODY


def _parts_of(turn: Any) -> list[Any]:
    """Return the pieces of a turn: a text, or parts that are texts, images, results of tools."""
    if isinstance(turn, str) or _is_result(turn):
        return [turn]
    for name in _PARTS:
        found = _get(turn, name)
        if found is not None:
            parts = list(found) if isinstance(found, (list, tuple)) else [found]
            images = _get(turn, "images")  # Ollama's stand beside the text
            return [*parts, *({"image": each} for each in images)] if isinstance(images, (list, tuple)) else parts
    return [] if _get(turn, "role") is not None else [turn]


def _text_of(part: object) -> str | None:
    text = part if isinstance(part, str) else _get(part, "text")
    if text is None:
        text = _get(_get(_get(part, "guardContent"), "text"), "text")
    return text if isinstance(text, str) else None


# --- what tools have answered -----------------------------------------------------------------------------------------


def _is_result(part: object) -> bool:
    kind = _get(part, "type")
    if isinstance(kind, str) and (kind in _RESULTS or kind.endswith(_OUTPUT)):
        return True
    return any(_get(part, name) is not None for name in _RESULT_KEYS)


def _results_of(turn: Any) -> list[Any]:
    """Return what tools answered in a turn of theirs: one thing, in however many parts, unless each part is one."""
    several = _get(turn, "tool_results")
    if isinstance(several, (list, tuple)):
        return [_answer_of(each) for each in several]
    parts = _parts_of(turn)
    if any(map(_is_result, parts)):
        return [_answer_of(each) for each in parts if _is_result(each)]
    return [parts]


def _answer_of(part: object) -> Any:
    """Return what a tool has answered, without the id of its call."""
    inner = next((each for name in _RESULT_KEYS if (each := _get(part, name)) is not None), part)
    return next((each for name in _ANSWERED if (each := _get(inner, name)) is not None), "")


def _told(answer: Any, depth: int = _DEPTH) -> str:
    """Return what a tool has answered as a text, the same whether it was told as a text, as JSON, or in parts."""
    if isinstance(answer, str):
        if depth and answer.lstrip()[:1] in ("{", "[") and len(answer) <= _MOST:
            try:
                return _told(json.loads(answer), depth - 1)
            except (ValueError, RecursionError):
                pass
        return _folded(answer)
    if not depth or answer is None:
        return ""
    if isinstance(answer, (list, tuple)):
        return " ".join(filter(None, (_told(each, depth - 1) for each in answer)))
    if isinstance(answer, (bool, int, float)):
        return json.dumps(answer)
    if not isinstance(answer, Mapping):
        text = _text_of(answer)
        return _folded(text) if text is not None else str(_marks_of(_longest(answer)))
    wrapper = next((name for name in _WRAPPERS if answer.get(name) is not None), None)
    if wrapper is not None and answer.keys() - _BESIDE == {wrapper}:
        return _told(answer[wrapper], depth - 1)
    return " ".join(f"{name} {_told(answer[name], depth - 1)}" for name in sorted(answer, key=str))


# --- texts ------------------------------------------------------------------------------------------------------------


def _longest(part: object, depth: int = _DEPTH) -> "str | bytes | bytearray":
    """Return the longest text inside: an image's data or address."""
    if isinstance(part, (str, bytes, bytearray)):
        return part
    if not depth or part is None:
        return ""
    if isinstance(part, Mapping):
        inner: Any = part.values()
    elif isinstance(part, (list, tuple)):
        inner = part
    else:
        inner = (read(part, "__dict__") or {}).values()  # type: ignore[attr-defined]
    return max((_longest(each, depth - 1) for each in inner), key=_length, default="")


def _length(text: "str | bytes | bytearray") -> int:
    """Return the length of a text, of bytes as they stand in JSON, in Base64."""
    return len(text) if isinstance(text, str) else (4 * len(text) + 2) // 3


def _marks_of(text: "str | bytes | bytearray") -> object:
    """Return what tells an image, or its address, from others: all of a short one, else its length and samples.

    Scanned pages end alike, and so do the addresses of one service; to hash megabytes would stall an event loop.
    """
    if isinstance(text, str):
        if text[:5] == "data:":
            text = text[text.find(",") + 1 :]
        text = text.rstrip("=")
    length, last = _length(text), _SAMPLES - 1
    if length <= _SAMPLES * _PLACE:
        return text if isinstance(text, str) else base64.b64encode(text).decode("ascii").rstrip("=")
    # In Base64, four characters are three bytes.
    step = (length - _PLACE) // last // 4 * 4
    starts = [at * step for at in range(last)]
    if isinstance(text, str):
        return (length, *(text[at : at + _PLACE] for at in starts), text[-_TAIL:])
    ends = base64.b64encode(text[max(0, len(text) - 2 * _PLACE) // 3 * 3 :]).decode("ascii").rstrip("=")
    sampled = (base64.b64encode(text[at // 4 * 3 : (at + _PLACE) // 4 * 3]).decode("ascii") for at in starts)
    return (length, *sampled, ends[-_TAIL:])


def _folded(text: str) -> str:
    """Return a text with its white space folded; of a very long one, its two ends."""
    if len(text) > _MOST:
        text = f"{text[: _MOST // 2]} {len(text)} {text[-_MOST // 2 :]}"
    return " ".join(text.split())


def _texts_in(said: object, depth: int = _DEPTH) -> Iterator[str]:
    """Yield the texts of what a system says: one, or in parts."""
    text = _text_of(said)
    if text is not None:
        yield text
    elif depth and isinstance(said, (list, tuple)):
        for each in said:
            yield from _texts_in(each, depth - 1)
    elif depth and said is not None:
        inner = next((found for name in _PARTS if (found := _get(said, name)) is not None), None)
        yield from _texts_in(inner, depth - 1)


# --- what stands beside it --------------------------------------------------------------------------------------------


def _around(body: object) -> tuple[Any, ...]:
    """Return a body, and what it keeps its options in."""
    return body, *(_get(body, name) for name in ("config", "input", "parameters", "toolConfig", "options"))


def _system(body: object, turns: list[Any], model: str) -> System | None:
    """Return hashes of what the system says, wherever the dialect has it; None where that cannot be told."""
    given = [(name, found) for place in _around(body) for name in _SYSTEM if (found := _get(place, name))]
    given += [("", turn) for turn in turns[:_FIRST] if _role_of(turn) in _ABOVE]
    found = _folded(" ".join(text for _, each in given for text in _texts_in(each)))
    if not found:
        return SILENT if _has_place(body, turns) else None
    name = model.rpartition("/")[2]
    bare = found.replace(model, "").replace(name, "") if len(name) > _NAME else found
    bare = compiled(_CLOCK).sub("", bare)
    ends, half = [_START], max(len(found), len(bare)) // 2
    while ends[-1] * 2 <= half:
        ends.append(ends[-1] * 2)
    dialect = hash((*dict.fromkeys(name for name, _ in given), _turns_name(body)))
    return System(dialect, (hash(found), hash(bare)), tuple((hash(found[:end]), hash(bare[:end])) for end in ends))


def _has_place(body: object, turns: list[Any]) -> bool:
    """Whether the system could have said something in a body, and has not; nor is it kept where it is sent."""
    if any(_get(place, name) for place in _around(body) for name in _HOSTED) or _get(body, "prompt"):
        return False
    if any(_role_of(turn) in _ABOVE for turn in turns):
        return False  # late in a conversation, where another dialect has it at its start
    name = _turns_name(body)
    if name in ("messages", "contents"):
        return True
    if not name:
        return isinstance(_get(body, "message"), str)
    given = _get(body, name)
    is_text = isinstance(given, str) and _get(body, "model") is not None and name == "input"
    return is_text or any(_get(turn, "role") is not None for turn in turns)


def _turns_name(body: object) -> str:
    """Return the name under which a body has its turns, which tells its dialect; empty where it has a text alone."""
    inner = _get(body, "input")
    return next((name for name in _TURNS if _get(inner if isinstance(inner, Mapping) else body, name)), "")


def _tools(body: object) -> int | None:
    """Return a hash of the names of the tools that are offered, the provider's own left out."""
    given = next((found for place in _around(body) if (found := _get(place, "tools"))), None)
    if not isinstance(given, (list, tuple)):
        return None
    declared = [_get(each, "functionDeclarations") or _get(each, "function_declarations") or each for each in given]
    flat = [tool for each in declared for tool in (each if isinstance(each, (list, tuple)) else (each,))]
    inner = [_get(each, "function") or _get(each, "toolSpec") or each for each in flat]
    names = {_get(each, "name") for each in inner if _get(each, "type") in (None, "function", "custom")}
    found = frozenset(name for name in names if isinstance(name, str))
    return hash(found) if found else None


def _schema(body: object) -> int | None:
    """Return a hash of the name of the schema that the answer shall have."""
    asked = (_get(_get(body, "response_format"), "json_schema"), _get(_get(body, "text"), "format"))
    name = next((found for each in asked if isinstance(found := _get(each, "name"), str) and found), None)
    return hash(name) if name else None


def _get(thing: object, name: str) -> Any:
    """Return a field of a mapping, or of an SDK's own object; a text has none."""
    if isinstance(thing, Mapping):
        return thing.get(name)
    return None if thing is None or isinstance(thing, (str, bytes, bytearray, list, tuple)) else read(thing, name)
