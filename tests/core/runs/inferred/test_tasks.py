"""Without any span, a task for each call: related where one task does nothing but wait for each in turn."""

from __future__ import annotations

import asyncio
import gc
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import openai
import pytest

from otel_failover import FailoverInstrumentor
from otel_failover._core.runs.inferred import askers
from otel_failover.testing.providers import Answer
from tests.core.runs.inferred.played import runs_told
from tests.support.hosts import Stand, stand

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.support.spans import Telemetry

Ways = dict[str, Any]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def stands(stack: ExitStack, *answers: Answer) -> list[Stand]:
    """Candidates A, B, C, each with its answer as often as it is asked."""
    found = []
    for name, answer in zip("ABC", answers, strict=False):
        found.append(stack.enter_context(stand("openai", *[answer] * 4, model=f"model-{name}", timeout=0.2)))
    return found


async def nested(asking: Awaitable[Any]) -> Any:
    return await asyncio.ensure_future(asyncio.gather(asyncio.wait_for(asking, 20)))


WAYS: Ways = {
    "a task": lambda asking: asyncio.get_running_loop().create_task(asking),
    "wait_for": lambda asking: asyncio.wait_for(asking, 20),
    "gather of one": lambda asking: asyncio.gather(asking),
    "gather of one, its errors as values": lambda asking: asyncio.gather(asking, return_exceptions=True),
    "shield": lambda asking: asyncio.shield(asking),
    "a task that waits for such": lambda asking: asyncio.get_running_loop().create_task(nested(asking)),
}


async def loop(asked: list[Stand], way: Callable[[Any], Any]) -> bool:
    for each in asked:
        with suppress(openai.APIError):
            found = await way(each.aask())
            if not isinstance(found, list) or not isinstance(found[0], Exception):
                return True
    return False


def told(telemetry: Telemetry, working: Awaitable[Any]) -> list[str]:
    async def worked() -> None:
        await working

    asyncio.run(worked())
    gc.collect()
    FailoverInstrumentor().uninstrument()
    return runs_told(telemetry)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("last", ["answered", "refused"])
def test_each_candidate_is_asked_by_a_task_that_the_loop_waits_for(
    telemetry: Telemetry, stack: ExitStack, way: str, last: str
) -> None:
    asked = stands(
        stack, Answer.openai_quota(), Answer.openai_rate_limit(), *([Answer.ok()] if last == "answered" else ())
    )
    expected = "A- B- C+ fallback" if last == "answered" else "A- B- exhausted"
    assert told(telemetry, loop(asked, WAYS[way])) == [expected]


def test_a_deadline_around_each(telemetry: Telemetry, stack: ExitStack) -> None:
    """Before Python 3.12 `wait_for` makes a task of each call."""
    asked = stands(stack, Answer.hang(), Answer.ok())

    async def hurried() -> None:
        for each in asked:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(each.aask(timeout=20), 1.0)
                return

    assert told(telemetry, hurried()) == ["Ax B+ fallback"]


def test_two_users_at_once_whose_calls_are_each_a_task(telemetry: Telemetry, stack: ExitStack) -> None:
    asked = stands(stack, Answer.openai_quota(), Answer.ok())

    async def both() -> None:
        await asyncio.gather(*(loop(asked, WAYS["a task"]) for _ in range(2)))

    assert told(telemetry, both()) == ["A- B+ fallback", "A- B+ fallback"]


# --- what is none -----------------------------------------------------------------------------------------------------


async def first_of(asked: list[Stand]) -> None:
    with suppress(openai.APIError):
        await asked[0].aask()


async def second_of(asked: list[Stand]) -> None:
    await asyncio.sleep(0.15)  # the first has failed by then
    await asked[1].aask()


async def all_at_once(asked: list[Stand]) -> None:
    await asyncio.gather(first_of(asked), second_of(asked))


async def as_they_complete(asked: list[Stand]) -> None:
    for done in asyncio.as_completed([first_of(asked), second_of(asked)]):
        await done


async def one_until_the_other(asked: list[Stand]) -> None:
    await asyncio.wait({asyncio.ensure_future(each(asked)) for each in (first_of, second_of)})


async def two_requests(asked: list[Stand]) -> None:
    """A server makes a task of each request, and waits for none of them."""
    tasks = set()
    for each in (first_of, second_of):
        task = asyncio.ensure_future(each(asked))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    while tasks:  # noqa: ASYNC110 - nobody waits for them
        await asyncio.sleep(0.01)


async def two_users_each_of_one_model(asked: list[Stand]) -> None:
    """Both ask in tasks that they wait for; neither waits for the other's."""

    async def user(ask: Any) -> None:
        await asyncio.ensure_future(ask(asked))

    await asyncio.gather(user(first_of), user(second_of))


async def one_for_two(asked: list[Stand]) -> None:
    """Two wait for one call, as for a cache that is filled; then each asks another model, whatever became of it."""
    shared = asyncio.ensure_future(first_of(asked))

    async def user(model: Stand) -> None:
        await shared
        await asyncio.ensure_future(model.aask())

    await asyncio.gather(user(asked[1]), user(asked[2]))


@pytest.mark.parametrize(
    "working",
    [all_at_once, as_they_complete, one_until_the_other, two_requests, two_users_each_of_one_model, one_for_two],
)
def test_calls_that_no_single_task_waits_for_in_turn_are_none(
    telemetry: Telemetry, stack: ExitStack, working: Callable[[list[Stand]], Awaitable[None]]
) -> None:
    asked = stands(stack, Answer.openai_quota(), Answer.ok(), Answer.ok())
    assert told(telemetry, working(asked)) == []
    assert len(telemetry.starting("chat ")) >= 2


def test_who_waits_is_told_by_no_foreign_callback() -> None:
    """A callback of the host's may look like asyncio's, and be anything."""

    async def looked_at() -> None:
        task: Any = asyncio.current_task()
        task.add_done_callback(lambda _: None)
        task.add_done_callback(Odd())
        assert askers.root_of(task) is task

    class Odd:
        __qualname__ = "gather.<locals>._done_callback"
        __module__ = "asyncio.tasks"

        def __call__(self, done: Any) -> None:
            pass

    async def alone() -> None:
        task = asyncio.ensure_future(looked_at())
        while not task.done():  # noqa: ASYNC110 - nobody waits for it
            await asyncio.sleep(0)
        task.result()

    asyncio.run(alone())
    assert askers.root_of(None) is None
