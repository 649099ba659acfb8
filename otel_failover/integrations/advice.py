"""What to do about a library that is not patched, or not wholly, and which of its calls are seen all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover.integrations.patching import PATCHED

if TYPE_CHECKING:
    from otel_failover.integrations.patching import Library, State

_SDKS: Final = frozenset({"openai", "anthropic", "google_genai", "bedrock"})
_TRANSPORTS: Final = frozenset({"httpx", "httpx2", "aiohttp", "botocore", "requests", "urllib3", "aiobotocore"})

_OF_AN_SDK: Final = "its calls are still seen by wire, where they go through a transport that is patched"
_OF_A_TRANSPORT: Final = "calls of patched SDKs are still seen, without evidence of what they send by it"
_OF_A_LOOP: Final = (
    "the provider calls that it makes are still seen, each by itself; failover_run around its call, or "
    "OTEL_FAILOVER_LOOPS, makes one run of them"
)


def advice(library: Library, state: State) -> str:
    """Return what helps, and what is still seen.

    Args:
        library: Which is not patched, or not wholly.
        state: What became of it.
    """
    if state.newer_than:
        wanted = f"{library.distribution}<={state.newer_than}"
        helps = f"install '{wanted}', the newest that was tested, or a newer otel-failover"
    elif state.status == PATCHED:
        helps = "install a newer otel-failover"
    else:
        helps = f"install '{library.distribution}{library.supported}', or a newer otel-failover"
    return f"{helps}; {still_seen(library.name)}"


def still_seen(name: str) -> str:
    """Return which calls are seen though a library is not patched.

    Args:
        name: The library's, as in the support table.
    """
    return _OF_AN_SDK if name in _SDKS else _OF_A_TRANSPORT if name in _TRANSPORTS else _OF_A_LOOP
