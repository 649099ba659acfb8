"""What is executed, counted: bytecode instructions of the calling thread, the same on a busy machine as on an idle one.

Times are what users pay and are shown for that; these are what a gate can be built on. An instruction that calls into C
counts as one, however long it takes, so both are needed.
"""

from __future__ import annotations

import gc
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import otel_failover
from bench import claims, micro, scale, starting
from bench.contenders import CONTENDERS, Contender, GenAIContender, Ours, OursBare, OursOutside, two_failures
from bench.limits import COUNTED
from bench.stage import (
    CHAIN,
    FIRST,
    RECORDING,
    SAMPLED_OUT,
    WITHOUT_SDK,
    by_wire,
    cases,
    in_turn,
    refused,
    silent,
    stream,
    success,
)
from otel_failover import failover_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from bench.stage import Case
    from otel_failover import Candidate

_WARMING: Final = 5
_TIMES: Final = 5
"""Of each count the middle is taken: a finaliser of earlier garbage may run within one of them."""


@dataclass(frozen=True)
class Gate:
    """A figure that must not be exceeded.

    Args:
        what: In words.
        measured: What was counted.
        gate: What it may be.
        goal: Where it is to come down to.
        unit: Of all three.
    """

    what: str
    measured: float
    gate: float
    goal: float
    unit: str = ""

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return self.measured <= self.gate


