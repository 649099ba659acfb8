"""OpenRouter's wire format: OpenAI's, with the upstream provider's error nested in its own. As its reference has it."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from otel_failover.testing.wire.common import Call, Fault, Reply, Script, fresh_hex, sse
from otel_failover.testing.wire.openai import STREAM_TYPE, read_call
from otel_failover.testing.wire.openai import script as script_of_openai
from otel_failover.testing.wire.openai import whole as whole_of_openai

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover.testing.answers import Answer

__all__ = [
    "BASE_PATH",
    "REQUEST_ID_HEADER",
    "STREAM_TYPE",
    "envelope",
    "fault",
    "headers",
    "new_request_id",
    "new_response_id",
    "read_call",
    "script",
    "whole",
]

BASE_PATH = "/api/v1"
REQUEST_ID_HEADER = "x-generation-id"

_UPSTREAM = "Local"
_COMMENT = b": OPENROUTER PROCESSING\n\n"


def new_request_id() -> str | None:
    """Return None: an answer has the generation's id, which is in its body too, and an error none."""
    return None


def new_response_id(call: Call) -> str | None:
    """Return a generation's id."""
    return f"gen-{int(time.time())}-{fresh_hex(20)}" if call.operation in ("chat", "responses") else None


def headers(answer: Answer) -> dict[str, str]:
    """Return OpenRouter's header fields."""
    fields = {"access-control-allow-origin": "*", "server": "cloudflare"}
    if answer.retry_after is not None:
        fields["retry-after"] = f"{answer.retry_after:g}"
    return fields


def fault(answer: Answer) -> Fault:
    """Return the error object: its `code` is a status, as a number, and its metadata what the upstream said."""
    status = 502 if answer.kind == "stream" else answer.status
    message = "Provider disconnected unexpectedly" if answer.message is None else answer.message
    code: str | int = answer.code or status
    error: dict[str, Any] = {"message": message, "code": code}
    if answer.details:
        error["metadata"] = answer.details[0]
    return Fault(message, str(code), error)


def envelope(fault: Fault, request_id: str | None) -> Mapping[str, Any]:  # noqa: ARG001  it has none
    """Return the error's document."""
    return {"error": fault.error, "user_id": "user_local"}


def whole(call: Call, reply: Reply) -> Any:
    """Return a success as one document, which says who served it."""
    document = whole_of_openai(call, reply)
    return {**document, "provider": _UPSTREAM} if call.operation == "chat" else document


def script(call: Call, reply: Reply, fault: Fault) -> Script:
    """Return a success as a stream: a comment goes ahead, the usage comes unasked, an error in a chunk of its own."""
    asked = {**(call.body or {}), "stream_options": {"include_usage": True}}
    made = script_of_openai(dataclasses.replace(call, body=asked), reply, fault)
    if call.operation != "chat":
        return made
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
    frame = {"id": reply.response_id, "object": "chat.completion.chunk", "created": int(time.time())}
    error = sse({**frame, "model": reply.model, "provider": _UPSTREAM, "error": fault.error, "choices": [choice]})
    return dataclasses.replace(made, opening=_COMMENT + made.opening, error=error, failed=error)
