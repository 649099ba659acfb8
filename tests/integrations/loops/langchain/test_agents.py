"""Agents of LangChain that fall back: each call of the model is a run over the agent's model and the middleware's."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from otel_failover import FailoverInstrumentor
from otel_failover.testing.providers import Answer
from tests.integrations.loops.langchain.models import Bench
from tests.integrations.loops.langchain.test_runnables import CHAIN, by_run, outcomes, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Telemetry

create_agent = pytest.importorskip("langchain.agents").create_agent
middlewares = pytest.importorskip("langchain.agents.middleware")
ModelFallbackMiddleware, wrap_model_call = middlewares.ModelFallbackMiddleware, middlewares.wrap_model_call
InMemorySaver = pytest.importorskip("langgraph.checkpoint.memory").InMemorySaver
interrupt = pytest.importorskip("langgraph.types").interrupt

GIVEN: Any = {"messages": [{"role": "user", "content": "hello"}]}
ways = pytest.mark.parametrize("way", ["invoke", "ainvoke"])


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


def agent(first: Any, *others: Any, **options: Any) -> Any:
    return create_agent(first, tools=[], middleware=[ModelFallbackMiddleware(*others)], **options)


def ask(bench: Bench, made: Any, way: str, **options: Any) -> Any:
    """Return the agent's last word, or the exception that left."""
    found = bench.ask(made, GIVEN, way, **options)
    return found if isinstance(found, Exception) else found["messages"][-1].text


@ways
def test_the_first_serves(telemetry: Telemetry, bench: Bench, way: str) -> None:
    made = agent(bench.openai(Answer.ok("fine")), bench.anthropic())
    assert ask(bench, made, way) == "fine"
    assert outcomes(telemetry) == [(0, "success", None)]
    run = telemetry.run
    assert (run["failover.outcome"], run["failover.library"], run["failover.chain"]) == ("primary", "langchain", CHAIN)


@ways
def test_the_last_serves(telemetry: Telemetry, bench: Bench, way: str) -> None:
    last = bench.anthropic(Answer.ok("fine"), model="claude-haiku")
    made = agent(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.anthropic_overloaded()), last)
    assert ask(bench, made, way) == "fine"
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "error", "overloaded"), (2, "success", None)]
    assert telemetry.run["failover.outcome"] == "fallback"
    assert verdicts(telemetry) == {"verified"}
    assert bench.asked == [[200], [429], [529]]


@ways
def test_all_fail_and_the_last_error_leaves(telemetry: Telemetry, bench: Bench, way: str) -> None:
    made = agent(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.anthropic_bad_key()))
    assert isinstance(ask(bench, made, way), anthropic.AuthenticationError)
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "error", "auth")]
    assert telemetry.run.description == "2 of 2 failed: openai billing, anthropic auth"
    assert verdicts(telemetry) == {"verified"}


@ways
def test_what_streams_the_agent_is_told_alike(telemetry: Telemetry, bench: Bench, way: str) -> None:
    made = agent(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.ok("fine")))

    async def drain() -> None:
        async for _ in made.astream(GIVEN, stream_mode="messages"):
            pass

    if way == "invoke":
        list(made.stream(GIVEN, stream_mode="messages"))
    else:
        bench.loop.run_until_complete(drain())
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]
    assert verdicts(telemetry) == {"verified"}


def test_an_agent_that_waits_for_a_person_is_cancelled_and_no_failure(telemetry: Telemetry, bench: Bench) -> None:
    """What interrupts the graph is an exception; LangChain 1.0 takes it for a failure of the model."""

    def asks(request: Any, handler: Any) -> Any:
        interrupt("may I?")
        return handler(request)

    middleware: Any = [ModelFallbackMiddleware(bench.anthropic()), wrap_model_call(asks)]
    made: Any = create_agent(bench.openai(), tools=[], middleware=middleware, checkpointer=InMemorySaver())
    assert "__interrupt__" in made.invoke(GIVEN, {"configurable": {"thread_id": "1"}})
    assert {span["candidate.outcome"] for span in telemetry.candidates} == {"cancelled"}
    assert (telemetry.run.status, telemetry.run["failover.outcome"]) == ("UNSET", "cancelled")
    assert bench.asked == [[], []]


def test_a_model_call_of_an_agent_side_by_side(telemetry: Telemetry, bench: Bench) -> None:
    made = agent(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.ok("fine")))
    assert len(bench.ask(made, [GIVEN] * 4, "batch")) == 4
    assert by_run(telemetry) == [("fallback", [(0, "error", "billing"), (1, "success", None)])] * 4


@ways
def test_nothing_is_different_with_us(way: str) -> None:
    """The same answers, errors and requests, without us, with us, and after us."""
    seen = []
    for instrumented in (False, True, False):
        with ExitStack() as stack:
            bench = Bench(stack)
            if instrumented:
                FailoverInstrumentor().instrument()
                stack.callback(FailoverInstrumentor().uninstrument)
            served = agent(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.ok("fine")))
            failed = agent(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.anthropic_bad_key()))
            problem = ask(bench, failed, way)
            seen.append((ask(bench, served, way), type(problem), problem.status_code, bench.asked))
    assert seen[0] == seen[1] == seen[2]