def executed(task: Callable[[], object]) -> int:
    """Return how many bytecode instructions one call executes in this thread, whatever it calls included.

    The first time that a function is traced, Python 3.13 counts too few.

    Args:
        task: What to call.
    """
    found = 0

    def inside(_frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal found
        if event == "opcode":
            found += 1
        return inside

    def entered(frame: FrameType, _event: str, _arg: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return inside

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        task()
    finally:
        sys.settrace(before)
    return found


def usual(task: Callable[[], object], count: Callable[[Callable[[], object]], float] = executed) -> float:
    """Return the median of some counts, once what is cached is cached.

    Args:
        task: What to call.
        count: Counts what one call does.
    """
    for _ in range(_WARMING):
        task()
    gc.collect()
    return statistics.median(count(task) for _ in range(_TIMES))


_OURS: Final = str(Path(otel_failover.__file__).parent)


def entered(task: Callable[[], object]) -> list[str]:
    """Return the functions of this package that one call enters in this thread, in order, each as `file:function`.

    A generator counts each time that it is resumed; before Python 3.12 a comprehension is a function, too.

    Args:
        task: What to call.
    """
    found: list[str] = []

    def called(frame: FrameType, event: str, _arg: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_OURS):
            name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)
            found.append(f"{frame.f_code.co_filename[len(_OURS) + 1 :]}:{name}")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        task()
    finally:
        sys.setprofile(before)
    return found


def calls(task: Callable[[], object]) -> int:
    """Return how many functions of this package one call enters in this thread.

    Args:
        task: What to call.
    """
    return len(entered(task))


# --- what is counted --------------------------------------------------------------------------------------------------


def per_case() -> dict[str, dict[str, float]]:
    """Return the instructions of one call by case and contender, those of the bare SDK taken off."""
    found: dict[str, dict[str, float]] = {case.name: {} for case in cases()}
    for make in CONTENDERS:
        with make() as contender:
            for case in (success(), stream(), refused()):  # what refuses last: see `work`
                found[case.name][make.name] = usual(partial(contender.run, case))
        contender.telemetry.shutdown()
    return {
        case: {who: count - counts[Contender.name] for who, count in counts.items()} for case, counts in found.items()
    }


def mismatch() -> float:
    """Return what a mismatch executes above the same two failures told honestly."""
    first, second = refused(), silent()
    with Ours() as ours:
        honest, stale = (usual(partial(two_failures, first, second, stale=each)) for each in (False, True))
    ours.telemetry.shutdown()
    return stale - honest


def per_chunk() -> float:
    """Return what we execute for one chunk of a stream, over what the bare SDK does."""
    short, long = 10, 60
    found = []
    for contender in (Contender(), Ours()):
        with contender:
            counts = {chunks: usual(partial(contender.run, stream(chunks))) for chunks in (short, long)}
        contender.telemetry.shutdown()
        found.append((counts[long] - counts[short]) / (long - short))
    bare, ours = found
    return ours / bare - 1


def foreign_span() -> tuple[float, float]:
    """Return what our processor executes for a span in which there is nothing to judge: outside, and in an attempt."""
    with Contender() as plain, Ours() as ours:
        bare, watched = (micro.spanning(each.telemetry.traces.get_tracer("application")) for each in (plain, ours))
        without, outside = usual(bare), usual(watched)
        with failover_run("chat", chain=CHAIN) as run, run.attempt(FIRST):
            inside = usual(watched)
    for each in (plain, ours):
        each.telemetry.shutdown()
    return outside - without, inside - without


def growth(attempt: Callable[[Sequence[Candidate], Sequence[Case]], object]) -> float:
    """Return what one more attempt executes in a long chain, over what it does in a short one; all attempts fail.

    Args:
        attempt: Asks all of a chain.
    """
    lengths = few, more, many, most = 2, 22, 180, 200
    chain, refusals = micro.refusing_chain(most)
    with Ours() as ours:
        for _ in range(2):  # the first time that a function is traced, Python 3.13 counts it too low
            executed(partial(attempt, chain, refusals))
        counts = {each: executed(partial(attempt, chain[:each], refusals[:each])) for each in lengths}
    ours.telemetry.shutdown()
    return (counts[most] - counts[many]) / (counts[more] - counts[few])


def tried_bare(chain: Sequence[Candidate], refusals: Sequence[Case]) -> None:
    """Ask all of a chain in a run whose attempts are inferred.

    Args:
        chain: The candidates.
        refusals: The calls that ask them.
    """
    with failover_run("chat", chain=chain):
        micro.tried_bare(refusals)


def crowded() -> float:
    """Return what a run executes while 300 others are open, over what it does alone."""
    case, ours = success(), Ours()
    with ours:
        alone = usual(partial(ours.run, case))
        tracer = ours.telemetry.traces.get_tracer("application")
        with ExitStack() as opened:
            for _ in range(300):
                context, stack = micro.left_open(tracer)
                opened.callback(context.run, stack.close)
            found = usual(partial(ours.run, case))
    ours.telemetry.shutdown()
    return found / alone


# --- our own part -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What one run makes us do.

    Args:
        calls: Functions of this package that are entered.
        executed: Instructions beyond the bare SDK's.
    """

    calls: float
    executed: float


def work() -> dict[tuple[str, str], Work]:
    """Return what each kind of run makes us do, by contender and case."""
    found = {}
    makes: list[tuple[type[Ours], str, tuple[Any, ...]]] = [(make, RECORDING, cases()) for make in (Ours, OursBare)]
    # Each that refuses by itself: after a failure outside any run, calls are looked at for an inferred one.
    makes += [(OursOutside, RECORDING, each) for each in ((success(), stream(), by_wire()), (refused(),), (in_turn(),))]
    makes += [(Ours, kind, (success(), refused())) for kind in (SAMPLED_OUT, WITHOUT_SDK)]
    for make, kind, asked in makes:
        with Contender() as bare:
            without = [usual(partial(bare.run, case)) for case in asked]
        bare.telemetry.shutdown()
        with make(kind=kind) as contender:
            for case, base in zip(asked, without, strict=True):
                task = partial(contender.run, case)
                who = make.name if kind == RECORDING else kind
                found[who, case.name] = Work(usual(task, calls), usual(task) - base)
        contender.telemetry.shutdown()
    return found


# --- the gate ---------------------------------------------------------------------------------------------------------

_CASES: Final = {"success": "answered", "429": "429", "stream": "stream"}


def measured() -> dict[str, float]:
    """Count everything that `limits.COUNTED` names, as far as what it takes is installed."""
    added, done = per_case(), work()
    by_hand, genai, ours = "by_hand", GenAIContender.name, Ours.name
    found: dict[str, float] = {}
    for case, shown in _CASES.items():
        found[f"functions entered: a run, {shown}"] = done["ours", case].calls
        found[f"functions entered: one call, {shown}"] = done["ours_outside", case].calls
        found[f"instructions: a run / by hand, {shown}"] = added[case][ours] / added[case][by_hand]
        found[f"instructions: one call / genai-openai's, {shown}"] = added[case]["ours_outside"] / added[case][genai]
        for kind in (SAMPLED_OUT, WITHOUT_SDK) if case != "stream" else ():
            share = done[kind, case].executed / done["ours", case].executed
            found[f"instructions: {kind} / recorded, {shown}"] = share
    outside, inside = foreign_span()
    imported, started = starting.importing(1), starting.command(1)
    return found | {
        "functions entered: a call by wire, answered": done["ours_outside", "by wire"].calls,
        "functions entered: an inferred run of two": done["ours_outside", "in turn"].calls,
        "instructions: a mismatch above an honest one / a run by hand": mismatch() / added["success"][by_hand],
        "instructions: a foreign span outside": outside,
        "instructions: a foreign span inside an attempt": inside,
        "instructions: a stream, per chunk / the bare SDK's": per_chunk(),
        "instructions: one more attempt in a chain of 180 / of 2": growth(micro.tried),
        "instructions: one more bare call in a chain of 180 / of 2": growth(tried_bare),
        "instructions: a run while 300 others are open / alone": crowded(),
        **{f"cyclic objects: {kind}": count for kind, count in scale.cyclic().items()},
        "memory of an open request": scale.open_bytes(500)[ours] / 1024,
        "instructions: our import": imported.executed,
        "modules imported: our import": imported.modules,
        "SDKs imported: our import": len(imported.others),
        "instructions: otel-failover --help": started.executed,
        "modules imported: otel-failover --help": started.modules,
    }


def gates() -> list[Gate]:
    """Count everything and hold it against what it may be, in the order of the table."""
    found = measured()
    claims.assert_no_failures("what is counted")
    return [
        Gate(what, found[what], limit.gate, limit.goal, limit.unit) for what, limit in COUNTED.items() if what in found
    ]
