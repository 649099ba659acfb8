"""Summaries: what a service may show to the people behind it, and that it is the truth."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import pickle
import threading
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import openai
import pytest

from otel_failover import Candidate, FailoverInstrumentor, Run, Summary, failover_run, summarize
from otel_failover._core.domain import reasons
from otel_failover._core.summary import summary
from otel_failover._core.summary.row import OUTCOMES, SKIPS, TITLES
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import KEYS, MESSAGES, LoopError, Stand, stand
from tests.truth.test_incident import THEFTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.support.spans import Telemetry

try:
    import jsonschema
except ImportError:  # an environment of an older release; the newest one checks the schema
    jsonschema = None  # type: ignore[assignment]

QUOTA = "quota/rate limit exhausted"
SILENCE = "no response in time"
NO_MODEL = "model not found / invalid model name"
DOWN = "provider unavailable / overloaded"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def checked(failure: object, *, text: bool = False) -> Summary:
    """Summarise; what comes out is JSON and as the schema says."""
    found = summarize(failure, text=text)
    told = found.as_dict()
    assert json.loads(json.dumps(told)) == told
    if jsonschema is not None:
        jsonschema.Draft202012Validator(summary.schema()).validate(told)
    return found


def lines(found: Summary) -> list[tuple[str | None, int | None, str]]:
    return [(each.provider, each.status_code, each.title) for each in found.candidates]


def open_all(stack: ExitStack, *given: tuple[str, Answer]) -> list[Stand]:
    return [
        stack.enter_context(stand(name, answer, timeout=0.1 if answer.kind == "hang" else 5.0))
        for name, answer in given
    ]


def chain_of(stands: list[Stand]) -> list[Candidate]:
    return [each.candidate for each in stands]


def walk(stands: list[Stand], run: Run) -> Any:
    """Try all; what cannot be served ends in the loop's own error, which speaks of the first one only."""
    first: Exception | None = None
    for each in stands:
        try:
            with run.attempt(each.candidate):
                return each.ask()
        except openai.OpenAIError as problem:
            first = first or problem
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            first = first or problem
    raise LoopError(f"all failed: {first}", status_code=429)


async def awalk(stands: list[Stand], run: Run) -> Any:
    first: Exception | None = None
    for each in stands:
        try:
            with run.attempt(each.candidate):
                return await each.aask()
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            first = first or problem
    raise LoopError(f"all failed: {first}", status_code=429)


def incident(stack: ExitStack) -> list[Stand]:
    return open_all(
        stack,
        ("openai", Answer.openai_quota()),
        ("anthropic", Answer.hang()),
        ("gcp.gemini", Answer.gemini_not_found()),
    )


TRUTH = [("openai", 429, QUOTA), ("anthropic", None, SILENCE), ("gcp.gemini", 404, NO_MODEL)]


# --- closed tables ----------------------------------------------------------------------------------------------------


def test_every_reason_has_a_title_and_stands_in_the_schema() -> None:
    assert set(TITLES) == reasons.REASONS
    row = summary.schema()["$defs"]["candidate"]["properties"]
    assert set(row["reason"]["enum"]) == reasons.REASONS | set(SKIPS) | {None}
    assert tuple(row["outcome"]["enum"]) == OUTCOMES
    assert tuple(summary.schema()["properties"]["outcome"]["enum"]) == summary.RUN_OUTCOMES


def test_no_key_is_one_of_a_problems_own() -> None:
    """RFC 9457 keeps `type`, `title`, `status`, `detail` and `instance` for the problem."""
    assert set(summarize(ValueError()).as_dict()) == {"outcome", "candidates"}


# --- the run is found by the frames that the exception passed ---------------------------------------------------------


def by_with(stands: list[Stand]) -> None:
    with failover_run("chat", chain=chain_of(stands)) as run:
        walk(stands, run)


def by_decorator(stands: list[Stand]) -> None:
    held: list[Run] = []

    @failover_run("chat", chain=chain_of(stands))
    def loop() -> None:
        from otel_failover._core import context as scope

        run = scope.run_in()
        assert run is not None
        held.append(run)
        walk(stands, run)

    loop()


