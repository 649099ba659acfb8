"""Why a candidate failed: our word from the wire, and which host words may stand beside it."""

from __future__ import annotations

import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_failover._core.domain import reasons
from otel_failover._core.domain.reasons import (
    REASONS,
    SYNTHETIC_STATUSES,
    body_codes,
    codes,
    compatible,
    deciding,
    from_answer,
    neutral,
)
from otel_failover._core.evidence.error_body import error_in
from otel_failover.testing.answers import Answer
from otel_failover.testing.wire import anthropic as wire_anthropic
from otel_failover.testing.wire import gemini as wire_gemini
from otel_failover.testing.wire import openai as wire_openai

REAL: Final = [
    (wire_openai, Answer.openai_quota(), "billing"),
    (wire_openai, Answer.openai_rate_limit(), "rate_limit"),
    (wire_openai, Answer.openai_bad_key(), "auth"),
    (wire_openai, Answer.openai_model_not_found(), "model_not_found"),
    (wire_openai, Answer.openai_server_error(), "server_error"),
    (wire_openai, Answer.openai_context_overflow(), "context_overflow"),
    (
        wire_openai,
        Answer.error(400, "Your request was rejected by our safety system", code="content_policy_violation"),
        "content_policy",
    ),
    (wire_openai, Answer.error(503, "The engine is currently overloaded, please try again later"), "overloaded"),
    (wire_openai, Answer.error(402, "Insufficient Balance"), "billing"),
    (wire_openai, Answer.error(422, "temperature must be a number"), "invalid_request"),
    (wire_anthropic, Answer.anthropic_overloaded(), "overloaded"),
    (wire_anthropic, Answer.anthropic_rate_limit(), "rate_limit"),
    (wire_anthropic, Answer.anthropic_bad_key(), "auth"),
    (wire_anthropic, Answer.anthropic_not_found(), "model_not_found"),
    (wire_anthropic, Answer.anthropic_credit_too_low(), "billing"),
    (wire_anthropic, Answer.error(400, "prompt is too long: 210000 tokens > 200000 maximum"), "context_overflow"),
    (wire_anthropic, Answer.error(413, "Request exceeds the maximum size"), "context_overflow"),
    (wire_anthropic, Answer.error(500, "Internal server error"), "server_error"),
    (
        wire_anthropic,
        Answer.error(403, "Your API key does not have permission to use the specified resource."),
        "permission",
    ),
    (wire_gemini, Answer.gemini_quota(), "rate_limit"),
    (wire_gemini, Answer.gemini_bad_key(), "auth"),
    (wire_gemini, Answer.gemini_not_found(), "model_not_found"),
    (wire_gemini, Answer.gemini_overloaded(), "overloaded"),
    (wire_gemini, Answer.error(504, "Deadline expired before operation could complete."), "timeout"),
    (
        wire_gemini,
        Answer.error(400, "The input token count (1200000) exceeds the maximum", code="INVALID_ARGUMENT"),
        "context_overflow",
    ),
]


@pytest.mark.parametrize(("wire", "answer", "reason"), REAL, ids=lambda value: str(getattr(value, "message", ""))[:30])
def test_real_answers(wire: object, answer: Answer, reason: str) -> None:
    fault = wire.fault(answer)  # type: ignore[attr-defined]
    body = error_in(json.loads(json.dumps(wire.envelope(fault, "req_1"))))  # type: ignore[attr-defined]
    assert body is not None
    assert body.reason(answer.status) == reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "invalid_request"),
        (401, "auth"),
        (402, "billing"),
        (403, "permission"),
        (404, "model_not_found"),
        (408, "timeout"),
        (409, "invalid_request"),
        (410, "model_not_found"),
        (413, "context_overflow"),
        (415, "invalid_request"),
        (418, "unknown"),
        (422, "invalid_request"),
        (429, "rate_limit"),
        (405, "invalid_request"),
        (412, "billing"),
        (424, "server_error"),
        (425, "overloaded"),
        (434, "permission"),
        (435, "invalid_request"),
        (446, "content_policy"),
        (451, "permission"),
        (498, "overloaded"),
        (499, "cancelled"),
        (500, "server_error"),
        (501, "server_error"),
        (502, "server_error"),
        (503, "overloaded"),
        (504, "timeout"),
        (520, "server_error"),
        (524, "timeout"),
        (529, "overloaded"),
        (599, "server_error"),
        (200, "unknown"),
        (None, "unknown"),
    ],
)
def test_a_status_alone(status: int | None, reason: str) -> None:
    assert from_answer(status) == reason


