"""Why a candidate failed, in one neutral vocabulary, from its own evidence.

Hosts disagree over the same evidence (a 504 is `timeout` in one agent and `server_error` in the other), so our word
comes from the wire: the status first, then the provider's structured code, the text last. The host's own word is kept
beside it, and `compatible` says which host words may stand beside which evidence.
"""

from __future__ import annotations

from typing import Final

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

_BY_STATUS: Final = {
    400: INVALID_REQUEST, 401: AUTH, 402: BILLING, 403: PERMISSION, 404: MODEL_NOT_FOUND, 408: TIMEOUT,
    409: INVALID_REQUEST, 410: MODEL_NOT_FOUND, 413: CONTEXT_OVERFLOW, 415: INVALID_REQUEST, 422: INVALID_REQUEST,
    429: RATE_LIMIT, 498: AUTH, 503: OVERLOADED, 504: TIMEOUT, 524: TIMEOUT, 529: OVERLOADED,
}  # fmt: skip

_BY_CODE: Final = {
    # OpenAI and what speaks its format
    "insufficient_quota": BILLING, "billing_hard_limit_reached": BILLING, "billing_not_active": BILLING,
    "rate_limit_exceeded": RATE_LIMIT, "tokens": RATE_LIMIT, "requests": RATE_LIMIT,
    "invalid_api_key": AUTH, "account_deactivated": AUTH, "missing_scope": PERMISSION,
    "unsupported_country_region_territory": PERMISSION, "model_not_found": MODEL_NOT_FOUND,
    "invalid_model": MODEL_NOT_FOUND, "context_length_exceeded": CONTEXT_OVERFLOW,
    "string_above_max_length": CONTEXT_OVERFLOW, "content_policy_violation": CONTENT_POLICY,
    "content_filter": CONTENT_POLICY, "responsibleaipolicyviolation": CONTENT_POLICY, "server_error": SERVER_ERROR,
    "engine_overloaded": OVERLOADED, "server_overloaded": OVERLOADED,
    # Anthropic
    "billing_error": BILLING, "rate_limit_error": RATE_LIMIT, "authentication_error": AUTH,
    "permission_error": PERMISSION, "not_found_error": MODEL_NOT_FOUND, "request_too_large": CONTEXT_OVERFLOW,
    "overloaded_error": OVERLOADED, "api_error": SERVER_ERROR, "timeout_error": TIMEOUT,
    # Google
    "resource_exhausted": RATE_LIMIT, "unauthenticated": AUTH, "permission_denied": PERMISSION,
    "not_found": MODEL_NOT_FOUND, "unavailable": OVERLOADED, "deadline_exceeded": TIMEOUT, "internal": SERVER_ERROR,
    "failed_precondition": INVALID_REQUEST, "api_key_invalid": AUTH,
    # AWS
    "throttlingexception": RATE_LIMIT, "accessdeniedexception": PERMISSION,
    "resourcenotfoundexception": MODEL_NOT_FOUND,
    "validationexception": INVALID_REQUEST, "modeltimeoutexception": TIMEOUT, "modelnotreadyexception": OVERLOADED,
    "serviceunavailableexception": OVERLOADED, "internalserverexception": SERVER_ERROR,
    "unrecognizedclientexception": AUTH, "expiredtokenexception": AUTH, "invalidsignatureexception": AUTH,
    "incompletesignatureexception": AUTH, "missingauthenticationtokenexception": AUTH,
    "servicequotaexceededexception": RATE_LIMIT, "modelerrorexception": SERVER_ERROR,
    "modelstreamerrorexception": SERVER_ERROR,
}  # fmt: skip

_VAGUE_CODES: Final = frozenset({"invalid_request_error", "invalid_argument", "tokens", "requests", "server_error"})
"""Codes that say less than the status they come with."""

_ALSO_A_LOOPS_WORD: Final = frozenset(
    {
        "tokens", "requests", "server_error", "internal", "not_found", "unavailable", "content_filter",
        "rate_limit_error", "timeout_error", "billing_error", "model_not_found", "deadline_exceeded", "unauthenticated",
        "permission_denied",
    }
)  # fmt: skip

