# ruff: noqa: PT012 - a loop as people write it does not fit into one statement
"""What loops make of several errors: wrapped, listed, summed up, noted beforehand; each theft beside its honest twin."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.trace import StatusCode, get_current_span

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_failover import Attempt
    from tests.support.spans import Exported, Telemetry

    Act = Callable[[Attempt, Exception, Exception], None]

QUOTA = str(Answer.openai_quota().message)
STALE = ("mismatch", "stale_error")
REPORT = ("unverified", "report")
VERIFIED = ("verified", None)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def first(stack: ExitStack) -> Stand:
    return stack.enter_context(stand("openai", Answer.openai_quota()))


@pytest.fixture
def hanging(stack: ExitStack) -> Stand:
    return stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.15))


@pytest.fixture
def bare(stack: ExitStack) -> Stand:
    """Answers without a body: all that its SDK says is "Error code: 503"."""
    return stack.enter_context(stand("openrouter", Answer.raw(503, "")))


def second(
    telemetry: Telemetry, stands: list[Stand], act: Act, before: Callable[[Exception], None] | None = None
) -> Exported:
    """Let the first fail, ask the second, and do with both errors what the test wants. Return the second's span."""
    one, other = stands
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        with pytest.raises(Exception) as caught, run.attempt(one.candidate):  # noqa: PT011 - whatever the SDK raises
            one.ask()
        try:
            with run.attempt(other.candidate) as attempt:
                if before is not None:
                    before(caught.value)
                try:
                    other.ask()
                except Exception as problem:  # noqa: BLE001 - that is the loop
                    act(attempt, caught.value, problem)
        except Exception:  # noqa: BLE001, S110 - the loop ends here
            pass
    return telemetry.candidates[1]


def raising(make: Callable[[Exception, Exception], Exception]) -> Act:
    def act(_: Attempt, theirs: Exception, own: Exception) -> None:
        raise make(theirs, own) from None

    return act


def failing(make: Callable[[Exception, Exception], object]) -> Act:
    return lambda attempt, theirs, own: attempt.fail(make(theirs, own))


def joined(*errors: Exception) -> Exception:
    return LoopError("; ".join(map(str, errors)))


# --- reports ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        pytest.param(lambda theirs, own: joined(theirs, own), REPORT, id="joined"),
        pytest.param(lambda theirs, own: joined(own, theirs), REPORT, id="joined, own first"),
        pytest.param(lambda theirs, _: LoopError(str(theirs)), STALE, id="the other's text"),
        pytest.param(lambda theirs, _: LoopError(f"failed with {theirs}"), STALE, id="the other's text, in words"),
    ],
)
def test_an_own_answer_without_a_body(
    telemetry: Telemetry, first: Stand, bare: Stand, make: Callable[[Exception, Exception], Exception], verdict: Any
) -> None:
    assert second(telemetry, [first, bare], raising(make)).verdict == verdict


