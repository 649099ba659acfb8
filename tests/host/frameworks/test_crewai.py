"""CrewAI: loops around its models and its crews, and what a crew asks besides."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

os.environ.update(CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false", CREWAI_TESTING="true")

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
    messages,
    setting,
)  # fmt: skip

if TYPE_CHECKING:
    from tests.host.frameworks.apps import Desk
    from tests.support.spans import Telemetry

crewai = installed("crewai")
ITS_OWN = 2
"""How often CrewAI itself asks again, whatever the SDK does."""
THEIRS = "openinference.instrumentation.crewai:CrewAIInstrumentor"


def gpt(desk: Desk, *answers: Answer, name: str = GPT) -> Any:
    return crewai.LLM(model=f"openai/{name}", **desk.openai(*answers))


def claude(desk: Desk, *answers: Answer) -> Any:
    options = desk.anthropic(*answers)
    base = options.pop("base_url")
    return crewai.LLM(model=f"anthropic/{CLAUDE}", client_params={"base_url": base}, **options)


def agent(model: Any, **options: Any) -> Any:
    return crewai.Agent(role="harbour master", goal="answer", backstory="old", llm=model, max_retry_limit=0, **options)


def crew(*agents: Any, asked: str = QUESTION) -> Any:
    tasks = [crewai.Task(description=asked, expected_output="a sentence", agent=each) for each in agents]
    return crewai.Crew(agents=list(agents), tasks=tasks, tracing=False)


@pytest.mark.parametrize("where", SETTINGS)
def test_one_model_after_another(telemetry: Telemetry, desk: Desk, where: str) -> None:
    models = [gpt(desk, Answer.openai_quota()), claude(desk, Answer.ok("The tide is late."))]

    def work() -> str:
        for each in models:
            try:
                return str(each.call(messages()))
            except Exception:  # noqa: BLE001 - as applications do, who have two SDKs' errors to catch
                continue
        raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert work() == "The tide is late."
    check_failover(telemetry, repeats=ITS_OWN)


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("where", IN_A_REQUEST)
def test_one_crew_after_another(telemetry: Telemetry, desk: Desk, where: str, way: str) -> None:
    models = [gpt(desk, Answer.openai_quota()), claude(desk, Answer.ok("The tide is late."))]

    def work() -> str:
        for each in models:
            try:
                return str(crew(agent(each)).kickoff())
            except Exception:  # noqa: BLE001 - as above
                continue
        raise RuntimeError("nobody answers")

    async def awork() -> str:
        for each in models:
            try:
                return str(await crew(agent(each)).kickoff_async())
            except Exception:  # noqa: BLE001 - as above
                continue
        raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert (work() if way == "sync" else asyncio.run(awork())) == "The tide is late."
    check_failover(telemetry, repeats=ITS_OWN)


@pytest.mark.parametrize("where", SETTINGS)
def test_a_flow_with_a_loop(telemetry: Telemetry, desk: Desk, where: str) -> None:
    flow = installed("crewai.flow.flow")
    models = [gpt(desk, Answer.openai_quota()), claude(desk, Answer.ok("The tide is late."))]

    class Harbour(flow.Flow):  # type: ignore[misc, name-defined]
        @flow.start()  # type: ignore[untyped-decorator, unused-ignore]
        def ask(self) -> str:
            for each in models:
                try:
                    return str(each.call(messages()))
                except Exception:  # noqa: BLE001 - as above
                    continue
            raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert Harbour(tracing=False).kickoff() == "The tide is late."
    check_failover(telemetry, repeats=ITS_OWN)


# --- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", SETTINGS)
def test_a_crew_of_two(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """Two agents, two models, two tasks of which the second one's is to judge; the first model fails once."""
    first = gpt(desk, Answer.openai_server_error(), Answer.ok("late"))
    second = claude(desk, Answer.ok("It is."))
    writer, judge = agent(first), agent(second)
    tasks = [
        crewai.Task(description=QUESTION, expected_output="a sentence", agent=writer),
        crewai.Task(description="Judge the answer.", expected_output="yes or no", agent=judge),
    ]

    def work() -> str:
        for _ in range(2):
            try:
                return str(crewai.Crew(agents=[writer, judge], tasks=tasks, tracing=False).kickoff())
            except Exception:  # noqa: BLE001 - as above
                continue
        raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert work() == "It is."
    check_none(telemetry, calls=3)


@pytest.mark.parametrize("where", SETTINGS)
def test_a_guardrail_that_asks_a_model(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """It fails, and lets the answer pass."""
    judge = claude(desk, Answer.anthropic_overloaded())

    def check(output):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - CrewAI reads annotations, and no texts
        try:
            judge.call(messages(f"Is this an answer? {output.raw}"))
        except Exception:  # noqa: BLE001 - as above
            return True, output.raw
        return True, output.raw

    asked = agent(gpt(desk, Answer.ok("The tide is late.")))
    task = crewai.Task(description=QUESTION, expected_output="a sentence", agent=asked, guardrail=check)
    with setting(telemetry, where, THEIRS):
        crewai.Crew(agents=[asked], tasks=[task], tracing=False).kickoff()
        crew(asked, asked=OTHER).kickoff()
    check_none(telemetry, calls=3)


@pytest.mark.parametrize("where", SETTINGS)
def test_an_agent_with_a_tool(telemetry: Telemetry, desk: Desk, where: str) -> None:
    tools = installed("crewai.tools")
    helper = claude(desk, Answer.anthropic_overloaded())

    @tools.tool("tide")  # type: ignore[untyped-decorator, unused-ignore]
    def tide(month: str) -> str:
        """Tell about the tide."""
        return str(helper.call(messages(f"The tide in {month}?")))

    asked = agent(gpt(desk, gpt_calls("tide", month="May"), Answer.ok("Nobody knows."), name="gpt-4o"), tools=[tide])
    with setting(telemetry, where, THEIRS):
        assert str(crew(asked).kickoff()) == "Nobody knows."
    check_none(telemetry)
