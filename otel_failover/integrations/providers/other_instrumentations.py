"""Which other instrumentations make the spans of an SDK's calls, so that ours are left out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from otel_failover._core.failsafe import read

if TYPE_CHECKING:
    from collections.abc import Sequence


_INSTRUMENTORS: Final[dict[str, Sequence[tuple[str, str]]]] = {
    "openai": (
        ("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor"),
        ("opentelemetry.instrumentation.openai_v2", "OpenAIInstrumentor"),
        ("opentelemetry.instrumentation.openai", "OpenAIInstrumentor"),
        ("openinference.instrumentation.openai", "OpenAIInstrumentor"),
    ),
    "anthropic": (
        ("opentelemetry.instrumentation.genai.anthropic", "AnthropicInstrumentor"),
        ("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor"),
        ("openinference.instrumentation.anthropic", "AnthropicInstrumentor"),
    ),
    "bedrock": (
        ("opentelemetry.instrumentation.botocore", "BotocoreInstrumentor"),
        ("opentelemetry.instrumentation.bedrock", "BedrockInstrumentor"),
        ("openinference.instrumentation.bedrock", "BedrockInstrumentor"),
    ),
    "google_genai": (
        ("opentelemetry.instrumentation.google_genai", "GoogleGenAiSdkInstrumentor"),
        ("opentelemetry.instrumentation.google_generativeai", "GoogleGenerativeAiInstrumentor"),
        ("openinference.instrumentation.google_genai", "GoogleGenAIInstrumentor"),
    ),
}


def is_instrumented_by_others(sdk: str) -> bool:
    """Whether another GenAI instrumentation is active for an SDK, and makes the call's span.

    Args:
        sdk: `openai`, `anthropic`, `bedrock`, `google_genai`.
    """
    for module, name in _INSTRUMENTORS.get(sdk, ()):
        loaded = sys.modules.get(module)
        if loaded is None:
            continue
        instance = getattr(getattr(loaded, name, None), "_instance", None)
        if read(instance, "is_instrumented_by_opentelemetry") or read(instance, "_is_instrumented_by_opentelemetry"):
            return True
    return False
