"""Why a candidate failed, in one neutral vocabulary, from its own evidence.

Hosts disagree over the same evidence (a 504 is `timeout` in one agent and `server_error` in the other), so our word
comes from the wire: the status first, then the provider's structured code, the text last. The host's own word is kept
beside it, and `compatible` says which host words may stand beside which evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.reasons.codes import ALSO_LOOPS, ONLY_PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterable

RATE_LIMIT: Final = "rate_limit"
BILLING: Final = "billing"
AUTH: Final = "auth"
PERMISSION: Final = "permission"
MODEL_NOT_FOUND: Final = "model_not_found"
INVALID_REQUEST: Final = "invalid_request"
CONTEXT_OVERFLOW: Final = "context_overflow"
CONTENT_POLICY: Final = "content_policy"
OVERLOADED: Final = "overloaded"
SERVER_ERROR: Final = "server_error"
TIMEOUT: Final = "timeout"
CONNECTION: Final = "connection"
EMPTY_RESPONSE: Final = "empty_response"
RESPONSE_REJECTED: Final = "response_rejected"
PARTIAL_STREAM: Final = "partial_stream"
CANCELLED: Final = "cancelled"
CLIENT_ERROR: Final = "client_error"
UNKNOWN: Final = "unknown"

REASONS: Final = frozenset(
    {
        RATE_LIMIT, BILLING, AUTH, PERMISSION, MODEL_NOT_FOUND, INVALID_REQUEST, CONTEXT_OVERFLOW, CONTENT_POLICY,
        OVERLOADED, SERVER_ERROR, TIMEOUT, CONNECTION, EMPTY_RESPONSE, RESPONSE_REJECTED, PARTIAL_STREAM, CANCELLED,
        CLIENT_ERROR, UNKNOWN,
    }
)  # fmt: skip

PROVIDER_CODES: Final = frozenset(ONLY_PROVIDERS) | {"invalid_request_error"}
"""Structured codes that only a provider's answer carries: words a loop also makes up by itself are left out."""

_HOST_WORDS: Final = {
    "auth_permanent": AUTH, "authentication": AUTH, "unauthorized": AUTH, "forbidden": PERMISSION, "quota": BILLING,
    "insufficient_quota": BILLING, "payment_required": BILLING, "ratelimit": RATE_LIMIT, "rate-limit": RATE_LIMIT,
    "throttled": RATE_LIMIT, "too_many_requests": RATE_LIMIT, "overload": OVERLOADED, "format": INVALID_REQUEST,
    "format_error": INVALID_REQUEST, "bad_request": INVALID_REQUEST, "not_found": MODEL_NOT_FOUND,
    "timed_out": TIMEOUT, "deadline": TIMEOUT, "network": CONNECTION, "connection_error": CONNECTION,
    "internal_error": SERVER_ERROR, "5xx": SERVER_ERROR, "empty": EMPTY_RESPONSE, "abort": CANCELLED,
    "aborted": CANCELLED, "context_length": CONTEXT_OVERFLOW, "unclassified": UNKNOWN, "no_error_details": UNKNOWN,
}  # fmt: skip

_TRANSIENT: Final = frozenset({OVERLOADED, SERVER_ERROR, TIMEOUT, CONNECTION})
_ANYTHING: Final = frozenset({UNKNOWN, CLIENT_ERROR, RESPONSE_REJECTED})

