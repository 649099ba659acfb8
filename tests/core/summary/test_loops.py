"""Summaries of what every framework's own loop raises: found by the traceback, whatever the exception says."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import warnings
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover import failover_run
from otel_failover._core.summary import find_run
from tests.core.summary.loop_failures import (
    BREAKS_OFF,
    DOWN_THEN_OVERLOADED,
    FELL_OVER,
    LOOPS,
    QUOTA_THEN_HANG,
    QUOTA_THEN_MISSING,
    Loop,
)
from tests.core.summary.test_summary import checked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover import Summary
    from tests.support.spans import Telemetry

ways = pytest.mark.parametrize(("name", "way"), [(name, way) for name, loop in LOOPS.items() for way in loop.ways])


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("livekit", "LiteLLM", "LiteLLM Router"):
        caplog.set_level(logging.CRITICAL, name)


def installed(name: str) -> Loop:
    """Return a loop; skip where its library is not there."""
    loop = LOOPS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(loop.needs, exc_type=ImportError)
    return loop


def rows(found: Summary) -> list[tuple[Any, ...]]:
    """Return who is told of, and what of them."""
    return [(each.provider, each.model_name, each.status_code, each.reason) for each in found.candidates]


def truth(loop: Loop, *facts: tuple[Any, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a loop's candidates with a status and a reason each."""
    return [(*who, *fact) for who, fact in zip(loop.who, facts, strict=True)]


def quota_of(loop: Loop) -> tuple[int, str]:
    return 429, "rate_limit" if loop.who[0][0] == "gcp.gemini" else "billing"


@ways
def test_the_run_is_found(telemetry: Telemetry, stack: ExitStack, name: str, way: str) -> None:
    loop = installed(name)
    (problem,) = loop.fail(stack, way, (QUOTA_THEN_MISSING,))
    found = checked(problem, text=True)
    assert (found.outcome, rows(found)) == ("exhausted", truth(loop, quota_of(loop), (404, "model_not_found")))
    assert [each.attempts for each in found.candidates] == [1, 1]
    assert "quota" in (found.candidates[0].text or "")
    assert found.candidates[1].text == "model: claude-none"


@ways
def test_what_was_never_answered_is_told_so(telemetry: Telemetry, stack: ExitStack, name: str, way: str) -> None:
    """What leaves is often the first one's 429, or a status and a text that nobody sent."""
    loop = installed(name)
    (problem,) = loop.fail(stack, way, (QUOTA_THEN_HANG,))
    found = checked(problem, text=True)
    assert (found.outcome, rows(found)) == ("exhausted", truth(loop, quota_of(loop), (None, "timeout")))
    assert "quota" not in (found.candidates[1].text or "")


def told_of(loop: Loop, problem: Any) -> list[tuple[Any, ...]]:
    assert [each.outcome for each in checked(problem).candidates] == ["error"] * len(loop.who)
    return rows(checked(problem))


def truths(loop: Loop, *facts: tuple[Any, Any]) -> list[list[tuple[Any, ...]]]:
    """Return what may be told: litellm shares a client between the event loops of threads, which breaks connections."""
    broken = truth(loop, facts[0], (None, "connection"))
    return [truth(loop, *facts), *([broken] if loop.needs == "litellm" else [])]


@ways
def test_requests_at_once_never_swap(telemetry: Telemetry, stack: ExitStack, name: str, way: str) -> None:
    loop = installed(name)
    down = (503, "overloaded") if loop.who[0][0] == "gcp.gemini" else (500, "server_error")
    first, second = loop.fail(stack, way, (QUOTA_THEN_MISSING, DOWN_THEN_OVERLOADED))
    assert told_of(loop, first) in truths(loop, quota_of(loop), (404, "model_not_found"))
    assert told_of(loop, second) in truths(loop, down, (529, "overloaded"))


@pytest.mark.parametrize(("name", "way"), [(name, way) for name, loop in LOOPS.items() for way in loop.streams])
def test_a_stream_that_broke_off(telemetry: Telemetry, stack: ExitStack, name: str, way: str) -> None:
    """It was answered with 200, and what broke it stands in the stream; what leaves may bear a status of its own."""
    loop = installed(name)
    (problem,) = loop.fail(stack, way, (BREAKS_OFF,))
    found = checked(problem, text=True)
    first, second = found.candidates
    assert (first.provider, first.status_code, first.outcome) == (loop.who[0][0], 200, "partial")
    assert first.text == FELL_OVER
    if loop.goes_on:
        assert (found.outcome, second.status_code, second.reason) == ("exhausted", 404, "model_not_found")
    else:
        assert (found.outcome, second.status_code, second.outcome) == ("stopped", None, "untried")


