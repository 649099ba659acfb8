"""Whose a provider call is, and where in the chain it stands: one table each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from otel_failover import Candidate
from otel_failover._core.domain.asked import Asked, provider_of
from otel_failover._core.domain.chain import EMPTY, Chain
from otel_failover._core.domain.positions import ChainPositions

if TYPE_CHECKING:
    from collections.abc import Sequence

PROXY: Final = "https://llm.acme.example"
OPENAI: Final = "https://api.openai.com"
ALIASES: Final = {"llm.acme.example": "anthropic"}


def asked(endpoint: str = OPENAI, model: str = "gpt-5.5", **more: Any) -> Asked:
    """A chat through OpenAI's SDK, to its default endpoint unless another is named."""
    return Asked("openai", "chat", model, endpoint, endpoint == OPENAI, "openai", **more)


class Whose(NamedTuple):
    """A call, what is known of its surroundings, and whose it is."""

    call: Asked
    provider: str
    chain: Sequence[Candidate] = ()
    aliases: dict[str, str] = {}  # noqa: RUF012 - never changed
    gateways: Sequence[str] = ()


LOCAL: Final = {"127.0.0.1:8000": "vllm", "127.0.0.1:11434": "ollama", "127.0.0.1": "lm_studio"}
WHOSE: Final = {
    "a chain's entry with this endpoint is surer than an alias": Whose(
        asked(PROXY), "mistral_ai", [Candidate("mistral_ai", "other", PROXY)], ALIASES
    ),
    "an alias of the host": Whose(asked(PROXY), "anthropic", aliases=ALIASES),
    "an alias is surer than the table": Whose(asked(), "groq", aliases={"api.openai.com": "groq"}),
    "a server of several on one host": Whose(asked("http://127.0.0.1:8000"), "vllm", aliases=LOCAL),
    "another of them": Whose(asked("http://127.0.0.1:11434"), "ollama", aliases=LOCAL),
    "one that is not named, on a host that is": Whose(asked("http://127.0.0.1:9000"), "lm_studio", aliases=LOCAL),
    "one by its address of sixteen bytes": Whose(asked("http://[::1]:8000"), "vllm", aliases={"[::1]:8000": "vllm"}),
    "a default port that is named": Whose(asked("http://llm.acme.example"), "vllm", aliases={"llm.acme.example:80": "vllm"}),
    "the port of another server": Whose(asked("http://127.0.0.1:80"), "127.0.0.1", aliases={"127.0.0.1:8000": "vllm"}),
    "a gateway by its port is nobody's": Whose(
        asked("https://openrouter.ai:8443"), "openrouter.ai", gateways=["openrouter.ai:8443"]
    ),
    "its host at another port is somebody's": Whose(
        asked("https://openrouter.ai"), "openrouter", gateways=["openrouter.ai:8443"]
    ),
    "the case of a host says nothing": Whose(asked("https://LLM.acme.example"), "anthropic", aliases=ALIASES),
    "a well-known host": Whose(asked("https://api.mistral.ai"), "mistral_ai"),
    "a gateway's host is nobody's": Whose(asked("https://openrouter.ai"), "openrouter.ai", gateways=["openrouter.ai"]),
    "a gateway with an alias has one": Whose(asked(PROXY), "anthropic", aliases=ALIASES, gateways=[*ALIASES]),
    "the SDK's own, at its default": Whose(
        Asked("acme", "chat", "m", PROXY, is_default=True, provider="acme"), "acme", [Candidate("groq", "m")]
    ),
    "the SDK's own is not believed elsewhere": Whose(asked(PROXY), "llm.acme.example"),
    "the chain's entry for the model": Whose(
        asked(PROXY), "groq", [Candidate("cohere", "x"), Candidate("groq", "gpt-5.5")]
    ),
    "an entry for the model at another endpoint is no help": Whose(
        asked(PROXY), "llm.acme.example", [Candidate("groq", "gpt-5.5", "https://api.groq.com")]
    ),
    "an entry that leaves its model open is no help": Whose(asked(PROXY), "llm.acme.example", [Candidate("groq", "")]),
    "no endpoint at all": Whose(asked(""), ""),
    "behind one gateway, the entry whose path is asked": Whose(
        asked(PROXY, base="/cerebras/v1"), "cerebras",
        [Candidate("groq", "gpt-5.5", f"{PROXY}/groq"), Candidate("cerebras", "gpt-5.5", f"{PROXY}/cerebras")],
    ),
    "behind one gateway, the entry whose model is asked": Whose(
        asked(PROXY, "claude"), "anthropic", [Candidate("openai", "gpt-5.5", PROXY), Candidate("anthropic", "claude", PROXY)]
    ),
    "behind one gateway, none of them: the first": Whose(
        asked(PROXY, "mistral"), "openai", [Candidate("openai", "gpt-5.5", PROXY), Candidate("anthropic", "claude", PROXY)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WHOSE.values(), ids=WHOSE)
def test_the_most_certain_source_says_whose_a_call_is(case: Whose) -> None:
    chain = Chain(tuple(case.chain)) if case.chain else EMPTY
    assert provider_of(case.call, chain, case.aliases, frozenset(case.gateways)) == case.provider


class Place(NamedTuple):
    """Calls, one after the other, and where in a chain each stands."""

    chain: Sequence[Candidate]
    calls: Sequence[tuple[Asked, str]]
    places: Sequence[int]
    aliases: dict[str, str] = {}  # noqa: RUF012 - never changed


def at(deployment: str) -> Asked:
    """A chat at a deployment, whose client has it in its base URL."""
    return asked(PROXY, base=f"/openai/deployments/{deployment}")


def named(*profiles: str) -> list[Candidate]:
    """Deployments of one resource under the host's own labels."""
    return [Candidate("azure", "gpt-5.5", PROXY, profile) for profile in profiles]


TWO_KEYS: Final = [Candidate("openai", "gpt-5.5", None, "a"), Candidate("openai", "gpt-5.5", None, "b")]
PLACES: Final = {
    "by endpoint and model, before an earlier one by provider": Place(
        [Candidate("openai", "gpt-5.5"), Candidate("openai", "gpt-5.5", PROXY)], [(asked(PROXY), "openai")], [1]
    ),
    "by provider and model": Place(
        [Candidate("groq", "gpt-5.5"), Candidate("openai", "gpt-5.5")], [(asked(), "openai")], [1]
    ),
    "by model alone, where nobody knows the host": Place(
        [Candidate("groq", "x"), Candidate("groq", "gpt-5.5")], [(asked(PROXY), "llm.acme.example")], [1]
    ),
    "not by model alone, where the table knows the host": Place(
        [Candidate("groq", "gpt-5.5")], [(asked(), "openai")], [-1]
    ),
    "not by model alone, where an alias does": Place(
        [Candidate("groq", "gpt-5.5")], [(asked(PROXY), "anthropic")], [-1], ALIASES
    ),
    "an entry that leaves its model open takes any": Place([Candidate("openai", "")], [(asked(), "openai")], [0]),
    "another model": Place([Candidate("openai", "gpt-6")], [(asked(), "openai")], [-1]),
    "two keys, in order of first use": Place(
        TWO_KEYS, [(asked(credential=key), "openai") for key in ("k2", "k1", "k2", "k3")], [0, 1, 0, -1]
    ),
    "two paths, in order of first use": Place(
        TWO_KEYS, [(asked(base=path), "openai") for path in ("/v2", "/v1", "/v2", "/v3")], [0, 1, 0, -1]
    ),
    "two deployments by their labels": Place(
        named("prod-a", "prod-b"), [(at("prod-b"), "azure.ai.openai"), (at("prod-a"), "azure.ai.openai")], [1, 0]
    ),
    "two deployments by their models": Place(
        [Candidate("azure", name, PROXY) for name in ("prod-a", "prod-b")],
        [(at("prod-b"), "azure.ai.openai"), (at("prod-a"), "azure.ai.openai")], [1, 0],
    ),
    "two deployments by their URLs": Place(
        [Candidate("azure", "gpt-5.5", f"{PROXY}/openai/deployments/{name}") for name in ("prod-a", "prod-b")],
        [(at("prod-b"), "azure.ai.openai"), (at("prod-a"), "azure.ai.openai")], [1, 0],
    ),
    "two deployments that the SDK takes from the model": Place(
        [Candidate("azure", "gpt-5.5", f"{PROXY}/openai/deployments/{name}") for name in ("prod-a", "prod-b")],
        [(asked(PROXY, name, base="/openai"), "azure.ai.openai") for name in ("prod-b", "prod-a", "prod-c")], [1, 0, -1],
    ),
    "labels that name no deployment, as they come": Place(
        named("eu", "us"), [(at("prod-b"), "azure.ai.openai"), (at("prod-a"), "azure.ai.openai")], [0, 1]
    ),
    "a deployment of another resource": Place(
        named("prod-a", "prod-b"), [(at("prod-b")._replace(endpoint=OPENAI), "openai")], [-1]
    ),
    "another path than the declared one": Place(
        [Candidate("groq", "gpt-5.5", f"{PROXY}/groq")], [(asked(PROXY, base="/cerebras/v1"), "groq")], [-1]
    ),
    "a path that goes farther than the declared one": Place(
        [Candidate("groq", "gpt-5.5", f"{PROXY}/groq")], [(asked(PROXY, base="/groq/v1"), "groq")], [0]
    ),
    "a path that goes less far than the declared one": Place(
        [Candidate("groq", "gpt-5.5", f"{PROXY}/groq/v1/chat/completions")], [(asked(PROXY, base="/groq/v1"), "groq")], [0]
    ),
    "the declared path before one without": Place(
        [Candidate("groq", "gpt-5.5", PROXY), Candidate("groq", "gpt-5.5", f"{PROXY}/groq/v1")],
        [(asked(PROXY, base="/groq/v1"), "groq"), (asked(PROXY, base="/v1"), "groq")], [1, 0],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PLACES.values(), ids=PLACES)
def test_a_call_stands_at_the_first_place_that_fits_and_is_free(case: Place) -> None:
    positions = ChainPositions()
    positions.declare(Chain(tuple(case.chain)))
    found = [positions.of_call(call, provider, case.aliases) for call, provider in case.calls]
    assert [index for _, index in found] == case.places
    for (candidate, index), (call, provider) in zip(found, case.calls, strict=True):
        if index < 0:
            assert replace(candidate, profile=None) == Candidate(provider, call.model, call.endpoint)
        else:
            member = case.chain[index]
            assert candidate == Candidate(
                member.provider, member.model, member.endpoint or call.endpoint, member.profile
            )


def test_without_a_chain_calls_stand_in_order_of_first_appearance() -> None:
    positions = ChainPositions()
    calls = [
        (asked(), "openai"),
        (asked(PROXY), "groq"),
        (asked(credential="k"), "openai"),
        (asked(credential="l"), "openai"),
    ]
    found = [positions.of_call(call, provider, {}) for call, provider in calls]
    assert [index for _, index in found] == [0, 1, 0, 0]
    held = ChainPositions()
    keys = [held.of_call(asked(credential=key), "openai", {})[1] for key in ("k", "l", "k")]
    assert keys == [0, 1, 0]


def test_without_a_chain_another_path_is_another_candidate() -> None:
    positions = ChainPositions()
    calls = [at("prod-a"), at("prod-b"), at("prod-a"), asked(PROXY, base="/openai"), asked(PROXY)]
    found = [positions.of_call(call, "azure.ai.openai", {}) for call in calls]
    assert [index for _, index in found] == [0, 1, 0, 2, 3]
    assert [candidate.profile for candidate, _ in found] == ["prod-a", "prod-b", "prod-a", None, None]


def test_without_a_chain_a_declared_path_may_go_less_far() -> None:
    """A loop declares some of its attempts, and asks others bare."""
    positions = ChainPositions()
    declared = [Candidate("groq", "gpt-5.5", f"{PROXY}{path}") for path in ("/groq", "/cerebras", "/groq", "")]
    assert [positions.of(each, each) for each in declared] == [0, 1, 0, 0]
    calls = [asked(PROXY, base=path) for path in ("/cerebras/v1", "/groq/v1", "/mistral/v1")]
    assert [positions.of_call(call, "groq", {})[1] for call in calls] == [1, 0, 2]


def test_of_equal_entries_the_one_with_the_same_path_is_found() -> None:
    """Frameworks make a candidate anew for each try."""
    chain = [Candidate("groq", "gpt-5.5", f"{PROXY}{path}") for path in ("/groq", "/cerebras")]
    positions = ChainPositions()
    positions.declare(Chain(tuple(chain)))
    again = [Candidate("groq", "gpt-5.5", f"{PROXY}{path}") for path in ("/cerebras", "/groq", "")]
    assert [positions.of(each, each) for each in again[:2]] == [1, 0]
    positions.used.add(0)
    assert positions.of(again[2], again[2]) == 1
