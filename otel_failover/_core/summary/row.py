"""One line of a summary: a candidate, what became of it, and what to call that for people who know no status codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from otel_failover._core.domain import reasons
from otel_failover._core.domain.outcome import CANCELLED, ERROR, PARTIAL, REJECTED, SKIPPED, SUCCESS

OPEN: Final = "open"
UNTRIED: Final = "untried"

OUTCOMES: Final = (
    SUCCESS, ERROR, REJECTED, PARTIAL, CANCELLED,
    SKIPPED, UNTRIED, OPEN,
)  # fmt: skip
"""What may have become of a candidate."""

TITLES: Final[dict[str, str]] = {
    reasons.MODEL_NOT_FOUND: "model not found / invalid model name",
    reasons.RATE_LIMIT: "quota/rate limit exhausted",
    reasons.BILLING: "quota/rate limit exhausted",
    reasons.AUTH: "authentication/permission error",
    reasons.PERMISSION: "authentication/permission error",
    reasons.TIMEOUT: "no response in time",
    reasons.SERVER_ERROR: "provider unavailable / overloaded",
    reasons.OVERLOADED: "provider unavailable / overloaded",
    reasons.CONNECTION: "no connection to the provider",
    reasons.INVALID_REQUEST: "request refused",
    reasons.CONTENT_POLICY: "refused by the provider's content policy",
    reasons.CONTEXT_OVERFLOW: "request too long for the model",
    reasons.EMPTY_RESPONSE: "empty answer",
    reasons.RESPONSE_REJECTED: "answer not accepted",
    reasons.PARTIAL_STREAM: "answer broke off",
    reasons.CANCELLED: "cancelled",
    reasons.CLIENT_ERROR: "failed before anything was sent",
    reasons.UNKNOWN: "failed for an unknown reason",
}
"""Every reason, in words for people."""

SKIPS: Final[dict[str, str]] = {
    "cooldown": "skipped: cooling down after a failure",
    "budget": "skipped: budget used up",
    "not_allowed": "skipped: not allowed for this request",
    "not_configured": "skipped: not configured",
    "unsupported": "skipped: cannot do what was asked",
}
"""The reasons of a skip that have a name; any other is the loop's own word, and stays inside."""

OTHER_SKIP: Final = "skipped"

_OTHERS: Final[dict[str, str]] = {
    SUCCESS: "answered",
    UNTRIED: "not tried",
    OPEN: "no answer yet",
}


@dataclass(frozen=True, slots=True)
class CandidateSummary:
    """What became of one candidate.

    Args:
        provider: As OpenTelemetry spells it; None where only the host's name is known.
        model_name: As requested; None where it is not known.
        status_code: HTTP status of its own last answer; None if there was none.
        reason: One of `reasons.REASONS`; of a skip, `cooldown`, `budget` …; None where there is nothing to explain.
        title: The same in words for people, from a closed table.
        outcome: `success`, `error`, `rejected`, `partial`, `cancelled`, `skipped`, `untried`, `open`.
        attempts: How often the loop tried it.
        text: The provider's own sentence, redacted; only where it was asked for, and from own evidence.
    """

    provider: str | None
    model_name: str | None
    status_code: int | None
    reason: str | None
    title: str
    outcome: str
    attempts: int = 1
    text: str | None = None

    def as_dict(self, *, text: bool = False) -> dict[str, Any]:
        """Return it in plain JSON types.

        Args:
            text: With the provider's sentence.
        """
        row: dict[str, Any] = {
            "provider": self.provider,
            "model_name": self.model_name,
            "status_code": self.status_code,
            "reason": self.reason,
            "title": self.title,
            "outcome": self.outcome,
            "attempts": self.attempts,
        }
        return row | {"text": self.text} if text else row

    def __str__(self) -> str:
        who = "/".join(filter(None, (self.provider, self.model_name))) or "a candidate"
        return f"{who}: {self.title}"


def title_of(outcome: str, reason: str | None) -> str:
    """Return what to call an end.

    Args:
        outcome: What became of the candidate.
        reason: Why.
    """
    if outcome == SKIPPED:
        return SKIPS.get(reason or "", OTHER_SKIP)
    return _OTHERS.get(outcome) or TITLES.get(reason or reasons.UNKNOWN, TITLES[reasons.UNKNOWN])
