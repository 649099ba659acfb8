"""What an answer under a 200 may be instead: an error or a refusal, and never what its own words make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_failover._core.evidence.answers.content import is_empty
from otel_failover._core.evidence.answers.success import Document, document, error_in, is_refusal

RATE: dict[str, Any] = {"message": "Provider returned error", "code": 429}
EVENT = '{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def chat(content: object = "Hello", finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}
    return {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": USAGE, **more}


ERRORS = {
    "a mapping": {"error": RATE},
    "a text": {"error": "model is overloaded"},
    "only a code": {"error": {"code": "server_error"}},
    "only a type": {"error": {"type": "overloaded_error"}},
    "no choices": {"error": RATE, "choices": []},
    "choices of null": {"error": RATE, "choices": None},
    "an empty choice": chat("", None, error=RATE),
    "no candidates": {"error": RATE, "candidates": []},
    "no content": {"error": RATE, "content": []},
    "no output": {"error": RATE, "output": []},
    "no data": {"error": RATE, "data": []},
    "a flat message": {"error": "Bad Request", "message": "No such model"},
    "Anthropic's": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    "Anthropic's with content": {"type": "error", "error": {"type": "api_error", "message": "x"}, "content": [{}]},
    "vLLM's flat one": {
        "object": "error",
        "message": "requested tokens exceed",
        "type": "BadRequestError",
        "code": 400,
    },
    "a failed response": {"object": "response", "status": "failed", "error": {"code": "server_error", "message": "x"}},
    "a failed response with output": {
        "status": "failed",
        "error": {"code": "server_error", "message": "x"},
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hel"}]}],
    },
    "a choice's error": {"choices": [{"finish_reason": "error", "message": {"content": "Hel"}, "error": RATE}]},
    "broken off": chat("Hel", "error", error=RATE),
    "MiniMax's": {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None},
    "Baidu's": {"error_code": 17, "error_msg": "Open api daily request limit reached"},
    "Google's": {"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}},
}
ANSWERS = {
    "null on a chat": chat(error=None),
    "null on a response": {
        "object": "response", "status": "completed", "error": None,
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}],
    },
    "null on an unfinished response": {"object": "response", "status": "queued", "error": None, "output": []},
    "an empty one": chat(error={}),
    "an empty text": {"error": "", "choices": []},
    "blank": {"error": " "},
    "false": {"error": False, "choices": []},
    "one with nothing in it": {"error": {"message": None, "code": None}},
    "beside a text": chat("Hello", error=RATE),
    "beside a tool's call": {
        "choices": [{"finish_reason": "tool_calls", "message": {"content": None, "tool_calls": [{"id": "1"}]}}],
        "error": RATE,
    },
    "beside Gemini's": {"candidates": [{"content": {"parts": [{"text": "Hello"}]}}], "error": RATE},
    "beside Anthropic's": {"stop_reason": "end_turn", "content": [{"type": "text", "text": "Hello"}], "error": RATE},
    "beside Ollama's": {"message": {"role": "assistant", "content": "Hello"}, "error": "ignored"},
    "beside embeddings": {"object": "list", "data": [{"embedding": [0.5]}], "error": RATE},
    "in the text": chat(EVENT),
    "in the only text": {"choices": [{"finish_reason": "stop", "message": {"content": EVENT}}]},
    "in a tool's result": {
        "object": "response", "status": "completed",
        "output": [{"type": "function_call_output", "output": EVENT, "error": RATE}],
    },
    "in a filter's report": chat(
        "Hello", content_filter_results={"error": {"code": "content_filter_error", "message": "filter did not run"}}
    ),
    "in a choice's filter": {
        "choices": [{
            "finish_reason": "stop", "message": {"content": "Hello"},
            "content_filter_results": {"error": {"code": "content_filter_error", "message": "filter did not run"}},
        }],
    },
    "of one choice in two": {
        "choices": [
            {"finish_reason": "error", "message": {"content": ""}, "error": RATE},
            {"finish_reason": "stop", "message": {"content": "Hello"}},
        ],
    },
    "MiniMax's zero": chat(base_resp={"status_code": 0, "status_msg": ""}),
    "MiniMax's zero without choices": {"base_resp": {"status_code": 0, "status_msg": "success"}},
    "Baidu's zero": {"error_code": 0, "result": "Hello"},
    "the last chunk of a stream": {"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": USAGE},
    "Azure's first chunk": {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
    "nothing at all": {},
}  # fmt: skip


class Sdk:
    """An SDK's own object: fields are attributes, what it does not know stays a mapping."""

    def __init__(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            setattr(self, name, _made(name, value))


def _made(name: str, value: Any) -> Any:
    if isinstance(value, dict) and name not in ("error", "base_resp"):
        return Sdk(value)
    return [_made("", each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("body", ERRORS.values(), ids=ERRORS)
def test_an_error_under_a_200_is_one(body: dict[str, Any]) -> None:
    assert error_in(Document(body)) is not None
    assert error_in(Sdk(body)) is not None


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_none(body: dict[str, Any]) -> None:
    assert error_in(Document(body)) is None
    assert error_in(Sdk(body)) is None


@given(st.recursive(st.none() | st.booleans() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["error", "choices", "message", "content", "code", "type", "status", "base_resp", "finish_reason"]),
    inner), max_leaves=12))  # fmt: skip
def test_whatever_stands_there_is_read(body: Any) -> None:
    found = document(json.dumps(body).encode(), doubtful=True)
    if found is not None:
        error_in(found)
        is_refusal(found)
        is_empty(found)


REFUSALS = {
    "OpenAI's filter": chat(None, "content_filter"),
    "a filter after some text": chat("Hel", "content_filter"),
    "a refusal in words": {
        "choices": [{"finish_reason": "stop", "message": {"content": None, "refusal": "I cannot."}}]
    },
    "a response": {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []},
    "a response's event": {
        "type": "response.incomplete",
        "response": {"incomplete_details": {"reason": "content_filter"}},
    },
    "Anthropic's": {"stop_reason": "refusal", "content": []},
    "Anthropic's event": {"type": "message_delta", "delta": {"stop_reason": "refusal"}},
    "a blocked prompt": {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}},
    "Google's": {"candidates": [{"finishReason": "SAFETY"}]},
    "Google's recitation": {"candidates": [{"finishReason": "RECITATION", "content": {"parts": []}}]},
    "Google's armor": {"candidates": [{"finishReason": "MODEL_ARMOR"}]},
    "Bedrock's guardrail": {"stop_reason": "guardrail_intervened", "content": []},
    "Zhipu's": chat("", "sensitive"),
}
NO_REFUSALS = {
    "a stop": chat(),
    "too long": chat("Hel", "length"),
    "nothing": chat(""),
    "a filter's report": chat("Hello", content_filter_results={"hate": {"filtered": False}}),
    "a response that was too long": {"incomplete_details": {"reason": "max_output_tokens"}, "output": []},
    "no refusal": {"choices": [{"finish_reason": "stop", "message": {"content": "Hello", "refusal": None}}]},
    "an unspecified reason": {"promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED"}},
    "Google's malformed call": {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]},
    "feedback that blocks nothing": {"promptFeedback": {"safetyRatings": []}, "candidates": [{"finishReason": "STOP"}]},
}


