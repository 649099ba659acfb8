"""Runs: how a pass of a loop ends, what it says of itself, and what it never keeps."""

# ruff: noqa: PT012, SIM117 - how run, attempt and call are nested is what is tested
from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import json
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from opentelemetry import baggage
from opentelemetry.trace import get_current_span

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import KEYS, LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from otel_failover._core.runs.run import Run
    from tests.support.spans import Telemetry


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def three(stack: ExitStack, *answers: Answer) -> list[Stand]:
    names = ("openai", "anthropic", "gcp.gemini")
    return [
        stack.enter_context(stand(name, answer, timeout=0.1 if answer.kind == "hang" else 5.0))
        for name, answer in zip(names, answers, strict=True)
    ]


def walk(stands: list[Stand], run: Run, most: int | None = None) -> Any:
    for each in stands[:most]:
        try:
            with run.attempt(each.candidate):
                return each.ask()
        except Exception:  # noqa: BLE001
            continue
    return None


def chain_of(stands: list[Stand]) -> list[Candidate]:
    return [each.candidate for each in stands]


# --- outcomes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fails", "outcome"), [(0, "primary"), (1, "fallback"), (2, "fallback")])
def test_a_run_that_was_served_is_unset_however_many_failed(
    telemetry: Telemetry, stack: ExitStack, fails: int, outcome: str
) -> None:
    answers = [Answer.openai_quota(), Answer.anthropic_overloaded(), Answer.ok()]
    stands = three(stack, *(answers[i] if i < fails else Answer.ok() for i in range(3)))
    with failover_run("chat", chain=chain_of(stands)) as run:
        assert walk(stands, run) is not None
    span = telemetry.run
    assert span["failover.outcome"] == outcome
    assert (span.status, span.description, span["error.type"], span.events) == ("UNSET", "", None, [])
    assert span["failover.attempt.count"] == fails + 1
    assert span["candidate.index"] == fails
    assert span["candidate.provider"] == stands[fails].candidate.provider
    assert span["failover.untried"] is None


