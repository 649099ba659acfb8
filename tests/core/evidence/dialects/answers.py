"""Answers in each dialect, whole and streamed, as their providers write them, and what each says of itself."""

from __future__ import annotations

import base64
import json
from typing import Any, Final, NamedTuple

from otel_failover.testing.wire.bedrock import frame

SSE: Final = "text/event-stream; charset=utf-8"
JSON: Final = "application/json"
AWS: Final = "application/vnd.amazon.eventstream"


class Whole(NamedTuple):
    """A whole answer, and what it says: id, model, finish, tokens in and out; and whether it is empty."""

    dialect: str
    body: Any
    id: str | None
    model: str | None
    finish: str | None
    tokens: tuple[int | None, int | None]
    empty: bool | None = False
    refused: bool = False


class Streamed(NamedTuple):
    """A streamed answer, its events one by one, and what it says; `ends` by its dialect's own mark, or has none."""

    dialect: str
    content_type: str
    events: tuple[bytes, ...]
    id: str | None
    model: str | None
    finish: str | None
    tokens: tuple[int | None, int | None]
    ends: bool | None = True


def said(**message: Any) -> dict[str, Any]:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 12, "completion_tokens": 5}
    return {"id": "c-1", "object": "chat.completion", "model": "m-1x", "choices": [choice], "usage": usage}


