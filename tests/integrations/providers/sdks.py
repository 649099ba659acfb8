"""SDKs that nothing of theirs is patched of, and how each is asked: sync and async, whole and streamed.

A test takes a row, a local provider and a patience; what it gets is what an application gets. Everything here is the
SDK's own: what it returns, and how its streams are read and closed.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from otel_failover.testing.providers import Kind, LocalProvider

KEY: Final = "Wc7RtYbH3kZq8vL2mN4x"
MESSAGES: Final[Any] = [{"role": "user", "content": "hello"}]


class Sdk(NamedTuple):
    """One SDK, or one way to ask it.

    Args:
        module: What has to be importable.
        kind: Which local provider answers it.
        provider: Whose candidate it is, as OpenTelemetry spells it.
        model: That it asks for.
        client: Makes its client: of the module, a local provider and a patience in seconds.
        ask: Asks once: of the client, and whether it shall be streamed.
        aclient, aask: The same, asynchronous; None where there is none.
        tries_again: After which failures it always does so by itself, without a header that says so: `timeouts`, or
            `all` that are no refusal.
        unread: Whose refusals' bodies it leaves unread: of `streams`, of `all`, of none.
        has_adapter: Its calls are seen by an adapter of its own.
    """

    module: str
    kind: Kind
    provider: str
    model: str
    client: Callable[[Any, LocalProvider, float], Any]
    ask: Callable[[Any, str, bool], Any]
    aclient: Callable[[Any, LocalProvider, float], Any] | None = None
    aask: Callable[[Any, str, bool], Any] | None = None
    tries_again: str = ""
    unread: str = ""
    has_adapter: bool = False

    def opened(self, at: LocalProvider, patience: float, *, asynchronous: bool = False) -> Any:
        """Return a client of the SDK's."""
        make = self.aclient if asynchronous else self.client
        if make is None:
            pytest.skip("it has no such client")
        return make(pytest.importorskip(self.module), at, patience)


def _stainless(module: str, client: str, kind: Kind, provider: str, model: str, path: str | None = None) -> Sdk:
    """Return an SDK made by Stainless, or after its pattern.

    Args:
        module, kind, provider, model: As `Sdk` has them.
        client: Name of its client's class; the asynchronous one is called Async and that.
        path: Of its base URL, where it is not the local provider's.
    """

    def make(name: str) -> Callable[[Any, LocalProvider, float], Any]:
        def made(sdk: Any, at: LocalProvider, patience: float) -> Any:
            of_class = getattr(sdk, name, None)
            if of_class is None:
                pytest.skip("it has no such client")
            options = {"api_key": KEY, "max_retries": 0, "timeout": patience, "warm_tcp_connection": False}
            taken = inspect.signature(of_class).parameters
            url = at.base_url if path is None else at.endpoint + path
            return of_class(base_url=url, **{name: value for name, value in options.items() if name in taken})

        return made

    def ask(client: Any, model: str, streamed: bool) -> Any:
        return client.chat.completions.create(model=model, messages=MESSAGES, stream=streamed)

    return Sdk(module, kind, provider, model, make(client), ask, make(f"Async{client}"), ask)


# --- Mistral ----------------------------------------------------------------------------------------------------------


def _mistral(sdk: Any, at: LocalProvider, patience: float) -> Any:
    if not hasattr(sdk, "Mistral"):  # it moved in 2.0
        sdk = importlib.import_module("mistralai.client")
    return sdk.Mistral(api_key=KEY, server_url=at.base_url, timeout_ms=int(patience * 1000))


def _ask_mistral(client: Any, model: str, streamed: bool) -> Any:
    return (client.chat.stream if streamed else client.chat.complete)(model=model, messages=MESSAGES)


def _aask_mistral(client: Any, model: str, streamed: bool) -> Any:
    return (client.chat.stream_async if streamed else client.chat.complete_async)(model=model, messages=MESSAGES)


# --- OpenRouter's own -------------------------------------------------------------------------------------------------


def _openrouter(sdk: Any, at: LocalProvider, patience: float) -> Any:
    return sdk.OpenRouter(api_key=KEY, server_url=at.base_url, timeout_ms=int(patience * 1000), retry_config=None)


def _ask_openrouter(client: Any, model: str, streamed: bool) -> Any:
    return client.chat.send(model=model, messages=MESSAGES, stream=streamed)