def test_an_exhausted_run_sums_up_in_our_own_words(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = three(stack, Answer.openai_rate_limit(), Answer.hang(), Answer.gemini_overloaded())
    with failover_run("chat", chain=chain_of(stands)) as run:
        walk(stands, run)
    span = telemetry.run
    assert span["failover.outcome"] == span["error.type"] == "exhausted"
    assert span.status == "ERROR"
    assert span.description == "3 of 3 failed: openai rate_limit, anthropic timeout, gcp.gemini overloaded"
    assert span.events == []
    assert span["candidate.provider"] == "gcp.gemini"
    assert span["failover.wasted.duration"] >= 0.1
    assert b"Rate limit reached" not in span.raw
    assert b"high demand" not in span.raw


def test_the_final_exception_leaves_no_text_of_a_provider_on_the_run(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = three(stack, Answer.openai_quota(), Answer.anthropic_rate_limit(), Answer.gemini_quota())
    with pytest.raises(LoopError), failover_run("chat", chain=chain_of(stands)) as run:
        errors = []
        for each in stands:
            with pytest.raises(Exception) as caught, run.attempt(each.candidate):  # noqa: PT011 - any
                each.ask()
            errors.append(str(caught.value))
        raise LoopError("; ".join(errors))
    assert telemetry.run.status == "ERROR"
    assert b"exceeded" not in telemetry.run.raw


def test_a_run_that_leaves_candidates_untried_names_them(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = three(stack, Answer.openai_quota(), Answer.anthropic_overloaded(), Answer.ok())
    with failover_run("chat", chain=chain_of(stands)) as run:
        walk(stands, run, most=1)
    span = telemetry.run
    assert span["failover.outcome"] == span["error.type"] == "stopped"
    assert span["failover.stop.reason"] is None
    assert span["failover.untried"] == ["anthropic/claude-opus-4-7", "gcp.gemini/gemini-2.5-flash"]
    assert span.description == "1 of 3 failed: openai billing"


def test_a_deliberate_end_keeps_its_reason(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = three(stack, Answer.openai_quota(), Answer.anthropic_overloaded(), Answer.ok())
    with failover_run("chat", chain=chain_of(stands)) as run:
        walk(stands, run, most=2)
        run.stop("deadline")
    span = telemetry.run
    assert span["failover.outcome"] == "stopped"
    assert span["failover.stop.reason"] == "deadline"
    assert span["failover.untried"] == ["gcp.gemini/gemini-2.5-flash"]


def test_a_stop_where_nothing_was_left_is_exhausted(telemetry: Telemetry, stack: ExitStack) -> None:
    """Outcome `stopped` means candidates untried; a reason given after the last of them changes nothing."""
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    with failover_run("chat", chain=[first.candidate]) as run:
        walk([first], run)
        run.stop("deadline")
    assert telemetry.run["failover.outcome"] == "exhausted"


def test_a_served_run_that_was_stopped_is_served(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = three(stack, Answer.ok(), Answer.ok(), Answer.ok())
    with failover_run("chat", chain=chain_of(stands)) as run:
        walk(stands, run)
        run.stop("done")
    assert telemetry.run["failover.outcome"] == "primary"
    assert telemetry.run["failover.stop.reason"] is None
    assert telemetry.run["failover.untried"] is None


def test_a_run_that_asks_nobody_has_failed_only_where_an_error_leaves_it(telemetry: Telemetry) -> None:
    with failover_run("chat", chain=["openai/gpt-5.5"]):
        pass
    with contextlib.suppress(LoopError), failover_run("chat", chain=["openai/gpt-5.5"]):
        raise LoopError("no such model")
    cached, broken = telemetry.named("failover chat")
    assert (cached["failover.outcome"], cached.status, cached["failover.untried"]) == ("unasked", "UNSET", None)
    assert (broken["failover.outcome"], broken.status) == ("stopped", "ERROR")
    assert broken["failover.untried"] == ["openai/gpt-5.5"]
    assert [run["failover.attempt.count"] for run in (cached, broken)] == [0, 0]


@pytest.mark.parametrize(
    ("answers", "outcome"), [((Answer.ok(),), "primary"), ((Answer.reset(), Answer.ok()), "fallback")]
)
def test_a_run_that_only_holds_a_run_was_served_by_it(
    telemetry: Telemetry, stack: ExitStack, answers: tuple[Answer, ...], outcome: str
) -> None:
    """A request's run around a framework's: what was served inside it has not failed."""
    stands = [stack.enter_context(stand("openai", answer)) for answer in answers]
    with failover_run("request"), failover_run("chat", chain=chain_of(stands)) as run:
        for each in stands:
            with contextlib.suppress(openai.OpenAIError), run.attempt(each.candidate):
                each.ask()
    inner, outer = (telemetry.named(f"failover {name}")[0] for name in ("chat", "request"))
    assert (outer["failover.outcome"], outer.status, outer["error.type"]) == (outcome, "UNSET", None)
    assert outer["candidate.index"] == inner["candidate.index"] == len(stands) - 1


@pytest.mark.parametrize("raised", [True, False], ids=["thrown out", "returned"])
@pytest.mark.parametrize("declared", [True, False], ids=["a chain", "no chain"])
def test_a_loop_that_is_passed_by_is_not_served_by_a_helpers_run(
    telemetry: Telemetry, stack: ExitStack, declared: bool, raised: bool
) -> None:
    """A moderation is served, then an unknown model throws out of the loop: nobody of the chain was asked.

    Where the loop with a chain returns, the helper's answer may have been all it wanted.
    """
    helper = stack.enter_context(stand("openai", Answer.ok()))
    chain = ["openai/gpt-5.5", "anthropic/claude-opus-4-7"] if declared else None
    with contextlib.suppress(LoopError), failover_run("chat", chain=chain):
        with failover_run("moderation", chain=[helper.candidate]) as inner, inner.attempt(helper.candidate):
            helper.ask()
        if raised:
            raise LoopError("unknown model")
    run = telemetry.named("failover chat")[0]
    assert run["failover.outcome"] == ("stopped" if raised else "unseen" if declared else "primary")
    assert (run.status == "ERROR") is raised
    assert run["failover.findings"] == (["local_failure"] if raised else ["nothing_served"] if declared else None)


def test_a_run_whose_own_candidate_failed_is_not_served_by_a_run_inside(telemetry: Telemetry, stack: ExitStack) -> None:
    """A moderation with a loop of its own, before the question."""
    first, helper = (stack.enter_context(stand("openai", answer)) for answer in (Answer.openai_quota(), Answer.ok()))
    with failover_run("chat", chain=[first.candidate]) as run:
        with failover_run("moderation", chain=[helper.candidate]) as inner, inner.attempt(helper.candidate):
            helper.ask()
        with contextlib.suppress(openai.OpenAIError), run.attempt(first.candidate):
            first.ask()
    assert telemetry.named("failover chat")[0]["failover.outcome"] == "exhausted"
    assert telemetry.named("failover moderation")[0]["failover.outcome"] == "primary"


# --- skips ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["exception", "candidate error"])
def test_a_skip_is_a_span_without_length_that_names_what_armed_it(
    telemetry: Telemetry, stack: ExitStack, cause: str
) -> None:
    stands = three(stack, Answer.openai_quota(), Answer.anthropic_overloaded(), Answer.ok())
    with failover_run("chat", chain=chain_of(stands)) as run:
        with pytest.raises(openai.RateLimitError) as caught, run.attempt(stands[0].candidate) as attempt:
            stands[0].ask()
        armed: Any = caught.value if cause == "exception" else attempt.error
        run.skip(stands[1].candidate, reason="cooldown", cause=armed)
        walk(stands[2:], run)
    (skip,) = telemetry.starting("skip ")
    assert skip.name == "skip anthropic"
    assert skip.end - skip.start == 1000
    assert skip.status == "UNSET"
    assert skip.parent_id == telemetry.run.span_id
    assert skip["failover.skip.reason"] == "cooldown"
    assert skip["failover.skip.cause_span_id"] == telemetry.candidates[0].span_id
    assert skip["candidate.outcome"] == "skipped"
    assert skip["candidate.index"] == 1
    assert skip["failover.run.id"] == telemetry.run["failover.run.id"]
    assert skip.verdict == (None, None)
    assert telemetry.run["failover.attempt.count"] == 2


def test_an_exhausted_run_with_a_skip_leaves_nobody_untried(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = three(stack, Answer.openai_quota(), Answer.ok(), Answer.gemini_overloaded())
    with failover_run("chat", chain=chain_of(stands)) as run:
        walk(stands[:1], run)
        run.skip(stands[1].candidate, "not_configured")
        walk(stands[2:], run)
    assert telemetry.run["failover.outcome"] == "exhausted"
    assert telemetry.run["failover.untried"] is None
    assert telemetry.run.description == "2 of 3 failed, 1 skipped: openai billing, gcp.gemini overloaded"


# --- places and numbers -----------------------------------------------------------------------------------------------


def test_equal_entries_are_taken_in_order_of_first_use(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    other = Candidate("openai", "gpt-5.5", first.server.endpoint)
    assert other == first.candidate
    with failover_run("chat", chain=[first.candidate, "anthropic/claude-opus-4-7", other]) as run:
        for given in (other, first.candidate, Candidate("openai", "gpt-5.5", first.server.endpoint)):
            with pytest.raises(openai.RateLimitError), run.attempt(given):
                first.ask()
    spans = telemetry.candidates
    assert [span["candidate.index"] for span in spans] == [2, 0, 2]
    assert [span["candidate.attempt"] for span in spans] == [1, 1, 2]
    assert [span.name for span in spans] == ["candidate openai #2", "candidate openai #0", "candidate openai #2"]


def test_texts_and_other_spellings_find_their_place(telemetry: Telemetry) -> None:
    with failover_run("chat", chain=["openai/gpt-5.5", Candidate("gemini", "gemini-2.5-flash")]) as run:
        for given in ("google/gemini-2.5-flash", Candidate("openai", "gpt-5.5"), "mistral/large"):
            with run.attempt(given):
                pass
    spans = telemetry.candidates
    assert [span["candidate.index"] for span in spans] == [1, 0, -1]
    assert [span["candidate.provider"] for span in spans] == ["gcp.gemini", "openai", "mistral_ai"]
    assert [span.name for span in spans] == ["candidate gcp.gemini", "candidate openai", "candidate mistral_ai"]


def test_without_a_chain_places_are_in_order_of_first_appearance(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = three(stack, Answer.openai_quota(), Answer.anthropic_overloaded(), Answer.ok())
    with failover_run("chat") as run:
        for each in (stands[1], stands[0], stands[1], stands[2]):
            with run.attempt(each.candidate), contextlib.suppress(openai.APIError, anthropic.APIError):
                each.ask()
    spans = telemetry.candidates
    assert [span["candidate.index"] for span in spans] == [0, 1, 0, 2]
    assert [span["candidate.attempt"] for span in spans] == [1, 1, 2, 1]
    assert telemetry.run["failover.chain"] is None
    assert telemetry.run["failover.outcome"] == "fallback"


# --- what a loop says -------------------------------------------------------------------------------------------------


def test_candidates_that_only_their_calls_name_are_told_apart(telemetry: Telemetry, stack: ExitStack) -> None:
    """Without a word of the loop each is known by its first call; the first one's words at the second are stale."""
    first, second = three(stack, Answer.openai_quota(), Answer.hang(), Answer.ok())[:2]
    said = ""
    with failover_run("chat") as run:
        for each in (first, second, first):
            try:
                with run.attempt(""):
                    try:
                        each.ask()
                    except Exception as problem:  # noqa: BLE001 - a loop's own retry
                        said = said or str(problem)
                        raise LoopError(said) from None
            except LoopError:
                continue
    one, two, again = telemetry.candidates
    assert [span["candidate.index"] for span in (one, two, again)] == [0, 1, 0]
    assert [span["candidate.attempt"] for span in (one, two, again)] == [1, 1, 2]
    assert [span["candidate.model"] for span in (one, two)] == [first.candidate.model, second.candidate.model]
    assert (one.verdict, again.verdict) == (("verified", None), ("verified", None))
    assert two.verdict == ("mismatch", "stale_error")


def test_a_candidate_that_its_call_names_finds_its_place_in_the_chain(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = three(stack, Answer.openai_quota(), Answer.ok(), Answer.ok())
    with failover_run("chat", chain=chain_of(stands)) as run:
        for each in stands[:2]:
            with contextlib.suppress(Exception), run.attempt(""):
                each.ask()
    assert [(span.name, span["candidate.index"]) for span in telemetry.candidates] == [
        ("candidate openai", 0),
        ("candidate anthropic", 1),
    ]
    assert telemetry.run["failover.outcome"] == "fallback"


def test_an_attempt_at_a_place_takes_what_the_chain_leaves_open(telemetry: Telemetry, stack: ExitStack) -> None:
    only = stack.enter_context(stand("openai", Answer.ok()))
    known = Candidate("azure", "another", only.server.endpoint, "eu")
    with failover_run("chat", chain=[f"openai/{only.candidate.model}"]) as run, run.attempt_at(0, known):
        only.ask()
    (span,) = telemetry.candidates
    assert (span["candidate.provider"], span["candidate.model"]) == ("openai", only.candidate.model)
    assert (span["candidate.endpoint"], span["candidate.profile"]) == (only.server.endpoint, "eu")


def test_an_attempt_left_normally_after_a_failed_call_is_an_error(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate):
        with pytest.raises(openai.RateLimitError):
            first.ask()
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span["error.type"], span.status) == ("error", "billing", "ERROR")
    assert telemetry.run["failover.outcome"] == "exhausted"


def test_a_call_that_succeeds_after_a_failed_one_serves(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_rate_limit(), Answer.ok()))
    with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate):
        with pytest.raises(openai.RateLimitError):
            first.ask()
        first.ask()
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span.status) == ("success", "UNSET")
    assert span["failover.wire.statuses"] == ["429", "200"]
    assert span["http.response.status_code"] == 200


@pytest.mark.parametrize("how", ["fail", "reject"])
def test_marking_a_success_is_a_rejection(telemetry: Telemetry, stack: ExitStack, how: str) -> None:
    first = stack.enter_context(stand("openai", Answer.ok()))
    with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate) as attempt:
        first.ask()
        getattr(attempt, how)("empty")
    (span,) = telemetry.candidates
    assert span["candidate.outcome"] == "rejected"
    assert span["failover.reason.code"] == "response_rejected"
    assert span["failover.reason.host"] == "empty"
    assert (span.status, span["error.type"]) == ("UNSET", None)
    assert span["http.response.status_code"] == 200
    assert span.verdict == ("verified", None)
    assert telemetry.run["failover.outcome"] == "exhausted"
    assert telemetry.run.description == "1 of 1 failed: openai response_rejected"


def test_nothing_seen_is_no_evidence(telemetry: Telemetry) -> None:
    with failover_run("chat", chain=["x_ai/grok-5"]) as run, run.attempt("x_ai/grok-5"):
        pass
    (span,) = telemetry.candidates
    assert span["failover.evidence"] == "none"
    assert span["failover.wire.requests"] == 0
    assert span["failover.wire.statuses"] == []
    assert span.verdict == ("unverified", "evidence_incomplete")


def test_a_stream_still_open_is_a_gap(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.stream(4)))
    with failover_run("chat", chain=[first.candidate]) as run:
        with pytest.raises(LoopError), run.attempt(first.candidate):
            chunks = first.ask(stream=True)
            next(iter(chunks))
            raise LoopError("changed my mind")
        chunks.close()
    (span,) = telemetry.candidates
    assert (span["failover.evidence"], span["failover.evidence_gap"]) == ("partial", "call_open")


def test_a_raw_stream_nobody_parses_is_a_gap(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.stream(4)))
    with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate):
        create = first.client.chat.completions.with_streaming_response.create
        with create(model="gpt-5.5", messages=[{"role": "user", "content": "hello"}], stream=True) as response:
            list(response.iter_lines())
    (span,) = telemetry.candidates
    assert span["candidate.outcome"] == "success"
    assert span["failover.evidence"] == "partial"


def test_an_orphan_to_the_same_endpoint_is_a_gap(telemetry: Telemetry, stack: ExitStack) -> None:
    """A thread without context calls the candidate while the attempt is open."""
    first = stack.enter_context(stand("openai", Answer.ok()))
    pool = stack.enter_context(ThreadPoolExecutor(1))
    with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate):
        first.ask()
        pool.submit(first.ask).result()
    (span,) = telemetry.candidates
    assert (span["failover.evidence"], span["failover.evidence_gap"]) == ("partial", "orphan")