@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        pytest.param(lambda theirs, own: {"errors": [theirs, own]}, REPORT, id="a mapping"),
        pytest.param(lambda theirs, own: [theirs, own], REPORT, id="a list"),
        pytest.param(lambda theirs, own: {"openai": theirs, "anthropic": own}, REPORT, id="by provider"),
        pytest.param(lambda theirs, own: [str(theirs), str(own)], REPORT, id="texts"),
        pytest.param(
            lambda theirs, own: {"errors": [{"message": str(theirs)}, {"message": str(own)}]}, REPORT, id="mappings"
        ),
        pytest.param(lambda _, own: {"errors": [own]}, VERIFIED, id="the own alone"),
        pytest.param(lambda theirs, _: {"errors": [theirs]}, STALE, id="the other's alone"),
        pytest.param(lambda theirs, _: [theirs, LoopError("gave up")], STALE, id="the other's and words"),
        pytest.param(lambda theirs, _: {"anthropic": str(theirs), "errors": [str(theirs)]}, STALE, id="its text"),
    ],
)
@pytest.mark.parametrize("last", ["hanging", "bare"])
def test_members_of_a_list_of_errors_count_each(
    telemetry: Telemetry,
    first: Stand,
    last: str,
    request: pytest.FixtureRequest,
    make: Callable[[Exception, Exception], object],
    verdict: Any,
) -> None:
    assert second(telemetry, [first, request.getfixturevalue(last)], failing(make)).verdict == verdict


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are new in 3.11")
@pytest.mark.parametrize("last", ["hanging", "bare"])
@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        pytest.param(lambda theirs, own: [theirs, own], REPORT, id="both"),
        pytest.param(lambda theirs, own: [LoopError(str(theirs)), LoopError(str(own))], REPORT, id="both, in new ones"),
        pytest.param(lambda theirs, _: [theirs], STALE, id="the other's"),
        pytest.param(lambda theirs, _: [LoopError(str(theirs))], STALE, id="the other's, in a new one"),
    ],
)
def test_groups(
    telemetry: Telemetry,
    first: Stand,
    last: str,
    request: pytest.FixtureRequest,
    make: Callable[[Exception, Exception], list[Exception]],
    verdict: Any,
) -> None:
    """ "Error code" stands in every error of an SDK, so it makes no group a report."""
    act = raising(lambda theirs, own: ExceptionGroup("all failed", make(theirs, own)))  # noqa: F821
    assert second(telemetry, [first, request.getfixturevalue(last)], act).verdict == verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("anthropic timed out after 0.2 s (fallback from openai because of: {theirs})", REPORT),
        ("anthropic: no response; previous error: {theirs}", REPORT),
        ("anthropic timed out after 123 s: {theirs}", STALE),
        ("anthropic: {theirs}", STALE),
        ("openai: {theirs}", STALE),
    ],
)
def test_why_it_went_on(telemetry: Telemetry, first: Stand, hanging: Stand, text: str, verdict: Any) -> None:
    act = raising(lambda theirs, _: LoopError(text.format(theirs=theirs)))
    assert second(telemetry, [first, hanging], act).verdict == verdict


# --- wrappers ---------------------------------------------------------------------------------------------------------


def of_tenacity(problem: Exception) -> Exception:
    tenacity: Any = pytest.importorskip("tenacity")

    @tenacity.retry(stop=tenacity.stop_after_attempt(1))  # type: ignore[untyped-decorator]
    def fail() -> None:
        raise problem

    with pytest.raises(tenacity.RetryError) as caught:
        fail()
    error: Exception = caught.value
    return error


def with_cause(problem: Exception) -> Exception:
    wrapper = LoopError("")
    wrapper.__cause__ = problem
    return wrapper


def with_future(problem: Exception) -> Exception:
    future: Future[None] = Future()
    future.set_exception(problem)
    return LoopError(f"{future}", last_attempt=future)


@pytest.mark.parametrize(
    "wrap", [of_tenacity, with_cause, with_future, lambda problem: LoopError("", original_error=problem)],
    ids=["tenacity", "cause", "future", "attribute"],
)  # fmt: skip
@pytest.mark.parametrize("last", ["hanging", "bare"])
@pytest.mark.parametrize("whose", ["own", "theirs"])
def test_what_a_wrapper_carries_is_its_content(
    telemetry: Telemetry,
    first: Stand,
    last: str,
    request: pytest.FixtureRequest,
    whose: str,
    wrap: Callable[[Exception], Exception],
) -> None:
    def act(_: Attempt, theirs: Exception, own: Exception) -> None:
        raise wrap(own if whose == "own" else theirs)

    span = second(telemetry, [first, request.getfixturevalue(last)], act)
    assert span.verdict == (VERIFIED if whose == "own" else STALE)
    if whose == "theirs":
        assert span["failover.attribution.bound_by"] == "object"


def test_a_timeout_raised_from_the_error_before(telemetry: Telemetry, first: Stand, hanging: Stand) -> None:
    """It has no words; that it is a timeout is what it says."""

    def act(_: Attempt, theirs: Exception, __: Exception) -> None:
        raise TimeoutError from theirs

    assert second(telemetry, [first, hanging], act).verdict[0] in ("verified", "unverified")
    assert telemetry.markers == []


# --- codes and hosts --------------------------------------------------------------------------------------------------


@pytest.fixture
def limited(stack: ExitStack) -> Stand:
    return stack.enter_context(stand("anthropic", Answer.anthropic_rate_limit()))


