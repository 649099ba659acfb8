"""How an attempt ended: its facts, the words for it, and for a run's end, that stand on the wire; and the sentence.

What is said in a sentence is made here, of the facts alone, so that no two places can contradict each other.
"""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

from typing import Final, NamedTuple

from otel_failover._core.domain.reasons import TIMEOUT, UNKNOWN

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
UNSEEN: Final = "unseen"
"""Nobody that was seen has served it, and something that was not seen may have."""
UNASKED: Final = "unasked"
"""Nobody was asked, and no error left it."""

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
        host_exception: Class of what left the attempt where own evidence shows no failure: an error of the host's own
            code. Never its text, which may be a secret or a user's.
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
    host_exception: str | None = None


# --- in words ---------------------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """What was seen on the wire, as far as a sentence about an end speaks of it.

    Args:
        seconds: Since the span began on which the sentence stands.
        waited: Since the first request went out, to the last one's answer.
        sent: Requests to the candidate.
        status: That the last of them was answered with, though perhaps not to the end of its body.
        earlier: What those before it were answered with.
        output: Output had begun: chunks of a stream came.
        elsewhere: Something else was sent: a token refresh, a call to another candidate.
        sure: Nothing may have been sent that was not seen.
    """

    seconds: float
    waited: float = 0.0
    sent: int = 0
    status: int | None = None
    earlier: tuple[int, ...] = ()
    output: bool = False
    elsewhere: bool = False
    sure: bool = True


def own_error(settled: Outcome, seen: Seen, provider: str) -> str:
    """Return the own error in a sentence, where the provider said none.

    Args:
        settled: How the attempt, or the call, ended.
        seen: What was seen of it on the wire.
        provider: The candidate's.
    """
    reason = settled.reason or UNKNOWN
    kind = settled.exception[0] if settled.exception else settled.host_exception
    raised = f" ({kind})" if kind else ""
    heard = _heard(settled, seen, provider)
    if settled.origin == FROM_RESPONSE:
        return f"{settled.status} {reason} from {provider}" if settled.status else f"{reason} from {provider}"
    if reason == TIMEOUT:
        if heard:
            return f"{heard} and then went silent; given up after {seen.seconds:.1f} s"
        return f"no response from {provider} within {seen.seconds:.1f} s"
    if settled.origin == FROM_TRANSPORT:
        return f"{heard}, then the connection failed" if heard else f"connection to {provider} failed"
    if settled.origin == FROM_CLIENT:
        if heard:
            return f"{heard}, then this process failed{raised}"
        if seen.sent or not seen.sure:
            return f"{provider}: this process failed{raised}"
        return f"nothing was asked of {provider}: this process failed{raised}"
    return f"{reason}: {provider}"


def _heard(settled: Outcome, seen: Seen, provider: str) -> str:
    """Say what was heard of a candidate; empty where that was nothing."""
    status = settled.status if settled.status is not None else seen.status
    statuses = [*seen.earlier, *([status] if status is not None else [])]
    if statuses:
        return f"{provider} answered {', '.join(map(str, statuses))}"
    return f"{provider} began to answer" if seen.output else ""


def own_evidence(settled: Outcome, seen: Seen) -> str:
    """Return the own evidence in a few words, for the marker and the log.

    Args:
        settled: How the attempt ended, or would end now.
        seen: What was seen of it on the wire.
    """
    reason = settled.reason
    if not seen.sent:
        if seen.output:
            return "an answer to no request that was seen"
        if not seen.sure:
            return "no request to it was seen"
        return "nothing was sent to it" if seen.elsewhere else "nothing was sent"
    status = settled.status if settled.status is not None else seen.status
    if status is not None and (reason is None or settled.origin in (FROM_RESPONSE, None)):
        return answered(settled, status)
    statuses = [*seen.earlier, *([status] if status is not None else [])]
    if statuses or seen.output:
        heard = ", ".join(map(str, statuses)) or "an answer began"
        return f"{heard}, then {reason or 'nothing yet'} after {seen.seconds:.1f} s"
    return f"no response in {seen.waited:.1f} s ({reason})" if reason else f"no response yet, in {seen.waited:.1f} s"


def answered(settled: Outcome, status: int) -> str:
    """Return the own evidence in a few words where an answer says it all.

    Args:
        settled: How the attempt ended.
        status: Of the answer.
    """
    return " ".join(filter(None, [str(status), settled.code, settled.reason]))