@pytest.mark.parametrize(
    ("status", "code", "kind", "text", "reason"),
    [
        (429, "insufficient_quota", None, "", "billing"),
        (429, None, "insufficient_quota", "", "billing"),
        (429, "tokens", None, "", "rate_limit"),
        (500, "server_error", None, "", "server_error"),
        (503, "server_error", None, "", "overloaded"),
        (200, "server_error", None, "", "server_error"),
        (200, None, "overloaded_error", "", "overloaded"),
        (None, "rate_limit_exceeded", None, "", "rate_limit"),
        (401, "invalid_request_error", None, "", "auth"),
        (400, "CONTEXT_LENGTH_EXCEEDED", None, "", "context_overflow"),
        (429, "RESOURCE_EXHAUSTED", None, "", "rate_limit"),
        (400, "ThrottlingException", None, "", "rate_limit"),
        (403, None, None, "You exceeded your current quota", "billing"),
        (429, "RESOURCE_EXHAUSTED", None, "You exceeded your current quota", "rate_limit"),
        (400, "what", "ever", "", "invalid_request"),
        (429, None, None, "credit balance is too low", "billing"),
        (402, "RESOURCE_EXHAUSTED", None, "", "billing"),
        (401, "api_error", None, "", "auth"),
        (200, "api_error", None, "", "server_error"),
        (200, None, None, "prompt is too long", "context_overflow"),
    ],
)
def test_status_first_then_code_then_text(
    status: int | None, code: str | None, kind: str | None, text: str, reason: str
) -> None:
    assert from_answer(status, filter(None, (code, kind)), text) == reason


@given(
    st.none() | st.integers(-5, 1000),
    st.none() | st.text(max_size=20),
    st.none() | st.text(max_size=20),
    st.text(max_size=50),
)
def test_every_answer_has_a_reason(status: int | None, code: str | None, kind: str | None, text: str) -> None:
    assert from_answer(status, filter(None, (code, kind)), text) in REASONS


def test_tables_speak_our_vocabulary() -> None:
    """Whatever the module has of them: what a status, a code, a text or a host's word leads to."""
    named = {**vars(codes), **vars(body_codes), **vars(deciding), **vars(reasons)}
    tables = [each for name, each in named.items() if not name.startswith("__") and isinstance(each, dict)]
    tables += body_codes.NUMBERS.values()
    tables.remove(body_codes.NUMBERS)
    told = [word for table in tables for each in table.values() for word in ([each] if isinstance(each, str) else each)]
    words = {word for word in told if isinstance(word, str)}
    assert len(tables) > 3
    assert words <= REASONS
    assert len(words) > 12
    assert set(SYNTHETIC_STATUSES) <= REASONS
    assert all(key == key.lower() for table in tables for key in table if isinstance(key, str))
    assert all(code == code.lower() for code in reasons.PROVIDER_CODES)


def test_every_status_has_a_reason_with_every_code_of_a_provider() -> None:
    statuses = (None, *range(100, 600))
    said = ((), *([code.upper()] for code in reasons.PROVIDER_CODES))
    assert {from_answer(status, words) for status in statuses for words in said} <= REASONS


