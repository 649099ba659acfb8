"""Who an object of a framework asks: the provider, the model and the endpoint that it declares.

A base URL says more than a framework's own word: that often names the SDK, and one SDK serves many providers and
gateways. So the provider of a known host comes first, and the word where the host says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from otel_failover._core.config import runtime
from otel_failover._core.domain import providers
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.endpoint import endpoint_of, host_of, names_of
from otel_failover._core.failsafe import read, text_of

_GIVEN: Final = ("base_url", "api_base_url", "azure_endpoint", "endpoint", "host")
_CLIENTS: Final = ("client", "async_client")


def owner_of(endpoint: str | None) -> str | None:
    """Return the provider that an endpoint is known to belong to; a gateway belongs to none.

    Args:
        endpoint: Scheme, host and port; None where it is not known.
    """
    if not endpoint:
        return None
    active = runtime.current()
    known = providers.alias_of(endpoint, active.aliases)
    if known is None and active.gateways.isdisjoint(names_of(endpoint)):
        known = providers.provider_of_host(host_of(endpoint))
    return known


def base_url_of(client: object) -> object:
    """Return the base URL of an SDK's client: OpenAI's and Anthropic's kind, or google-genai's; None for neither."""
    return read(client, "base_url") or read(read(read(client, "_api_client"), "_http_options"), "base_url")


def candidate_at(word: object, model: object, url: object = None) -> Candidate:
    """Return the candidate behind a base URL.

    Args:
        word: What the framework calls the provider; what is no text counts as nothing.
        model: As it is asked for.
        url: The base URL that its client has, where it is known.
    """
    endpoint = endpoint_of(str(url)) if url else None
    provider, name = (each if isinstance(each, str) else "" for each in (word, model))
    return Candidate(owner_of(endpoint) or provider, name, str(url) if endpoint else None)


def declared_candidate(word: str, model: object, declares: object) -> Candidate:
    """Return the candidate that an object is, by its own fields and, where these hold no base URL, by its client.

    Args:
        word: What the framework calls the provider; empty where it has no word for it.
        model: The model's name.
        declares: The object that holds the base URL, or a client that does.
    """
    url = _given_url(declares)
    provider = _owner_of_url(url) or word
    if url is None:
        url = _client_url(declares)
        owner = _owner_of_url(url)
        if owner is not None and owner == providers.canonical(word):
            # The client is made at the first call only. A candidate on its provider's own host has to be the same
            # before and after, so the URL, which says nothing new, is left out.
            url = None
        provider = owner or word
    return Candidate(provider, model if isinstance(model, str) else "", url)


def _owner_of_url(url: str | None) -> str | None:
    return owner_of(endpoint_of(url)) if url is not None else None


def _given_url(declares: object) -> str | None:
    more = read(declares, "client_params")
    urls = [read(declares, name) for name in _GIVEN]
    urls += [more.get("base_url")] if isinstance(more, Mapping) else []
    return next((found for url in urls if (found := _url(url)) is not None), None)


def _client_url(declares: object) -> str | None:
    urls = (read(read(declares, name), "base_url") for name in _CLIENTS)
    return next((found for url in urls if (found := _url(url)) is not None), None)


def _url(url: Any) -> str | None:
    """Return the text of a URL that has a host, whether a text or an object of an HTTP library."""
    if url is None or isinstance(url, (Mapping, list, tuple)):
        return None
    text = text_of(url)
    return text if "//" in text and endpoint_of(text) is not None else None
