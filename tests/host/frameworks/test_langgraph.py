"""LangGraph: loops in a node, and from node to node; and what agents and branches ask."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import TypedDict

from otel_failover.testing.providers import Answer
from tests.host.frameworks.apps import (
    CLAUDE,
    GPT,
    IN_A_REQUEST,
    OTHER,
    QUESTION,
    SETTINGS,
    check_failover,
    check_none,
    gpt_calls,
    installed,
    setting,
)  # fmt: skip

if TYPE_CHECKING:
    from tests.host.frameworks.apps import Desk
    from tests.support.spans import Telemetry

graphs = installed("langgraph.graph")
types = installed("langgraph.types")
ChatOpenAI = installed("langchain_openai").ChatOpenAI
ChatAnthropic = installed("langchain_anthropic").ChatAnthropic
THEIRS = "openinference.instrumentation.langchain:LangChainInstrumentor"


class State(TypedDict, total=False):
    """What the nodes hand on."""

    question: str
    answer: str
    failed: bool
    one: str
    two: str


def gpt(desk: Desk, *answers: Answer, **options: Any) -> Any:
    return ChatOpenAI(model=GPT, **desk.openai(*answers, **options))


def claude(desk: Desk, *answers: Answer) -> Any:
    return ChatAnthropic(model_name=CLAUDE, **desk.anthropic(*answers))


def run(way: str, built: Any) -> Any:
    if way == "async":
        return asyncio.run(built.ainvoke({"question": QUESTION}))
    return built.invoke({"question": QUESTION})


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("where", SETTINGS)
def test_a_loop_in_a_node(telemetry: Telemetry, desk: Desk, where: str, way: str) -> None:
    models = [gpt(desk, Answer.openai_quota()), claude(desk, Answer.ok("The tide is late."))]

    def node(state: State) -> State:
        for each in models:
            try:
                return {"answer": each.invoke(state["question"]).text}
            except Exception:  # noqa: BLE001 - as applications do, who have two SDKs' errors to catch
                continue
        raise RuntimeError("nobody answers")

    async def anode(state: State) -> State:
        for each in models:
            try:
                return {"answer": (await each.ainvoke(state["question"])).text}
            except Exception:  # noqa: BLE001 - as above
                continue
        raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert run(way, line(node if way == "sync" else anode))["answer"] == "The tide is late."
    check_failover(telemetry)


def line(*nodes: Any) -> Any:
    """Return a graph whose nodes follow one another."""
    built = graphs.StateGraph(State)
    for node in nodes:
        built.add_node(node.__name__, node)
    names = [graphs.START, *(node.__name__ for node in nodes), graphs.END]
    for one, two in itertools.pairwise(names):
        built.add_edge(one, two)
    return built.compile()


def from_node_to_node(first: Any, second: Any, way: str) -> Any:
    """Return a graph that goes to its second node where the first one's model fails."""

    def primary(state: State) -> State:
        try:
            return {"answer": first.invoke(state["question"]).text}
        except Exception:  # noqa: BLE001 - as above
            return {"failed": True}

    def backup(state: State) -> State:
        return {"answer": second.invoke(state["question"]).text}

    async def aprimary(state: State) -> State:
        try:
            return {"answer": (await first.ainvoke(state["question"])).text}
        except Exception:  # noqa: BLE001 - as above
            return {"failed": True}

    async def abackup(state: State) -> State:
        return {"answer": (await second.ainvoke(state["question"])).text}

    built = graphs.StateGraph(State)
    built.add_node("primary", primary if way == "sync" else aprimary)
    built.add_node("backup", backup if way == "sync" else abackup)
    built.add_edge(graphs.START, "primary")
    built.add_conditional_edges("primary", lambda state: "backup" if state.get("failed") else graphs.END)
    return built.compile()


@pytest.mark.parametrize(
    ("where", "way"), [("alone", "async"), *((where, way) for where in IN_A_REQUEST for way in ("sync", "async"))]
)
def test_from_node_to_node(telemetry: Telemetry, desk: Desk, where: str, way: str) -> None:
    built = from_node_to_node(gpt(desk, Answer.openai_quota()), claude(desk, Answer.ok("The tide is late.")), way)
    with setting(telemetry, where, THEIRS):
        assert run(way, built)["answer"] == "The tide is late."
    check_failover(telemetry)


