"""Who agno's models are, and how agno's own result names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import candidate as identity
from otel_failover._core.failsafe import read
from otel_failover.integrations.loops.shared.declared_candidate import declared_candidate

if TYPE_CHECKING:
    from otel_failover._core.domain.candidate import Candidate

_WORDS: Final = {
    "AwsBedrock": "aws.bedrock",
    "AzureFoundry": "azure.ai.inference",
    "CerebrasOpenAI": "cerebras",
    "IBM": "ibm.watsonx.ai",
    "LMStudio": "lm_studio",
}
"""Providers that agno spells otherwise than anybody else does."""


def candidate_of(model: Any) -> Candidate:
    """Return who a model is.

    Args:
        model: A model, or its name like `openai:gpt-5.5`.
    """
    if isinstance(model, str):
        return identity.parse(model)
    provider, name, called = (read(model, each) for each in ("provider", "name", "id"))
    word = provider if isinstance(provider, str) else ""
    if name == "OpenAILike":
        # Its provider is what it has inherited from agno's class for OpenAI.
        word = ""
    elif word == f"{name} ({called})":
        word = str(name)
    return declared_candidate(_WORDS.get(word, word), called, model)


def named_in_result(model: Any) -> tuple[object, object]:
    """Return how an agent's or a team's result names a model."""
    return read(model, "id"), read(model, "provider")


def merged(model: Any, lists: list[list[Any]]) -> list[list[Any]]:
    """Return the chain, each place with the objects that stand for it: one model may be in several lists, as copies.

    Args:
        model: The one that is asked first.
        lists: The fallback models, by the errors they are for.
    """
    entries = [[model]]
    for models in lists:
        taken: set[int] = set()
        for each in models:
            same = (i for i in range(1, len(entries)) if i not in taken and _are_same(entries[i][0], each))
            place = next(same, len(entries))
            if place == len(entries):
                entries.append([])
            entries[place].append(each)
            taken.add(place)
    return entries


def _are_same(one: Any, other: Any) -> bool:
    """Whether two objects are one candidate; keys are compared, and go nowhere."""
    return candidate_of(one) == candidate_of(other) and read(one, "api_key") == read(other, "api_key")
