"""Who a candidate is: provider, model, endpoint, profile.

The provider's name alone is no identity: a chain may hold the same provider twice, and the OpenAI SDK talks to dozens
of providers. Provider values are OpenTelemetry's (`gen_ai.provider.name`, semantic-conventions-genai as of 2026-11).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from otel_failover._core.failsafe import exportable, guarded, logger, read, text_of
from otel_failover._core.text.redaction import redact

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
        "vllm",
        "lm_studio",
    }
)  # fmt: skip
"""The closed table of provider values that metrics and span names may carry."""

_ALIASES: Final = {
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
}  # fmt: skip

_HOSTS: Final = {
    "api.openai.com": "openai", "eu.api.openai.com": "openai", "us.api.openai.com": "openai",
    "api.anthropic.com": "anthropic", "generativelanguage.googleapis.com": "gcp.gemini", "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere", "api.deepseek.com": "deepseek", "api.groq.com": "groq", "api.mistral.ai": "mistral_ai",
    "codestral.mistral.ai": "mistral_ai", "api.moonshot.ai": "moonshot_ai", "api.moonshot.cn": "moonshot_ai",
    "api.perplexity.ai": "perplexity", "api.x.ai": "x_ai", "openrouter.ai": "openrouter",
    "api.together.xyz": "together_ai",
    "api.fireworks.ai": "fireworks_ai", "api.cerebras.ai": "cerebras", "api.sambanova.ai": "sambanova",
    "integrate.api.nvidia.com": "nvidia_nim", "router.huggingface.co": "hugging_face",
    "api-inference.huggingface.co": "hugging_face", "api.replicate.com": "replicate",
    "dashscope.aliyuncs.com": "alibaba_cloud", "dashscope-intl.aliyuncs.com": "alibaba_cloud", "api.z.ai": "zhipu_ai",
    "open.bigmodel.cn": "zhipu_ai", "api.minimax.io": "minimax", "api.deepinfra.com": "deepinfra",
    "models.github.ai": "github_models", "api.cloudflare.com": "cloudflare",
}  # fmt: skip

_HOST_ENDINGS: Final = (
    (".openai.azure.com", "azure.ai.openai"),
    (".cognitiveservices.azure.com", "azure.ai.openai"),
    (".services.ai.azure.com", "azure.ai.inference"),
    (".inference.ai.azure.com", "azure.ai.inference"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    (".ml.cloud.ibm.com", "ibm.watsonx.ai"),
    (".api.openai.com", "openai"),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry of a chain.

    Args:
        provider: The provider, as OpenTelemetry spells it (`openai`, `anthropic`, `gcp.gemini`); common other spellings
            (`gemini`, `bedrock`) are understood. Any other word is kept on the span and counted as `other`.
        model: The model as requested.
        endpoint: Where it is reached, as a URL; only scheme, host and port are kept. None: the provider's own hosts.
        profile: Your label for the key or deployment; never a key itself.
    """

    provider: str
    model: str
    endpoint: str | None = None
    profile: str | None = None

    def __post_init__(self) -> None:
        for name in ("provider", "model"):
            value = getattr(self, name)
            if type(value) is not str:
                plain = getattr(value, "value", value) if isinstance(value, str) else value
                object.__setattr__(self, name, "" if value is None else text_of(plain))
        object.__setattr__(self, "provider", canonical(exportable(self.provider)))
        if not self.model.isascii():
            object.__setattr__(self, "model", exportable(self.model))
        if self.endpoint is not None:
            given = text_of(self.endpoint)
            object.__setattr__(self, "endpoint", endpoint_of(given))
        if self.profile is not None and type(self.profile) is not str:
            object.__setattr__(self, "profile", text_of(self.profile))
        if self.profile is not None:
            object.__setattr__(self, "profile", exportable(self.profile))

    def filled(self, other: Candidate) -> Candidate:
        """Return this candidate with what it leaves open taken from another.

        Args:
            other: What else is known.
        """
        return Candidate(
            self.provider or other.provider,
            self.model or other.model,
            self.endpoint or other.endpoint,
            self.profile or other.profile,
        )

    def is_like(self, other: Candidate) -> bool:
        """Whether another names the same provider and model, and neither an endpoint or a profile that differs.

        Args:
            other: Perhaps less fully known.
        """
        return (
            (self.provider, self.model) == (other.provider, other.model)
            and (self.endpoint == other.endpoint or not self.endpoint or not other.endpoint)
            and (self.profile == other.profile or not self.profile or not other.profile)
        )

    @property
    def label(self) -> str:
        """`provider/model`, as on `failover.chain`; the host's own label where neither is known beforehand."""
        if not self.provider and not self.model and self.profile:
            return shown(self.profile)
        return f"{self.provider}/{shown(self.model)}"[:255]


