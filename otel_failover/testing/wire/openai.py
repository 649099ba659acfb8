"""OpenAI's wire format: Chat Completions, Responses, embeddings, moderations, models.

Shapes as parsed by openai-python 3.52. Paths are matched by their end, so that a base URL with another prefix
(the many servers that speak this format) works too.
"""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING, Any

from otel_failover.testing.wire.common import Call, Fault, Reply, Script, fresh_hex, json_body, model_of, sse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_failover.testing.answers import Answer
    from otel_failover.testing.loopback import Request

BASE_PATH = "/v1"
REQUEST_ID_HEADER = "x-request-id"
STREAM_TYPE = "text/event-stream; charset=utf-8"

_OPERATIONS = {
    ("POST", "/chat/completions"): "chat",
    ("POST", "/responses"): "responses",
    ("POST", "/embeddings"): "embeddings",
    ("POST", "/moderations"): "moderations",
    ("GET", "/models"): "models",
}
_RESPONSE_IDS = {"chat": ("chatcmpl-", 28), "responses": ("resp_", 48), "moderations": ("modr-", 28)}
_INPUT_TOKENS = 12
_EMBEDDING = (0.0023, -0.0093, 0.0157)
_DONE = b"data: [DONE]\n\n"
_STREAM_FAULT = "The server had an error while processing your request. Sorry about that!"
_MODERATION_CATEGORIES = ("harassment", "hate", "illicit", "self-harm", "sexual", "violence")


def read_call(request: Request) -> Call:
    """Return what the request asks for."""
    operation = next(
        (
            name
            for (method, end), name in _OPERATIONS.items()
            if request.method == method and request.path.endswith(end)
        ),
        "",
    )
    body = json_body(request)
    streamed = operation in ("chat", "responses") and body.get("stream") is True
    return Call(operation, model_of(body), streamed, body)


def new_request_id() -> str:
    """Return a request id as OpenAI makes them."""
    return f"req_{fresh_hex(32)}"


def new_response_id(call: Call) -> str | None:
    """Return a response id; embeddings and lists of models have none."""
    prefix, length = _RESPONSE_IDS.get(call.operation, ("", 0))
    return f"{prefix}{fresh_hex(length)}" if prefix else None


def headers(answer: Answer) -> dict[str, str]:
    """Return OpenAI's header fields; the wait is sent twice, in milliseconds and in whole seconds."""
    fields = {
        "openai-organization": "org-local",
        "openai-processing-ms": "12",
        "openai-version": "2020-10-01",
    }
    if answer.retry_after is not None:
        fields["retry-after-ms"] = str(math.ceil(answer.retry_after * 1000))
        fields["retry-after"] = str(math.ceil(answer.retry_after))
    return fields


def fault(answer: Answer) -> Fault:
    """Return the error object; `code` is null unless the answer gives one, as it is for server errors."""
    message = _STREAM_FAULT if answer.message is None else answer.message
    error = {
        "message": message,
        "type": answer.type or _usual_type(answer),
        "param": answer.param,
        "code": answer.code,
    }
    return Fault(message, answer.code, error)


def _usual_type(answer: Answer) -> str:
    if answer.kind == "stream" or answer.status >= 500:
        return "server_error"
    return "requests" if answer.status == 429 else "invalid_request_error"


def envelope(fault: Fault, request_id: str | None) -> Mapping[str, Any]:  # noqa: ARG001  the header has it
    """Return the error's document."""
    return {"error": fault.error}


def whole(call: Call, reply: Reply) -> Any:
    """Return a success as one document."""
    return _WHOLE[call.operation](call, reply)


def script(call: Call, reply: Reply, fault: Fault) -> Script:
    """Return a success as a stream."""
    build = _chat_script if call.operation == "chat" else _responses_script
    return build(call, reply, fault)


def _usage(reply: Reply) -> dict[str, int]:
    total = _INPUT_TOKENS + reply.output_tokens
    return {
        "prompt_tokens": _INPUT_TOKENS,
        "completion_tokens": reply.output_tokens,
        "total_tokens": total,
    }


