"""Whether two calls ask the same: across dialects, and never where another question, system or tool result stands."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Final

import pytest

from otel_failover._core.runs.question import Question, question_of

TEXT: Final = "Why is\n the sky blue?"
ASKED: Final[dict[str, Any]] = {
    "OpenAI chat": {"messages": [{"role": "user", "content": TEXT}]},
    "OpenAI chat, in parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]},
    "OpenAI responses": {"input": TEXT},
    "OpenAI responses, as items": {"input": [{"role": "user", "content": [{"type": "input_text", "text": TEXT}]}]},
    "OpenAI completions": {"prompt": f" {TEXT} "},
    "Anthropic": {"max_tokens": 9, "messages": [{"role": "user", "content": "Why is the sky   blue?"}]},
    "Gemini": {"contents": TEXT},
    "Gemini, a list": {"contents": [TEXT]},
    "Gemini, by wire": {"contents": [{"role": "user", "parts": [{"text": TEXT}]}]},
    "Gemini, its own objects": {
        "contents": [SimpleNamespace(role="user", parts=[SimpleNamespace(text=TEXT, inline_data=None)])]
    },
    "Bedrock Converse": {"modelId": "m", "messages": [{"role": "user", "content": [{"text": TEXT}]}]},
    "Bedrock InvokeModel": {"body": json.dumps({"messages": [{"role": "user", "content": TEXT}]})},
    "after a history": {
        "messages": [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "hi"},
            {"role": "user", "content": TEXT},
        ]
    },
}
ANSWERED: Final[dict[str, Any]] = {
    "OpenAI chat": [
        {"role": "user", "content": TEXT},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    ],
    "Anthropic": [
        {"role": "user", "content": TEXT},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_123456", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_123456", "content": "42"}]},
    ],
    "Bedrock": [
        {"role": "user", "content": [{"text": TEXT}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "abcdef", "content": [{"text": "42"}]}}]},
    ],
}
OTHERS: Final[dict[str, Any]] = {
    "another text": {"messages": [{"role": "user", "content": "Why is the sea blue?"}]},
    "another follows": {"messages": [{"role": "user", "content": TEXT}, {"role": "user", "content": "And the sea?"}]},
    "a result after it": {"messages": ANSWERED["OpenAI chat"]},
    "an image beside it": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": {"url": "u"}}]}
        ]
    },
}  # fmt: skip
NONE: Final[dict[str, Any]] = {
    "nothing": None,
    "a text": TEXT,
    "an empty body": {},
    "no user": {"messages": [{"role": "assistant", "content": "hi"}]},
    "results only": {"messages": ANSWERED["Anthropic"][1:]},
    "moderation of a list": {"input": []},
    "not JSON": {"body": b"\x00"},
    "not a mapping": [1, 2],
}


def asked(body: Any) -> Question:
    found = question_of(body)
    assert found is not None
    return found


@pytest.mark.parametrize("dialect", ASKED)
def test_the_same_question_is_one_in_every_dialect(dialect: str) -> None:
    assert asked(ASKED[dialect]).is_like(asked(ASKED["OpenAI chat"]))


@pytest.mark.parametrize("dialect", ANSWERED)
def test_a_tools_result_is_part_of_it_whatever_its_call_is_called(dialect: str) -> None:
    assert asked({"messages": ANSWERED[dialect]}).is_like(asked({"messages": ANSWERED["OpenAI chat"]}))


@pytest.mark.parametrize("name", OTHERS)
def test_another_question_is_another(name: str) -> None:
    assert not asked(OTHERS[name]).is_like(asked(ASKED["OpenAI chat"]))


@pytest.mark.parametrize("name", NONE)
def test_without_a_users_text_there_is_no_question(name: str) -> None:
    assert question_of(NONE[name]) is None


def test_what_stands_beside_it_counts_where_both_have_it() -> None:
    plain = ASKED["OpenAI chat"]
    guard = {"messages": [{"role": "system", "content": "Is this allowed?"}, *plain["messages"]]}
    kind = {**plain, "system": [{"type": "text", "text": "Be kind."}]}
    assert not asked(guard).is_like(asked(kind))
    assert asked(guard).is_like(asked(plain))
    tools = [[{"type": "function", "function": {"name": name}}] for name in ("look", "book")]
    assert not asked({**plain, "tools": tools[0]}).is_like(asked({**plain, "tools": tools[1]}))
    assert asked({**plain, "tools": tools[0]}).is_like(asked({**plain, "tools": [{"name": "look"}]}))
    assert not asked({**plain, "previous_response_id": "a"}).is_like(asked({**plain, "previous_response_id": "b"}))


def test_nothing_of_its_text_is_kept() -> None:
    assert all(each is None or isinstance(each, int) for each in asked({**ASKED["Anthropic"], "system": "Be kind."}))


def test_a_very_long_text_is_told_apart_by_its_ends() -> None:
    long = "so long " * 100_000
    bodies: list[Any] = [{"input": f"{start}{long}{end}"} for start, end in (("a", "b"), ("a", "c"), ("d", "b"))]
    assert asked(bodies[0]).is_like(asked({"input": f"a{long}b"}))
    assert not asked(bodies[0]).is_like(asked(bodies[1]))
    assert not asked(bodies[0]).is_like(asked(bodies[2]))
