"""Who a framework's model asks, by what the framework says of it and by where its client goes."""

from __future__ import annotations

from otel_failover._core.config import runtime
from otel_failover._core.domain import providers
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.endpoint import endpoint_of, host_of
from otel_failover._core.failsafe import read


def reaching(word: object, model: object, url: object = None) -> Candidate:
    """Return a candidate: a known host's provider before the framework's word, which names the SDK's for gateways.

    Args:
        word: What the framework calls the provider; what is no text counts as nothing said.
        model: As it is asked for.
        url: The base URL that its client has, where it is known.
    """
    endpoint = endpoint_of(str(url)) if url else None
    said, name = (each if isinstance(each, str) else "" for each in (word, model))
    return Candidate(owner_of(endpoint) or said, name, endpoint)


def owner_of(endpoint: str | None) -> str | None:
    """Return the provider that an endpoint is known to belong to; a gateway belongs to none.

    Args:
        endpoint: Scheme, host and port; None where it is not known.
    """
    if not endpoint:
        return None
    active, host = runtime.current(), host_of(endpoint)
    return active.provider_alias(host) or (None if host in active.gateways else providers.provider_of_host(host))


def base_url_of(client: object) -> object:
    """Return the base URL of an SDK's client: OpenAI's and Anthropic's kind, or google-genai's; None for neither."""
    return read(client, "base_url") or read(read(read(client, "_api_client"), "_http_options"), "base_url")
