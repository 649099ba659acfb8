"""Who an object of a framework is, by what it declares: its word for the provider, its model, where it sends to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from otel_failover._core.domain import providers
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.endpoint import endpoint_of
from otel_failover._core.failsafe import read, text_of
from otel_failover.integrations.loops.shared.declared_candidate import owner_of

_GIVEN: Final = ("base_url", "api_base_url", "azure_endpoint", "endpoint", "host")
_CLIENTS: Final = ("client", "async_client")


def candidate(word: str, model: object, declares: object) -> Candidate:
    """Return who it is: the provider of a host that is known or named by the user before the framework's word.

    Args:
        word: The framework's word for the provider; empty where it has none.
        model: The model's name.
        declares: The object that holds the base URL, or a client that does.
    """
    endpoint = _given(declares)
    provider = owner_of(endpoint) or word
    if endpoint is None:
        endpoint = _of_client(declares)
        # A client is made at the first call: a candidate on its provider's own host is the same before and after.
        owner = owner_of(endpoint)
        endpoint = None if owner is not None and owner == providers.canonical(word) else endpoint
        provider = owner or word
    return Candidate(provider, model if isinstance(model, str) else "", endpoint)


def _given(declares: object) -> str | None:
    more = read(declares, "client_params")
    urls = [read(declares, name) for name in _GIVEN]
    urls += [more.get("base_url")] if isinstance(more, Mapping) else []
    return next((found for url in urls if (found := _endpoint(url)) is not None), None)


def _of_client(declares: object) -> str | None:
    urls = (read(read(declares, name), "base_url") for name in _CLIENTS)
    return next((found for url in urls if (found := _endpoint(url)) is not None), None)


def _endpoint(url: Any) -> str | None:
    """Return the endpoint of a URL, whether a text or an object of an HTTP library."""
    if url is None or isinstance(url, (Mapping, list, tuple)):
        return None
    text = text_of(url)
    return endpoint_of(text) if "//" in text else None