_RESPONSE: Final[dict[str, Any]] = {
    "id": "resp_1", "object": "response", "model": "m-1x", "status": "completed", "error": None,
    "incomplete_details": None, "instructions": "Be kind.", "usage": {"input_tokens": 12, "output_tokens": 5},
    "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "Hello"}]}],
}  # fmt: skip
_CLAUDE: Final[dict[str, Any]] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m-1x", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "Hello"}], "usage": {"input_tokens": 12, "output_tokens": 5},
}  # fmt: skip
_GEMINI: Final[dict[str, Any]] = {
    "candidates": [{"content": {"parts": [{"text": "Hello"}], "role": "model"}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 3, "thoughtsTokenCount": 2},
    "modelVersion": "m-1x", "responseId": "r-1",
}  # fmt: skip
_CONVERSED: Final[dict[str, Any]] = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}}, "stopReason": "end_turn",
    "usage": {"inputTokens": 12, "outputTokens": 5, "totalTokens": 17}, "metrics": {"latencyMs": 9},
}  # fmt: skip
_COHERE: Final[dict[str, Any]] = {
    "id": "co-1", "message": {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
    "finish_reason": "COMPLETE",
    "usage": {"billed_units": {"input_tokens": 1, "output_tokens": 2}, "tokens": {"input_tokens": 12, "output_tokens": 5}},
}  # fmt: skip
_COHERE_1: Final[dict[str, Any]] = {
    "response_id": "r-1", "generation_id": "g-1", "text": "Hello", "finish_reason": "COMPLETE",
    "meta": {"billed_units": {"input_tokens": 1.0}, "tokens": {"input_tokens": 12.0, "output_tokens": 5.0}},
}  # fmt: skip
_OLLAMA: Final[dict[str, Any]] = {
    "model": "m-1x", "created_at": "2026-01-01T00:00:00Z", "done": True, "done_reason": "stop",
    "prompt_eval_count": 12, "eval_count": 5,
}  # fmt: skip
_USED: Final = (12, 5)

WHOLE: Final = {
    "A": Whole("chat_completions", said(content="Hello"), "c-1", "m-1x", "stop", _USED),
    "A, a tool call": Whole(
        "chat_completions", said(content=None, tool_calls=[{"id": "1"}]), "c-1", "m-1x", "stop", _USED
    ),
    "A, empty": Whole("chat_completions", said(content=""), "c-1", "m-1x", "stop", _USED, empty=True),
    "A, refused": Whole(
        "chat_completions",
        {**said(), "choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]},
        "c-1", "m-1x", "content_filter", _USED, empty=True, refused=True,
    ),
    "A, Azure's filter beside it": Whole(
        "chat_completions",
        {**said(content="Hello"), "prompt_filter_results": [{"content_filter_results": {"error": {"code": "x"}}}]},
        "c-1", "m-1x", "stop", _USED,
    ),
    "B": Whole("responses", _RESPONSE, "resp_1", "m-1x", "completed", _USED),
    "B, incomplete": Whole(
        "responses",
        {**_RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        "resp_1", "m-1x", "max_output_tokens", _USED,
    ),
    "C": Whole(
        "completions",
        {"id": "c-1", "model": "m-1x", "choices": [{"text": "Hello", "finish_reason": "length"}],
         "usage": {"prompt_tokens": 12, "completion_tokens": 5}},
        "c-1", "m-1x", "length", _USED,
    ),
    "D": Whole("messages", _CLAUDE, "msg_1", "m-1x", "end_turn", _USED),
    "D, a tool call": Whole(
        "messages", {**_CLAUDE, "content": [{"type": "tool_use", "name": "f"}]}, "msg_1", "m-1x", "end_turn", _USED
    ),
    "D, refused": Whole(
        "messages", {**_CLAUDE, "content": [], "stop_reason": "refusal"}, "msg_1", "m-1x", "refusal", _USED,
        empty=True, refused=True,
    ),
    "E": Whole("gemini", _GEMINI, "r-1", "m-1x", "STOP", _USED),
    "E, blocked": Whole(
        "gemini",
        {"promptFeedback": {"blockReason": "SAFETY"}, "responseId": "r-1", "modelVersion": "m-1x"},
        "r-1", "m-1x", None, (None, None), empty=True, refused=True,
    ),
    "E, a list": Whole(
        "gemini", [{**_GEMINI, "candidates": [{"content": {"parts": [{"text": "Hel"}]}}]}, _GEMINI], "r-1", "m-1x",
        "STOP", _USED,
    ),
    "E2": Whole(
        "interactions",
        {"id": "i-1", "model": "m-1x", "status": "completed", "outputs": [{"type": "text", "text": "Hello"}],
         "usage": {"total_input_tokens": 12, "total_output_tokens": 5}},
        "i-1", "m-1x", "completed", _USED,
    ),
    "E2, thoughts only": Whole(
        "interactions", {"id": "i-1", "outputs": [{"type": "thought", "signature": "x"}]}, "i-1", None, None,
        (None, None), empty=True,
    ),
    "E2, a tool call": Whole(
        "interactions", {"id": "i-1", "outputs": [{"type": "function_call", "name": "f"}]}, "i-1", None, None,
        (None, None),
    ),
    "F": Whole("converse", _CONVERSED, None, None, "end_turn", _USED),
    "F, a tool call": Whole(
        "converse",
        {**_CONVERSED, "output": {"message": {"content": [{"toolUse": {"name": "f"}}]}}, "stopReason": "tool_use"},
        None, None, "tool_use", _USED,
    ),
    "F, empty": Whole(
        "converse", {**_CONVERSED, "output": {"message": {"content": []}}}, None, None, "end_turn", _USED, empty=True
    ),
    "F, a guardrail": Whole(
        "converse", {**_CONVERSED, "stopReason": "guardrail_intervened"}, None, None, "guardrail_intervened", _USED,
        refused=True,
    ),
    "F2, Claude": Whole("invoke", _CLAUDE, "msg_1", "m-1x", "end_turn", _USED),
    "F2, Llama": Whole(
        "invoke", {"generation": "Hello", "prompt_token_count": 12, "generation_token_count": 5, "stop_reason": "stop"},
        None, None, "stop", _USED,
    ),
    "F2, Titan": Whole(
        "invoke", {"inputTextTokenCount": 12, "results": [{"outputText": "Hello", "completionReason": "FINISH"}]},
        None, None, "FINISH", (12, None),
    ),
    "F2, Mistral": Whole(
        "invoke", {"outputs": [{"text": "Hello", "stop_reason": "stop"}]}, None, None, "stop", (None, None)
    ),
    "F2, Nova": Whole("invoke", _CONVERSED, None, None, "end_turn", _USED),
    "G": Whole("cohere", _COHERE, "co-1", None, "COMPLETE", _USED),
    "G, a tool call": Whole(
        "cohere", {**_COHERE, "message": {"role": "assistant", "tool_calls": [{"id": "1"}]}, "finish_reason": "TOOL_CALL"},
        "co-1", None, "TOOL_CALL", _USED,
    ),
    "G, empty": Whole(
        "cohere", {**_COHERE, "message": {"role": "assistant", "content": []}}, "co-1", None, "COMPLETE", _USED,
        empty=True,
    ),
    "G, refused": Whole(
        "cohere", {**_COHERE, "message": {"role": "assistant", "content": []}, "finish_reason": "ERROR_TOXIC"}, "co-1",
        None, "ERROR_TOXIC", _USED, empty=True, refused=True,
    ),
    "G1": Whole("cohere_1", _COHERE_1, "g-1", None, "COMPLETE", _USED),
    "G1, generate": Whole(
        "cohere_1", {"id": "g-1", "generations": [{"text": "Hello", "finish_reason": "COMPLETE"}]}, "g-1", None,
        "COMPLETE", (None, None),
    ),
    "H": Whole("ollama", {**_OLLAMA, "message": {"role": "assistant", "content": "Hello"}}, None, "m-1x", "stop", _USED),
    "H, a tool call": Whole(
        "ollama", {**_OLLAMA, "message": {"content": "", "tool_calls": [{"function": {}}]}}, None, "m-1x", "stop", _USED
    ),
    "H, thoughts only": Whole(
        "ollama", {**_OLLAMA, "message": {"content": "", "thinking": "Hm."}}, None, "m-1x", "stop", _USED, empty=True
    ),
    "H, generate": Whole("ollama", {**_OLLAMA, "response": "Hello"}, None, "m-1x", "stop", _USED),
    "H, empty": Whole("ollama", {**_OLLAMA, "response": ""}, None, "m-1x", "stop", _USED, empty=True),
    "I": Whole(
        "tgi", [{"generated_text": "Hello", "details": {"finish_reason": "length", "generated_tokens": 5}}], None, None,
        "length", (None, 5),
    ),
    "J": Whole(
        "llama_cpp",
        {"content": "Hello", "stop": True, "stop_type": "eos", "model": "m-1x", "tokens_evaluated": 12, "tokens_predicted": 5},
        None, "m-1x", "eos", _USED,
    ),
    "K": Whole(
        "dashscope",
        {"request_id": "q-1", "output": {"choices": [{"finish_reason": "stop", "message": {"content": "Hello"}}]},
         "usage": {"input_tokens": 12, "output_tokens": 5}},
        "q-1", None, "stop", _USED,
    ),
    "K, a text": Whole(
        "dashscope", {"request_id": "q-1", "output": {"text": "Hello", "finish_reason": "stop"}}, "q-1", None, "stop",
        (None, None),
    ),
    "L": Whole(
        "watsonx",
        {"model_id": "m-1", "results": [{"generated_text": "Hello", "stop_reason": "eos_token", "input_token_count": 12,
                                          "generated_token_count": 5}]},
        None, None, "eos_token", _USED,
    ),
    "M": Whole(
        "replicate",
        {"id": "p-1", "model": "meta/m", "status": "succeeded", "output": ["Hel", "lo"], "error": None,
         "metrics": {"input_token_count": 12, "output_token_count": 5}},
        "p-1", "meta/m", "succeeded", _USED,
    ),
    "M, not yet": Whole(
        "replicate", {"id": "p-1", "model": "meta/m", "status": "starting", "output": None, "error": None}, "p-1",
        "meta/m", None, (None, None), empty=None,
    ),
    "N": Whole(
        "cloudflare",
        {"success": True, "errors": [], "messages": [],
         "result": {"response": "Hello", "usage": {"prompt_tokens": 12, "completion_tokens": 5}}},
        None, None, None, _USED,
    ),
    "O": Whole(
        "baidu",
        {"id": "as-1", "result": "Hello", "finish_reason": "normal", "is_end": True,
         "usage": {"prompt_tokens": 12, "completion_tokens": 5}},
        "as-1", None, "normal", _USED,
    ),
    "P": Whole(
        "chat_completions", {**said(content="Hello"), "base_resp": {"status_code": 0, "status_msg": ""}}, "c-1", "m-1x",
        "stop", _USED,
    ),
    "Mistral, a conversation": Whole(
        "conversations",
        {"conversation_id": "conv-1", "outputs": [{"type": "message.output", "content": "Hello", "model": "m"}],
         "usage": {"prompt_tokens": 12, "completion_tokens": 5}},
        "conv-1", None, None, _USED,
    ),
    "nobody's": Whole("chat_completions", {"hello": "world"}, None, None, None, (None, None), empty=None),
    "no object": Whole("chat_completions", "hello", None, None, None, (None, None), empty=None),
}  # fmt: skip


# --- streams ----------------------------------------------------------------------------------------------------------


def sse(data: Any, event: str = "", *, end: str = "\n") -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"{f'event: {event}{end}' if event else ''}data: {text}{end}{end}".encode()


def line(data: Any) -> bytes:
    """One line of JSON."""
    return json.dumps(data).encode() + b"\n"


def event(name: str, document: Any) -> bytes:
    """One frame of AWS's."""
    return frame({":event-type": name, ":content-type": JSON, ":message-type": "event"}, document)


def packed(document: Any) -> bytes:
    """One frame with what an invoked model wrote."""
    return event("chunk", {"bytes": base64.b64encode(json.dumps(document).encode()).decode(), "p": "abc"})


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of a chat completion."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c-1", "object": "chat.completion.chunk", "model": "m-1x", "choices": choices, **more}


_TOKENS: Final = [f" word{place}" for place in range(150)]
_USAGE: Final = {"prompt_tokens": 12, "completion_tokens": 5}
_CLAUDES: Final[tuple[dict[str, Any], ...]] = (
    {"type": "message_start", "message": {**_CLAUDE, "content": [], "stop_reason": None,
                                          "usage": {"input_tokens": 12, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": token}} for token in _TOKENS),
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)  # fmt: skip
_GEMINIS: Final = (
    *({**_GEMINI, "candidates": [{"content": {"parts": [{"text": token}], "role": "model"}}], "usageMetadata": {}}
      for token in _TOKENS), _GEMINI,
)  # fmt: skip
STREAMS: Final = {
    "A": Streamed(
        "chat_completions", SSE,
        (sse(chunk({"role": "assistant", "content": ""})), *(sse(chunk({"content": token})) for token in _TOKENS),
         sse(chunk({}, "stop")), sse(chunk({}) | {"choices": [], "usage": _USAGE}), sse("[DONE]")),
        "c-1", "m-1x", "stop", _USED,
    ),
    "A, thinking first": Streamed(
        "chat_completions", SSE,
        (*(sse(chunk({"reasoning_content": token, "content": None})) for token in _TOKENS),
         *(sse(chunk({"content": token})) for token in _TOKENS), sse(chunk({}, "stop", usage=_USAGE)), sse("[DONE]")),
        "c-1", "m-1x", "stop", _USED,
    ),
    "A, a tool call": Streamed(
        "chat_completions", SSE,
        (b": OPENROUTER PROCESSING\n\n", sse(chunk({"tool_calls": [{"function": {"arguments": "{"}}]})),
         sse(chunk({}, "tool_calls")), sse("[DONE]")),
        "c-1", "m-1x", "tool_calls", (None, None),
    ),
    "A, Groq's tokens": Streamed(
        "chat_completions", SSE,
        (sse(chunk({"content": "Hi"})), sse(chunk({}, "stop", x_groq={"id": "req_1", "usage": _USAGE})), sse("[DONE]")),
        "c-1", "m-1x", "stop", _USED,
    ),
    "A, without the mark that OpenAI has": Streamed(
        "chat_completions", SSE, (sse(chunk({"content": "Hi"})), sse(chunk({}, "stop"))), "c-1", "m-1x", "stop",
        (None, None),
    ),
    "B": Streamed(
        "responses", SSE,
        (sse({"type": "response.created", "response": {**_RESPONSE, "status": "in_progress", "output": [], "usage": None}},
             "response.created"),
         *(sse({"type": "response.output_text.delta", "item_id": "msg_1", "delta": token}, "response.output_text.delta")
           for token in _TOKENS),
         sse({"type": "response.completed", "response": _RESPONSE | {"instructions": "so long " * 9000}}, "response.completed")),
        "resp_1", "m-1x", "completed", _USED,
    ),
    "C": Streamed(
        "completions", SSE,
        (sse({"id": "c-1", "model": "m-1x", "choices": [{"text": "Hel", "finish_reason": None}]}),
         sse({"id": "c-1", "model": "m-1x", "choices": [{"text": "lo", "finish_reason": "length"}]}), sse("[DONE]")),
        "c-1", "m-1x", "length", (None, None),
    ),
    "D": Streamed("messages", SSE, tuple(sse(each, each["type"]) for each in _CLAUDES), "msg_1", "m-1x", "end_turn", _USED),
    "E": Streamed(
        "gemini", SSE, tuple(sse(each, end="\r\n") for each in _GEMINIS), "r-1", "m-1x", "STOP", _USED
    ),
    "E, a list": Streamed(
        "gemini", "application/json; charset=UTF-8",
        (b"[", b",\r\n".join(json.dumps(each, indent=2).encode() for each in _GEMINIS), b"\n]\n"),
        "r-1", "m-1x", "STOP", _USED,
    ),
    "E2": Streamed(
        "interactions", SSE,
        (sse({"event_type": "interaction.start", "interaction": {"id": "i-1", "model": "m-1x", "status": "in_progress"}}),
         sse({"event_type": "content.delta", "delta": {"type": "text", "text": "Hi"}}),
         sse({"event_type": "interaction.complete", "interaction": {
             "id": "i-1", "status": "completed", "usage": {"total_input_tokens": 12, "total_output_tokens": 5}}})),
        "i-1", "m-1x", "completed", _USED,
    ),
    "F": Streamed(
        "converse", AWS,
        (event("messageStart", {"role": "assistant"}),
         *(event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": token}}) for token in _TOKENS),
         event("contentBlockStop", {"contentBlockIndex": 0}), event("messageStop", {"stopReason": "end_turn"}),
         event("metadata", {"usage": {"inputTokens": 12, "outputTokens": 5}, "metrics": {"latencyMs": 9}})),
        None, None, "end_turn", _USED,
    ),
    "F2": Streamed(
        "invoke", AWS,
        (*map(packed, _CLAUDES[:-1]),
         packed({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 12, "outputTokenCount": 5}})),
        "msg_1", "m-1x", "end_turn", _USED,
    ),
    "F2, Llama": Streamed(
        "invoke", AWS,
        (packed({"generation": "Hi", "stop_reason": None}), packed({"generation": "", "stop_reason": "stop",
         "amazon-bedrock-invocationMetrics": {"inputTokenCount": 12, "outputTokenCount": 5}})),
        None, None, "stop", _USED,
    ),
    "G": Streamed(
        "cohere", SSE,
        (sse({"id": "co-1", "type": "message-start", "delta": {"message": {"role": "assistant", "content": [], "tool_calls": []}}}, "message-start"),
         sse({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}, "content-start"),
         *(sse({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": token}}}}, "content-delta")
           for token in _TOKENS),
         sse({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": _COHERE["usage"]}}, "message-end")),
        "co-1", None, "COMPLETE", _USED,
    ),
    "G1": Streamed(
        "cohere_1", "application/stream+json",
        (line({"is_finished": False, "event_type": "stream-start", "generation_id": "g-1"}),
         *(line({"is_finished": False, "event_type": "text-generation", "text": token}) for token in _TOKENS),
         line({"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": _COHERE_1})),
        "g-1", None, "COMPLETE", _USED,
    ),
    "H": Streamed(
        "ollama", "application/x-ndjson",
        (*(line({"model": "m-1x", "message": {"role": "assistant", "content": token}, "done": False}) for token in _TOKENS),
         line({**_OLLAMA, "message": {"role": "assistant", "content": ""}})),
        None, "m-1x", "stop", _USED,
    ),
    "H, generate": Streamed(
        "ollama", "application/x-ndjson",
        (line({"model": "m-1x", "response": "Hi", "done": False}), line({**_OLLAMA, "response": ""})),
        None, "m-1x", "stop", _USED,
    ),
    "I": Streamed(
        "tgi", SSE,
        (*(b"data:" + line({"index": 1, "token": {"id": 1, "text": token}, "generated_text": None, "details": None}) + b"\n"
           for token in _TOKENS),
         b"data:" + line({"index": 9, "token": {"text": "</s>"}, "generated_text": "Hi",
                          "details": {"finish_reason": "length", "generated_tokens": 5}}) + b"\n"),
        None, None, "length", (None, 5),
    ),
    "J": Streamed(
        "llama_cpp", SSE,
        (sse({"content": "Hi", "stop": False}),
         sse({"content": "", "stop": True, "stop_type": "eos", "model": "m-1x", "tokens_evaluated": 12, "tokens_predicted": 5})),
        None, "m-1x", "eos", _USED,
    ),
    "K": Streamed(
        "dashscope", SSE,
        tuple(f"id:{place}\nevent:result\n:HTTP_STATUS/200\ndata:{json.dumps({'request_id': 'q-1', 'output': {'choices': [{'message': {'content': 'Hi'}, 'finish_reason': finish}]}, 'usage': {'input_tokens': 12, 'output_tokens': 5}})}\n\n".encode()
              for place, finish in enumerate(["null", "null", "stop"])),
        "q-1", None, "stop", _USED,
    ),
    "L": Streamed(
        "watsonx", SSE,
        (f"id: 1\nevent: message\ndata: {json.dumps({'model_id': 'm', 'results': [{'generated_text': 'Hi', 'stop_reason': 'not_finished'}]})}\n\n".encode(),
         f"id: 2\nevent: message\ndata: {json.dumps({'results': [{'generated_text': '', 'stop_reason': 'eos_token', 'input_token_count': 12, 'generated_token_count': 5}]})}\n\n".encode()),
        None, None, "eos_token", _USED,
    ),
    "N": Streamed(
        "cloudflare", SSE,
        (sse({"response": "Hi", "p": "abc"}), sse({"response": "", "usage": _USAGE}), sse("[DONE]")),
        None, None, None, _USED,
    ),
    "O": Streamed(
        "baidu", SSE,
        (sse({"id": "as-1", "result": "Hi", "is_end": False, "usage": {"prompt_tokens": 12, "completion_tokens": 1}}),
         sse({"id": "as-1", "result": "", "is_end": True, "finish_reason": "normal", "usage": _USAGE})),
        "as-1", None, "normal", _USED,
    ),
    "P": Streamed(
        "chat_completions", SSE,
        (sse(chunk({"content": "Hi"}, base_resp={"status_code": 0})),
         sse({**said(content="Hello"), "base_resp": {"status_code": 0, "status_msg": ""}})),
        "c-1", "m-1x", "stop", _USED,
    ),
    "Mistral, a conversation": Streamed(
        "conversations", SSE,
        (sse({"type": "conversation.response.started", "conversation_id": "conv-1"}, "conversation.response.started"),
         sse({"type": "message.output.delta", "content": "Hi", "role": "assistant"}, "message.output.delta"),
         sse({"type": "conversation.response.done", "usage": _USAGE}, "conversation.response.done")),
        "conv-1", None, None, _USED,
    ),
    "M, read from its own address": Streamed(
        "replicate", SSE,
        (b"event: output\nid: 1\ndata: Hi\n\n", b"event: output\nid: 2\ndata:  there\n\n", b"event: done\nid: 3\ndata: {}\n\n"),
        None, None, None, (None, None),
    ),
    "a whole answer, though a stream was asked for": Streamed(
        "chat_completions", JSON, (json.dumps(said(content="Hello"), indent=1).encode(),), "c-1", "m-1x", "stop", _USED
    ),
}  # fmt: skip

# --- errors under a 200 -----------------------------------------------------------------------------------------------


class Error(NamedTuple):
    """An error under a 200, or in the midst of a stream: its reason, its code and its sentence."""

    dialect: str
    content_type: str
    event: bytes
    reason: str
    code: str | None
    message: str


ERRORS: Final = {
    "A, as OpenAI tells it": Error(
        "chat_completions", SSE, sse({"error": {"message": "Slow down.", "type": "rate_limit_error", "code": "slow_down"}}),
        "rate_limit", "slow_down", "Slow down.",
    ),
    "A, as OpenRouter does": Error(
        "chat_completions", SSE,
        sse(chunk({"content": ""}, "error", error={"code": 502, "message": "Provider disconnected"})),
        "server_error", None, "Provider disconnected",
    ),
    "A, as vLLM does": Error(
        "chat_completions", SSE, sse({"object": "error", "message": "Out of memory.", "type": "InternalServerError", "code": 500}),
        "server_error", "InternalServerError", "Out of memory.",
    ),
    "B": Error(
        "responses", SSE,
        sse({"type": "response.failed", "response": {**_RESPONSE, "status": "failed", "output": [],
             "error": {"code": "server_error", "message": "Sorry."}}}, "response.failed"),
        "server_error", "server_error", "Sorry.",
    ),
    "B, an event": Error(
        "responses", SSE, sse({"type": "error", "code": "rate_limit_exceeded", "message": "Slow down.", "param": None}, "error"),
        "rate_limit", "rate_limit_exceeded", "Slow down.",
    ),
    "D": Error(
        "messages", SSE,
        sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}, "error"),
        "overloaded", "overloaded_error", "Overloaded",
    ),
    "E": Error(
        "gemini", SSE, sse({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}),
        "overloaded", "UNAVAILABLE", "The model is overloaded.",
    ),
    "E, in a list": Error(
        "gemini", JSON, json.dumps({"error": {"code": 503, "message": "Full.", "status": "UNAVAILABLE"}}, indent=1).encode(),
        "overloaded", "UNAVAILABLE", "Full.",
    ),
    "F": Error(
        "converse", AWS,
        frame({":exception-type": "throttlingException", ":content-type": JSON, ":message-type": "exception"}, {"message": "Too fast."}),
        "rate_limit", "throttlingException", "Too fast.",
    ),
    "F2": Error(
        "invoke", AWS,
        frame({":exception-type": "modelStreamErrorException", ":message-type": "exception"}, {"message": "Broke."}),
        "server_error", "modelStreamErrorException", "Broke.",
    ),
    "H": Error("ollama", "application/x-ndjson", line({"error": "model runner has stopped"}), "unknown", None, "model runner has stopped"),
    "I": Error(
        "tgi", SSE, sse({"error": "Model is overloaded", "error_type": "overloaded"}), "overloaded", "overloaded",
        "Model is overloaded",
    ),
    "K": Error(
        "dashscope", SSE,
        b'id:1\nevent:error\n:HTTP_STATUS/429\ndata:{"code":"Throttling.RateQuota","message":"Too fast.","request_id":"q-1"}\n\n',
        "rate_limit", "Throttling.RateQuota", "Too fast.",
    ),
    "M": Error("replicate", SSE, b"event: error\ndata: It broke down.\n\n", "unknown", None, "It broke down."),
    "O": Error(
        "baidu", SSE, sse({"error_code": 18, "error_msg": "Open api qps request limit reached", "id": ""}), "rate_limit",
        "18", "Open api qps request limit reached",
    ),
    "P": Error(
        "chat_completions", SSE,
        sse({"id": "c-1", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
        "billing", "1008", "insufficient balance",
    ),
}  # fmt: skip