OPENCLAW: Final = {
    "auth": "auth",
    "auth_permanent": "auth",
    "format": "invalid_request",
    "rate_limit": "rate_limit",
    "overloaded": "overloaded",
    "billing": "billing",
    "server_error": "server_error",
    "timeout": "timeout",
    "tls_certificate": None,
    "context_overflow": "context_overflow",
    "model_not_found": "model_not_found",
    "session_expired": None,
    "empty_response": "empty_response",
    "no_error_details": "unknown",
    "unclassified": "unknown",
    "unknown": "unknown",
}
HERMES: Final = {
    "auth": "auth",
    "auth_permanent": "auth",
    "billing": "billing",
    "rate_limit": "rate_limit",
    "upstream_rate_limit": None,
    "overloaded": "overloaded",
    "server_error": "server_error",
    "timeout": "timeout",
    "ssl_cert_verification": None,
    "context_overflow": "context_overflow",
    "payload_too_large": None,
    "image_too_large": None,
    "model_not_found": "model_not_found",
    "provider_policy_blocked": None,
    "content_policy_blocked": None,
    "format_error": "invalid_request",
    "invalid_encrypted_content": None,
    "thinking_signature": None,
    "unknown": "unknown",
}


@pytest.mark.parametrize(("word", "reason"), [*OPENCLAW.items(), *HERMES.items()])
def test_words_of_agents(word: str, reason: str | None) -> None:
    """A word that we do not know is kept verbatim, and contradicts nothing."""
    assert neutral(word) == reason


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_our_own_words_in_any_spelling(reason: str) -> None:
    assert neutral(reason) == neutral(reason.upper()) == neutral(f" {reason.replace('_', ' ')} ") == reason
    assert compatible(reason, reason)


@pytest.mark.parametrize("word", [None, 429, "", "x" * 65, "the candidate did not answer", ["rate_limit"], b"auth"])
def test_what_is_no_word(word: object) -> None:
    assert neutral(word) is None


OPENCLAW_STATUSES: Final = {
    "billing": 402,
    "server_error": 500,
    "rate_limit": 429,
    "overloaded": 503,
    "auth": 401,
    "timeout": 408,
    "context_overflow": 413,
    "invalid_request": 400,
    "model_not_found": 404,
}


@pytest.mark.parametrize(("reason", "status"), OPENCLAW_STATUSES.items())
def test_statuses_that_agents_make_up_for_a_reason_may_stand_beside_it(reason: str, status: int) -> None:
    assert compatible(from_answer(status), reason)


SAME_EVIDENCE: Final = [
    ("timeout", 504),
    ("server_error", 504),
    ("server_error", 503),
    ("overloaded", 503),
    ("auth", 403),
    ("billing", 402),
    ("rate_limit", 529),
    ("timeout", 500),
    ("model_not_found", 400),
    ("format", 422),
    ("unknown", 418),
    ("format_error", 418),
    ("overloaded", 429),
    ("billing", 429),
]


@pytest.mark.parametrize(("word", "status"), SAME_EVIDENCE)
def test_two_agents_two_words_for_one_answer(word: str, status: int) -> None:
    claimed = neutral(word)
    assert claimed is not None
    assert compatible(claimed, from_answer(status))


@pytest.mark.parametrize(
    ("claimed", "evident"),
    [
        ("billing", "timeout"),
        ("rate_limit", "timeout"),
        ("auth", "timeout"),
        ("rate_limit", "connection"),
        ("billing", "overloaded"),
        ("timeout", "rate_limit"),
        ("timeout", "billing"),
        ("auth", "rate_limit"),
        ("model_not_found", "server_error"),
        ("context_overflow", "auth"),
        ("rate_limit", "model_not_found"),
        ("content_policy", "timeout"),
        ("rate_limit", "client_error"),
    ],
)
def test_words_that_contradict_the_evidence(claimed: str, evident: str) -> None:
    assert not compatible(claimed, evident)


@pytest.mark.parametrize("word", ["connection", "network", "connection_error"])
def test_a_request_that_could_not_be_sent_may_be_called_a_connection_error(word: str) -> None:
    """The SDKs themselves say "Connection error." for a base URL that cannot be asked."""
    claimed = neutral(word)
    assert claimed is not None
    assert compatible(claimed, "client_error")


@pytest.mark.parametrize("reason", ["timeout", "connection"])
@pytest.mark.parametrize("status", [408, 500, 503, 504])
def test_statuses_that_libraries_make_up(reason: str, status: int) -> None:
    assert status in SYNTHETIC_STATUSES[reason]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429])
def test_statuses_that_no_library_makes_up_for_silence(status: int) -> None:
    assert status not in SYNTHETIC_STATUSES["timeout"] | SYNTHETIC_STATUSES["connection"]
