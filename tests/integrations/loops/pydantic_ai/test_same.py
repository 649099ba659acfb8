"""pydantic-ai's fallback loops do with us what they do without us."""

from __future__ import annotations

import re
import traceback
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pydantic_ai")

from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.fallback import FallbackModel

from otel_failover.testing.providers import Answer
from tests.integrations.loops.pydantic_ai.models import HAS_CAPABILITY, JUDGES_ANSWERS, Bench, refuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


NOT_OURS = ("otel_failover", "wrapt")


def ways() -> Iterator[Any]:
    yield "model"
    yield pytest.param("capability", marks=pytest.mark.skipif(not HAS_CAPABILITY, reason="came with pydantic-ai 2.64"))


def agent_of(first: Any, second: Any, kind: str, **options: Any) -> Agent[None, str]:
    if kind == "model":
        return Agent(FallbackModel(first, second, **options))
    from pydantic_ai.capabilities import ModelFallback

    return Agent(first, capabilities=[ModelFallback(second, **options)])


def attempts_of(thing: Any) -> Any:
    """Return pydantic-ai's own account of attempts, without its clocks."""
    given = getattr(thing, "attempts", None) or getattr(thing, "failed_attempts", None) or ()
    return [(each.model_name, each.provider_name, each.outcome, masked(each.error)) for each in given]


def masked(text: object) -> str:
    """Return a text without the ids that a provider makes up."""
    return re.sub(r"\breq_\w+", "req_<id>", str(text))


def seen(problem: BaseException) -> Any:
    """Return an exception as a host would look at it: its kind, text, causes, attempts, and whose frames it passed."""
    frames = [
        (frame.f_globals.get("__name__"), frame.f_code.co_name)
        for frame, _ in traceback.walk_tb(problem.__traceback__)
        if not str(frame.f_globals.get("__name__")).startswith(NOT_OURS)
    ]
    causes = [type(each).__name__ for each in (problem.__cause__, problem.__context__)]
    members = [seen(each) for each in getattr(problem, "exceptions", ())]
    known = sorted(key for key in vars(problem) if not key.startswith("__"))
    return type(problem), masked(problem), causes, members, attempts_of(problem), frames, known


def whole(bench: Bench, agent: Agent[None, str], how: str) -> dict[str, Any]:
    """Ask, and return all that can be observed from outside."""
    found: dict[str, Any] = {}

    async def ask() -> Any:
        result = await agent.run("hello")
        return result.output, [attempts_of(message) for message in result.all_messages()]

    async def stream() -> Any:
        async with agent.run_stream("hello") as result:
            texts = [text async for text in result.stream_text(delta=True, debounce_by=None)]
        return texts, [attempts_of(message) for message in result.all_messages()]

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found["result"] = bench.run(ask if how == "run" else stream)
        except Exception as problem:  # noqa: BLE001
            found["raised"] = seen(problem)
    found["warnings"] = [(each.category, str(each.message)) for each in told if each.category is not ResourceWarning]
    found["requests"] = [
        [(each.method, each.path, each.body, each.status, names(each.headers)) for each in server.log]
        for server in bench.servers
    ]
    return found


def names(headers: dict[str, str]) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in headers.items() if name not in ("host", "idempotency-key"))


PAIRS: dict[str, tuple[Answer, Answer]] = {
    "first serves": (Answer.ok("fine"), Answer.ok()),
    "second serves": (Answer.openai_quota(), Answer.ok("fine")),
    "both fail": (Answer.openai_model_not_found(), Answer.anthropic_rate_limit()),
    "fails midway": (Answer.stream(["Hel", "lo"], then="error"), Answer.ok()),
    "breaks midway": (Answer.openai_quota(), Answer.stream(["Hel", "lo"], then="cut")),
    "fails at once": (Answer.stream([], then="error"), Answer.ok("fine")),
    "reset": (Answer.reset(), Answer.reset()),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("how", ["run", "stream"])
@pytest.mark.parametrize("kind", list(ways()))
def test_the_same(switch_on: Callable[[], Any], kind: str, how: str, pair: str) -> None:
    def once() -> Any:
        with ExitStack() as stack:
            bench = Bench(stack)
            first, second = PAIRS[pair]
            return whole(bench, agent_of(bench.openai(first), bench.anthropic(second), kind), how)

    without = once()
    telemetry = switch_on()
    assert once() == without
    assert telemetry.starting("failover ")
    for server in without["requests"]:
        for *_, headers in server:
            assert not {"traceparent", "tracestate", "baggage"} & {name for name, _ in headers}


@pytest.mark.skipif(not JUDGES_ANSWERS, reason="response handlers came after pydantic-ai 1.0")
@pytest.mark.parametrize("how", ["run", "stream"])
@pytest.mark.parametrize("kind", list(ways()))
def test_the_same_with_handlers(switch_on: Callable[[], Any], kind: str, how: str) -> None:
    """A streamed answer is taken as it is, with the same warning."""

    def once() -> Any:
        with ExitStack() as stack:
            bench = Bench(stack)
            given = [ModelHTTPError, refuses("bad")]
            agent = agent_of(bench.openai(Answer.ok("bad")), bench.anthropic(Answer.ok("bad")), kind, fallback_on=given)
            return whole(bench, agent, how)

    without = once()
    switch_on()
    assert once() == without
