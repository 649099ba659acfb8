"""agno's fallback models beside those that trace agno and the SDKs below it; agno makes no spans of its own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("agno")

from agno.models.fallback import FallbackConfig

from tests.beside.chains import FEW, MIDWAY, OPENAI, Path, check_attempts, shown
from tests.integrations.loops.test_agno import Bench, agent_of, asked, through

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.beside.counting import Beside

WAYS = ("run", "arun", "stream", "astream")
STREAMS = WAYS[2:]


@pytest.fixture(autouse=True)
def member(beside: Beside) -> None:
    beside.needs("agno", "openai")


ways = pytest.mark.parametrize("how", WAYS)


def models(bench: Bench, path: Path) -> tuple[Any, Any]:
    return bench.openai(*path.first, retries=path.retries), bench.claude(*path.second)


def ask(path: Path, how: str) -> Any:
    with ExitStack() as stack:
        bench = Bench(stack)
        return shown(asked(agent_of(*models(bench, path)), how)), bench.asked


def check(beside: Beside, work: Callable[[], Any]) -> None:
    _, found = beside.honest(work)
    check_attempts(beside, found)


@ways
@pytest.mark.parametrize("path", OPENAI)
def test_agents(beside: Beside, path: str, how: str) -> None:
    check(beside, lambda: ask(OPENAI[path], how))


@pytest.mark.parametrize("how", STREAMS)
@pytest.mark.parametrize("path", MIDWAY)
def test_streams_that_fail_midway(beside: Beside, path: str, how: str) -> None:
    check(beside, lambda: ask(MIDWAY[path], how))


@ways
@pytest.mark.parametrize("path", FEW)
def test_models_without_an_agent(beside: Beside, path: str, how: str) -> None:
    def work() -> Any:
        with ExitStack() as stack:
            bench = Bench(stack)
            first, second = models(bench, OPENAI[path])
            try:
                return through(how, first, FallbackConfig(on_error=[second])), bench.asked
            except Exception as problem:
                return shown(problem), bench.asked

    check(beside, work)