# --- worker threads without context -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["object", "response", "cause"])
def test_a_stale_error_from_a_thread_is_not_adopted_by_another_candidate(
    telemetry: Telemetry, stack: ExitStack, kind: str
) -> None:
    """The incident in worker threads that know no attempt: OpenAI's quota error, raised while Anthropic hung."""
    stands = three(stack, Answer.openai_quota(), Answer.hang(), Answer.ok())
    pool = stack.enter_context(ThreadPoolExecutor(1))
    stale: list[Any] = []
    with failover_run("chat", chain=chain_of(stands)) as run:
        for each in stands[:2]:
            with pytest.raises(Exception), run.attempt(each.candidate):  # noqa: B017, PT011 - any
                try:
                    pool.submit(each.ask).result()
                except Exception as problem:  # noqa: BLE001 - that is the loop
                    stale.append(problem)
                if len(stale) == 1 or kind == "object":
                    raise stale[0]
                if kind == "response":
                    raise LoopError("failed", response=stale[0].response)
                raise LoopError("failed", status_code=429) from stale[0]
    second = telemetry.candidates[1]
    assert second["http.response.status_code"] is None
    assert "quota" not in second.description
    assert second.verdict == ("mismatch", "stale_error")


# --- breakers across runs ---------------------------------------------------------------------------------------------