def _aask_openrouter(client: Any, model: str, streamed: bool) -> Any:
    return client.chat.send_async(model=model, messages=MESSAGES, stream=streamed)


# --- Cohere -----------------------------------------------------------------------------------------------------------

_ONCE: Final = {"max_retries": 0}


def _ask_cohere_2(client: Any, model: str, streamed: bool) -> Any:
    return (client.chat_stream if streamed else client.chat)(model=model, messages=MESSAGES, request_options=_ONCE)


def _ask_cohere_1(client: Any, model: str, streamed: bool) -> Any:
    return (client.chat_stream if streamed else client.chat)(model=model, message="hello", request_options=_ONCE)


def _of_cohere(name: str) -> Callable[[Any, LocalProvider, float], Any]:
    return lambda sdk, at, patience: getattr(sdk, name)(KEY, base_url=at.base_url, timeout=patience)


# --- Ollama -----------------------------------------------------------------------------------------------------------


def _of_ollama(name: str) -> Callable[[Any, LocalProvider, float], Any]:
    return lambda sdk, at, patience: getattr(sdk, name)(host=at.base_url, timeout=patience)


def _ask_ollama(client: Any, model: str, streamed: bool) -> Any:
    return client.chat(model=model, messages=MESSAGES, stream=streamed)


def _generate_ollama(client: Any, model: str, streamed: bool) -> Any:
    return client.generate(model=model, prompt="hello", stream=streamed)


# --- Hugging Face -----------------------------------------------------------------------------------------------------


def _of_hub(name: str) -> Callable[[Any, LocalProvider, float], Any]:
    return lambda sdk, at, patience: getattr(sdk, name)(base_url=at.endpoint, token=KEY, timeout=patience)


def _of_server(name: str) -> Callable[[Any, LocalProvider, float], Any]:
    return lambda sdk, at, patience: getattr(sdk, name)(model=at.endpoint, token=KEY, timeout=patience)


def _ask_hub(client: Any, model: str, streamed: bool) -> Any:
    return client.chat_completion(MESSAGES, model=model, stream=streamed)


def _generate_hub(client: Any, model: str, streamed: bool) -> Any:  # noqa: ARG001 - the server has but one
    return client.text_generation("hello", stream=streamed, details=True)


# --- DashScope --------------------------------------------------------------------------------------------------------


class _Dashscope(NamedTuple):
    sdk: Any
    url: str
    patience: float

    def options(self, model: str, streamed: bool) -> dict[str, Any]:
        more = {"stream": True, "incremental_output": True} if streamed else {}
        asked = {"model": model, "messages": MESSAGES, "result_format": "message"}
        return {**asked, "api_key": KEY, "base_address": self.url, "request_timeout": self.patience, **more}


def _dashscope(sdk: Any, at: LocalProvider, patience: float) -> Any:
    # Release 1 logs whatever leaves its streams; pytest keeps what is logged, and with that an answer that was dropped.
    logging.getLogger("dashscope").disabled = True
    return _Dashscope(sdk, at.base_url, patience)


def _ask_dashscope(client: _Dashscope, model: str, streamed: bool) -> Any:
    return client.sdk.Generation.call(**client.options(model, streamed))


def _aask_dashscope(client: _Dashscope, model: str, streamed: bool) -> Any:
    from dashscope.aigc.generation import AioGeneration

    return AioGeneration.call(**client.options(model, streamed))


# --- Azure AI ---------------------------------------------------------------------------------------------------------


def _azure(sdk: Any, at: LocalProvider, patience: float) -> Any:
    from azure.core.credentials import AzureKeyCredential

    options = {"retry_total": 0, "read_timeout": patience, "connection_timeout": 30}
    return sdk.ChatCompletionsClient(at.base_url, AzureKeyCredential(KEY), **options)


def _aazure(sdk: Any, at: LocalProvider, patience: float) -> Any:  # noqa: ARG001 - its other half has its own
    import azure.ai.inference.aio as sdk_aio

    return _azure(sdk_aio, at, patience)


def _ask_azure(client: Any, model: str, streamed: bool) -> Any:
    return client.complete(model=model, messages=MESSAGES, stream=streamed)


# --- Bedrock, asynchronous ------------------------------------------------------------------------------------------------


def _aws(sdk: Any, at: LocalProvider, patience: float) -> Callable[[], Any]:  # noqa: ARG001 - its parts are modules
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    config = AioConfig(retries={"max_attempts": 0}, read_timeout=patience)
    options = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": KEY, "region_name": "us-east-1"}
    return lambda: get_session().create_client("bedrock-runtime", endpoint_url=at.endpoint, config=config, **options)


