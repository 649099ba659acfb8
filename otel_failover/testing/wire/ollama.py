"""Ollama's own wire format: chat and generation, whole and as lines of JSON. Shapes as parsed by ollama-python 0.6."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from otel_failover.testing.wire.common import Call, Fault, Reply, Script, json_body, model_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover.testing.answers import Answer
    from otel_failover.testing.loopback import Request

BASE_PATH = ""
REQUEST_ID_HEADER = "x-request-id"
STREAM_TYPE = "application/x-ndjson"

_OPERATIONS = {"/api/chat": "chat", "/api/generate": "generate", "/api/embed": "embeddings"}
_PROMPT_TOKENS = 12
_STREAM_FAULT = "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error"


def read_call(request: Request) -> Call:
    """Return what the request asks for; it is streamed unless it says otherwise."""
    body = json_body(request)
    paths = (name for end, name in _OPERATIONS.items() if request.path.endswith(end))
    operation = next(paths, "") if request.method == "POST" else ""
    streamed = operation in ("chat", "generate") and body.get("stream") is not False
    return Call(operation, model_of(body), streamed, body, names_model=True)


def new_request_id() -> str | None:
    """Return None: Ollama sends no request id."""
    return None


def new_response_id(call: Call) -> str | None:  # noqa: ARG001  one signature for all
    """Return None: an answer has no id."""
    return None


def headers(answer: Answer) -> dict[str, str]:  # noqa: ARG001  one signature for all
    """Return Ollama's header fields: none that matters."""
    return {"date": "Mon, 30 Nov 2026 12:00:00 GMT"}


def fault(answer: Answer) -> Fault:
    """Return the error, which is a text."""
    message = _STREAM_FAULT if answer.message is None else answer.message
    return Fault(message, None, {"error": message})


def envelope(fault: Fault, request_id: str | None) -> Mapping[str, Any]:  # noqa: ARG001  it has none
    """Return the error's document."""
    return fault.error


def whole(call: Call, reply: Reply) -> Any:
    """Return a success as one document."""
    if call.operation == "embeddings":
        return {"model": reply.model, "embeddings": [[0.25, 0.5]], "prompt_eval_count": _PROMPT_TOKENS}
    return {**_line(call, reply, reply.text), **_end(reply)}


def script(call: Call, reply: Reply, fault: Fault) -> Script:
    """Return a success as a stream: the last line says how much there was, and has no text."""

    def line(document: Mapping[str, Any]) -> bytes:
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"

    error = line(fault.error)
    return Script(
        opening=b"",
        deltas=tuple(line({**_line(call, reply, piece), "done": False}) for piece in reply.pieces),
        closing=line({**_line(call, reply, ""), **_end(reply)}),
        error=error,
        failed=error,
    )


def _line(call: Call, reply: Reply, text: str) -> dict[str, Any]:
    said = {"message": {"role": "assistant", "content": text}} if call.operation == "chat" else {"response": text}
    return {"model": reply.model, "created_at": datetime.now(timezone.utc).isoformat(), **said}


def _end(reply: Reply) -> dict[str, Any]:
    """Return how an answer ends: a model that refuses says so in words, as any other answer."""
    return {
        "done": True,
        "done_reason": "stop",
        "total_duration": 12_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": _PROMPT_TOKENS,
        "prompt_eval_duration": 2_000_000,
        "eval_count": reply.output_tokens,
        "eval_duration": 9_000_000,
    }
