"""What one JSON document says: a whole answer, or an event of a streamed one, in whatever dialect.

Answers are told apart by what stands in them, not by who was asked: a gateway answers a request in one dialect with
another's error, and Bedrock's models answer in the dialect of their makers. Errors, refusals and emptiness are decided
by `error_body.look_closer`, as for an SDK's object; here they are only shown to it in a shape that it knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.evidence.answers.content import chunk_text
from otel_failover._core.evidence.answers.success import Document
from otel_failover._core.evidence.error_body import look_closer

if TYPE_CHECKING:
    from otel_failover._core.evidence.dialects.answer import Answer

_LONG: Final = 255
_WITHIN: Final = ("response", "message", "result", "interaction", "x_groq", "x_meta")
"""Where a document has another that says what the answer is: terminal events, and envelopes."""
_IDS: Final = ("id", "responseId", "generation_id", "response_id", "conversation_id", "request_id")
_MODELS: Final = ("model", "modelVersion", "model_version")
_FINISHES: Final = ("finish_reason", "finishReason", "stop_reason", "stopReason", "completionReason", "done_reason")
_CHOSEN: Final = ("choices", "candidates", "results", "outputs", "generations")
_USAGES: Final = (
    "usage", "usageMetadata", "usage_metadata", "metrics", "stats", "details", "amazon-bedrock-invocationMetrics",
)  # fmt: skip
_AROUND_USAGE: Final = ("metadata", "delta", "meta")
_INPUT: Final = (
    "prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens", "prompt_eval_count", "tokens_evaluated",
    "input_token_count", "inputTokenCount", "inputTextTokenCount", "prompt_token_count", "total_input_tokens",
)  # fmt: skip
_OUTPUT: Final = (
    "completion_tokens", "output_tokens", "candidatesTokenCount", "outputTokens", "eval_count", "tokens_predicted",
    "output_token_count", "outputTokenCount", "generated_tokens", "generated_token_count", "generation_token_count",
    "total_output_tokens",
)  # fmt: skip
_THOUGHTS: Final = "thoughtsTokenCount"

_TEXTS: Final = (
    "response", "text", "generated_text", "generation", "outputText", "completion", "content", "result", "thinking",
)  # fmt: skip
"""Where a document has a text of its own."""
_CALLS: Final = ("tool_calls", "toolCalls", "function_call", "functionCall", "toolUse", "tool_plan")
_LAST: Final = frozenset(
    {
        "message_stop", "response.completed", "response.incomplete", "response.failed", "message-end", "stream-end",
        "interaction.completed", "interaction.complete", "interaction.failed", "conversation.response.done",
        "conversation.response.error", "chat.end", "done",
    }
)  # fmt: skip
"""Types of the event that is a stream's last."""
_NOT_YET: Final = frozenset({"", "null", "not_finished", "in_progress", "processing", "starting", "queued"})


def _get(thing: object, name: str) -> Any:
    return thing.get(name) if isinstance(thing, Mapping) else None


def _first(thing: object, name: str) -> Any:
    """Return the first of a list under a name."""
    found = _get(thing, name)
    return found[0] if isinstance(found, list) and found else None


def _word(thing: object, names: tuple[str, ...]) -> str | None:
    """Return the first text under some names."""
    return next((found[:_LONG] for name in names if isinstance(found := _get(thing, name), str) and found), None)