def _aconverse(client: Callable[[], Any], model: str, streamed: bool) -> Any:
    said = [{"role": "user", "content": [{"text": "hello"}]}]
    return _of_aws(client, "converse_stream" if streamed else "converse", "stream", streamed, model, messages=said)


def _ainvoke(client: Callable[[], Any], model: str, streamed: bool) -> Any:
    name = "invoke_model_with_response_stream" if streamed else "invoke_model"
    said = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 16, "messages": MESSAGES})
    return _of_aws(client, name, "body", streamed, model, body=said)


def _of_aws(client: Callable[[], Any], name: str, part: str, streamed: bool, model: str, **asked: Any) -> Any:
    async def whole() -> Any:
        async with client() as opened:
            reply = await getattr(opened, name)(modelId=model, **asked)
            return json.loads(await reply["body"].read()) if "body" in reply else reply["output"]

    async def events() -> AsyncIterator[Any]:
        async with client() as opened:
            reply = await getattr(opened, name)(modelId=model, **asked)
            async for event in reply[part]:
                yield event

    return events() if streamed else whole()


# --- no SDK -----------------------------------------------------------------------------------------------------------

HEADERS: Final = {"authorization": f"Bearer {KEY}"}


class _Raw(NamedTuple):
    http: Any
    url: str
    patience: float


def _asked(model: str, streamed: bool) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, "stream": streamed}


def _raw(http: Any, at: LocalProvider, patience: float) -> _Raw:
    return _Raw(http, f"{at.base_url}/chat/completions", patience)


def _ask_httpx(client: _Raw, model: str, streamed: bool) -> Any:
    options: Any = {"json": _asked(model, streamed), "headers": HEADERS, "timeout": client.patience}
    if streamed:
        return _httpx_lines(client, options)
    reply = client.http.post(client.url, **options)
    reply.raise_for_status()
    return reply.json()


def _httpx_lines(client: _Raw, options: dict[str, Any]) -> Iterator[str]:
    with client.http.stream("POST", client.url, **options) as reply:
        reply.raise_for_status()
        yield from reply.iter_lines()


async def _aask_httpx(client: _Raw, model: str, streamed: bool) -> Any:
    options: Any = {"json": _asked(model, streamed), "headers": HEADERS, "timeout": client.patience}
    if streamed:
        return _ahttpx_lines(client, options)
    async with client.http.AsyncClient() as http:
        reply = await http.post(client.url, **options)
        reply.raise_for_status()
        return reply.json()


async def _ahttpx_lines(client: _Raw, options: dict[str, Any]) -> AsyncIterator[str]:
    async with client.http.AsyncClient() as http, http.stream("POST", client.url, **options) as reply:
        reply.raise_for_status()
        async for line in reply.aiter_lines():
            yield line


def _ask_requests(client: _Raw, model: str, streamed: bool) -> Any:
    options: Any = {"json": _asked(model, streamed), "headers": HEADERS, "timeout": (30, client.patience)}
    reply = client.http.post(client.url, stream=streamed, **options)
    reply.raise_for_status()
    return _lines(reply) if streamed else reply.json()


def _lines(reply: Any) -> Iterator[bytes]:
    with reply:
        yield from reply.iter_lines()


async def _aask_aiohttp(client: _Raw, model: str, streamed: bool) -> Any:
    if streamed:
        return _aiohttp_lines(client, model)
    async with client.http.ClientSession(timeout=_total(client)) as session:
        async with session.post(client.url, json=_asked(model, streamed), headers=HEADERS) as reply:
            reply.raise_for_status()
            return await reply.json()


async def _aiohttp_lines(client: _Raw, model: str) -> AsyncIterator[bytes]:
    async with client.http.ClientSession(timeout=_total(client)) as session:
        async with session.post(client.url, json=_asked(model, True), headers=HEADERS) as reply:
            reply.raise_for_status()
            async for line in reply.content:
                yield line


def _total(client: _Raw) -> Any:
    return client.http.ClientTimeout(sock_read=client.patience)


def _no_client(*_: Any) -> Any:
    pytest.skip("it is asynchronous alone")


