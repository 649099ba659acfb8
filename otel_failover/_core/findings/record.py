"""What the rules of `findings` read and say: a run's record in, findings out.

Pure: no OpenTelemetry, no clock, no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from otel_failover._core.findings.attempt_record import AttemptRecord

__all__ = ["AttemptRecord", "Finding", "Record", "Report", "Skipped", "Thresholds"]


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
        outcome: `primary`, `fallback`, `exhausted`, `stopped`, `cancelled`, `unseen`, `unasked`.
        stop_reason: Why it ended with candidates left, if the loop said so.
        tried: Attempts in order.
        skipped: Candidates passed over, in order.
        untried: Places in the chain that were neither tried nor skipped.
        report: The error that left it; None where none did.
        seconds: Its length.
        booked: Places in the chain that the loop's own result may name as the one that served; empty where it names
            none.
        stray: Position in `tried` of the bare call outside the chain that served; -1 where none did.
        left_by: Class of the exception that left it; empty where none did.
        asked_elsewhere: While it lasted a model was asked where it cannot be seen whether for this run.
        unseen: What may have served it, where nobody is known to have; empty where nothing can have.
        begun_later: How many runs in a row of this loop, this one last, began at a later place of the chain, though the
            first was neither skipped nor tried.
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
    stray: int = -1
    left_by: str = ""
    asked_elsewhere: bool = False
    unseen: str = ""
    begun_later: int = 0


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
