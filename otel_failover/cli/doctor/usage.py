"""What is known of how the service uses its providers: hosts that are nobody's, threads without context.

Where the doctor looks at a service that has run (`otel-failover doctor -- command`), what its calls have shown; and
what the environment says of base URLs.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from otel_failover._core.config import usage_hints
from otel_failover._core.domain.endpoint import endpoint_of, is_loopback, names_of
from otel_failover._core.domain.providers import provider_of_host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover._core.config.settings import Settings

_BASE_URLS: Final = {
    "OPENAI_BASE_URL": "openai",
    "OPENAI_API_BASE": "openai",
    "ANTHROPIC_BASE_URL": "anthropic",
    "GOOGLE_GEMINI_BASE_URL": "gcp.gemini",
    "MISTRAL_SERVER_URL": "mistral_ai",
    "GROQ_BASE_URL": "groq",
    "OLLAMA_HOST": "ollama",
}
"""Variables that SDKs take their base URL from, and whose SDKs they are."""


def problems() -> Iterator[str]:
    """Yield what has gone wrong in this process: calls without the context of their run."""
    if usage_hints.without_context:
        yield usage_hints.lost_context_text(usage_hints.without_context[0])


def notes(settings: Settings) -> Iterator[str]:
    """Yield which hosts are nobody's that is known, with the line that says whose they are.

    Args:
        settings: In force.
    """
    asked = usage_hints.unknown_hosts
    known = {*settings.gateways, *(word.lower() for word in settings.provider_aliases), *asked, *asked.values()}
    yield from map(usage_hints.unknown_host_text, asked.values())
    for variable, provider in _BASE_URLS.items():
        exact, host = names_of(endpoint_of(os.environ.get(variable, "")) or "")
        if host and known.isdisjoint((exact, host)) and provider_of_host(host) is None:
            name = exact if is_loopback(host) else host
            alias = json.dumps({name: provider})
            yield (
                f"{variable} names {name}, which is nobody's that is known: its calls are told as that host's. Where "
                f"it is the provider's own: OTEL_FAILOVER_PROVIDER_ALIASES='{alias}'; where it relays for several: "
                f"OTEL_FAILOVER_GATEWAYS={name}"
            )
