"""Every provider's documented refusals, and the reason that each gives: whole, and under a 200."""

from __future__ import annotations

import json
from collections import Counter

import httpx
import pytest

from otel_failover._core.domain.reasons import BILLING, REASONS, from_answer
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