SDKS: Final = {
    "mistralai": Sdk("mistralai", "mistral", "mistral_ai", "mistral-large-latest", _mistral, _ask_mistral, _mistral, _aask_mistral),
    "cohere": Sdk("cohere", "cohere", "cohere", "command-a-03-2025", _of_cohere("ClientV2"), _ask_cohere_2, _of_cohere("AsyncClientV2"), _ask_cohere_2),
    "cohere v1": Sdk("cohere", "cohere", "cohere", "command-r", _of_cohere("Client"), _ask_cohere_1, _of_cohere("AsyncClient"), _ask_cohere_1),
    "groq": _stainless("groq", "Groq", "openai", "groq", "llama-3.3-70b-versatile", ""),
    "together": _stainless("together", "Together", "openai", "together_ai", "meta-llama/Llama-3.3-70B", ""),
    "fireworks": _stainless("fireworks", "Fireworks", "openai", "fireworks_ai", "accounts/fireworks/models/qwen3", "/inference"),
    "cerebras": _stainless("cerebras.cloud.sdk", "Cerebras", "openai", "cerebras", "llama-3.3-70b", ""),
    "perplexity": _stainless("perplexity", "Perplexity", "openai", "perplexity", "sonar-pro"),
    "sambanova": _stainless("sambanova", "SambaNova", "openai", "sambanova", "Llama-4-Maverick"),
    "zai": _stainless("zai", "ZaiClient", "openai", "zhipu_ai", "glm-5", "/api/paas/v4"),
    "zhipuai": _stainless("zhipuai", "ZhipuAI", "openai", "zhipu_ai", "glm-5", "/api/paas/v4"),
    "portkey": _stainless("portkey_ai", "Portkey", "openai", "openai", "gpt-5.5")._replace(tries_again="all"),
    "openrouter": Sdk("openrouter", "openrouter", "openrouter", "z-ai/glm-5", _openrouter, _ask_openrouter, _openrouter, _aask_openrouter),
    "ollama": Sdk("ollama", "ollama", "ollama", "llama3.3", _of_ollama("Client"), _ask_ollama, _of_ollama("AsyncClient"), _ask_ollama),
    "ollama generate": Sdk("ollama", "ollama", "ollama", "llama3.3", _of_ollama("Client"), _generate_ollama, _of_ollama("AsyncClient"), _generate_ollama),
    "huggingface_hub": Sdk("huggingface_hub", "tgi", "hugging_face", "Qwen/Qwen3", _of_hub("InferenceClient"), _ask_hub, _of_hub("AsyncInferenceClient"), _ask_hub),
    "huggingface_hub generate": Sdk("huggingface_hub", "tgi", "hugging_face", "", _of_server("InferenceClient"), _generate_hub, _of_server("AsyncInferenceClient"), _generate_hub),
    "dashscope": Sdk("dashscope", "dashscope", "alibaba_cloud", "qwen-max", _dashscope, _ask_dashscope, _dashscope, _aask_dashscope, tries_again="timeouts"),
    "azure": Sdk("azure.ai.inference", "openai", "azure.ai.inference", "Phi-4", _azure, _ask_azure, _aazure, _ask_azure),
    "aiobotocore": Sdk("aiobotocore", "bedrock", "aws.bedrock", "anthropic.claude-opus-4", _no_client, _ask_requests, _aws, _aconverse),
    "aiobotocore invoke": Sdk("aiobotocore", "bedrock", "aws.bedrock", "anthropic.claude-opus-4", _no_client, _ask_requests, _aws, _ainvoke),
    "openai at vLLM": _stainless("openai", "OpenAI", "vllm", "vllm", "Qwen/Qwen3")._replace(has_adapter=True),
    "openai at OpenRouter": _stainless("openai", "OpenAI", "openrouter", "openrouter", "z-ai/glm-5")._replace(has_adapter=True),
    "httpx": Sdk("httpx", "openai", "deepseek", "deepseek-chat", _raw, _ask_httpx, _raw, _aask_httpx, unread="streams"),
    "httpx2": Sdk("httpx2", "openai", "deepseek", "deepseek-chat", _raw, _ask_httpx, _raw, _aask_httpx, unread="streams"),
    "requests": Sdk("requests", "openai", "deepseek", "deepseek-chat", _raw, _ask_requests, unread="streams"),
    "aiohttp": Sdk("aiohttp", "openai", "deepseek", "deepseek-chat", _no_client, _ask_requests, _raw, _aask_aiohttp, unread="all"),
}  # fmt: skip
