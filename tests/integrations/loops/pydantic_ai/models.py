"""Real models of pydantic-ai, with the real SDKs below them, asking local providers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pydantic_ai
from packaging.version import Version
from pydantic_ai import Agent
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters, fallback
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import KEYS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import ExitStack

    from pydantic_ai.models import Model

VERSION = Version(pydantic_ai.__version__)
JUDGES_ANSWERS = hasattr(FallbackModel, "_should_fallback") or Version("2") <= VERSION
CONTINUES = hasattr(FallbackModel, "_get_continuation_model")
WAITS_FOR_AN_EVENT = hasattr(fallback, "request_stream_until_first_event")
HAS_CAPABILITY = Version("2.64") <= VERSION


class Named(OpenAIProvider):
    """A provider that speaks as OpenAI does, under a name of its own."""

    @property
    def name(self) -> str:
        return self.called

    called = "deepseek"


class Bench:
    """Local providers and the models that ask them; closes what it opened."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self._clients: list[Any] = []
        self.servers: list[LocalProvider] = []

    def openai(self, *answers: Answer, model: str = "gpt-5.5", timeout: float = 30, named: str = "") -> OpenAIChatModel:
        """Return a model at a provider of its own, which speaks as OpenAI does."""
        server = self.stack.enter_context(LocalProvider("openai", *answers, name=named or "openai"))
        client = openai.AsyncOpenAI(
            base_url=server.base_url, api_key=KEYS["openai"], max_retries=0, timeout=timeout
        )  # fmt: skip
        self._keep(server, client)
        provider = Named(openai_client=client) if named else OpenAIProvider(openai_client=client)
        if isinstance(provider, Named):
            provider.called = named
        return OpenAIChatModel(model, provider=provider)

    def anthropic(self, *answers: Answer, model: str = "claude-opus-4-7", timeout: float = 30) -> AnthropicModel:
        """Return a model at a provider of its own, which speaks as Anthropic does."""
        server = self.stack.enter_context(LocalProvider("anthropic", *answers))
        client = anthropic.AsyncAnthropic(
            base_url=server.base_url, api_key=KEYS["anthropic"], max_retries=0, timeout=timeout
        )
        self._keep(server, client)
        return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=client))

    def _keep(self, server: LocalProvider, client: Any) -> None:
        self.servers.append(server)
        self._clients.append(client)

    @property
    def asked(self) -> list[list[int | None]]:
        """The statuses that each provider answered with."""
        return [[served.status for served in server.log] for server in self.servers]

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run something asynchronous, and close the clients in its loop."""

        async def whole() -> Any:
            try:
                return await work()
            finally:
                for client in self._clients:
                    await client.close()

        return asyncio.run(whole())

    def ask(self, model: Model, **options: Any) -> Any:
        """Ask a model through an agent; return the output, or the exception."""
        return self.run(lambda: answered(Agent(model, **options)))

    def stream(self, model: Model, **options: Any) -> Any:
        """Stream from a model through an agent; return the text, or the exception."""
        return self.run(lambda: streamed(Agent(model, **options)))


async def answered(agent: Any) -> Any:
    """Return what an agent answers, or the exception."""
    try:
        return (await agent.run("hello")).output
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


async def streamed(agent: Any) -> Any:
    """Return what an agent streams, or the exception."""
    try:
        async with agent.run_stream("hello") as result:
            return [text async for text in result.stream_text(delta=True, debounce_by=None)]
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


def refuses(word: str, asks: Any = None) -> Any:
    """Return a handler that refuses answers with a word in them; asks a model first, where one is given."""

    async def handler(response: ModelResponse) -> bool:
        if asks is not None:
            await asks.request([ModelRequest(parts=[UserPromptPart("good?")])], None, ModelRequestParameters())
        return any(isinstance(part, TextPart) and word in part.content for part in response.parts)

    handler.__annotations__ = {"response": ModelResponse, "return": bool}
    return handler
