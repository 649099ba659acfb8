"""What an error body says under unusual keys, and what a gateway relays in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_failover._core.domain.reasons import REASONS
from otel_failover._core.evidence.answers.envelopes import body_in
from otel_failover._core.evidence.error_body import ErrorBody, error_in

RAW = "acme/model-x is temporarily rate-limited upstream. Please retry shortly, or add your own key"
INNER = {
    "error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}
}
OF_ANTHROPIC = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded: try Claude Haiku"}}


def found_in(body: Any) -> ErrorBody:
    found = error_in(json.loads(json.dumps(body)))
    assert found is not None
    return found


def relayed(raw: Any, **metadata: Any) -> ErrorBody:
    given = {"raw": raw, "provider_name": "BaseTen", **metadata}
    return found_in({"error": {"message": "Provider returned error", "code": 429, "metadata": given}})


@pytest.mark.parametrize(
    ("raw", "message", "code"),
    [
        (RAW, RAW, None),
        (json.dumps(INNER), "You exceeded your current quota", "insufficient_quota"),
        (INNER, "You exceeded your current quota", "insufficient_quota"),
        (json.dumps([INNER]), "You exceeded your current quota", "insufficient_quota"),
        (json.dumps(OF_ANTHROPIC), "Overloaded: try Claude Haiku", "overloaded_error"),
        ("data: " + json.dumps(INNER), "You exceeded your current quota", "insufficient_quota"),
        ('{"error": ', '{"error":', None),
    ],
)
def test_what_a_gateway_relays_is_read_one_level_down(raw: Any, message: str, code: str | None) -> None:
    found = relayed(raw)
    assert found.messages == ("Provider returned error", message)
    assert found.relayed == message
    assert found.inner.code == code
    assert code is None or code in found.codes
    assert found.statuses == {429}


def test_the_inner_status_is_an_own_fact_and_the_outer_decides() -> None:
    found = relayed(json.dumps({"error": {"message": "Internal error", "code": 500}}))
    assert found.statuses == {429, 500}
    assert found.reason(429) == "rate_limit"


@pytest.mark.parametrize(
    ("outer", "inner", "reason"),
    [
        (429, INNER, "rate_limit"),
        (503, INNER, "overloaded"),
        (500, INNER, "billing"),
        (502, OF_ANTHROPIC, "overloaded"),
        (502, {"error": {"message": "what"}}, "server_error"),
        (400, INNER, "billing"),
        (400, {"error": {"message": "x", "code": "context_length_exceeded"}}, "context_overflow"),
        (400, {"error": {"message": "x", "code": "rate_limit_exceeded"}}, "invalid_request"),
        (401, {"error": {"message": "x", "code": "context_length_exceeded"}}, "auth"),
        (402, OF_ANTHROPIC, "billing"),
        (418, OF_ANTHROPIC, "overloaded"),
    ],
)
def test_the_inner_error_decides_where_the_outer_says_next_to_nothing(outer: int, inner: Any, reason: str) -> None:
    found = found_in({"error": {"message": "Provider returned error", "code": outer, "metadata": {"raw": inner}}})
    assert found.reason(outer) == found.reason(200) == reason


ESCAPED = [
    "litellm.BadRequestError: OpenAIException - " + json.dumps(INNER),
    "litellm.RateLimitError: AnthropicException - " + json.dumps(json.dumps(INNER)).strip('"'),
    "Error code: 429 - " + repr(INNER),
    "VertexAIException - b'" + json.dumps(INNER) + "'",
    json.dumps(INNER),
    "[openai/gpt] [429]: " + json.dumps(INNER) + " (reset after 2s)",
]


@pytest.mark.parametrize("message", ESCAPED)
def test_a_body_inside_a_message_is_read(message: str) -> None:
    found = found_in({"error": {"message": message, "type": None, "param": None, "code": "500"}})
    assert found.inner.message == "You exceeded your current quota"
    assert "insufficient_quota" in found.codes
    assert found.relayed == "", "the message holds it already"
    assert found.reason(500) == "billing"


@pytest.mark.parametrize(
    "message",
    [
        'Invalid schema: {"type": "object", "properties": {}}',
        "Expected a value like {name}",
        'Invalid value for messages: {"role": "user", "content": "hello"}',
        "unbalanced {",
        "- {'a': 1, 'b'",
        'the tool said {"error": {"message": "No.", "code": "insufficient_quota"}}',
    ],
)  # fmt: skip
def test_other_braces_are_no_error(message: str) -> None:
    assert body_in(message) is None
    assert found_in({"error": {"message": message, "type": "invalid_request_error"}}).reason(400) == "invalid_request"


@given(st.text(max_size=80), st.text(alphabet="{}[]\":,\\'ab1 ", max_size=80))
def test_any_message_is_read(before: str, inside: str) -> None:
    body_in(before + "{" + inside)
    found = error_in({"error": {"message": before + ": {" + inside, "code": "500"}})
    assert found is not None
    assert found.reason(500) in REASONS


def test_who_the_upstream_is_is_no_fact() -> None:
    found = relayed(RAW)
    assert all("BaseTen" not in str(part) for part in (found.codes, found.messages, found.words, found.note))


def test_earlier_errors_are_own_texts_and_never_the_reason() -> None:
    earlier = [{"code": 402, "message": "Insufficient credits at the first upstream"}, {"raw": "x"}, "Overloaded there"]
    found = relayed(RAW, previous_errors=earlier)
    assert found.earlier == ("Insufficient credits at the first upstream", "Overloaded there")
    assert found.reason(429) == "rate_limit"
    assert found.statuses == {429}


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"code": 429, "message": "x", "metadata": {"retry_after_seconds": 17}}}, 17.0),
        ({"error": {"code": 429, "message": "x", "metadata": {"headers": {"Retry-After": "9"}}}}, 9.0),
        (
            {"error": {"code": 429, "message": "x", "metadata": {"headers": {"X-RateLimit-Reset": "1741305600000"}}}},
            None,
        ),
        ({"error": "Model is currently loading", "estimated_time": 20.5}, 20.5),
        ({"detail": "throttled", "status": 429, "retry_after": 3}, 3.0),
        ({"detail": "throttled", "status": 429, "retry_after": "soon"}, None),
        ({"detail": "throttled", "status": 429, "retry_after": 99999999}, None),
        ({"error": {"code": 429, "message": "x", "details": [{"retryDelay": "52s"}]}}, 52.0),
    ],
)
def test_the_wait_is_read_where_providers_put_it(body: dict[str, Any], seconds: float | None) -> None:
    assert found_in(body).retry_after == seconds


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": 429, "message": "x"}}, None),
        ({"error": {"code": "429", "message": "x", "type": "None"}}, None),
        ({"error": {"code": "401", "message": "x", "type": "auth_error"}}, "auth_error"),
        ({"error": {"code": "1113", "message": "x"}}, "1113"),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "1008"),
        ({"error_code": 17, "error_msg": "x"}, "17"),
        ({"code": "Some resource has been exhausted", "error": "x"}, None),
        ({"status": "failure", "message": "x"}, None),
        ({"error": "x", "error_type": "overloaded"}, "overloaded"),
        ({"errors": [{"code": 3036, "message": "x"}], "success": False}, "3036"),
        (
            {"error": {"code": "invalid_request_error", "type": "unknown_error", "message": "x"}},
            "invalid_request_error",
        ),
    ],
)
def test_a_status_or_a_sentence_is_no_code(body: dict[str, Any], code: str | None) -> None:
    assert found_in(body).code == code
