"""Summaries of pydantic-ai's runs: found by the traceback through our wrapper, whatever its exceptions say."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pydantic_ai")

from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel

from otel_failover.testing.providers import Answer
from tests.core.summary.test_summary import NO_MODEL, QUOTA, SILENCE, checked, lines
from tests.integrations.loops.pydantic_ai.models import HAS_CAPABILITY, Bench, answered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Telemetry

TRUTH = [("openai", 429, QUOTA), ("anthropic", 404, NO_MODEL)]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


def failing(bench: Bench) -> FallbackModel:
    return FallbackModel(
        bench.openai(Answer.openai_quota()), bench.anthropic(Answer.anthropic_not_found(), model="claude-none")
    )


@pytest.mark.parametrize("streams", [False, True])
def test_the_run_is_found_through_the_wrapper(telemetry: Telemetry, bench: Bench, *, streams: bool) -> None:
    model = failing(bench)
    group = bench.stream(model) if streams else bench.ask(model)
    found = checked(group, text=True)
    assert (found.outcome, lines(found)) == ("exhausted", TRUTH)
    assert "current quota" in (found.candidates[0].text or "")
    assert found.candidates[1].text == "model: claude-none"


def test_the_run_is_found_from_synchronous_code(telemetry: Telemetry, bench: Bench) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - a group of the library's own
        Agent(failing(bench)).run_sync("hello")
    assert (checked(caught.value).outcome, lines(checked(caught.value))) == ("exhausted", TRUTH)


@pytest.mark.skipif(not HAS_CAPABILITY, reason="ModelFallback came with pydantic-ai 2.64")
def test_the_run_of_the_capability_is_found(telemetry: Telemetry, bench: Bench) -> None:
    from pydantic_ai.capabilities import ModelFallback

    first = bench.openai(Answer.openai_quota())
    second = bench.anthropic(Answer.anthropic_not_found(), model="claude-none")
    group = bench.run(lambda: answered(Agent(first, capabilities=[ModelFallback(second)])))
    assert (checked(group).outcome, lines(checked(group))) == ("exhausted", TRUTH)


class Stale(WrapperModel):
    """The incident: it raises another candidate's error while its own provider was timing out."""

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().request(*args, **kwargs)
        except Exception:  # noqa: BLE001
            body = {"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}
            raise ModelHTTPError(429, self.model_name, body) from None


def test_a_stale_error_in_the_group_cannot_surface(telemetry: Telemetry, bench: Bench) -> None:
    model = FallbackModel(bench.openai(Answer.openai_quota()), Stale(bench.anthropic(Answer.hang(), timeout=0.2)))
    group = bench.ask(model)
    assert [each.status_code for each in group.exceptions] == [429, 429]
    found = checked(group, text=True)
    assert lines(found) == [("openai", 429, QUOTA), ("anthropic", None, SILENCE)]
    assert "quota" not in (found.candidates[1].text or "")


def test_two_failing_requests_at_once_never_swap(telemetry: Telemetry, bench: Bench) -> None:
    one = failing(bench)
    other = FallbackModel(bench.anthropic(Answer.anthropic_overloaded()), bench.openai(Answer.openai_bad_key()))

    async def both() -> Any:
        return await asyncio.gather(answered(Agent(one)), answered(Agent(other)))

    first, second = bench.run(both)
    assert lines(checked(first)) == TRUTH
    assert [(each.provider, each.status_code) for each in checked(second).candidates] == [
        ("anthropic", 529),
        ("openai", 401),
    ]
