"""The table of what can be patched: the one place that names every adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otel_failover.integrations.patching import Library


NEWEST: Final = {
    "openai": "3.57.0",
    "anthropic": "2.14.0",
    "google_genai": "3.6.1",
    "pydantic_ai": "2.68.0",
    "litellm": "1.110.2",
    "langchain_core": "1.8.3",
    "langchain": "1.5.2",
    "haystack": "3.4.1",
    "agno": "3.1.10",
    "google_adk": "2.13.0",
    "strands": "1.62.0",
    "livekit": "1.8.9",
    "bedrock": "1.44.8",
    "httpx": "0.28.1",
    "httpx2": "2.16.2",
    "aiohttp": "3.14.5",
    "botocore": "1.44.8",
    "requests": "2.34.2",
    "urllib3": "2.8.0",
}
"""The newest release of each library that the tests have seen: the last one of its row in the support table.

A newer one is patched too, where a look at its places shows that they are as they were (`seams`).
"""


def libraries() -> tuple[Library, ...]:
    """Return what can be patched. To add a library: one module, one line here."""
    from otel_failover.integrations.loops.agno.patches import AGNO
    from otel_failover.integrations.loops.google_adk.patches import GOOGLE_ADK
    from otel_failover.integrations.loops.haystack import HAYSTACK
    from otel_failover.integrations.loops.langchain.agents import LANGCHAIN
    from otel_failover.integrations.loops.langchain.runnables import LANGCHAIN_CORE
    from otel_failover.integrations.loops.litellm.patches import LITELLM
    from otel_failover.integrations.loops.livekit import LIVEKIT
    from otel_failover.integrations.loops.pydantic_ai.patches import PYDANTIC_AI
    from otel_failover.integrations.loops.strands.patches import STRANDS
    from otel_failover.integrations.providers.anthropic import ANTHROPIC
    from otel_failover.integrations.providers.bedrock import BEDROCK
    from otel_failover.integrations.providers.google_genai import GOOGLE_GENAI
    from otel_failover.integrations.providers.openai import OPENAI
    from otel_failover.integrations.transports.aiohttp import AIOHTTP
    from otel_failover.integrations.transports.botocore import BOTOCORE
    from otel_failover.integrations.transports.httpx import HTTPX, HTTPX2
    from otel_failover.integrations.transports.requests import REQUESTS
    from otel_failover.integrations.transports.urllib3 import URLLIB3

    known = (
        HTTPX,
        HTTPX2,
        AIOHTTP,
        BOTOCORE,
        REQUESTS,
        URLLIB3,
        OPENAI,
        ANTHROPIC,
        GOOGLE_GENAI,
        BEDROCK,
        PYDANTIC_AI,
        LITELLM,
        LANGCHAIN_CORE,
        LANGCHAIN,
        HAYSTACK,
        AGNO,
        GOOGLE_ADK,
        STRANDS,
        LIVEKIT,
    )
    return tuple(library._replace(tested=NEWEST.get(library.name, "")) for library in known)