def by_coroutine(stands: list[Stand]) -> None:
    async def loop() -> None:
        with failover_run("chat", chain=chain_of(stands)) as run:
            await awalk(stands, run)

    asyncio.run(loop())


def by_bare_calls_in_a_decorated_coroutine(stands: list[Stand]) -> None:
    @failover_run("chat", chain=chain_of(stands))
    async def loop() -> None:
        for each in stands:
            try:
                await each.aask()
            except Exception:  # noqa: BLE001 - the loop goes on
                continue
        raise LoopError("nobody answered")

    asyncio.run(loop())


def by_generator(stands: list[Stand]) -> None:
    @failover_run("chat", chain=chain_of(stands))
    def loop() -> Iterator[str]:
        for each in stands:
            try:
                yield each.ask().id
            except Exception:  # noqa: BLE001 - the loop goes on
                continue
        raise LoopError("nobody answered")

    list(loop())


def by_async_generator(stands: list[Stand]) -> None:
    @failover_run("chat", chain=chain_of(stands))
    async def loop() -> AsyncIterator[str]:
        for each in stands:
            try:
                yield (await each.aask()).id
            except Exception:  # noqa: BLE001 - the loop goes on
                continue
        raise LoopError("nobody answered")

    async def consume() -> None:
        async for _ in loop():
            pass

    asyncio.run(consume())


def by_cause(stands: list[Stand]) -> None:
    try:
        by_with(stands)
    except LoopError as problem:
        raise RuntimeError("503 from our service") from problem


def by_reraise(stands: list[Stand]) -> None:
    try:
        with failover_run("chat", chain=chain_of(stands)) as run:
            walk(stands, run)
    except LoopError:
        raise


