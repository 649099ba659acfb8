"""Text Generation Inference's wire format: OpenAI's chat, and generation of its own. As huggingface_hub parses it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from otel_failover.testing.wire import openai
from otel_failover.testing.wire.common import Call, Fault, Reply, Script, json_body, sse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover.testing.answers import Answer
    from otel_failover.testing.loopback import Request

BASE_PATH = ""
REQUEST_ID_HEADER = "x-request-id"
STREAM_TYPE = "text/event-stream"

_PATHS = {"": "root", "/generate": "generate", "/generate_stream": "generate_stream"}
_USUAL_TYPES = {404: "not_found", 422: "validation", 424: "generation", 429: "overloaded", 500: "incomplete_generation"}


def read_call(request: Request) -> Call:
    """Return what the request asks for: generation names no model, and its answer none either."""
    own = _PATHS.get(request.path.rstrip("/"))
    if own is None or request.method != "POST":
        call = openai.read_call(request)
        return dataclasses.replace(call, names_model=True) if call.operation == "chat" else call
    body = json_body(request)
    streamed = own == "generate_stream" or (own == "root" and body.get("stream") is True)
    return Call(own, None, streamed, body, names_model=False)


def new_request_id() -> str | None:
    """Return None: it sends no request id."""
    return None


def new_response_id(call: Call) -> str | None:  # noqa: ARG001  one signature for all
    """Return None: chat's id is always empty, and generation has none."""
    return None


def headers(answer: Answer) -> dict[str, str]:  # noqa: ARG001  one signature for all
    """Return its header fields."""
    return {"x-compute-type": "cpu", "access-control-allow-origin": "*"}


def fault(answer: Answer) -> Fault:
    """Return the error: a text, and a word for what it is."""
    stream = answer.kind == "stream"
    message = "Request failed during generation: Server error: " if answer.message is None else answer.message
    usual = "generation" if stream else _USUAL_TYPES.get(answer.status, "incomplete_generation")
    code = answer.type or answer.code or usual
    return Fault(message, code, {"error": message, "error_type": code})


def envelope(fault: Fault, request_id: str | None) -> Mapping[str, Any]:  # noqa: ARG001  it has none
    """Return the error's document."""
    return fault.error


def whole(call: Call, reply: Reply) -> Any:
    """Return a success as one document."""
    if call.operation == "chat":
        return openai.whole(call, dataclasses.replace(reply, response_id=""))
    parameters = (call.body or {}).get("parameters")
    asked = isinstance(parameters, dict) and parameters.get("details") is True
    document = {"generated_text": reply.text, **({"details": _details(reply)} if asked else {})}
    return [document] if call.operation == "root" else document


def script(call: Call, reply: Reply, fault: Fault) -> Script:
    """Return a success as a stream: the last token's event has the whole text."""
    error = sse(fault.error)
    if call.operation == "chat":
        made = openai.script(call, dataclasses.replace(reply, response_id=""), fault)
        return dataclasses.replace(made, error=error, failed=error)

    def event(number: int, piece: str, text: str | None = None, details: Any = None) -> bytes:
        token = {"id": number, "text": piece, "logprob": -0.1, "special": text is not None}
        return sse({"index": number, "token": token, "generated_text": text, "details": details})

    return Script(
        opening=b"",
        deltas=tuple(event(number, piece) for number, piece in enumerate(reply.pieces, start=1)),
        closing=event(reply.output_tokens + 1, "</s>", reply.text, {**_details(reply), "input_length": 12}),
        error=error,
        failed=error,
    )


def _details(reply: Reply) -> dict[str, Any]:
    return {
        "finish_reason": "eos_token",
        "generated_tokens": reply.output_tokens,
        "seed": None,
        "prefill": [],
        "tokens": [],
    }
