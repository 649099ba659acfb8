"""The one record of an attempt that has ended.

In a module of its own, because every attempt makes one: the other records of `findings` are dataclasses, which cost
time at import and are only needed where a run may have got something wrong. Pure: no OpenTelemetry, no clock, no I/O.
"""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

from typing import TYPE_CHECKING, Final, NamedTuple

from otel_failover._core.domain.candidate import Candidate, shown
from otel_failover._core.domain.outcome import Outcome

if TYPE_CHECKING:
    from otel_failover._core.domain.candidate_error import CandidateError

_SHORT: Final = 255


class AttemptRecord(NamedTuple):
    """One attempt, as its own evidence has it; made once, by the attempt itself, when it ends.

    Args:
        candidate: Who was tried.
        index: Place in the chain, -1 outside it.
        number: 1-based, per candidate in the run.
        settled: How it ended; `open` where it still ran when the run ended.
        error: The candidate's own error, in words that may be shown; None on success.
        evidence: `complete`, `partial`, `none`.
        began: Seconds since the run began.
        ended: The same, at its end.
        requests: Provider requests, SDK retries included.
        sends: Those, and what else was sent inside it: probes, images, calls to other candidates.
        calls: SDK calls; 0 where none was seen.
        retries: The SDK's own retries per call, as its client is configured; None where unknown.
        messages: The providers' sentences in its own error responses, unredacted.
        claims: Texts that were claimed for it, unredacted.
        own: Fingerprints of `messages`; filled in for the findings of a run in which something was claimed.
        claimed: Fingerprints of what stands in `claims`; likewise.
        response_model: The model that the answer names.
        empty: The answer had neither text nor a tool call; None where that was not seen.
        text_error: The answer's text reads like an error message; None where nobody looked.
        streamed: Output was handed on while it ran.
        declared: The loop declared it; else it was inferred from a bare call.
        probe: It only asked whether the candidate is back.
        cancelled_before: The run's caller had cancelled it, or the loop had said stop, before this attempt began.
        span_id: Of its span; empty with tracing off.
        repeats: It is no call of its own for whoever counts retries, but the one before once more: an SDK that is seen
            by wire tries again by itself.
        refused: For each of its calls that was refused by 401, 402, 403 or 404 a number, which is equal where the same
            was refused in the same way: address, model, credential, code and message. It never leaves this process.
    """

    candidate: Candidate
    index: int = -1  # type: ignore[assignment]  # nobody looks for a value in a record
    number: int = 1
    settled: Outcome = Outcome()
    error: "CandidateError | None" = None
    evidence: str = "complete"
    began: float = 0.0
    ended: float = 0.0
    requests: int = 0
    sends: int = 0
    calls: int = 0
    repeats: bool = False
    retries: int | None = None
    messages: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()
    claimed: frozenset[str] = frozenset()
    response_model: str = ""
    empty: bool | None = None
    text_error: bool | None = None
    streamed: bool = False
    declared: bool = True
    probe: bool = False
    cancelled_before: bool = False
    span_id: str = ""
    refused: tuple[int, ...] = ()

    @property
    def key(self) -> object:
        """The candidate's identity within its run: its place, outside the chain the candidate itself."""
        return self.index if self.index >= 0 else self.candidate.identity

    @property
    def provider(self) -> str:
        """Whose it was."""
        return self.candidate.provider

    @property
    def model(self) -> str:
        """As requested, as it may be shown."""
        return shown(self.candidate.model)

    @property
    def profile(self) -> str | None:
        """The host's label of key or deployment."""
        return self.candidate.profile

    @property
    def outcome(self) -> str:
        """`success`, `error`, `rejected`, `partial`, `cancelled`; `open` where it still ran when the run ended."""
        return self.settled.outcome

    @property
    def reason(self) -> str | None:
        """One of `reasons.REASONS`; None on success."""
        return self.settled.reason

    @property
    def origin(self) -> str | None:
        """`response`, `transport`, `client`, `cancelled`; None where nothing was seen."""
        return self.settled.origin

    @property
    def status(self) -> int | None:
        """HTTP status of the terminal response."""
        return self.settled.status

    @property
    def code(self) -> str | None:
        """The provider's structured code."""
        return self.settled.code

    @property
    def message(self) -> str:
        """The candidate's own error in a sentence, redacted, at most 255 characters; empty where there is none."""
        return self.error.message[:_SHORT] if self.error is not None else ""

    @property
    def timeout(self) -> str | None:
        """Kind of timeout."""
        return self.settled.timeout

    @property
    def configured(self) -> float | None:
        """Seconds that timeout was set to."""
        return self.settled.timeout_configured

    @property
    def killed_by(self) -> str | None:
        """`stale`, `deadline`, `caller_timeout`, `user`, `breaker`."""
        return self.settled.killed_by
