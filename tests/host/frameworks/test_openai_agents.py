"""OpenAI's agents: a loop around `Runner.run`, and what agents ask besides."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import openai
import pytest

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

agents = installed("agents")
THEIRS = "openinference.instrumentation.openai_agents:OpenAIAgentsInstrumentor"
ASKED = "You answer questions about a harbour, in one sentence and without a joke, for people who are in a hurry."


@pytest.fixture(autouse=True)
def no_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send the SDK's own traces nowhere."""
    monkeypatch.setenv("OPENAI_API_KEY", "")
    agents.set_trace_processors([])


def model(desk: Desk, name: str, *answers: Answer, responses: bool = False) -> Any:
    client = openai.AsyncOpenAI(**desk.openai(*answers))
    made = agents.OpenAIResponsesModel if responses else agents.OpenAIChatCompletionsModel
    return made(name, client)


async def first_that_answers(agent: Any, models: list[Any]) -> str:
    """Run an agent with one model after another."""
    for each in models:
        try:
            return str((await agents.Runner.run(agent.clone(model=each), QUESTION)).final_output)
        except openai.APIError:
            continue
    raise RuntimeError("nobody answers")


async def first_that_streams(agent: Any, models: list[Any]) -> str:
    """Do the same with streams."""
    for each in models:
        try:
            run = agents.Runner.run_streamed(agent.clone(model=each), QUESTION)
            async for _ in run.stream_events():
                pass
            return str(run.final_output)
        except openai.APIError:
            continue
    raise RuntimeError("nobody answers")


@pytest.mark.parametrize(
    ("where", "way"),
    [
        *((where, way) for where in SETTINGS for way in ("run", "responses")),
        *((where, "stream") for where in IN_A_REQUEST),
    ],
)
def test_a_loop_around_the_runner(telemetry: Telemetry, desk: Desk, where: str, way: str) -> None:
    responses = way == "responses"
    models = [
        model(desk, GPT, Answer.openai_quota(), responses=responses),
        model(desk, CLAUDE, Answer.ok("In winter the tide is late."), responses=responses),
    ]
    ask = first_that_streams if way == "stream" else first_that_answers
    with setting(telemetry, where, THEIRS):
        assert asyncio.run(ask(agents.Agent("harbour", instructions=ASKED), models)) == "In winter the tide is late."
    check_failover(telemetry)


def test_none_that_answers(telemetry: Telemetry, desk: Desk) -> None:
    models = [model(desk, GPT, Answer.openai_quota()), model(desk, CLAUDE, Answer.openai_server_error())]
    with setting(telemetry, "in a request", ""), pytest.raises(RuntimeError):
        asyncio.run(first_that_answers(agents.Agent("harbour", instructions=ASKED), models))
    check_failover(telemetry, outcome="exhausted", reasons=("billing", "server_error"))


