"""What somebody says about an error, copied out of any object without trusting it."""

from __future__ import annotations

import enum
import json
import sys
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import anthropic
import httpx
import openai
import pytest

from otel_failover._core.attribution.claim import Claim
from otel_failover._core.attribution.from_exception import from_error, from_exception
from otel_failover._core.evidence.call_error import causes_of, response_of
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import MESSAGES, LoopError, patience

if TYPE_CHECKING:
    from collections.abc import Callable


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
        (member,) = from_exception(LoopError("x", exceptions=[1, "a", ValueError("v")])).members
        assert str(member) == "v"


class RetryError(Exception):
    """As tenacity has it: what it says of itself is the `repr` of the last attempt, a future."""

    def __init__(self, last_attempt: Future[None]) -> None:
        self.last_attempt = last_attempt
        super().__init__(last_attempt)

    def __str__(self) -> str:
        return f"{type(self).__name__}[{self.last_attempt}]"


def retried(problem: BaseException) -> RetryError:
    return RetryError(done(problem))


def done(problem: BaseException) -> Future[None]:
    future: Future[None] = Future()
    future.set_exception(problem)
    return future


def raised_from(wrapper: Exception, cause: BaseException) -> Exception:
    wrapper.__cause__ = cause
    return wrapper


def carrying(name: str) -> Exception:
    wrapper = LoopError("")
    setattr(wrapper, name, INNER)
    return wrapper


