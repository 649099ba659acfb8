"""How an attempt ended: its facts, and the words for it, and for a run's end, that stand on the wire."""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

from typing import Final, NamedTuple

# --- what becomes of an attempt ---------------------------------------------------------------------------------------
SUCCESS: Final = "success"
ERROR: Final = "error"
REJECTED: Final = "rejected"
PARTIAL: Final = "partial"
CANCELLED: Final = "cancelled"
SKIPPED: Final = "skipped"
OPEN: Final = "open"
"""Of an attempt that still runs; on the wire it stands nowhere."""

# --- what becomes of a run --------------------------------------------------------------------------------------------
PRIMARY: Final = "primary"
FALLBACK: Final = "fallback"
EXHAUSTED: Final = "exhausted"
STOPPED: Final = "stopped"
"""Served by its first candidate, by another, by none; or ended with candidates left."""

# --- where an error comes from ----------------------------------------------------------------------------------------
FROM_RESPONSE: Final = "response"
FROM_TRANSPORT: Final = "transport"
FROM_CLIENT: Final = "client"
FROM_CANCEL: Final = "cancelled"


class Outcome(NamedTuple):
    """The facts of an attempt's end.

    Args:
        outcome: `success`, `error`, `rejected`, `partial`, `cancelled`.
        reason: One of `reasons.REASONS`; None on success.
        origin: `response`, `transport`, `client`, `cancelled`; None where nothing says it.
        status: HTTP status of the terminal response; None if the terminal request got none.
        code: The provider's structured code.
        message: The provider's own sentence, unredacted; empty where it said nothing.
        exception: The own exception's class and text, unredacted.
        timeout: Kind of timeout.
        timeout_configured: Seconds.
        killed_by: Who ended it, where it was not the provider.
        retry_after: Seconds, as the provider asked.
        request_id: Of the terminal response.
        relayed: What a gateway's upstream said, unredacted, where the gateway's own sentence does not hold it.
    """

    outcome: str = SUCCESS
    reason: str | None = None
    origin: str | None = None
    status: int | None = None
    code: str | None = None
    message: str = ""
    exception: tuple[str, str] | None = None
    timeout: str | None = None
    timeout_configured: float | None = None
    killed_by: str | None = None
    retry_after: float | None = None
    request_id: str | None = None
    relayed: str = ""