@pytest.mark.parametrize("where", SETTINGS)
def test_a_loop_of_langchains_tasks(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """`ainvoke` asks in a task of its own; the loop waits for each in turn."""
    models = [gpt(desk, Answer.openai_quota()), claude(desk, Answer.ok("The tide is late."))]

    async def work() -> str:
        try:
            return str((await models[0].ainvoke(QUESTION)).text)
        except Exception:  # noqa: BLE001 - as above
            return str((await models[1].ainvoke(QUESTION)).text)

    with setting(telemetry, where, THEIRS):
        assert asyncio.run(work()) == "The tide is late."
    check_failover(telemetry)


# --- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("where", SETTINGS)
def test_branches_side_by_side(telemetry: Telemetry, desk: Desk, where: str, way: str) -> None:
    """Two nodes ask two models two questions at once; the first one's fails, and is asked again."""
    first, second = gpt(desk, Answer.openai_server_error(), Answer.ok("a")), claude(desk, Answer.ok("b"))

    def one(state: State) -> State:
        return {"one": first.invoke(state["question"]).text}

    def two(state: State) -> State:
        return {"two": second.invoke(OTHER).text}

    async def aone(state: State) -> State:
        return {"one": (await first.ainvoke(state["question"])).text}

    async def atwo(state: State) -> State:
        return {"two": (await second.ainvoke(OTHER)).text}

    built = graphs.StateGraph(State)
    retries = types.RetryPolicy(initial_interval=0.01, max_attempts=2, retry_on=Exception)
    for name, node in (("one", one if way == "sync" else aone), ("two", two if way == "sync" else atwo)):
        built.add_node(name, node, retry_policy=retries)
        built.add_edge(graphs.START, name)
    with setting(telemetry, where, THEIRS):
        assert run(way, built.compile()) == {"question": QUESTION, "one": "a", "two": "b"}
    check_none(telemetry, calls=3)


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("where", SETTINGS)
def test_a_planner_and_its_worker(telemetry: Telemetry, desk: Desk, where: str, way: str) -> None:
    """The planner's model fails, and the worker asks without a plan: another model, the same words, for other work.

    What each of them is for stands in the system's text, which is not the same.
    """
    first, second = gpt(desk, Answer.openai_server_error()), claude(desk, Answer.ok("The tide is late."))
    plans = "You plan how a question is answered: write a list of steps, at most five, and no answer at all."
    works = "You answer questions about harbours, briefly and without a joke, for people who are in a hurry."

    def planner(state: State) -> State:
        try:
            return {"one": first.invoke([("system", plans), ("user", state["question"])]).text}
        except Exception:  # noqa: BLE001 - as above
            return {"one": ""}

    def worker(state: State) -> State:
        return {"answer": second.invoke([("system", works), ("user", state["question"])]).text}

    async def aplanner(state: State) -> State:
        return await asyncio.to_thread(planner, state)

    async def aworker(state: State) -> State:
        return await asyncio.to_thread(worker, state)

    built = line(planner, worker) if way == "sync" else line(aplanner, aworker)
    with setting(telemetry, where, THEIRS):
        assert run(way, built)["answer"] == "The tide is late."
    check_none(telemetry, calls=2)


@pytest.mark.parametrize("where", SETTINGS)
def test_a_declared_fallback(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """LangChain's own is a run already, and no second one is made of it."""
    model = gpt(desk, Answer.openai_quota()).with_fallbacks([claude(desk, Answer.ok("The tide is late."))])

    def node(state: State) -> State:
        return {"answer": model.invoke(state["question"]).text}

    with setting(telemetry, where, THEIRS):
        assert run("sync", line(node))["answer"] == "The tide is late."
    check_none(telemetry, calls=2)
    assert telemetry.run["failover.library"] == "langchain_core"


@pytest.mark.parametrize("where", SETTINGS)
def test_an_agent_with_a_tool(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """Its tool's model fails, for another question."""
    agents = installed("langgraph.prebuilt")
    helper = claude(desk, Answer.anthropic_overloaded())

    def tide(month: str) -> str:
        """Tell about the tide."""
        try:
            return str(helper.invoke(f"The tide in {month}?").text)
        except Exception:  # noqa: BLE001 - as above
            return "nobody knows"

    agent = agents.create_react_agent(gpt(desk, gpt_calls("tide", month="May"), Answer.ok("Nobody knows.")), [tide])
    with setting(telemetry, where, THEIRS):
        said = agent.invoke({"messages": [("user", QUESTION)]})
    assert said["messages"][-1].text == "Nobody knows."
    check_none(telemetry, calls=3)
