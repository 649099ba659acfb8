"""What an SDK was asked in one call, as its adapter reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_failover._core.domain.endpoint import host_of
from otel_failover._core.domain.providers import provider_of_host

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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


def provider_of(asked: Asked, chain: Chain, aliases: Mapping[str, str], gateways: Collection[str]) -> str:
    """Return whom an SDK call asks, never `openai` merely because the SDK is.

    In this order: the chain's entry with this endpoint; the user's aliases; the table of hosts; the SDK's own provider
    where the base URL is its default; a chain entry whose model alone matches; else the host's name.

    Args:
        asked: What the SDK was asked.
        chain: Of the run; empty outside any.
        aliases: The user's own, from words in lower case to providers.
        gateways: Hosts that relay for many providers: the table of hosts says nothing about them.
    """
    listed = chain.owners.get(asked.endpoint)
    if listed:
        return listed
    host = host_of(asked.endpoint)
    known = aliases.get(host.lower())
    if known is None and host not in gateways:
        known = provider_of_host(host)
    if known is None and asked.is_default:
        known = asked.provider
    if known is None:
        alike = (chain.members[place] for place in chain.asking_for(asked.model))
        known = next((each.provider for each in alike if each.model == asked.model and each.endpoint is None), None)
    return known or host