def in_another_thread(stands: list[Stand]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(by_with, stands).result()


LOOPS = [
    by_with, by_decorator, by_coroutine, by_bare_calls_in_a_decorated_coroutine, by_generator, by_async_generator,
    by_cause, by_reraise, in_another_thread,
]  # fmt: skip


@pytest.mark.parametrize("loop", LOOPS)
def test_the_run_that_the_exception_left_is_found(
    telemetry: Telemetry, stack: ExitStack, loop: Callable[[list[Stand]], None]
) -> None:
    """Whatever the final error says (here: OpenAI's quota, and a 429), the run's evidence is told."""
    stands = incident(stack)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each loop raises its own
        loop(stands)
    found = checked(caught.value)
    assert found.outcome == "exhausted"
    assert lines(found) == TRUTH
    assert [each.reason for each in found.candidates] == ["billing", "timeout", "model_not_found"]
    assert [each.model_name for each in found.candidates] == [each.candidate.model for each in stands]


def test_it_works_with_tracing_off(stack: ExitStack) -> None:
    """No SDK, no provider: evidence is kept all the same."""
    FailoverInstrumentor().instrument()
    try:
        stands = incident(stack)
        with pytest.raises(LoopError) as caught:
            by_with(stands)
        assert lines(checked(caught.value)) == TRUTH
    finally:
        FailoverInstrumentor().uninstrument()


@pytest.mark.parametrize(("theft", "bond"), THEFTS)
@pytest.mark.parametrize("text", [False, True])
def test_a_stale_text_cannot_surface(
    telemetry: Telemetry, stack: ExitStack, theft: Callable[..., None], bond: str, *, text: bool
) -> None:
    """The incident: while Anthropic timed out, the loop took OpenAI's quota error for Anthropic's."""
    stands = incident(stack)
    session: list[Exception] = []
    last: Exception | None = None
    with pytest.raises(Exception) as caught, failover_run("chat", chain=chain_of(stands)) as run:  # noqa: PT011 - any
        for each in stands:
            try:
                with run.attempt(each.candidate) as attempt:
                    try:
                        each.ask()
                    except Exception as problem:  # noqa: BLE001 - a loop's own retry
                        session.append(problem)
                        if len(session) == 1:
                            raise
                        theft(telemetry, attempt, session[0], problem)
            except Exception as problem:
                last = problem
        raise LoopError(f"anthropic: {last}") from last
    for failure in (caught.value, run):
        found = checked(failure, text=text)
        assert lines(found) == TRUTH
        (_, anthropic, gemini) = found.candidates
        if text:
            assert anthropic.text is not None
            assert anthropic.text.startswith("no response from anthropic within")
            assert "quota" not in f"{anthropic.text}{gemini.text}"
        else:
            assert "exceeded" not in json.dumps(found.as_dict())


def test_what_python_fills_in_as_context_is_not_followed(telemetry: Telemetry, stack: ExitStack) -> None:
    """An error raised while a failed run is handled may have nothing to do with it."""
    stands = incident(stack)
    with pytest.raises(KeyError) as caught:
        try:
            by_with(stands)
        except LoopError:
            dict[str, int]()["the handler's own mistake"]
    assert caught.value.__context__ is not None
    assert checked(caught.value) == Summary("failed")


def test_an_exception_that_never_left_the_run_tells_of_itself(telemetry: Telemetry, stack: ExitStack) -> None:
    """Kept from inside the loop: the run was served by another, and is no account of this error."""
    stands = open_all(stack, ("openai", Answer.openai_quota()), ("anthropic", Answer.ok()))
    kept: list[Exception] = []
    with failover_run("chat", chain=chain_of(stands)) as run:
        for each in stands:
            try:
                with run.attempt(each.candidate):
                    each.ask()
            except Exception as problem:
                kept.append(problem)
    found = checked(kept[0])
    assert found.outcome == "failed"
    assert [(each.status_code, each.reason) for each in found.candidates] == [(429, "billing")]


def test_a_run_in_the_same_variable_that_another_exception_left_is_not_taken(
    telemetry: Telemetry, stack: ExitStack
) -> None:
    stands = incident(stack)

    def handler() -> None:
        try:
            with failover_run("chat", chain=chain_of(stands)) as run:
                walk(stands, run)
        except LoopError:
            pass
        int("another mistake")

    with pytest.raises(ValueError, match="another") as caught:
        handler()
    assert checked(caught.value) == Summary("failed")


def test_an_error_kept_and_raised_again_by_a_later_run_tells_of_the_later_run(
    telemetry: Telemetry, stack: ExitStack
) -> None:
    """The session file of the incident: the second request raises the first one's error."""
    first = open_all(stack, ("openai", Answer.openai_quota()))
    second = open_all(stack, ("anthropic", Answer.hang()))
    with pytest.raises(LoopError) as kept:
        by_with(first)

    def again() -> None:
        with failover_run("chat", chain=chain_of(second)) as run:
            try:
                walk(second, run)
            except LoopError:
                raise kept.value from None

    with pytest.raises(LoopError) as caught:
        again()
    assert caught.value is kept.value
    assert lines(checked(caught.value)) == [("anthropic", None, SILENCE)]


# --- two at once ------------------------------------------------------------------------------------------------------


def two_requests(stack: ExitStack) -> list[tuple[list[Stand], list[Any]]]:
    one = open_all(stack, ("openai", Answer.openai_quota()), ("anthropic", Answer.hang()))
    other = open_all(stack, ("anthropic", Answer.anthropic_not_found()), ("openai", Answer.openai_server_error()))
    return [
        (one, [("openai", 429, QUOTA), ("anthropic", None, SILENCE)]),
        (other, [("anthropic", 404, NO_MODEL), ("openai", 500, DOWN)]),
    ]


def test_two_failing_requests_at_once_never_swap_asyncio(telemetry: Telemetry, stack: ExitStack) -> None:
    """Both have failed before either is summed up."""
    requests = two_requests(stack)

    async def request(stands: list[Stand], both: asyncio.Barrier) -> Any:
        try:
            with failover_run("chat", chain=chain_of(stands)) as run:
                await awalk(stands, run)
        except LoopError as problem:
            await both.wait()
            return lines(checked(problem))

    async def serve() -> list[Any]:
        both = asyncio.Barrier(2)
        return await asyncio.gather(*(request(stands, both) for stands, _ in requests))

    if not hasattr(asyncio, "Barrier"):
        pytest.skip("asyncio has barriers from Python 3.11 on")
    assert asyncio.run(serve()) == [expected for _, expected in requests]


def test_two_failing_requests_at_once_never_swap_threads(telemetry: Telemetry, stack: ExitStack) -> None:
    requests = two_requests(stack)
    both = threading.Barrier(2)

    def request(stands: list[Stand]) -> Any:
        try:
            by_decorator(stands)
        except LoopError as problem:
            both.wait(60)
            return lines(checked(problem))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(request, [stands for stands, _ in requests])) == [expected for _, expected in requests]