ATTRIBUTES: Final = (
    "original_error", "original_exception", "last_exception", "inner_exception", "cause", "error", "__cause__",
)  # fmt: skip
INNER: Final = LoopError("the provider's own words", status_code=429, code="insufficient_quota")
WRAPPERS: Final[dict[str, Callable[[], Any]]] = {
    "tenacity": lambda: retried(INNER),
    "tenacity in tenacity": lambda: retried(retried(INNER)),
    "a future": lambda: done(INNER),
    "a future in an exception": lambda: LoopError("", last_attempt=done(INNER)),
    "an empty text": lambda: raised_from(LoopError(""), INNER),
    "a class's name": lambda: raised_from(LoopError("LoopError"), INNER),
    "another class's name": lambda: raised_from(LoopError("openai.RateLimitError"), INNER),
    "a cause of a cause": lambda: raised_from(LoopError(""), raised_from(LoopError(""), INNER)),
    **{name: partial(carrying, name) for name in ATTRIBUTES},
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_a_wrapper_without_words_carries_is_its_content(name: str) -> None:
    wrapper = WRAPPERS[name]()
    for claim in (from_error(wrapper), *([from_exception(wrapper)] if isinstance(wrapper, Exception) else [])):
        assert claim.thing is INNER
        assert (claim.texts, claim.status, set(claim.codes)) == (
            ("the provider's own words",), 429, {"insufficient_quota"},
        )  # fmt: skip


@pytest.mark.parametrize(
    "wrapper",
    [
        raised_from(LoopError("gave up"), INNER),
        raised_from(TimeoutError(), INNER),
        raised_from(ConnectionResetError(), INNER),
        raised_from(LoopError("TimeoutError"), INNER),
        LoopError("gave up", original_error=INNER),
    ],
    ids=["words", "a timeout", "a reset", "a timeout's name", "words and an attribute"],
)
def test_a_wrapper_that_says_something_speaks_for_itself(wrapper: Exception) -> None:
    """`raise TimeoutError() from rate_limit` says that it timed out."""
    claim = from_exception(wrapper)
    assert claim.thing is wrapper
    assert (claim.status, claim.codes) == (None, frozenset())
    assert str(INNER) not in claim.texts


def test_a_context_is_no_content() -> None:
    """Python fills it with whatever was being handled: the failure of the candidate before."""
    wrapper = LoopError("")
    wrapper.__context__ = INNER
    assert from_exception(wrapper).thing is wrapper


def test_a_wrapper_that_tells_a_status_alone_has_the_words_of_what_it_carries() -> None:
    wrapper = raised_from(LoopError("", status_code=504), INNER)
    claim = from_exception(wrapper)
    assert (claim.thing, claim.status, claim.texts) == (wrapper, 504, ("the provider's own words",))


def test_wrappers_in_a_circle_end() -> None:
    one, two = LoopError(""), LoopError("")
    one.__cause__, two.__cause__ = two, one
    assert from_exception(one).texts == ()


def test_an_open_future_is_not_waited_for() -> None:
    assert from_error(Future()).texts == ()
    assert from_error(LoopError("", last_attempt=Future())).texts == ()


FIRST: Final = LoopError("the words of the first one")
SECOND: Final = LoopError("the words of the second one")


@pytest.mark.parametrize(
    ("errors", "members"),
    [
        ([FIRST, SECOND], (FIRST, SECOND)),
        ((FIRST, SECOND), (FIRST, SECOND)),
        ({"errors": [FIRST, SECOND]}, (FIRST, SECOND)),
        ({"exceptions": (FIRST, SECOND)}, (FIRST, SECOND)),
        ({"openai": FIRST, "anthropic": SECOND}, (FIRST, SECOND)),
        ({"message": "all failed", "errors": [FIRST, SECOND]}, (FIRST, SECOND)),
        ([done(FIRST), retried(SECOND)], (FIRST, SECOND)),
        ({"errors": [{"message": str(FIRST)}, {"message": str(SECOND)}]}, (str(FIRST), str(SECOND))),
        ([str(FIRST), str(SECOND)], (str(FIRST), str(SECOND))),
        ({"openai": str(FIRST), "anthropic/claude-x": str(SECOND)}, (str(FIRST), str(SECOND))),
        ({"openai": {"message": str(FIRST)}, "anthropic": SECOND}, (SECOND, str(FIRST))),
        ({"attempts": [[FIRST], [SECOND]]}, (FIRST, SECOND)),
    ],
    ids=str,
)
def test_members_of_a_list_or_mapping_of_errors_count_each(errors: Any, members: tuple[Any, ...]) -> None:
    claim = from_error(errors)
    assert claim.members == members
    assert {str(FIRST), str(SECOND)} <= set(claim.texts)


def test_a_list_of_one_error_is_that_error() -> None:
    assert from_error([INNER]) == from_error({"errors": [INNER]}) == from_exception(INNER)
    assert from_error([]) == from_error([[]]) == Claim()


def test_errors_of_before_are_no_claim() -> None:
    assert from_error({"previous_error": FIRST, "fallback_errors": [FIRST], "message": "x"}).texts == ("x",)
    assert from_error({"note": str(FIRST), "message": "x"}).texts == ("x",)


def test_lists_without_end_are_read_to_an_end() -> None:
    circle: list[Any] = [FIRST]
    circle.append(circle)
    assert from_error(circle).texts == (str(FIRST),)
    assert len(from_error([LoopError(f"no {n}") for n in range(100)]).members) == 32


class FrozenError(Exception):
    """May not be written to."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AssertionError(f"{name} was written to a foreign exception")


def test_nothing_is_written_to_an_exception() -> None:
    assert from_exception(FrozenError("text")).texts == ("text",)


class Result:
    """What a loop's own function returns, in place of raising."""

    def __init__(self, **fields: object) -> None:
        self.ok = False
        vars(self).update(fields)


SAID: Final = "Our scheduler could not place this request on any replica"


@pytest.mark.parametrize(
    "told",
    [
        Result(error=SAID),
        Result(error=Result(description=SAID)),
        Result(text=SAID),
        {"provider": "anthropic", "error_message": SAID},
        {"provider": "anthropic", "content": SAID},
        {"ok": False, "exc": LoopError(SAID)},
        json.dumps({"error": {"message": SAID}}).encode(),
        SAID.encode(),
        Result(response=json.dumps({"error": {"message": SAID}}).encode()),
    ],
    ids=lambda told: type(told).__name__,
)
def test_what_a_result_holds_is_what_it_says(told: object) -> None:
    claim = from_error(told)
    assert SAID in claim.texts
    assert not claim.is_unread


@pytest.mark.parametrize("told", [Result(), {"provider": "anthropic"}, {"ok": False}, object()])
def test_of_what_cannot_be_read_nothing_is_held(told: object) -> None:
    """It says something, and nobody knows what: that is no word of praise."""
    assert from_error(told).is_unread


@pytest.mark.parametrize("told", [None, True, False, "timeout", 429, {"status": 429}, LoopError("no luck")])
def test_of_what_can_be_read_that_is_not_said(told: object) -> None:
    assert not from_error(told).is_unread
