"""smolagents: loops around its models and its agents, and the steps that these take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from otel_failover.testing.providers import Answer
from tests.host.frameworks.apps import (
    CLAUDE,
    GPT,
    QUESTION,
    SETTINGS,
    ask_gpt,
    check_failover,
    check_none,
    gpt_calls,
    installed,
    setting,
)  # fmt: skip

if TYPE_CHECKING:
    from tests.host.frameworks.apps import Desk
    from tests.support.spans import Telemetry

smolagents = installed("smolagents")
THEIRS = "openinference.instrumentation.smolagents:SmolagentsInstrumentor"


def model(desk: Desk, name: str, *answers: Answer) -> Any:
    options = desk.openai(*answers)
    base, key = options.pop("base_url"), options.pop("api_key")
    return smolagents.OpenAIModel(name, api_base=base, api_key=key, client_kwargs=options, retry=False)


def final(text: str) -> Answer:
    """Return an agent's last step."""
    return gpt_calls("final_answer", answer=text)


@pytest.mark.parametrize("where", SETTINGS)
def test_one_model_after_another(telemetry: Telemetry, desk: Desk, where: str) -> None:
    models = [model(desk, GPT, Answer.openai_quota()), model(desk, CLAUDE, Answer.ok("The tide is late."))]

    def work() -> str:
        for each in models:
            try:
                return str(each.generate([smolagents.ChatMessage(role="user", content=QUESTION)]).content)
            except openai.APIError:
                continue
        raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert work() == "The tide is late."
    check_failover(telemetry)


@pytest.mark.parametrize("where", SETTINGS)
def test_one_agent_after_another(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """The whole task again with another model, which takes two steps."""
    models = [model(desk, GPT, Answer.openai_quota()), model(desk, CLAUDE, gpt_calls("tide", month="May"), final("ok"))]

    def work() -> str:
        for each in models:
            try:
                return str(smolagents.ToolCallingAgent(tools=[tide()], model=each, verbosity_level=0).run(QUESTION))
            except smolagents.AgentError:
                continue
        raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert work() == "ok"
    assert desk.asked() == [[429], [200, 200]]
    check_failover(telemetry)


def tide() -> Any:
    @smolagents.tool  # type: ignore[untyped-decorator, unused-ignore]
    def tide(month: str) -> str:
        """Tell about the tide.

        Args:
            month: Of the year.
        """
        return f"late in {month}"

    return tide


@pytest.mark.parametrize("where", SETTINGS)
def test_a_model_with_another_behind_it(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """In an agent's second step: the results of tools are part of the question."""

    class Backed(smolagents.Model):  # type: ignore[misc, name-defined]
        def __init__(self, *models: Any) -> None:
            super().__init__(model_id="backed")
            self.models = models

        def generate(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return self.models[0].generate(*args, **kwargs)
            except openai.APIError:
                return self.models[1].generate(*args, **kwargs)

    first = model(desk, GPT, gpt_calls("tide", month="May"), Answer.openai_server_error())
    backed = Backed(first, model(desk, CLAUDE, final("ok")))
    with setting(telemetry, where, THEIRS):
        agent = smolagents.ToolCallingAgent(tools=[tide()], model=backed, verbosity_level=0)
        assert agent.run(QUESTION) == "ok"
    check_failover(telemetry, reasons=("server_error",))


# --- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", SETTINGS)
def test_an_agent_that_manages_another(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """The other one's model fails: the first learns of it as of any tool's failure, and goes on."""
    expert = smolagents.ToolCallingAgent(
        tools=[], model=model(desk, CLAUDE, Answer.openai_server_error()), name="expert", description="Knows bells.",
        verbosity_level=0,
    )  # fmt: skip
    first = model(desk, GPT, gpt_calls("expert", task=QUESTION), final("Nobody knows."))
    with setting(telemetry, where, THEIRS):
        agent = smolagents.ToolCallingAgent(tools=[], model=first, managed_agents=[expert], verbosity_level=0)
        assert agent.run(QUESTION) == "Nobody knows."
    check_none(telemetry, calls=3)


@pytest.mark.parametrize("where", SETTINGS)
def test_a_step_that_fails_and_is_taken_again(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """By the same model; and a model that judges the outcome is asked something else."""
    first = model(desk, GPT, Answer.openai_server_error(), final("ok"))
    judge = openai.OpenAI(**desk.openai(Answer.ok("yes")))
    with setting(telemetry, where, THEIRS):
        for _ in range(2):
            try:
                said = smolagents.ToolCallingAgent(tools=[], model=first, verbosity_level=0).run(QUESTION)
            except smolagents.AgentError:
                continue
            assert ask_gpt(judge, f"Is this a good answer to {QUESTION!r}: {said}", CLAUDE) == "yes"
    check_none(telemetry, calls=3)
