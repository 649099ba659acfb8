"""Whose a send is: every row of the table, and its honest twin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import pytest

from otel_failover import Candidate as Member
from otel_failover._core.domain.asked import Asked
from otel_failover._core.domain.chain import Chain, Siblings
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
    siblings: Siblings | None = None


class Call(NamedTuple):
    """An open call as an SDK's adapter has it."""

    asked: Asked
    model: str
    endpoint: str
    inference: bool


def sdk(endpoint: str, operation: str | None = "chat", model: str = "gpt-5.5", base: str = "/v1") -> Call:
    """Return a call by an SDK whose client has this base URL."""
    asked = Asked("openai", operation, model, endpoint, endpoint == OPENAI, provider="openai", base=base)
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
    path: str = ""


def member(place: int, *chain: Member) -> Candidate:
    """Return a member of a chain as its attempt's ledger has it."""
    made, mine = Chain(chain), chain[place]
    others = made.endpoints - {mine.endpoint}
    return Candidate(mine.provider, mine.endpoint, mine.model, frozenset(others), siblings=made.siblings_of(place))


def gateway(place: int, *paths: str) -> Candidate:
    """Return one of several members behind one gateway, each with a path of its own."""
    return member(place, *(Member("llama", "m", f"{PROXY}{path}") for path in paths))


def azure(place: int, *words: tuple[str, str | None]) -> Candidate:
    """Return one of several deployments of one resource, each declared by model and profile."""
    return member(place, *(Member("azure", model, AZURE, profile) for model, profile in words))


def deployment(name: str, model: str = "gpt-4o", operation: str = "chat") -> Call:
    """Return a call by a client that has a deployment in its base URL."""
    return sdk(AZURE, operation, model, f"/openai/deployments/{name}")


