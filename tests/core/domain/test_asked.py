"""Whose a provider call is, and where in the chain it stands: one table each."""

from __future__ import annotations

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


WHOSE: Final = {
    "a chain's entry with this endpoint is surer than an alias": Whose(
        asked(PROXY), "mistral_ai", [Candidate("mistral_ai", "other", PROXY)], ALIASES
    ),
    "an alias of the host": Whose(asked(PROXY), "anthropic", aliases=ALIASES),
    "an alias is surer than the table": Whose(asked(), "groq", aliases={"api.openai.com": "groq"}),
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
}


@pytest.mark.parametrize("case", WHOSE.values(), ids=WHOSE)
def test_the_most_certain_source_says_whose_a_call_is(case: Whose) -> None:
    chain = Chain(tuple(case.chain)) if case.chain else EMPTY
    assert provider_of(case.call, chain, case.aliases, case.gateways) == case.provider


class Place(NamedTuple):
    """Calls, one after the other, and where in a chain each stands."""

    chain: Sequence[Candidate]
    calls: Sequence[tuple[Asked, str]]
    places: Sequence[int]
    aliases: dict[str, str] = {}  # noqa: RUF012 - never changed


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
}


@pytest.mark.parametrize("case", PLACES.values(), ids=PLACES)
def test_a_call_stands_at_the_first_place_that_fits_and_is_free(case: Place) -> None:
    positions = ChainPositions()
    positions.declare(Chain(tuple(case.chain)))
    found = [positions.of_call(call, provider, case.aliases) for call, provider in case.calls]
    assert [index for _, index in found] == case.places
    for (candidate, index), (call, provider) in zip(found, case.calls, strict=True):
        if index < 0:
            assert candidate == Candidate(provider, call.model, call.endpoint)
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