PROVIDER_CODES: Final = (frozenset(_BY_CODE) | {"invalid_request_error"}) - _ALSO_A_LOOPS_WORD
"""Structured codes that only a provider's answer carries: words a loop also makes up by itself are left out."""

_BY_TEXT: Final = (
    (CONTEXT_OVERFLOW, ("maximum context length", "prompt is too long", "context window", "input token count",
                        "input is too long for requested model")),
    (BILLING, ("credit balance is too low", "exceeded your current quota", "insufficient balance")),
    (AUTH, ("api key not valid", "invalid x-api-key", "incorrect api key", "invalid api key")),
    (CONTENT_POLICY, ("content management policy", "content policy", "safety system", "usage policies")),
    (MODEL_NOT_FOUND, ("model does not exist", "unknown model", "model not found", "is not a valid model",
                       "model identifier is invalid")),
)  # fmt: skip

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
    RATE_LIMIT: frozenset({BILLING, OVERLOADED}),
    BILLING: frozenset({RATE_LIMIT, PERMISSION, INVALID_REQUEST, AUTH}),
    AUTH: frozenset({PERMISSION, INVALID_REQUEST, BILLING}),
    PERMISSION: frozenset({AUTH, BILLING, CONTENT_POLICY, INVALID_REQUEST, MODEL_NOT_FOUND}),
    MODEL_NOT_FOUND: frozenset({INVALID_REQUEST, PERMISSION}),
    INVALID_REQUEST: frozenset({MODEL_NOT_FOUND, CONTEXT_OVERFLOW, CONTENT_POLICY, BILLING, AUTH}),
    CONTEXT_OVERFLOW: frozenset({INVALID_REQUEST, RATE_LIMIT}),
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


def from_answer(status: int | None, code: str | None = None, kind: str | None = None, text: str = "") -> str:
    """Return the reason that a provider's answer gives.

    Args:
        status: HTTP status of the response; 200 where the error came inside a stream.
        code: The body's structured code (`insufficient_quota`).
        kind: The body's error type (`rate_limit_error`), asked after the code.
        text: The body's message, the last resort.

    Returns:
        One of `REASONS`.
    """
    for word in (code, kind):
        reason = _BY_CODE.get(word.lower()) if word else None
        if reason is not None and (status is None or status < 400 or (word or "").lower() not in _VAGUE_CODES):
            return _sharpened(reason, text)
    if status is None or status < 400:
        return _from_text(text) or UNKNOWN
    if status in _BY_STATUS:
        return _sharpened(_BY_STATUS[status], text)
    return SERVER_ERROR if status >= 500 else _from_text(text) or UNKNOWN


def _sharpened(reason: str, text: str) -> str:
    """Let the text decide between an unspecific refusal and what it says."""
    return (_from_text(text) or reason) if reason in (INVALID_REQUEST, PERMISSION) else reason


def _from_text(text: str) -> str | None:
    folded = text[:2048].casefold()
    for reason, phrases in _BY_TEXT:
        if any(phrase in folded for phrase in phrases):
            return reason
    return None


def neutral(word: object) -> str | None:
    """Return our word for a host's own reason, or None where we do not know it."""
    if not isinstance(word, str) or len(word) > 64:
        return None
    folded = word.strip().lower().replace(" ", "_")
    if folded in REASONS:
        return folded
    return _HOST_WORDS.get(folded) or _BY_CODE.get(folded)


def of_code(code: str) -> str | None:
    """Return the reason that a provider's structured code gives, None where no provider says it."""
    return _BY_CODE.get(code.lower())


def compatible(claimed: str, evident: str) -> bool:
    """Whether a claimed reason may stand beside an evident one without contradicting it."""
    if claimed == evident or claimed in _ANYTHING or evident in (UNKNOWN, RESPONSE_REJECTED):
        return True
    if evident == CLIENT_ERROR:
        return claimed in (INVALID_REQUEST, AUTH, CONTEXT_OVERFLOW, MODEL_NOT_FOUND, CONNECTION)
    return claimed in _BESIDE.get(evident, frozenset())
