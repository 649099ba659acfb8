"""Honest traces that look like theft at first sight: none of them is flagged."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from opentelemetry.trace import StatusCode

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import MESSAGES, LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Telemetry

ECHO = {"x-request-id": "$echo"}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def rewrap(problem: Exception) -> Exception:
    """What a loop makes of an SDK's error: an exception of its own with the same words."""
    return LoopError(str(problem), status_code=getattr(problem, "status_code", None))


def walk(stands: list[Stand], wrap: Callable[[Exception], Exception] = rewrap, **options: Any) -> None:
    """Try each in order, raising the loop's own exception from inside each attempt."""
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each in stands:
            try:
                with run.attempt(each.candidate):
                    try:
                        each.ask(**options)
                    except Exception as problem:  # noqa: BLE001 - a loop's own retry
                        raise wrap(problem) from None
                    return
            except Exception:  # noqa: S112, BLE001 - the loop goes on
                continue


def nothing_flagged(telemetry: Telemetry) -> None:
    """No mismatch and no inconsistency anywhere."""
    assert telemetry.markers == []
    for span in telemetry.spans:
        assert span["failover.attribution.mismatch"] is None
        assert span["failover.attribution.verdict"] in (None, "verified", "unverified"), (span.name, span.verdict)


def test_the_same_text_twice_from_one_provider(telemetry: Telemetry, stack: ExitStack) -> None:
    walk(
        [
            stack.enter_context(stand("openai", Answer.openai_quota(), profile="a", key="sk-proj-Aa1Bb2Cc3Dd4Ee5Ff6")),
            stack.enter_context(stand("openai", Answer.openai_quota(), profile="b", key="sk-proj-Gg7Hh8Ii9Jj0Kk1Ll2")),
        ]
    )
    nothing_flagged(telemetry)
    assert [span.verdict for span in telemetry.candidates] == [("verified", None)] * 2
    assert [span.name for span in telemetry.candidates] == ["candidate openai #0", "candidate openai #1"]


def test_a_gateway_that_relays_its_upstreams_words(telemetry: Telemetry, stack: ExitStack) -> None:
    quota = Answer.openai_quota()
    relayed = Answer.error(503, f"upstream error: {quota.message}", code="upstream_error")
    walk([stack.enter_context(stand("openai", quota)), stack.enter_context(stand("openrouter", relayed))])
    nothing_flagged(telemetry)
    assert telemetry.candidates[1].verdict == ("verified", None)


def test_a_gateway_that_relays_them_inside_a_success(telemetry: Telemetry, stack: ExitStack) -> None:
    """The loop finds the error in a 200 and says so: the text stands in an own body."""
    quota = Answer.openai_quota()
    first = stack.enter_context(stand("openai", quota))
    second = stack.enter_context(stand("openrouter", Answer.ok(f"Error: {quota.message}")))
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(openai.RateLimitError), run.attempt(first.candidate):
            first.ask()
        with run.attempt(second.candidate) as attempt:
            attempt.fail(second.ask().choices[0].message.content)
    nothing_flagged(telemetry)
    assert telemetry.candidates[1]["candidate.outcome"] == "rejected"
    assert telemetry.candidates[1].status == "UNSET"


def test_a_provider_that_quotes_the_prompt(telemetry: Telemetry, stack: ExitStack) -> None:
    quota = str(Answer.openai_quota().message)
    quoting = Answer.error(400, f"invalid prompt: '{quota}'", code="invalid_prompt")
    walk(
        [stack.enter_context(stand("openai", Answer.openai_quota())), stack.enter_context(stand("openrouter", quoting))]
    )
    nothing_flagged(telemetry)


