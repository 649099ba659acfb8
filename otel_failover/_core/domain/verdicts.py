"""The names of verdicts, of the rules that give them, and of what binds a claim to its source."""

from __future__ import annotations

from typing import Final

# --- what is found of a claim -----------------------------------------------------------------------------------------
VERIFIED: Final = "verified"
UNVERIFIED: Final = "unverified"
INCONSISTENT: Final = "inconsistent"
MISMATCH: Final = "mismatch"
SEVERITY: Final = {VERIFIED: 0, UNVERIFIED: 1, INCONSISTENT: 2, MISMATCH: 3}

# --- by which rule ----------------------------------------------------------------------------------------------------
MIXED_ERROR: Final = "mixed_error"
STALE_ERROR: Final = "stale_error"
FOREIGN_ERROR: Final = "foreign_error"
FOREIGN_RESPONSE: Final = "foreign_response"
WRONG_ENDPOINT: Final = "wrong_endpoint"
PROVIDER_CONFLICT: Final = "provider_conflict"
CLAIMED_ANSWER: Final = "claimed_answer"
STATUS_CONFLICT: Final = "status_conflict"
REASON_CONFLICT: Final = "reason_conflict"
RULES: Final = (
    MIXED_ERROR, STALE_ERROR, FOREIGN_ERROR, FOREIGN_RESPONSE, WRONG_ENDPOINT, PROVIDER_CONFLICT, CLAIMED_ANSWER,
    STATUS_CONFLICT, REASON_CONFLICT,
)  # fmt: skip
"""Every rule, in the order of precedence: the first that fires is reported."""

REPORT: Final = "report"
EVIDENCE_INCOMPLETE: Final = "evidence_incomplete"
NOTHING_SENT: Final = "nothing_sent"
NOTHING_BOUND: Final = "nothing_bound"
"""Why a claim stands as it is where no rule fires."""

# --- what a run got wrong ---------------------------------------------------------------------------------------------
FINDINGS: Final = (
    "chain_bypassed", "chain_stopped", "retry_storm", "refusal_repeated", "hung_candidate", "timeout_not_failed_over",
    "outage_not_failed_over", "futile_failover", "unjustified_skip", "identical_errors", "lossy_report",
    "local_failure", "text_error", "empty_success", "partial_delivered", "wrong_model", "misbooked_success",
    "nothing_served", "model_name_prefixed", "off_chain", "starved_candidate", "sticky_fallback", "cancelled_continued",
)  # fmt: skip
"""What a run can get wrong, by name, in the order in which findings are reported."""
FINDINGS_OFF: Final = frozenset({"text_error"})
"""Findings that are looked for only where they are asked for by name: they guess."""

# --- what binds a claim to its source ---------------------------------------------------------------------------------
OBJECT: Final = "object"
RESPONSE: Final = "response"
REQUEST: Final = "request"
CAUSE: Final = "cause"
REQUEST_ID: Final = "request_id"
TEXT: Final = "text"
FACTS: Final = "facts"