def say_again(run: Run, each: Stand, text: str) -> None:
    with pytest.raises(LoopError), run.attempt(each.candidate):
        with pytest.raises(openai.APITimeoutError):
            each.ask()
        raise LoopError(text)


SAID = "Upstream capacity is gone until the maintenance window has passed"


def test_a_candidate_may_repeat_its_own_error_of_an_earlier_run(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.error(503, SAID), Answer.hang(), timeout=0.1))
    with failover_run("chat", chain=[first.candidate]) as run:
        with pytest.raises(openai.InternalServerError), run.attempt(first.candidate):
            first.ask()
    with failover_run("chat", chain=[first.candidate]) as run:
        say_again(run, first, SAID)
    assert telemetry.markers == []
    assert telemetry.candidates[1]["failover.error.replayed"] is True


def test_it_may_do_so_from_another_place_in_the_chain(telemetry: Telemetry, stack: ExitStack) -> None:
    """Two deployments take turns at the head of the chain."""
    east = stack.enter_context(stand("openai", Answer.error(503, SAID), Answer.hang(), timeout=0.1, profile="east"))
    west = stack.enter_context(stand("openai", Answer.ok(), profile="west"))
    with failover_run("chat", chain=[east.candidate, west.candidate]) as run:
        walk([east, west], run)
    with failover_run("chat", chain=[west.candidate, east.candidate]) as run:
        say_again(run, east, SAID)
    assert telemetry.markers == []