def test_a_loop_that_quotes_its_own_prompt(telemetry: Telemetry, stack: ExitStack) -> None:
    """The user asks about an error text that another candidate has just said."""
    quota = str(Answer.openai_quota().message)
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.anthropic_overloaded()))
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(openai.RateLimitError), run.attempt(first.candidate):
            first.ask()
        with pytest.raises(LoopError), run.attempt(second.candidate):
            question: Any = [{"role": "user", "content": f'What does "{quota}" mean?'}]
            try:
                second.client.messages.create(model="claude-opus-4-7", messages=question, max_tokens=5)
            except Exception as problem:
                raise LoopError(f"could not answer {question[0]['content']}: {problem}") from None
    nothing_flagged(telemetry)


@pytest.mark.parametrize("first", [Answer.anthropic_overloaded(), Answer.reset()], ids=["overloaded", "reset"])
def test_texts_that_everybody_says(telemetry: Telemetry, stack: ExitStack, first: Answer) -> None:
    """Two candidates say "Overloaded" or "Connection error." by themselves."""
    walk([stack.enter_context(stand("anthropic", first)), stack.enter_context(stand("openai", Answer.reset()))])
    nothing_flagged(telemetry)


def test_one_flight_for_two_attempts(telemetry: Telemetry, stack: ExitStack) -> None:
    """Two runs wait for the same request: it is own to both."""
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    shared = stack.enter_context(stand("openrouter", Answer.delayed(Answer.openai_rate_limit(), 0.1)))
    flight: list[asyncio.Task[Any]] = []

    async def serve() -> None:
        with failover_run("chat", chain=[first.candidate, shared.candidate]) as run:
            with pytest.raises(openai.RateLimitError), run.attempt(first.candidate):
                await first.aask()
            with pytest.raises(openai.RateLimitError), run.attempt(shared.candidate):
                if not flight:
                    flight.append(asyncio.create_task(shared.aask()))
                await asyncio.sleep(0)
                await flight[0]

    async def both() -> None:
        await asyncio.gather(serve(), serve())

    asyncio.run(both())
    nothing_flagged(telemetry)
    shared_spans = [span for span in telemetry.candidates if span["candidate.provider"] == "openrouter"]
    assert [span["http.response.status_code"] for span in shared_spans] == [429, 429]
    assert [span.verdict[0] for span in shared_spans] == ["verified", "verified"]


@pytest.mark.parametrize("again", [lambda error: error, lambda error: LoopError(str(error))], ids=["object", "text"])
def test_a_circuit_breaker_replays_the_candidates_own_error(
    telemetry: Telemetry, stack: ExitStack, again: Callable[[Exception], Exception]
) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("openrouter", Answer.openai_rate_limit()))
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(openai.RateLimitError) as caught, run.attempt(first.candidate):
            first.ask()
        with pytest.raises(openai.RateLimitError), run.attempt(second.candidate):
            second.ask()
        with pytest.raises((LoopError, openai.RateLimitError)), run.attempt(first.candidate):
            raise again(caught.value)
    nothing_flagged(telemetry)
    replay = telemetry.candidates[2]
    assert replay["failover.error.replayed"] is True
    assert replay["failover.killed_by"] == "breaker"
    assert replay["candidate.attempt"] == 2


