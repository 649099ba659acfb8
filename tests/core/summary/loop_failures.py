"""What the loops of frameworks raise when both candidates fail: real loops, local providers, several requests at once."""

from __future__ import annotations

import asyncio
import importlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_failover.testing.providers import Answer
from tests.support.hosts import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from contextlib import ExitStack

    Chain = tuple[str, str]
    Row = tuple[str | None, str | None, int | None, str | None]

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else litellm's import asks GitHub for prices

SHORT: Final = 0.5
HANGS: Final = {"hang"}
"""Words of a chain whose candidate is waited for no longer than `SHORT`."""
LONG: Final = 20.0
FELL_OVER: Final = "The engine fell over in the middle of it"

DOES: Final[dict[str, Callable[[str], Answer]]] = {
    "quota": lambda kind: Answer.gemini_quota() if kind == "gemini" else Answer.openai_quota(),
    "missing": lambda _: Answer.anthropic_not_found("claude-none"),
    "down": lambda kind: Answer.gemini_overloaded() if kind == "gemini" else Answer.openai_server_error(),
    "overloaded": lambda _: Answer.anthropic_overloaded(),
    "hang": lambda _: Answer.hang(),
    "breaks off": lambda _: Answer.stream(["Hel", "lo"], then="error", message=FELL_OVER),
}
"""What a candidate does, by the word for it that a chain has."""

QUOTA_THEN_MISSING: Final = ("quota", "missing")
QUOTA_THEN_HANG: Final = ("quota", "hang")
DOWN_THEN_OVERLOADED: Final = ("down", "overloaded")
BREAKS_OFF: Final = ("breaks off", "missing")


class Loop(NamedTuple):
    """One framework's loop.

    Args:
        fail: Asks it in some way, once for each chain, at once; returns what left each.
        needs: The module without which it is not there.
        ways: The ways to ask it.
        alone: What its error says where no run was made: of a quota used up and a model that is not there.
        who: Provider and model of its candidates.
        goes_on: It asks the next one, though output began.
        streams: The ways in which it hands on what comes.
    """

    fail: Callable[[ExitStack, str, tuple[Chain, ...]], list[Any]]
    needs: str
    ways: tuple[str, ...]
    alone: tuple[Row, ...]
    who: tuple[tuple[str, str], ...] = (("openai", "gpt-5.5"), ("anthropic", "claude-none"))
    goes_on: bool = False
    streams: tuple[str, ...] = ()


# --- asking -----------------------------------------------------------------------------------------------------------