@pytest.mark.parametrize("body", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_so(body: dict[str, Any]) -> None:
    assert is_refusal(Document(body))


@pytest.mark.parametrize("body", NO_REFUSALS.values(), ids=NO_REFUSALS)
def test_what_ended_otherwise_is_none(body: dict[str, Any]) -> None:
    assert not is_refusal(Document(body))


def test_a_body_is_decoded_only_where_something_in_it_looks_like_an_error() -> None:
    plain = json.dumps(chat()).encode()
    assert document(plain) is None
    assert document(json.dumps(chat(EVENT, error=None, error_code=0)).encode()) is None, "null, and a text's own"
    assert document(plain, doubtful=True) is not None
    assert document(json.dumps({"error": RATE}).encode()) is not None
    assert document(b'{"error": ') is None
    assert document(b'"error"') is None
    assert document(None) is None
    assert document(json.dumps({"error": RATE, "more": "x" * 70_000}).encode()) is None


def test_a_stream_that_was_read_as_a_body_shows_its_error_event() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": EVENT}, "finish_reason": None}]}
    good = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in (chunk, chunk)) + b"data: [DONE]\n\n"
    assert document(good) is None
    found = document(good + b"data: " + json.dumps({"error": RATE}).encode() + b"\n\n")
    assert found is not None
    assert error_in(found)["error"] == RATE