def test_a_breaker_that_remembers_across_runs(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    texts: list[str] = []
    for _ in range(2):
        with failover_run("chat", chain=[first.candidate]) as run:
            with pytest.raises((LoopError, openai.RateLimitError)), run.attempt(first.candidate):
                if texts:
                    raise LoopError(texts[0])
                try:
                    first.ask()
                except openai.RateLimitError as problem:
                    texts.append(str(problem))
                    raise
    nothing_flagged(telemetry)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are new in 3.11")
def test_a_group_of_all_errors_is_a_report(telemetry: Telemetry, stack: ExitStack) -> None:
    errors: list[Exception] = []

    def collect(problem: Exception) -> Exception:
        errors.append(problem)
        group: Exception = ExceptionGroup("All models failed", list(errors))  # noqa: F821
        return group if len(errors) > 1 else problem

    walk(
        [
            stack.enter_context(stand("openai", Answer.openai_quota())),
            stack.enter_context(stand("anthropic", Answer.anthropic_overloaded())),
        ],
        collect,
    )
    nothing_flagged(telemetry)
    assert telemetry.candidates[1].verdict == ("unverified", "report")


@pytest.mark.parametrize("last", [Answer.anthropic_overloaded(), Answer.hang(), Answer.anthropic_rate_limit()])
def test_a_new_error_that_lists_all_is_a_report(telemetry: Telemetry, stack: ExitStack, last: Answer) -> None:
    errors: list[str] = []

    def collect(problem: Exception) -> Exception:
        errors.append(str(problem))
        return LoopError("; ".join(errors))

    walk(
        [
            stack.enter_context(stand("openai", Answer.openai_quota())),
            stack.enter_context(stand("anthropic", last, timeout=0.15)),
        ],
        collect,
    )
    nothing_flagged(telemetry)


def test_request_ids_that_are_echoed(telemetry: Telemetry, stack: ExitStack) -> None:
    """A proxy in front of both echoes our own id: it was issued by nobody."""
    quota, limit = Answer.openai_quota(), Answer.openai_rate_limit()
    first = stack.enter_context(stand("openai", Answer.error(429, str(quota.message), headers=ECHO)))
    second = stack.enter_context(stand("openrouter", Answer.error(429, str(limit.message), headers=ECHO)))
    ours = {"x-request-id": "trace-7f3e"}
    walk([first, second], lambda problem: LoopError("failed", request_id="trace-7f3e"), extra_headers=ours)
    nothing_flagged(telemetry)


@pytest.mark.parametrize("made_up", [408, 500, 503, 504])
def test_statuses_that_libraries_make_up_for_a_timeout(telemetry: Telemetry, stack: ExitStack, made_up: int) -> None:
    walk(
        [
            stack.enter_context(stand("openai", Answer.openai_quota())),
            stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.1)),
        ],
        lambda problem: (
            problem
            if isinstance(problem, openai.RateLimitError)
            else LoopError("Request timed out.", status_code=made_up)
        ),
    )
    nothing_flagged(telemetry)
    assert telemetry.candidates[1]["failover.status.synthetic"] == made_up
    assert telemetry.candidates[1]["http.response.status_code"] is None


def test_a_tool_call_that_is_refused_beside_a_provider_that_hangs(telemetry: Telemetry, stack: ExitStack) -> None:
    tool = stack.enter_context(LocalProvider("openai", Answer.openai_rate_limit(), name="tool"))
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.15))
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(openai.RateLimitError), run.attempt(first.candidate):
            first.ask()
        with pytest.raises(LoopError), run.attempt(second.candidate):
            refused = httpx.post(f"{tool.endpoint}/search", json={}).text
            try:
                second.ask()
            except Exception as problem:
                raise LoopError(f"tool said {refused}, then {problem}") from problem
    nothing_flagged(telemetry)
    span = telemetry.candidates[1]
    assert span["failover.reason.code"] == "timeout"
    assert span["failover.wire.statuses"] == ["-"]
    assert span["http.response.status_code"] is None


def test_retries_inside_one_call(telemetry: Telemetry, stack: ExitStack) -> None:
    """429, 429 and a timeout in one SDK call: the 429 is own, and no status is the terminal one."""
    limit = Answer.openai_rate_limit(retry_after=0.01)
    first = stack.enter_context(stand("openrouter", limit, limit, Answer.hang(), timeout=0.15, retries=2))
    with failover_run("chat", chain=[first.candidate]) as run:
        with pytest.raises(LoopError), run.attempt(first.candidate):
            try:
                first.ask()
            except openai.APITimeoutError as problem:
                raise LoopError(f"{limit.message}, then {problem}", status_code=429) from problem
    nothing_flagged(telemetry)
    (span,) = telemetry.candidates
    assert span["failover.wire.statuses"] == ["429", "429", "-"]
    assert span["failover.wire.requests"] == 3
    assert span["http.response.status_code"] is None
    assert span["failover.reason.code"] == "timeout"


