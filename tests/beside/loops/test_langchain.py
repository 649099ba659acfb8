"""LangChain's fallbacks and its agents' beside those that trace LangChain and the SDKs below it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("langchain_openai")

from tests.beside.chains import FEW, MIDWAY, OPENAI, Path, check_attempts, shown
from tests.integrations.loops.langchain.models import BATCHES, WAYS, Bench
from tests.integrations.loops.langchain.test_runnables import PROMPT, StrOutputParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.beside.counting import Beside

create_agent = pytest.importorskip("langchain.agents").create_agent
ModelFallbackMiddleware = pytest.importorskip("langchain.agents.middleware").ModelFallbackMiddleware
GIVEN: Any = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(autouse=True)
def member(beside: Beside) -> None:
    beside.needs("langchain", "openai")


def models(bench: Bench, path: Path) -> tuple[Any, Any]:
    return bench.openai(*path.first, retries=path.retries), bench.anthropic(*path.second)


def ask(path: Path, way: str, make: Callable[[Any, Any], Any], given: Any) -> Any:
    """Ask once, or twice where many are asked at once."""
    with ExitStack() as stack:
        bench = Bench(stack)
        said = bench.ask(make(*models(bench, path)), [given] * 2 if way in BATCHES else given, way)
        return shown(said), bench.asked


def chain_of(first: Any, second: Any) -> Any:
    return first.with_fallbacks([second])


def check(beside: Beside, work: Callable[[], Any]) -> None:
    _, asked = beside.honest(work)
    check_attempts(beside, asked)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", OPENAI)
def test_models(beside: Beside, path: str, way: str) -> None:
    check(beside, lambda: ask(OPENAI[path], way, chain_of, "hello"))


@pytest.mark.parametrize("way", BATCHES)
@pytest.mark.parametrize("path", FEW)
def test_many_at_once(beside: Beside, path: str, way: str) -> None:
    check(beside, lambda: ask(OPENAI[path], way, chain_of, "hello"))


@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("path", FEW)
def test_whole_chains(beside: Beside, path: str, way: str) -> None:
    def chain(first: Any, second: Any) -> Any:
        return (PROMPT | first | StrOutputParser()).with_fallbacks([PROMPT | second | StrOutputParser()])

    check(beside, lambda: ask(OPENAI[path], way, chain, {"word": "a"}))


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("path", MIDWAY)
def test_streams_that_fail_midway(beside: Beside, path: str, way: str) -> None:
    check(beside, lambda: ask(MIDWAY[path], way, chain_of, "hello"))


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("path", FEW)
def test_agents(beside: Beside, path: str, way: str) -> None:
    def work() -> Any:
        with ExitStack() as stack:
            bench = Bench(stack)
            first, second = models(bench, OPENAI[path])
            made = create_agent(first, tools=[], middleware=[ModelFallbackMiddleware(second)])
            found = bench.ask(made, GIVEN, way)
            return shown(found) if isinstance(found, Exception) else found["messages"][-1].text, bench.asked

    check(beside, work)
