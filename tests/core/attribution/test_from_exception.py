"""What somebody says about an error, copied out of any object without trusting it."""

from __future__ import annotations

import enum
import sys
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import anthropic
import httpx
import openai
import pytest

from otel_failover._core.attribution.claim import Claim
from otel_failover._core.attribution.from_exception import from_error, from_exception
from otel_failover._core.evidence.call_error import causes_of, response_of
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import MESSAGES, LoopError, patience


def wrong(reason: str) -> pytest.MarkDecorator:
    """Mark what is promised and not kept."""
    return pytest.mark.xfail(strict=True, reason=reason)


def openai_error(answer: Answer, **options: Any) -> openai.OpenAIError:
    """Let the real SDK raise what an answer makes it raise."""
    with LocalProvider("openai", answer) as server:
        client = openai.OpenAI(
            base_url=server.base_url, api_key="key-Hm4nB6vC8xZa1q", max_retries=0, timeout=patience(server)
        )
        with client, pytest.raises(openai.OpenAIError) as caught:
            list(client.chat.completions.create(model="m", messages=MESSAGES, **options))
        return caught.value


def anthropic_error(answer: Answer) -> anthropic.AnthropicError:
    """Let the real SDK raise what an answer makes it raise."""
    with LocalProvider("anthropic", answer) as server:
        client = anthropic.Anthropic(
            base_url=server.base_url, api_key="key-Hm4nB6vC8xZa1q", max_retries=0, timeout=patience(server)
        )
        with client, pytest.raises(anthropic.AnthropicError) as caught:
            client.messages.create(model="m", messages=MESSAGES, max_tokens=5)
        return caught.value


@pytest.mark.parametrize(
    ("answer", "kind", "status", "codes"),
    [
        (Answer.openai_quota(), "RateLimitError", 429, {"insufficient_quota"}),
        (Answer.openai_bad_key(), "AuthenticationError", 401, {"invalid_api_key", "invalid_request_error"}),
        (Answer.openai_server_error(), "InternalServerError", 500, {"server_error"}),
        (
            Answer.openai_context_overflow(),
            "BadRequestError",
            400,
            {"context_length_exceeded", "invalid_request_error"},
        ),
    ],
)
def test_openais_errors(answer: Answer, kind: str, status: int, codes: set[str]) -> None:
    problem = openai_error(answer)
    said = from_exception(problem)
    assert said.type == f"openai.{kind}"
    assert said.status == status
    assert codes <= said.codes
    assert any(str(answer.message) in text for text in said.texts)
    assert said.request_ids == {problem.request_id}  # type: ignore[attr-defined]
    assert said.structured
    assert said.thing is problem
    assert type(response_of(problem)).__name__ == "Response"


@pytest.mark.parametrize(
    ("answer", "kind", "status", "code"),
    [
        (Answer.anthropic_rate_limit(), "RateLimitError", 429, "rate_limit_error"),
        (Answer.anthropic_bad_key(), "AuthenticationError", 401, "authentication_error"),
        (Answer.anthropic_overloaded(), None, 529, "overloaded_error"),
        (Answer.anthropic_credit_too_low(), "BadRequestError", 400, "invalid_request_error"),
    ],
)
def test_anthropics_errors(answer: Answer, kind: str | None, status: int, code: str) -> None:
    problem = anthropic_error(answer)
    said = from_exception(problem)
    assert kind is None or said.type == f"anthropic.{kind}"
    assert said.status == status
    assert code in said.codes
    assert any(str(answer.message) in text for text in said.texts)
    assert len(said.request_ids) == 1


@pytest.mark.parametrize("answer", [Answer.hang(), Answer.reset()], ids=["hang", "reset"])
def test_errors_without_an_answer_carry_nothing_of_one(answer: Answer) -> None:
    for problem in (openai_error(answer), anthropic_error(answer)):
        said = from_exception(problem)
        assert (said.status, said.codes, said.request_ids, said.structured) == (None, frozenset(), frozenset(), False)
        assert said.texts
        assert response_of(problem) is None


def test_an_error_within_a_stream() -> None:
    said = from_exception(openai_error(Answer.stream(["Hel"], then="error"), stream=True))
    assert said.status is None
    assert any("server had an error" in text for text in said.texts)


def raises(*_: object) -> Any:
    raise RuntimeError("not for you")


class TrapError(Exception):
    """Every attribute raises, as httpx errors' `.request` does."""

    message = status_code = status = http_status = code = body = request = response = request_id = property(raises)
    raw_response = http_response = reason = type = exceptions = property(raises)


class MuteError(Exception):
    """Has no text."""

    __str__ = raises


class SilentError(Exception):
    """Denies everything."""

    __getattribute__ = raises


def test_hostile_exceptions_say_what_they_can() -> None:
    assert from_exception(TrapError("text")).texts == ("text",)
    assert from_exception(MuteError("text")).texts == ("<MuteError: text unavailable>",)
    assert from_exception(SilentError("text")).status is None
    assert from_error(TrapError("text")).texts == ("text",)


class Status(enum.IntEnum):
    LIMITED = 429


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (429, 429), (Status.LIMITED, 429), (HTTPStatus.TOO_MANY_REQUESTS, 429), ("429", 429), (True, None),
        (False, None),
        (0, None), (99, None), (600, None), (1429, None), ("42", None), ("RESOURCE_EXHAUSTED", None), (None, None),
        (429.0, None), (b"429", None), ([429], None), (10**400, None),
    ],
)  # fmt: skip
def test_statuses(value: Any, status: int | None) -> None:
    for said in (from_exception(LoopError("x", status_code=value)), from_error({"status_code": value}),
                 from_error({"status": value}), from_error(SimpleNamespace(status_code=value))):  # fmt: skip
        assert said.status == status
        assert said.status is None or type(said.status) is int


