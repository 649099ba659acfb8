"""The local providers, seen by the real SDKs: each shape arrives as the provider's would, the log is true."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import anthropic
import httpx
import openai
import pytest

from otel_failover.testing.providers import Answer, LocalProvider, LocalProviders, Served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROMPT: list[Any] = [{"role": "user", "content": "Hi"}]
OVERLOADED: type[anthropic.APIStatusError] = getattr(anthropic, "OverloadedError", anthropic.InternalServerError)
"""What a 529 is: some releases have a class for it beside the one for 5xx, newer ones below it, older ones none."""
PATIENCE = 0.2
GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
STREAM_GENERATE = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"


def openai_client(provider: LocalProvider, retries: int = 0, timeout: float = 30) -> openai.OpenAI:
    return openai.OpenAI(base_url=provider.base_url, api_key="sk-x", max_retries=retries, timeout=timeout)


def anthropic_client(provider: LocalProvider, retries: int = 0, timeout: float = 30) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=provider.base_url, api_key="sk-x", max_retries=retries, timeout=timeout)


def chat(provider: LocalProvider, retries: int = 0, timeout: float = 30) -> Any:
    client = openai_client(provider, retries, timeout)
    with client:
        return client.chat.completions.create(model="gpt-4o", messages=PROMPT)


def chat_stream(provider: LocalProvider, timeout: float = 30) -> Iterator[str]:
    with openai_client(provider, timeout=timeout) as client:
        chunks = client.chat.completions.create(model="gpt-4o", messages=PROMPT, stream=True)
        for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


def responses_stream(provider: LocalProvider, timeout: float = 30) -> Iterator[str]:
    with openai_client(provider, timeout=timeout) as client:
        for event in client.responses.create(model="gpt-4o", input="Hi", stream=True):
            if event.type == "response.output_text.delta":
                yield event.delta


def message(provider: LocalProvider, retries: int = 0, timeout: float = 30) -> Any:
    with anthropic_client(provider, retries, timeout) as client:
        return client.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=PROMPT)


def message_stream(provider: LocalProvider, timeout: float = 30) -> Iterator[str]:
    with anthropic_client(provider, timeout=timeout) as client:
        events = client.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=PROMPT, stream=True)
        for event in events:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield event.delta.text


def collect(stream: Iterator[str]) -> tuple[list[str], Exception | None]:
    """Return what a stream yielded and what it raised."""
    pieces: list[str] = []
    try:
        pieces.extend(stream)
    except Exception as error:
        return pieces, error
    return pieces, None


def only(provider: LocalProvider) -> Served:
    assert len(provider.log) == 1, provider.log
    return provider.log[0]


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


# Successes


def test_ok_is_a_whole_chat_completion() -> None:
    with LocalProvider("openai", Answer.ok("Hello you", model="gpt-4o-2024-08-06")) as provider:
        completion = chat(provider)
        served = only(provider)
    assert completion.choices[0].message.content == "Hello you"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens == 2
    assert completion.model == "gpt-4o-2024-08-06"
    assert (served.provider, served.name, served.method) == ("openai", "openai", "POST")
    assert (served.path, served.kind, served.status) == ("/v1/chat/completions", "ok", 200)
    assert (served.model, served.response_model) == ("gpt-4o", "gpt-4o-2024-08-06")
    assert served.response_id == completion.id
    assert served.request_id == completion._request_id
    assert served.headers["authorization"] == "Bearer sk-x"
    assert json.loads(served.body)["messages"] == PROMPT
    assert (served.retry, served.message, served.code, served.text_sent, served.ending) == (0, *[None] * 4)


def test_ok_serves_every_operation_of_openai() -> None:
    with LocalProvider("openai", Answer.ok("Hello")) as provider, openai_client(provider) as client:
        response = client.responses.create(model="gpt-4o", input="Hi")
        embeddings = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
        moderation = client.moderations.create(input="Hi")
        models = client.models.list()
        paths = [(served.method, served.path, served.response_id) for served in provider.log]
    assert response.output_text == "Hello"
    assert response.id.startswith("resp_")
    assert [item.index for item in embeddings.data] == [0, 1]
    assert all(isinstance(number, float) for number in embeddings.data[0].embedding)
    assert moderation.results[0].flagged is False
    assert [model.id for model in models] == ["local-model"]
    assert paths == [
        ("POST", "/v1/responses", response.id),
        ("POST", "/v1/embeddings", None),
        ("POST", "/v1/moderations", moderation.id),
        ("GET", "/v1/models", None),
    ]


def test_ok_serves_messages_and_counts_tokens() -> None:
    with LocalProvider("anthropic", Answer.ok("Hello")) as provider, anthropic_client(provider) as client:
        answer = message(provider)
        count = client.messages.count_tokens(model="claude-sonnet-4-6", messages=PROMPT)
        first, second = provider.log
    assert answer.content[0].text == "Hello"
    assert answer.stop_reason == "end_turn"
    assert (first.response_id, first.request_id) == (answer.id, answer._request_id)
    assert first.request_id is not None
    assert first.request_id.startswith("req_01")
    assert count.input_tokens == 12
    assert (second.path, second.kind, second.response_id) == ("/v1/messages/count_tokens", "ok", None)


def test_ok_is_gemini_content_without_a_request_id() -> None:
    with LocalProvider("gemini", Answer.ok("Hello")) as provider:
        response = httpx.post(provider.base_url + GENERATE, params={"key": "x"}, json={"contents": []})
        served = only(provider)
    document = response.json()
    assert document["candidates"][0]["content"]["parts"] == [{"text": "Hello"}]
    assert document["modelVersion"] == "gemini-2.5-flash"
    assert (served.path, served.model, served.request_id) == (GENERATE, "gemini-2.5-flash", None)
    assert served.response_id == document["responseId"]


@pytest.mark.parametrize("answer", [Answer.ok("Hello you"), Answer.stream(("Hello ", "you"))])
@pytest.mark.parametrize(
    ("kind", "stream"),
    [("openai", chat_stream), ("openai", responses_stream), ("anthropic", message_stream)],
)
def test_a_request_for_a_stream_gets_one_whichever_success_is_programmed(
    kind: Any, stream: Callable[[LocalProvider], Iterator[str]], answer: Answer
) -> None:
    with LocalProvider(kind, answer) as provider:
        assert collect(stream(provider)) == (["Hello ", "you"], None)
        served = only(provider)
    assert (served.kind, served.status, served.ending, served.message) == ("stream", 200, "end", None)
    assert served.response_id is not None
    assert served.request_id is not None


def test_a_programmed_stream_is_whole_for_a_request_that_wants_none() -> None:
    with LocalProvider("openai", Answer.stream(("Hel", "lo"), then="cut")) as provider:
        assert chat(provider).choices[0].message.content == "Hello"
        assert (only(provider).kind, only(provider).ending) == ("ok", None)


def test_the_sdks_own_stream_helpers_accept_the_streams() -> None:
    with LocalProvider("openai", Answer.stream(3)) as provider, openai_client(provider) as client:
        with client.chat.completions.stream(model="gpt-4o", messages=PROMPT) as events:
            completion = events.get_final_completion()
        with client.responses.stream(model="gpt-4o", input="Hi") as response_events:
            response = response_events.get_final_response()
        ids = [served.response_id for served in provider.log]
    with (
        LocalProvider("anthropic", Answer.stream(3)) as provider,
        anthropic_client(provider) as claude,
        claude.messages.stream(model="c", max_tokens=9, messages=PROMPT) as message_events,
    ):
        final = message_events.get_final_message()
    assert completion.choices[0].message.content == response.output_text == "chunk0 chunk1 chunk2 "
    assert ids == [completion.id, response.id]
    assert [block.text for block in final.content if block.type == "text"] == ["chunk0 chunk1 chunk2 "]
    assert final.usage.output_tokens == 3


def test_usage_is_streamed_only_where_it_was_asked_for() -> None:
    with LocalProvider("openai") as provider, openai_client(provider) as client:
        ask = client.chat.completions.create
        plain = list(ask(model="m", messages=PROMPT, stream=True))
        with_usage = list(ask(model="m", messages=PROMPT, stream=True, stream_options={"include_usage": True}))
    assert all(chunk.usage is None for chunk in plain)
    assert with_usage[-1].choices == []
    assert with_usage[-1].usage is not None
    assert with_usage[-1].usage.total_tokens == 13


def test_gemini_streams_events_with_alt_sse_and_an_array_without() -> None:
    with LocalProvider("gemini", Answer.ok("Hello you")) as provider:
        events = httpx.post(provider.base_url + STREAM_GENERATE, params={"alt": "sse"}, json={}).text
        array = httpx.post(provider.base_url + STREAM_GENERATE, json={}).json()
        kinds = [served.kind for served in provider.log]
    documents = [json.loads(event.removeprefix("data: ")) for event in events.strip().split("\n\n")]
    texts = [document["candidates"][0]["content"]["parts"][0]["text"] for document in documents]
    assert texts == ["Hello ", "you", ""]
    assert documents[-1]["candidates"][0]["finishReason"] == "STOP"
    assert array[0]["candidates"][0]["content"]["parts"][0]["text"] == "Hello you"
    assert kinds == ["stream", "ok"]


def test_async_clients_are_served_alike() -> None:
    async def both(first: LocalProvider, second: LocalProvider) -> tuple[str | None, list[str]]:
        client = openai.AsyncOpenAI(base_url=first.base_url, api_key="x")
        claude = anthropic.AsyncAnthropic(base_url=second.base_url, api_key="x")
        async with client, claude:
            completion = await client.chat.completions.create(model="m", messages=PROMPT)
            events = await claude.messages.create(model="m", max_tokens=9, messages=PROMPT, stream=True)
            types: list[str] = [event.type async for event in events]
        return completion.choices[0].message.content, types

    with LocalProvider("openai") as first, LocalProvider("anthropic") as second:
        content, types = asyncio.run(both(first, second))
        assert (only(first).kind, only(second).kind) == ("ok", "stream")
    assert content == "Hello"
    assert types == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


# Errors

OPENAI_ERRORS = [
    (Answer.openai_quota(), openai.RateLimitError, 429, "insufficient_quota", "exceeded your current quota"),
    (Answer.openai_rate_limit(), openai.RateLimitError, 429, "rate_limit_exceeded", "tokens per min (TPM)"),
    (Answer.openai_bad_key("sk-a***z"), openai.AuthenticationError, 401, "invalid_api_key", "sk-a***z"),
    (Answer.openai_model_not_found("gpt-9"), openai.NotFoundError, 404, "model_not_found", "`gpt-9`"),
    (Answer.openai_server_error(), openai.InternalServerError, 500, None, "Sorry about that!"),
    (
        Answer.openai_context_overflow(),
        openai.BadRequestError,
        400,
        "context_length_exceeded",
        "maximum context length",
    ),
]


@pytest.mark.parametrize("case", OPENAI_ERRORS)
@pytest.mark.parametrize("ask", [chat, lambda provider: list(chat_stream(provider))])
def test_openai_errors_arrive_as_the_sdks_own(
    case: tuple[Answer, type[openai.APIStatusError], int, str | None, str],
    ask: Callable[[LocalProvider], Any],
) -> None:
    answer, exception, status, code, text = case
    with LocalProvider("openai", answer) as provider:
        with pytest.raises(exception, match=f"{status}") as caught:
            ask(provider)
        served = only(provider)
    error = caught.value
    body = cast("dict[str, Any]", error.body)
    assert (error.status_code, error.code) == (status, code) == (served.status, served.code)
    assert text in body["message"]
    assert served.kind == "error"
    assert served.message == body["message"]
    assert served.request_id == error.request_id
    assert served.text_sent == error.response.text
    assert (served.response_id, served.response_model, served.model) == (None, None, "gpt-4o")


ANTHROPIC_ERRORS = [
    (Answer.anthropic_overloaded(), OVERLOADED, 529, "overloaded_error", "Overloaded"),
    (
        Answer.anthropic_rate_limit(),
        anthropic.RateLimitError,
        429,
        "rate_limit_error",
        "30,000 input tokens per minute",
    ),
    (
        Answer.anthropic_bad_key(),
        anthropic.AuthenticationError,
        401,
        "authentication_error",
        "invalid x-api-key",
    ),
    (Answer.anthropic_not_found("c-9"), anthropic.NotFoundError, 404, "not_found_error", "model: c-9"),
    (
        Answer.anthropic_credit_too_low(),
        anthropic.BadRequestError,
        400,
        "invalid_request_error",
        "credit balance is too low",
    ),
]


@pytest.mark.parametrize("case", ANTHROPIC_ERRORS)
@pytest.mark.parametrize("ask", [message, lambda provider: list(message_stream(provider))])
def test_anthropic_errors_arrive_as_the_sdks_own(
    case: tuple[Answer, type[anthropic.APIStatusError], int, str, str],
    ask: Callable[[LocalProvider], Any],
) -> None:
    answer, exception, status, code, text = case
    with LocalProvider("anthropic", answer) as provider:
        with pytest.raises(exception) as caught:
            ask(provider)
        served = only(provider)
    error = caught.value
    body = cast("dict[str, Any]", error.body)
    assert (error.status_code, body["error"]["type"]) == (status, code) == (served.status, served.code)
    assert text in body["error"]["message"]
    assert served.message == body["error"]["message"]
    assert served.request_id == error.request_id == body["request_id"]
    assert served.text_sent == error.response.text


GEMINI_ERRORS = [
    (Answer.gemini_quota(), 429, "RESOURCE_EXHAUSTED", "exceeded your current quota"),
    (Answer.gemini_bad_key(), 400, "INVALID_ARGUMENT", "API key not valid"),
    (Answer.gemini_not_found("g-9"), 404, "NOT_FOUND", "models/g-9 is not found"),
    (Answer.gemini_overloaded(), 503, "UNAVAILABLE", "experiencing high demand"),
]


@pytest.mark.parametrize(("answer", "status", "code", "text"), GEMINI_ERRORS)
def test_gemini_errors_have_googles_envelope(answer: Answer, status: int, code: str, text: str) -> None:
    with LocalProvider("gemini", answer) as provider:
        response = httpx.post(provider.base_url + GENERATE, json={})
        served = only(provider)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["status"]) == (status, status, code)
    assert text in error["message"]
    assert (served.status, served.code, served.message) == (status, code, error["message"])


def test_gemini_tells_a_bad_key_and_the_wait_in_its_details() -> None:
    with LocalProvider("gemini", Answer.gemini_bad_key(), Answer.gemini_quota(retry_after=7)) as provider:
        bad_key, quota = (httpx.post(provider.base_url + GENERATE, json={}).json() for _ in range(2))
    assert bad_key["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert quota["error"]["details"][-1]["retryDelay"] == "7s"


def test_an_error_without_a_type_gets_the_one_that_goes_with_its_status() -> None:
    answers = (Answer.error(403, "No"), Answer.error(502, "Oh"), Answer.error(429, "Slow"))
    with LocalProviders(
        openai=("openai", *answers), anthropic=("anthropic", *answers), gemini=("gemini", *answers)
    ) as providers:
        paths = (("openai", "/chat/completions"), ("anthropic", "/v1/messages"), ("gemini", GENERATE))
        for _ in answers:
            for name, path in paths:
                httpx.post(providers[name].base_url + path, json={})
        sent = [json.loads(served.text_sent or "")["error"] for served in providers.log]
        codes = [served.code for served in providers.log]
    types = [error.get("type", error.get("status")) for error in sent]
    assert types == [
        *("invalid_request_error", "permission_error", "PERMISSION_DENIED"),
        *("server_error", "api_error", "INTERNAL"),
        *("requests", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    ]
    assert codes[:3] == [None, "permission_error", "PERMISSION_DENIED"]


def test_anthropics_finer_code_stands_in_the_errors_details() -> None:
    answer = Answer.error(400, "Limit", type="invalid_request_error", code="contract_spend_limit_reached")
    with LocalProvider("anthropic", answer) as provider:
        with pytest.raises(anthropic.BadRequestError) as caught:
            message(provider)
        assert only(provider).code == "contract_spend_limit_reached"
    if not hasattr(caught.value, "error_code"):
        pytest.skip("this anthropic does not name it")
    assert (caught.value.type, caught.value.error_code) == (
        "invalid_request_error",
        "contract_spend_limit_reached",
    )


def test_a_path_the_provider_does_not_have_is_its_own_404() -> None:
    with LocalProvider("openai") as provider:
        response = httpx.get(f"{provider.base_url}/nowhere")
        served = only(provider)
    assert response.json()["error"]["message"] == "Invalid URL (GET /v1/nowhere)"
    assert (served.kind, served.status) == ("error", 404)


# Request ids


def test_every_request_has_ids_of_its_own() -> None:
    with LocalProvider("openai", Answer.ok(), Answer.openai_quota(), Answer.ok()) as provider:
        for _ in range(3):
            httpx.post(f"{provider.base_url}/chat/completions", json={"model": "m"})
        requests = {served.request_id for served in provider.log}
        responses = {served.response_id for served in provider.log}
    assert len(requests) == 3
    assert None not in requests
    assert len(responses - {None}) == 2


def test_a_given_request_id_is_sent_as_it_is() -> None:
    answer = Answer.error(500, "Oh", request_id="req_given")
    with LocalProvider("openai", answer) as first, LocalProvider("anthropic", answer) as second:
        with pytest.raises(openai.InternalServerError) as from_openai:
            chat(first)
        with pytest.raises(anthropic.InternalServerError) as from_anthropic:
            message(second)
        assert only(first).request_id == only(second).request_id == "req_given"
    assert from_openai.value.request_id == from_anthropic.value.request_id == "req_given"


def test_a_request_id_can_be_the_clients_own_sent_back() -> None:
    answer = Answer.error(500, "Oh", headers={"X-Request-Id": "$echo"})
    with LocalProvider("openai", answer) as provider:
        url = f"{provider.base_url}/chat/completions"
        for headers in ({"x-request-id": "mine"}, {"x-client-request-id": "mine-too"}, {}):
            response = httpx.post(url, headers=headers, json={})
            assert response.headers["x-request-id"] == provider.log[-1].request_id
        ids = [served.request_id or "" for served in provider.log]
    assert ids[:2] == ["mine", "mine-too"]
    assert ids[2].startswith("req_")


def test_programmed_headers_replace_the_providers_own() -> None:
    headers = {"x-should-retry": "false", "OpenAI-Version": "none"}
    with LocalProvider("openai", Answer.error(500, "Oh", headers=headers)) as provider:
        with pytest.raises(openai.InternalServerError) as caught:
            chat(provider, retries=2)
        assert len(provider.log) == 1
    assert caught.value.response.headers["openai-version"] == "none"


# Retries


@pytest.mark.parametrize(
    ("kind", "answer", "ask", "exception"),
    [
        ("openai", Answer.openai_rate_limit(retry_after=0.005), chat, openai.RateLimitError),
        ("anthropic", Answer.anthropic_rate_limit(retry_after=0.005), message, anthropic.RateLimitError),
        (
            "anthropic",
            Answer.error(529, "Overloaded", headers={"retry-after-ms": "5"}),
            message,
            OVERLOADED,
        ),
    ],
)
def test_the_retries_inside_an_sdk_are_counted(
    kind: Any, answer: Answer, ask: Callable[..., Any], exception: type[Exception]
) -> None:
    with LocalProvider(kind, answer) as provider:
        with pytest.raises(exception):
            ask(provider, retries=2)
        assert [served.retry for served in provider.log] == [0, 1, 2]
        assert len({served.request_id for served in provider.log}) == 3


def test_answers_are_given_in_order_and_the_last_one_again() -> None:
    with LocalProvider("openai", Answer.ok("one"), Answer.ok("two")) as provider:
        texts = [chat(provider).choices[0].message.content for _ in range(3)]
        provider.program(Answer.ok("new"))
        texts += [chat(provider).choices[0].message.content for _ in range(2)]
    assert texts == ["one", "two", "two", "new", "new"]


def test_a_default_is_given_when_the_answers_are_used_up() -> None:
    with LocalProvider("openai", Answer.ok("one"), default=Answer.ok("rest")) as provider:
        texts = [chat(provider).choices[0].message.content for _ in range(3)]
        provider.program()
        texts.append(chat(provider).choices[0].message.content)
    assert texts == ["one", "rest", "rest", "rest"]


# Streams that fail


@pytest.mark.parametrize("then", ["error", "failed"])
def test_a_chat_stream_can_end_in_an_error_event(then: Any) -> None:
    answer = Answer.stream(then=then, message="Broke", code="broken", type="server_error")
    with LocalProvider("openai", answer) as provider:
        pieces, error = collect(chat_stream(provider))
        served = only(provider)
    assert pieces == ["Hel", "lo"]
    assert isinstance(error, openai.APIError)
    assert (error.message, error.code, error.type) == ("Broke", "broken", "server_error")
    assert (served.kind, served.status, served.ending) == ("stream", 200, "error")
    assert (served.message, served.code) == ("Broke", "broken")
    assert '"Broke"' in (served.text_sent or "")


def test_a_responses_stream_can_end_in_an_error_event() -> None:
    with LocalProvider("openai", Answer.stream(then="error", code="server_error")) as provider:
        pieces, error = collect(responses_stream(provider))
        served = only(provider)
    assert pieces == ["Hel", "lo"]
    assert isinstance(error, openai.APIError)
    assert error.message.startswith("The server had an error")
    assert (served.ending, served.code, served.message) == ("error", "server_error", error.message)


def test_a_responses_stream_can_end_as_failed_without_an_exception() -> None:
    with LocalProvider("openai", Answer.stream(then="failed", message="Broke")) as provider:
        with openai_client(provider) as client:
            events = list(client.responses.create(model="m", input="Hi", stream=True))
        served = only(provider)
    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.status == "failed"
    assert last.response.error is not None
    assert (last.response.error.code, last.response.error.message) == ("server_error", "Broke")
    assert [getattr(event, "sequence_number", None) for event in events] == list(range(len(events)))
    assert (served.ending, served.message) == ("error", "Broke")


def test_a_message_stream_can_end_in_an_overloaded_event_under_status_200() -> None:
    with LocalProvider("anthropic", Answer.stream(then="error")) as provider:
        pieces, error = collect(message_stream(provider))
        served = only(provider)
    assert pieces == ["Hel", "lo"]
    assert isinstance(error, anthropic.APIStatusError)
    assert error.status_code == 200
    assert error.body == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert (served.status, served.code, served.message) == (200, "overloaded_error", "Overloaded")


def test_a_gemini_stream_can_end_in_an_error_event() -> None:
    with LocalProvider("gemini", Answer.stream(then="error")) as provider:
        text = httpx.post(provider.base_url + STREAM_GENERATE, params={"alt": "sse"}, json={}).text
        assert only(provider).code == "UNAVAILABLE"
    error = json.loads(text.strip().split("\n\n")[-1].removeprefix("data: "))["error"]
    assert (error["code"], error["status"]) == (503, "UNAVAILABLE")


@pytest.mark.parametrize("then", ["cut", "truncate"])
@pytest.mark.parametrize(
    ("kind", "stream"),
    [("openai", chat_stream), ("openai", responses_stream), ("anthropic", message_stream)],
)
def test_a_stream_can_break_off_after_its_text(
    kind: Any, stream: Callable[[LocalProvider], Iterator[str]], then: Any
) -> None:
    with LocalProvider(kind, Answer.stream(("a", "b"), then=then)) as provider:
        pieces, error = collect(stream(provider))
        served = only(provider)
    assert pieces == ["a", "b"]
    assert error is not None
    causes = f"{error!r} {error.__cause__!r}"
    assert ("ReadError" if then == "cut" else "RemoteProtocolError") in causes
    assert (served.kind, served.status, served.ending, served.message) == ("stream", 200, then, None)


@pytest.mark.parametrize(("kind", "stream"), [("openai", chat_stream), ("anthropic", message_stream)])
def test_a_stream_can_fall_silent(kind: Any, stream: Callable[..., Iterator[str]]) -> None:
    with LocalProvider(kind, Answer.stream(("a", "b"), then="hang")) as provider:
        pieces, error = collect(stream(provider, timeout=PATIENCE))
        assert only(provider).ending == "hang"
    assert pieces == ["a", "b"]
    assert "Timeout" in f"{error!r} {error.__cause__ if error else None!r}"


def test_a_silent_stream_is_closed_in_the_end() -> None:
    answer = Answer.stream(then="hang", hang_seconds=0.05)
    with LocalProvider("openai", answer) as provider:
        pieces, error = collect(chat_stream(provider))
        assert only(provider).ending == "hang"
    assert pieces == ["Hel", "lo"]
    assert isinstance(error, openai.APIConnectionError)


def test_a_dripping_stream_takes_its_time() -> None:
    for _ in range(5):  # whoever reads late finds more of it at once
        with LocalProvider("openai", Answer.stream(4, drip=0.03)) as provider:
            started = time.monotonic()
            stream = chat_stream(provider)
            next(stream)
            first = time.monotonic() - started
            rest = list(stream)
            whole = time.monotonic() - started
        assert len(rest) == 3
        assert whole >= 0.12
        if whole - first >= 0.08:
            return
    pytest.fail("the first piece came with the last ones")


def test_the_log_says_when_the_client_leaves_a_stream_early() -> None:
    with LocalProvider("openai", Answer.stream(100, drip=0.02, then="error")) as provider:
        with openai_client(provider) as client:
            stream = client.chat.completions.create(model="m", messages=PROMPT, stream=True)
            next(iter(stream))
            assert only(provider).ending is None
            stream.close()
        assert eventually(lambda: provider.log[0].ending == "dropped")
        assert (only(provider).message, only(provider).status) == (None, 200)


# No answer, or none of the provider's


@pytest.mark.parametrize(
    ("kind", "ask", "exception"),
    [("openai", chat, openai.APITimeoutError), ("anthropic", message, anthropic.APITimeoutError)],
)
def test_a_hanging_provider_ends_in_the_clients_timeout(
    kind: Any, ask: Callable[..., Any], exception: type[Exception]
) -> None:
    with LocalProvider(kind, Answer.hang()) as provider:
        with pytest.raises(exception):
            ask(provider, timeout=PATIENCE)
        served = only(provider)
    assert (served.kind, served.status, served.request_id, served.text_sent) == ("hang", None, None, None)


def test_a_hanging_provider_closes_in_the_end() -> None:
    with LocalProvider("openai", Answer.hang(0.05)) as provider, pytest.raises(openai.APIConnectionError):
        chat(provider)


@pytest.mark.parametrize(
    ("kind", "ask", "exception"),
    [("openai", chat, openai.APIConnectionError), ("anthropic", message, anthropic.APIConnectionError)],
)
def test_a_reset_connection_is_a_connection_error(
    kind: Any, ask: Callable[..., Any], exception: type[Exception]
) -> None:
    with LocalProvider(kind, Answer.reset()) as provider:
        with pytest.raises(exception) as caught:
            ask(provider)
        served = only(provider)
    assert "reset by peer" in str(caught.value.__cause__) or os.name == "nt"
    assert (served.kind, served.status) == ("reset", None)


def test_a_delayed_answer_comes_late() -> None:
    with LocalProvider("openai", Answer.delayed(Answer.ok("late"), 0.1)) as provider:
        started = time.monotonic()
        assert chat(provider).choices[0].message.content == "late"
        assert time.monotonic() - started >= 0.1
        assert (only(provider).kind, only(provider).status) == ("ok", 200)


def test_a_delayed_answer_nobody_waited_for_was_not_given() -> None:
    with LocalProvider("openai", Answer.delayed(Answer.openai_quota(), 0.2)) as provider:
        with pytest.raises(openai.APITimeoutError):
            chat(provider, timeout=0.05)
        time.sleep(0.25)
        served = only(provider)
    assert (served.kind, served.status, served.message) == ("hang", None, None)


def test_a_gateways_html_arrives_without_the_providers_headers() -> None:
    page = "<html><h1>502 Bad Gateway</h1></html>"
    with LocalProvider("openai", Answer.raw(502, page)) as provider:
        with pytest.raises(openai.InternalServerError) as caught:
            chat(provider)
        served = only(provider)
    assert (caught.value.code, caught.value.request_id) == (None, None)
    assert caught.value.response.text == page == served.text_sent
    assert caught.value.response.headers["content-type"] == "text/html"
    assert (served.kind, served.status, served.message, served.request_id) == ("raw", 502, None, None)


def test_a_body_that_is_no_utf_8_arrives_byte_for_byte() -> None:
    answer = Answer.raw(500, b'{"error": "\xff\xfe"}', content_type="application/json")
    with LocalProvider("anthropic", answer) as provider:
        with pytest.raises(anthropic.InternalServerError) as caught:
            message(provider)
        assert only(provider).text_sent == '{"error": "\ufffd\ufffd"}'
    assert caught.value.response.content == b'{"error": "\xff\xfe"}'


def test_ten_megabytes_arrive_whole_and_are_logged_cut() -> None:
    body = b"x" * 10_000_000
    with LocalProvider("openai", Answer.raw(503, body, content_type="text/plain")) as provider:
        with pytest.raises(openai.InternalServerError) as caught:
            chat(provider)
        assert len(only(provider).text_sent or "") == 64 * 1024
    assert caught.value.response.content == body


def test_async_clients_fail_alike() -> None:
    async def failures(provider: LocalProvider) -> list[Exception]:
        caught: list[Exception] = []
        async with openai.AsyncOpenAI(
            base_url=provider.base_url, api_key="x", max_retries=0, timeout=PATIENCE
        ) as client:
            for _ in range(4):
                try:
                    async for _chunk in await client.chat.completions.create(model="m", messages=PROMPT, stream=True):
                        pass
                except openai.APIError as error:
                    caught.append(error)
        return caught

    answers = (Answer.hang(), Answer.reset(), Answer.openai_bad_key(), Answer.stream(then="error"))
    with LocalProvider("openai", *answers) as provider:
        caught = asyncio.run(failures(provider))
        kinds = [served.kind for served in provider.log]
    assert [type(error).__name__ for error in caught] == [
        "APITimeoutError",
        "APIConnectionError",
        "AuthenticationError",
        "APIError",
    ]
    assert kinds == ["hang", "reset", "error", "stream"]


# The server


def test_one_connection_serves_many_requests() -> None:
    with LocalProvider("openai", Answer.ok(), Answer.openai_quota(), Answer.stream(2)) as provider:
        address = ("127.0.0.1", int(provider.endpoint.rsplit(":", 1)[1]))
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n"
        with socket.create_connection(address, timeout=60) as connection:
            requests = f"{head}\r\n{{}}" * 2 + f"{head}connection: close\r\n\r\n{{}}"
            connection.sendall(requests.encode())
            received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.count(b"HTTP/1.1 ") == 3
    assert [served.status for served in provider.log] == [200, 429, 200]


def test_a_request_may_come_in_pieces_and_in_chunks() -> None:
    def body() -> Iterator[bytes]:
        yield b'{"mod'
        time.sleep(0.01)
        yield b'el": "m"}'

    with LocalProvider("openai") as provider:
        response = httpx.post(f"{provider.base_url}/chat/completions", content=body())
        assert response.json()["model"] == "m"
        assert only(provider).body == b'{"model": "m"}'


def test_what_is_no_http_is_refused_and_not_logged() -> None:
    with LocalProvider("openai") as provider:
        address = ("127.0.0.1", int(provider.endpoint.rsplit(":", 1)[1]))
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        assert provider.log == []
    assert received.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("head", [{"content-length": "3"}, {"transfer-encoding": "chunked"}])
def test_framing_that_a_programmed_length_breaks_goes_out_as_it_stands(head: dict[str, str]) -> None:
    """Too much for its length; no chunks where the head promises some. The connection serves on."""
    with LocalProvider("openai", Answer.raw(502, "<html>", headers=head), Answer.ok()) as provider:
        address = ("127.0.0.1", int(provider.endpoint.rsplit(":", 1)[1]))
        request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n"
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(request + b"\r\n{}" + request + b"connection: close\r\n\r\n{}")
            received = b"".join(iter(lambda: connection.recv(65536), b""))
    first, _, second = received.partition(b"<html>")
    assert first.endswith(b"\r\n\r\n")
    assert second.startswith(b"HTTP/1.1 200 OK")


def test_a_client_that_waits_to_be_told_sends_its_body() -> None:
    with LocalProvider("openai") as provider:
        address = ("127.0.0.1", int(provider.endpoint.rsplit(":", 1)[1]))
        with socket.create_connection(address, timeout=60) as connection:
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            connection.sendall(head + b"content-length: 14\r\nexpect: 100-continue\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
            connection.sendall(b'{"model": "m"}')
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert only(provider).body == b'{"model": "m"}'


def test_an_answer_to_head_has_no_body() -> None:
    with LocalProvider("openai") as provider:
        response = httpx.head(f"{provider.base_url}/models")
    assert (response.status_code, response.content) == (404, b"")
    assert int(response.headers["content-length"]) > 0


def test_hanging_connections_cost_no_threads_and_end_with_their_clients() -> None:
    body = b'{"model": "m", "stream": true}'
    with LocalProvider("openai", default=Answer.stream(2, drip=600)) as provider:
        before = threading.active_count()
        address = ("127.0.0.1", int(provider.endpoint.rsplit(":", 1)[1]))
        connections = [socket.create_connection(address) for _ in range(200)]
        for connection in connections:
            connection.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
            )
        assert eventually(lambda: [each.kind for each in provider.log] == ["stream"] * 200)
        assert threading.active_count() == before
        for connection in connections:
            connection.close()
        assert eventually(lambda: [each.ending for each in provider.log] == ["dropped"] * 200)


def test_closing_does_not_wait_for_hanging_answers() -> None:
    provider = LocalProvider("openai", Answer.hang()).start()
    errors: list[Exception] = []

    def ask() -> None:
        try:
            chat(provider)
        except openai.APIConnectionError as error:
            errors.append(error)

    client = threading.Thread(target=ask)
    client.start()
    assert eventually(lambda: len(provider.log) == 1)
    started = time.monotonic()
    provider.close()
    client.join(60)
    assert time.monotonic() - started < 20
    assert len(errors) == 1


def test_a_closed_provider_refuses_and_comes_back_under_its_address() -> None:
    provider = LocalProvider("openai")
    with provider:
        address = provider.base_url
        chat(provider)
    with pytest.raises(openai.APIConnectionError):
        chat(provider)
    with provider:
        assert provider.base_url == address
        chat(provider)
    assert len(provider.log) == 2


def test_many_clients_at_once_are_all_logged() -> None:
    with LocalProvider("openai") as provider:

        def ask() -> None:
            with httpx.Client(base_url=provider.base_url) as client:
                for _ in range(25):
                    client.post("/chat/completions", json={}).raise_for_status()

        clients = [threading.Thread(target=ask) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert len(provider.log) == 200
        assert len({served.request_id for served in provider.log}) == 200


def test_a_cleared_log_stays_cleared_of_answers_under_way() -> None:
    with LocalProvider("openai", Answer.stream(3, drip=0.02), Answer.ok()) as provider:
        stream = chat_stream(provider)
        next(stream)
        log = provider.log
        provider.clear()
        assert len(list(stream)) == 2
        assert provider.log == []
        chat(provider)
        assert len(log) == 1


def test_a_provider_without_an_address_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"local provider 'mine' has no address yet: call start\(\)"):
        LocalProvider("openai", name="mine").base_url  # noqa: B018


def test_an_unknown_kind_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no wire format is called 'openia'; there are openai, anthropic"):
        LocalProvider(cast("Any", "openia"))


# Several


def test_several_providers_have_names_and_one_log_in_order_of_time() -> None:
    with LocalProviders(
        primary=("openai", Answer.openai_quota()),
        backup=("anthropic", Answer.ok("Hi")),
    ) as providers:
        with pytest.raises(openai.RateLimitError):
            chat(providers.primary)
        message(providers["backup"])
        with pytest.raises(openai.RateLimitError):
            chat(providers[0])
        assert [(served.name, served.status) for served in providers.log] == [
            ("primary", 429),
            ("backup", 200),
            ("primary", 429),
        ]
        assert [provider.name for provider in providers] == ["primary", "backup"]
        assert len(providers) == 2
        providers.clear()
        assert providers.log == []
        assert not hasattr(providers, "third")


def test_several_providers_may_be_given_as_a_list() -> None:
    given = [LocalProvider("openai", name="a"), LocalProvider("openai", name="b")]
    with LocalProviders(given) as providers:
        chat(providers.b)
        assert [served.name for served in providers.log] == ["b"]


def test_two_providers_of_one_name_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="two local providers are called 'openai'"):
        LocalProviders(LocalProvider("openai"), LocalProvider("openai"))


def test_importing_the_local_providers_imports_no_sdk() -> None:
    code = (
        "import sys, otel_failover.testing.providers; "
        "print([m for m in ('openai', 'anthropic', 'httpx') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# --- Bedrock ----------------------------------------------------------------------------------------------------------


def bedrock_client(provider: LocalProvider) -> Any:
    """Return botocore's own client, with keys of its own and without retries."""
    session = pytest.importorskip("botocore.session").Session()
    session.set_credentials("AKIAZ7QW3ERT5YUI9OPA", "wJq8vL2mN4xWc7RtYbH3kPs6dFg9hJ1z")
    config = pytest.importorskip("botocore.config").Config(retries={"total_max_attempts": 1})
    return session.create_client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=provider.endpoint, config=config
    )


