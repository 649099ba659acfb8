"""An error under a 200 is an answer's error, whoever reads it: each SDK, whole and streamed, and plain HTTP."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
import requests

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import MESSAGES, LoopError, stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Exported, Telemetry

SAID = "acme/model-x is temporarily rate-limited upstream. Please retry shortly, or add your own key"
GATEWAY = {
    "error": {
        "message": "Provider returned error",
        "code": 429,
        "metadata": {"raw": SAID, "provider_name": "BaseTen", "retry_after_seconds": 17},
    },
    "user_id": "user_1",
}
MODEL = "acme/model-x"
EMBEDDED: dict[str, Any] = {
    "object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "model": MODEL,
    "usage": {"prompt_tokens": 1, "total_tokens": 1}, "error": None,
}  # fmt: skip


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def under_200(body: object) -> Answer:
    return Answer.raw(200, json.dumps(body), content_type="application/json", headers={"x-request-id": "req_gw_1"})


def events(*bodies: object) -> Answer:
    lines = "".join(f"data: {json.dumps(body)}\n\n" for body in bodies)
    return Answer.raw(200, f"{lines}data: [DONE]\n\n", content_type="text/event-stream")


def chunk(content: str = "", finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": finish, **more}
    return {"id": "gen-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}


def client_of(server: LocalProvider) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0)


def chat(server: LocalProvider) -> Any:
    return client_of(server).chat.completions.create(model=MODEL, messages=MESSAGES)


def chat_stream(server: LocalProvider) -> Any:
    return list(client_of(server).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))


def raw_chat(server: LocalProvider) -> Any:
    return client_of(server).chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES).parse()


def responses(server: LocalProvider) -> Any:
    return client_of(server).responses.create(model=MODEL, input="hello")


def completions(server: LocalProvider) -> Any:
    return client_of(server).completions.create(model=MODEL, prompt="hello")


def embeddings(server: LocalProvider) -> Any:
    """Ask for vectors; the SDK raises a ValueError of its own where there are none."""
    with suppress(ValueError):
        client_of(server).embeddings.create(model=MODEL, input="hello")


def anthropics(server: LocalProvider) -> Any:
    import anthropic

    client = anthropic.Anthropic(base_url=server.endpoint, api_key="k", max_retries=0)
    return client.messages.create(model=MODEL, max_tokens=9, messages=MESSAGES)


def geminis(server: LocalProvider) -> Any:
    pytest.importorskip("google.genai")
    from google import genai
    from google.genai import types

    client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=server.endpoint))
    return client.models.generate_content(model=MODEL, contents="hello")


def groqs(server: LocalProvider) -> Any:
    groq = pytest.importorskip("groq")

    client = groq.Groq(base_url=server.endpoint, api_key="k", max_retries=0)
    return client.chat.completions.create(model=MODEL, messages=MESSAGES)


def by_httpx(server: LocalProvider) -> Any:
    return httpx.post(f"{server.base_url}/chat/completions", json={"model": MODEL, "messages": MESSAGES}).json()


def by_requests(server: LocalProvider) -> Any:
    sent = requests.post(f"{server.base_url}/chat/completions", json={"model": MODEL, "messages": MESSAGES}, timeout=9)
    return sent.json()


WAYS: dict[str, Callable[[LocalProvider], Any]] = {
    "chat": chat, "raw chat": raw_chat, "responses": responses, "completions": completions, "embeddings": embeddings,
    "anthropic": anthropics, "gemini": geminis, "groq": groqs, "httpx": by_httpx, "requests": by_requests,
}  # fmt: skip
BARE = ["chat", "responses", "completions", "embeddings", "anthropic", "gemini"]
each_way = pytest.mark.parametrize("way", WAYS)


def first(server: LocalProvider) -> Candidate:
    return Candidate("openrouter", MODEL, server.endpoint)


def is_the_error(span: Exported, reason: str = "rate_limit") -> None:
    assert (span["candidate.outcome"], span["failover.reason.code"]) == ("error", reason)
    assert (span["failover.error.origin"], span["http.response.status_code"]) == ("response", 200)
    assert (span.status, span["error.type"]) == ("ERROR", reason)
    assert span["failover.evidence"] == "complete"


@each_way
def test_it_is_the_candidates_own_error(telemetry: Telemetry, way: str) -> None:
    with LocalProvider("openai", under_200(GATEWAY)) as server, failover_run(chain=[first(server)]) as run:
        with run.attempt(first(server)) as attempt:
            WAYS[way](server)
        assert attempt.error is not None
        assert (attempt.error.reason, attempt.error.status_code) == ("rate_limit", 200)
        assert attempt.error.message == f"Provider returned error: {SAID}"
    (own,) = telemetry.candidates
    is_the_error(own)
    assert own.description == f"Provider returned error: {SAID}"
    assert (own["failover.wire.request_id"], own["failover.retry_after"]) == ("req_gw_1", 17.0)
    assert own.verdict == ("verified", None)
    assert telemetry.run["failover.outcome"] == "exhausted"
    assert [each.name for each in telemetry.markers] == []


@pytest.mark.parametrize("way", BARE)
def test_a_bare_call_has_failed_by_it(telemetry: Telemetry, way: str) -> None:
    with LocalProvider("openai", under_200(GATEWAY)) as server, stand("openai", Answer.ok()) as second:
        with failover_run(chain=[first(server), second.candidate]):
            WAYS[way](server)
            second.ask()
    own, served = telemetry.candidates
    is_the_error(own)
    assert own.verdict == ("verified", None)
    assert served["candidate.outcome"] == "success"
    assert telemetry.run["failover.outcome"] == "fallback"
    calls = [span for span in telemetry.children(own) if span["gen_ai.operation.name"]]
    kind = "ValueError" if way == "embeddings" else "rate_limit"
    assert all((call.status, call["error.type"]) == ("ERROR", kind) for call in calls)
    assert calls or way == "anthropic"


@pytest.mark.parametrize("way", BARE)
def test_outside_any_run_the_calls_span_has_it(telemetry: Telemetry, way: str) -> None:
    with LocalProvider("openai", under_200(GATEWAY)) as server:
        WAYS[way](server)
    spans = [span for span in telemetry.spans if span["failover.reason.code"]]
    assert all((span.status, span["failover.reason.code"]) == ("ERROR", "rate_limit") for span in spans)
    assert spans or way == "anthropic"


def test_the_loop_that_crashes_on_it_has_it_as_the_candidates_own(telemetry: Telemetry) -> None:
    with LocalProvider("openai", under_200(GATEWAY)) as server, failover_run(chain=[first(server)]) as run:
        with pytest.raises(TypeError), run.attempt(first(server)) as attempt:
            chat(server).choices[0]
        assert attempt.error is not None
        assert attempt.error.reason == "rate_limit"
    is_the_error(telemetry.candidates[0])
    assert [each.name for each in telemetry.markers] == []


@each_way
def test_its_words_told_for_another_are_a_mismatch(telemetry: Telemetry, way: str) -> None:
    with (
        LocalProvider("openai", under_200(GATEWAY)) as server,
        stand("anthropic", Answer.hang(1), timeout=0.2) as second,
    ):
        with failover_run(chain=[first(server), second.candidate]) as run:
            with run.attempt(first(server)):
                WAYS[way](server)
            with pytest.raises(LoopError), run.attempt(second.candidate):
                try:
                    second.ask()
                except Exception as problem:
                    raise LoopError(f"anthropic failed: {SAID}") from problem
    stolen = telemetry.candidates[1]
    assert (stolen["failover.reason.code"], *stolen.verdict) == ("timeout", "mismatch", "stale_error")
    assert stolen["failover.attribution.source.provider"] == "openrouter"
    assert stolen["failover.attribution.bound_by"] == "text"


@each_way
def test_its_own_words_told_for_it_are_verified(telemetry: Telemetry, way: str) -> None:
    with LocalProvider("openai", under_200(GATEWAY)) as server, failover_run(chain=[first(server)]) as run:
        with run.attempt(first(server)) as attempt:
            WAYS[way](server)
            attempt.fail(SAID)
    (own,) = telemetry.candidates
    is_the_error(own)
    assert own.verdict == ("verified", None)


STREAMS = {
    "before any output": (({**GATEWAY},), "error", "rate_limit"),
    "after output": ((chunk("Hel"), GATEWAY), "partial", "rate_limit"),
    "beside a choice": (({**chunk("", "error"), **GATEWAY},), "error", "rate_limit"),
    "a choice's own": ((chunk("Hel"), chunk("", "error", error={"code": 502, "message": "Gone."})), "partial", "server_error"),
    "a choice's own at once": ((chunk("", "error", error={"code": 502, "message": "Gone."}),), "error", "server_error"),
    "vLLM's flat one": (
        ({"object": "error", "message": "requested tokens exceed", "type": "BadRequestError", "param": None, "code": 400},),
        "error", "invalid_request",
    ),
    "vLLM's flat one after output": (
        (chunk("Hel"), {"object": "error", "message": "no", "type": "InternalServerError", "param": None, "code": 500}),
        "partial", "server_error",
    ),
    "litellm's": (({"error": {"message": "litellm.RateLimitError", "type": "None", "code": "429"}},), "error", "rate_limit"),
}  # fmt: skip


@pytest.mark.parametrize("said", STREAMS)
def test_an_error_in_a_stream(telemetry: Telemetry, said: str) -> None:
    bodies, outcome, reason = STREAMS[said]
    with LocalProvider("openai", events(*bodies)) as server, failover_run(chain=[first(server)]) as run:
        try:
            with run.attempt(first(server)):
                chat_stream(server)
        except openai.APIError:
            pass
    (own,) = telemetry.candidates
    assert (own["candidate.outcome"], own["failover.reason.code"]) == (outcome, reason)
    assert (own["failover.error.origin"], own["http.response.status_code"]) == ("response", 200)
    assert own.verdict == ("verified", None)
    (call,) = telemetry.children(own)
    assert call.status == "ERROR"


GOOD_STREAMS = {
    "with its usage": (chunk("Hello"), chunk("", "stop"), {**chunk(), "choices": [], "usage": EMBEDDED["usage"]}),
    "with a filter's report first": (
        {**chunk(), "choices": [], "prompt_filter_results": []},
        chunk("Hello"),
        chunk("", "stop"),
    ),
    "with an error of null": ({**chunk("Hello"), "error": None}, {**chunk("", "stop"), "error": None}),
    "that speaks of an error": (chunk(json.dumps(GATEWAY)), chunk("", "stop")),
    "cut short": (chunk("Hello"), chunk("", "length")),
    "with a word of its own for the end": (chunk("Hello"), chunk("", "eos")),
}


@pytest.mark.parametrize("said", GOOD_STREAMS)
def test_a_good_stream_is_good(telemetry: Telemetry, said: str) -> None:
    with LocalProvider("openai", events(*GOOD_STREAMS[said])) as server, failover_run(chain=[first(server)]) as run:
        with run.attempt(first(server)):
            chat_stream(server)
    (own,) = telemetry.candidates
    assert (own["candidate.outcome"], own["failover.reason.code"]) == ("success", None)
    assert own.verdict == ("verified", None)


def answered(text: str = "Hello", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}, **more}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice], "usage": usage}


TOOL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": json.dumps(GATEWAY)}}
FILTER = {"error": {"code": "content_filter_error", "message": "The contents are not filtered"}}
OUTPUT = {"id": "1", "type": "message", "role": "assistant", "status": "completed", "content": [
    {"type": "output_text", "annotations": [], "text": json.dumps(GATEWAY)}]}  # fmt: skip
TWINS: dict[str, tuple[str, dict[str, Any]]] = {
    "an error of null": ("chat", {**answered(), "error": None}),
    "an empty error": ("chat", {**answered(), "error": {}}),
    "an error in the text": ("chat", answered(json.dumps(GATEWAY))),
    "an error in a call's arguments": (
        "chat", answered(message={"role": "assistant", "content": None, "tool_calls": [TOOL]}, finish_reason="tool_calls")
    ),
    "a filter that did not run": ("chat", answered(content_filter_results=FILTER)),
    "a response": (
        "responses",
        {"id": "1", "object": "response", "created_at": 1, "status": "completed", "error": None, "model": MODEL,
         "output": [OUTPUT], "parallel_tool_calls": True, "tool_choice": "auto", "tools": []},
    ),
    "vectors": ("embeddings", EMBEDDED),
    "by httpx": ("httpx", {**answered(json.dumps(GATEWAY)), "error": None}),
    "by requests": ("requests", {**answered(json.dumps(GATEWAY)), "error": None}),
    "by groq": ("groq", {**answered(), "error": None}),
    "Gemini's text": ("gemini", {"candidates": [{"content": {"role": "model", "parts": [{"text": json.dumps(GATEWAY)}]}}]}),
}  # fmt: skip


@pytest.mark.parametrize("twin", TWINS)
def test_a_good_answer_is_good(telemetry: Telemetry, twin: str) -> None:
    way, body = TWINS[twin]
    with LocalProvider("openai", under_200(body)) as server, failover_run(chain=[first(server)]) as run:
        with run.attempt(first(server)):
            WAYS[way](server)
    (own,) = telemetry.candidates
    assert (own["candidate.outcome"], own["failover.reason.code"]) == ("success", None)
    assert own.verdict == ("verified", None)
    assert telemetry.run["failover.outcome"] == "primary"


def test_the_last_answer_of_an_attempt_counts(telemetry: Telemetry) -> None:
    """A loop that asks again within one attempt is served by the second answer."""
    with LocalProvider("openai", under_200(GATEWAY), Answer.ok()) as server, failover_run(chain=[first(server)]) as run:
        with run.attempt(first(server)):
            chat(server)
            chat(server)
    (own,) = telemetry.candidates
    assert own["candidate.outcome"] == "success"
    assert telemetry.run["failover.outcome"] == "primary"


def test_the_number_in_its_body_is_an_own_status(telemetry: Telemetry) -> None:
    """A loop that reads `error.code` says 429, though a 200 was sent."""
    with LocalProvider("openai", under_200(GATEWAY)) as server, failover_run(chain=[first(server)]) as run:
        with run.attempt(first(server)) as attempt:
            reply = chat(server)
            attempt.fail({"status_code": reply.error["code"], "message": reply.error["message"]})
    (own,) = telemetry.candidates
    is_the_error(own)
    assert own.verdict == ("verified", None)
    assert own["failover.status.synthetic"] is None


def test_another_status_is_not(telemetry: Telemetry) -> None:
    with LocalProvider("openai", under_200(GATEWAY)) as server, failover_run(chain=[first(server)]) as run:
        with run.attempt(first(server)) as attempt:
            chat(server)
            attempt.fail({"status_code": 404, "message": "Provider returned error"})
    assert telemetry.candidates[0].verdict == ("inconsistent", "status_conflict")


@pytest.mark.parametrize("output", [[], [OUTPUT]], ids=["nothing", "a part"])
def test_a_response_that_failed(telemetry: Telemetry, output: list[Any]) -> None:
    failed = {
        **TWINS["a response"][1], "status": "failed", "output": output,
        "error": {"code": "rate_limit_exceeded", "message": "Slow down, please, and try again in a while"},
    }  # fmt: skip
    with LocalProvider("openai", under_200(failed)) as server, failover_run(chain=[first(server)]) as run:
        with run.attempt(first(server)) as attempt:
            responses(server)
        assert attempt.error is not None
        assert attempt.error.message == "Slow down, please, and try again in a while"
    is_the_error(telemetry.candidates[0])
    assert telemetry.candidates[0]["failover.error.code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("then", ["error", "failed"])
@pytest.mark.parametrize("pieces", [[], ["Hel"]], ids=["nothing", "a part"])
def test_an_event_of_a_response_that_nobody_raises(telemetry: Telemetry, then: Any, pieces: list[str]) -> None:
    answer = Answer.stream(pieces, then=then, code="rate_limit_exceeded", message="Slow down, please")
    with LocalProvider("openai", answer) as server, failover_run(chain=[first(server)]) as run:
        with suppress(openai.APIError), run.attempt(first(server)):
            list(client_of(server).responses.create(model=MODEL, input="hello", stream=True))
    (own,) = telemetry.candidates
    assert (own["candidate.outcome"], own["failover.reason.code"]) == ("partial" if pieces else "error", "rate_limit")
    assert own.verdict == ("verified", None)
    (call,) = telemetry.children(own)
    assert (call.status, call.description) == ("ERROR", "Slow down, please")


@pytest.mark.parametrize("code", [429, "429"])
def test_anthropics_event_from_a_gateway(telemetry: Telemetry, code: object) -> None:
    import anthropic

    said = {"type": "error", "error": {"type": "None", "message": "litellm.RateLimitError: slow", "code": code}}
    event = Answer.raw(200, f"event: error\ndata: {json.dumps(said)}\n\n", content_type="text/event-stream")
    with LocalProvider("anthropic", event) as server, failover_run(chain=[first(server)]) as run:
        client = anthropic.Anthropic(base_url=server.endpoint, api_key="k", max_retries=0)
        with pytest.raises(anthropic.APIStatusError), run.attempt(first(server)):
            list(client.messages.create(model=MODEL, max_tokens=9, messages=MESSAGES, stream=True))
    (own,) = telemetry.candidates
    assert (own["candidate.outcome"], own["failover.reason.code"]) == ("error", "rate_limit")
    assert own.verdict == ("verified", None)


async def _by_aiohttp(server: LocalProvider) -> None:
    aiohttp = pytest.importorskip("aiohttp")
    async with aiohttp.ClientSession() as session:
        sent = {"model": MODEL, "messages": MESSAGES}
        async with session.post(f"{server.base_url}/chat/completions", json=sent) as response:
            await response.json()


async def _by_async_openai(server: LocalProvider) -> None:
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        await client.chat.completions.create(model=MODEL, messages=MESSAGES)


async def _by_async_anthropic(server: LocalProvider) -> None:
    import anthropic

    async with anthropic.AsyncAnthropic(base_url=server.endpoint, api_key="k", max_retries=0) as client:
        await client.messages.create(model=MODEL, max_tokens=9, messages=MESSAGES)


async def _by_async_gemini(server: LocalProvider) -> None:
    pytest.importorskip("google.genai")
    from google import genai
    from google.genai import types

    client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=server.endpoint))
    await client.aio.models.generate_content(model=MODEL, contents="hello")


ASYNC = {
    "aiohttp": _by_aiohttp,
    "openai": _by_async_openai,
    "anthropic": _by_async_anthropic,
    "gemini": _by_async_gemini,
}


@pytest.mark.parametrize("way", ASYNC)
def test_asked_in_a_task(telemetry: Telemetry, way: str) -> None:
    async def loop(server: LocalProvider) -> None:
        with failover_run(chain=[first(server)]) as run, run.attempt(first(server)):
            await ASYNC[way](server)

    with LocalProvider("openai", under_200(GATEWAY)) as server:
        asyncio.run(loop(server))
    (own,) = telemetry.candidates
    is_the_error(own)
    assert own.verdict == ("verified", None)


def test_a_completion_that_breaks_off_is_partial(telemetry: Telemetry) -> None:
    piece = {"id": "c", "object": "text_completion", "created": 1, "model": MODEL}
    said = {**piece, "choices": [{"index": 0, "text": "Hel", "finish_reason": None, "logprobs": None}]}
    with LocalProvider("openai", events(said, GATEWAY)) as server, failover_run(chain=[first(server)]) as run:
        with pytest.raises(openai.APIError), run.attempt(first(server)):
            list(client_of(server).completions.create(model=MODEL, prompt="hello", stream=True))
    (own,) = telemetry.candidates
    assert (own["candidate.outcome"], own["failover.reason.code"]) == ("partial", "rate_limit")
    assert own.verdict == ("verified", None)