def test_it_may_repeat_what_a_call_outside_any_run_heard(telemetry: Telemetry, stack: ExitStack) -> None:
    """A health check arms the breaker."""
    first = stack.enter_context(stand("openai", Answer.error(503, SAID), Answer.hang(), timeout=0.1, profile="east"))
    with pytest.raises(openai.InternalServerError):
        first.ask()
    with failover_run("chat", chain=[first.candidate]) as run:
        say_again(run, first, SAID)
    assert telemetry.markers == []


@pytest.mark.parametrize(
    "text",
    [
        SAID,
        "Your organization's capacity is gone until the maintenance window has passed",
        'The capacity of "big" is gone until the maintenance window has passed',
    ],
)
def test_another_candidates_error_of_an_earlier_run_is_found(telemetry: Telemetry, stack: ExitStack, text: str) -> None:
    first = stack.enter_context(stand("anthropic", Answer.error(503, text)))
    second = stack.enter_context(stand("openrouter", Answer.hang(), timeout=0.1))
    with failover_run("chat", chain=[first.candidate]) as run:
        with pytest.raises(anthropic.InternalServerError) as caught, run.attempt(first.candidate):
            first.ask()
    with failover_run("chat", chain=[second.candidate]) as run:
        say_again(run, second, str(caught.value))
    span = telemetry.candidates[1]
    assert span.verdict == ("mismatch", "stale_error")
    assert span["failover.attribution.source.provider"] == "anthropic"
    assert span["failover.attribution.source.span_id"] == telemetry.candidates[0].span_id


# --- whose error it was first -----------------------------------------------------------------------------------------


def test_an_object_stolen_twice_is_pinned_on_whose_it_is(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = three(stack, Answer.openai_quota(), Answer.hang(), Answer.hang())
    stale: list[Exception] = []
    with failover_run("chat", chain=chain_of(stands)) as run:
        for each in stands:
            with pytest.raises(openai.RateLimitError), run.attempt(each.candidate):
                try:
                    each.ask()
                except Exception as problem:  # noqa: BLE001 - that is the loop
                    stale.append(problem)
                raise stale[0]
    sources = [span["failover.attribution.source.provider"] for span in telemetry.candidates]
    assert sources == [None, "openai", "openai"]


def test_a_bare_status_line_makes_no_report(telemetry: Telemetry, stack: ExitStack) -> None:
    """A gateway answers with a page of HTML, of which the SDK keeps the status only."""
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("openrouter", Answer.raw(502, "<html><h1>Bad</h1></html>")))
    stale: list[Exception] = []
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        for each in (first, second):
            with pytest.raises(LoopError), run.attempt(each.candidate):
                try:
                    each.ask()
                except Exception as problem:  # noqa: BLE001 - that is the loop
                    stale.append(problem)
                raise LoopError(str(stale[0]))
    assert telemetry.candidates[1].verdict == ("mismatch", "stale_error")


def test_a_shared_code_does_not_make_an_exception_own(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_rate_limit()))
    limit = Answer.error(429, "Slow down, this deployment is at its limit", code="rate_limit_exceeded")
    second = stack.enter_context(stand("openrouter", limit))
    stale: list[Exception] = []
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        for each in (first, second):
            with pytest.raises(openai.RateLimitError), run.attempt(each.candidate):
                try:
                    each.ask()
                except Exception as problem:  # noqa: BLE001 - that is the loop
                    stale.append(problem)
                raise stale[0]
    span = telemetry.candidates[1]
    assert span.verdict == ("mismatch", "stale_error")
    assert span["failover.attribution.bound_by"] == "object"


@pytest.mark.parametrize("tell", [str, lambda stale: json.dumps(stale.body)], ids=["repr", "json"])
def test_a_text_with_escapes_in_it_is_found(telemetry: Telemetry, stack: ExitStack, tell: Callable[[Any], str]) -> None:
    """An SDK's `str` is a `repr` of the body, a loop's may be JSON; providers write French and Chinese too."""
    text = "La limite\N{NO-BREAK SPACE}mensuelle est d\u00e9pass\u00e9e\N{NO-BREAK SPACE}: pour cette organisation"
    first = stack.enter_context(stand("anthropic", Answer.error(429, text)))
    second = stack.enter_context(stand("openrouter", Answer.hang(), timeout=0.1))
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(anthropic.RateLimitError) as caught, run.attempt(first.candidate):
            first.ask()
        say_again(run, second, tell(caught.value))
    assert telemetry.candidates[1].verdict == ("mismatch", "stale_error")


def test_a_rejection_with_another_candidates_words_is_judged_too(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("openrouter", Answer.ok()))
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(openai.RateLimitError) as caught, run.attempt(first.candidate):
            first.ask()
        with run.attempt(second.candidate) as attempt:
            second.ask()
            attempt.reject(str(caught.value))
    span = telemetry.candidates[1]
    assert span.verdict == ("mismatch", "stale_error")
    assert span["failover.reason.host"] is None


# --- nested runs ------------------------------------------------------------------------------------------------------


