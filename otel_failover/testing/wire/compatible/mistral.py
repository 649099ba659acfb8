"""Mistral's wire format: chat completions. As mistralai 3.7 parses it; errors as issue threads of 2026 quote them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from otel_failover.testing.wire.common import Call, Fault, Reply, Script, fresh_hex, json_body, model_of, sse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover.testing.answers import Answer
    from otel_failover.testing.loopback import Request

BASE_PATH = ""
REQUEST_ID_HEADER = "mistral-correlation-id"
STREAM_TYPE = "text/event-stream; charset=utf-8"

_INPUT_TOKENS = 12
_DONE = b"data: [DONE]\n\n"
_STREAM_FAULT = "Service unavailable."
_USUAL_TYPES = {400: "invalid_request_error", 404: "invalid_model", 429: "rate_limited", 503: "unreachable_backend"}
_USUAL_CODES = {404: "1500", 429: "1300", 503: "1100"}


def read_call(request: Request) -> Call:
    """Return what the request asks for."""
    body = json_body(request)
    asked = request.method == "POST" and request.path.endswith("/v1/chat/completions")
    return Call("chat" if asked else "", model_of(body), asked and body.get("stream") is True, body)


def new_request_id() -> str:
    """Return a request id as Mistral makes them."""
    return fresh_hex(32)


def new_response_id(call: Call) -> str:  # noqa: ARG001  one signature for all
    """Return a response id."""
    return fresh_hex(32)


def headers(answer: Answer) -> dict[str, str]:
    """Return Mistral's header fields."""
    fields = {"x-kong-upstream-latency": "12"}
    if answer.retry_after is not None:
        fields["retry-after"] = f"{answer.retry_after:g}"
    return fields


def fault(answer: Answer) -> Fault:
    """Return the error object, which is the whole document: it is flat."""
    status = 503 if answer.kind == "stream" else answer.status
    code = answer.code or _USUAL_CODES.get(status)
    message = _STREAM_FAULT if answer.message is None else answer.message
    usual = "internal_server_error" if status >= 500 else "invalid_request_error"
    error = {
        "object": "error",
        "message": message,
        "type": answer.type or _USUAL_TYPES.get(status, usual),
        "param": answer.param,
        "code": code,
        "raw_status_code": status,
    }
    return Fault(message, code, error)


def envelope(fault: Fault, request_id: str | None) -> Mapping[str, Any]:  # noqa: ARG001  the header has it
    """Return the error's document; the gateway in front knows no more than that the key is wrong."""
    return {"detail": fault.message} if fault.error["raw_status_code"] == 401 else fault.error


def whole(call: Call, reply: Reply) -> Any:  # noqa: ARG001  one signature for all
    """Return a success as one document."""
    message = {"role": "assistant", "content": reply.text, "tool_calls": None, "prefix": False}
    choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
    return {**_frame(reply, "chat.completion"), "choices": [choice], "usage": _usage(reply)}


def script(call: Call, reply: Reply, fault: Fault) -> Script:  # noqa: ARG001  one signature for all
    """Return a success as a stream; its last chunk has the finish reason and, unasked, the usage."""
    frame = _frame(reply, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return sse({**frame, "choices": [choice], **more})

    error = sse(fault.error)
    return Script(
        opening=chunk({"role": "assistant", "content": ""}),
        deltas=tuple(chunk({"content": piece}) for piece in reply.pieces),
        closing=chunk({"content": ""}, _finish(reply), usage=_usage(reply)) + _DONE,
        error=error,
        failed=error,
    )


def _frame(reply: Reply, kind: str) -> dict[str, Any]:
    return {"id": reply.response_id, "object": kind, "created": int(time.time()), "model": reply.model}


def _finish(reply: Reply) -> str:
    return "error" if reply.withheld else "stop"


def _usage(reply: Reply) -> dict[str, int]:
    return {
        "prompt_tokens": _INPUT_TOKENS,
        "completion_tokens": reply.output_tokens,
        "total_tokens": _INPUT_TOKENS + reply.output_tokens,
    }