def test_superscripts_are_no_status() -> None:
    assert from_exception(LoopError("x", status_code="\u00b2\u00b2\u00b2")).status is None  # type: ignore[arg-type]


def test_the_first_status_that_is_one() -> None:
    assert from_error({"status_code": None, "status": 429}).status == 429


def test_a_code_that_is_a_status() -> None:
    assert from_error({"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED"}).status == 429
    assert from_exception(LoopError("x", code=503)).status == 503


def test_huge_texts_are_cut() -> None:
    problem = LoopError("x" * 1_000_000, code="z" * 1_000_000, request_id="r" * 1_000)
    problem.__dict__["message"] = "y" * 1_000_000
    said = from_exception(problem)
    assert all(len(text) <= 8_192 for text in said.texts)
    assert not said.codes
    assert all(len(name) <= 255 for name in said.request_ids)
    assert all(len(text) <= 8_192 for text in from_error("long " * 100_000).texts)


def test_causes_in_a_circle_end() -> None:
    one, two = LoopError("one"), LoopError("two")
    one.__cause__, two.__cause__ = two, one
    assert list(causes_of(one)) == [one, two]
    one.__cause__ = one
    assert list(causes_of(one)) == [one]


def test_a_context_counts_until_it_is_hidden() -> None:
    problem = LoopError("outer")
    problem.__context__ = inner = LoopError("inner")
    assert list(causes_of(problem)) == [problem, inner]
    problem.__suppress_context__ = True
    assert list(causes_of(problem)) == [problem]


@pytest.mark.parametrize(
    ("error", "word", "texts"),
    [
        ("rate_limit", "rate_limit", ()),
        ("Rate Limit", "Rate Limit", ()),
        ("insufficient_quota", "insufficient_quota", ()),
        ("our-own-word", "our-own-word", ()),
        ("the candidate did not answer", None, ("the candidate did not answer",)),
        ("x" * 49, None, ("x" * 49,)),
        ("", None, ()),
    ],
)
def test_words_and_sentences(error: str, word: str | None, texts: tuple[str, ...]) -> None:
    said = from_error(error)
    assert (said.word, said.texts) == (word, texts)
    assert said.thing is None


def test_nothing_said() -> None:
    assert from_error(None) == Claim()


@pytest.mark.parametrize(
    ("error", "status", "codes", "texts"),
    [
        ({"status": 429, "message": "no"}, 429, set(), ("no",)),
        ({"error": {"message": "no", "code": "c", "type": "t"}}, None, {"c", "t"}, ("no",)),
        ({"error": "no"}, None, set(), ("no",)),
        (
            {"error": {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED"}},
            None,
            {"RESOURCE_EXHAUSTED"},
            ("no",),
        ),
        ({"detail": [{"msg": "no", "type": "missing"}]}, None, {"missing"}, ("no",)),
        ({"code": "c", "http_status": 500}, 500, {"c"}, ()),
        ({}, None, set(), ()),
        ({1: 2, None: 3}, None, set(), ()),
    ],
)
def test_mappings(error: dict[Any, Any], status: int | None, codes: set[str], texts: tuple[str, ...]) -> None:
    said = from_error(error)
    assert (said.status, set(said.codes), said.texts) == (status, codes, texts)


class Kind(enum.Enum):
    LIMITED = "rate_limit"


def test_objects() -> None:
    """A `ClassifiedError` of an agent, a response, an enum."""
    error = SimpleNamespace(status_code=429, code="c", message="no", reason=Kind.LIMITED, type="t", request_id="req_1")
    said = from_error(error)
    assert (said.status, set(said.codes), said.texts) == (429, {"c", "t"}, ("no",))
    assert (said.word, said.reason, set(said.request_ids)) == ("rate_limit", "rate_limit", {"req_1"})
    assert from_error(httpx.Response(503)).status == 503
    assert from_error(object()).status is None
    assert from_error(7).texts == ()


def test_a_bare_status() -> None:
    assert from_error(429).status == 429


def test_a_bare_member_of_an_enum_is_a_word() -> None:
    assert from_error(Kind.LIMITED).word == "rate_limit"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are new in 3.11")
class TestGroups:
    def test_members_are_kept(self) -> None:
        one, two = LoopError("one"), LoopError("two")
        said = from_exception(ExceptionGroup("both", [one, two]))  # noqa: F821
        assert said.members == (one, two)
        assert said.texts[0] == "both (2 sub-exceptions)"

    def test_there_are_at_most_32(self) -> None:
        said = from_exception(ExceptionGroup("many", [LoopError(str(n)) for n in range(100)]))  # noqa: F821
        assert len(said.members) == 32

    def test_members_of_members_are_members(self) -> None:
        one = LoopError("one")
        said = from_exception(ExceptionGroup("outer", [ExceptionGroup("inner", [one])]))  # noqa: F821
        assert one in said.members

    def test_what_only_looks_like_a_group(self) -> None:
        assert from_exception(LoopError("x", exceptions="abc")).members == ()
        assert from_exception(LoopError("x", exceptions=[1, "a", ValueError("v")])).members[0].args == ("v",)


class FrozenError(Exception):
    """May not be written to."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AssertionError(f"{name} was written to a foreign exception")


def test_nothing_is_written_to_an_exception() -> None:
    assert from_exception(FrozenError("text")).texts == ("text",)
