"""Wire formats that SDKs of their own read: every kind of answer goes out in each, and the log says what did.

What the SDKs make of them is tested with the SDKs, in `integrations/providers`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx
import pytest

from otel_failover.testing.providers import Answer, LocalProvider

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_failover.testing.providers import Kind

MESSAGES: Final = [{"role": "user", "content": "Hi"}]
SENTENCE: Final = "This one gave way in the middle of it"


class Format(NamedTuple):
    """One operation of a wire format.

    Args:
        kind: Of the local provider.
        path: Below its base URL.
        body: Of the request.
        begins: What each thing of a stream begins with.
        names: What an answer names: its id, its model.
        message, code: Where they stand in an error's document.
    """

    kind: Kind
    path: str
    body: dict[str, Any]
    begins: str
    names: str
    message: Callable[[Any], Any]
    code: Callable[[Any], Any] | None = None


CHAT: Final[dict[str, Any]] = {"model": "m-1", "messages": MESSAGES}
FORMATS: Final = {
    "mistral": Format(
        "mistral",
        "/v1/chat/completions",
        CHAT,
        "data: ",
        "id model",
        lambda error: error["message"],
        lambda error: error["code"],
    ),
    "cohere": Format("cohere", "/v2/chat", CHAT, "event: |data: ", "id", lambda error: error["message"]),
    "cohere 1": Format(
        "cohere", "/v1/chat", {"model": "m-1", "message": "Hi"}, "{", "id", lambda error: error["message"]
    ),
    "ollama": Format("ollama", "/api/chat", CHAT, "{", "model", lambda error: error["error"]),
    "ollama generate": Format(
        "ollama", "/api/generate", {"model": "m-1", "prompt": "Hi"}, "{", "model", lambda error: error["error"]
    ),
    "tgi": Format(
        "tgi",
        "/v1/chat/completions",
        CHAT,
        "data: ",
        "model",
        lambda error: error["error"],
        lambda error: error["error_type"],
    ),
    "tgi generate": Format(
        "tgi", "/", {"inputs": "Hi"}, "data: ", "", lambda error: error["error"], lambda error: error["error_type"]
    ),
    "vllm": Format(
        "vllm",
        "/chat/completions",
        CHAT,
        "data: ",
        "id model",
        lambda error: error["error"]["message"],
        lambda error: str(error["error"]["code"]),
    ),
    "openrouter": Format(
        "openrouter",
        "/chat/completions",
        CHAT,
        "data: |: ",
        "id model",
        lambda error: error["error"]["message"],
        lambda error: str(error["error"]["code"]),
    ),
    "dashscope": Format(
        "dashscope",
        "/services/aigc/text-generation/generation",
        {"model": "m-1", "input": {"messages": MESSAGES}, "parameters": {"incremental_output": True}},
        "id:|event:|:HTTP_STATUS/|data:",
        "id",
        lambda error: error["message"],
        lambda error: error["code"],
    ),
}
each_format = pytest.mark.parametrize("each", FORMATS.values(), ids=FORMATS)


def ask(provider: LocalProvider, each: Format, *, streamed: bool) -> httpx.Response:
    headers = {"X-DashScope-SSE": "enable"} if streamed else {}
    return httpx.post(provider.base_url + each.path, json={**each.body, "stream": streamed}, headers=headers)


@each_format
def test_an_answer_goes_out_whole_and_the_log_names_what_it_names(each: Format) -> None:
    with LocalProvider(each.kind, Answer.ok("Hello you", model="m-2")) as provider:
        reply = ask(provider, each, streamed=False)
        (served,) = provider.log
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert "Hello you" in json.dumps(reply.json())
    assert served.model == each.body.get("model")
    assert ((served.response_id is not None), served.response_model) == (
        "id" in each.names,
        "m-2" if "model" in each.names else None,
    )
    for fact in (served.response_id, served.response_model):
        assert fact is None or fact in reply.text


@each_format
def test_a_stream_has_every_piece_in_the_formats_own_frames(each: Format) -> None:
    with LocalProvider(each.kind, Answer.stream(["Hel ", "lo ", "you"])) as provider:
        reply = ask(provider, each, streamed=True)
        (served,) = provider.log
    assert (served.kind, served.ending) == ("stream", "end")
    lines = [line for line in reply.text.splitlines() if line]
    assert all(line.startswith(tuple(each.begins.split("|"))) for line in lines)
    assert [reply.text.index(f'"{piece}"') for piece in ("Hel ", "lo ", "you")] == sorted(
        reply.text.index(f'"{piece}"') for piece in ("Hel ", "lo ", "you")
    )


@each_format
@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_an_error_has_its_words_where_the_format_has_them(each: Format, status: int) -> None:
    with LocalProvider(each.kind, Answer.error(status, SENTENCE)) as provider:
        reply = ask(provider, each, streamed=False)
        (served,) = provider.log
    assert (reply.status_code, served.status) == (status, status)
    assert served.text_sent == reply.text
    assert each.message(reply.json()) == served.message == SENTENCE
    assert served.code == (each.code(reply.json()) if each.code else None)


@each_format
def test_an_error_that_comes_late_stands_in_the_stream(each: Format) -> None:
    with LocalProvider(each.kind, Answer.stream(2, then="error", message=SENTENCE)) as provider:
        reply = ask(provider, each, streamed=True)
        (served,) = provider.log
    assert (reply.status_code, served.ending, served.message) == (200, "error", SENTENCE)
    assert served.text_sent is not None
    assert reply.text.endswith(served.text_sent)
    # Cohere's first version has but a word for it, in the last line.
    assert (SENTENCE if each.path != "/v1/chat" else '"ERROR"') in served.text_sent


@each_format
def test_a_refusal_is_an_answer(each: Format) -> None:
    with LocalProvider(each.kind, Answer.refusal()) as provider:
        assert ask(provider, each, streamed=False).status_code == 200


@pytest.mark.parametrize("kind", sorted({each.kind for each in FORMATS.values()}))
def test_a_path_that_it_does_not_have_is_not_found(kind: Kind) -> None:
    with LocalProvider(kind) as provider:
        assert httpx.post(provider.endpoint + "/v1/teapots", json=CHAT).status_code == 404
