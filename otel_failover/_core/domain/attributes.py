"""Every attribute, span and metric name that goes on the wire, once.

The tables that explain them stand in the README. Three rules hold for additions: nothing under `otel.*` or
`gen_ai.*`, nothing called `error`, and no key that is also the prefix of another.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "otel_failover"
"""Instrumentation scope of our spans and metrics, and the name of our logger."""

# --- spans ------------------------------------------------------------------------------------------------------------
SPAN_RUN: Final = "failover"
SPAN_CANDIDATE: Final = "candidate"
SPAN_SKIP: Final = "skip"
SPAN_MISMATCH: Final = "failover.attribution.mismatch"
SPAN_HUNG: Final = "failover.hung"

# --- on every span started inside an attempt --------------------------------------------------------------------------
CANDIDATE_PROVIDER: Final = "candidate.provider"
CANDIDATE_MODEL: Final = "candidate.model"
CANDIDATE_INDEX: Final = "candidate.index"

# --- on candidate spans -----------------------------------------------------------------------------------------------
CANDIDATE_ENDPOINT: Final = "candidate.endpoint"
CANDIDATE_PROFILE: Final = "candidate.profile"
CANDIDATE_ATTEMPT: Final = "candidate.attempt"
CANDIDATE_OUTCOME: Final = "candidate.outcome"
RUN_ID: Final = "failover.run.id"
REASON_CODE: Final = "failover.reason.code"
REASON_HOST: Final = "failover.reason.host"
REASON_EXCEPTION: Final = "failover.reason.exception"
"""Class of an error of the host's own code that left the attempt: `KeyError` while it read a good answer."""
ERROR_ORIGIN: Final = "failover.error.origin"
ERROR_CODE: Final = "failover.error.code"
ERROR_FINGERPRINT: Final = "failover.error.fingerprint"
ERROR_REPLAYED: Final = "failover.error.replayed"
TIMEOUT_KIND: Final = "failover.timeout.kind"
TIMEOUT_CONFIGURED: Final = "failover.timeout.configured"
KILLED_BY: Final = "failover.killed_by"
RETRY_AFTER: Final = "failover.retry_after"
EVIDENCE: Final = "failover.evidence"
EVIDENCE_GAP: Final = "failover.evidence_gap"
WIRE_REQUESTS: Final = "failover.wire.requests"
WIRE_STATUSES: Final = "failover.wire.statuses"
WIRE_REQUEST_ID: Final = "failover.wire.request_id"
STATUS_SYNTHETIC: Final = "failover.status.synthetic"
SKIP_REASON: Final = "failover.skip.reason"
SKIP_CAUSE_SPAN_ID: Final = "failover.skip.cause_span_id"

# --- on run spans -----------------------------------------------------------------------------------------------------
LIBRARY: Final = "failover.library"
LOOP_NAME: Final = "failover.loop.name"
CHAIN: Final = "failover.chain"
OUTCOME: Final = "failover.outcome"
STOP_REASON: Final = "failover.stop.reason"
ATTEMPT_COUNT: Final = "failover.attempt.count"
UNTRIED: Final = "failover.untried"
WASTED_DURATION: Final = "failover.wasted.duration"
FINDINGS: Final = "failover.findings"
EVENT_FINDING: Final = "failover.finding."
"""Prefix of the event that each finding is: its rule follows."""
FINDING_RULE: Final = "failover.finding.rule"
FINDING_SENTENCE: Final = "failover.finding.sentence"
FINDING_LEVEL: Final = "failover.finding.level"
FINDING_CANDIDATES: Final = "failover.finding.candidates"
FINDING_FACT: Final = "failover.finding.fact."
"""Prefix of a finding's evidence: `seconds`, `requests` …"""

# --- on the marker of a candidate that hangs --------------------------------------------------------------------------
SILENT_DURATION: Final = "failover.silent.duration"

# --- on judged spans --------------------------------------------------------------------------------------------------
VERDICT: Final = "failover.attribution.verdict"
RULE: Final = "failover.attribution.rule"
MISMATCH: Final = "failover.attribution.mismatch"
EXPECTED_PROVIDER: Final = "failover.attribution.expected.provider"
SOURCE_PROVIDER: Final = "failover.attribution.source.provider"
SOURCE_INDEX: Final = "failover.attribution.source.index"
SOURCE_SPAN_ID: Final = "failover.attribution.source.span_id"
BOUND_BY: Final = "failover.attribution.bound_by"
CLAIMED: Final = "failover.attribution.claimed."
"""Prefix of the claim's own facts: `reason`, `type`, `status_code`, `code`, `request_id`, `message`."""
CLAIMED_REASON: Final = CLAIMED + "reason"
CLAIMED_TYPE: Final = CLAIMED + "type"
CLAIMED_STATUS_CODE: Final = CLAIMED + "status_code"
CLAIMED_CODE: Final = CLAIMED + "code"
CLAIMED_REQUEST_ID: Final = CLAIMED + "request_id"
CLAIMED_MESSAGE: Final = CLAIMED + "message"
OWN_EVIDENCE: Final = "failover.attribution.own"
"""On marker spans: the span's own evidence in a sentence."""

# --- OpenTelemetry's own names, copied: the generated constants move between releases -----------------------------
ERROR_TYPE: Final = "error.type"
HTTP_STATUS: Final = "http.response.status_code"
EVENT_EXCEPTION: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
GEN_AI_OPERATION: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER: Final = "gen_ai.provider.name"
GEN_AI_SYSTEM: Final = "gen_ai.system"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

# --- metrics ----------------------------------------------------------------------------------------------------------
METRIC_RUNS: Final = "failover.runs"
METRIC_ATTEMPTS: Final = "failover.attempts"
METRIC_ATTEMPT_DURATION: Final = "failover.attempt.duration"
METRIC_RUN_DURATION: Final = "failover.run.duration"
METRIC_FINDINGS: Final = "failover.run.findings"
METRIC_OPEN_AGE: Final = "failover.attempt.open.age"
METRIC_CHECKS: Final = "failover.attribution.checks"
METRIC_MISMATCHES: Final = "failover.attribution.mismatches"
METRIC_INTERNAL_ERRORS: Final = "failover.internal.errors"
METRIC_SITE: Final = "failover.site"
