"""Why a provider refused: status, codes and text held together. Imported late, at the first failure.

Pure. A code decides before the text, and before the status unless it is vague; no money is told before anything else.
"""

from __future__ import annotations

from typing import Final

from otel_failover._core.domain.reasons import (
    AUTH,
    BILLING,
    CANCELLED,
    CONTENT_POLICY,
    CONTEXT_OVERFLOW,
    INVALID_REQUEST,
    MODEL_NOT_FOUND,
    OVERLOADED,
    PERMISSION,
    RATE_LIMIT,
    SERVER_ERROR,
    TIMEOUT,
    UNKNOWN,
)
from otel_failover._core.domain.reasons.body_codes import GENERAL, IN_A_BODY, NUMBERS, VAGUE
from otel_failover._core.domain.reasons.codes import ALSO_LOOPS, ONLY_PROVIDERS
from otel_failover._core.domain.reasons.wording import is_alibabas_rate, of_text, says_no_money, says_overloaded

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

_QUOTA: Final = "insufficient_quota"
DASHSCOPE: Final = "dashscope/body"
"""Stands among the words of a body that is OpenAI's but for DashScope's request id."""
_IN_FLIGHT: Final = frozenset({"openrouter_in_flight_budget", "in_flight_budget_exhausted"})
"""A 402 of OpenRouter's that waiting heals: its other requests hold the credit."""
_OPEN: Final = frozenset({None, INVALID_REQUEST, PERMISSION, MODEL_NOT_FOUND})
"""What a code says, that a text may sharpen; nothing, above all."""


def reason_of(status: int | None, said: list[str], text: str) -> str:
    """Return the reason that an answer gives, as `reasons.from_answer` promises.

    Args:
        status: Of the response, or the one that its body states.
        said: The body's codes and numbers, in small letters.
        text: The body's message.
    """
    found = [(word, reason) for word in said if (reason := _reason_in_a_body(word)) is not None and word not in VAGUE]
    # `insufficient_quota` stands for a rate at DashScope, which has OpenAI's word for tokens a minute.
    rate = _QUOTA in said and (DASHSCOPE in said or is_alibabas_rate(text))
    clear: str | None = None
    for word, reason in found:
        if reason != BILLING:
            clear = clear or reason
        elif not (rate and word == _QUOTA):
            return BILLING
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