@pytest.mark.parametrize("wrap", [lambda problem: problem, rewrap], ids=["same object", "wrapped"])
def test_worker_threads_without_context(
    telemetry: Telemetry, stack: ExitStack, wrap: Callable[[Exception], Exception]
) -> None:
    """The call runs in a thread that does not know the attempt; its exception brings the evidence along."""
    stands = [
        stack.enter_context(stand("openai", Answer.openai_quota())),
        stack.enter_context(stand("openrouter", Answer.openai_quota())),
    ]
    pool = stack.enter_context(ThreadPoolExecutor(1))
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each in stands:
            with pytest.raises((LoopError, openai.RateLimitError)), run.attempt(each.candidate):
                try:
                    pool.submit(each.ask).result()
                except openai.RateLimitError as problem:
                    raise wrap(problem)  # noqa: B904 - as loops do
    nothing_flagged(telemetry)
    for span in telemetry.candidates:
        assert span["failover.reason.code"] == "billing"
        assert span["http.response.status_code"] == 429
        assert span.verdict == ("verified", None)


class GroupError(Exception):
    """As `ExceptionGroup`, which Python 3.10 lacks."""

    def __init__(self, *exceptions: BaseException) -> None:
        super().__init__(f"{len(exceptions)} sub-exceptions")
        self.exceptions = exceptions


@pytest.mark.parametrize("told", [True, False])
def test_a_group_of_errors_from_threads_without_context(telemetry: Telemetry, stack: ExitStack, told: bool) -> None:
    """The own member brings its evidence along, as it does where it leaves the attempt alone."""
    stands = [
        stack.enter_context(stand("openai", Answer.openai_quota())),
        stack.enter_context(stand("openrouter", Answer.openai_rate_limit())),
    ]
    pool, errors = stack.enter_context(ThreadPoolExecutor(1)), []
    with failover_run("chat", chain=[each.candidate for each in stands]) as run:
        for each in stands:
            with suppress(GroupError), run.attempt(each.candidate) as attempt:
                with pytest.raises(openai.RateLimitError) as raised:
                    pool.submit(each.ask).result()
                errors.append(raised.value)
                if told:
                    attempt.fail(GroupError(*errors))
                else:
                    raise GroupError(*errors)
    nothing_flagged(telemetry)
    assert [span["failover.reason.code"] for span in telemetry.candidates] == ["billing", "rate_limit"]
    assert [span["http.response.status_code"] for span in telemetry.candidates] == [429, 429]


@pytest.mark.parametrize("own", [True, False])
def test_a_group_without_an_own_member_brings_nothing_along(telemetry: Telemetry, stack: ExitStack, own: bool) -> None:
    """The theft: a group of errors of others alone, from a thread without context, on one that was never answered."""
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("openrouter", Answer.openai_rate_limit() if own else Answer.hang(), timeout=0.3))
    pool = stack.enter_context(ThreadPoolExecutor(1))
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(openai.RateLimitError) as shared, run.attempt(first.candidate):
            pool.submit(first.ask).result()
        with suppress(GroupError), run.attempt(second.candidate):
            with pytest.raises(openai.OpenAIError) as raised:
                second.ask()
            raise GroupError(shared.value, *([raised.value] if own else []))
    assert len(telemetry.markers) == (not own)


def test_wait_for_around_a_candidate(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.hang()))
    second = stack.enter_context(stand("openrouter", Answer.ok()))

    async def serve() -> None:
        with failover_run("chat", chain=[first.candidate, second.candidate]) as run:

            async def one(each: Stand) -> Any:
                with run.attempt(each.candidate):
                    return await each.aask()

            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(one(first), 0.15)
            await asyncio.wait_for(one(second), 5)

    asyncio.run(serve())
    nothing_flagged(telemetry)
    killed, served = telemetry.candidates
    assert (killed["candidate.outcome"], killed["failover.reason.code"]) == ("error", "timeout")
    assert (killed["failover.timeout.kind"], killed["failover.killed_by"]) == ("caller", "caller_timeout")
    assert killed.end < served.start
    assert served["candidate.outcome"] == "success"
    assert telemetry.run["failover.outcome"] == "fallback"


