"""What an SDK was asked in one call, as its adapter reads it."""

from __future__ import annotations

from typing import NamedTuple


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
