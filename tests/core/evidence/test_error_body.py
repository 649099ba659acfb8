"""What an error body says, in every envelope that providers use, and in none."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_failover._core.evidence.error_body import ErrorBody, error_in, read_error, seconds_asked, text_holds
from otel_failover._core.evidence.headers import of_answer
from otel_failover._core.text.matching import normalise
from otel_failover.testing.answers import Answer
from otel_failover.testing.wire import anthropic as wire_anthropic
from otel_failover.testing.wire import bedrock as wire_bedrock
from otel_failover.testing.wire import gemini as wire_gemini
from otel_failover.testing.wire import openai as wire_openai


def wrong(reason: str) -> pytest.MarkDecorator:
    """Mark what is promised and not kept."""
    return pytest.mark.xfail(strict=True, reason=reason)


REAL = [
    (wire_openai, Answer.openai_quota(), "insufficient_quota"),
    (wire_openai, Answer.openai_rate_limit(), "rate_limit_exceeded"),
    (wire_openai, Answer.openai_bad_key(), "invalid_api_key"),
    (wire_openai, Answer.openai_model_not_found(), "model_not_found"),
    (wire_openai, Answer.openai_server_error(), "server_error"),
    (wire_openai, Answer.openai_context_overflow(), "context_length_exceeded"),
    (wire_anthropic, Answer.anthropic_overloaded(), "overloaded_error"),
    (wire_anthropic, Answer.anthropic_rate_limit(), "rate_limit_error"),
    (wire_anthropic, Answer.anthropic_bad_key(), "authentication_error"),
    (wire_anthropic, Answer.anthropic_not_found(), "not_found_error"),
    (wire_anthropic, Answer.anthropic_credit_too_low(), "invalid_request_error"),
    (wire_gemini, Answer.gemini_quota(), "RESOURCE_EXHAUSTED"),
    (wire_gemini, Answer.gemini_bad_key(), "INVALID_ARGUMENT"),
    (wire_gemini, Answer.gemini_not_found(), "NOT_FOUND"),
    (wire_gemini, Answer.gemini_overloaded(), "UNAVAILABLE"),
]


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ("ThrottlingException", "ThrottlingException"),
        ("ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/", "ThrottlingException"),
        ("com.amazon.coral.service#AccessDeniedException", "AccessDeniedException"),
        ("", None),
    ],
)
def test_awss_code_stands_in_a_header(named: str, code: str | None) -> None:
    document = wire_bedrock.envelope(wire_bedrock.fault(Answer.bedrock_throttling()), None)
    sent = httpx.Response(429, content=json.dumps(document), headers={"x-amzn-ErrorType": named})
    found = read_error(sent)
    assert (found.message, found.code) == (Answer.bedrock_throttling().message, code)
    assert found.codes == ({code} if code else set())


def test_botocores_own_form_of_an_error_is_read() -> None:
    found = error_in({"Error": {"Code": "ThrottlingException", "Message": "Too many"}, "ResponseMetadata": {}})
    assert found is not None
    assert (found.message, found.code) == ("Too many", "ThrottlingException")


class _Lazy:
    """A response as requests and botocore have it: asking for its content reads it off the wire."""

    def __init__(self, kept: object) -> None:
        self._content = kept

    @property
    def content(self) -> bytes:
        raise AssertionError("the host's body was read")


@pytest.mark.parametrize("kept", [None, False])
def test_a_body_that_is_read_when_asked_for_is_not_asked_for(kept: object) -> None:
    assert read_error(_Lazy(kept)) == ErrorBody()
    assert text_holds(_Lazy(kept), "anything") is None


def test_a_body_that_was_read_is_seen_where_it_was_kept() -> None:
    assert read_error(_Lazy(b'{"message": "no"}')).message == "no"


def response(body: Any, status: int = 500) -> httpx.Response:
    """Return a response whose body has been read."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status, content=content)


@pytest.mark.parametrize(("wire", "answer", "code"), REAL, ids=lambda value: str(getattr(value, "message", ""))[:24])
def test_real_envelopes(wire: Any, answer: Answer, code: str) -> None:
    document = wire.envelope(wire.fault(answer), "req_1")
    for found in (read_error(response(document, answer.status)), error_in(document), error_in([document])):
        assert found is not None
        assert found.message == answer.message
        assert found.code == code
        assert code in found.codes
        assert found.whole


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "no", "type": "t", "code": "c"}}, "no", "c"),
        ({"error": {"message": "no", "type": "t", "code": None}}, "no", "t"),
        ({"error": {"message": "no", "type": "t", "code": 429}}, "no", "t"),
        ({"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}, "no", "UNAVAILABLE"),
        ([{"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}], "no", "UNAVAILABLE"),
        ({"type": "error", "error": {"type": "api_error", "message": "no"}, "request_id": "r"}, "no", "api_error"),
        ({"error": "no"}, "no", None),
        ({"error": ["no", "never"]}, "no", None),
        ({"error": [{"message": "no"}]}, "no", None),
        ({"message": "no"}, "no", None),
        ({"message": "no", "code": "c"}, "no", "c"),
        ({"detail": "no"}, "no", None),
        ({"detail": [{"loc": ["body"], "msg": "no", "type": "missing"}]}, "no", "missing"),
        ({"errors": [{"message": "no", "code": "c"}]}, "no", "c"),
        ({"error": {"type": "overloaded_error"}}, "", "overloaded_error"),
        ({"error": {}, "message": "no"}, "no", None),
        ({"error": None, "message": "no", "code": "c"}, "no", "c"),
        ({"error": {"message": "no"}, "code": "outer"}, "no", "outer"),
    ],
)
def test_envelopes(body: Any, message: str, code: str | None) -> None:
    found = error_in(body)
    assert found is not None
    assert (found.message, found.code) == (message, code)


@pytest.mark.parametrize(
    "body", [None, 7, "text", [], [7], {}, {"id": "x"}, {"error": 7}, {"error": {"param": None}}, True]
)
def test_what_is_no_error(body: Any) -> None:
    assert error_in(body) is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "errors", "detail", "message", "code", "type", "status", "msg"]), inner, max_size=4)))  # fmt: skip # noqa: E501
