"""What a model's name says: whose it is, and whether an answer's name is the same model.

Pure. One model has a name per cloud: `claude-3-5-sonnet-20240620` is `us.anthropic.claude-3-5-sonnet-20240620-v1:0` on
Bedrock, `claude-3-5-sonnet@20240620` on Vertex, `anthropic/claude-3.5-sonnet` at a router.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from otel_failover._core.domain.providers import PROVIDERS, canonical

_ROUTERS: Final = frozenset(
    {
        "openrouter", "together_ai", "fireworks_ai", "hugging_face", "replicate", "deepinfra", "github_models",
        "nvidia_nim", "cloudflare", "groq", "azure.ai.inference",
    }
)  # fmt: skip
"""Who serves models under names with a prefix: `openrouter/auto`, `groq/compound`, `nvidia/…` are real names."""

_DEPLOYMENTS: Final = frozenset({"azure.ai.openai"})
"""Where a model's name is the host's own label of a deployment."""

_VENDOR: Final = re.compile(r"^(?:[a-z]+\.)+(?=[a-z])")
_REVISION: Final = re.compile(r"-v\d+:\d+$")


@lru_cache(maxsize=512)
def bare(model: str, provider: str) -> str:
    """Return a model's name in the form in which names are compared.

    Case, `models/`, prefixes that name a provider, and what Bedrock puts around a name are left out; `@` before a date
    becomes `-`.

    Args:
        model: As requested, or as an answer names it.
        provider: Who serves it, whose own word may be a prefix too.

    Returns:
        The name, empty where nothing but prefixes was given.
    """
    name = model.strip().casefold()
    head, slash, rest = name.partition("/")
    while slash and (head in ("models", provider.casefold()) or canonical(head) in PROVIDERS):
        name = rest
        head, slash, rest = name.partition("/")
    return _REVISION.sub("", _VENDOR.sub("", name)).replace("@", "-")


def match(model: str, answer: str) -> int:
    """Return how many characters of an answer's bare name are a model's: all of the model's, or 0."""
    goes_on = answer.startswith(model) and answer[len(model) : len(model) + 1] in ("", "-", ":", "/", ".")
    return len(model) if goes_on else 0


def is_opaque(model: str, provider: str) -> bool:
    """Whether a requested name says nothing about the model: a deployment of Azure's, an ARN."""
    return canonical(provider) in _DEPLOYMENTS or model.startswith("arn:")


def is_prefixed(model: str, provider: str) -> bool:
    """Whether a name carries a prefix that its provider does not take: its own, or, at a router, one too many."""
    own = canonical(provider)
    first, *rest = (canonical(part) for part in model.split("/"))
    if not rest or not first:
        return False
    if own in _ROUTERS:
        return len(rest) > 1 and first in (own, rest[0])
    return first == own
