"""What an SDK was asked in one call, and whose call that makes it."""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

from typing import TYPE_CHECKING, NamedTuple

from otel_failover._core.domain.endpoint import host_of, names_of
from otel_failover._core.domain.providers import alias_of, provider_of_host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_failover._core.domain.chain import Chain


class Asked(NamedTuple):
    """What an SDK was asked, as its adapter reads it.

    Args:
        sdk: The SDK's name: `openai`.
        operation: `chat`, `embeddings` …; None for what is no inference (lists, files, moderation).
        model: As requested.
        endpoint: Scheme, host and port that the client sends to.
        is_default: That is the SDK's own.
        provider: The SDK's own provider, believed only where the base URL is its default.
        credential: The client's key; compared in memory, never exported.
        streamed: A stream was asked for.
        own_spans: The SDK, or another instrumentation, makes the call's span.
        retries: How often the SDK tries again by itself; None where that is not known.
        body: What it was given, as the SDK has it; read only where a failure makes it matter what was asked.
        base: Path of the client's base URL, `/openai/deployments/prod-a`; compared in memory, never exported. What the
            SDK puts into the path of one request, and only repeats the model, is no part of it.
        told: Whom it asks by the word of somebody who knows no better than the host's name: the type of the client
            (`AzureOpenAI`), or another instrumentation's span of the call.
    """

    sdk: str
    operation: str | None
    model: str
    endpoint: str
    is_default: bool
    provider: str
    credential: object = None
    streamed: bool = False
    own_spans: bool = False
    retries: int | None = None
    body: object = None
    base: str = ""
    told: str = ""


def provider_of(
    asked: Asked,
    chain: "Chain",
    aliases: "Mapping[str, str]",
    gateways: "frozenset[str]",
    told: "Callable[[], str] | None" = None,
) -> str:
    """Return the provider that a call asks.

    The most certain source that knows it decides: the chain, where one of its members declares this endpoint; the
    user's aliases; the table of well-known hosts; the SDK's own provider, where the client goes to the SDK's default.
    Then a member of the chain that asks for the same model and leaves its endpoint open; then whoever else has told;
    last the host's name.

    Args:
        asked: What the SDK was asked.
        chain: The configured chain, `EMPTY` where there is none.
        aliases: The user's `provider_aliases`, by words in lower case.
        gateways: Hosts that relay for many providers: the table of hosts is not asked about them.
        told: Finds out what another instrumentation's span says of the call; asked where nothing else knows.
    """
    declared = chain.owner_of(asked.endpoint, asked.base, asked.model)
    if declared:
        return declared
    host = host_of(asked.endpoint)
    known = alias_of(asked.endpoint, aliases) if aliases else None
    if known is None and (not gateways or gateways.isdisjoint(names_of(asked.endpoint))):
        known = provider_of_host(host)
    if known is None and asked.is_default:
        known = asked.provider
    if known is None:
        members = (chain.members[place] for place in chain.asking_for(asked.model))
        alike = (each for each in members if each.model == asked.model and each.endpoint is None)
        known = next((each.provider for each in alike), None)
    return known or asked.told or (told() if told is not None else "") or host
