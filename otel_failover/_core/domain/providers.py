"""Providers: the closed table of names, their hosts, and the user's own aliases."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.endpoint import names_of
from otel_failover._core.text.gate import named

if TYPE_CHECKING:
    from collections.abc import Mapping


OTHER: Final = "other"
"""What metrics and span names say for a provider outside the closed table."""


PROVIDERS: Final = frozenset(
    {
        "openai", "anthropic", "gcp.gemini", "gcp.vertex_ai", "gcp.gen_ai", "aws.bedrock", "azure.ai.openai",
        "azure.ai.inference", "cohere", "deepseek", "groq", "ibm.watsonx.ai", "mistral_ai", "moonshot_ai", "perplexity",
        "x_ai", "openrouter", "together_ai", "fireworks_ai", "cerebras", "sambanova", "nvidia_nim", "hugging_face",
        "replicate", "alibaba_cloud", "zhipu_ai", "minimax", "deepinfra", "github_models", "cloudflare", "ollama",
        "vllm", "lm_studio", "baidu", "databricks", "ai21",
    }
)  # fmt: skip
"""The closed table of provider values that metrics and span names may carry."""


SPELLINGS: Final = {
    "gemini": "gcp.gemini", "google": "gcp.gemini", "google_genai": "gcp.gemini", "google-gla": "gcp.gemini",
    "google_ai_studio": "gcp.gemini", "gcp_gemini": "gcp.gemini", "google_generativeai": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai", "vertexai": "gcp.vertex_ai", "google-vertex": "gcp.vertex_ai",
    "vertex": "gcp.vertex_ai",
    "bedrock": "aws.bedrock", "amazon_bedrock": "aws.bedrock", "aws_bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "azure": "azure.ai.openai", "azure_openai": "azure.ai.openai", "az.ai.openai": "azure.ai.openai",
    "azure_ai": "azure.ai.inference", "az.ai.inference": "azure.ai.inference", "mistral": "mistral_ai",
    "mistralai": "mistral_ai", "xai": "x_ai", "grok": "x_ai", "moonshot": "moonshot_ai", "moonshotai": "moonshot_ai",
    "kimi": "moonshot_ai", "watsonx": "ibm.watsonx.ai", "together": "together_ai", "fireworks": "fireworks_ai",
    "huggingface": "hugging_face", "claude": "anthropic", "dashscope": "alibaba_cloud", "qwen": "alibaba_cloud",
    "zai": "zhipu_ai", "nvidia": "nvidia_nim", "github": "github_models",
    "qianfan": "baidu", "wenxin": "baidu", "ai21_labs": "ai21", "ai21labs": "ai21",
}  # fmt: skip


HOSTS: Final = {
    "api.openai.com": "openai", "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai", "api.cohere.com": "cohere", "api.cohere.ai": "cohere",
    "api.deepseek.com": "deepseek", "api.groq.com": "groq", "api.mistral.ai": "mistral_ai",
    "api.eu.mistral.ai": "mistral_ai", "api.us.mistral.ai": "mistral_ai", "codestral.mistral.ai": "mistral_ai",
    "api.moonshot.ai": "moonshot_ai", "api.moonshot.cn": "moonshot_ai", "api.kimi.com": "moonshot_ai",
    "api.perplexity.ai": "perplexity", "api.x.ai": "x_ai", "openrouter.ai": "openrouter",
    "api.together.xyz": "together_ai", "api.together.ai": "together_ai", "api.fireworks.ai": "fireworks_ai",
    "api.cerebras.ai": "cerebras", "api.sambanova.ai": "sambanova", "integrate.api.nvidia.com": "nvidia_nim",
    "ai.api.nvidia.com": "nvidia_nim", "router.huggingface.co": "hugging_face",
    "api-inference.huggingface.co": "hugging_face", "api.replicate.com": "replicate",
    "dashscope.aliyuncs.com": "alibaba_cloud", "dashscope-intl.aliyuncs.com": "alibaba_cloud",
    "dashscope-us.aliyuncs.com": "alibaba_cloud", "api.z.ai": "zhipu_ai", "open.bigmodel.cn": "zhipu_ai",
    "api.minimax.io": "minimax", "api.minimaxi.com": "minimax", "api.deepinfra.com": "deepinfra",
    "models.github.ai": "github_models", "api.cloudflare.com": "cloudflare", "qianfan.baidubce.com": "baidu",
    "aip.baidubce.com": "baidu", "api.ai21.com": "ai21", "ollama.com": "ollama",
}  # fmt: skip
"""Providers by the names of their hosts."""


HOST_ENDINGS: Final = {
    ".openai.azure.com": "azure.ai.openai", ".openai.azure.us": "azure.ai.openai",
    ".openai.azure.cn": "azure.ai.openai", ".cognitiveservices.azure.com": "azure.ai.openai",
    ".services.ai.azure.com": "azure.ai.inference", ".inference.ai.azure.com": "azure.ai.inference",
    ".models.ai.azure.com": "azure.ai.inference", "-aiplatform.googleapis.com": "gcp.vertex_ai",
    ".ml.cloud.ibm.com": "ibm.watsonx.ai", ".api.openai.com": "openai", ".api.x.ai": "x_ai",
    ".maas.aliyuncs.com": "alibaba_cloud", ".endpoints.huggingface.cloud": "hugging_face",
    ".databricks.com": "databricks", ".azuredatabricks.net": "databricks",
}  # fmt: skip
"""Providers by how the names of their hosts end, where each customer or region has one of its own."""


GATEWAYS: Final = frozenset(
    {
        "gateway.ai.cloudflare.com", "api.portkey.ai", "ai-gateway.helicone.ai", "oai.helicone.ai",
        "anthropic.helicone.ai", "ai-gateway.vercel.sh",
    }
)  # fmt: skip
"""Hosts that relay for many providers: what is sent there asks a model, and whose is for the chain to say."""


_ENDINGS: Final = tuple(HOST_ENDINGS)
_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn")
_BEDROCK: Final = frozenset({"bedrock-runtime", "bedrock-runtime-fips", "bedrock-mantle"})
_REGIONAL: Final = ("aiplatform.", ".rep.googleapis.com")
"""How Vertex AI's hosts of several regions begin and end: `aiplatform.us.rep.googleapis.com`."""


