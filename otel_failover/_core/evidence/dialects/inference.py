"""What a request asks: dialect, operation, model; None where it is no inference."""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

_WHOLE = 65_536


class Inference(NamedTuple):
    """What a request asks.

    Args:
        dialect: `chat_completions`, `responses`, `completions`, `messages`, `gemini`, `converse`, `cohere`, `ollama` …
        operation: As `Asked.operation`: `chat`, `text_completion`, `generate_content`.
        model: As requested; empty where it cannot be found.
        streamed: A stream was asked for.
        base: Path of the base URL, what stands before the dialect's own ending, as `Asked.base` has it.
        body: Parsed, where it was; else None, and the bytes may be read later.
    """

    dialect: str
    operation: str
    model: str
    streamed: bool
    base: str
    body: object


def inference_in(
    host: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    content: bytes | None,
    *,
    is_known: bool,
    is_named: bool,
) -> Inference | None:
    """Return what a POST asks of a model; None where it is no inference, or may as well be anybody's.

    Args:
        host: Name of the host, in lower case.
        path: As it is sent, without the query: quoted where it was quoted.
        query: What follows the question mark.
        headers: Of the request, looked up by names in lower case: `content-type`, `content-encoding` and the one by
            which DashScope streams. `httpx`'s, `requests`' and `aiohttp`'s find a name however it is spelt.
        content: The body, where it is in memory; None where it is a stream.
        is_known: The host is in the table, an alias, the chain's or a gateway.
        is_named: The user named the host: an alias, the chain's, a gateway.
    """
    del host, query, headers  # not looked at yet
    if not path.endswith(("/chat/completions", "/messages")):
        return None
    body: Any = None
    if content is not None and len(content) <= _WHOLE:
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
    model = body.get("model") if isinstance(body, dict) else None
    if not (is_known or is_named) and not (isinstance(model, str) and body.get("messages")):
        return None
    is_chat = path.endswith("/chat/completions")
    return Inference(
        "chat_completions" if is_chat else "messages",
        "chat",
        model if isinstance(model, str) else "",
        isinstance(body, dict) and body.get("stream") is True,
        path.removesuffix("/chat/completions" if is_chat else "/v1/messages"),
        body,
    )
