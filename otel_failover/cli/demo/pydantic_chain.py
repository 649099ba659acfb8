"""A chain of members as pydantic-ai's own `FallbackModel`, through its own models and the SDKs below them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from otel_failover.cli.demo.cast import PROMPT, options_of, telemetry_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from opentelemetry.trace import TracerProvider
    from pydantic_ai.models import Model

    from otel_failover.cli.demo.cast import Member

    _Opening = Callable[[Member, str, TracerProvider | None], AbstractAsyncContextManager[Model]]

MODULES: Final = {
    "openai": "pydantic_ai.models.openai",
    "anthropic": "pydantic_ai.models.anthropic",
    "gemini": "pydantic_ai.models.google",
}
"""What has to be importable for a member, by its kind."""


def ask(places: Sequence[tuple[Member, str]], tracer_provider: TracerProvider | None) -> str | Exception:
    """Ask an agent with a `FallbackModel`; not from a coroutine, since it runs an event loop.

    Args:
        places: The chain, each member with the base URL of its local provider.
        tracer_provider: Where SDKs that make spans by themselves send them.

    Returns:
        What the agent answers, or the exception that leaves it.
    """
    return asyncio.run(_ask(places, tracer_provider))


async def _ask(places: Sequence[tuple[Member, str]], tracer_provider: TracerProvider | None) -> str | Exception:
    from pydantic_ai import Agent
    from pydantic_ai.models.fallback import FallbackModel

    async with AsyncExitStack() as stack:
        models = [
            await stack.enter_async_context(_MODELS[member.kind](member, base_url, tracer_provider))
            for member, base_url in places
        ]
        # By default pydantic-ai 1 stops at a timeout, and 2 goes on: the chain is to be the same with both.
        agent = Agent(FallbackModel(*models, fallback_on=(Exception,)))
        try:
            return (await agent.run(PROMPT)).output
        except Exception as problem:
            return problem


@asynccontextmanager
async def _openai(member: Member, base_url: str, _: TracerProvider | None) -> AsyncIterator[Model]:
    import openai
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    http_client = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with openai.AsyncOpenAI(http_client=http_client, **options_of(member, base_url)) as client:
        yield OpenAIChatModel(member.model, provider=OpenAIProvider(openai_client=client))


@asynccontextmanager
async def _anthropic(member: Member, base_url: str, tracer_provider: TracerProvider | None) -> AsyncIterator[Model]:
    import anthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    options = {**options_of(member, base_url), **telemetry_of(anthropic.AsyncAnthropic, tracer_provider)}
    http_client = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(http_client=http_client, **options) as client:
        yield AnthropicModel(member.model, provider=AnthropicProvider(anthropic_client=client))


@asynccontextmanager
async def _google(member: Member, base_url: str, _: TracerProvider | None) -> AsyncIterator[Model]:
    from google import genai
    from google.genai.types import HttpOptions
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    options: Any = HttpOptions(base_url=base_url, timeout=round(member.patience * 1000))
    client = genai.Client(api_key=member.key, http_options=options)
    try:
        yield GoogleModel(member.model, provider=GoogleProvider(client=client))
    finally:
        await client.aio.aclose()
        client.close()


_MODELS: Final[dict[str, _Opening]] = {"openai": _openai, "anthropic": _anthropic, "gemini": _google}
