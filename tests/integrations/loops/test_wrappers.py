"""`summarize()` finds the run of an exception by a local variable called `opened` in our own frames of its traceback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import wrapt

from otel_failover import Run, failover_run, summarize
from otel_failover.integrations.loops.configured.function_kinds import call, kind_of
from otel_failover.integrations.loops.shared.held_open import OpenPastCall
from otel_failover.integrations.loops.shared.library_run import LibraryRun
from otel_failover.integrations.loops.shared.wrappers import (
    aaround,
    aaround_result,
    around,
    around_manager,
    around_result,
    driven,
    steps,
)
from tests.core.summary.loop_failures import LOOPS, QUOTA_THEN_MISSING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.support.spans import Telemetry

CHAIN = ("openai/gpt-5.5", "anthropic/claude-none")
OURS = "otel_failover.integrations."
NAMES = ("opened", "run")


class ExhaustedError(Exception):
    """What a loop raises in the end: it says nothing of its candidates, and was raised from nothing."""


class Host:
    """A framework whose loop fails, in every shape that functions have."""

    def __init__(self) -> None:
        self.run: Any = None

    def open(self, *_: Any) -> LibraryRun:
        self.run = LibraryRun(Run("chat", CHAIN))
        return self.run  # type: ignore[no-any-return]

    def open_past_call(self, *_: Any) -> OpenPastCall:
        return OpenPastCall(self.open(), lambda _: True)

    def returned(self, result: object) -> None:
        raise AssertionError(result)

    def fail(self) -> None:
        for candidate in CHAIN:
            with contextlib.suppress(ValueError), self.run.run.attempt(candidate):
                raise ValueError(f"{candidate} is down")
        raise ExhaustedError

    def plain(self) -> None:
        self.fail()

    async def coroutine(self) -> None:
        self.fail()

    def generator(self) -> Iterator[int]:
        yield 1
        self.fail()

    async def asynchronous(self) -> AsyncIterator[int]:
        yield 1
        self.fail()

    @contextlib.asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        self.fail()
        yield

    @contextlib.asynccontextmanager
    async def left(self) -> AsyncIterator[None]:
        yield
        self.fail()

    @contextlib.contextmanager
    def manager(self) -> Iterator[None]:
        yield
        self.fail()


async def _used(manager: Any) -> None:
    async with manager:
        pass


async def _read(chunks: Any) -> list[Any]:
    return [each async for each in chunks]


async def _awaited(awaitable: Any) -> None:
    await awaitable


def _around(wrapper: Any, function: Any) -> Any:
    return wrapt.FunctionWrapper(function, wrapper)()


def _configured(host: Host, function: Any, *, kind: str | None = None) -> Any:
    """Call a function as a configured loop's: of its own kind, or as what only returns something of that kind."""
    return call(kind or kind_of(function), host, function, (), {})


SHAPES: dict[str, Callable[[Host], Any]] = {
    "around": lambda host: _around(around(host.open), host.plain),
    "around with given": lambda host: _around(around(host.open, lambda _, *given: given), host.plain),
    "aaround": lambda host: asyncio.run(_around(aaround(host.open), host.coroutine)),
    "aaround with given": lambda host: asyncio.run(
        _around(aaround(host.open, lambda _, *given: given), host.coroutine)
    ),
    "around_result": lambda host: _around(around_result(host.open_past_call), host.plain),
    "aaround_result": lambda host: asyncio.run(_around(aaround_result(host.open_past_call), host.coroutine)),
    "steps": lambda host: list(_around(steps(host.open), host.generator)),
    "steps, asynchronous": lambda host: asyncio.run(_read(_around(steps(host.open), host.asynchronous))),
    "driven": lambda host: list(driven(host.open(), host.generator())),
    "driven, asynchronous": lambda host: asyncio.run(_read(driven(host.open(), host.asynchronous()))),
    "around_manager, entered": lambda host: asyncio.run(_used(_around(around_manager(host.open), host.entered))),
    "around_manager, left": lambda host: asyncio.run(_used(_around(around_manager(host.open), host.left))),
    "configured": lambda host: _configured(host, host.plain),
    "configured coroutine": lambda host: asyncio.run(_configured(host, host.coroutine)),
    "configured generator": lambda host: list(_configured(host, host.generator)),
    "configured asynchronous generator": lambda host: asyncio.run(_read(_configured(host, host.asynchronous))),
    "configured, returns a coroutine": lambda host: asyncio.run(
        _awaited(_configured(host, lambda: host.coroutine(), kind="plain"))
    ),
    "configured, returns a generator": lambda host: list(_configured(host, lambda: host.generator(), kind="plain")),
    "configured, returns a context manager": lambda host: _entered_and_left(
        _configured(host, lambda: host.manager(), kind="plain")
    ),
}


def _entered_and_left(manager: Any) -> None:
    with manager:
        pass


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_wrapper_lets_the_run_be_found(telemetry: Telemetry, shape: str) -> None:
    """The exception names nobody: only the frame of the wrapper leads to the run."""
    with pytest.raises(ExhaustedError) as raised:
        SHAPES[shape](Host())
    assert [(each.provider, each.outcome) for each in summarize(raised.value).candidates] == [
        ("openai", "error"),
        ("anthropic", "error"),
    ]


# --- real libraries ---------------------------------------------------------------------------------------------------


def _holds_a_run(value: object) -> bool:
    """Whether something is a run, or leads to one by the attribute that says so."""
    for _ in range(3):
        if isinstance(value, Run):
            return True
        value = getattr(value, "run", None)
    return False


def _frames(problem: BaseException) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the frames of adapters in the traceback of an exception, and of those that it was raised from."""
    link: BaseException | None = problem
    while link is not None:
        entry = link.__traceback__
        while entry is not None:
            frame = entry.tb_frame
            if str(frame.f_globals.get("__name__")).startswith(OURS):
                yield f"{frame.f_globals['__name__']}.{frame.f_code.co_name}", dict(frame.f_locals)
            entry = entry.tb_next
        link = link.__cause__


@pytest.mark.parametrize(("name", "way"), [(name, way) for name, loop in LOOPS.items() for way in loop.ways])
def test_wrappers_of_real_libraries_hold_their_run_under_that_name(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture, name: str, way: str
) -> None:
    for logger in ("livekit", "LiteLLM", "LiteLLM Router"):
        caplog.set_level(logging.CRITICAL, logger)
    loop = LOOPS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(loop.needs, exc_type=ImportError)
    with ExitStack() as stack:
        (problem,) = loop.fail(stack, way, (QUOTA_THEN_MISSING,))
    frames = [(place, values) for place, values in _frames(problem) if any(map(_holds_a_run, values.values()))]
    unnamed = [place for place, values in frames if not any(_holds_a_run(values.get(each)) for each in NAMES)]
    assert not unnamed
    assert summarize(problem).outcome == "exhausted"


def test_a_run_by_hand_needs_no_name(telemetry: Telemetry) -> None:
    """The rule is for our own frames: people may call theirs what they like."""
    with pytest.raises(ExhaustedError) as raised, failover_run("chat", chain=CHAIN) as whatever:
        for candidate in CHAIN:
            with contextlib.suppress(ValueError), whatever.attempt(candidate):
                raise ValueError(candidate)
        raise ExhaustedError
    assert len(summarize(raised.value).candidates) == 2
