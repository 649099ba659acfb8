"""The SDKs whose calls are made beside their neighbours: how each is opened, asked, and what its provider answers with.

Nothing is imported here that is not installed: an SDK's module is imported where its client is opened.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from otel_failover.testing.providers import Answer
from tests.beside.neighbours import NATIVE
from tests.beside.scenarios import Sdk
from tests.support.hosts import KEYS, MESSAGES

if TYPE_CHECKING:
    from otel_failover.testing.providers import LocalProvider
    from tests.beside.counting import Beside

_ARGUMENTS: Final = {"city": "Paris"}


def _openai(server: LocalProvider, timeout: float, retries: int, _: Beside, asynchronous: bool) -> Any:
    import openai

    kind = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    return kind(api_key=KEYS["openai"], base_url=server.base_url, timeout=timeout, max_retries=retries)


def _anthropic(server: LocalProvider, timeout: float, retries: int, beside: Beside, asynchronous: bool) -> Any:
    import anthropic

    kind: Any = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
    options: dict[str, Any] = {}
    if beside.family == NATIVE:
        options["open_telemetry"] = {"tracer_provider": beside.provider, "traces": {"propagation": False}}
    return kind(
        api_key=KEYS["anthropic"], base_url=server.base_url, timeout=timeout, max_retries=retries, **options
    )  # fmt: skip


class _Gemini:
    """Google's client, of which one half is used."""

    def __init__(self, server: LocalProvider, timeout: float, retries: int, *, asynchronous: bool) -> None:
        from google import genai
        from google.genai import types

        retry = types.HttpRetryOptions(attempts=retries + 1, initial_delay=0.001, max_delay=0.001, jitter=0.001)
        options = types.HttpOptions(base_url=server.base_url, timeout=int(timeout * 1000), retry_options=retry)
        self.whole = genai.Client(api_key=KEYS["gcp.gemini"], http_options=options)
        self.models: Any = self.whole.aio.models if asynchronous else self.whole.models
        if asynchronous:
            self.aclose = self.whole.aio.aclose
        else:
            self.close = self.whole.close


def _gemini(server: LocalProvider, timeout: float, retries: int, _: Beside, asynchronous: bool) -> Any:
    return _Gemini(server, timeout, retries, asynchronous=asynchronous)


def _bedrock(server: LocalProvider, timeout: float, retries: int, _: Beside, __: bool) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": retries + 1}, read_timeout=timeout, connect_timeout=timeout)
    keys = {
        "aws_access_key_id": "AKIAZ7QW3ERT5YUI9OPA",
        "aws_secret_access_key": "wJq8vL2mN4xWc7RtYbH3kPs6dFg9hJ1zXcVbNm0Q",
    }
    return boto3.client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=server.endpoint, config=config, **keys
    )  # fmt: skip


def _asked(name: str, key: str, *path: str, **options: Any) -> Any:
    """Return a way of asking: `client.path(name=model, …)`; the asynchronous client's is awaited by who asks."""

    def way(client: Any, model: str) -> Any:
        for each in path:
            client = getattr(client, each)
        return getattr(client, name)(**{key: model, **options})

    return way


OPENAI: Final = Sdk(
    "openai",
    "openai",
    "openai",
    "gpt-5.5",
    _openai,
    {
        "chat": _asked("create", "model", "chat", "completions", messages=MESSAGES),
        "responses": _asked("create", "model", "responses", input="hello"),
        "parse": _asked("parse", "model", "chat", "completions", messages=MESSAGES),
        "raw": _asked("create", "model", "chat", "completions", "with_raw_response", messages=MESSAGES),
        "embeddings": _asked("create", "model", "embeddings", input="hello"),
    },
    {
        "chat": _asked("create", "model", "chat", "completions", messages=MESSAGES, stream=True),
        "responses": _asked("create", "model", "responses", input="hello", stream=True),
        "helper": _asked("stream", "model", "chat", "completions", messages=MESSAGES),
    },
    {
        "quota": Answer.openai_quota(),
        "rate limit": Answer.openai_rate_limit(retry_after=0.01),
        "not found": Answer.openai_model_not_found(),
        "bad key": Answer.openai_bad_key(),
        "server error": Answer.openai_server_error(),
        "overloaded": Answer.error(503, "The engine is currently overloaded, please try again later", retry_after=0.01),
    },
    Answer.raw(
        200,
        json.dumps(
            {
                "id": "chatcmpl-Tq8vL2mN4xWc7RtYbH3k",
                "object": "chat.completion",
                "created": 1_790_000_000,
                "model": "gpt-5.5",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "tool_calls",
                        "message": {
                            "role": "assistant",
                            "content": None,
                            "tool_calls": [
                                {
                                    "id": "call_Zq8vL2mN",
                                    "type": "function",
                                    "function": {"name": "weather", "arguments": json.dumps(_ARGUMENTS)},
                                }
                            ],
                        },
                    }
                ],
                "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
            }
        ),
        content_type="application/json",
    ),
)

