"""Every provider's documented refusals, and the reason that each gives: whole, and under a 200."""

from __future__ import annotations

import json
from collections import Counter

import httpx
import pytest

from otel_failover._core.attribution import rules
from otel_failover._core.attribution.claim import Claim
from otel_failover._core.attribution.facts import UNBOUND, OwnFacts
from otel_failover._core.domain.reasons import BILLING, PROVIDER_CODES, REASONS, from_answer
from otel_failover._core.evidence.answers.success import Document
from otel_failover._core.evidence.answers.success import error_in as error_in_success
from otel_failover._core.evidence.error_body import ErrorBody, error_in, read_error
from tests.core.domain.provider_errors import ROWS, Row

each = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
NO_ENVELOPE = frozenset({"html", "bedrock", "cohere", "mistral", "fastapi", "portkey", "nim", "replicate", "dashscope"})
"""Who answers so only under an error's own status: a flat `message` or `detail` under a 200 may be an answer."""


def body_of(row: Row) -> ErrorBody:
    content = row.body if isinstance(row.body, str) else json.dumps(row.body)
    headers = {"x-amzn-errortype": row.header} if row.header else {}
    return read_error(httpx.Response(row.status, content=content.encode(), headers=headers))


@each
def test_a_refusal_gives_its_reason(row: Row) -> None:
    assert body_of(row).reason(row.status) == row.reason


@each
def test_the_same_body_under_a_200_gives_what_it_says_by_itself(row: Row) -> None:
    """A body says less than a body and a status; what it says it says in an event of a stream, too."""
    expected = row.under_200 or row.reason
    assert body_of(row).reason(200) == body_of(row).reason(None) == expected
    if isinstance(row.body, dict) and not row.header and (event := error_in(row.body)) is not None:
        assert event.reason(None) == expected


@each
def test_an_envelope_under_a_200_is_known_for_an_error(row: Row) -> None:
    if isinstance(row.body, str) or row.provider in NO_ENVELOPE:
        return
    body = row.body[0] if isinstance(row.body, list) else row.body
    if not isinstance(body.get("error"), (str, dict)) and "base_resp" not in body and "error_code" not in body:
        return
    said = error_in_success(Document(json.loads(json.dumps(body))))
    assert said is not None
    found = error_in(said)
    assert found is not None
    assert found.reason(200) == (row.under_200 or row.reason)


def test_the_table_is_a_table() -> None:
    providers = Counter(row.provider for row in ROWS)
    assert len(ROWS) >= 300
    assert len(providers) >= 25
    assert {row.reason for row in ROWS} <= REASONS
    assert {row.under_200 for row in ROWS} - {""} <= REASONS
    assert sum(row.reason == BILLING for row in ROWS) >= 50


NO_MONEY_WORDS = [
    "Rate limit reached on requests per min (RPM). You can increase it by adding a payment method to your account.",
    "Rate limit reached on tokens per day (TPD). Need more tokens? Upgrade at https://console.groq.com/settings/billing",
    "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
    "Free credits temporarily have rate limits. Please try again later.",
    "Number of request tokens has exceeded your per-minute rate limit. Contact sales to discuss your options.",
    "m is temporarily rate-limited upstream. Please retry shortly, or add your own key to accumulate your rate limits",
    "You are using a Trial key, which is limited to 20 API calls / minute.",
    "stop upstream requests before you retry",
]


@pytest.mark.parametrize("text", NO_MONEY_WORDS)
def test_a_rate_limit_may_speak_of_money(text: str) -> None:
    """Whoever is woken for an unpaid bill finds none."""
    assert from_answer(429, (), text) == "rate_limit"
    assert from_answer(429, ("rate_limit_exceeded",), text) == "rate_limit"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 412, 429, 500, None])
@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("insufficient_quota", ""),
        ("credit_balance_exhausted", ""),
        ("Arrearage", ""),
        ("exceeded_current_quota_error", ""),
        ("personal-team-blocked:spending-limit", ""),
        ("", "Insufficient Balance"),
        ("", "You have run out of credits"),
        ("", "Your credit balance is too low to access the API"),
        ("", "You have reached your specified API usage limits."),
        ("", "您的账户余额不足"),
        ("rate_limit_error", "Your team has reached its monthly spending limit"),
    ],
)
def test_no_money_is_billing_under_whatever_status(status: int | None, code: str, text: str) -> None:
    assert from_answer(status, filter(None, [code]), text) == "billing"


@each
def test_a_loop_that_looks_at_nothing_but_the_status_contradicts_nothing(row: Row) -> None:
    """Most loops classify by status alone: an honest word, though the body says more."""
    if row.status < 400:
        return
    own = OwnFacts(
        sent=1, answered=1, statuses=frozenset({row.status}), reasons=frozenset({row.reason}), codes=body_of(row).codes
    )
    verdict = rules.judge(Claim(word=from_answer(row.status), status=row.status), UNBOUND, own)
    assert verdict.verdict == "verified"


MADE_UP_BY_LOOPS = [
    "RequestTimeout", "Timeout", "TimeoutError", "BadRequestError", "InternalServerError", "NotFoundError", "AuthError",
    "rate_limited", "overloaded", "quota_exceeded", "budget_exceeded", "unauthorized", "forbidden", "validation",
    "provider_unavailable", "provider_overloaded", "model_unavailable", "unknown_model", "capacity_exceeded", "blocked",
    "content_policy", "refusal", "server", "timeout", "authentication", "payment_required", "throttling", "429", "500",
]  # fmt: skip


@pytest.mark.parametrize("code", MADE_UP_BY_LOOPS)
def test_a_loops_own_word_is_no_providers_code(code: str) -> None:
    """On an attempt that was never answered, a code proves an answer only where no loop makes it up."""
    assert code.lower() not in PROVIDER_CODES
    own = OwnFacts(sent=1, answered=0, reasons=frozenset({"timeout"}))
    assert rules.judge(Claim(codes=frozenset({code})), UNBOUND, own).verdict != "mismatch"


@pytest.mark.parametrize("code", ["insufficient_quota", "credit_balance_exhausted", "overloaded_error", "Arrearage"])
def test_a_providers_own_code_on_silence_is_an_answer_that_nobody_gave(code: str) -> None:
    own = OwnFacts(sent=1, answered=0, reasons=frozenset({"timeout"}))
    verdict = rules.judge(Claim(codes=frozenset({code})), UNBOUND, own)
    assert (verdict.verdict, verdict.rule) == ("mismatch", "claimed_answer")


def test_no_word_of_ours_is_a_providers_code() -> None:
    assert not REASONS & PROVIDER_CODES
