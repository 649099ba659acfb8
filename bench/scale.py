"""What must not grow: with open requests, tasks, threads; and what a run leaves for the cycle collector, or keeps.

Each measures the bare SDK and ours in turns, and holds the number of spans against what was asked.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bench import claims, peers, stage
from bench.contenders import Contender, Ours, OursBare, OursOutside, two_failures
from bench.figures import clock, settle, timed
from bench.micro import left_open, spanning
from bench.stage import CHAIN, FIRST, RECORDING, SAMPLED_OUT, WITHOUT_SDK, Noting
from otel_failover import failover_run
from otel_failover._core.domain import attributes as names

if TYPE_CHECKING:
    from collections import Counter

    from opentelemetry.trace import Tracer

    from bench.stage import Case

_BLOCKS: Final = 12
"""Short blocks, of which the cheapest counts."""


def least(task: Callable[[], object], calls: int, blocks: int = _BLOCKS) -> float:
    """Return the microseconds of one call in the cheapest of some blocks.

    Args:
        task: What to call.
        calls: In a block.
        blocks: How many.
    """
    timed(task, calls)
    return min(timed(task, calls) for _ in range(blocks))


def assert_made(who: str, seen: Counter[tuple[str, str]], case: str, times: int) -> None:
    """Fail where fewer or more spans have ended than had to.

    Args:
        who: The contender's name.
        seen: What has ended.
        case: What was asked.
        times: How often.

    Raises:
        Broken: Says what is missing.
    """
    wanted = claims.counts(who, case, times)
    if seen != wanted:
        raise claims.Broken(f"{who}, {case}: {dict(seen)} instead of {dict(wanted)}")
    claims.assert_no_failures(who)


# --- open requests ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crowd:
    """What many open requests change.

    Args:
        open: How many.
        run_alone: Microseconds of a run while no other is open.
        run: Of a run beside them.
        foreign_alone: Of a span outside any attempt while no run is open.
        foreign: Of one beside them.
    """

    open: int
    run_alone: float
    run: float
    foreign_alone: float
    foreign: float


def open_requests(count: int, calls: int = 8) -> Crowd:
    """Measure a run, and a foreign span, alone and beside many open requests: each with a span, a run, an attempt.

    Args:
        count: How many requests.
        calls: Runs in a block.
    """
    case, seen = stage.success(), Noting()
    with Ours(seen) as ours, ExitStack() as opened:
        tracer = ours.telemetry.traces.get_tracer("application")
        run, foreign = partial(ours.run, case), spanning(tracer)
        settle()
        alone = least(run, calls), least(foreign, 200)
        for _ in range(count):
            context, stack = left_open(tracer)
            opened.callback(context.run, stack.close)
        settle()
        beside = least(run, calls), least(foreign, 200)
        for each in (name for name in list(seen.seen) if name[0] == "SELECT orders"):
            del seen.seen[each]
        assert_made(ours.name, seen.seen, "success", 2 * calls * (_BLOCKS + 1))
    ours.telemetry.shutdown()
    return Crowd(count, alone[0], beside[0], alone[1], beside[1])


def open_bytes(count: int) -> dict[str, float]:
    """Return the bytes that one open request keeps, as Python counts them: ours, and three spans by hand.

    Args:
        count: How many are open at once.
    """
    found = {}
    with Ours() as ours:
        tracer = ours.telemetry.traces.get_tracer("application")
        for who, opening in (("ours", left_open), ("by_hand", _left_open_by_hand)):
            with ExitStack() as opened:
                _open(opening, tracer, 20, opened)
                gc.collect()
                tracemalloc.start()
                before = tracemalloc.get_traced_memory()[0]
                kept = _open(opening, tracer, count, opened)
                gc.collect()
                found[who] = (tracemalloc.get_traced_memory()[0] - before) / count
                tracemalloc.stop()
                del kept
    ours.telemetry.shutdown()
    return found


def _open(opening: Callable[[Tracer], Any], tracer: Tracer, count: int, opened: ExitStack) -> list[Any]:
    kept = []
    for _ in range(count):
        context, stack = opening(tracer)
        opened.callback(context.run, stack.close)
        kept.append(context)
    return kept


def _left_open_by_hand(tracer: Tracer) -> tuple[Any, ExitStack]:
    context, stack = contextvars.copy_context(), ExitStack()
    run: dict[str, Any] = {
        names.RUN_ID: "0" * 32,
        names.LIBRARY: "manual",
        names.LOOP_NAME: "chat",
        names.CHAIN: [f"{each.provider}/{each.model}" for each in CHAIN],
    }
    attempt: dict[str, Any] = {
        names.CANDIDATE_PROVIDER: FIRST.provider,
        names.CANDIDATE_MODEL: FIRST.model,
        names.CANDIDATE_INDEX: 0,
        names.CANDIDATE_ATTEMPT: 1,
        names.RUN_ID: "0" * 32,
    }

    def enter() -> None:
        for name, attributes in (("GET /answer", {}), ("failover chat", run), ("candidate openai", attempt)):
            stack.enter_context(tracer.start_as_current_span(name, attributes=attributes))

    context.run(enter)
    return context, stack


# --- tasks and threads ------------------------------------------------------------------------------------------------


def tasks(count: int, times: int = 2) -> dict[str, float]:
    """Return the microseconds of one call where so many tasks ask at once, best of some.

    Args:
        count: How many tasks.
        times: How often.

    Returns:
        `nothing`, and `ours`.
    """
    client = stage.async_client_of(refuses=False)

    async def bare() -> None:
        await stage.ask(client)

    async def declared() -> None:
        with failover_run("chat", chain=CHAIN) as run, run.attempt(FIRST):
            await stage.ask(client)

    async def all_at_once(one: Callable[[], Any], number: int) -> float:
        started = clock()
        await asyncio.gather(*(one() for _ in range(number)))
        return (clock() - started) / number * 1e6

    found: dict[str, float] = {}
    for make, one in ((Contender, bare), (Ours, declared)):
        seen = Noting()
        with make(seen) as contender:
            asyncio.run(all_at_once(one, min(count, 50)))
            settle()
            found[make.name] = min(asyncio.run(all_at_once(one, count)) for _ in range(times))
            assert_made(make.name, seen.seen, "success", count * times + min(count, 50))
        contender.telemetry.shutdown()
    return found


def threads(count: int, calls: int, times: int = 4) -> dict[int, dict[str, float]]:
    """Return the microseconds of CPU time of one call, by the number of threads that ask at once.

    Args:
        count: How many threads, beside one.
        calls: Of all of them.
        times: Of these the cheapest counts.

    Returns:
        `nothing` and `ours`, for one thread and for all.
    """
    case = stage.success()
    found: dict[int, dict[str, float]] = {1: {}, count: {}}
    for make in (Contender, Ours):
        seen = Noting()
        with make(seen) as contender:
            settle()
            for number, took in found.items():
                task = partial(_in_threads, number, partial(contender.run, case), calls // number)
                took[make.name] = min(task() for _ in range(times))
            assert_made(make.name, seen.seen, "success", times * (calls + calls // count * count))
        contender.telemetry.shutdown()
    return found


def _in_threads(count: int, task: Callable[[], object], calls: int) -> float:
    def work() -> None:
        for _ in range(calls):
            task()

    workers = [threading.Thread(target=work) for _ in range(count)]
    started = clock()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return (clock() - started) / (count * calls) * 1e6


# --- what a run leaves ------------------------------------------------------------------------------------------------


def _abandoned(_: Contender, case: Case) -> None:
    """Read one chunk, and forget the stream."""
    next(iter(case.create()))


def _outliving(contender: Contender, case: Case) -> None:
    """Read a stream after its run's block, as an endpoint does that hands it on."""
    if isinstance(contender, Ours):
        with failover_run("chat", chain=CHAIN) as run, run.attempt(FIRST):
            found = case.create()
    else:
        found = case.create()
    for _ in found:
        pass