@pytest.mark.parametrize("where", SETTINGS)
def test_in_the_middle_of_its_steps(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """A model of one's own, which asks another where the first one fails, after a tool has answered."""

    class Backed(agents.Model):  # type: ignore[misc, name-defined]
        def __init__(self, *models: Any) -> None:
            self.models = models

        async def get_response(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return await self.models[0].get_response(*args, **kwargs)
            except openai.APIError:
                return await self.models[1].get_response(*args, **kwargs)

        def stream_response(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    @agents.function_tool  # type: ignore[untyped-decorator, unused-ignore]
    def tide(month: str) -> str:
        return f"late in {month}"

    first = model(desk, GPT, gpt_calls("tide", month="January"), Answer.openai_server_error())
    second = model(desk, CLAUDE, Answer.ok("The tide is late."))
    agent = agents.Agent("harbour", instructions=ASKED, tools=[tide], model=Backed(first, second))
    with setting(telemetry, where, THEIRS):
        assert asyncio.run(agents.Runner.run(agent, QUESTION)).final_output == "The tide is late."
    assert desk.asked() == [[200, 500], [200]]
    check_failover(telemetry, reasons=("server_error",))


@pytest.mark.parametrize(("where", "ask"), [("its spans alone", first_that_answers), ("alone", first_that_streams)])
def test_missed_is_a_loop_without_a_span_around_it(telemetry: Telemetry, desk: Desk, where: str, ask: Any) -> None:
    """Its spans begin a trace for each run of an agent, and a task that nobody waits for makes the stream."""
    models = [model(desk, GPT, Answer.openai_quota()), model(desk, CLAUDE, Answer.ok("The tide is late."))]
    with setting(telemetry, where, THEIRS):
        assert asyncio.run(ask(agents.Agent("harbour", instructions=ASKED), models))
    check_none(telemetry, calls=2)


# --- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", SETTINGS)
def test_steps_with_a_tool_that_fails(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """A tool asks a model of its own, which fails; the agent goes on with what it was told."""
    helper = openai.AsyncOpenAI(**desk.openai(Answer.openai_rate_limit()))

    @agents.function_tool  # type: ignore[untyped-decorator, unused-ignore]
    async def tide(month: str) -> str:
        try:
            reply = await helper.chat.completions.create(model=CLAUDE, messages=[{"role": "user", "content": month}])
            return str(reply.choices[0].message.content)
        except openai.APIError:
            return "nobody knows"

    asked = model(desk, GPT, gpt_calls("tide", month="January"), Answer.ok("Nobody knows."))
    agent = agents.Agent("harbour", instructions=ASKED, tools=[tide], model=asked)
    with setting(telemetry, where, THEIRS):
        assert asyncio.run(agents.Runner.run(agent, QUESTION)).final_output == "Nobody knows."
    check_none(telemetry, calls=3)


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("where", SETTINGS)
def test_a_guardrail_whose_model_fails(telemetry: Telemetry, desk: Desk, where: str, parallel: bool) -> None:
    """It is asked the user's own words, beside the agent or before it, and lets them pass where it is out of order."""
    judge = agents.Agent(
        "judge",
        instructions="Say whether this is a question about a harbour. Answer yes or no, and nothing else at all.",
        model=model(desk, CLAUDE, Answer.openai_server_error()),
    )

    async def check(context: Any, agent: Any, given: Any) -> Any:
        with suppress(openai.APIError):
            await agents.Runner.run(judge, given, context=context.context)
        return agents.GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)

    guardrail = agents.InputGuardrail(check, run_in_parallel=parallel)
    asked = model(desk, GPT, Answer.ok("The tide is late."))
    agent = agents.Agent("harbour", instructions=ASKED, input_guardrails=[guardrail], model=asked)
    with setting(telemetry, where, THEIRS):
        assert asyncio.run(agents.Runner.run(agent, QUESTION)).final_output == "The tide is late."
    check_none(telemetry, calls=2)


@pytest.mark.parametrize("where", SETTINGS)
def test_an_agent_that_hands_over(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """The first one's model was asked before, failed, and was asked again: a retry, and then another agent's step."""
    expert = agents.Agent(
        "expert",
        instructions="You are an expert of bells and know each of them by its name, its weight and its sound.",
        model=model(desk, CLAUDE, Answer.ok("The tide is late.")),
    )
    asked = model(desk, GPT, Answer.openai_rate_limit(), gpt_calls("transfer_to_expert"))
    agent = agents.Agent("harbour", instructions=ASKED, handoffs=[expert], model=asked)

    async def work() -> str:
        for _ in range(2):
            try:
                return str((await agents.Runner.run(agent, QUESTION)).final_output)
            except openai.RateLimitError:
                continue
        raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert asyncio.run(work()) == "The tide is late."
    check_none(telemetry, calls=3)


@pytest.mark.parametrize("where", SETTINGS)
def test_agents_side_by_side(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """An ensemble that asks three models at once, of which one fails, and another question after that."""
    models = [
        model(desk, GPT, Answer.openai_quota()),
        model(desk, "gpt-5.5-mini", Answer.delayed(Answer.ok("a"), 0.2)),
        model(desk, CLAUDE, Answer.delayed(Answer.ok("b"), 0.2)),
    ]

    async def work() -> None:
        several = [agents.Runner.run(agents.Agent("one", instructions=ASKED, model=each), QUESTION) for each in models]
        assert len([each for each in await asyncio.gather(*several, return_exceptions=True) if each]) == 3
        await agents.Runner.run(agents.Agent("one", instructions=ASKED, model=models[2]), OTHER)

    with setting(telemetry, where, THEIRS):
        asyncio.run(work())
    check_none(telemetry, calls=4)