def test_any_document_is_read(body: Any) -> None:
    found = error_in(body)
    assert found is None or (isinstance(found.message, str) and all(isinstance(code, str) for code in found.codes))


@given(st.binary(max_size=200))
def test_any_bytes_are_read(content: bytes) -> None:
    assert read_error(response(content)).whole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>502 Bad Gateway</html>", "<html>502 Bad Gateway</html>"),
        (b"", ""),
        (b"  upstream request timeout \n", "upstream request timeout"),
        (b'{"id": "x"}', '{"id": "x"}'),
        (b'{"error": {"message": "cut of', '{"error": {"message": "cut of'),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_a_body_that_is_no_envelope_is_its_own_message(content: bytes, message: str) -> None:
    found = read_error(response(content))
    assert (found.message, found.code, found.whole) == (message, None, True)


def test_a_body_that_nobody_has_read_was_not_seen() -> None:
    unread = httpx.Response(500, stream=httpx.ByteStream(b"{}"))
    assert read_error(unread) == ErrorBody()
    assert not read_error(None).whole
    assert not read_error(object()).whole


def test_what_is_longer_than_64_kb_was_not_seen_whole() -> None:
    found = read_error(response({"error": {"message": "x" * 70_000}}))
    assert not found.whole
    assert len(found.text) == 65_536
    assert len(found.message) == 4_096


def test_a_long_message_is_cut() -> None:
    found = read_error(response({"error": {"message": "y" * 5_000}}))
    assert found.whole
    assert len(found.message) == 4_096


@pytest.mark.parametrize("content", [b"[" * 60_000, b'{"error":' * 7_000])
def test_a_body_nested_without_end_is_read_as_text(content: bytes) -> None:
    found = read_error(response(content))
    assert found.whole
    assert found.message


def test_anthropics_finer_code() -> None:
    answer = Answer.error(400, "no", type="invalid_request_error", code="model_retired")
    found = error_in(wire_anthropic.envelope(wire_anthropic.fault(answer), None))
    assert found is not None
    assert "model_retired" in found.codes


TEXT = normalise("You exceeded your current quota, please check")


@pytest.mark.parametrize(
    ("content", "held"),
    [
        (b"You exceeded your current quota, please check your plan", True),
        (json.dumps({"a": "YOU EXCEEDED your current quota,\nplease check"}).encode(), True),
        (b'{"a": "You \\u0065xceeded your current quota, please check"}', True),
        (b"x " * 20_000 + b"You exceeded your current quota, please check", True),
        (b"x" * 15_000 + b" You exceeded your current quota, please check", True),
        (b"something else", False),
        (b"", False),
    ],
)
def test_a_text_in_a_body(content: bytes, held: bool) -> None:
    assert text_holds(response(content), TEXT) is held
    assert text_holds(httpx.Request("POST", "http://h", content=content), TEXT, request=True) is held


def test_a_text_in_what_cannot_be_seen() -> None:
    assert text_holds(httpx.Response(200, stream=httpx.ByteStream(b"")), TEXT) is None
    assert text_holds(response(b"x" * 1_100_000), TEXT) is None
    assert text_holds(None, TEXT) is False
    assert text_holds(None, TEXT, request=True) is False


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 09:00:00 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": ""}, None),
        pytest.param({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        pytest.param({"retry-after": "nan"}, None),
        pytest.param({"retry-after": "inf"}, None),
        ({"retry-after": "-5"}, None),
    ],
)
def test_seconds_asked(headers: dict[str, str], seconds: float | None) -> None:
    assert seconds_asked(of_answer(httpx.Headers(headers))) == seconds


def test_googles_details_say_the_reason_and_the_wait() -> None:
    details = [
        {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7.5s"},
    ]
    found = read_error(
        response({"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT", "details": details}})
    )
    assert found.code == "INVALID_ARGUMENT"
    assert found.codes == {"INVALID_ARGUMENT", "API_KEY_INVALID"}
    assert found.retry_after == 7.5


@pytest.mark.parametrize("delay", ["soon", "s", "-1s", "nans", "1e99s", 7, None, [], {"seconds": 7}], ids=repr)
@pytest.mark.parametrize("wrap", [lambda info: [info], lambda info: info, lambda info: [[info], "x", None, info]])
def test_a_wait_that_is_none_is_none(delay: Any, wrap: Any) -> None:
    found = read_error(response({"error": {"message": "no", "details": wrap({"retryDelay": delay})}}))
    assert found.retry_after is None