ANTHROPIC: Final = Sdk(
    "anthropic",
    "anthropic",
    "anthropic",
    "claude-opus-4-7",
    _anthropic,
    {
        "messages": _asked("create", "model", "messages", messages=MESSAGES, max_tokens=16),
        "beta": _asked("create", "model", "beta", "messages", messages=MESSAGES, max_tokens=16),
        "raw": _asked("create", "model", "messages", "with_raw_response", messages=MESSAGES, max_tokens=16),
    },
    {
        "messages": _asked("create", "model", "messages", messages=MESSAGES, max_tokens=16, stream=True),
        "helper": _asked("stream", "model", "messages", messages=MESSAGES, max_tokens=16),
        "beta": _asked("create", "model", "beta", "messages", messages=MESSAGES, max_tokens=16, stream=True),
    },
    {
        "quota": Answer.anthropic_credit_too_low(),
        "rate limit": Answer.anthropic_rate_limit(retry_after=0.01),
        "not found": Answer.anthropic_not_found(),
        "bad key": Answer.anthropic_bad_key(),
        "server error": Answer.error(500, "Internal server error", type="api_error", retry_after=0.01),
        "overloaded": Answer.anthropic_overloaded(),
    },
    Answer.raw(
        200,
        json.dumps(
            {
                "id": "msg_01Tq8vL2mN4xWc7RtYbH3k",
                "type": "message",
                "role": "assistant",
                "model": "claude-opus-4-7",
                "content": [{"type": "tool_use", "id": "toolu_01Zq8vL2", "name": "weather", "input": _ARGUMENTS}],
                "stop_reason": "tool_use",
                "stop_sequence": None,
                "usage": {"input_tokens": 9, "output_tokens": 5},
            }
        ),
        content_type="application/json",
    ),
)

GEMINI: Final = Sdk(
    "google_genai",
    "gemini",
    "gcp.gemini",
    "gemini-2.5-flash",
    _gemini,
    {
        "generate": _asked("generate_content", "model", "models", contents="hello"),
        "embeddings": _asked("embed_content", "model", "models", contents="hello"),
    },
    {"generate": _asked("generate_content_stream", "model", "models", contents="hello")},
    {
        "quota": Answer.gemini_quota(retry_after=0.01),
        "rate limit": Answer.error(429, "Resource has been exhausted (e.g. check quota).", code="RESOURCE_EXHAUSTED"),
        "not found": Answer.gemini_not_found(),
        "bad key": Answer.gemini_bad_key(),
        "server error": Answer.error(500, "An internal error has occurred. Please retry.", code="INTERNAL"),
        "overloaded": Answer.gemini_overloaded(),
    },
    Answer.raw(
        200,
        json.dumps(
            {
                "candidates": [
                    {
                        "content": {
                            "role": "model",
                            "parts": [{"functionCall": {"name": "weather", "args": _ARGUMENTS}}],
                        },
                        "finishReason": "STOP",
                        "index": 0,
                    }
                ],
                "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14},
                "modelVersion": "gemini-2.5-flash",
                "responseId": "Tq8vL2mN4xWc7RtYbH3k",
            }
        ),
        content_type="application/json",
    ),
)

_QUESTION: Final = [{"role": "user", "content": [{"text": "hello"}]}]
_BODY: Final = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": MESSAGES})


def _invoke(client: Any, model: str) -> Any:
    return client.invoke_model(modelId=model, body=_BODY)["body"].read()


def _converse_stream(client: Any, model: str) -> Any:
    return client.converse_stream(modelId=model, messages=_QUESTION)["stream"]


def _invoke_stream(client: Any, model: str) -> Any:
    return client.invoke_model_with_response_stream(modelId=model, body=_BODY)["body"]


BEDROCK: Final = Sdk(
    "bedrock",
    "bedrock",
    "aws.bedrock",
    "anthropic.claude-opus-4-7-v1:0",
    _bedrock,
    {"converse": _asked("converse", "modelId", messages=_QUESTION), "invoke": _invoke},
    {"converse": _converse_stream, "invoke": _invoke_stream},
    {
        "quota": Answer.error(400, "Your account has exceeded its quota.", code="ServiceQuotaExceededException"),
        "rate limit": Answer.bedrock_throttling(),
        "not found": Answer.bedrock_not_found(),
        "bad key": Answer.bedrock_bad_token(),
        "server error": Answer.error(500, "The server encountered an internal error.", code="InternalServerException"),
        "overloaded": Answer.error(
            503, "Bedrock is unable to process your request.", code="ServiceUnavailableException"
        ),
    },
    Answer.raw(
        200,
        json.dumps(
            {
                "output": {
                    "message": {
                        "role": "assistant",
                        "content": [
                            {"toolUse": {"toolUseId": "tooluse_Zq8vL2", "name": "weather", "input": _ARGUMENTS}}
                        ],
                    }
                },
                "stopReason": "tool_use",
                "usage": {"inputTokens": 9, "outputTokens": 5, "totalTokens": 14},
                "metrics": {"latencyMs": 12},
            }
        ),
        content_type="application/json",
    ),
    is_async=False,
)
