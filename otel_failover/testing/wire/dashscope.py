"""DashScope's own wire format: generation, whole and as events of a form of their own. As dashscope 2.0 parses it."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from otel_failover.testing.wire.common import Call, Fault, Reply, Script, json_body, model_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover.testing.answers import Answer
    from otel_failover.testing.loopback import Request

BASE_PATH = "/api/v1"
REQUEST_ID_HEADER = "x-request-id"
STREAM_TYPE = "text/event-stream;charset=UTF-8"

_ENDS = ("/text-generation/generation", "/multimodal-generation/generation")
_INPUT_TOKENS = 12
_USUAL_CODES = {
    400: "InvalidParameter",
    401: "InvalidApiKey",
    403: "AccessDenied",
    404: "ModelNotFound",
    429: "Throttling",
}


def read_call(request: Request) -> Call:
    """Return what the request asks for: a header says that it shall be streamed. No answer names a model."""
    body = json_body(request)
    asked = request.method == "POST" and request.path.endswith(_ENDS)
    streamed = asked and request.headers.get("x-dashscope-sse") == "enable"
    return Call("generation" if asked else "", model_of(body), streamed, body, names_model=False)


def new_request_id() -> str | None:
    """Return None: the id stands in the body."""
    return None


def new_response_id(call: Call) -> str:  # noqa: ARG001  one signature for all
    """Return the request's id, by which an answer goes."""
    return str(uuid.uuid4())


def headers(answer: Answer) -> dict[str, str]:  # noqa: ARG001  one signature for all
    """Return DashScope's header fields."""
    return {"req-cost-time": "120", "server": "istio-envoy"}


def fault(answer: Answer) -> Fault:
    """Return the error, which is the whole document: it is flat, and has an id of its own."""
    usual = "InternalError" if answer.kind == "stream" or answer.status >= 500 else "InvalidParameter"
    code = answer.code or _USUAL_CODES.get(answer.status, usual)
    message = "An internal error has occured, please try again later." if answer.message is None else answer.message
    request_id = answer.request_id or str(uuid.uuid4())
    return Fault(message, code, {"code": code, "message": message, "request_id": request_id})


def envelope(fault: Fault, request_id: str | None) -> Mapping[str, Any]:  # noqa: ARG001  the fault has its own
    """Return the error's document."""
    return fault.error


def whole(call: Call, reply: Reply) -> Any:
    """Return a success as one document."""
    return _document(call, reply, reply.text, reply.output_tokens, "stop")


def script(call: Call, reply: Reply, fault: Fault) -> Script:
    """Return a success as a stream: each event has the text so far, unless the request wants its increments."""
    parameters = (call.body or {}).get("parameters")
    by_increment = isinstance(parameters, dict) and parameters.get("incremental_output") is True
    deltas = []
    for number, piece in enumerate(reply.pieces, start=1):
        text = piece if by_increment else "".join(reply.pieces[:number])
        deltas.append(_event(number, "result", 200, _document(call, reply, text, number, "null")))
    after = len(deltas) + 1
    last = _document(call, reply, "" if by_increment else reply.text, reply.output_tokens, "stop")
    error = _event(after, "error", 500, fault.error)
    return Script(b"", tuple(deltas), _event(after, "result", 200, last), error=error, failed=error)


def _event(number: int, name: str, status: int, document: Mapping[str, Any]) -> bytes:
    data = json.dumps(document, separators=(",", ":"))
    return f"id:{number}\nevent:{name}\n:HTTP_STATUS/{status}\ndata:{data}\n\n".encode()


def _document(call: Call, reply: Reply, text: str, tokens: int, finish_reason: str) -> dict[str, Any]:
    parameters = (call.body or {}).get("parameters")
    if isinstance(parameters, dict) and parameters.get("result_format") == "message":
        choice = {"finish_reason": finish_reason, "message": {"role": "assistant", "content": text}}
        output: dict[str, Any] = {"choices": [choice]}
    else:
        output = {"text": text, "finish_reason": finish_reason}
    usage = {"input_tokens": _INPUT_TOKENS, "output_tokens": tokens, "total_tokens": _INPUT_TOKENS + tokens}
    return {"output": output, "usage": usage, "request_id": reply.response_id}
