"""Whether two calls ask the same: across dialects, and never where another question, system or tool result stands."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_failover._core.runs.question import Question, question_of
from tests.support.conversations import WHOLE, Told, renderers

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


@pytest.mark.parametrize("guard", ["meta-llama/llama-guard-4-12b", "openai/gpt-oss-safeguard-20b", "Qwen3Guard-Gen-8B"])
def test_a_guard_is_asked_whether_it_is_safe(guard: str) -> None:
    """It is given the user's text as it is, and no system's; who asks another model after it goes on, by no failover."""
    body = {"messages": [{"role": "user", "content": "How do I pick a lock?"}]}
    question, of_guard = question_of(body, "gpt-5.5"), question_of(body, guard)
    assert question is not None
    assert of_guard is not None
    assert question == question_of(body)
    assert not question.is_like(of_guard)
    assert of_guard.is_like(question_of(body, "granite-guardian-3.3") or question)


def test_nothing_of_its_text_is_kept() -> None:
    assert all(each is None or isinstance(each, int) for each in asked({**ASKED["Anthropic"], "system": "Be kind."}))


def test_a_very_long_text_is_told_apart_by_its_ends() -> None:
    long = "so long " * 100_000
    bodies: list[Any] = [{"input": f"{start}{long}{end}"} for start, end in (("a", "b"), ("a", "c"), ("d", "b"))]
    assert asked(bodies[0]).is_like(asked({"input": f"a{long}b"}))
    assert not asked(bodies[0]).is_like(asked(bodies[1]))
    assert not asked(bodies[0]).is_like(asked(bodies[2]))


# --- one conversation in any two dialects -----------------------------------------------------------------------------

WORDS: Final = st.text("abc {[\"':,\n\täß漢", min_size=1, max_size=12).filter(lambda text: text.strip() != "")
IMAGES: Final = st.binary(min_size=60, max_size=90)
RESULTS: Final = WORDS | st.dictionaries(
    st.sampled_from(["temp", "unit", "ok"]), st.integers() | WORDS | st.booleans(), min_size=2
)
CONVERSATIONS: Final = st.builds(
    Told,
    texts=st.lists(WORDS, min_size=1, max_size=2).map(tuple),
    images=st.lists(IMAGES, max_size=2).map(tuple),
    before=st.lists(st.tuples(WORDS, WORDS), max_size=2).map(tuple),
    rounds=st.lists(st.lists(RESULTS, min_size=1, max_size=2).map(tuple), max_size=2).map(tuple),
    system=st.just("") | WORDS,
    tools=st.lists(st.sampled_from(["look", "book", "cook"]), max_size=2, unique=True).map(tuple),
    schema=st.sampled_from(["", "Answer"]),
)


@given(CONVERSATIONS)
@settings(deadline=None)
def test_a_conversation_asks_the_same_in_any_two_dialects(told: Told) -> None:
    first = asked(renderers(told)["chat"](told))
    for name, render in renderers(told).items():
        found = asked(render(told))
        assert found.asked == first.asked, name
        assert found.is_like(first), name


@given(CONVERSATIONS)
@settings(deadline=None)
def test_what_is_sent_asks_what_the_sdk_was_given(told: Told) -> None:
    for name in ("chat", "responses", "Anthropic", "Gemini", "Cohere", "Ollama", "DashScope", "interactions"):
        body = renderers(told)[name](told)
        assert asked(json.dumps(body).encode()) == asked(body)


def _another(told: Told, what: str) -> Told:
    """Return a near twin: the same but for one thing."""
    if what == "text":
        return replace(told, texts=(*told.texts[:-1], told.texts[-1] + " x"))
    if what == "number of results":
        again = told.rounds[-1][-1:] if told.rounds else ("fine",)
        return replace(told, rounds=(*told.rounds, again))
    if what == "result":
        return replace(
            told, rounds=(*told.rounds[:-1], (*(told.rounds[-1][:-1] if told.rounds else ()), "quite another"))
        )
    if what == "image":
        return replace(told, images=(*told.images[:-1], b"another image" * 9))
    if what == "system":
        return replace(told, system=f"x{told.system}")
    if what == "tools":
        return replace(told, tools=(*told.tools, "brook"))
    return replace(told, schema=f"{told.schema}Other")


@given(CONVERSATIONS, st.sampled_from(["text", "number of results", "result", "image", "system", "tools", "schema"]))
@settings(deadline=None)
def test_a_near_twin_asks_another_question_in_any_two_dialects(told: Told, what: str) -> None:
    twin = _another(told, what)
    if what in ("system", "tools", "schema") and not getattr(told, what):
        return  # where one of them has none, nothing is said
    theirs = {name: asked(render(twin)) for name, render in renderers(twin).items()}
    has = {"system": 1, "tools": 2, "schema": 4}.get(what)
    for name, render in renderers(told).items():
        found = asked(render(told))
        for other, question in theirs.items():
            if has is None or (found[has] is not None and question[has] is not None):
                assert not found.is_like(question), (name, other)


@given(CONVERSATIONS)
@settings(deadline=None)
def test_the_history_before_it_and_the_ids_of_calls_say_nothing(told: Told) -> None:
    bare = replace(told, before=())
    for name, render in WHOLE.items():
        assert asked(render(told)).is_like(asked(render(bare))), name


# --- bodies as they are sent ------------------------------------------------------------------------------------------


def test_a_body_in_bytes_is_parsed_up_to_a_megabyte() -> None:
    body = {"messages": [{"role": "user", "content": TEXT}], "filler": "x" * 900_000}
    assert asked(json.dumps(body).encode()).is_like(asked(ASKED["OpenAI chat"]))
    assert question_of(json.dumps({**body, "filler": "x" * 1_100_000}).encode()) is None


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[1]", b"\xff", b'"x"', b"[" * 100_000, b"{}"])
def test_a_body_in_bytes_that_is_no_question_is_none(content: bytes) -> None:
    assert question_of(content) is None


def test_a_body_that_can_be_read_once_is_left_alone() -> None:
    turns = iter([{"role": "user", "content": TEXT}])
    assert question_of({"messages": turns}) is None
    assert list(turns)


NOT_THE_USERS: Final[dict[str, Any]] = {
    "a thought": {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "And the sea?"}]},
    "a call": {"type": "function_call", "name": "f", "arguments": "And the sea?"},
    "an answer of the model": {"type": "message", "role": "assistant", "content": "And the sea?"},
    "a reference": {"type": "item_reference", "id": "And the sea?"},
}


@pytest.mark.parametrize("name", NOT_THE_USERS)
def test_an_item_that_is_not_the_users_is_no_text_of_theirs(name: str) -> None:
    body = {"input": [{"role": "user", "content": TEXT}, NOT_THE_USERS[name]]}
    assert asked(body).is_like(asked({"input": TEXT}))


def test_a_text_after_a_tools_result_is_the_question_and_the_result_is_before_it() -> None:
    chat = {"messages": [*ANSWERED["OpenAI chat"], {"role": "user", "content": "And the sea?"}]}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}
    claude = {
        "messages": [
            *ANSWERED["Anthropic"][:2],
            {"role": "user", "content": [result, {"type": "text", "text": "And the sea?"}]},
        ]
    }
    alone = {"messages": [{"role": "user", "content": "And the sea?"}]}
    assert asked(chat).is_like(asked(claude))
    assert asked(chat).is_like(asked(alone))


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.binary(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["messages", "input", "inputs", "contents", "prompt", "message", "role", "content", "parts", "text", "type", "tools",
         "tool_results", "chat_history", "images", "system", "config", "functionDeclarations", "toolResult", "body", "response_format"]),
        inner, max_size=4),
    max_leaves=20,
))  # fmt: skip
@settings(deadline=None)
def test_no_body_can_break_it(body: Any) -> None:
    assert question_of(body) is None or isinstance(question_of(body), Question)