def _chat(call: Call, reply: Reply) -> dict[str, Any]:  # noqa: ARG001  one signature for all
    text = reply.text or None if reply.withheld else reply.text
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
    return {
        "id": reply.response_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": reply.model,
        "choices": [choice],
        "usage": _usage(reply),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _finish(reply: Reply) -> str:
    return "content_filter" if reply.withheld else "stop"


def _chat_script(call: Call, reply: Reply, fault: Fault) -> Script:
    """The role comes first, the finish reason last, and the usage after it where the request asked for it."""
    frame = {
        "id": reply.response_id,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": reply.model,
        "service_tier": "default",
        "system_fingerprint": None,
    }

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return sse({**frame, "choices": [choice]})

    options = (call.body or {}).get("stream_options")
    with_usage = isinstance(options, dict) and options.get("include_usage") is True
    usage = sse({**frame, "choices": [], "usage": _usage(reply)}) if with_usage else b""
    error = sse({"error": fault.error})
    return Script(
        opening=chunk({"role": "assistant", "content": "", "refusal": None}),
        deltas=tuple(chunk({"content": piece}) for piece in reply.pieces),
        closing=chunk({}, _finish(reply)) + usage + _DONE,
        error=error,
        failed=error,
    )


def _response(call: Call, reply: Reply) -> dict[str, Any]:
    """The finished response; its message's id is made from the response's, so all events agree on it."""
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": reply.text}
    item = {"id": _item_id(reply), "type": "message", "status": "completed", "role": "assistant"}
    body = call.body or {}
    return {
        "id": reply.response_id,
        "object": "response",
        "created_at": int(time.time()),
        "status": "incomplete" if reply.withheld else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "content_filter"} if reply.withheld else None,
        "instructions": body.get("instructions"),
        "metadata": {},
        "model": reply.model,
        "output": [] if reply.withheld and not reply.text else [{**item, "content": [part]}],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": _INPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": reply.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": _INPUT_TOKENS + reply.output_tokens,
        },
    }


def _item_id(reply: Reply) -> str:
    return f"msg_{(reply.response_id or '').removeprefix('resp_')}"


def _responses_script(call: Call, reply: Reply, fault: Fault) -> Script:
    """The events of a Responses stream.

    The error event nests its facts under `error`, as the live service does; the reference documents them
    flat, and the SDK raises for the nested form only (openai/openai-dotnet#881).
    """
    numbers = itertools.count()
    done = _response(call, reply)
    begun = {**done, "status": "in_progress", "output": [], "usage": None}
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": reply.text}
    item: dict[str, Any] = {"id": _item_id(reply), "type": "message", "status": "completed", "role": "assistant"}
    item["content"] = [part]
    place: dict[str, Any] = {"item_id": item["id"], "output_index": 0, "content_index": 0}

    def event(name: str, number: int | None = None, **facts: Any) -> bytes:
        sequence_number = next(numbers) if number is None else number
        return sse({"type": name, **facts, "sequence_number": sequence_number}, name)

    opening = (
        event("response.created", response=begun)
        + event("response.in_progress", response=begun)
        + event(
            "response.output_item.added",
            output_index=0,
            item={**item, "status": "in_progress", "content": []},
        )
        + event("response.content_part.added", **place, part={**part, "text": ""})
    )
    deltas = tuple(event("response.output_text.delta", **place, delta=piece, logprobs=[]) for piece in reply.pieces)
    after = next(numbers)  # an error event takes the number the closing would have begun with
    numbers = itertools.count(after)
    closing = (
        event("response.output_text.done", **place, text=reply.text, logprobs=[])
        + event("response.content_part.done", **place, part=part)
        + event("response.output_item.done", output_index=0, item=item)
        + event("response.incomplete" if reply.withheld else "response.completed", response=done)
    )
    failure = {"code": fault.code or "server_error", "message": fault.message}
    failed = {**begun, "status": "failed", "error": failure}
    return Script(
        opening,
        deltas,
        closing,
        error=event("error", after, error=fault.error),
        failed=event("response.failed", after, response=failed),
    )


def _embeddings(call: Call, reply: Reply) -> dict[str, Any]:
    """One fixed vector for each input; as numbers, which the SDK takes whatever encoding it asked for."""
    given = (call.body or {}).get("input")
    count = len(given) if isinstance(given, list) else 1
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": n, "embedding": _EMBEDDING} for n in range(count)],
        "model": reply.model,
        "usage": {"prompt_tokens": _INPUT_TOKENS, "total_tokens": _INPUT_TOKENS},
    }


def _moderation(call: Call, reply: Reply) -> dict[str, Any]:  # noqa: ARG001  one signature for all
    result = {
        "flagged": False,
        "categories": dict.fromkeys(_MODERATION_CATEGORIES, False),
        "category_scores": dict.fromkeys(_MODERATION_CATEGORIES, 0.0001),
        "category_applied_input_types": {name: ["text"] for name in _MODERATION_CATEGORIES},
    }
    return {"id": reply.response_id, "model": reply.model, "results": [result]}


def _models(call: Call, reply: Reply) -> dict[str, Any]:  # noqa: ARG001  one signature for all
    model = {"id": reply.model, "object": "model", "created": 1715367049, "owned_by": "system"}
    return {"object": "list", "data": [model]}


_WHOLE: dict[str, Callable[[Call, Reply], dict[str, Any]]] = {
    "chat": _chat,
    "responses": _response,
    "embeddings": _embeddings,
    "moderations": _moderation,
    "models": _models,
}
