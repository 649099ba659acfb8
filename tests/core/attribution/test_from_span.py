"""What anybody's span claims about an error."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import StatusCode

from otel_failover import Candidate
from otel_failover._core.attribution.from_span import Reading, names_candidate, read_claim

TRACER = TracerProvider().get_tracer("tests")


def wrong(reason: str) -> pytest.MarkDecorator:
    """Mark what the contract decides and the code does otherwise."""
    return pytest.mark.xfail(strict=True, reason=reason)


def reading(
    attributes: dict[str, Any] | None = None,
    *,
    status: StatusCode = StatusCode.UNSET,
    description: str | None = None,
    event: dict[str, Any] | None = None,
) -> Reading | None:
    """Read a span of the real SDK."""
    span = TRACER.start_span("ask", attributes=attributes)
    if event is not None:
        span.add_event("exception", event)
    if status is not StatusCode.UNSET:
        span.set_status(status, description)
    span.end()
    return read_claim(span)


def claim(attributes: dict[str, Any] | None = None, **more: Any) -> Reading:
    found = reading(attributes, **more)
    assert found is not None
    return found


ERROR: dict[str, Any] = {"status": StatusCode.ERROR}


def test_an_error_status_claims_its_description() -> None:
    found = claim(status=StatusCode.ERROR, description="it failed")
    assert found.error
    assert found.claim.texts == ("it failed",)


def test_an_exception_event_of_an_error_span_is_a_claim() -> None:
    event = {"exception.type": "openai.RateLimitError", "exception.message": "no", "exception.stacktrace": "stale text"}
    found = claim(status=StatusCode.ERROR, event=event)
    assert found.claim.type == "openai.RateLimitError"
    assert found.claim.texts == ("no",)


def test_an_exception_event_of_another_span_is_none() -> None:
    assert reading(event={"exception.type": "openai.RateLimitError", "exception.message": "no"}) is None


@pytest.mark.parametrize(
    ("attributes", "part", "value"),
    [
        ({"error.type": "openai.RateLimitError"}, "type", "openai.RateLimitError"),
        ({"error.type": "insufficient_quota"}, "codes", {"insufficient_quota"}),
        ({"error.type": "TimeoutError"}, "codes", set()),
        ({"error.type": "429"}, "status", 429),
        ({"error.type": "x", "error.code": "rate_limit_exceeded"}, "codes", {"x", "rate_limit_exceeded"}),
        ({"error.type": "Y", "error.code": "429"}, "status", 429),
        ({"error.type": "Y", "error.request_id": "req_1"}, "request_ids", {"req_1"}),
        ({"error.message": "no"}, "texts", ("no",)),
        ({"http.response.status_code": 429}, "status", 429),
        ({"http.status_code": 503}, "status", 503),
        ({"http.status_code": "503"}, "status", 503),
    ],
)
def test_attributes_that_claim_an_error(attributes: dict[str, Any], part: str, value: Any) -> None:
    found = claim(attributes)
    assert found.error
    assert getattr(found.claim, part) == value


@pytest.mark.parametrize(
    "key",
    [
        "error.code",
        pytest.param("error.request_id"),
        pytest.param("error.description"),
    ],
)
def test_every_key_under_error_is_a_claim(key: str) -> None:
    assert reading({key: "something"}) is not None


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"http.response.status_code": 200},
        {"http.response.status_code": 302},
        {"fallback.error": "no", "retry.error.message": "no", "previous.error.type": "no", "previous_error": "no"},
        {"gen_ai.input.messages": "why did it say error 429?", "gen_ai.request.model": "m"},
        {"gen_ai.tool.call.result": "429 Too Many Requests"},
        {"db.response.status_code": "500", "rpc.grpc.status_code": 14},
        {"exception.stacktrace": "no"},
    ],
)
def test_what_is_no_claim(attributes: dict[str, Any]) -> None:
    assert reading(attributes) is None
    assert reading(attributes, status=StatusCode.OK) is None


def test_a_success_claims_its_response_id() -> None:
    found = claim({"gen_ai.response.id": "chatcmpl-1"})
    assert not found.error
    assert found.claim.response_id == "chatcmpl-1"
    assert claim({"gen_ai.response.id": "chatcmpl-1"}, **ERROR).claim.response_id is None


@pytest.mark.parametrize("value", [True, 99, 600, "abc", "", -1, 4.29, [429]])
def test_what_is_no_status(value: Any) -> None:
    assert reading({"http.response.status_code": value}) is None


@pytest.mark.parametrize(
    ("attributes", "provider", "model"),
    [
        ({"gen_ai.provider.name": "openai", "gen_ai.request.model": "m"}, "openai", "m"),
        ({"gen_ai.system": "gemini"}, "gcp.gemini", None),
        ({"gen_ai.system": "az.ai.openai"}, "azure.ai.openai", None),
        ({"gen_ai.provider.name": "fallback:openai,anthropic"}, None, None),
        ({"gen_ai.provider.name": "openai,anthropic"}, None, None),
        ({"gen_ai.request.model": ("a", "b")}, None, None),
        ({}, None, None),
    ],
)
def test_whom_a_span_names(attributes: dict[str, Any], provider: str | None, model: str | None) -> None:
    found = claim(attributes, **ERROR)
    assert (found.provider, found.model) == (provider, model)


@pytest.mark.parametrize(
    ("attributes", "address"),
    [
        ({"server.address": "h.example", "server.port": 8080}, ("h.example", 8080)),
        ({"server.address": "h.example"}, ("h.example", None)),
        ({"net.peer.name": "h.example", "net.peer.port": 80}, ("h.example", 80)),
        ({"url.full": "https://h.example/v1"}, ("h.example", 443)),
        ({"http.url": "http://user:secret@h.example:8080/v1"}, ("h.example", 8080)),
        ({"url.full": "nonsense://"}, None),
        ({}, None),
    ],
)
def test_the_host_that_a_span_names(attributes: dict[str, Any], address: tuple[str, int | None] | None) -> None:
    assert claim(attributes, **ERROR).address == address


CHAT = {"gen_ai.operation.name": "chat"}


@pytest.mark.parametrize(
    ("attributes", "conflict"),
    [
        ({"gen_ai.provider.name": "anthropic", "error.llm_provider": "openai"}, "openai"),
        ({"gen_ai.system": "anthropic", "litellm.provider.error.llm_provider": "openai", "error.type": "X"}, "openai"),
        ({"gen_ai.provider.name": "anthropic", "error.llm_provider": "anthropic"}, None),
        ({"gen_ai.provider.name": "azure.ai.openai", "error.llm_provider": "openai"}, None),
        ({"gen_ai.provider.name": "gcp.gemini", "error.llm_provider": "vertex_ai"}, None),
        ({"gen_ai.provider.name": "our-own", "error.llm_provider": "openai"}, None),
        ({"error.llm_provider": "openai"}, None),
        ({"gen_ai.provider.name": "openai,anthropic", "error.llm_provider": "gemini"}, None),
        ({**CHAT, "gen_ai.provider.name": "openai", "error.type": "anthropic.RateLimitError"}, "anthropic"),
        ({**CHAT, "gen_ai.provider.name": "openai", "error.type": "google.genai.errors.ClientError"}, "gcp.gemini"),
        ({**CHAT, "gen_ai.provider.name": "openai", "error.type": "botocore.exceptions.ClientError"}, "aws.bedrock"),
        ({**CHAT, "gen_ai.provider.name": "anthropic", "error.type": "openai.RateLimitError"}, None),
        ({**CHAT, "gen_ai.provider.name": "aws.bedrock", "error.type": "anthropic.RateLimitError"}, None),
        ({**CHAT, "gen_ai.provider.name": "gcp.vertex_ai", "error.type": "anthropic.RateLimitError"}, None),
        ({**CHAT, "gen_ai.provider.name": "deepseek", "error.type": "anthropic.APIStatusError"}, None),
        ({"gen_ai.provider.name": "openai", "error.type": "anthropic.RateLimitError"}, None),
        ({**CHAT, "gen_ai.provider.name": "openai", "error.type": "anthropic_helpers.Error"}, None),
    ],
)
def test_a_span_that_names_two(attributes: dict[str, Any], conflict: str | None) -> None:
    """A gateway-like SDK, and a family that the candidate may be asked through, are no conflict."""
    assert claim(attributes, **ERROR).claim.conflict == conflict


@pytest.mark.parametrize(
    ("provider", "model", "named"),
    [
        ("openai", "gpt-5.5", True),
        (None, "gpt-5.5", True),
        ("openai", None, True),
        ("anthropic", "gpt-5.5", False),
        ("openai", "gpt-4o", False),
        ("anthropic", None, False),
        (None, None, False),
    ],
)
def test_a_candidate_is_named_by_model_or_by_provider(provider: str | None, model: str | None, named: bool) -> None:
    found = claim(**ERROR)
    named_by = Reading(found.claim, error=True, provider=provider, model=model)
    assert names_candidate(Candidate("openai", "gpt-5.5"), named_by) is named


def test_the_last_events_are_read_and_no_more_than_needed() -> None:
    span = TRACER.start_span("ask")
    for number in range(20):
        span.add_event("exception", {"exception.type": "E", "exception.message": f"number {number}"})
    span.set_status(StatusCode.ERROR)
    found = read_claim(span)
    assert found is not None
    assert "number 19" in found.claim.texts
    assert len(found.claim.texts) <= 8


def test_attributes_of_any_type_are_read() -> None:
    odd: dict[str, Any] = {"error.type": 7, "error.message": ["a"], "error.code": True, "gen_ai.provider.name": 3.5,
                           "server.address": 8, "url.full": False, "gen_ai.response.id": 1}  # fmt: skip
    found = claim(odd, **ERROR)
    assert found.claim.texts == ()
    assert found.claim.codes == frozenset()
