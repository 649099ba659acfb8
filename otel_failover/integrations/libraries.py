"""The table of what can be patched: the one place that names every adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_failover.integrations.patching import Library


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

    return (
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
