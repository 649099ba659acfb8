"""Instructor: loops around its clients, and the questions that it asks again by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from otel_failover.testing.providers import Answer
from tests.host.frameworks.apps import (
    CLAUDE,
    GPT,
    SETTINGS,
    check_failover,
    check_none,
    claude_calls,
    gpt_calls,
    installed,
    messages,
    setting,
)  # fmt: skip

if TYPE_CHECKING:
    from tests.host.frameworks.apps import Desk
    from tests.support.spans import Telemetry

instructor = installed("instructor")
tenacity = pytest.importorskip("tenacity")
THEIRS = "openinference.instrumentation.instructor:InstructorInstrumentor"


class Bell(BaseModel):
    """A bell of the harbour."""

    name: str
    weight: int


def gpt(desk: Desk, *answers: Answer, kind: Any = openai.OpenAI) -> Any:
    return instructor.from_openai(kind(**desk.openai(*answers)))


def claude(desk: Desk, *answers: Answer, kind: Any = anthropic.Anthropic) -> Any:
    return instructor.from_anthropic(kind(**desk.anthropic(*answers)))


def asked(model: str, retries: Any = 1) -> dict[str, Any]:
    return {"model": model, "response_model": Bell, "messages": messages(), "max_retries": retries, "max_tokens": 64}


GOOD = {"name": "Old Tom", "weight": 900}
BAD = {"name": "Old Tom", "weight": "heavy"}


def work(first: Any, second: Any, retries: Any = 1) -> Bell:
    """Ask one client after another."""
    for client, model in ((first, GPT), (second, CLAUDE)):
        try:
            bell: Bell = client.chat.completions.create(**asked(model, retries))
        except Exception:  # noqa: BLE001 - as applications do: Instructor raises an error of its own
            continue
        return bell
    raise RuntimeError("nobody answers")


async def awork(first: Any, second: Any, retries: Any = 1) -> Bell:
    """Do the same asynchronously."""
    for client, model in ((first, GPT), (second, CLAUDE)):
        try:
            bell: Bell = await client.chat.completions.create(**asked(model, retries))
        except Exception:  # noqa: BLE001 - as above
            continue
        return bell
    raise RuntimeError("nobody answers")


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("where", SETTINGS)
def test_one_client_after_another(telemetry: Telemetry, desk: Desk, where: str, way: str) -> None:
    given, taken = (Answer.openai_quota(),), (claude_calls("Bell", **GOOD),)
    with setting(telemetry, where, THEIRS):
        if way == "sync":
            bell = work(gpt(desk, *given), claude(desk, *taken))
        else:
            clients = gpt(desk, *given, kind=openai.AsyncOpenAI), claude(desk, *taken, kind=anthropic.AsyncAnthropic)
            bell = asyncio.run(awork(*clients))
    assert bell.weight == 900
    check_failover(telemetry)


@pytest.mark.parametrize("where", SETTINGS)
def test_the_second_one_is_asked_again_for_a_better_answer(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """The question has then been answered: what it is asked for is a correction, which is another."""
    first, second = (
        gpt(desk, Answer.openai_quota()),
        claude(desk, claude_calls("Bell", **BAD), claude_calls("Bell", **GOOD)),
    )
    with setting(telemetry, where, THEIRS):
        assert work(first, second, retries=2).weight == 900
    assert desk.asked() == [[429], [200, 200]]
    check_failover(telemetry)


# --- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", SETTINGS)
def test_the_same_model_is_asked_for_a_better_answer(telemetry: Telemetry, desk: Desk, where: str) -> None:
    first = gpt(desk, gpt_calls("Bell", **BAD), gpt_calls("Bell", **GOOD))
    with setting(telemetry, where, THEIRS):
        assert work(first, claude(desk), retries=2).weight == 900
    check_none(telemetry, calls=2)


@pytest.mark.parametrize("where", SETTINGS)
def test_the_same_model_is_asked_again_after_an_error(telemetry: Telemetry, desk: Desk, where: str) -> None:
    first = gpt(desk, Answer.openai_server_error(), gpt_calls("Bell", **GOOD))
    again = tenacity.Retrying(stop=tenacity.stop_after_attempt(2))
    with setting(telemetry, where, THEIRS):
        assert work(first, claude(desk), retries=again).weight == 900
    assert desk.asked() == [[500, 200], []]
    check_none(telemetry, calls=2)


@pytest.mark.parametrize("where", SETTINGS)
def test_another_one_is_asked_because_the_answer_did_not_do(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """Both have answered: that the first was turned down by the host is nowhere on the wire."""
    second = claude(desk, claude_calls("Bell", **GOOD))
    with setting(telemetry, where, THEIRS):
        assert work(gpt(desk, gpt_calls("Bell", **BAD)), second).weight == 900
    assert desk.asked()[0] == [200]
    check_none(telemetry)
