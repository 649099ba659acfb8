"""Cohere's wire format: chat of both versions, its streams as events (2) or lines (1). As cohere 7.3 parses it."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from otel_failover.testing.wire.common import Call, Fault, Reply, Script, json_body, model_of, sse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover.testing.answers import Answer
    from otel_failover.testing.loopback import Request

BASE_PATH = ""
REQUEST_ID_HEADER = "x-debug-trace-id"
STREAM_TYPE = "text/event-stream"

_OPERATIONS = {"/v2/chat": "chat", "/v1/chat": "chat_1"}
_LINES = "application/stream+json"
_INPUT_TOKENS = 12
_STREAM_FAULT = "internal server error"


def read_call(request: Request) -> Call:
    """Return what the request asks for; no answer names a model."""
    body = json_body(request)
    paths = (name for end, name in _OPERATIONS.items() if request.path.endswith(end))
    operation = next(paths, "") if request.method == "POST" else ""
    return Call(operation, model_of(body), bool(operation) and body.get("stream") is True, body, names_model=False)


def new_request_id() -> str:
    """Return a request id as Cohere makes them."""
    return uuid.uuid4().hex


def new_response_id(call: Call) -> str:  # noqa: ARG001  one signature for all
    """Return a response id."""
    return str(uuid.uuid4())


def headers(answer: Answer) -> dict[str, str]:
    """Return Cohere's header fields."""
    fields = {"x-endpoint-monthly-call-limit": "1000", "x-trial-endpoint-call-limit": "20"}
    if answer.retry_after is not None:
        fields["retry-after"] = f"{answer.retry_after:g}"
    return fields


def fault(answer: Answer) -> Fault:
    """Return the error object: there is a text, and nothing else."""
    message = _STREAM_FAULT if answer.message is None else answer.message
    return Fault(message, None, {"message": message})


def envelope(fault: Fault, request_id: str | None) -> Mapping[str, Any]:
    """Return the error's document."""
    return {"id": request_id, **fault.error}


def whole(call: Call, reply: Reply) -> Any:
    """Return a success as one document."""
    if call.operation == "chat_1":
        return _answer_1(reply, _finish(reply))
    content = [{"type": "text", "text": reply.text}] if reply.text else []
    message = {"role": "assistant", "content": content}
    return {"id": reply.response_id, "message": message, "finish_reason": _finish(reply), "usage": _usage(reply)}


def script(call: Call, reply: Reply, fault: Fault) -> Script:
    """Return a success as a stream, whose last event says how it went, an error too."""
    return _script_1(reply) if call.operation == "chat_1" else _script_2(reply, fault)


def _script_2(reply: Reply, fault: Fault) -> Script:
    def event(name: str, delta: dict[str, Any] | None = None, **more: Any) -> bytes:
        return sse({"type": name, **more, **({} if delta is None else {"delta": delta})}, name)

    def end(finish_reason: str, **more: Any) -> bytes:
        facts = {"finish_reason": finish_reason, "usage": _usage(reply), **more}
        return event("content-end", index=0) + event("message-end", facts)

    message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    error = end("ERROR", error=fault.message)
    return Script(
        opening=event("message-start", {"message": message}, id=reply.response_id)
        + event("content-start", {"message": {"content": {"type": "text", "text": ""}}}, index=0),
        deltas=tuple(
            event("content-delta", {"message": {"content": {"text": piece}}}, index=0) for piece in reply.pieces
        ),
        closing=end(_finish(reply)),
        error=error,
        failed=error,
    )


def _script_1(reply: Reply) -> Script:
    def line(name: str, **facts: Any) -> bytes:
        document = {"is_finished": name == "stream-end", "event_type": name, **facts}
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"

    def end(finish_reason: str) -> bytes:
        return line("stream-end", response=_answer_1(reply, finish_reason), finish_reason=finish_reason)

    error = end("ERROR")  # it has no room for words
    return Script(
        opening=line("stream-start", generation_id=reply.response_id),
        deltas=tuple(line("text-generation", text=piece) for piece in reply.pieces),
        closing=end(_finish(reply)),
        error=error,
        failed=error,
        content_type=_LINES,
    )


def _answer_1(reply: Reply, finish_reason: str) -> dict[str, Any]:
    return {
        "response_id": f"{reply.response_id}-r",
        "generation_id": reply.response_id,
        "text": reply.text,
        "chat_history": [],
        "finish_reason": finish_reason,
        "meta": {"api_version": {"version": "1"}, **_usage(reply)},
    }


def _finish(reply: Reply) -> str:
    return "ERROR_TOXIC" if reply.withheld else "COMPLETE"


def _usage(reply: Reply) -> dict[str, dict[str, int]]:
    tokens = {"input_tokens": _INPUT_TOKENS, "output_tokens": reply.output_tokens}
    return {"billed_units": tokens, "tokens": tokens}