def _places(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a document, and what it wraps."""
    yield document
    for name in _WITHIN:
        inner = document.get(name)
        if isinstance(inner, Mapping):
            yield inner


# --- id, model, tokens ------------------------------------------------------------------------------------------------


def note(answer: Answer, document: Mapping[str, Any]) -> None:
    """Take note of what a document says of the answer: id and model as the first has them, the rest as the last.

    Args:
        answer: What is known by now.
        document: Whole, or an event.
    """
    places = list(_places(document))
    for place in places:
        answer.id = answer.id or _word(place, _IDS)
        answer.model = answer.model or _word(place, _MODELS)
    answer.finish = _finish(document, places) or answer.finish
    for found in _usages(places):
        given, made = _number(found, _INPUT), _number(found, _OUTPUT)
        thoughts = found.get(_THOUGHTS)
        if made is not None and isinstance(thoughts, int):
            made += thoughts
        answer.usage.input_tokens = answer.usage.input_tokens if given is None else given
        answer.usage.output_tokens = answer.usage.output_tokens if made is None else made


def _finish(document: Mapping[str, Any], places: list[Mapping[str, Any]]) -> str | None:
    """Return why an answer ended, in its own word."""
    output = document.get("output")
    around = [*places, output, *map(document.get, ("delta", "messageStop", "details"))]
    found: list[Any] = [_first(place, name) for place in around for name in _CHOSEN]
    words = [_word(each, _FINISHES) for each in (*found, *around)]
    words += [_word(_get(place, "incomplete_details"), ("reason",)) for place in places]
    finish = next((word for word in words if word and word.lower() not in _NOT_YET), None)
    if finish is None:
        states = [_word(place, ("status", "stop_type")) for place in places if "role" not in place]
        finish = next((word for word in states if word and word not in _NOT_YET), None)
    return finish


def _usages(places: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield what may count tokens, what counts them best last: Cohere's `tokens` beside what it bills."""
    for place in places:
        inner = [found for name in _AROUND_USAGE if isinstance(found := place.get(name), Mapping)]
        for outer in (place, *inner):
            counts = [outer, *(outer.get(name) for name in _USAGES)]
            counts += [_get(each, "tokens") for each in counts]
            counts.append(_first(outer, "results"))
            yield from (each for each in counts if isinstance(each, Mapping))


def _number(thing: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        found = thing.get(name)
        if isinstance(found, (int, float)) and not isinstance(found, bool) and found == found // 1:
            return int(found)
    return None


# --- an event ---------------------------------------------------------------------------------------------------------


def kind_of(event: object) -> str:
    """Return the type that an event has by its own word; empty where it has none."""
    return _word(event, ("type", "event_type")) or ""


def is_last(event: Mapping[str, Any]) -> bool:
    """Whether an event is the dialect's mark of the end, or says why the answer has ended."""
    if kind_of(event) in _LAST or "messageStop" in event or "amazon-bedrock-invocationMetrics" in event:
        return True
    if any(event.get(name) is True for name in ("done", "is_end", "is_finished", "stop")):
        return True
    if isinstance(event.get("generated_text"), str) and "token" in event:  # TGI's last
        return True
    around = (event, event.get("output"), event.get("result"))
    chosen = [each for place in around for name in _CHOSEN if (each := _first(place, name)) is not None]
    words = [_word(each, _FINISHES) for each in (*chosen, event.get("output"))]
    return any(word and word.lower() not in _NOT_YET for word in words)


def has_output(event: Mapping[str, Any]) -> bool:
    """Whether an event adds anything for whoever asked: a text, a piece of a tool call, a thought.

    Args:
        event: Of a stream.
    """
    if chunk_text(Document(event)):
        return True
    message, delta = event.get("message"), event.get("delta")
    inner = (message, _get(delta, "message"), delta, event.get("token"), event.get("output"), event.get("result"))
    chosen = [_first(place, name) for place in (event, event.get("output")) for name in _CHOSEN]
    if any(_says(place) for place in (event, *inner, *chosen, *(_get(each, "message") for each in chosen))):
        return True
    if any(_says(_get(event.get(name), within)) for name, within in _BLOCKS):
        return True
    parts = _get(_get(_first(event, "candidates"), "content"), "parts")
    if not isinstance(parts, list):
        content = _get(_get(delta, "message"), "content")
        parts = content if isinstance(content, list) else [content]
    return any(_says(part) or _get(part, "inlineData") is not None for part in parts)


_BLOCKS: Final = (("contentBlockDelta", "delta"), ("contentBlockStart", "start"))
"""Converse's pieces."""


def _says(place: object) -> bool:
    if not isinstance(place, Mapping):
        return False
    if any(isinstance(text := place.get(name), str) and text for name in _TEXTS):
        return True
    return any(place.get(name) for name in _CALLS) or place.get("reasoningContent") is not None


_BROKEN_OFF: Final = frozenset({"ERROR", "TIMEOUT", "error"})
"""How Cohere and Mistral say that an answer ended by an error of theirs."""


# --- a whole answer ---------------------------------------------------------------------------------------------------


def judge(answer: Answer, document: Mapping[str, Any], *, is_whole: bool) -> bool:
    """Find out whether an answer is none: an error under a 200, a refusal, nothing.

    Args:
        answer: What is known by now.
        document: Whole, or an event.
        is_whole: It is all there is: what is not in it is nowhere.

    Returns:
        Whether it is an answer.
    """
    for name in ("response", "interaction"):
        inner = document.get(name)
        if isinstance(inner, Mapping) and inner.get("status") == "failed":
            document = inner
    found = look_closer(Document(_broken_off(document) or document), None)
    if found.error is not None:
        answer.error = answer.error or found.error
        if is_whole:
            answer.empty = True
        return False
    shown = _shown(document)
    seen = found if shown is None else look_closer(Document(shown), None)
    answer.refused = answer.refused or found.refused or seen.refused
    if is_whole:
        answer.empty = seen.empty
    return True


def _broken_off(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the error for which an answer says that it ended: Cohere's and Mistral's are words for how it did."""
    delta, choices = document.get("delta"), _each(document.get("choices"))
    for each in (document, delta, *choices[:1]):
        finish = _get(each, "finish_reason")
        if finish in _BROKEN_OFF:
            said = _get(each, "error")
            message = said if isinstance(said, str) else ""
            return None if "error" in document else {"type": "error", "error": {"type": finish, "message": message}}
    return None


def _shown(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Show an answer as Anthropic's is, `stop_reason` and `content`; None where it is shown well as it is."""
    if isinstance(document.get("response"), Mapping):  # Cohere's last event has the whole answer
        return _shown(document["response"])
    result = document.get("result")
    if isinstance(result, Mapping):  # Cloudflare's envelope
        return _shown(result) or dict(result)
    output = document.get("output")
    if isinstance(output, Mapping) and isinstance(output.get("choices"), list):
        return {"choices": output["choices"]}
    pieces = [output] if isinstance(output, str) else _each(output)
    if pieces and all(isinstance(each, str) for each in pieces):  # Replicate's
        return {"stop_reason": "stop", "content": [{"type": "text", "text": "".join(pieces)}]}
    if any(isinstance(document.get(name), list) for name in ("choices", "candidates", "output")):
        return None
    if "promptFeedback" in document or (isinstance(document.get("content"), list) and "stop_reason" in document):
        return None
    sources: list[Any] = [document, document.get("message"), output, _get(output, "message")]
    items = [each for name in ("results", "outputs", "generations") for each in _each(document.get(name))]
    sources += items
    finish = next((word for each in sources if (word := _word(each, _FINISHES))), None)
    delta = document.get("delta")
    finish = finish or _word(delta, _FINISHES) or _word(document.get("messageStop"), _FINISHES)
    parts = [part for each in sources if isinstance(each, Mapping) for part in _parts(each)]
    parts += [{"type": _SILENT.get(kind, kind)} for each in items if not _known(each) and (kind := kind_of(each))]
    if not parts and finish is None and not any(_known(each) for each in sources):
        return None
    return {"stop_reason": finish or "stop", "content": parts}


_SILENT: Final = {"thought": "thinking", "message.output": "text", "text": "text"}
"""What types of items are called that say nothing by themselves."""


def _each(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


def _known(place: object) -> bool:
    """Whether an answer, empty or not, stands here."""
    return isinstance(place, Mapping) and any(isinstance(place.get(name), str) for name in _TEXTS)


def _parts(place: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what an answer holds, as parts that the core knows."""
    for name in _TEXTS:
        found = place.get(name)
        if isinstance(found, str):
            yield {"type": "thinking" if name == "thinking" else "text", "text": found}
    for block in _each(place.get("content")):
        if isinstance(block, Mapping):
            kind = block.get("type") or ("text" if "text" in block else next(iter(block), "text"))
            yield {"type": "thinking" if kind == "reasoningContent" else kind, "text": block.get("text")}
    for name in _CALLS:
        if place.get(name):
            yield {"type": "tool_use"}
