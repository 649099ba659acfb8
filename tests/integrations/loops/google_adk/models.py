"""Real models of google-adk, with the real SDKs below them, asking local providers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from google import genai
from google.genai import types

from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import KEYS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import ExitStack

# google-adk brings no types, and is not there wherever these files are checked.
pytest.importorskip("google.adk.models._fallback_model")
agents, models = pytest.importorskip("google.adk.agents"), pytest.importorskip("google.adk.models")
configuration, runners = pytest.importorskip("google.adk.agents.run_config"), pytest.importorskip("google.adk.runners")
claudes = pytest.importorskip("google.adk.models.anthropic_llm")


class Bench:
    """Local providers and the models that ask them; closes what it opened."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._closers: list[Callable[[], Awaitable[Any]]] = []
        self.servers: list[LocalProvider] = []

    def gemini(self, *answers: Answer, model: str = "gemini-2.5-flash", timeout: float = 30, retries: int = 0) -> Any:
        """Return a model at a provider of its own, which speaks as Gemini does."""
        server = self._stack.enter_context(LocalProvider("gemini", *answers))
        retry = types.HttpRetryOptions(attempts=retries + 1, initial_delay=0.001, max_delay=0.001, jitter=0.001)
        options = types.HttpOptions(base_url=server.base_url, timeout=int(timeout * 1000), retry_options=retry)
        client = genai.Client(api_key=KEYS["gcp.gemini"], http_options=options)
        self.servers.append(server)
        self._closers.append(client.aio.aclose)
        return models.Gemini(model=model, client=client)

    def anthropic(self, *answers: Answer, model: str = "claude-opus-4-7", timeout: float = 30) -> Any:
        """Return a model at a provider of its own, which speaks as Anthropic does."""
        server = self._stack.enter_context(LocalProvider("anthropic", *answers))
        client = anthropic.AsyncAnthropic(
            base_url=server.base_url, api_key=KEYS["anthropic"], max_retries=0, timeout=timeout
        )
        self.servers.append(server)
        self._closers.append(client.close)
        return claudes.AnthropicLlm(model=model, client=client)

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
                for close in self._closers:
                    await close()

        return asyncio.run(whole())

    def ask(self, model: Any, *, stream: bool = False) -> Any:
        """Ask a model through an agent's run; return the texts, or the exception."""
        return self.run(lambda: answered(model, stream=stream))


def chain(*entries: Any, **options: Any) -> Any:
    """Return a chain of models."""
    return models.FallbackModel(models=list(entries), **options)


async def answered(model: Any, *, stream: bool = False) -> Any:
    """Return the texts of an agent's events, or the exception."""
    runner = runners.InMemoryRunner(agent=agents.LlmAgent(name="asker", model=model), app_name="asking")
    session = await runner.session_service.create_session(app_name="asking", user_id="somebody")
    config = configuration.RunConfig(
        streaming_mode=configuration.StreamingMode.SSE if stream else configuration.StreamingMode.NONE
    )
    texts: list[str] = []
    try:
        async for event in runner.run_async(
            user_id="somebody",
            session_id=session.id,
            new_message=types.Content(role="user", parts=[types.Part(text="hello")]),
            run_config=config,
        ):
            texts += [part.text for part in (event.content.parts or ()) if part.text] if event.content else []
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem
    return texts


async def reached(server: LocalProvider) -> None:
    """Wait until a provider has been asked."""
    while not server.log:  # noqa: ASYNC110 - the server is another thread's, and has no event of this loop
        await asyncio.sleep(0)
