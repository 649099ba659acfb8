"""Bedrock's wire format: Converse and InvokeModel (with Anthropic's bodies), whole and as an event stream.

Shapes as parsed by botocore 1.44. An error's code stands in the header `x-amzn-errortype`, and the body has the message
alone; a stream is binary: frames with two checksums, typed headers and a JSON payload. Signatures are not looked at.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import uuid
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from otel_failover.testing.wire.common import Call, Fault, Reply, Script, json_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover.testing.answers import Answer
    from otel_failover.testing.loopback import Request

BASE_PATH = ""
REQUEST_ID_HEADER = "x-amzn-requestid"
STREAM_TYPE = "application/vnd.amazon.eventstream"

_PATH = re.compile(r"/model/([^/]+)/(converse|converse-stream|invoke|invoke-with-response-stream)$")
_INPUT_TOKENS = 12
_STREAM_FAULT = "The system encountered an unexpected error during processing. Try your request again."
_USUAL_TYPES = {
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
_CODED_BY = "http://internal.amazon.com/coral/com.amazon.bedrock/"
_STRING = 7


def read_call(request: Request) -> Call:
    """Return what the request asks for."""
    match = _PATH.search(request.path)
    if request.method != "POST" or match is None:
        return Call("")
    model, operation = match.groups()
    return Call(operation, unquote(model), operation.endswith("-stream"), json_body(request))


def new_request_id() -> str:
    """Return a request id as AWS makes them."""
    return str(uuid.uuid4())


def new_response_id(call: Call) -> str | None:  # noqa: ARG001  one signature for all
    """Return None: an answer has no id but the request's."""
    return None


def headers(answer: Answer) -> dict[str, str]:
    """Return AWS's header fields; the code of an error is one."""
    fields = {"date": "Sat, 21 Nov 2026 12:00:00 GMT"}
    if answer.kind == "error":
        fields["x-amzn-errortype"] = f"{fault(answer).code}:{_CODED_BY}"
    if answer.retry_after is not None:
        fields["retry-after"] = f"{answer.retry_after:g}"
    return fields


def fault(answer: Answer) -> Fault:
    """Return the error: a message, and a code that stands in a header."""
    usual = "ModelStreamErrorException" if answer.kind == "stream" else _usual_type(answer.status)
    message = _STREAM_FAULT if answer.message is None else answer.message
    return Fault(message, answer.code or answer.type or usual, {"message": message})


def _usual_type(status: int) -> str:
    return _USUAL_TYPES.get(status, "InternalServerException" if status >= 500 else "ValidationException")


def envelope(fault: Fault, request_id: str | None) -> Mapping[str, Any]:  # noqa: ARG001  the header has it
    """Return the error's document."""
    return fault.error


def whole(call: Call, reply: Reply) -> Any:
    """Return a success as one document."""
    content = [{"text": reply.text}] if reply.text else []
    if call.operation == "invoke":
        blocks = [{"type": "text", **block} for block in content]
        usage = {"input_tokens": _INPUT_TOKENS, "output_tokens": reply.output_tokens}
        stop = "refusal" if reply.withheld else "end_turn"
        return {"type": "message", "role": "assistant", "content": blocks, "stop_reason": stop, "usage": usage}
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _stop(reply),
        "usage": _usage(reply),
        "metrics": {"latencyMs": 12},
    }


def _stop(reply: Reply) -> str:
    return "content_filtered" if reply.withheld else "end_turn"


def _usage(reply: Reply) -> dict[str, int]:
    total = _INPUT_TOKENS + reply.output_tokens
    return {"inputTokens": _INPUT_TOKENS, "outputTokens": reply.output_tokens, "totalTokens": total}


def script(call: Call, reply: Reply, fault: Fault) -> Script:
    """Return a success as a stream; its exception event is named as the error, with a small letter first."""
    code = fault.code or ""
    error = frame({":message-type": "exception", ":exception-type": code[:1].lower() + code[1:]}, fault.error)
    parts = _converse_script(reply) if call.operation == "converse-stream" else _invoke_script(reply)
    opening, deltas, closing = parts
    return Script(opening, deltas, closing, error=error, failed=error)


def _converse_script(reply: Reply) -> tuple[bytes, tuple[bytes, ...], bytes]:
    deltas = tuple(
        _event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}) for piece in reply.pieces
    )
    closing = (
        _event("contentBlockStop", {"contentBlockIndex": 0})
        + _event("messageStop", {"stopReason": _stop(reply)})
        + _event("metadata", {"usage": _usage(reply), "metrics": {"latencyMs": 12}})
    )
    return _event("messageStart", {"role": "assistant"}), deltas, closing


def _invoke_script(reply: Reply) -> tuple[bytes, tuple[bytes, ...], bytes]:
    """Anthropic's own events; Bedrock adds its figures to the last one."""
    usage = {"input_tokens": _INPUT_TOKENS, "output_tokens": 1}
    message = {"type": "message", "role": "assistant", "content": [], "usage": usage}
    block = {"type": "text", "text": ""}
    opening = _chunk({"type": "message_start", "message": message})
    opening += _chunk({"type": "content_block_start", "index": 0, "content_block": block})
    deltas = tuple(
        _chunk({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}})
        for piece in reply.pieces
    )
    stop = "refusal" if reply.withheld else "end_turn"
    metrics = {"inputTokenCount": _INPUT_TOKENS, "outputTokenCount": reply.output_tokens, "invocationLatency": 12}
    closing = (
        _chunk({"type": "content_block_stop", "index": 0})
        + _chunk({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage})
        + _chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics})
    )
    return opening, deltas, closing


def _chunk(document: Mapping[str, Any]) -> bytes:
    """Return an invoked model's own event, in base64 within Bedrock's."""
    return _event("chunk", {"bytes": base64.b64encode(json.dumps(document).encode()).decode()})


def _event(name: str, document: Mapping[str, Any]) -> bytes:
    return frame({":message-type": "event", ":event-type": name}, document)


def frame(fields: Mapping[str, str], document: Mapping[str, Any]) -> bytes:
    """Return one message of `application/vnd.amazon.eventstream`.

    Args:
        fields: Its headers, all strings.
        document: Its payload.

    Returns:
        Lengths, their checksum, headers, payload, and the checksum of it all.
    """
    payload = json.dumps(document).encode()
    head = b"".join(_field(name, value) for name, value in {**fields, ":content-type": "application/json"}.items())
    lengths = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    message = lengths + struct.pack("!I", zlib.crc32(lengths)) + head + payload
    return message + struct.pack("!I", zlib.crc32(message))


def _field(name: str, value: str) -> bytes:
    named, given = name.encode(), value.encode()
    return struct.pack("!B", len(named)) + named + struct.pack("!BH", _STRING, len(given)) + given
