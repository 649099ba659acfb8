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
from tests.support.conversations import ALONE, UNSAID, WHOLE, WITHOUT_IMAGES, WITHOUT_TOOLS, Told, renderers

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
    def flat(kept: Any) -> list[Any]:
        return [each for part in kept for each in flat(part)] if isinstance(kept, tuple) else [kept]

    kept = flat(asked({**ASKED["Anthropic"], "system": "Be kind." * 99}))
    assert all(each is None or isinstance(each, int) for each in kept)


def test_a_very_long_text_is_told_apart_by_its_ends() -> None:
    long = "so long " * 100_000
    bodies: list[Any] = [{"input": f"{start}{long}{end}"} for start, end in (("a", "b"), ("a", "c"), ("d", "b"))]
    assert asked(bodies[0]).is_like(asked({"input": f"a{long}b"}))
    assert not asked(bodies[0]).is_like(asked(bodies[1]))
    assert not asked(bodies[0]).is_like(asked(bodies[2]))


# --- what the system says ---------------------------------------------------------------------------------------------

INSTRUCTION: Final = "You are a careful assistant of the accounts department. Summarise this document: "
DOCUMENTS: Final = (
    "The first invoice is of Acme, and overdue. " * 9,
    "The second one is Initech's, long since paid. " * 9,
)
SPEAKING: Final = {name: each for name, each in {**WHOLE, **WITHOUT_IMAGES, **WITHOUT_TOOLS, **ALONE}.items()
                   if name not in UNSAID}  # fmt: skip
"""Dialects with a place for what the system says."""


MAY_BE_PACKED: Final = ("Ollama's prompt",)
"""Of these a prompt may hold all that is said, as a template has it."""


def summarised(document: str) -> Told:
    return Told(texts=("Go on.",), system=INSTRUCTION + document)


@pytest.mark.parametrize("dialect", SPEAKING)
def test_a_document_behind_what_is_said_every_time_is_part_of_the_question(dialect: str) -> None:
    first, second = (summarised(each) for each in DOCUMENTS)
    mine = asked(SPEAKING[dialect](first))
    for name, render in SPEAKING.items():
        assert mine.is_like(asked(render(first))), name
        assert not mine.is_like(asked(render(second))), name


@pytest.mark.parametrize("dialect", SPEAKING)
def test_the_parts_of_a_panel_are_told_apart_though_their_texts_start_alike(dialect: str) -> None:
    start = "You sit on a panel of five experts who answer the user's question one after the other. You are "
    bodies = [SPEAKING[dialect](Told(texts=(TEXT,), system=f"{start}{who}.")) for who in ("the lawyer", "the chemist")]
    assert not asked(bodies[0]).is_like(asked(bodies[1]))


@pytest.mark.parametrize("more", [" Answer as JSON.", " Do not think aloud." * 3])
def test_a_word_at_its_end_for_one_of_two_dialects_is_no_other_question(more: str) -> None:
    """Within one dialect it is a documented miss: the end of the text may be another document."""
    for text in (INSTRUCTION, INSTRUCTION + DOCUMENTS[0]):
        plain, longer = Told(texts=(TEXT,), system=text), Told(texts=(TEXT,), system=text + more)
        assert asked(WHOLE["chat"](plain)).is_like(asked(WHOLE["Anthropic"](longer)))
        assert asked(WHOLE["chat"](longer)).is_like(asked(WHOLE["Gemini"](plain)))
        assert not asked(WHOLE["chat"](plain)).is_like(asked(WHOLE["chat"](longer)))


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("You are {model}. Be kind.", "You are {model}. Be kind.", True),
        ("You are {model}. Be kind.", "You are {model}. Be brief.", False),
        ("Escalate from gpt-5.5 to llama-4 at need.", "Escalate from gpt-5.5 to llama-4 at need.", True),
        ("It is 16:23:26.123456 now.", "It is 16:23:31.654321 now.", True),
        ("2026-11-30T09:59:59Z: be kind.", "2026-11-30T10:00:00Z: be kind.", True),
        ("Ticket 4711.", "Ticket 4712.", False),
    ],
)
@pytest.mark.parametrize("models", [("gpt-5.5", "llama-4"), ("openai/gpt-5.5", "meta/llama-4"), ("gpt-5.5", "m")])
def test_the_models_name_and_the_time_of_day_are_no_difference(
    first: str, second: str, is_one: bool, models: tuple[str, str]
) -> None:
    texts = (INSTRUCTION + each for each in (first, second))
    found = [
        question_of({"messages": [{"role": "system", "content": text.format(model=model)}, *ASKED["OpenAI chat"]["messages"]]}, model)
        for text, model in zip(texts, models, strict=True)
    ]  # fmt: skip
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].is_like(found[1]) is (is_one and ("{model}" not in first or models[1] != "m"))


