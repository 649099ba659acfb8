"""Providers on this machine that stand in for the real ones, and the fallback models that ask them.

The SDKs, pydantic-ai and the connections are real; no key is needed, and nothing leaves the machine.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from otel_failover.testing.providers import Answer, LocalProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_ai.models import Model

TIMEOUT: Final = 1.0
GREETING: Final = "Hello! The second model is answering, since the first one has used up its quota."

SITUATIONS: Final[dict[str, list[tuple[str, Answer]]]] = {
    "A wrong model name and a used-up quota": [
        ("gpt-5.5", Answer.openai_quota()),
        ("claude-opus-47", Answer.anthropic_not_found("claude-opus-47")),
    ],
    "Quota, silence, overload": [
        ("gpt-5.5", Answer.openai_quota()),
        ("claude-opus-4-7", Answer.hang()),
        ("claude-haiku-4-5", Answer.anthropic_overloaded()),
    ],
    "Both at their rate limit": [
        ("gpt-5.5", Answer.openai_rate_limit()),
        ("claude-opus-4-7", Answer.anthropic_rate_limit()),
    ],
    "The first fails, the second answers": [
        ("gpt-5.5", Answer.openai_quota()),
        ("claude-opus-4-7", Answer.ok(GREETING)),
    ],
    "The answer breaks off": [
        ("claude-opus-4-7", Answer.stream(("Hello! I was about ", "to say "), then="cut")),
        ("gpt-5.5", Answer.ok("Hello!")),
    ],
}
"""What may happen, by the name that the page shows."""


@contextmanager
def stand_ins() -> Iterator[dict[str, Model]]:
    """Open the providers; yield a fallback model for each situation."""
    with ExitStack() as stack:
        yield {
            name: FallbackModel(*(_model(stack, model, answer) for model, answer in chain))
            for name, chain in SITUATIONS.items()
        }


def _model(stack: ExitStack, model: str, answer: Answer) -> Model:
    patience = TIMEOUT if answer.kind == "hang" else 30.0
    if model.startswith("gpt"):
        server = stack.enter_context(LocalProvider("openai", answer))
        asked = AsyncOpenAI(api_key="none", base_url=server.base_url, max_retries=0, timeout=patience)
        return OpenAIChatModel(model, provider=OpenAIProvider(openai_client=asked))
    server = stack.enter_context(LocalProvider("anthropic", answer))
    claude = AsyncAnthropic(api_key="none", base_url=server.base_url, max_retries=0, timeout=patience)
    return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=claude))
