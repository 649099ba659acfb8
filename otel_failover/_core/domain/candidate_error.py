"""A candidate's own error, for whoever reports it."""

# Without `from __future__ import annotations`: a dataclass would take the text of each annotation apart at import.

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CandidateError:
    """A candidate's own error: the truth a loop may report.

    Args:
        provider: Whose it is.
        model: As requested.
        status_code: Of the terminal response; None if there was none.
        reason: One of our reasons: `rate_limit`, `billing`, `timeout` …
        message: The provider's own sentence, redacted, or "no response from anthropic within 123.0 s".
        origin: `response`, `transport`, `client`, `cancelled`; None where nothing was seen.
        span_id: 16 hex digits of the candidate's span, empty with tracing off.
        profile: The host's label of key or deployment.
    """

    provider: str
    model: str
    status_code: int | None
    reason: str
    message: str
    origin: str | None
    span_id: str = ""
    profile: str | None = None