_BESIDE: Final[dict[str, frozenset[str]]] = {
    RATE_LIMIT: frozenset({BILLING, OVERLOADED, CONTEXT_OVERFLOW, INVALID_REQUEST}),
    BILLING: frozenset({RATE_LIMIT, PERMISSION, INVALID_REQUEST, AUTH}),
    AUTH: frozenset({PERMISSION, INVALID_REQUEST, BILLING}),
    PERMISSION: frozenset({AUTH, BILLING, CONTENT_POLICY, INVALID_REQUEST, MODEL_NOT_FOUND}),
    MODEL_NOT_FOUND: frozenset({INVALID_REQUEST, PERMISSION}),
    INVALID_REQUEST: frozenset({MODEL_NOT_FOUND, CONTEXT_OVERFLOW, CONTENT_POLICY, BILLING, AUTH}),
    CONTEXT_OVERFLOW: frozenset({INVALID_REQUEST, RATE_LIMIT, PERMISSION}),
    CONTENT_POLICY: frozenset({INVALID_REQUEST, PERMISSION, EMPTY_RESPONSE}),
    OVERLOADED: _TRANSIENT | {RATE_LIMIT},
    SERVER_ERROR: _TRANSIENT,
    TIMEOUT: _TRANSIENT | {CANCELLED, EMPTY_RESPONSE},
    CONNECTION: _TRANSIENT | {EMPTY_RESPONSE},
    EMPTY_RESPONSE: frozenset({CONTENT_POLICY, PARTIAL_STREAM, INVALID_REQUEST, SERVER_ERROR}),
    PARTIAL_STREAM: _TRANSIENT | {EMPTY_RESPONSE},
    CANCELLED: frozenset({TIMEOUT, CONNECTION}),
}
"""Which words a host may reasonably use beside which evidence, besides the same one."""

SYNTHETIC_STATUSES: Final[dict[str, frozenset[int]]] = {
    TIMEOUT: frozenset({408, 499, 500, 502, 503, 504, 524}),
    CONNECTION: frozenset({408, 499, 500, 502, 503, 504, 520, 521, 522, 523}),
    CANCELLED: frozenset({408, 499, 500, 503, 504}),
    CLIENT_ERROR: frozenset({400, 500}),
    RESPONSE_REJECTED: frozenset({422, 500, 502}),
    PARTIAL_STREAM: frozenset({408, 500, 502, 503, 504}),
}
"""Statuses that libraries make up where no answer came: litellm says 408 for a timeout and 500 for a reset."""


def from_answer(status: int | None, words: Iterable[str] = (), text: str = "") -> str:
    """Return the reason that a provider's answer gives: the only place where that is decided.

    No money is `billing` under whatever status, code and words it comes. Else a code decides that is not vague, then
    the status, then the text: it sharpens what a status leaves open, and stands alone where there is none.

    Args:
        status: HTTP status of the response, or the one that a body under a 200 states; None where neither is known.
        words: The body's structured codes (`insufficient_quota`), those that say most first; numbers as
            `deciding.numbered` writes them.
        text: The body's message, the last resort.

    Returns:
        One of `REASONS`.
    """
    from otel_failover._core.domain.reasons.deciding import reason_of  # late: nothing of it is needed before a failure

    return reason_of(status, list(map(str.lower, words)), text)


def neutral(word: object) -> str | None:
    """Return our word for a host's own reason, or None where we do not know it."""
    if not isinstance(word, str) or len(word) > 64:
        return None
    folded = word.strip().lower().replace(" ", "_")
    if folded in REASONS:
        return folded
    return _HOST_WORDS.get(folded) or of_code(folded)


def of_code(code: str) -> str | None:
    """Return the reason that a provider's structured code gives, None where no provider says it."""
    folded = code.lower()
    return ONLY_PROVIDERS.get(folded) or ALSO_LOOPS.get(folded)


def is_known(code: str) -> bool:
    """Whether a provider's structured code is one that we know, however little it says."""
    from otel_failover._core.domain.reasons.body_codes import IN_A_BODY, VAGUE  # late: not needed before a failure

    word = code.lower()
    return word in PROVIDER_CODES or word in ALSO_LOOPS or word in VAGUE or word in IN_A_BODY


def compatible(claimed: str, evident: str) -> bool:
    """Whether a claimed reason may stand beside an evident one without contradicting it."""
    if claimed == evident or claimed in _ANYTHING or evident in (UNKNOWN, RESPONSE_REJECTED):
        return True
    if evident == CLIENT_ERROR:
        return claimed in (INVALID_REQUEST, AUTH, CONTEXT_OVERFLOW, MODEL_NOT_FOUND, CONNECTION)
    return claimed in _BESIDE.get(evident, frozenset())