def test_bedrock_answers_whole_and_streamed() -> None:
    """Frames, checksums and headers are what botocore's own parser takes."""
    asked: dict[str, Any] = {"modelId": "a.b-v1:0", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    with LocalProvider("bedrock", Answer.ok("Hello you")) as provider:
        client = bedrock_client(provider)
        whole = client.converse(**asked)
        events = list(client.converse_stream(**asked)["stream"])
    assert whole["output"]["message"]["content"] == [{"text": "Hello you"}]
    deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    assert deltas == ["Hello ", "you"]
    assert events[-1]["metadata"]["usage"] == whole["usage"]
    assert [(each.model, each.kind) for each in provider.log] == [("a.b-v1:0", "ok"), ("a.b-v1:0", "stream")]
    assert whole["ResponseMetadata"]["RequestId"] == provider.log[0].request_id


def test_bedrocks_errors_arrive_as_botocores_exceptions() -> None:
    answers = (Answer.bedrock_throttling(), Answer.bedrock_no_access(), Answer.bedrock_not_found())
    with LocalProvider("bedrock", *answers) as provider:
        client = bedrock_client(provider)
        for answer in answers:
            with pytest.raises(client.exceptions.ClientError) as raised:
                client.converse(modelId="m", messages=[])
            assert raised.value.response["Error"] == {"Code": answer.code, "Message": answer.message}
    assert [each.code for each in provider.log] == [answer.code for answer in answers]