def _left(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


async def _aleft(ask: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await ask()
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


def _at_once(asks: Iterable[Callable[[], Any]]) -> list[Any]:
    """Call functions in threads of their own, each in the context of here; return what left each."""
    with ThreadPoolExecutor() as pool:
        return [each.result() for each in [pool.submit(copy_context().run, _left, ask) for ask in asks]]


async def _gathered(asks: Iterable[Callable[[], Awaitable[Any]]]) -> list[Any]:
    return list(await asyncio.gather(*map(_aleft, asks)))


async def _all_of(chunks: Any) -> list[Any]:
    return [each async for each in chunks]


def _tests_of(name: str) -> Any:
    """Return the tests of a library's loop, or their helpers; they are skipped where it is not installed."""
    return importlib.import_module(f"tests.integrations.loops.{name}")


def _pair(chain: Chain, first: Any, second: Any, kind: str = "openai") -> tuple[Any, Any]:
    """Return a chain's candidates, each at a local provider of its own."""
    one, other = ({"timeout": SHORT if word in HANGS else LONG} for word in chain)
    return first(DOES[chain[0]](kind), **one), second(DOES[chain[1]]("anthropic"), model="claude-none", **other)


# --- litellm ----------------------------------------------------------------------------------------------------------


def _litellm_asks(stack: ExitStack, chain: Chain, *, router: bool, stream: bool) -> tuple[Any, Any]:
    """Return what asks one of litellm's loops, in its synchronous way and in the other."""
    helpers = _tests_of("litellm.bench")
    bench = helpers.Bench(stack)
    for group, kind, word in zip("ab", ("openai", "anthropic"), chain, strict=True):
        bench.add(group, kind, DOES[word](kind), model=f"model-{group}", timeout=SHORT if word in HANGS else LONG)
    owner = bench.router() if router else helpers.litellm
    given = {**({"model": "a"} if router else bench.models()), "messages": list(MESSAGES), "stream": stream}

    def ask() -> Any:
        result = owner.completion(**given)
        return list(result) if stream else result

    async def aask() -> Any:
        result = await owner.acompletion(**given)
        return await _all_of(result) if stream else result

    return ask, aask


def _litellm(stack: ExitStack, way: str, chains: tuple[Chain, ...], *, router: bool) -> list[Any]:
    asks = [_litellm_asks(stack, chain, router=router, stream="stream" in way) for chain in chains]
    if way in ("sync", "stream"):
        return _at_once(ask for ask, _ in asks)
    helpers = _tests_of("litellm.bench")

    async def inside(ask: Callable[[], Any]) -> Any:
        return ask()

    async def together() -> list[Any]:
        found = await _gathered(partial(inside, ask) if way == "sync in a loop" else aask for ask, aask in asks)
        await helpers.settle()
        return found

    helpers.clear_clients()
    return asyncio.run(together())


# --- langchain --------------------------------------------------------------------------------------------------------


def _langchain(stack: ExitStack, way: str, chains: tuple[Chain, ...], *, agent: bool) -> list[Any]:
    bench, tests = _tests_of("langchain.models").Bench(stack), _tests_of("langchain.test_agents") if agent else None
    given = tests.GIVEN if tests is not None else "hello"
    made = []
    for chain in chains:
        first, second = _pair(chain, bench.openai, bench.anthropic)
        made.append(tests.agent(first, second) if tests is not None else first.with_fallbacks([second]))

    def ask(runnable: Any) -> Any:
        result = getattr(runnable, way)([given] if "batch" in way else given)
        return list(result) if way == "stream" else _all_of(result) if way == "astream" else result

    if way.startswith("a"):
        found: list[Any] = bench.loop.run_until_complete(_gathered(partial(ask, each) for each in made))
        return found
    return _at_once(partial(ask, each) for each in made)


# --- the others -------------------------------------------------------------------------------------------------------


def _haystack(stack: ExitStack, way: str, chains: tuple[Chain, ...]) -> list[Any]:
    tests = _tests_of("test_haystack")
    bench = tests.Bench(stack)
    asks = [
        partial(getattr(tests.FallbackChatGenerator(_pair(chain, bench.openai, bench.claude)), way), tests.QUESTION)
        for chain in chains
    ]

    async def together() -> list[Any]:
        found = await _gathered(asks)
        await bench.aclose()
        return found

    try:
        return asyncio.run(together()) if way == "run_async" else _at_once(asks)
    finally:
        bench.close()


def _agno(stack: ExitStack, way: str, chains: tuple[Chain, ...]) -> list[Any]:
    """Ask as agno's agents do, past what they make of an error."""
    tests = _tests_of("test_agno")
    bench, asks = tests.Bench(stack), []
    for chain in chains:
        first, second = _pair(chain, bench.openai, bench.claude)
        asks.append(partial(tests.through, way, first, tests.FallbackConfig(on_error=[second])))
    return _at_once(asks)


def _google_adk(stack: ExitStack, way: str, chains: tuple[Chain, ...]) -> list[Any]:
    helpers = _tests_of("google_adk.models")
    bench = helpers.Bench(stack)
    made = [helpers.chain(*_pair(chain, bench.gemini, bench.anthropic, "gemini")) for chain in chains]
    asks = [partial(helpers.answered, each, stream=way == "stream") for each in made]
    found: list[Any] = bench.run(lambda: _gathered(asks))
    return found


def _strands(stack: ExitStack, way: str, chains: tuple[Chain, ...]) -> list[Any]:
    helpers = _tests_of("strands.models")
    bench = helpers.Bench(stack)
    made = [helpers.agent(helpers.router(*_pair(chain, bench.openai, bench.anthropic))) for chain in chains]
    ask = helpers.streamed if way == "stream" else helpers.answered
    found: list[Any] = bench.run(lambda: _gathered(partial(ask, each) for each in made))
    return found


def _livekit(stack: ExitStack, way: str, chains: tuple[Chain, ...]) -> list[Any]:  # noqa: ARG001 - it has one way
    tests = _tests_of("test_livekit")
    bench = tests.Bench(stack)

    def twice(serve: Any, answer: Answer, **options: Any) -> Any:
        return serve(answer, answer, **options)  # a candidate that has failed is probed once

    async def ask(llms: Any, within: float) -> Any:
        adapter = tests.adapted(*llms, attempt_timeout=within)
        said = await tests.answered(adapter)
        await tests.probed(adapter)
        return said

    made = [
        (_pair(chain, partial(twice, bench.openai), partial(twice, bench.anthropic)),
         LONG if HANGS.isdisjoint(chain) else SHORT)
        for chain in chains
    ]  # fmt: skip
    found: list[Any] = bench.run(lambda: _gathered(partial(ask, *each) for each in made))
    return found


_FIVE: Final = ("sync", "async", "sync in a loop", "stream", "async stream")
_DEPLOYED: Final = (("openai", "model-a"), ("anthropic", "model-b"))
_LAST: Final = ((None, None, 404, "model_not_found"),)

LOOPS: Final[dict[str, Loop]] = {
    "litellm's router": Loop(
        partial(_litellm, router=True), "litellm", _FIVE,
        (("openai", "model-a", 429, "billing"),), _DEPLOYED, streams=_FIVE[3:],
    ),
    "litellm's fallbacks": Loop(
        partial(_litellm, router=False), "litellm", _FIVE, (), _DEPLOYED, streams=("async stream",),
    ),
    "langchain's fallbacks": Loop(
        partial(_langchain, agent=False), "langchain_openai",
        ("invoke", "ainvoke", "stream", "astream", "batch", "abatch"),
        ((None, None, 429, "billing"),), streams=("stream", "astream"),
    ),
    "langchain's agents": Loop(
        partial(_langchain, agent=True), "langchain.agents.middleware", ("invoke", "ainvoke", "stream", "astream"),
        _LAST,
    ),
    "haystack": Loop(
        _haystack, "haystack", ("run", "run_async"),
        (("openai", None, None, "unknown"), (None, None, 404, "model_not_found")),
    ),
    "agno": Loop(
        _agno, "agno", ("run", "arun", "stream", "astream"),
        ((None, "gpt-5.5", 429, "rate_limit"),), goes_on=True, streams=("stream", "astream"),
    ),
    "google-adk": Loop(
        _google_adk, "google.adk.models._fallback_model", ("run", "stream"), _LAST,
        (("gcp.gemini", "gemini-2.5-flash"), ("anthropic", "claude-none")), streams=("stream",),
    ),
    "strands": Loop(
        _strands, "strands.models.routing", ("run", "stream"), _LAST, goes_on=True, streams=("run", "stream"),
    ),
    "livekit": Loop(_livekit, "livekit.plugins.openai", ("stream",), (), streams=("stream",)),
}  # fmt: skip
"""Every loop, by name."""
