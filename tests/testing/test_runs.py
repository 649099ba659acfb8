"""Captured runs: plain values, the same each time; and assertions whose texts name run, candidate and rule."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import openai
import pytest

from otel_failover import FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer
from otel_failover.testing.runs import CapturedRuns, assert_chain, assert_truthful, captured
from tests.support.hosts import LoopError, stand

if TYPE_CHECKING:
    from collections.abc import Iterator

QUOTA = str(Answer.openai_quota().message)


@pytest.fixture
def runs() -> Iterator[CapturedRuns]:
    with captured() as found:
        yield found


def incident(*, is_told_right: bool) -> None:
    """OpenAI has no quota, Anthropic never answers; of Anthropic, that is told, or what OpenAI said."""
    with stand("openai", Answer.openai_quota()) as first, stand("anthropic", Answer.hang(), timeout=0.2) as second:
        with failover_run("chat", chain=[first.candidate, second.candidate], name="support") as run:
            said = ""
            for each in (first, second):
                with suppress(LoopError), run.attempt(each.candidate):
                    try:
                        each.ask()
                    except Exception as problem:
                        said = str(problem) if is_told_right else said or str(problem)
                        raise LoopError(said) from None


LITERAL = {
    "number": 1,
    "library": "manual",
    "loop": "support",
    "outcome": "exhausted",
    "chain": ["openai/gpt-5.5", "anthropic/claude-opus-4-7"],
    "attempts": [
        {
            "candidate": "openai/gpt-5.5",
            "outcome": "error",
            "reason": "billing",
            "status": 429,
            "error": QUOTA,
            "requests": 1,
            "verdict": "verified",
        },
        {
            "candidate": "anthropic/claude-opus-4-7",
            "outcome": "error",
            "reason": "timeout",
            "error": "no response from anthropic within * s",
            "requests": 1,
            "verdict": "verified",
        },
    ],
}


def test_a_run_is_a_literal_and_the_same_each_time(runs: CapturedRuns) -> None:
    incident(is_told_right=True)
    assert runs.as_dicts() == [LITERAL]
    spans = runs.spans
    assert [(each["name"], each["id"], each["parent"], each["status"]) for each in spans] == [
        ("failover chat", 1, None, "ERROR"),
        ("candidate openai", 2, 1, "ERROR"),
        ("chat gpt-5.5", 3, 2, "ERROR"),
        ("candidate anthropic", 4, 1, "ERROR"),
        ("chat claude-opus-4-7", 5, 4, "ERROR"),
    ]
    assert [(each["start"], each["end"]) for each in spans] == [(0, 9), (1, 4), (2, 3), (5, 8), (6, 7)]
    runs.clear()
    incident(is_told_right=True)
    assert runs.spans == spans
    assert_truthful(runs)


def test_an_error_told_of_another_is_not_truthful_and_the_text_says_whose_it_is(runs: CapturedRuns) -> None:
    incident(is_told_right=True)
    incident(is_told_right=False)
    with pytest.raises(AssertionError) as caught:
        assert_truthful(runs)
    told = str(caught.value)
    assert told.startswith(
        "not truthful:\nrun 2 'support' (manual): exhausted\n  anthropic/claude-opus-4-7 is told openai's"
    )
    assert "openai's error (stale_error): its own: no response in * s (timeout); told was: Error code: 429 - " in told
    assert "run 1" not in told
    with pytest.raises(AssertionError, match="2 runs were captured, not one: run 1 'support'"):
        _ = runs.one


def test_a_loop_that_was_not_seen_is_not_truthful(runs: CapturedRuns) -> None:
    with pytest.raises(AssertionError, match="no run was captured"):
        assert_truthful(runs)


def test_a_finding_may_be_untruthful_by_wish(runs: CapturedRuns) -> None:
    with stand("openai", Answer.openai_quota()) as only:
        with suppress(openai.RateLimitError), failover_run("chat", chain=[only.candidate, "openai/other"]):
            only.ask()
    assert_truthful(runs)
    with pytest.raises(AssertionError, match=r"run 1 'chat' \(manual\): stopped\n  chain_bypassed was found"):
        assert_truthful(runs, findings=["chain_bypassed"])


def test_a_chain_is_compared_step_by_step(runs: CapturedRuns) -> None:
    with stand("openai", Answer.openai_quota()) as first, stand("anthropic") as second:
        with failover_run("chat", chain=[first.candidate, "mistral_ai/large", second.candidate]) as run:
            with suppress(openai.RateLimitError), run.attempt(first.candidate):
                first.ask()
            run.skip("mistral_ai/large", "cooldown")
            with run.attempt(second.candidate):
                second.ask()
    steps = ["openai/gpt-5.5 error billing", "mistral_ai/large skipped cooldown", "anthropic/claude-opus-4-7 success"]
    assert_chain(runs.one, *steps, outcome="fallback")
    assert_chain(runs.one, "openai/gpt-5.5 error", "mistral_ai/large skipped", "anthropic/claude-opus-4-7")
    with pytest.raises(AssertionError) as caught:
        assert_chain(runs.one, "openai/gpt-5.5 error rate_limit", *steps[1:2], outcome="primary")
    assert str(caught.value).splitlines() == [
        "run 1 'chat' (manual): fallback; expected was",
        "  1. openai/gpt-5.5 error rate_limit   but there was: openai/gpt-5.5 error billing",
        "  2. mistral_ai/large skipped cooldown",
        "  3. (nobody)   but there was: anthropic/claude-opus-4-7 success",
        "  outcome primary   but there was: fallback",
    ]


def test_a_part_of_a_word_is_no_step(runs: CapturedRuns) -> None:
    with stand("openai") as only, failover_run("chat", chain=[only.candidate]):
        only.ask()
    with pytest.raises(AssertionError):
        assert_chain(runs.one, "openai/gpt-5.5 succ")


def test_runs_are_not_captured_where_it_is_on_already(runs: CapturedRuns) -> None:
    with pytest.raises(RuntimeError, match=r"on already: call FailoverInstrumentor\(\)\.uninstrument\(\)"):
        with captured():
            pass
    assert FailoverInstrumentor().is_instrumented_by_opentelemetry