@lru_cache(maxsize=512)
def canonical(word: str) -> str:
    """Return OpenTelemetry's spelling of a provider, or the word itself where it is unknown."""
    folded = word.strip().lower()
    if folded in PROVIDERS:
        return folded
    return SPELLINGS.get(folded) or SPELLINGS.get(folded.replace("-", "_").replace(" ", "_")) or word.strip()[:255]


def metric_value(provider: str) -> str:
    """Return the provider as metrics and span names carry it: from the closed table, else `other`."""
    return provider if provider in PROVIDERS or provider in _USERS else OTHER


_USERS: Final[set[str]] = set()


def alias_of(endpoint: str, aliases: Mapping[str, str]) -> str | None:
    """Return the provider that the user's `provider_aliases` give for an endpoint: by host and port, else by the host.

    Args:
        endpoint: Scheme, host and port.
        aliases: By words in lower case.
    """
    exact, host = names_of(endpoint)
    return aliases.get(exact) or aliases.get(host)


def admit(aliases: Mapping[str, str]) -> None:
    """Let the values of the user's `provider_aliases` into the closed table."""
    _USERS.update(named(canonical(value)) for value in aliases.values())


@lru_cache(maxsize=1024)
def provider_of_host(host: str) -> str | None:
    """Return the provider that a well-known host belongs to, or None; a gateway's belongs to nobody."""
    folded = host.lower()
    found = HOSTS.get(folded)
    if found is not None:
        return found
    if folded.endswith(_ENDINGS):
        return next(provider for ending, provider in HOST_ENDINGS.items() if folded.endswith(ending))
    # Behind a customer's private link the service's label is not the first: `vpce-1.bedrock-runtime.eu-west-1.vpce.…`.
    if folded.endswith(_AWS):
        return "aws.bedrock" if _BEDROCK.intersection(folded.split(".")) else None
    begins, ends = _REGIONAL
    return "gcp.vertex_ai" if folded.startswith(begins) and folded.endswith(ends) else None
