"""Whose a send is: every row of the table, and its honest twin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import pytest

from otel_failover._core.domain.asked import Asked
from otel_failover._core.evidence.ownership import OTHER_CANDIDATE, OWN, UNRELATED, goes_to_another, whose

OPENAI: Final = "https://api.openai.com"
ANTHROPIC: Final = "https://api.anthropic.com"
PROXY: Final = "https://llm-proxy.internal.example"
OTHER_PROXY: Final = "http://10.0.0.7:8000"
ELSE: Final = "https://login.example.com"


class Candidate(NamedTuple):
    """A candidate as a ledger has it."""

    provider: str | None = "openai"
    endpoint: str | None = None
    model: str = "gpt-5.5"
    neighbours: frozenset[str] = frozenset()
    gateways: frozenset[str] = frozenset()


class Call(NamedTuple):
    """An open call as an SDK's adapter has it."""

    asked: Asked
    model: str
    endpoint: str
    inference: bool


def sdk(endpoint: str, operation: str | None = "chat", model: str = "gpt-5.5") -> Call:
    """Return a call by an SDK whose client has this base URL."""
    asked = Asked("openai", operation, model, endpoint, is_default=endpoint == OPENAI, provider="openai")
    return Call(asked, model, endpoint, inference=operation is not None)


OPENAI_ITSELF: Final = Candidate()


@dataclass(frozen=True)
class Send:
    """One send inside an attempt, and whose it is."""

    why: str
    whose: str
    to: str
    call: Call | None
    candidate: Candidate = OPENAI_ITSELF
    method: str = "POST"


DECLARED: Final = Candidate(endpoint=PROXY)
UNKNOWN: Final = Candidate("my_own_provider")
BARE: Final = Candidate(None)
"""A call that stands for itself: nobody declared whom it asks."""

