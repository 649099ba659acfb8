"""An answer that was withheld says so itself: a loop that will not take it is right, and it is told why."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import MESSAGES, stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Telemetry

MODEL = "some-model"
ASKED: Any = [{"role": "user", "content": [{"text": "hello"}]}]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def _openai(server: LocalProvider) -> Any:
    import openai

    return openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0)


def _anthropic(server: LocalProvider) -> Any:
    import anthropic

    return anthropic.Anthropic(base_url=server.base_url, api_key="k", max_retries=0)


def _gemini(server: LocalProvider) -> Any:
    pytest.importorskip("google.genai")
    from google import genai
    from google.genai import types

    return genai.Client(api_key="k", http_options=types.HttpOptions(base_url=server.base_url))


def chat(server: LocalProvider) -> Any:
    _openai(server).chat.completions.create(model=MODEL, messages=MESSAGES)


def chat_stream(server: LocalProvider) -> Any:
    list(_openai(server).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))


def responses(server: LocalProvider) -> Any:
    _openai(server).responses.create(model=MODEL, input="hello")


def responses_stream(server: LocalProvider) -> Any:
    list(_openai(server).responses.create(model=MODEL, input="hello", stream=True))


def message(server: LocalProvider) -> Any:
    _anthropic(server).messages.create(model=MODEL, max_tokens=9, messages=MESSAGES)


def message_stream(server: LocalProvider) -> Any:
    list(_anthropic(server).messages.create(model=MODEL, max_tokens=9, messages=MESSAGES, stream=True))


def content(server: LocalProvider) -> Any:
    client = _gemini(server)  # closes itself as soon as nobody has it
    client.models.generate_content(model=MODEL, contents="hello")


def content_stream(server: LocalProvider) -> Any:
    client = _gemini(server)
    list(client.models.generate_content_stream(model=MODEL, contents="hello"))


def _bedrock(server: LocalProvider) -> Any:
    session = pytest.importorskip("botocore.session").Session()
    session.set_credentials("AKIAZ7QW3ERT5YUI9OPA", "wJq8vL2mN4xWc7RtYbH3kPs6dFg9hJ1zXcVbNm0Q")
    return session.create_client("bedrock-runtime", region_name="us-east-1", endpoint_url=server.endpoint)


def converse(server: LocalProvider) -> Any:
    _bedrock(server).converse(modelId=MODEL, messages=ASKED)


def converse_stream(server: LocalProvider) -> Any:
    list(_bedrock(server).converse_stream(modelId=MODEL, messages=ASKED)["stream"])


def invoke(server: LocalProvider) -> Any:
    _bedrock(server).invoke_model(modelId=MODEL, body="{}")["body"].read()


def invoke_stream(server: LocalProvider) -> Any:
    list(_bedrock(server).invoke_model_with_response_stream(modelId=MODEL, body="{}")["body"])


def by_httpx(server: LocalProvider) -> Any:
    httpx.post(f"{server.base_url}/chat/completions", json={"model": MODEL, "messages": MESSAGES}).json()


WAYS: dict[str, tuple[Any, Callable[[LocalProvider], Any]]] = {
    "chat": ("openai", chat), "chat stream": ("openai", chat_stream),
    "responses": ("openai", responses), "responses stream": ("openai", responses_stream),
    "message": ("anthropic", message), "message stream": ("anthropic", message_stream),
    "content": ("gemini", content), "content stream": ("gemini", content_stream),
    "converse": ("bedrock", converse), "converse stream": ("bedrock", converse_stream),
    "invoke": ("bedrock", invoke), "invoke stream": ("bedrock", invoke_stream),
    "httpx": ("openai", by_httpx),
}  # fmt: skip
UNREAD = ("invoke",)
"""What no SDK reads is not looked into for a text that it lacks."""
TEXTS = {"nothing": "", "a part": "I can tell you that"}
each_way = pytest.mark.parametrize("way", WAYS)


@each_way
@pytest.mark.parametrize("said", TEXTS)
def test_a_refusal_that_the_loop_will_not_take_is_content_policy(telemetry: Telemetry, way: str, said: str) -> None:
    kind, ask = WAYS[way]
    with LocalProvider(kind, Answer.refusal(TEXTS[said])) as server, stand("openai", Answer.ok()) as second:
        candidate = Candidate("openrouter", MODEL, server.endpoint)
        with failover_run(chain=[candidate, second.candidate]) as run:
            with run.attempt(candidate) as attempt:
                ask(server)
                attempt.reject("the provider would not say it")
            with run.attempt(second.candidate):
                second.ask()
    own = telemetry.candidates[0]
    assert (own["candidate.outcome"], own["failover.reason.code"]) == ("rejected", "content_policy")
    assert (own["failover.error.origin"], own["http.response.status_code"]) == ("response", 200)
    assert (own.status, own["error.type"]) == ("UNSET", None)
    assert own.verdict[0] in ("verified", "unverified")
    assert [each.name for each in telemetry.markers] == []


@each_way
def test_one_that_is_taken_in_silence_is_an_empty_success(telemetry: Telemetry, way: str) -> None:
    kind, ask = WAYS[way]
    with LocalProvider(kind, Answer.refusal()) as server:
        candidate = Candidate("openrouter", MODEL, server.endpoint)
        with failover_run(chain=[candidate]) as run, run.attempt(candidate):
            ask(server)
    (own,) = telemetry.candidates
    assert own["candidate.outcome"] == "success"
    assert own.verdict == ("verified", None)
    expected = [] if way in UNREAD else ["empty_success"]
    assert (telemetry.run["failover.findings"] or []) == expected


@each_way
def test_a_good_answer_that_the_loop_will_not_take_is_rejected_for_that(telemetry: Telemetry, way: str) -> None:
    kind, ask = WAYS[way]
    with LocalProvider(kind, Answer.ok("Hello")) as server:
        candidate = Candidate("openrouter", MODEL, server.endpoint)
        with failover_run(chain=[candidate]) as run, run.attempt(candidate) as attempt:
            ask(server)
            attempt.reject("not good enough")
    (own,) = telemetry.candidates
    assert (own["candidate.outcome"], own["failover.reason.code"]) == ("rejected", "response_rejected")
    assert telemetry.run["failover.findings"] is None or "empty_success" not in telemetry.run["failover.findings"]


def test_a_refusal_before_a_good_answer_is_forgotten(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("openai", Answer.refusal(), Answer.ok("Hello")))
    with failover_run(chain=[each.candidate]) as run, run.attempt(each.candidate) as attempt:
        each.ask()
        each.ask()
        attempt.reject("not good enough")
    (own,) = telemetry.candidates
    assert (own["candidate.outcome"], own["failover.reason.code"]) == ("rejected", "response_rejected")
