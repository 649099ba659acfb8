"""Gemini's wire format: generated content and its streams, embeddings, counting; of the Gemini API's v1beta."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from otel_failover.testing.wire.common import Call, Fault, Reply, Script, fresh_hex, json_body, sse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover.testing.answers import Answer
    from otel_failover.testing.loopback import Request

BASE_PATH = ""
REQUEST_ID_HEADER = "x-request-id"
STREAM_TYPE = "text/event-stream; charset=utf-8"

_PATH = re.compile(r"/models/([^/:]+):(generateContent|streamGenerateContent|batchEmbedContents|countTokens)$")
_PROMPT_TOKENS = 12
_USUAL_STATUSES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def read_call(request: Request) -> Call:
    """Return what the request asks for; without `alt=sse` a stream is one JSON array."""
    match = _PATH.search(request.path)
    if request.method != "POST" or match is None:
        return Call("")
    model, method = match.groups()
    operation = "embeddings" if method == "batchEmbedContents" else method
    streamed = operation == "streamGenerateContent" and "alt=sse" in request.query.split("&")
    return Call(operation, model, streamed, json_body(request))


def new_request_id() -> str | None:
    """Return None: Gemini sends no request id."""
    return None


def new_response_id(call: Call) -> str | None:
    """Return a response id; only generated content has one."""
    return fresh_hex(22) if call.operation.endswith("enerateContent") else None


def headers(answer: Answer) -> dict[str, str]:  # noqa: ARG001  one signature for all
    """Return Gemini's header fields."""
    return {"server": "scaffolding on HTTPServer2", "x-frame-options": "SAMEORIGIN"}


def fault(answer: Answer) -> Fault:
    """Return the error object; its `status` is the provider's code, and the wait stands in its details."""
    status = 503 if answer.kind == "stream" else answer.status
    code = answer.code or answer.type or _usual_status(status)
    message = "The service is currently unavailable." if answer.message is None else answer.message
    details = list(answer.details)
    if answer.retry_after is not None:
        info = "type.googleapis.com/google.rpc.RetryInfo"
        details.append({"@type": info, "retryDelay": f"{answer.retry_after:g}s"})
    error: dict[str, Any] = {"code": status, "message": message, "status": code}
    return Fault(message, code, {**error, "details": details} if details else error)


def _usual_status(status: int) -> str:
    return _USUAL_STATUSES.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")


def envelope(fault: Fault, request_id: str | None) -> Mapping[str, Any]:  # noqa: ARG001  the header has it
    """Return the error's document."""
    return {"error": fault.error}


def whole(call: Call, reply: Reply) -> Any:
    """Return a success as one document."""
    if call.operation == "embeddings":
        return {"embeddings": [{"values": [0.25, 0.5]}]}
    if call.operation == "countTokens":
        return {"totalTokens": _PROMPT_TOKENS}
    document = _content(reply, reply.text, reply.output_tokens, _finish(reply))
    return [document] if call.operation == "streamGenerateContent" else document


def script(call: Call, reply: Reply, fault: Fault) -> Script:  # noqa: ARG001  one signature for all
    """Return a success as a stream: the pieces, then an empty one with the finish reason; no terminator."""
    deltas = tuple(sse(_content(reply, piece, number)) for number, piece in enumerate(reply.pieces, start=1))
    error = sse({"error": fault.error})
    closing = sse(_content(reply, "", reply.output_tokens, _finish(reply)))
    return Script(b"", deltas, closing, error=error, failed=error)


def _finish(reply: Reply) -> str:
    return "SAFETY" if reply.withheld else "STOP"


def _content(reply: Reply, text: str, tokens: int, finish_reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish_reason is not None:
        candidate["finishReason"] = finish_reason
    # A prompt that is blocked has no candidates; one is left without content where the answer itself is withheld.
    blocked = reply.withheld and not reply.pieces
    answered = {"promptFeedback": {"blockReason": "SAFETY"}} if blocked else {"candidates": [candidate]}
    return {
        **answered,
        "usageMetadata": {
            "promptTokenCount": _PROMPT_TOKENS,
            "candidatesTokenCount": tokens,
            "totalTokenCount": _PROMPT_TOKENS + tokens,
        },
        "modelVersion": reply.model,
        "responseId": reply.response_id,
    }
