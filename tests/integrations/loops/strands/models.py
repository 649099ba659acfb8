"""Real models of Strands Agents, with the real SDKs below them, asking local providers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import openai
import pytest

from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import KEYS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import ExitStack

# Strands Agents is not there wherever these files are checked.
routing = pytest.importorskip("strands.models.routing")
strands = pytest.importorskip("strands")
openais, anthropics = pytest.importorskip("strands.models.openai"), pytest.importorskip("strands.models.anthropic")


class Bench:
    """Local providers and the models that ask them; closes what it opened."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._clients: list[Any] = []
        self.servers: list[LocalProvider] = []

    def openai(self, *answers: Answer, model: str = "gpt-5.5", timeout: float = 30, retries: int = 0) -> Any:
        """Return a model at a provider of its own, which speaks as OpenAI does."""
        server = self._stack.enter_context(LocalProvider("openai", *answers))
        client = openai.AsyncOpenAI(
            base_url=server.base_url, api_key=KEYS["openai"], max_retries=retries, timeout=timeout
        )
        self.servers.append(server)
        self._clients.append(client)
        return openais.OpenAIModel(client=client, model_id=model)

    def anthropic(self, *answers: Answer, model: str = "claude-opus-4-7", timeout: float = 30) -> Any:
        """Return a model at a provider of its own, which speaks as Anthropic does."""
        server = self._stack.enter_context(LocalProvider("anthropic", *answers))
        options = {
            "base_url": server.base_url,
            "api_key": KEYS["anthropic"],
            "max_retries": 0,
            "timeout": timeout,
        }
        made = anthropics.AnthropicModel(client_args=options, model_id=model, max_tokens=64)
        self.servers.append(server)
        self._clients.append(made.client)
        return made

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

    def ask(self, model: Any, **options: Any) -> Any:
        """Ask a model through an agent; return the text, or the exception."""
        return self.run(lambda: answered(agent(model, **options)))

    def stream(self, model: Any, **options: Any) -> Any:
        """Stream from a model through an agent; return the pieces of text, or the exception."""
        return self.run(lambda: streamed(agent(model, **options)))


def router(*models: Any, **options: Any) -> Any:
    """Return a router of models."""
    return routing.ModelRouter(list(models), **options)


def agent(model: Any, **options: Any) -> Any:
    """Return an agent that prints nothing, and retries nothing by itself."""
    return strands.Agent(model=model, callback_handler=None, **{"retry_strategy": None, **options})


async def answered(asker: Any) -> Any:
    """Return what an agent answers, or the exception."""
    try:
        return str(await asker.invoke_async("hello")).strip()
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


async def streamed(asker: Any) -> Any:
    """Return what an agent streams, or the exception."""
    try:
        return [event["data"] async for event in asker.stream_async("hello") if "data" in event]
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


async def reached(server: LocalProvider) -> None:
    """Wait until a provider has been asked."""
    while not server.log:  # noqa: ASYNC110 - the server is another thread's, and has no event of this loop
        await asyncio.sleep(0)
