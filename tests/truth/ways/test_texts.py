"""Each way of carrying an error, with real SDKs: the theft is found, its honest twin is left alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError
from tests.truth.ways.messages import BY_ID, MESSAGES
from tests.truth.ways.not_yet import compared
from tests.truth.ways.scenarios import HONEST, SCENARIOS, THEFTS, Found, is_told_so, problem_with, reason_of, report_of
from tests.truth.ways.scene import OTHER, Scene, asked, opened
from tests.truth.ways.texts import TEXT_WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.truth.ways.messages import Message
    from tests.truth.ways.texts import TextWay

EVERY: Final = os.environ.get("FAILOVER_WAYS") == "all"
"""Every way, in every scenario, with several messages; else a third of the ways with some. The pure rules are tried in
all of them every time."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with opened() as made:
        yield made


def own_answer(scenario: str, message: Message) -> Answer:
    """Return what the judged candidate answers."""
    return {
        "theft-timeout": Answer.hang(),
        "theft-reset": Answer.reset(),
        "theft-answered": OTHER,
        "theft-success": Answer.ok(),
        "own": message.answer,
        "both": message.answer,
        "report": OTHER,
        "reason": Answer.reset(),
    }[scenario]


def played(scene: Scene, way: TextWay, message: Message, scenario: str, number: int) -> str | None:
    """Play one run of two attempts; return what is wrong with the second one's verdict, None also where it cannot be."""
    scene.clear()
    first = scene.first[message.wire]
    second = scene.second[message.wire if scenario in ("own", "both") else "openai"]
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with run.attempt(first.candidate) as attempt:
            theirs = asked(first, OTHER if scenario == "own" else message.answer)
            attempt.fail(theirs.problem if theirs is not None else None)
        assert theirs is not None
        try:
            with run.attempt(second.candidate) as attempt:
                mine = asked(second, own_answer(scenario, message))
                told = mine if scenario in ("own", "both") and mine is not None else theirs
                if not is_told_so(way, told):
                    return None
                carried = way.carry(told)
                text = carried.text
                if scenario == "report" and mine is not None:
                    text = report_of(carried, theirs, mine, number)
                if scenario == "reason" and mine is not None:
                    text = reason_of(carried, theirs, mine, timeout=False)
                if mine is None or number % 4 == 0:
                    attempt.fail(text)
                else:
                    cause = mine.problem if number % 4 == 1 else None
                    raise LoopError(text) from cause
        except LoopError:
            pass
    span = scene.starting("candidate ")[1]
    found = Found(*span.verdict, span["failover.attribution.source.provider"])
    own_texts = (mine.shown, str(mine.body)) if mine is not None else ("Hello",)
    problem = problem_with(scenario, way, told, carried, own_texts, found)
    return f"{problem}; it said {text[:300]!r}" if problem else None


def plan(number: int) -> Iterator[tuple[str, Message]]:
    """Yield what is tried of a way: a sentence that binds always, the other messages and scenarios in turn."""
    turns = [MESSAGES[(number + step) % len(MESSAGES)] for step in range(8)]
    binds = BY_ID["anthropic-tokens" if number % 2 else "de-balance"]
    if EVERY:
        yield from (
            (scenario, message) for scenario, turn in zip(SCENARIOS, turns, strict=True) for message in (turn, binds)
        )
        return
    # A provider that hangs costs time, and is for the text what one that breaks off is.
    yield THEFTS[1 + number % 3] if number % 8 else "theft-timeout", binds
    yield THEFTS[1 + number % 3], turns[0]
    yield HONEST[number // 3 % 4], turns[0]


CHOSEN: Final = [n for n, way in enumerate(TEXT_WAYS) if EVERY or n % 3 == 0 or way.id.startswith("rendered")]


@pytest.mark.parametrize("number", CHOSEN, ids=[TEXT_WAYS[n].id for n in CHOSEN])
def test_a_text(scene: Scene, number: int) -> None:
    way = TEXT_WAYS[number]
    problems = {
        f"{way.id}/{scenario}/{message.id}": played(scene, way, message, scenario, number)
        for scenario, message in plan(number)
    }
    assert not (wrong := compared("text", problems)), "\n".join(wrong)
