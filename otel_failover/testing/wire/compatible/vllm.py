"""vLLM's wire format: OpenAI's, with errors of its own. Shapes as its server of 0.11 and newer writes them."""

from __future__ import annotations

import dataclasses
from http import HTTPStatus
from typing import TYPE_CHECKING

from otel_failover.testing.wire.common import Call, Fault, Reply, Script, fresh_hex
from otel_failover.testing.wire.openai import BASE_PATH, REQUEST_ID_HEADER, STREAM_TYPE, envelope, read_call, whole
from otel_failover.testing.wire.openai import script as script_of_openai

if TYPE_CHECKING:
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

_DONE = b"data: [DONE]\n\n"
_USUAL_TYPES = {400: "BadRequestError", 404: "NotFoundError", 500: "InternalServerError"}


def new_request_id() -> str | None:
    """Return None: a request id is sent only where the server was started so."""
    return None


def new_response_id(call: Call) -> str | None:
    """Return a response id, made of the request's."""
    prefix = {"chat": "chatcmpl-", "responses": "resp_"}.get(call.operation)
    return prefix and f"{prefix}{fresh_hex(32)}"


def headers(answer: Answer) -> dict[str, str]:
    """Return what the server under it sends."""
    fields = {"server": "uvicorn"}
    if answer.retry_after is not None:
        fields["retry-after"] = f"{answer.retry_after:g}"
    return fields


def fault(answer: Answer) -> Fault:
    """Return the error object, whose `code` is the status, as a number; in a stream too."""
    status = 500 if answer.kind == "stream" else answer.status
    message = "EngineCore encountered an issue." if answer.message is None else answer.message
    code: str | int = answer.code or status
    kind = answer.type or _USUAL_TYPES.get(status) or HTTPStatus(status).phrase
    return Fault(message, str(code), {"message": message, "type": kind, "param": answer.param, "code": code})


def script(call: Call, reply: Reply, fault: Fault) -> Script:
    """Return a success as a stream: after an error, the terminator comes all the same."""
    made = script_of_openai(call, reply, fault)
    if call.operation != "chat":
        return made
    return dataclasses.replace(made, error=made.error + _DONE, failed=made.failed + _DONE)