AZURE: Final = "https://acme.openai.azure.com"
PROD_A: Final = azure(0, ("prod-a", None), ("prod-b", None))
LABELLED: Final = azure(0, ("gpt-4o", "prod-a"), ("gpt-4o", "prod-b"))
GROQ: Final = gateway(0, "/groq", "/cerebras")
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
    "an embedding by a deployment that the candidate is": Send(
        "twin: the URL has the candidate's name", OWN, AZURE, deployment("embed", "text-embedding-3", "embeddings"),
        azure(0, ("embed", None), ("prod-b", None)),
    ),
    # row 3: to the candidate's endpoint, by another member's base URL
    "to another path of the gateway": Send(
        "both declare theirs", OTHER_CANDIDATE, PROXY, sdk(PROXY, base="/cerebras/v1"), GROQ
    ),
    "to the candidate's path of the gateway": Send("twin", OWN, PROXY, sdk(PROXY, base="/groq/v1"), GROQ),
    "to the whole URL, as it is declared": Send(
        "twin: the declared path goes farther than the client's", OWN, PROXY, sdk(PROXY, base="/groq/v1"),
        gateway(0, "/groq/v1/chat/completions", "/cerebras/v1/chat/completions"),
    ),
    "to a path of the gateway that begins alike": Send(
        "twin: the other's is /groq, not /groq-eu", OWN, PROXY, sdk(PROXY, base="/groq-eu/v1"),
        gateway(0, "/groq-eu", "/groq"),
    ),
    "to the other path that begins alike": Send(
        "the same, the other way", OTHER_CANDIDATE, PROXY, sdk(PROXY, base="/groq-eu/v1"), gateway(1, "/groq-eu", "/groq")
    ),
    "to a path of the gateway that nobody declares": Send(
        "twin: it is the candidate's host", OWN, PROXY, sdk(PROXY, base="/v2"), GROQ
    ),
    "to another's path, where the candidate declares none": Send(
        "twin: it may be its own", OWN, PROXY, sdk(PROXY, base="/v1"), gateway(0, "", "/v1")
    ),
    "to another path without an SDK": Send(
        "plain HTTP as well", OTHER_CANDIDATE, PROXY, None, GROQ, path="/cerebras/v1/chat/completions"
    ),
    "to the candidate's path without an SDK": Send(
        "twin", OWN, PROXY, None, GROQ, path="/groq/v1/chat/completions"
    ),
    "to a path that nobody knows": Send("twin: a request without an SDK whose URL cannot be read", OWN, PROXY, None, GROQ),
    "a probe of another path": Send(
        "a call of its own all the same", OTHER_CANDIDATE, PROXY, None, GROQ, "GET", "/cerebras/v1/models"
    ),
    "to another deployment, declared as a profile": Send(
        "the URL has the label of the other", OTHER_CANDIDATE, AZURE, deployment("prod-b"), LABELLED
    ),
    "to the candidate's deployment, declared as a profile": Send("twin", OWN, AZURE, deployment("prod-a"), LABELLED),
    "to a deployment that nobody declares": Send("twin: labels may mean keys", OWN, AZURE, deployment("prod-c"), LABELLED),
    "to another deployment, declared as a model": Send(
        "what is asked for is not this candidate's either", OTHER_CANDIDATE, AZURE, deployment("prod-b"), PROD_A
    ),
    "to the candidate's deployment, declared as a model": Send("twin", OWN, AZURE, deployment("prod-a"), PROD_A),
    "to a deployment that bears another member's model": Send(
        "twin: what is asked for is this candidate's; a deployment may keep the name of an older model",
        OWN, AZURE, deployment("gpt-4o", "gpt-5.5"), azure(0, ("gpt-5.5", None), ("gpt-4o", None)),
    ),
    "to another deployment, declared by its URL": Send(
        "both declare theirs", OTHER_CANDIDATE, AZURE, deployment("prod-b"),
        member(0, *(Member("azure", "gpt-4o", f"{AZURE}/openai/deployments/{name}") for name in ("prod-a", "prod-b"))),
    ),
    "to the candidate's deployment, declared by its URL": Send(
        "twin", OWN, AZURE, deployment("prod-a"),
        member(0, *(Member("azure", "gpt-4o", f"{AZURE}/openai/deployments/{name}") for name in ("prod-a", "prod-b"))),
    ),
    "to a deployment that the SDK takes from the model": Send(
        "twin: nothing in the base URL says which", OWN, AZURE, sdk(AZURE, model="prod-b", base="/openai"), PROD_A
    ),
    "to another deployment without endpoints": Send(
        "the table knows the host", OTHER_CANDIDATE, AZURE, deployment("prod-b"),
        member(0, Member("azure", "prod-a"), Member("azure", "prod-b")),
    ),
    "to another deployment of another resource": Send(
        "a neighbour at its own endpoint", OTHER_CANDIDATE, OTHER_PROXY,
        sdk(OTHER_PROXY, base="/openai/deployments/prod-b"),
        member(0, Member("azure", "prod-a", AZURE), Member("azure", "prod-b", OTHER_PROXY)),
    ),
    # row 4: to the declared endpoint
    "to the declared endpoint": Send("it is declared", OWN, PROXY, sdk(PROXY), DECLARED),
    "to the declared endpoint without an SDK": Send("plain HTTP asks as well", OWN, PROXY, None, DECLARED),
    "to the declared endpoint by another client": Send("whose base it is not", OWN, PROXY, sdk(OPENAI), DECLARED),
    "to the provider's host, another is declared": Send("a typo: not to it", UNRELATED, OPENAI, sdk(OPENAI), DECLARED),
    "to another port of the declared host": Send("is another endpoint", UNRELATED, f"{PROXY}:8443", None, DECLARED),
    # row 4: to a host of the table
    "to the provider's host": Send("the table has it", OWN, OPENAI, sdk(OPENAI)),
    "to the provider's host without an SDK": Send("the table has it", OWN, OPENAI, None),
    "to another host of the provider": Send("in Europe", OWN, "https://eu.api.openai.com", None),
    "to the provider's host, itself a neighbour": Send(
        "the table comes before the neighbours", OWN, OPENAI, sdk(OPENAI), Candidate(neighbours=frozenset({OPENAI}))
    ),
    # row 4: to the base of the open call, where neither is known
    "to the client's base, an unknown host": Send("there is nothing else to go by", OWN, OTHER_PROXY, sdk(OTHER_PROXY)),
    "to the client's base, an unknown provider": Send("the table does not know it", OWN, OPENAI, sdk(OPENAI), UNKNOWN),
    "to the client's base, nobody declared": Send("the call is the candidate", OWN, ANTHROPIC, sdk(ANTHROPIC), BARE),
    "to the client's base at a gateway": Send(
        "the table does not count there", OWN, OPENAI, sdk(OPENAI),
        Candidate("anthropic", gateways=frozenset({"api.openai.com"})),
    ),
    "to the client's base at a gateway with a port": Send(
        "nor there, where only this server is one", OWN, f"{OPENAI}:8443", sdk(f"{OPENAI}:8443"),
        Candidate("anthropic", gateways=frozenset({"api.openai.com:8443"})),
    ),
    "to another port of a gateway": Send(
        "twin: the host is its provider's", OTHER_CANDIDATE, OPENAI, sdk(OPENAI),
        Candidate("anthropic", gateways=frozenset({"api.openai.com:8443"})),
    ),
    "to the client's base, a neighbour": Send(
        "twin: another member declares it", OTHER_CANDIDATE, OTHER_PROXY, sdk(OTHER_PROXY),
        Candidate(neighbours=frozenset({OTHER_PROXY})),
    ),
    "to an unknown host, not the client's base": Send("twin: an SDK fetches an image", UNRELATED, ELSE, sdk(OPENAI)),
    "to an unknown host without an SDK": Send("twin: a tool", UNRELATED, ELSE, None),
    # row 5: to the candidate by another method
    "a probe of the declared endpoint": Send("GET asks nobody", UNRELATED, PROXY, None, DECLARED, "GET"),
    "a probe of the provider's host": Send("nor here", UNRELATED, OPENAI, sdk(OPENAI), method="HEAD"),
    # row 6: to somebody else
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
    # row 7: anything else
    "a token refresh": Send("it asks nobody", UNRELATED, ELSE, sdk(PROXY), DECLARED),
    "an exporter": Send("nor does it", UNRELATED, "http://localhost:4318", None),
}  # fmt: skip


@pytest.mark.parametrize("name", SENDS)
def test_the_table(name: str) -> None:
    send = SENDS[name]
    assert whose(send.candidate, send.to, send.method, send.call, send.path) == send.whose, send.why


@pytest.mark.parametrize("name", SENDS)
def test_one_place_says_who_else_it_is(name: str) -> None:
    """What an SDK's call is asked before it sends (is it a call of its own?) agrees with whose its sends are then."""
    send = SENDS[name]
    base, model = (send.path, "") if send.call is None else (send.call.asked.base, send.call.model)
    call = None if send.call is None else sdk(send.call.endpoint, model=model, base=base)
    chat = replace(send, call=call, method="POST")
    found = whose(chat.candidate, chat.to, chat.method, chat.call, chat.path)
    asks_another = goes_to_another(chat.candidate, chat.to, base, model)
    assert (found == OTHER_CANDIDATE) == (asks_another and found != OWN), send.why


def test_every_answer_has_several_cases() -> None:
    counts = {word: sum(send.whose == word for send in SENDS.values()) for word in (OWN, OTHER_CANDIDATE, UNRELATED)}
    assert min(counts.values()) >= 5, counts
