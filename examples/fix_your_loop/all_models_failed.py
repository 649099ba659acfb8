"""A service that shows the loop's own error: "All models from FallbackModel failed (2 sub-exceptions)".

Hidden in it are a wrong model name, which somebody has to correct, and a used-up quota. Mended by `summarize`.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from examples.fix_your_loop.stage import show
from otel_failover import summarize
from otel_failover.testing.providers import Answer, LocalProvider


async def ask() -> str:
    """Ask through a fallback model whose first model does not exist and whose second has no quota."""
    with ExitStack() as stack:
        first = stack.enter_context(LocalProvider("anthropic", Answer.anthropic_not_found("claude-opus-47")))
        second = stack.enter_context(LocalProvider("openai", Answer.openai_quota()))
        async with (
            AsyncAnthropic(api_key="none", base_url=first.base_url, max_retries=0) as claude,
            AsyncOpenAI(api_key="none", base_url=second.base_url, max_retries=0) as gpt,
        ):
            model = FallbackModel(
                AnthropicModel("claude-opus-47", provider=AnthropicProvider(anthropic_client=claude)),
                OpenAIChatModel("gpt-5.5", provider=OpenAIProvider(openai_client=gpt)),
            )
            return (await Agent(model).run("Hello?")).output


def before() -> str:
    try:
        return asyncio.run(ask())
    except Exception as failure:
        return str(failure)


def after() -> str:
    try:
        return asyncio.run(ask())
    except Exception as failure:
        return str(summarize(failure))


if __name__ == "__main__":
    show(before, after)