@pytest.mark.parametrize(
    ("code", "verdict"), [("insufficient_quota", STALE), ("rate_limit_error", VERIFIED), ("our_own", VERIFIED)]
)
def test_another_ones_code_for_the_own_status(
    telemetry: Telemetry, first: Stand, limited: Stand, code: str, verdict: Any
) -> None:
    """Both said 429; one was out of quota, the other too fast."""
    span = second(telemetry, [first, limited], failing(lambda *_: {"status": 429, "code": code}))
    assert span.verdict == verdict


def test_an_sdks_words_that_are_cut(telemetry: Telemetry, stack: ExitStack, hanging: Stand) -> None:
    """The message is too short to bind, the code is cut: still it is the one who said it."""
    missing = stack.enter_context(stand("anthropic", Answer.anthropic_not_found(), model="claude-y"))
    act = raising(lambda theirs, _: LoopError(str(theirs)[:60] + "…"))
    span = second(telemetry, [missing, hanging], act)
    assert span.verdict == STALE
    assert span["failover.attribution.source.index"] == 0


@pytest.mark.parametrize("whose", ["own", "theirs"])
def test_a_status_and_the_host_that_was_asked(
    telemetry: Telemetry, stack: ExitStack, hanging: Stand, whose: str
) -> None:
    refused = stack.enter_context(stand("openai", Answer.openai_bad_key()))
    asked = refused if whose == "theirs" else hanging

    def text(*_: Exception) -> Exception:
        url = f"{asked.server.endpoint}/v1/chat/completions"
        answer = httpx.Response(401, request=httpx.Request("POST", url))
        with pytest.raises(httpx.HTTPStatusError) as caught:
            answer.raise_for_status()
        return LoopError(str(caught.value))

    span = second(telemetry, [refused, hanging], raising(text))
    assert (span.verdict[0] == "mismatch") is (whose == "theirs")
    if whose == "theirs":
        assert span["failover.attribution.bound_by"] == "facts"


@pytest.mark.parametrize("redirected", [True, False], ids=["redirected", "not"])
def test_a_host_that_a_provider_sent_the_request_on_to(
    telemetry: Telemetry, stack: ExitStack, *, redirected: bool
) -> None:
    """What a redirect leads to was asked, too: its address in an error is the attempt's own."""
    refused = stack.enter_context(stand("openai", Answer.openai_bad_key(), Answer.openai_model_not_found()))
    target = f"{refused.server.base_url}/chat/completions"
    to = Answer.raw(307, "", headers={"location": target}) if redirected else Answer.openai_model_not_found()
    other = stack.enter_context(stand("openrouter", to))

    def text(_: Exception, __: Exception) -> Exception:
        with pytest.raises(httpx.HTTPStatusError) as caught:
            httpx.Response(401, request=httpx.Request("POST", target)).raise_for_status()
        return LoopError(str(caught.value))

    span = second(telemetry, [refused, other], raising(text))
    assert (span.verdict[0] == "mismatch") is not redirected


# --- noted before the candidate is asked ------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_error_before_is_recorded_inside_the_next_attempt(
    telemetry: Telemetry, first: Stand, hanging: Stand, when: str
) -> None:
    """Before the candidate is asked it tells why it is; afterwards it can only be its error."""

    def note(theirs: Exception) -> None:
        get_current_span().record_exception(theirs)

    def act(_: Attempt, theirs: Exception, own: Exception) -> None:
        if when == "after":
            note(theirs)
        raise own

    span = second(telemetry, [first, hanging], act, note if when == "before" else None)
    assert span.verdict == (VERIFIED if when == "before" else STALE)
    assert len(telemetry.markers) == (when == "after")


def test_a_status_that_was_set_before_the_candidate_was_asked(
    telemetry: Telemetry, first: Stand, hanging: Stand
) -> None:
    """A status stands for the whole of the span, whenever it is set."""

    def act(_: Attempt, __: Exception, own: Exception) -> None:
        raise own

    def note(_: Exception) -> None:
        get_current_span().set_status(StatusCode.ERROR, QUOTA)

    assert second(telemetry, [first, hanging], act, note).verdict == STALE