SENDS: Final[dict[str, Send]] = {
    # row 1: the SDK's call is no inference
    "moderation": Send("it asks no model", UNRELATED, OPENAI, sdk(OPENAI, None)),
    "a list of models at another candidate": Send("nor there", UNRELATED, ANTHROPIC, sdk(ANTHROPIC, None)),
    "a chat": Send("twin: the same, asking", OWN, OPENAI, sdk(OPENAI)),
    # row 2: an embedding by another model
    "an embedding beside the chat": Send("a search", UNRELATED, OPENAI, sdk(OPENAI, "embeddings", "text-embedding-3")),
    "an embedding at another candidate": Send(
        "a search at somebody else's", UNRELATED, ANTHROPIC, sdk(ANTHROPIC, "embeddings", "text-embedding-3")
    ),
    "a candidate that embeds": Send(
        "twin: it is asked for its own model",
        OWN,
        OPENAI,
        sdk(OPENAI, "embeddings", "text-embedding-3"),
        Candidate(model="text-embedding-3"),
    ),
    "an embedding where no model is known": Send(
        "twin: nothing says that it is another", OWN, OPENAI, sdk(OPENAI, "embeddings"), Candidate(model="")
    ),
    "a chat by another model": Send("twin: an alias, or a newer name", OWN, OPENAI, sdk(OPENAI, model="gpt-5.5-2")),
    # row 3: to the declared endpoint
    "to the declared endpoint": Send("it is declared", OWN, PROXY, sdk(PROXY), DECLARED),
    "to the declared endpoint without an SDK": Send("plain HTTP asks as well", OWN, PROXY, None, DECLARED),
    "to the declared endpoint by another client": Send("whose base it is not", OWN, PROXY, sdk(OPENAI), DECLARED),
    "to the provider's host, another is declared": Send("a typo: not to it", UNRELATED, OPENAI, sdk(OPENAI), DECLARED),
    "to another port of the declared host": Send("is another endpoint", UNRELATED, f"{PROXY}:8443", None, DECLARED),
    # row 3: to a host of the table
    "to the provider's host": Send("the table has it", OWN, OPENAI, sdk(OPENAI)),
    "to the provider's host without an SDK": Send("the table has it", OWN, OPENAI, None),
    "to another host of the provider": Send("in Europe", OWN, "https://eu.api.openai.com", None),
    "to the provider's host, itself a neighbour": Send(
        "the table comes before the neighbours", OWN, OPENAI, sdk(OPENAI), Candidate(neighbours=frozenset({OPENAI}))
    ),
    # row 3: to the base of the open call, where neither is known
    "to the client's base, an unknown host": Send("there is nothing else to go by", OWN, OTHER_PROXY, sdk(OTHER_PROXY)),
    "to the client's base, an unknown provider": Send("the table does not know it", OWN, OPENAI, sdk(OPENAI), UNKNOWN),
    "to the client's base, nobody declared": Send("the call is the candidate", OWN, ANTHROPIC, sdk(ANTHROPIC), BARE),
    "to the client's base at a gateway": Send(
        "the table does not count there", OWN, OPENAI, sdk(OPENAI),
        Candidate("anthropic", gateways=frozenset({"api.openai.com"})),
    ),
    "to the client's base, a neighbour": Send(
        "twin: another member declares it", OTHER_CANDIDATE, OTHER_PROXY, sdk(OTHER_PROXY),
        Candidate(neighbours=frozenset({OTHER_PROXY})),
    ),
    "to an unknown host, not the client's base": Send("twin: an SDK fetches an image", UNRELATED, ELSE, sdk(OPENAI)),
    "to an unknown host without an SDK": Send("twin: a tool", UNRELATED, ELSE, None),
    # row 4: to the candidate by another method
    "a probe of the declared endpoint": Send("GET asks nobody", UNRELATED, PROXY, None, DECLARED, "GET"),
    "a probe of the provider's host": Send("nor here", UNRELATED, OPENAI, sdk(OPENAI), method="HEAD"),
    # row 5: to somebody else
    "to another provider's host": Send("the table has it", OTHER_CANDIDATE, ANTHROPIC, sdk(ANTHROPIC)),
    "to another provider's host without an SDK": Send("plain HTTP as well", OTHER_CANDIDATE, ANTHROPIC, None),
    "to another provider's host by GET": Send("a call of its own all the same", OTHER_CANDIDATE, ANTHROPIC, None,
                                              method="GET"),
    "to another provider's host from a declared endpoint": Send(
        "the table has it", OTHER_CANDIDATE, ANTHROPIC, sdk(ANTHROPIC), DECLARED
    ),
    "to a neighbour": Send(
        "the chain has it", OTHER_CANDIDATE, OTHER_PROXY, None, Candidate(
            endpoint=PROXY, neighbours=frozenset({OTHER_PROXY})
        ),
    ),
    "to another provider's host at a gateway": Send(
        "twin: the table does not count there", UNRELATED, ANTHROPIC, None,
        Candidate(gateways=frozenset({"api.anthropic.com"})),
    ),
    "to another provider's host for an unknown provider": Send(
        "twin: it may be the same under its own name", UNRELATED, ANTHROPIC, None, UNKNOWN
    ),
    "to another provider's host where nobody declared": Send(
        "twin: there are no others", UNRELATED, ANTHROPIC, sdk(OPENAI), BARE
    ),
    # row 6: anything else
    "a token refresh": Send("it asks nobody", UNRELATED, ELSE, sdk(PROXY), DECLARED),
    "an exporter": Send("nor does it", UNRELATED, "http://localhost:4318", None),
}  # fmt: skip


@pytest.mark.parametrize("name", SENDS)
def test_the_table(name: str) -> None:
    send = SENDS[name]
    assert whose(send.candidate, send.to, send.method, send.call) == send.whose, send.why


@pytest.mark.parametrize("name", SENDS)
def test_one_place_says_who_else_it_is(name: str) -> None:
    """What an SDK's call is asked before it sends (is it a call of its own?) agrees with whose its sends are then."""
    send = SENDS[name]
    chat = replace(send, call=None if send.call is None else sdk(send.call.endpoint), method="POST")
    found = whose(chat.candidate, chat.to, chat.method, chat.call)
    assert (found == OTHER_CANDIDATE) == (goes_to_another(chat.candidate, chat.to) and found != OWN), send.why


def test_every_answer_has_several_cases() -> None:
    counts = {word: sum(send.whose == word for send in SENDS.values()) for word in (OWN, OTHER_CANDIDATE, UNRELATED)}
    assert min(counts.values()) >= 5, counts