def test_what_a_child_run_sends_is_own_to_the_attempt_around_it(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = three(stack, Answer.openai_quota(), Answer.anthropic_overloaded(), Answer.ok())
    router = Candidate("router", "auto")
    with failover_run("outer", chain=[router, stands[2].candidate]) as outer:
        with pytest.raises(LoopError), outer.attempt(router):
            with failover_run("inner", chain=chain_of(stands[:2])) as inner:
                walk(stands[:2], inner)
            raise LoopError("router failed")
        walk(stands[2:], outer)
    inner_span = telemetry.named("failover inner")[0]
    outer_span = telemetry.named("failover outer")[0]
    around = next(span for span in telemetry.candidates if span["candidate.provider"] == "router")
    assert inner_span.parent_id == around.span_id
    assert inner_span["failover.outcome"] == "exhausted"
    assert outer_span["failover.outcome"] == "fallback"
    assert around.name == "candidate other"
    assert around["failover.wire.statuses"] == ["429", "529"]
    assert around["http.response.status_code"] == 529
    assert around["failover.reason.code"] == "overloaded"
    assert telemetry.markers == []


def test_a_child_runs_error_is_told_by_the_attempt_around_it(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    router = Candidate("router", "auto")
    with failover_run("outer", chain=[router]) as outer, pytest.raises(LoopError), outer.attempt(router):
        with failover_run("inner", chain=[first.candidate]) as inner:
            with pytest.raises(openai.RateLimitError) as caught, inner.attempt(first.candidate):
                first.ask()
        raise LoopError(str(caught.value), status_code=429)
    around = next(span for span in telemetry.candidates if span["candidate.provider"] == "router")
    assert around.verdict == ("verified", None)


# --- cancellation -----------------------------------------------------------------------------------------------------


def test_a_cancelled_task_is_a_cancelled_run(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.hang()))

    async def serve() -> None:
        with failover_run("chat", chain=[first.candidate, "anthropic/claude-opus-4-7"]) as run:
            with run.attempt(first.candidate):
                await first.aask()

    async def main() -> None:
        task = asyncio.create_task(serve())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (span,) = telemetry.candidates
    assert span["candidate.outcome"] == span["failover.reason.code"] == "cancelled"
    assert span["failover.error.origin"] == "cancelled"
    assert span["failover.killed_by"] == "user"
    assert (span.status, span["error.type"]) == ("UNSET", None)
    assert telemetry.run["failover.outcome"] == "cancelled"
    assert (telemetry.run.status, telemetry.run["error.type"]) == ("UNSET", None)


@pytest.mark.parametrize("leaves", ["in peace", "by an error"])
def test_a_deadline_around_the_last_attempt_is_the_loops_own(
    telemetry: Telemetry, stack: ExitStack, leaves: str
) -> None:
    """No further step shows that the loop goes on, but its end does: nobody is served, and nobody has hung up."""
    first = stack.enter_context(stand("openai", Answer.hang()))

    async def serve() -> None:
        with failover_run("chat", chain=[first.candidate]) as run:

            async def one() -> None:
                with run.attempt(first.candidate):
                    await first.aask()

            try:
                await asyncio.wait_for(one(), 0.1)
            except asyncio.TimeoutError:
                if leaves == "by an error":
                    raise LoopError("all providers timed out") from None

    with suppress(LoopError):
        asyncio.run(serve())
    (span,) = telemetry.candidates
    told = sys.version_info >= (3, 11) or leaves == "by an error"
    assert span["candidate.outcome"] == ("error" if told else "cancelled")
    assert span["failover.killed_by"] == ("caller_timeout" if told else None)
    assert telemetry.run["failover.outcome"] == ("exhausted" if told else "cancelled")


def test_a_user_who_hangs_up_on_a_host_that_swallows_it_has_cancelled(telemetry: Telemetry, stack: ExitStack) -> None:
    """The honest twin: the task is still being cancelled when the run ends."""
    first = stack.enter_context(stand("openai", Answer.hang()))

    async def serve() -> None:
        with failover_run("chat", chain=[first.candidate]) as run:
            with suppress(asyncio.CancelledError), run.attempt(first.candidate):
                await first.aask()

    async def hang_up() -> None:
        task = asyncio.create_task(serve())
        await asyncio.sleep(0.2)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(hang_up())
    assert telemetry.candidates[0]["candidate.outcome"] == "cancelled"
    assert telemetry.run["failover.outcome"] == "cancelled"


def test_a_candidate_is_found_by_what_is_known_of_it(telemetry: Telemetry, stack: ExitStack) -> None:
    """The chain says where each is; the loop names them by provider and model alone, or the other way round."""
    pair = [stack.enter_context(stand(kind, answer)) for kind, answer in (
        ("openai", Answer.openai_quota()), ("anthropic", Answer.ok())
    )]  # fmt: skip
    with failover_run("chat", chain=[each.candidate for each in pair]) as run:
        for each in pair:
            with suppress(Exception), run.attempt(f"{each.candidate.provider}/{each.candidate.model}"):
                each.ask()
    assert [(span["candidate.index"], span.verdict) for span in telemetry.candidates] == [
        (0, ("verified", None)),
        (1, ("verified", None)),
    ]
    assert telemetry.run["failover.outcome"] == "fallback"
    assert telemetry.run["failover.findings"] is None


# --- many at once -----------------------------------------------------------------------------------------------------


def own_chain(stack: ExitStack, number: int) -> list[Stand]:
    text = f"{'abcdefghijklmnopqrst'[number] * 6} is not on the list of what this account may ask for"
    return [
        stack.enter_context(stand("openai", Answer.delayed(Answer.error(403, text), 0.02))),
        stack.enter_context(stand("anthropic", Answer.ok() if number % 2 else Answer.error(529, f"{text} either"))),
    ]


def nobody_crossed(telemetry: Telemetry, count: int) -> None:
    assert telemetry.markers == []
    assert len(telemetry.candidates) == 2 * count
    runs = telemetry.starting("failover ")
    assert len(runs) == count
    for run in runs:
        first, second = telemetry.children(run)
        assert first["failover.run.id"] == second["failover.run.id"] == run["failover.run.id"]
        assert (first["failover.wire.statuses"], first.verdict) == (["403"], ("verified", None))
        word = first.description.split()[0]
        if run["failover.outcome"] == "fallback":
            assert second["http.response.status_code"] == 200
        else:
            assert second.description.split()[0] == word
        assert run["failover.loop.name"] == word


def test_twenty_runs_in_one_loop_never_cross(telemetry: Telemetry, stack: ExitStack) -> None:
    chains = [own_chain(stack, number) for number in range(20)]

    async def serve(number: int) -> None:
        name = "abcdefghijklmnopqrst"[number] * 6
        with failover_run("chat", chain=chain_of(chains[number]), name=name) as run:
            for each in chains[number]:
                try:
                    with run.attempt(each.candidate):
                        await each.aask()
                except Exception:  # noqa: BLE001, S112 - the loop goes on
                    continue

    async def main() -> None:
        await asyncio.gather(*(serve(number) for number in range(20)))
        await asyncio.gather(*(each.aclient.close() for chain in chains for each in chain))

    asyncio.run(main())
    nobody_crossed(telemetry, 20)


def test_twenty_runs_in_threads_never_cross(telemetry: Telemetry, stack: ExitStack) -> None:
    chains = [own_chain(stack, number) for number in range(20)]
    together = threading.Barrier(20)

    def serve(number: int) -> None:
        together.wait(60)
        with failover_run("chat", chain=chain_of(chains[number]), name="abcdefghijklmnopqrst"[number] * 6) as run:
            walk(chains[number], run)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(serve, range(20)))
    nobody_crossed(telemetry, 20)