def _incident(contender: Contender, cases: tuple[Case, Case], *, stale: bool) -> None:
    if isinstance(contender, Ours):
        two_failures(*cases, stale=stale)
    else:
        stage.InTurn("both", cases).ask()


Task = Callable[[Contender], object]


def kinds() -> dict[str, tuple[type[Contender], str, Task]]:
    """Return every kind of run: who makes it, with which telemetry, and how."""
    good, bad, long, wire, turn = (
        stage.success(), stage.refused(), stage.stream(), stage.by_wire(), stage.in_turn(),
    )  # fmt: skip
    both = bad, stage.silent()

    def asked(case: Any) -> Task:
        return lambda contender: contender.run(case)

    found: dict[str, tuple[type[Contender], str, Task]] = {
        "answered": (Ours, RECORDING, asked(good)),
        "429": (Ours, RECORDING, asked(bad)),
        "stream": (Ours, RECORDING, asked(long)),
        "stream, abandoned": (OursOutside, RECORDING, partial(_abandoned, case=long)),
        "stream that outlives its run": (Ours, RECORDING, partial(_outliving, case=long)),
        "bare call, answered": (OursBare, RECORDING, asked(good)),
        "bare call, 429": (OursBare, RECORDING, asked(bad)),
        "call outside a run, answered": (OursOutside, RECORDING, asked(good)),
        "call outside a run, 429": (OursOutside, RECORDING, asked(bad)),
        "call by wire": (OursOutside, RECORDING, asked(wire)),
        "inferred run": (OursOutside, RECORDING, asked(turn)),
        "two failures": (Ours, RECORDING, partial(_incident, cases=both, stale=False)),
        "mismatch": (Ours, RECORDING, partial(_incident, cases=both, stale=True)),
        "sampled out, 429": (Ours, SAMPLED_OUT, asked(bad)),
        "no SDK, 429": (Ours, WITHOUT_SDK, asked(bad)),
    }
    if peers.has_agents():
        found["pydantic-ai, two refused"] = (peers.AgentOurs, RECORDING, asked(peers.two_refused()))
    return found


def cyclic(runs: int = 20) -> dict[str, float]:
    """Return how many objects of each kind of run only the cycle collector frees, beyond the bare SDK's.

    Args:
        runs: How many of each.
    """
    return {
        kind: _cyclic(make, telemetry, task, runs) - _cyclic(Contender, telemetry, task, runs)
        for kind, (make, telemetry, task) in kinds().items()
    }


def _cyclic(make: type[Contender], kind: str, task: Task, runs: int) -> float:
    with make(kind=kind) as contender:
        for _ in range(3):
            task(contender)
        contender.telemetry.flush()
        settle()
        gc.disable()
        try:
            for _ in range(runs):
                task(contender)
            contender.telemetry.flush()
            found = gc.collect() / runs
        finally:
            gc.enable()
    contender.telemetry.shutdown()
    claims.assert_no_failures(make.name)
    return found
