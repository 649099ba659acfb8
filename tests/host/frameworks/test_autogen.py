"""AutoGen: loops around its agents and its clients, and its groups of agents."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover.testing.providers import Answer
from tests.host.frameworks.apps import (
    CLAUDE,
    GPT,
    IN_A_REQUEST,
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

agents = installed("autogen_agentchat.agents")
teams = installed("autogen_agentchat.teams")
conditions = installed("autogen_agentchat.conditions")
core = installed("autogen_core.models")
OpenAIClient = installed("autogen_ext.models.openai").OpenAIChatCompletionClient
AnthropicClient = installed("autogen_ext.models.anthropic").AnthropicChatCompletionClient
THEIRS = "openinference.instrumentation.autogen_agentchat:AutogenAgentChatInstrumentor"
INFO = {
    "vision": False,
    "function_calling": True,
    "json_output": False,
    "family": "unknown",
    "structured_output": False,
}


def gpt(desk: Desk, *answers: Answer, model: str = GPT) -> Any:
    return OpenAIClient(model=model, model_info=INFO, **desk.openai(*answers))


def claude(desk: Desk, *answers: Answer) -> Any:
    return AnthropicClient(model=CLAUDE, model_info=INFO, **desk.anthropic(*answers))


async def one_agent_after_another(clients: list[Any]) -> str:
    for each in clients:
        try:
            done = await agents.AssistantAgent("harbour", each).run(task=QUESTION)
            return str(done.messages[-1].content)
        except Exception:  # noqa: BLE001 - as applications do, who have two SDKs' errors to catch
            continue
    raise RuntimeError("nobody answers")


async def one_client_after_another(clients: list[Any]) -> str:
    for each in clients:
        try:
            return str((await each.create([core.UserMessage(content=QUESTION, source="user")])).content)
        except Exception:  # noqa: BLE001 - as above
            continue
    raise RuntimeError("nobody answers")


async def one_stream_after_another(clients: list[Any]) -> str:
    for each in clients:
        try:
            said = [chunk async for chunk in each.create_stream([core.UserMessage(content=QUESTION, source="user")])]
            return str(said[-1].content)
        except Exception:  # noqa: BLE001 - as above
            continue
    raise RuntimeError("nobody answers")


@pytest.mark.parametrize("loop", [one_agent_after_another, one_client_after_another, one_stream_after_another])
@pytest.mark.parametrize("where", SETTINGS)
def test_one_after_another(telemetry: Telemetry, desk: Desk, where: str, loop: Any) -> None:
    clients = [gpt(desk, Answer.openai_quota()), claude(desk, Answer.ok("The tide is late."))]
    with setting(telemetry, where, THEIRS):
        assert asyncio.run(loop(clients)) == "The tide is late."
    check_failover(telemetry)


@pytest.mark.parametrize("where", IN_A_REQUEST)
def test_one_team_after_another(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """Inside a group's runtime each agent works in a task of its own."""
    clients = [gpt(desk, Answer.openai_quota()), claude(desk, Answer.ok("The tide is late."))]

    async def work() -> str:
        for each in clients:
            member = agents.AssistantAgent("harbour", each)
            team = teams.RoundRobinGroupChat([member], termination_condition=conditions.MaxMessageTermination(2))
            try:
                return str((await team.run(task=QUESTION)).messages[-1].content)
            except Exception:  # noqa: BLE001 - as above
                continue
        raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert asyncio.run(work()) == "The tide is late."
    check_failover(telemetry)


# --- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", SETTINGS)
def test_a_group_whose_selector_fails_once(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """A small model says who speaks next; where it fails the whole group is asked again."""
    selector = gpt(desk, Answer.openai_server_error(), Answer.ok("bells"), model="gpt-5.5-mini")
    speaker = claude(desk, Answer.ok("The tide is late."))

    async def work() -> str:
        for _ in range(2):
            members = [agents.AssistantAgent(name, speaker, description=name) for name in ("bells", "boats")]
            ending = conditions.MaxMessageTermination(2)
            try:
                team = teams.SelectorGroupChat(members, selector, termination_condition=ending)
                return str((await team.run(task=QUESTION)).messages[-1].content)
            except Exception:  # noqa: BLE001 - as above
                continue
        raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert asyncio.run(work()) == "The tide is late."
    check_none(telemetry, calls=3)


@pytest.mark.parametrize("where", SETTINGS)
def test_an_agent_with_a_tool_that_fails(telemetry: Telemetry, desk: Desk, where: str) -> None:
    helper = claude(desk, Answer.anthropic_overloaded())

    async def tide(month: str) -> str:
        """Tell about the tide."""
        return str((await helper.create([core.UserMessage(content=f"The tide in {month}?", source="user")])).content)

    client = gpt(desk, gpt_calls("tide", month="May"), Answer.ok("Nobody knows."))
    agent = agents.AssistantAgent("harbour", client, tools=[tide], reflect_on_tool_use=True)
    with setting(telemetry, where, THEIRS):
        assert asyncio.run(agent.run(task=QUESTION)).messages[-1].content == "Nobody knows."
    check_none(telemetry, calls=3)