def test_hedged_candidates_of_one_run_keep_their_own(telemetry: Telemetry, stack: ExitStack) -> None:
    stands = three(
        stack,
        Answer.delayed(Answer.openai_quota(), 0.05),
        Answer.delayed(Answer.anthropic_overloaded(), 0.02),
        Answer.ok(),
    )

    async def serve() -> None:
        with failover_run("chat", chain=chain_of(stands)) as run:

            async def one(each: Stand) -> Any:
                with run.attempt(each.candidate):
                    return await each.aask()

            await asyncio.gather(*(one(each) for each in stands), return_exceptions=True)

    asyncio.run(serve())
    assert [span["http.response.status_code"] for span in telemetry.candidates] == [429, 529, 200]
    assert all(span.verdict == ("verified", None) for span in telemetry.candidates)
    assert telemetry.run["failover.outcome"] == "fallback"


# --- the decorator ----------------------------------------------------------------------------------------------------


def test_a_decorated_function_is_a_run_each_time(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.ok()))

    @failover_run("chat", chain=[first.candidate])
    def serve(text: str) -> str:
        """Serves."""
        first.ask()
        return text.upper()

    assert serve.__name__ == "serve"
    assert serve.__doc__ == "Serves."
    assert [serve("a"), serve("b")] == ["A", "B"]
    runs = telemetry.starting("failover ")
    assert [run["failover.outcome"] for run in runs] == ["primary", "primary"]
    assert len({run["failover.run.id"] for run in runs}) == 2


def test_a_decorated_coroutine_is_a_run(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))

    @failover_run("chat", chain=[first.candidate])
    async def serve() -> None:
        await first.aask()

    assert asyncio.iscoroutinefunction(serve)
    with pytest.raises(openai.RateLimitError):
        asyncio.run(serve())
    assert telemetry.run["failover.outcome"] == "exhausted"


def test_a_decorated_generator_is_a_run_until_it_ends(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.stream(3)))

    @failover_run("chat", chain=[first.candidate])
    def serve() -> Iterator[Any]:
        yield from first.ask(stream=True)

    seen = 0
    for _ in serve():
        assert not get_current_span().get_span_context().is_valid
        assert telemetry.starting("failover ") == []
        seen += 1
    assert seen >= 3
    assert telemetry.run["failover.outcome"] == "primary"
    assert telemetry.candidates[0].parent_id == telemetry.run.span_id


def test_a_decorated_async_generator_is_a_run_until_it_ends(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.stream(3)))

    @failover_run("chat", chain=[first.candidate])
    async def serve() -> AsyncIterator[Any]:
        async for chunk in await first.aask(stream=True):
            yield chunk

    async def main() -> int:
        seen = 0
        async for _ in serve():
            assert not get_current_span().get_span_context().is_valid
            seen += 1
        return seen

    assert asyncio.run(main()) >= 3
    assert telemetry.run["failover.outcome"] == "primary"
    assert telemetry.candidates[0].parent_id == telemetry.run.span_id


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["with", "bare", "fail"])
def test_nothing_of_a_run_is_kept_alive(telemetry: Telemetry, stack: ExitStack, how: str) -> None:
    stands = three(stack, Answer.openai_quota(), Answer.anthropic_overloaded(), Answer.ok())
    kept: list[weakref.ref[Any]] = []

    def serve() -> None:
        run = failover_run("chat", chain=chain_of(stands))
        with run:
            for each in stands:
                try:
                    if how == "bare":
                        kept.append(weakref.ref(each.ask()))
                        continue
                    with run.attempt(each.candidate) as attempt:
                        kept.append(weakref.ref(attempt))
                        try:
                            kept.append(weakref.ref(each.ask()))
                        except Exception as problem:
                            kept.append(weakref.ref(problem.response))  # type: ignore[attr-defined]
                            attempt.fail(problem) if how == "fail" else None
                            raise
                except Exception as problem:  # noqa: BLE001 - that is the loop
                    kept.append(weakref.ref(problem))
        kept.append(weakref.ref(run))

    serve_weak = contextvars.copy_context()
    serve_weak.run(serve)
    del serve_weak
    gc.collect()
    assert kept
    assert [each() for each in kept if each() is not None] == []