@ways
def test_without_a_run_it_is_taken_at_its_word(stack: ExitStack, name: str, way: str) -> None:
    """Nobody is told of who is not named, and no status that the library made up.

    That a 429 is for billing stands in a code, which not every release keeps.
    """
    loop = installed(name)
    (problem,) = loop.fail(stack, way, (QUOTA_THEN_MISSING,))
    found = checked(problem, text=True)
    last = ((None, None, 404, "model_not_found"),)
    assert found.outcome == "failed"
    assert {each.text for each in found.candidates} <= {None}
    if loop.alone:
        expected = list(last if "batch" in way else loop.alone)
        coarse = [(*row[:3], "rate_limit" if row[3] == "billing" else row[3]) for row in expected]
        assert rows(found) in (expected, coarse)
    else:
        assert {(each.status_code, each.reason) for each in found.candidates} <= {(None, "unknown")}


@pytest.mark.parametrize(("name", "way"), [(name, loop.ways[0]) for name, loop in LOOPS.items()])
def test_a_run_around_it_that_knows_nobody_hides_nothing(
    telemetry: Telemetry, stack: ExitStack, name: str, way: str
) -> None:
    """An application may declare its route around the framework that it asks."""
    loop = installed(name)
    with pytest.raises(Exception) as caught, failover_run("chat", name="/ask") as around:  # noqa: PT011 - of any library
        raise loop.fail(stack, way, (QUOTA_THEN_MISSING,))[0]
    assert checked(around).candidates == ()
    assert rows(checked(caught.value)) == truth(loop, quota_of(loop), (404, "model_not_found"))


# --- errors as values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["batch", "abatch"])
def test_the_errors_that_a_batch_gives_as_values(telemetry: Telemetry, stack: ExitStack, way: str) -> None:
    """Each tells of its own item: the one that was served by the second has none, though its first one failed."""
    pytest.importorskip("langchain_openai", exc_type=ImportError)
    models = importlib.import_module("tests.integrations.loops.langchain.models")
    answers = importlib.import_module("otel_failover.testing.providers").Answer
    bench = models.Bench(stack)
    first = bench.openai(answers.openai_quota())
    second = bench.anthropic(answers.anthropic_not_found("claude-none"), model="claude-none")
    given = bench.ask(first.with_fallbacks([second]), ["hello", "again"], way, return_exceptions=True)
    assert len(given) == 2
    for problem in given:
        found = checked(problem)
        assert found.outcome == "exhausted"
        assert rows(found) == [
            ("openai", "gpt-5.5", 429, "billing"),
            ("anthropic", "claude-none", 404, "model_not_found"),
        ]


@pytest.mark.parametrize("how", ["run", "arun"])
def test_the_error_that_an_agent_of_agnos_returns(telemetry: Telemetry, stack: ExitStack, how: str) -> None:
    """Its output has the first one's text, and no exception; the run is found by the output itself."""
    pytest.importorskip("agno", exc_type=ImportError)
    tests = importlib.import_module("tests.integrations.loops.test_agno")
    answers = importlib.import_module("otel_failover.testing.providers").Answer
    bench = tests.Bench(stack)

    def agent(second: Any) -> Any:
        return tests.agent_of(bench.openai(answers.openai_quota()), bench.claude(second))

    def ask(made: Any) -> Any:
        return asyncio.run(made.arun("hello")) if how == "arun" else made.run("hello")

    failed, served = ask(agent(answers.hang(0.0))), ask(agent(answers.ok("fine")))
    assert failed.status.value == "ERROR"
    assert "quota" in failed.content
    found = checked(failed)
    assert (found.outcome, [each.status_code for each in found.candidates]) == ("exhausted", [429, None])
    assert (checked(served).outcome, served.content) == ("fallback", "fine")
    assert checked(object()).candidates == ()


def test_what_is_remembered_of_an_output_goes_with_it(telemetry: Telemetry) -> None:
    class Output:
        """Of a framework."""

    output = Output()
    with failover_run("chat", chain=["openai/gpt-5.5"]) as run:
        find_run.remember(output, run)
    assert checked(output).candidates == checked(run).candidates
    gone = weakref.ref(run)
    del run
    gc.collect()
    assert gone() is not None
    del output
    gc.collect()
    assert gone() is None
