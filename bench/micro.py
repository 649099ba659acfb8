"""Costs that stand beside a run's: foreign spans, chunks, long chains, memory, import."""

from __future__ import annotations

import contextvars
import gc
import os
import tracemalloc
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import openai

from bench.contenders import Contender, Ours, two_failures
from bench.figures import Figure, alternate, clock, figure, paired, settle, timed
from bench.stage import CHAIN, FIRST, MODEL, Case, Telemetry, refused, refused_at, silent, stream, success
from otel_failover import Candidate, failover_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.trace import Tracer

LENGTHS: Final = (2, 17, 200, 1000)
_ATTRIBUTES: Final[dict[str, Any]] = {
    "db.system.name": "postgresql",
    "db.operation.name": "SELECT",
    "db.collection.name": "orders",
    "server.address": "db.internal",
    "server.port": 5432,
}


# --- spans of others --------------------------------------------------------------------------------------------------


def foreign_spans(rounds: int, calls: int) -> dict[str, Figure]:
    """Return what our processor adds to a span in which there is nothing to judge, in microseconds.

    Args:
        rounds: How many.
        calls: Spans per round.
    """
    plain, watched = Telemetry(), Ours()
    watched.put_on()
    tracers = {
        "without": plain.traces.get_tracer("application"),
        "with": watched.telemetry.traces.get_tracer("application"),
    }
    tasks = {name: spanning(tracer) for name, tracer in tracers.items()}
    outside = alternate(tasks, rounds, calls)
    with failover_run("chat", chain=CHAIN) as run, run.attempt(FIRST):
        inside = alternate(tasks, rounds, calls)
    watched.take_off()
    plain.shutdown()
    watched.telemetry.shutdown()
    return {
        "outside": paired(outside["with"], outside["without"]),
        "inside": paired(inside["with"], inside["without"]),
    }


def spanning(tracer: Tracer) -> Callable[[], None]:
    """Return a task that makes one span of an application's.

    Args:
        tracer: Whose.
    """

    def span() -> None:
        with tracer.start_as_current_span("SELECT orders", attributes=_ATTRIBUTES):
            pass

    return span


# --- streams ----------------------------------------------------------------------------------------------------------


def per_chunk(rounds: int, calls: int) -> dict[str, Figure]:
    """Return what a chunk costs, from the difference of a short and a long stream.

    Args:
        rounds: How many.
        calls: Streams per round.

    Returns:
        `bare` and `added`, in microseconds per chunk; `share`, of one in the other.
    """
    short, long = 20, 220
    cases = {short: stream(short), long: stream(long)}
    bare, ours = Contender(), Ours()
    found: dict[str, list[float]] = {"bare": [], "ours": []}
    for number in range(rounds + 1):
        for name, contender in (("bare", bare), ("ours", ours)) if number % 2 else (("ours", ours), ("bare", bare)):
            with contender:
                contender.run(cases[short])
                took = {length: timed(partial(contender.run, case), calls) for length, case in cases.items()}
            if number:
                found[name].append((took[long] - took[short]) / (long - short))
    for each in (bare, ours):
        each.telemetry.shutdown()
    return {
        "bare": figure(found["bare"]),
        "added": paired(found["ours"], found["bare"]),
        "share": paired(found["ours"], found["bare"], lambda one, other: one / other - 1),
    }


# --- a mismatch -------------------------------------------------------------------------------------------------------


def mismatch(rounds: int, calls: int) -> Figure:
    """Return what a mismatch costs above the same two failures told honestly, in microseconds.

    Args:
        rounds: How many.
        calls: Runs per round.
    """
    first, second = refused(), silent()
    with Ours() as ours:
        found = alternate(
            {
                "honest": lambda: two_failures(first, second, stale=False),
                "stale": lambda: two_failures(first, second, stale=True),
            },
            rounds,
            calls,
        )
    ours.telemetry.shutdown()
    return paired(found["stale"], found["honest"])


# --- what must not grow -----------------------------------------------------------------------------------------------