@pytest.mark.parametrize("dialect", SPEAKING)
def test_a_system_that_says_nothing_is_another_than_one_that_does(dialect: str) -> None:
    """A router or a classifier before the model: it has instructions, and is given the user's text as it is."""
    router, plain = Told(texts=(TEXT,), system="Is this a sum? Say yes or no."), Told(texts=(TEXT,))
    instructed, bare = (asked(SPEAKING[dialect](each)) for each in (router, plain))
    for name, render in SPEAKING.items():
        if name not in MAY_BE_PACKED:
            assert not instructed.is_like(asked(render(plain))), name
        assert bare.is_like(asked(render(plain))), name


UNTOLD: Final[dict[str, dict[str, Any]]] = {
    **{name: ALONE[name](Told(texts=(TEXT,))) for name in UNSAID},
    "an agent of the provider's": {"agent_id": "ag_1", "inputs": [{"role": "user", "content": TEXT}]},
    "a stored prompt": {"model": "m", "prompt": {"id": "pmpt_1"}, "input": TEXT},
    "an answer before": {"model": "m", "previous_response_id": "resp_1", "input": TEXT},
    "what is cached there": {"contents": TEXT, "config": {"cached_content": "cachedContents/1"}},
    "late in a conversation": {
        "messages": [{"role": who, "content": "hi"} for who in ("user", "assistant") * 3]
        + [{"role": "system", "content": "Be kind."}, {"role": "user", "content": TEXT}]
    },
}


@pytest.mark.parametrize("name", UNTOLD)
def test_where_it_cannot_be_told_what_the_system_says_it_is_not_compared(name: str) -> None:
    for system in ("", "Be kind."):
        assert asked(UNTOLD[name]).is_like(asked(WHOLE["Anthropic"](Told(texts=(TEXT,), system=system))))


# --- what is no text --------------------------------------------------------------------------------------------------

ADDRESS: Final = "https://images.example.com/{}/original.png?width=1024&quality=80&format=webp"
SCANS: Final = [bytes([at, 216, 255]) * 40_000 + b"\x28\xa2\x8a\x00" * 40_000 + b"\xff\xd9" for at in (0, 1)]
"""Pages that end in the same white margin, and are of the same length."""


def shown(image: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}, image]}]}


def test_addresses_that_end_alike_are_two_images() -> None:
    urls = [ADDRESS.format(at) for at in ("4711", "4712")]
    chats = [shown({"type": "image_url", "image_url": {"url": url}}) for url in urls]
    claudes = [shown({"type": "image", "source": {"type": "url", "url": url}}) for url in urls]
    for first in (chats, claudes):
        for second in (chats, claudes):
            assert asked(first[0]).is_like(asked(second[0]))
            assert not asked(first[0]).is_like(asked(second[1]))


@pytest.mark.parametrize("size", [30, 31, 32, 575, 576, 577, 700, 3_000, len(SCANS[0])])
def test_scans_that_end_alike_are_two_images_in_any_two_dialects(size: int) -> None:
    first, second = (SCANS[at][: size - 1] + SCANS[at][-1:] for at in (0, 1))
    told, other = (Told(texts=(TEXT,), images=(each,)) for each in (first, second))
    for name, render in WHOLE.items():
        for beside, again in WHOLE.items():
            assert asked(render(told)).is_like(asked(again(told))), (name, beside)
            assert not asked(render(told)).is_like(asked(again(other))), (name, beside)


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
    system=st.just("") | WORDS | st.builds(lambda text: f"{INSTRUCTION}{text * 30}", WORDS),
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