def test_one_exception_object_raised_by_two_requests_at_once_names_neither(
    telemetry: Telemetry, stack: ExitStack
) -> None:
    """A constant of the application: its traceback holds the frames of both, in the order they were raised."""
    constant = LoopError("all models failed")
    requests = two_requests(stack)
    inside = threading.Barrier(2)

    def request(stands: list[Stand]) -> None:
        with failover_run("chat", chain=chain_of(stands)) as run:
            try:
                walk(stands, run)
            except LoopError:
                inside.wait(60)
                raise constant from None

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(request, stands) for stands, _ in requests]
        assert all(future.exception() is constant for future in futures)
    assert checked(constant) == Summary("failed")


def test_a_group_of_two_failed_requests_tells_of_both(telemetry: Telemetry, stack: ExitStack) -> None:
    class Group(Exception):  # noqa: N818 - as ExceptionGroup, which Python 3.10 does not have
        exceptions: tuple[Exception, ...] = ()

    requests = two_requests(stack)
    problems = []
    for stands, _ in requests:
        with pytest.raises(LoopError) as caught:
            by_with(stands)
        problems.append(caught.value)
    group = Group("unhandled errors in a TaskGroup (2 sub-exceptions)")
    group.exceptions = (*problems, problems[0])
    found = checked(group)
    assert found.outcome == "failed"
    assert lines(found) == requests[0][1] + requests[1][1]


# --- without a traceback ----------------------------------------------------------------------------------------------