@lru_cache(maxsize=512)
def shown(label: str) -> str:
    """Return a host's label as it is exported: short, and without a key that was put there by mistake."""
    return redact(label)[:255]


@lru_cache(maxsize=512)
def canonical(word: str) -> str:
    """Return OpenTelemetry's spelling of a provider, or the word itself where it is unknown."""
    folded = word.strip().lower()
    if folded in PROVIDERS:
        return folded
    return _ALIASES.get(folded) or _ALIASES.get(folded.replace("-", "_").replace(" ", "_")) or word.strip()[:255]


def metric_value(provider: str) -> str:
    """Return the provider as metrics and span names carry it: from the closed table, else `other`."""
    return provider if provider in PROVIDERS or provider in _USERS else OTHER


_USERS: Final[set[str]] = set()


def admit(aliases: Mapping[str, str]) -> None:
    """Let the values of the user's `provider_aliases` into the closed table."""
    _USERS.update(canonical(value) for value in aliases.values())


def parse(entry: object) -> Candidate:
    """Return a chain entry as a Candidate.

    Args:
        entry: A Candidate, or text: `openai/gpt-5.5`, `anthropic:claude-opus-4-7`, or a bare model. A pair of texts is
            provider and model.

    Returns:
        A Candidate. Anything else is told once for its type, and becomes one that is open but for a label, the name of
        that type: the host goes on, and the trace has the provider and the model of the requests that were sent.
    """
    try:
        if isinstance(entry, Candidate):
            return entry
        text = entry if isinstance(entry, str) else None
    except Exception:  # a host's proxy, with nothing behind it
        text = None
    if text is not None:
        return _parse_text(text)
    kind = type(entry)
    if kind in (tuple, list) and _is_pair(entry):  # no subclass: the fields of a named tuple may mean anything
        return Candidate(*entry)  # type: ignore[misc]
    _tell_of(kind)
    return Candidate("", "", None, _name_of(kind).rpartition(".")[2])


def _is_pair(entry: Any) -> bool:
    """Whether two texts are a provider and a model; two entries of a chain are not."""
    return len(entry) == 2 and all(isinstance(each, str) for each in entry) and not {"/", ":"}.intersection(entry[0])


def _name_of(kind: type) -> str:
    return text_of(read(kind, "__qualname__") or "object")[:120]


@guarded(fallback=None)
def _tell_of(kind: type) -> None:
    """Log once that objects of a type are no candidates."""
    name = f"{text_of(read(kind, '__module__'))}.{_name_of(kind)}".removeprefix("builtins.")
    if name not in _told and len(_told) < _MOST_TOLD:
        _told.add(name)
        logger.warning(
            "otel-failover: a candidate of type %s says neither provider nor model; allowed are a Candidate, a text "
            "like openai/gpt-5.5, or a pair of provider and model; its requests say who is asked",
            name,
        )


_told: Final[set[str]] = set()
_MOST_TOLD: Final = 64


@lru_cache(maxsize=512)
def _parse_text(entry: str) -> Candidate:
    at = min((entry.find(separator) for separator in "/:" if separator in entry), default=0)
    return Candidate(entry[:at], entry[at + 1 :]) if at > 0 else Candidate("", entry)


@lru_cache(maxsize=1024)
def endpoint_of(url: str) -> str | None:
    """Return scheme, host and port of a URL, nothing else; None where it has no host.

    A default port is left out, so that `https://api.openai.com:443/v1` and `https://api.openai.com` are one endpoint.
    """
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    scheme = parts.scheme or "https"
    shown = f"[{host}]" if ":" in host else host
    default = {"https": 443, "http": 80}.get(scheme)
    return f"{scheme}://{shown}" if port in (None, default) else f"{scheme}://{shown}:{port}"


@lru_cache(maxsize=1024)
def host_of(endpoint: str) -> str:
    """Return the host's name of an endpoint."""
    try:
        return urlsplit(endpoint).hostname or ""
    except ValueError:
        return ""


@lru_cache(maxsize=1024)
def provider_of_host(host: str) -> str | None:
    """Return the provider that a well-known host belongs to, or None."""
    folded = host.lower()
    if folded in _HOSTS:
        return _HOSTS[folded]
    if folded.startswith("bedrock-runtime.") and ".amazonaws.com" in folded:
        return "aws.bedrock"
    return next((provider for ending, provider in _HOST_ENDINGS if folded.endswith(ending)), None)


@lru_cache(maxsize=1024)
def address_of(endpoint: str) -> tuple[str, int]:
    """Return host and port of an endpoint, as `server.address` and `server.port`; an empty host where there is none."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return "", 0
    return parts.hostname or "", port