def chain_growth(rounds: int, lengths: Sequence[int] = LENGTHS) -> dict[int, Figure]:
    """Return what one of our attempts adds, by the number of candidates in the chain, all of which are tried and fail.

    The run's own cost is left out: it would hide what grows behind what is shared.

    Args:
        rounds: How many.
        lengths: Of chains.

    Returns:
        Microseconds per attempt beyond the bare call's.
    """
    most = max(lengths)
    chain, cases = refusing_chain(most)
    bare, ours = Contender(), Ours()
    found: dict[int, list[float]] = {length: [] for length in lengths}
    for number in range(rounds + 1):
        for length in lengths:
            repeats = max(1, most // length)
            with bare:
                base = sum(tried_bare(cases[:length]) for _ in range(repeats))
            with ours:
                took = sum(tried(chain[:length], cases[:length]) for _ in range(repeats))
            if number:
                found[length].append((took - base) / repeats / length * 1e6)
    for each in (bare, ours):
        each.telemetry.shutdown()
    return {length: figure(values) for length, values in found.items()}


def refusing_chain(length: int) -> tuple[list[Candidate], list[Case]]:
    """Return a chain of providers that all refuse, and the calls that ask them.

    Args:
        length: How many.
    """
    endpoints = [f"https://provider-{place}.example" for place in range(length)]
    chain = [Candidate("openai", f"{MODEL}-{place}", endpoint) for place, endpoint in enumerate(endpoints)]
    return chain, [refused_at(endpoint) for endpoint in endpoints]


def tried_bare(cases: Sequence[Case]) -> float:
    """Return the seconds that all calls take.

    Args:
        cases: What is asked; a refused call is a failed candidate.
    """
    started = clock()
    for case in cases:
        try:
            case.ask()
        except openai.OpenAIError:  # noqa: PERF203 - a fallback loop
            continue
    return clock() - started


def tried(chain: Sequence[Candidate], cases: Sequence[Case]) -> float:
    """Return the seconds that all attempts of one run take.

    Args:
        chain: The candidates.
        cases: What each is asked; a refused call is a failed candidate.
    """
    with failover_run("chat", chain=chain) as run:
        started = clock()
        for candidate, case in zip(chain, cases, strict=True):
            try:
                with run.attempt(candidate):
                    case.ask()
            except openai.OpenAIError:  # noqa: PERF203 - a fallback loop
                continue
        return clock() - started


def alive_growth(rounds: int, calls: int, alive: int = 300) -> Figure:
    """Return how much dearer a run is while many others are open, as a ratio.

    Args:
        rounds: How many.
        calls: Runs per round.
        alive: How many others.
    """
    case, ours = success(), Ours()
    few: list[float] = []
    many: list[float] = []
    with ours:
        tracer = ours.telemetry.traces.get_tracer("application")

        def crowded() -> None:
            opened = [left_open(tracer) for _ in range(alive)]
            gc.collect()
            timed(partial(ours.run, case), calls // 4)
            many.append(timed(partial(ours.run, case), calls))
            for context, stack in opened:
                context.run(stack.close)

        def alone() -> None:
            gc.collect()
            timed(partial(ours.run, case), calls // 4)
            few.append(timed(partial(ours.run, case), calls))

        settle()
        for number in range(rounds):
            for measure in (crowded, alone) if number % 2 else (alone, crowded):
                measure()
    ours.telemetry.shutdown()
    return paired(many, few, float.__truediv__)


def left_open(tracer: Tracer) -> tuple[contextvars.Context, ExitStack]:
    """Open a request's span, a run and an attempt in a context of their own.

    Args:
        tracer: Of the request's span.

    Returns:
        The context, and what closes all of it inside.
    """
    context, stack = contextvars.copy_context(), ExitStack()

    def enter() -> None:
        stack.enter_context(tracer.start_as_current_span("GET /answer"))
        run = stack.enter_context(failover_run("chat", chain=CHAIN))
        stack.enter_context(run.attempt(FIRST))

    context.run(enter)
    return context, stack


# --- memory -----------------------------------------------------------------------------------------------------------


def memory(runs: int) -> dict[str, float]:
    """Return how much memory a run leaves behind, in bytes per run, once caches and queues are full.

    A quarter each succeeds, is refused, is a stream, and is an incident.

    Args:
        runs: How many, after a third as many to warm up.

    Returns:
        `traced`: what Python objects keep (tracemalloc); `resident`: what the process keeps, 0 where it cannot be told.
    """
    good, bad, long, quiet = success(), refused(), stream(), silent()
    ours = Ours()
    tasks = (
        lambda: ours.run(good),
        lambda: ours.run(bad),
        lambda: ours.run(long),
        lambda: two_failures(bad, quiet, stale=True),
    )

    def work(count: int) -> tuple[float, float]:
        for number in range(count):
            tasks[number % len(tasks)]()
        ours.telemetry.traces.force_flush()
        gc.collect()
        return tracemalloc.get_traced_memory()[0], _resident()

    with ours:
        tracemalloc.start()
        traced, resident = work(max(8, runs // 3))
        traced_after, resident_after = work(runs)
        tracemalloc.stop()
    ours.telemetry.shutdown()
    return {"traced": (traced_after - traced) / runs, "resident": (resident_after - resident) / runs}


def _resident() -> float:
    """Return the process's resident memory in bytes, 0 where the platform has no /proc."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0.0
    return float(pages) * os.sysconf("SC_PAGE_SIZE")
