"""What Bedrock answers, shown to the core: `Converse`'s messages and events, and the events of models invoked raw.

Pure: botocore's parsed answers are plain mappings, and nothing here holds on to one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from otel_failover._core.evidence.answers.content import WORDLESS
from otel_failover._core.evidence.answers.success import Document, document

_REFUSAL = b'"refusal"'


class Part(NamedTuple):
    """A content block, under the names that the core reads."""

    type: str
    text: str | None


class Usage(NamedTuple):
    """Tokens, under the names that the core reads."""

    input_tokens: object
    output_tokens: object


class Answer(NamedTuple):
    """What `Converse` returned, under the names that the core reads."""

    stop_reason: str
    content: list[Part]
    usage: Usage


def shown(result: Mapping[str, Any]) -> Answer | None:
    """Show what `Converse` returned; None for anything else.

    Args:
        result: Of botocore.
    """
    message = result.get("output", {}).get("message")
    if not isinstance(message, Mapping):
        return None
    parts = [_part(block) for block in message.get("content", ())]
    usage = result.get("usage", {})
    return Answer(result.get("stopReason", ""), parts, Usage(usage.get("inputTokens"), usage.get("outputTokens")))


def _part(block: Mapping[str, Any]) -> Part:
    kind = next(iter(block), "text")
    return Part("thinking" if kind == "reasoningContent" else kind, block.get("text"))


def text_in(event: Mapping[str, Any]) -> str:
    """Return the text that an event of a stream adds; `WORDLESS` for output that is no text.

    Args:
        event: Of `ConverseStream`, or of a model invoked raw, whose own document is in `chunk`.
    """
    chunk = event.get("chunk")
    if chunk is not None:
        return _of_model(json.loads(chunk.get("bytes", b"{}")))
    started = event.get("contentBlockStart", {}).get("start")
    delta = event.get("contentBlockDelta", {}).get("delta") or started or {}
    return delta.get("text") or (WORDLESS if delta else "")


def document_in(event: Mapping[str, Any]) -> Document | None:
    """Return what an event says that has no text: how a message ended, or a model's own document.

    Args:
        event: As `text_in` takes it.
    """
    ended = event.get("messageStop")
    if ended is not None:
        return Document({"stop_reason": ended.get("stopReason")})
    chunk = event.get("chunk")
    found = json.loads(chunk.get("bytes", b"{}")) if chunk is not None else None
    return Document(found) if isinstance(found, Mapping) else None


def document_of(body: bytes) -> Document | None:
    """Return the answer of an invoked model, where something in it looks like an error or a refusal.

    Args:
        body: As the host has read it, whole or in part.
    """
    return document(body, doubtful=_REFUSAL in body)


def _of_model(event: Mapping[str, Any]) -> str:
    """Return the text of a model's own document: of six families; else all of it."""
    if "type" in event:
        text = (event.get("delta") or {}).get("text")
        return text or (WORDLESS if event["type"] == "content_block_delta" else "")
    if isinstance(event.get("choices"), list):
        return "".join(each.get("delta", {}).get("content") or "" for each in event["choices"])
    if isinstance(event.get("outputs"), list):
        return "".join(each.get("text") or "" for each in event["outputs"])
    found = next((event[name] for name in ("generation", "outputText", "text") if name in event), None)
    if found is not None:
        return found if isinstance(found, str) else ""
    return text_in(event) if _CONVERSES.intersection(event) else json.dumps(event)


_CONVERSES = frozenset(
    {"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"}
)
"""Events that Nova's models, invoked raw, share with `ConverseStream`."""
