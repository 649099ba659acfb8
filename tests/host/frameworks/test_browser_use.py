"""browser-use: its agent's `fallback_llm`, asked without a browser."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

os.environ.update(ANONYMIZED_TELEMETRY="false", BROWSER_USE_CLOUD_SYNC="false", BROWSER_USE_VERSION_CHECK="false")

from otel_failover.testing.providers import Answer
from tests.host.frameworks.apps import (
    CLAUDE,
    GPT,
    OTHER,
    QUESTION,
    check_failover,
    check_none,
    claude_calls,
    installed,
    setting,
)  # fmt: skip

if TYPE_CHECKING:
    from tests.host.frameworks.apps import Desk
    from tests.support.spans import Telemetry

browser_use = installed("browser_use")
texts = installed("browser_use.llm.messages")
ChatOpenAI = installed("browser_use.llm.openai.chat").ChatOpenAI
ChatAnthropic = installed("browser_use.llm.anthropic.chat").ChatAnthropic
STEP: dict[str, Any] = {
    "evaluation_previous_goal": "none", "memory": "none", "next_goal": "end", "thinking": "none",
    "action": [{"done": {"text": "The tide is late.", "success": True}}],
}  # fmt: skip
WHERE = ("alone", "in a request")


def gpt(desk: Desk, *answers: Answer) -> Any:
    return ChatOpenAI(model=GPT, **desk.openai(*answers))


def claude(desk: Desk, *answers: Answer) -> Any:
    return ChatAnthropic(model=CLAUDE, **desk.anthropic(*answers))


def asked(text: str) -> list[Any]:
    return [texts.SystemMessage(content="You use a browser."), texts.UserMessage(content=text)]


def step() -> Answer:
    return claude_calls("AgentOutput", **STEP)


@pytest.mark.parametrize("where", WHERE)
def test_its_fallback(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """The one model is exchanged in place, and the step taken again."""

    async def work() -> Any:
        models = {"llm": gpt(desk, Answer.openai_quota()), "fallback_llm": claude(desk, step())}
        agent = browser_use.Agent(task=QUESTION, use_judge=False, **models)
        return await agent.get_model_output(asked(QUESTION))

    with setting(telemetry, where, ""):
        assert "The tide is late." in str(asyncio.run(work()))
    check_failover(telemetry)


@pytest.mark.parametrize("where", WHERE)
def test_the_steps_that_follow(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """Its agent keeps the second model: what that is asked afterwards is no failover."""

    async def work() -> Any:
        models = {"llm": gpt(desk, Answer.openai_quota()), "fallback_llm": claude(desk, step(), step())}
        agent = browser_use.Agent(task=QUESTION, use_judge=False, **models)
        await agent.get_model_output(asked(QUESTION))
        return await agent.get_model_output(asked(OTHER))

    with setting(telemetry, where, ""):
        asyncio.run(work())
    assert desk.asked() == [[429], [200, 200]]
    check_failover(telemetry)


# --- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", WHERE)
def test_a_step_that_is_taken_again(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """Without a second model; what extracts pages is asked something else."""

    async def work() -> Any:
        models = {"llm": claude(desk, Answer.anthropic_overloaded(), step()), "page_extraction_llm": gpt(desk)}
        agent = browser_use.Agent(task=QUESTION, use_judge=False, **models)
        for _ in range(2):
            try:
                await agent.get_model_output(asked(QUESTION))
            except Exception:  # noqa: BLE001 - its agent does so
                await agent.settings.page_extraction_llm.ainvoke([texts.UserMessage(content=OTHER)])

    with setting(telemetry, where, ""):
        asyncio.run(work())
    assert desk.asked() == [[529, 200], [200]]
    check_none(telemetry, calls=3)
