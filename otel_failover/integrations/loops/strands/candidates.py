"""Who the models of Strands Agents ask, by their classes, configurations and clients; nothing is built to find out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.failsafe import read
from otel_failover.integrations.loops.shared.declared_candidate import base_url_of, candidate_at
from otel_failover.integrations.loops.shared.methods import class_that_defines

if TYPE_CHECKING:
    from otel_failover._core.domain.candidate import Candidate


def candidate_of(model: Any) -> Candidate:
    """Return who a model is; of a class that is not Strands' own only the model's name is known."""
    asked = _of(read(model, "config"), "model_id")
    readers = (_READERS.get(each.__name__) for each in type(model).__mro__ if _is_strands(each))
    found = next((each for each in readers if each is not None), None)
    if found is None:
        return candidate_at("", asked)
    candidate = found(model, asked if isinstance(asked, str) else "")
    return candidate if _makes_its_client(model) else candidate_at("", candidate.model, candidate.endpoint)


def _is_strands(kind: type) -> bool:
    return kind.__module__.startswith("strands.models.")


def _makes_its_client(model: Any) -> bool:
    """Whether the client is the one of Strands' own class: that of a subclass may be anybody's."""
    owner = class_that_defines(type(model), "_get_client")
    return owner is None or _is_strands(owner)


def _of(thing: Any, *names: str) -> Any:
    """Return the first of some fields that a mapping has."""
    return next((thing[name] for name in names if thing.get(name)), None) if isinstance(thing, Mapping) else None


# --- by class ---------------------------------------------------------------------------------------------------------


def _openai(model: Any, asked: str) -> Candidate:
    if read(model, "_bedrock_mantle_config") is not None:
        return candidate_at("aws.bedrock", asked)
    url = base_url_of(read(model, "_custom_client")) or _of(read(model, "client_args"), "base_url")
    return candidate_at("openai", asked, url or os.environ.get("OPENAI_BASE_URL"))


def _litellm(model: Any, asked: str) -> Candidate:
    prefix, slash, rest = asked.partition("/")
    given = read(model, "client_args")
    word = _of(given, "custom_llm_provider") or (prefix if slash else "")
    return candidate_at(word, rest if slash else asked, _of(given, "api_base", "base_url"))


def _anthropic(model: Any, asked: str) -> Candidate:
    return candidate_at("anthropic", asked, base_url_of(read(model, "client")))


def _bedrock(model: Any, asked: str) -> Candidate:
    return candidate_at("aws.bedrock", asked, read(read(read(model, "client"), "meta"), "endpoint_url"))


def _gemini(model: Any, asked: str) -> Candidate:
    client, given = read(model, "_custom_client"), read(model, "client_args")
    vertex = (
        read(client, "vertexai") if client is not None else _of(given, "vertexai", "enterprise") or _by_environment()
    )
    http = _of(given, "http_options")
    url = base_url_of(client) or _of(http, "base_url") or read(http, "base_url")
    return candidate_at("gcp.vertex_ai" if vertex else "gcp.gemini", asked, url)


def _by_environment() -> bool:
    return os.environ.get("GOOGLE_GENAI_USE_VERTEXAI", "").lower() in ("1", "true")


def _mistral(model: Any, asked: str) -> Candidate:
    return candidate_at("mistral_ai", asked, _of(read(model, "client_args"), "server_url"))


def _ollama(model: Any, asked: str) -> Candidate:
    return candidate_at("ollama", asked, read(model, "host"))


def _llamacpp(model: Any, asked: str) -> Candidate:
    return candidate_at("llama.cpp", asked, read(model, "base_url"))


def _sagemaker(_: Any, asked: str) -> Candidate:
    return candidate_at("aws.sagemaker", asked)


_READERS: Final = {
    "OpenAIModel": _openai,
    "OpenAIResponsesModel": _openai,
    "LiteLLMModel": _litellm,
    "AnthropicModel": _anthropic,
    "BedrockModel": _bedrock,
    "GeminiModel": _gemini,
    "MistralModel": _mistral,
    "OllamaModel": _ollama,
    "LlamaCppModel": _llamacpp,
    "SageMakerAIModel": _sagemaker,
}
