"""openai 1.x to 3.x: chat completions, responses, embeddings, their streams.

Other base URLs are other providers: DeepSeek, OpenRouter, vLLM and Groq all answer to this SDK, so the provider comes
from the base URL, never from the SDK. Moderation, files and lists are no inference and settle nothing.
"""

from __future__ import annotations

from typing import Final

from otel_failover.integrations.providers.stainless import Adapter

OPENAI: Final = Adapter(
    "openai",
    "openai",
    "https://api.openai.com",
    {
        "/chat/completions": "chat",
        "/responses": "chat",
        "/completions": "text_completion",
        "/embeddings": "embeddings",
        "/images/generations": "generate_content",
    },
    ">=1.66",
    "OpenAI",
).library()
