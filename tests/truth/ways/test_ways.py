"""Each way of carrying an error, with real SDKs: the theft is found, its honest twin is left alone."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_failover import FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, stand
from tests.support.spans import SerialisingExporter
from tests.truth.ways.messages import BY_ID, MESSAGES
from tests.truth.ways.not_yet import compared
from tests.truth.ways.scenarios import HONEST, SCENARIOS, THEFTS, Found, is_told_so, problem_with, reason_of, report_of
from tests.truth.ways.texts import BROAD, TEXT_WAYS, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hosts import Stand
    from tests.support.spans import Exported
    from tests.truth.ways.messages import Message
    from tests.truth.ways.texts import TextWay

EVERY: Final = os.environ.get("FAILOVER_WAYS") == "all"
"""Every way, in every scenario, with several messages; else a third of the ways with some. The pure rules are tried in
all of them every time."""
HURRY: Final = 0.04
HANDMADE: Final = "Our scheduler could not place this request on any replica"
OTHER: Final = Answer.error(500, HANDMADE, code="no_replica", type="no_replica")


@dataclass
class Scene:
    """Candidates that can be asked, and what was exported of it."""

    exporter: SerialisingExporter
    first: dict[str, Stand]
    second: dict[str, Stand]

    def candidates(self) -> list[Exported]:
        found = [span for span in self.exporter.spans if span.name.startswith("candidate ")]
        return sorted(found, key=lambda span: span.start)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    exporter, provider = SerialisingExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    FailoverInstrumentor().instrument(tracer_provider=provider)
    with ExitStack() as stack:
        first = {"openai": stand("openai"), "anthropic": stand("anthropic")}
        second = {"openai": stand("openrouter"), "anthropic": stand("aws.bedrock", kind="anthropic")}
        yield Scene(
            exporter,
            {wire: stack.enter_context(each) for wire, each in first.items()},
            {wire: stack.enter_context(each) for wire, each in second.items()},
        )
    FailoverInstrumentor().uninstrument()


def asked(each: Stand, answer: Answer) -> Told | None:
    """Ask a candidate that answers so; return its error."""
    each.server.program(answer)
    each.server.clear()
    try:
        each.ask(**({"timeout": HURRY} if answer.kind == "hang" else {}))
    except Exception as problem:  # noqa: BLE001 - a loop goes on
        return told_of(each, answer, problem)
    return None


def told_of(each: Stand, answer: Answer, problem: Any) -> Told:
    served = each.server.log[-1] if each.server.log else None
    body: dict[str, Any] = getattr(getattr(problem, "response", None), "json", dict)()
    error = body.get("error", {})
    kind = error.get("type")
    code = (kind if each.server.kind == "anthropic" else error.get("code")) or None
    return Told(
        each.candidate.provider,
        each.candidate.model,
        f"{each.server.base_url}/chat/completions",
        str(problem),
        str(body["error"]["message"] if body else problem),
        getattr(problem, "status_code", None),
        code,
        kind if kind in BROAD and kind != code else None,
        body,
        served.request_id if served is not None and body else None,
        problem,
    )


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
    scene.exporter.spans.clear()
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
    span = scene.candidates()[1]
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
    rows: list[str] = []
    problems: dict[str, str] = {}
    for scenario, message in plan(number):
        row = f"{way.id}/{scenario}/{message.id}"
        rows.append(row)
        problem = played(scene, way, message, scenario, number)
        if problem:
            problems[row] = problem
    assert not (wrong := compared("text", rows, problems)), "\n".join(wrong)
