"""Anthropic's wire format: Messages, and counting tokens. Shapes as parsed by anthropic-python 2.11."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_failover.testing.wire.common import Call, Fault, Reply, Script, fresh_hex, json_body, model_of, sse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover.testing.answers import Answer
    from otel_failover.testing.loopback import Request

BASE_PATH = ""
REQUEST_ID_HEADER = "request-id"
STREAM_TYPE = "text/event-stream; charset=utf-8"

_INPUT_TOKENS = 12
_USUAL_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def read_call(request: Request) -> Call:
    """Return what the request asks for."""
    body = json_body(request)
    model = model_of(body)
    if request.method == "POST" and request.path.endswith("/v1/messages"):
        return Call("messages", model, body.get("stream") is True, body)
    if request.method == "POST" and request.path.endswith("/v1/messages/count_tokens"):
        return Call("count_tokens", model, body=body)
    return Call("", model, body=body)


def new_request_id() -> str:
    """Return a request id as Anthropic makes them."""
    return f"req_01{fresh_hex(22)}"


def new_response_id(call: Call) -> str | None:
    """Return a message id; a count of tokens has none."""
    return f"msg_01{fresh_hex(22)}" if call.operation == "messages" else None


def headers(answer: Answer) -> dict[str, str]:
    """Return Anthropic's header fields."""
    fields = {"anthropic-organization-id": "00000000-0000-0000-0000-000000000000"}
    if answer.retry_after is not None:
        fields["retry-after"] = f"{answer.retry_after:g}"
    return fields


def fault(answer: Answer) -> Fault:
    """Return the error object; its `type` is the provider's code, unless `details` has a finer one."""
    if answer.kind == "stream":
        usual, message = "overloaded_error", "Overloaded"
    else:
        usual, message = _usual_type(answer.status), ""
    error: dict[str, Any] = {
        "type": answer.type or usual,
        "message": message if answer.message is None else answer.message,
    }
    if answer.code is not None:
        error["details"] = {"error_code": answer.code}
    return Fault(error["message"], answer.code or error["type"], error)


def _usual_type(status: int) -> str:
    return _USUAL_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def envelope(fault: Fault, request_id: str | None) -> Mapping[str, Any]:
    """Return the error's document."""
    return {"type": "error", "error": fault.error, "request_id": request_id}


def whole(call: Call, reply: Reply) -> Any:
    """Return a success as one document."""
    if call.operation == "count_tokens":
        return {"input_tokens": _INPUT_TOKENS}
    content = [{"type": "text", "text": reply.text}] if reply.text else []
    return _message(reply, content, _stop(reply), reply.output_tokens)


def _stop(reply: Reply) -> str:
    return "refusal" if reply.withheld else "end_turn"


def script(call: Call, reply: Reply, fault: Fault) -> Script:  # noqa: ARG001  one signature for all
    """Return a success as a stream; its error event has no request id."""
    start = _message(reply, [], None, 1)
    block = {"type": "text", "text": ""}
    opening = (
        _event("message_start", message=start)
        + _event("content_block_start", index=0, content_block=block)
        + _event("ping")
    )
    deltas = tuple(
        _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in reply.pieces
    )
    closing = (
        _event("content_block_stop", index=0)
        + _event(
            "message_delta",
            delta={"stop_reason": _stop(reply), "stop_sequence": None},
            usage={"output_tokens": reply.output_tokens},
        )
        + _event("message_stop")
    )
    error = _event("error", error=fault.error)
    return Script(opening, deltas, closing, error=error, failed=error)


def _message(
    reply: Reply,
    content: list[dict[str, str]],
    stop_reason: str | None,
    output_tokens: int,
) -> dict[str, Any]:
    return {
        "id": reply.response_id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": _INPUT_TOKENS,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output_tokens,
            "service_tier": "standard",
        },
    }


def _event(name: str, **facts: Any) -> bytes:
    return sse({"type": name, **facts}, name)
