"""Whether somebody else makes the span of a call by wire, so that ours is left out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core import context as scope
from otel_failover._core.domain import attributes as names
from otel_failover._core.failsafe import guarded, read

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context

_INFERENCE: Final = frozenset({"chat", "text_completion", "generate_content"})
"""`gen_ai.operation.name` of a span that is one inference; `invoke_agent` and `execute_tool` hold several."""


@guarded(fallback=False)
def makes_one(current: Context, provider: str | None) -> bool:
    """Whether the call's span is there, or will be: another instrumentation's, of the SDK or the framework.

    Args:
        current: The context in which the request is sent.
        provider: Whom it goes to, by the table of hosts; None where that does not say.
    """
    return _is_inference(current.get(scope.SPAN)) or (provider is not None and _is_active(provider))


def _is_inference(span: object) -> bool:
    """Whether a span is a recording one of somebody else's, of one inference."""
    attributes: Any = read(span, "attributes")
    if not attributes or read(read(span, "instrumentation_scope"), "name") == names.SCOPE:
        return False
    is_recording: Any = read(span, "is_recording")
    said: Mapping[str, Any] = attributes
    kind = said.get("openinference.span.kind")
    return (
        is_recording is not None
        and bool(is_recording())
        and (said.get(names.GEN_AI_OPERATION) in _INFERENCE or bool(said.get("llm.request.type")) or kind == "LLM")
    )


_INSTRUMENTORS: Final[dict[str, Sequence[str]]] = {
    "openai": ("genai.openai:OpenAI", "openai_v2:OpenAI", "openai:OpenAI", "openinference.openai:OpenAI"),
    "anthropic": ("genai.anthropic:Anthropic", "anthropic:Anthropic", "openinference.anthropic:Anthropic"),
    "aws.bedrock": ("botocore:Botocore", "bedrock:Bedrock", "openinference.bedrock:Bedrock"),
    "gcp.gemini": (
        "google_genai:GoogleGenAiSdk",
        "google_generativeai:GoogleGenerativeAi",
        "openinference.google_genai:GoogleGenAI",
    ),
    "gcp.vertex_ai": (
        "google_genai:GoogleGenAiSdk",
        "vertexai:VertexAI",
        "openinference.google_genai:GoogleGenAI",
        "openinference.vertexai:VertexAI",
    ),
    "mistral_ai": ("mistralai:MistralAi", "openinference.mistralai:MistralAI"),
    "cohere": ("cohere:Cohere",),
    "groq": ("groq:Groq", "openinference.groq:Groq"),
    "together_ai": ("together:TogetherAi",),
    "ollama": ("ollama:Ollama",),
    "replicate": ("replicate:Replicate",),
    "ibm.watsonx.ai": ("watsonx:Watsonx",),
    "alibaba_cloud": ("dashscope:DashScope",),
    "hugging_face": ("huggingface_hub:HuggingFaceHub", "openinference.huggingface_hub:HuggingFaceHub"),
}
"""Instrumentors of a provider's own SDK, below `opentelemetry.instrumentation` or OpenInference's."""


def _is_active(provider: str) -> bool:
    """Whether an instrumentor of a provider's own SDK is active."""
    for each in _INSTRUMENTORS.get(provider, ()):
        module, _, name = each.partition(":")
        name, prefix = f"{name}Instrumentor", "opentelemetry.instrumentation."
        if module.startswith("openinference."):
            module, prefix = module.removeprefix("openinference."), "openinference.instrumentation."
        loaded = sys.modules.get(prefix + module)
        instance = getattr(getattr(loaded, name, None), "_instance", None) if loaded is not None else None
        if read(instance, "is_instrumented_by_opentelemetry") or read(instance, "_is_instrumented_by_opentelemetry"):
            return True
    return False
