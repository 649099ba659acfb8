"""Why a candidate failed, in one neutral vocabulary, from its own evidence.

Hosts disagree over the same evidence (a 504 is `timeout` in one agent and `server_error` in the other), so our word
comes from the wire: the status first, then the provider's structured code, the text last. The host's own word is kept
beside it, and `compatible` says which host words may stand beside which evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover._core.domain.reasons.codes import ALSO_LOOPS, GENERAL, IN_A_BODY, NUMBERS, ONLY_PROVIDERS, VAGUE
from otel_failover._core.domain.reasons.wording import is_alibabas_rate, of_text, says_no_money, says_overloaded

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

_BY_STATUS: Final = {
    400: INVALID_REQUEST, 401: AUTH, 402: BILLING, 403: PERMISSION, 404: MODEL_NOT_FOUND, 405: INVALID_REQUEST,
    408: TIMEOUT, 409: INVALID_REQUEST, 410: MODEL_NOT_FOUND, 412: BILLING, 413: CONTEXT_OVERFLOW, 415: INVALID_REQUEST,
    422: INVALID_REQUEST, 424: SERVER_ERROR, 425: OVERLOADED, 429: RATE_LIMIT, 434: PERMISSION, 435: INVALID_REQUEST,
    446: CONTENT_POLICY, 451: PERMISSION, 498: OVERLOADED, 499: CANCELLED, 503: OVERLOADED, 504: TIMEOUT, 524: TIMEOUT,
    529: OVERLOADED,
}  # fmt: skip
"""Those that providers send, the odd ones too.

412 is Fireworks' unpaid account and Portkey's budget, 424 a model that failed, 434 and 435 are Zhipu's, 446 is
Portkey's guardrail, 498 Groq's flex tier at capacity, 499 a call that was given up.
"""

PROVIDER_CODES: Final = frozenset(ONLY_PROVIDERS) | {"invalid_request_error"}
"""Structured codes that only a provider's answer carries: words a loop also makes up by itself are left out."""

_QUOTA: Final = "insufficient_quota"
DASHSCOPE: Final = "dashscope/body"
"""Stands among the words of a body that is OpenAI's but for DashScope's request id."""
_IN_FLIGHT: Final = frozenset({"openrouter_in_flight_budget", "in_flight_budget_exhausted"})
"""A 402 of OpenRouter's that waiting heals: its other requests hold the credit."""
_OPEN: Final = frozenset({None, INVALID_REQUEST, PERMISSION, MODEL_NOT_FOUND})
"""What a code says, that a text may sharpen; nothing, above all."""

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
        words: The body's structured codes (`insufficient_quota`), numbers as `numbered` writes them, in any order.
        text: The body's message, the last resort.

    Returns:
        One of `REASONS`.
    """
    said = [word.lower() for word in words]
    found = [(word, reason) for word in said if (reason := _reason_in_a_body(word)) is not None and word not in VAGUE]
    rate = _is_alibabas(said, text)
    if any(reason == BILLING for word, reason in found if not (rate and word == _QUOTA)):
        return BILLING
    clear = next((reason for _, reason in found if reason != BILLING), None)
    if status == 402 and _IN_FLIGHT.isdisjoint(said):
        return BILLING
    if (rate and clear is None) or (status == 413 and "tokens" in said):
        clear = RATE_LIMIT
    reason = clear or _of_status(status)
    if text and reason != BILLING and says_no_money(text, rate=rate or "resource_exhausted" in said):
        return BILLING
    if reason is None or reason == UNKNOWN:
        # A status that nobody knows stays unknown beside a vague code: an error that nobody recognises is told as that.
        return of_text(text, more=True) or (_of_vague(said) if reason is None else None) or UNKNOWN
    return _sharpened(reason, text) if text and clear in _OPEN else reason


def numbered(space: str, number: int) -> str:
    """Return a provider's own number as `from_answer` takes it.

    Args:
        space: The key that it stands under: `base_resp`, `error_code`, `errors`, `code`.
        number: Such as 1008.
    """
    return f"{space}/{number}"


def _reason_in_a_body(word: str) -> str | None:
    """Return what a code of a body says, in small letters; of a compound one (`Throttling.RateQuota`) a part may."""
    reason = ONLY_PROVIDERS.get(word) or ALSO_LOOPS.get(word) or IN_A_BODY.get(word)
    if reason is not None or word.isalpha():
        return reason
    space, _, number = word.partition("/")
    if number.isdecimal():
        return NUMBERS.get(space, {}).get(int(number))
    for part in (word.partition(".")[0], word.rpartition(":")[2]):
        if part != word and (reason := ONLY_PROVIDERS.get(part) or IN_A_BODY.get(part)) is not None:
            return reason
    return PERMISSION if word.endswith("_model_access_denied") else None


def _is_alibabas(said: list[str], text: str) -> bool:
    """Whether `insufficient_quota` stands for a rate: DashScope has OpenAI's word for tokens a minute."""
    return _QUOTA in said and (DASHSCOPE in said or is_alibabas_rate(text))


def _of_status(status: int | None) -> str | None:
    if status is None or status < 400:
        return None
    return _BY_STATUS.get(status) or (SERVER_ERROR if status >= 500 else UNKNOWN)


def _of_vague(said: list[str]) -> str | None:
    """Return what a vague code says, where nothing else says anything."""
    return next((reason for word in said if (reason := _reason_in_a_body(word) or GENERAL.get(word))), None)


def _sharpened(reason: str, text: str) -> str:
    """Let the text decide between an unspecific refusal and what it says."""
    if reason in (INVALID_REQUEST, PERMISSION):
        return of_text(text) or reason
    if reason in (RATE_LIMIT, SERVER_ERROR) and says_overloaded(text):
        return OVERLOADED
    if reason in (SERVER_ERROR, MODEL_NOT_FOUND, CONTEXT_OVERFLOW, OVERLOADED):
        found = of_text(text, more=reason == CONTEXT_OVERFLOW)
        return found if found in _SHARPER[reason] else reason
    return reason


_SHARPER: Final[dict[str, frozenset[str]]] = {
    SERVER_ERROR: frozenset({CONTEXT_OVERFLOW, CONTENT_POLICY}),
    MODEL_NOT_FOUND: frozenset({PERMISSION}),
    CONTEXT_OVERFLOW: frozenset({RATE_LIMIT}),
    OVERLOADED: frozenset({AUTH}),
}
"""What a text may make of a status that says something else: a 500 around an upstream's refusal, say."""


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


def compatible(claimed: str, evident: str) -> bool:
    """Whether a claimed reason may stand beside an evident one without contradicting it."""
    if claimed == evident or claimed in _ANYTHING or evident in (UNKNOWN, RESPONSE_REJECTED):
        return True
    if evident == CLIENT_ERROR:
        return claimed in (INVALID_REQUEST, AUTH, CONTEXT_OVERFLOW, MODEL_NOT_FOUND, CONNECTION)
    return claimed in _BESIDE.get(evident, frozenset())
