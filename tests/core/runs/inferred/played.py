"""Plays who asks what of whom, in which task, when, and how it is answered; tells which runs came of it.

A sequence is words, played one after the other: `A-` asks candidate A, which fails; `B+` one that answers; `Cx` one that
hangs, in a `wait_for`; `A!` one that refuses the key, and `a+` A with another key. `2:B+` is asked by the second task
(the first where none is named), `B2+` is another question: 8 and 9 are of two documents behind one text of the
system's, 6 is what a router is asked before 7. `B~+` is only begun, and `1.` waits for it; `2|` ends the second task;
`(` and `)` enter and leave a declared run; `zz` waits for longer than a failure is remembered; `H` ends the span around
all.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, Final

import openai
from opentelemetry import context as context_api

from otel_failover import failover_run
from otel_failover.testing.providers import Answer, LocalProvider

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Tracer

    from tests.support.spans import Exported, Telemetry

CANDIDATES: Final = "ABCD"
WITHIN: Final = 0.8
"""Seconds for which failures are remembered in a sequence that waits for the end of that."""
_STEP: Final = re.compile(r"(?:(?P<who>\d):)?(?P<candidate>[A-Da-d])(?P<question>\d?)(?P<begun>~?)(?P<answer>[-+x!])")
_ANSWERS: Final = {
    "-": Answer.error(500, "Something went wrong here"),
    "+": Answer.ok(),
    "x": Answer.hang(),
    "!": Answer.error(401, "The token has expired"),
}
_SLOW: Final = 0.25


_SAID: Final = "You are a careful assistant of the accounts department. Summarise the document that follows. "
_SYSTEM: Final = {
    "8": f"{_SAID}An invoice of Acme, overdue.",
    "9": f"{_SAID}One of Initech's, paid.",
    "6": "Is it a sum?",
}


def question(number: str) -> Any:
    if number in "6789" and number:
        system = [{"role": "system", "content": _SYSTEM[number]}] if number in _SYSTEM else []
        return [*system, {"role": "user", "content": "Go on."}]
    return [{"role": "user", "content": f"What is {number or '1'} times three?"}]


class Actor:
    """One task that does as it is told."""

    def __init__(self) -> None:
        self._orders: asyncio.Queue[tuple[Callable[[], Any], asyncio.Future[None]] | None] = asyncio.Queue()
        self._run = ExitStack()
        self.begun: list[asyncio.Future[None]] = []
        self.task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while (order := await self._orders.get()) is not None:
            step, done = order
            with contextlib.suppress(openai.APIError, asyncio.TimeoutError):
                found = step()
                if found is not None:
                    await found
            done.set_result(None)

    def order(self, step: Callable[[], Any]) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._orders.put_nowait((step, done))
        return done

    def enter(self) -> None:
        self._run.enter_context(failover_run("chat"))

    def leave(self) -> None:
        self._run.close()

    async def end(self) -> None:
        self._orders.put_nowait(None)
        await self.task


class Stage:
    """Candidates, tasks and the span around them."""

    def __init__(self, tracer: Tracer, around: str) -> None:
        self._tracer, self._around = tracer, around
        self._actors: dict[str, Actor] = {}
        self._spans = ExitStack()
        self.servers: dict[str, LocalProvider] = {}
        self._clients: dict[str, openai.AsyncOpenAI] = {}

    async def play(self, sequence: str) -> None:
        async with AsyncExitStack() as stack:
            for name in CANDIDATES:
                server = self.servers[name] = stack.enter_context(LocalProvider("openai"))
                for key in (name, name.lower()):
                    made = openai.AsyncOpenAI(api_key=f"sk-{key * 20}", base_url=server.base_url, max_retries=0)
                    self._clients[key] = await stack.enter_async_context(made)
            if self._around != "none":
                self._spans.enter_context(self._tracer.start_as_current_span("POST /chat"))
            for word in sequence.split():
                await self._played(word)
            for actor in self._actors.values():
                if not actor.task.done():
                    await actor.end()
            self._spans.close()

    async def _played(self, word: str) -> None:
        if word == "H":
            self._spans.close()
        elif word == "zz":
            await asyncio.sleep(WITHIN * 1.3)
        elif word in "()":
            await self._actor("1").order(self._actor("1").enter if word == "(" else self._actor("1").leave)
        elif word.endswith("|"):
            await self._actors.pop(word[:-1] or "1").end()
        elif word.endswith("."):
            await self._actor(word[:-1]).begun.pop(0)
        else:
            await self._asked(word)

    async def _asked(self, word: str) -> None:
        found = _STEP.fullmatch(word)
        assert found, word
        answer, actor = _ANSWERS[found["answer"]], self._actor(found["who"])
        if found["begun"]:
            answer = dataclasses.replace(answer, delay=_SLOW)
        self.servers[found["candidate"].upper()].program(answer)
        done = actor.order(lambda: self._ask(found["candidate"], found["question"], hangs=found["answer"] == "x"))
        if found["begun"]:
            actor.begun.append(done)
            await asyncio.sleep(_SLOW / 5)
        else:
            await done

    async def _ask(self, name: str, number: str, *, hangs: bool) -> None:
        with self._tracer.start_as_current_span(f"ask {name}") if self._around == "each" else contextlib.nullcontext():
            asking = self._clients[name].chat.completions.create(
                model=f"model-{name.upper()}", messages=question(number)
            )
            await (asyncio.wait_for(asking, 0.2) if hangs else asking)

    def _actor(self, number: str | None) -> Actor:
        name = number or "1"
        if name not in self._actors:
            self._actors[name] = Actor()
        return self._actors[name]


def play(telemetry: Telemetry, sequence: str, around: str) -> None:
    """Play a sequence.

    Args:
        telemetry: Where it is seen.
        sequence: As above.
        around: `span`: one is around all; `each`: one around each call besides; `none`.
    """
    before = context_api.get_current()
    asyncio.run(Stage(telemetry.tracer, around).play(sequence))
    assert context_api.get_current() == before


def runs_told(telemetry: Telemetry) -> list[str]:
    """Return the inferred runs that were exported, each as its attempts and its outcome: `A- B+ fallback`."""
    runs = [run for run in telemetry.starting("failover ") if run["failover.library"] == "inferred"]
    return [" ".join([*_linked(run), *_tried(telemetry, run), run["failover.outcome"]]) for run in runs]


def _linked(run: Exported) -> list[str]:
    return [_word(attributes) for attributes in run.links if "candidate.model" in attributes]


def _tried(telemetry: Telemetry, run: Exported) -> list[str]:
    return [
        _word(each.attributes) for each in telemetry.candidates if each["failover.run.id"] == run["failover.run.id"]
    ]


def _word(attributes: dict[str, Any]) -> str:
    outcome, reason = attributes["candidate.outcome"], attributes.get("failover.reason.code")
    return str(attributes["candidate.model"][-1]) + (
        "+" if outcome == "success" else "x" if reason in ("timeout", "cancelled") else "-"
    )