def test_state_never_travels_in_baggage(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.ok()))
    with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate):
        assert dict(baggage.get_all()) == {}
        first.ask()
    (served,) = first.server.log
    assert not {"baggage", "traceparent", "tracestate"} & set(served.headers)


def test_every_span_inside_an_attempt_says_whose_it_is(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.ok()))
    with telemetry.tracer.start_as_current_span("around"), failover_run("chat", chain=[first.candidate]) as run:
        with telemetry.tracer.start_as_current_span("in the run"):
            pass
        with run.attempt(first.candidate), telemetry.tracer.start_as_current_span("tool"):
            with telemetry.tracer.start_as_current_span("query", attributes={"candidate.provider": "wrong"}):
                first.ask()
    for name in ("tool", "query", "chat gpt-5.5", "candidate openai"):
        (span,) = telemetry.named(name)
        assert (span["candidate.provider"], span["candidate.model"], span["candidate.index"]) == (
            "openai",
            "gpt-5.5",
            0,
        )
    for name in ("around", "in the run"):
        assert telemetry.named(name)[0]["candidate.provider"] is None


@pytest.mark.parametrize("leave", ["twice", "outside"])
def test_misuse_is_a_warning_not_an_error(telemetry: Telemetry, caplog: pytest.LogCaptureFixture, leave: str) -> None:
    run = failover_run("chat", chain=["openai/gpt-5.5"])
    with run:
        if leave == "twice":
            run.__enter__()
    with run.attempt("openai/gpt-5.5") as attempt:
        attempt.fail("late")
    run.skip("openai/gpt-5.5", "late")
    assert "otel-failover" in caplog.text
    assert len(telemetry.starting("failover ")) == 1
    assert telemetry.candidates == []


# --- as people write it -----------------------------------------------------------------------------------------------


def test_a_decorator_without_parentheses_is_one(telemetry: Telemetry, stack: ExitStack) -> None:
    each = stack.enter_context(stand("openai", Answer.ok()))

    @failover_run
    def answer(question: str) -> str:
        """Answer."""
        return f"{question} {each.ask().choices[0].message.content}"

    assert answer("Well?") == "Well? Hello"
    assert (answer.__name__, answer.__doc__) == ("answer", "Answer.")
    assert telemetry.run["failover.outcome"] == "primary"


@pytest.mark.parametrize(("text", "reason"), [("", "empty_response"), ("Hello", "response_rejected")])
def test_an_answer_that_is_not_taken_is_empty_where_it_is(
    telemetry: Telemetry, stack: ExitStack, text: str, reason: str
) -> None:
    each = stack.enter_context(stand("openai", Answer.ok(text)))
    with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate) as attempt:
        each.ask()
        attempt.reject("empty reply")
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span["failover.reason.code"]) == ("rejected", reason)


# --- as a person sees them --------------------------------------------------------------------------------------------


def test_a_run_and_its_attempts_say_what_became_of_them(telemetry: Telemetry, stack: ExitStack) -> None:
    first, second = (stack.enter_context(stand(*each)) for each in (("openai", Answer.openai_quota()), ("anthropic",)))
    run = failover_run("chat", chain=[first.candidate, second.candidate], name="support")
    assert repr(run) == "<Run 'support' (manual): not begun, 0 attempts>"
    with run:
        assert repr(run) == "<Run 'support' (manual): open, 0 attempts>"
        attempt = run.attempt(first.candidate)
        assert repr(attempt) == "<Attempt 1 at openai/gpt-5.5: not begun>"
        with suppress(openai.RateLimitError), attempt:
            assert repr(attempt) == "<Attempt 1 at openai/gpt-5.5: current>"
            first.ask()
        assert repr(attempt) == "<Attempt 1 at openai/gpt-5.5: error billing 429>"
        with run.attempt(second.candidate) as attempt:
            second.ask()
        assert repr(attempt) == "<Attempt 1 at anthropic/claude-opus-4-7: success 200>"
    assert repr(run) == "<Run 'support' (manual): fallback by anthropic/claude-opus-4-7, 2 attempts>"


def test_neither_shows_a_key_or_raises(telemetry: Telemetry) -> None:
    """A key that was put into a name by mistake; what is looked at while it is being made."""
    run = failover_run(KEYS["openai"], chain=[f"openai/{KEYS['openai']}"], name=KEYS["anthropic"])
    shown = [repr(run)]
    with run, run.attempt(f"openai/{KEYS['openai']}") as attempt:
        shown += [repr(run), repr(attempt)]
    shown += [repr(run), repr(attempt)]
    assert not [key for key in KEYS.values() if key[8:] in "".join(shown)]
    unmade = [repr(object.__new__(type(each))) for each in (run, attempt)]
    assert unmade == ["<Run>", "<Attempt>"]
