"""What the rules of `findings` read and say: a run's record in, findings out.

Pure: no OpenTelemetry, no clock, no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt, as its own evidence has it.

    Args:
        provider: Whose it was.
        model: As requested.
        index: Place in the chain, -1 outside it.
        number: 1-based, per candidate in the run.
        outcome: `success`, `error`, `rejected`, `partial`, `cancelled`; `open` where it still ran when the run ended.
        reason: One of `reasons.REASONS`; None on success.
        origin: `response`, `transport`, `client`, `cancelled`; None where nothing was seen.
        status: HTTP status of the terminal response.
        code: The provider's structured code.
        message: The provider's own sentence, redacted, at most 255 characters; empty where it said nothing.
        evidence: `complete`, `partial`, `none`.
        began: Seconds since the run began.
        ended: The same, at its end.
        requests: Provider requests, SDK retries included.
        calls: SDK calls; 0 where none was seen.
        retries: The SDK's own retries per call, as its client is configured; None where unknown.
        own: Fingerprints of the error texts that its own evidence holds.
        claimed: Fingerprints of the error texts that were claimed for it.
        timeout: Kind of timeout.
        configured: Seconds that timeout was set to.
        killed_by: `stale`, `deadline`, `caller_timeout`, `user`, `breaker`.
        response_model: The model that the answer names.
        empty: The answer had neither text nor a tool call; None where that was not seen.
        text_error: The answer's text reads like an error message; None where nobody looked.
        streamed: Output was handed on while it ran.
        declared: The loop declared it; else it was inferred from a bare call.
        probe: It only asked whether the candidate is back.
        cancelled_before: The run's caller had cancelled it, or the loop had said stop, before this attempt began.
        profile: The host's label of key or deployment.
        span_id: Of its span; empty with tracing off.
    """

    provider: str
    model: str
    index: int = -1
    number: int = 1
    outcome: str = "success"
    reason: str | None = None
    origin: str | None = None
    status: int | None = None
    code: str | None = None
    message: str = ""
    evidence: str = "complete"
    began: float = 0.0
    ended: float = 0.0
    requests: int = 0
    calls: int = 0
    retries: int | None = None
    own: frozenset[str] = frozenset()
    claimed: frozenset[str] = frozenset()
    timeout: str | None = None
    configured: float | None = None
    killed_by: str | None = None
    response_model: str = ""
    empty: bool | None = None
    text_error: bool | None = None
    streamed: bool = False
    declared: bool = True
    probe: bool = False
    cancelled_before: bool = False
    profile: str | None = None
    span_id: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """One candidate that was passed over.

    Args:
        provider: Whose it was.
        model: Of the candidate.
        index: Place in the chain, -1 outside it.
        reason: `cooldown`, `budget`, `not_allowed`, `not_configured`, `unsupported`, or the loop's own word.
        profile: The host's label of key or deployment.
        cause: Provider, model and profile of the candidate whose failure was cited; None where none was, or it is
            unknown.
        cause_reason: Why that one had failed.
    """

    provider: str
    model: str
    index: int = -1
    reason: str = ""
    profile: str | None = None
    cause: tuple[str, str, str | None] | None = None
    cause_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The error that left a run, or that the loop returned for it.

    Args:
        type: Its class.
        told: Positions in `Record.tried` of the attempts whose own error it tells.
        blamed: Providers that it names by a key of its own.
    """

    type: str = ""
    told: frozenset[int] = frozenset()
    blamed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Record:
    """One run, over.

    Args:
        library: Which loop: `manual`, `pydantic_ai` …
        loop: Its operation or route.
        chain: Provider and model of the configured chain, in order; empty where nobody declared one.
        outcome: `primary`, `fallback`, `exhausted`, `stopped`, `cancelled`.
        stop_reason: Why it ended with candidates left, if the loop said so.
        tried: Attempts in order.
        skipped: Candidates passed over, in order.
        untried: Places in the chain that were neither tried nor skipped.
        report: The error that left it; None where none did.
        seconds: Its length.
        booked: Places in the chain that the loop's own result may name as the one that served; empty where it names
            none.
    """

    library: str = "manual"
    loop: str = "chat"
    chain: tuple[tuple[str, str], ...] = ()
    outcome: str = "primary"
    stop_reason: str | None = None
    tried: tuple[AttemptRecord, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    untried: tuple[int, ...] = ()
    report: Report | None = None
    seconds: float = 0.0
    booked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What counts as too much.

    Args:
        stale_after: Seconds after which an open candidate is hung.
        max_requests: Provider requests per candidate and run; None: only what the SDK's own retries explain.
        starved_below: Seconds; a candidate that was given less and ran out of them was starved.
    """

    stale_after: float = 180.0
    max_requests: int | None = None
    starved_below: float = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that fired.

    Args:
        rule: Its name, as in `failover.findings`.
        sentence: For a person, at most 255 characters.
        level: `warning` or `info`.
        candidates: Places in the chain, or positions in `tried` where there is none, that it is about.
        facts: Its evidence: names to numbers, texts or lists of texts.
    """

    rule: str
    sentence: str
    level: str = "warning"
    candidates: tuple[int, ...] = ()
    facts: dict[str, str | int | float | list[str]] = field(default_factory=dict)