def test_a_pickled_exception_is_taken_at_its_word(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = incident(stack)
    with pytest.raises(LoopError) as caught:
        by_with(stands)
    caught.value.provider = "openai"
    again = pickle.loads(pickle.dumps(caught.value))
    found = checked(again, text=True)
    assert found.outcome == "failed"
    assert [(each.provider, each.status_code, each.text) for each in found.candidates] == [("openai", 429, None)]


def test_without_its_traceback_an_exception_is_taken_at_its_word(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = incident(stack)
    with pytest.raises(LoopError) as caught:
        by_with(stands)
    caught.value.__traceback__ = None
    assert checked(caught.value).outcome == "failed"


def test_a_run_is_found_after_the_frames_were_cleared(telemetry: Telemetry, stack: ExitStack) -> None:
    """As `unittest` does it: the places are still told, and the exception that left there."""
    stands = incident(stack)
    with pytest.raises(LoopError) as caught:
        by_with(stands)
    traceback.clear_frames(caught.value.__traceback__)
    assert checked(caught.value).outcome == "exhausted"


class Holder:
    """Keeps its run where no frame has it by a name."""

    def __init__(self, each: Stand) -> None:
        self.each = each
        self.run = failover_run("chat", chain=[each.candidate])

    def nameless(self) -> Any:
        with failover_run("chat", chain=[self.each.candidate]):
            return self.each.ask()

    def kept(self) -> Any:
        with self.run:
            return self.each.ask()

    def closed_over(self) -> Any:
        run = failover_run("chat", chain=[self.each.candidate])

        def inner() -> Any:
            with run:
                return self.each.ask()

        return inner()


@pytest.mark.parametrize("way", ["nameless", "kept", "closed_over"])
def test_a_run_that_has_no_name_is_found(telemetry: Telemetry, stack: ExitStack, way: str) -> None:
    each = stack.enter_context(stand("openai", Answer.openai_quota()))
    with pytest.raises(openai.RateLimitError) as caught:
        getattr(Holder(each), way)()
    found = checked(caught.value)
    assert found.outcome == "exhausted"
    assert [(row.provider, row.status_code, row.reason) for row in found.candidates] == [("openai", 429, "billing")]


def test_one_exception_that_leaves_run_after_run_tells_of_the_last(telemetry: Telemetry, stack: ExitStack) -> None:
    """An application's constant: where both runs are over, the later one is meant; side by side, neither."""
    constant = LoopError("nobody answered")
    pair = [stack.enter_context(stand("openai", answer)) for answer in (Answer.openai_quota(), Answer.openai_bad_key())]

    def nameless(each: Stand) -> None:
        with failover_run("chat", chain=[each.candidate]):
            with contextlib.suppress(openai.OpenAIError):
                each.ask()
            raise constant

    for each, status in zip(pair, (429, 401), strict=True):
        with pytest.raises(LoopError) as caught:
            nameless(each)
        assert [row.status_code for row in checked(caught.value).candidates] == [status]


def test_a_dead_exception_keeps_no_run(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("openai", Answer.openai_quota()))

    def once() -> weakref.ref[Any]:
        holder = Holder(each)
        with contextlib.suppress(openai.OpenAIError):
            holder.kept()
        return weakref.ref(holder.run)

    run = once()
    gc.collect()
    assert run() is None


def test_an_sdks_own_error_tells_what_it_knows(stack: ExitStack) -> None:
    """Nothing is instrumented; the host is no known one, so nobody is named."""
    cases = [
        ("openai", Answer.openai_rate_limit(), (429, "rate_limit")),
        ("openai", Answer.openai_quota(), (429, "billing")),
        ("openai", Answer.openai_context_overflow(), (400, "context_overflow")),
        ("anthropic", Answer.anthropic_not_found(), (404, "model_not_found")),
        ("anthropic", Answer.anthropic_bad_key(), (401, "auth")),
        ("anthropic", Answer.anthropic_credit_too_low(), (400, "billing")),
        ("anthropic", Answer.hang(), (None, "timeout")),
        ("openai", Answer.reset(), (None, "connection")),
    ]
    for provider, answer, expected in cases:
        (one,) = open_all(stack, (provider, answer))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - of either SDK
            one.ask()
        (row,) = checked(caught.value).candidates
        assert (row.provider, row.status_code, row.reason) == (None, *expected)


def test_an_sdks_error_is_the_providers_whose_host_was_asked() -> None:
    import httpx

    request: Any = httpx.Request("POST", "https://api.groq.com/openai/v1/chat/completions")
    answer: Any = httpx.Response(404, request=request)
    problem = openai.NotFoundError("no", response=answer, body={"code": "model_not_found"})
    (row,) = checked(problem).candidates
    assert (row.provider, row.status_code, row.reason) == ("groq", 404, "model_not_found")


@pytest.mark.parametrize(
    "problem",
    [ValueError("You exceeded your current quota"), RuntimeError("Unknown model: gpt-6"), TimeoutError(), KeyError(1)],
)
def test_an_exception_that_names_nobody_tells_of_no_candidate(problem: Exception) -> None:
    assert checked(problem) == Summary("failed")


def test_a_services_own_error_gives_way_to_what_it_was_raised_from() -> None:
    class HTTPError(Exception):
        status_code = 503

    problem = HTTPError("try again later")
    problem.__cause__ = LoopError("boom", provider="mistral", status_code=429)
    assert lines(checked(problem)) == [("mistral_ai", 429, QUOTA)]


# --- what is told of a run --------------------------------------------------------------------------------------------


def test_a_run_that_was_served_has_nothing_to_answer_for(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = open_all(stack, ("openai", Answer.openai_quota()), ("anthropic", Answer.ok()), ("gcp.gemini", Answer.ok()))
    with failover_run("chat", chain=chain_of(stands)) as run:
        walk(stands, run)
    found = checked(run)
    assert (found.outcome, found.status) == ("fallback", None)
    assert lines(found) == [("openai", 429, QUOTA), ("anthropic", 200, "answered")]


def test_a_run_can_be_summed_up_while_it_is_open(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = open_all(stack, ("openai", Answer.openai_quota()), ("anthropic", Answer.anthropic_overloaded()))
    with failover_run("chat", chain=chain_of(stands)) as run:
        assert checked(run) == Summary("open")
        with pytest.raises(openai.RateLimitError), run.attempt(stands[0].candidate):
            stands[0].ask()
        with run.attempt(stands[1].candidate):
            found = checked(run)
            assert (found.outcome, found.status) == ("open", None)
            assert lines(found) == [("openai", 429, QUOTA), ("anthropic", None, "no answer yet")]
            with pytest.raises(Exception, match="Overloaded"):
                stands[1].ask()
            assert lines(checked(run))[1] == ("anthropic", 529, DOWN)


def test_retries_of_a_candidate_are_one_row_with_its_last_own_error(telemetry: Telemetry, stack: ExitStack) -> None:
    one = stack.enter_context(stand("openai", Answer.openai_rate_limit(), Answer.openai_server_error()))
    with failover_run("chat", chain=[one.candidate]) as run:
        for _ in range(2):
            with pytest.raises(openai.APIStatusError), run.attempt(one.candidate):
                one.ask()
    (row,) = checked(run).candidates
    assert (row.status_code, row.reason, row.attempts) == (500, "server_error", 2)


def test_skipped_and_untried_candidates_are_told_in_the_chains_order(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = open_all(
        stack, *(("openai", Answer.openai_quota()),) * 2, ("anthropic", Answer.ok()), ("gcp.gemini", Answer.ok())
    )
    with failover_run("chat", chain=chain_of(stands)) as run:
        run.skip(stands[2].candidate, reason="cooldown")
        run.skip(stands[0].candidate, reason="sk-live-what-a-loop-says-stays-inside")
        with pytest.raises(openai.RateLimitError), run.attempt(stands[1].candidate):
            stands[1].ask()
        run.stop("deadline")
    found = checked(run)
    assert found.outcome == "stopped"
    assert [(each.provider, each.title, each.reason, each.attempts) for each in found.candidates] == [
        ("openai", "skipped", None, 0),
        ("openai", QUOTA, "billing", 1),
        ("anthropic", "skipped: cooling down after a failure", "cooldown", 0),
        ("gcp.gemini", "not tried", None, 0),
    ]
    assert found.status == 503


def test_rejected_cancelled_and_broken_off(telemetry: Telemetry, stack: ExitStack) -> None:
    cut = Answer.stream(("Hel", "lo"), then="cut")
    stands = open_all(stack, ("openai", Answer.ok()), ("openai", cut))
    with failover_run("chat", chain=chain_of(stands)) as run:
        with run.attempt(stands[0].candidate) as attempt:
            stands[0].ask()
            attempt.reject("not what was asked for")
        with pytest.raises(Exception), run.attempt(stands[1].candidate):  # noqa: B017, PT011 - transport's own
            list(stands[1].ask(stream=True))
    found = checked(run)
    assert [(each.outcome, each.status_code, each.title) for each in found.candidates] == [
        ("rejected", 200, "answer not accepted"),
        ("partial", 200, "answer broke off"),
    ]

    hanging = stack.enter_context(stand("anthropic", Answer.hang()))

    async def give_up() -> Run:
        run = failover_run("chat", chain=[hanging.candidate])

        async def loop() -> None:
            with run, run.attempt(hanging.candidate):
                await hanging.aask()

        task = asyncio.create_task(loop())
        while not hanging.server.log:  # noqa: ASYNC110 - the server is a thread, and sets no event
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return run

    found = checked(asyncio.run(give_up()))
    assert (found.outcome, lines(found)) == ("cancelled", [("anthropic", None, "cancelled")])


def test_a_run_in_a_run_is_told_by_the_outer_one(telemetry: Telemetry, stack: ExitStack) -> None:
    """A candidate that is itself a loop is one row of the run that the exception left last."""
    inner = open_all(stack, ("openai", Answer.openai_quota()), ("openai", Answer.openai_server_error()))
    (backup,) = open_all(stack, ("anthropic", Answer.anthropic_not_found()))
    inside: list[Summary] = []

    def outer() -> None:
        with failover_run("chat", chain=["acme/pool", backup.candidate]) as run:
            try:
                with run.attempt("acme/pool"):
                    by_with(inner)
            except LoopError as problem:
                inside.append(checked(problem))
            walk([backup], run)

    with pytest.raises(LoopError) as caught:
        outer()
    assert [each.status_code for each in inside[0].candidates] == [429, 500]
    assert lines(checked(caught.value)) == [("acme", 500, DOWN), ("anthropic", 404, NO_MODEL)]


def test_an_exception_that_passes_through_both_runs_is_the_outer_ones(telemetry: Telemetry, stack: ExitStack) -> None:
    inner = open_all(stack, ("openai", Answer.openai_quota()))

    @failover_run("chat", chain=["acme/pool"])
    def outer() -> None:
        from otel_failover._core import context as scope

        run = scope.run_in()
        assert run is not None
        with run.attempt("acme/pool"):
            by_with(inner)

    with pytest.raises(LoopError) as caught:
        outer()
    assert lines(checked(caught.value)) == [("acme", 429, QUOTA)]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_stream_that_outlived_its_loop_and_broke_off(
    telemetry: Telemetry, stack: ExitStack, *, wrapped: bool
) -> None:
    """Whether the loop hands on the SDK's stream or the attempt's."""
    (one,) = open_all(stack, ("openai", Answer.stream(("Hel", "lo"), then="error", message="Overloaded")))

    def loop() -> Any:
        with failover_run("chat", chain=[one.candidate]) as run, run.attempt(one.candidate) as attempt:
            stream = one.ask(stream=True)
            return attempt.stream(stream) if wrapped else stream

    with pytest.raises(openai.APIError) as caught:
        list(loop())
    found = checked(caught.value)
    assert found.outcome == "exhausted"
    assert [(each.outcome, each.status_code) for each in found.candidates] == [("partial", 200)]


def test_the_name_of_a_host_that_nobody_declared_is_not_told(telemetry: Telemetry) -> None:
    """An internal gateway's address is the service's own affair."""
    with LocalProvider("openai", Answer.openai_quota()) as server:
        client = openai.OpenAI(api_key=KEYS["openai"], base_url=server.base_url, max_retries=0)
        with pytest.raises(openai.RateLimitError) as caught, failover_run("chat") as run:
            client.chat.completions.create(model="gpt-5.5", messages=MESSAGES)
        for failure in (run, caught.value):
            (row,) = checked(failure).candidates
            assert (row.provider, row.model_name, row.title) == (None, "gpt-5.5", QUOTA)
        client.close()


# --- secrets and texts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [False, True])
def test_secrets_never_leave(telemetry: Telemetry, stack: ExitStack, *, text: bool) -> None:
    """A provider that quotes the key; a model, a skip and an error that hold one."""
    key = KEYS["openai"]
    answer = Answer.error(401, f"Incorrect API key provided: {key}. Bearer {key}", code="invalid_api_key")
    one = stack.enter_context(stand("openai", answer, model=f"gpt-5.5-{key}"))
    with pytest.raises(LoopError) as caught, failover_run("chat", chain=[one.candidate, f"anthropic/{key}"]) as run:
        run.skip(f"anthropic/{key}", reason=f"key {key}")
        try:
            with run.attempt(one.candidate):
                one.ask()
        except openai.OpenAIError as problem:
            raise LoopError(str(problem), provider=key, model=key, model_name=f"gpt {key}") from problem
    bare = pickle.loads(pickle.dumps(caught.value))
    bare.__dict__.update(caught.value.__dict__)
    for failure in (run, caught.value, bare):
        found = checked(failure, text=text)
        for told in (json.dumps(found.as_dict()), str(found), repr(found)):
            assert key not in told
            assert key[8:] not in told


def test_the_providers_text_comes_only_when_asked_for(telemetry: Telemetry, stack: ExitStack) -> None:
    (one,) = open_all(stack, ("openai", Answer.openai_quota()))
    with pytest.raises(LoopError), failover_run("chat", chain=[one.candidate]) as run:
        walk([one], run)
    assert "text" not in checked(run).as_dict()["candidates"][0]
    assert "current quota" in checked(run, text=True).as_dict()["candidates"][0]["text"]


def test_where_error_texts_are_turned_off_there_is_none(stack: ExitStack) -> None:
    FailoverInstrumentor().instrument(error_text="none")
    try:
        (one,) = open_all(stack, ("openai", Answer.openai_quota()))
        with pytest.raises(LoopError), failover_run("chat", chain=[one.candidate]) as run:
            walk([one], run)
        assert checked(run, text=True).candidates[0].text == "429 billing from openai"
    finally:
        FailoverInstrumentor().uninstrument()


# --- what a service answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ((Answer.openai_rate_limit(), Answer.anthropic_rate_limit()), 429),
        ((Answer.openai_quota(), Answer.anthropic_rate_limit()), 503),
        ((Answer.hang(), Answer.hang()), 504),
        ((Answer.hang(), Answer.anthropic_rate_limit()), 503),
        ((Answer.openai_context_overflow(), Answer.error(400, "prompt is too long")), 422),
        ((Answer.openai_server_error(), Answer.anthropic_not_found()), 503),
    ],
)
def test_a_status_is_suggested(
    telemetry: Telemetry, stack: ExitStack, answers: tuple[Answer, Answer], status: int
) -> None:
    stands = open_all(stack, ("openai", answers[0]), ("anthropic", answers[1]))
    with pytest.raises(LoopError), failover_run("chat", chain=chain_of(stands)) as run:
        walk(stands, run)
    assert checked(run).status == status


# --- never raises -----------------------------------------------------------------------------------------------------


class Hostile(Exception):  # noqa: N818 - it is what it says
    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__cause__", "__str__"):
            return super().__getattribute__(name)
        raise ZeroDivisionError(name)

    def __str__(self) -> str:
        raise ZeroDivisionError


class Endless(Exception):  # noqa: N818 - it is what it says
    @property
    def exceptions(self) -> list[Exception]:
        return [self, self, self]


def deep() -> Exception:
    made: Exception = LoopError("inside", provider="openai")
    for _ in range(2_000):
        outer = RuntimeError("around")
        outer.__cause__ = made
        made = outer
    return made


@pytest.mark.parametrize(
    "failure", [None, 7, "text", Hostile(), Endless(), deep(), asyncio.CancelledError(), LoopError]
)
def test_nothing_makes_it_raise(failure: object) -> None:
    """In strict mode, where our own errors would be raised."""
    assert checked(failure).outcome == "failed"


@pytest.mark.parametrize(
    "facts",
    [
        {"status_code": True}, {"status_code": "429"}, {"status_code": 10**30}, {"body": [[]]}, {"body": {"error": 7}},
        {"attempts": [None]}, {"exceptions": [1, None]}, {"request": 7, "response": 7}, {"code": object()},
        {"model": "m" * 100_000}, {"provider": 7, "model_name": 7}, {"original_exception": 7},
    ],
)  # fmt: skip
def test_odd_facts_are_left_out(facts: dict[str, Any]) -> None:
    problem = LoopError("odd", "anthropic")
    problem.__dict__.update(facts)
    checked(problem)


def test_it_is_cheap(telemetry: Telemetry, stack: ExitStack) -> None:
    """No request is made, nothing is written: a summary only reads."""
    stands = incident(stack)
    with pytest.raises(LoopError) as caught:
        by_with(stands)
    before = (len(telemetry.spans), [len(each.server.log) for each in stands])
    assert summarize(caught.value) == summarize(caught.value)
    assert (len(telemetry.spans), [len(each.server.log) for each in stands]) == before