def test_wait_for_inside_a_candidate(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.hang()))

    async def serve() -> None:
        with failover_run("chat", chain=[first.candidate]) as run:
            with pytest.raises(asyncio.TimeoutError), run.attempt(first.candidate):
                await asyncio.wait_for(first.aask(), 0.15)

    asyncio.run(serve())
    nothing_flagged(telemetry)
    (span,) = telemetry.candidates
    assert (span["failover.reason.code"], span["failover.timeout.kind"]) == ("timeout", "caller")
    assert span.status == "ERROR"


def test_an_outer_span_that_sums_up(telemetry: Telemetry, stack: ExitStack) -> None:
    """A span around the run names a candidate, and lists everybody's errors: a report."""
    stands = [
        stack.enter_context(stand("openai", Answer.openai_quota())),
        stack.enter_context(stand("anthropic", Answer.anthropic_credit_too_low())),
    ]
    errors: list[str] = []

    def noted(problem: Exception) -> Exception:
        errors.append(str(problem))
        return problem

    with telemetry.tracer.start_as_current_span("chat") as outer:
        outer.set_attribute("gen_ai.provider.name", "openai")
        walk(stands, noted)
        outer.set_status(StatusCode.ERROR, "; ".join(errors))
    nothing_flagged(telemetry)
    assert telemetry.named("chat")[0].verdict == ("unverified", "report")


def test_a_server_span_that_records_the_final_error_is_not_judged(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    with pytest.raises(openai.RateLimitError), telemetry.tracer.start_as_current_span("POST /chat"):
        with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate):
            first.ask()
    nothing_flagged(telemetry)
    assert telemetry.named("POST /chat")[0].verdict == (None, None)


@pytest.mark.parametrize("then", ["error", "cut"])
def test_a_stream_that_fails_midway_and_is_rewrapped(telemetry: Telemetry, stack: ExitStack, then: Any) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    broken = Answer.stream(["Hel", "lo"], then=then, message="The server had an error while processing your request")
    second = stack.enter_context(stand("openrouter", broken))
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(openai.RateLimitError), run.attempt(first.candidate):
            first.ask(stream=True)
        with pytest.raises(LoopError), run.attempt(second.candidate):
            try:
                list(second.ask(stream=True))
            except Exception as problem:
                raise rewrap(problem) from problem
    nothing_flagged(telemetry)
    span = telemetry.candidates[1]
    assert span["candidate.outcome"] == "partial"
    assert span["http.response.status_code"] == 200
    assert span.status == "ERROR"


@pytest.mark.parametrize("word", ["rate_limit", "quota", "billing", "a failure of some kind"])
def test_the_loops_own_word_is_kept_beside_the_evidence(telemetry: Telemetry, stack: ExitStack, word: str) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate) as attempt:
        with pytest.raises(openai.RateLimitError):
            first.ask()
        attempt.fail(word)
    nothing_flagged(telemetry)
    assert telemetry.candidates[0]["failover.reason.host"] == word
    assert telemetry.candidates[0]["failover.reason.code"] == "billing"


def test_an_unpatched_sdk_is_unverified_never_guessed(telemetry: Telemetry) -> None:
    with failover_run("chat", chain=["x_ai/grok-5"]) as run:
        with pytest.raises(LoopError), run.attempt(Candidate("x_ai", "grok-5")):
            raise LoopError(
                "You exceeded your current quota, please check your plan and billing details", status_code=429
            )
    nothing_flagged(telemetry)
    (span,) = telemetry.candidates
    assert span.verdict == ("unverified", "evidence_incomplete")
    assert span["failover.evidence"] == "none"
    assert span["failover.reason.code"] == "unknown"


def test_messages_are_real() -> None:
    """The texts that these tests play with are the providers' own."""
    assert MESSAGES
    assert "exceeded your current quota" in str(Answer.openai_quota().message)
