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

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider

import otel_failover
from bench import micro
from bench.contenders import CONTENDERS, Contender, GenAIContender, Ours, OursBare, OursOutside, two_failures
from bench.stage import CHAIN, FIRST, cases, refused, refused_anew, silent, stream, success
from otel_failover import FailoverInstrumentor, failover_run

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
        measured: Instructions over instructions, unless `what` says otherwise.
        gate: What it was when it was last looked at, and about a sixth more.
    """

    what: str
    measured: float
    gate: float

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
            for case in cases():
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


class _SampledOut(Ours):
    """A run whose spans are all sampled out."""

    name = "sampled_out"
    says = "the same, all sampled out"

    def __init__(self) -> None:
        super().__init__()
        self.telemetry.traces.sampler = ALWAYS_OFF


class _WithoutSDK(Ours):
    """A run where OpenTelemetry has no SDK."""

    name = "without_sdk"
    says = "the same, without an SDK"

    def put_on(self) -> None:
        """Instrument."""
        FailoverInstrumentor().instrument(tracer_provider=NoOpTracerProvider(), meter_provider=NoOpMeterProvider())


@dataclass(frozen=True)
class Work:
    """What one run makes us do.

    Args:
        kind: Of run.
        calls: Functions of this package that are entered.
        executed: Instructions beyond the bare SDK's.
    """

    kind: str
    calls: float
    executed: float


def work() -> list[Work]:
    """Count what each kind of run makes us do."""
    asked = (success(), refused(), refused_anew(), stream())
    bare = Contender()
    with bare:
        without = {case.name: usual(partial(bare.run, case)) for case in asked}
    bare.telemetry.shutdown()
    found = []
    for make in (Ours, OursBare, OursOutside, _SampledOut, _WithoutSDK):
        with make() as contender:
            for case in asked:
                task = partial(contender.run, case)
                found.append(Work(f"{make.name}: {case.name}", usual(task, calls), usual(task) - without[case.name]))
        contender.telemetry.shutdown()
    first, second = refused(), silent()
    with Ours() as ours:
        for kind, stale in (("two failures", False), ("a mismatch", True)):
            task = partial(two_failures, first, second, stale=stale)
            found.append(Work(kind, usual(task, calls), usual(task)))
    ours.telemetry.shutdown()
    return found


# --- the gate ---------------------------------------------------------------------------------------------------------


def gates() -> list[Gate]:
    """Count everything and hold it against what it may be."""
    added = per_case()
    by_hand, genai, ours = "by_hand", GenAIContender.name, Ours.name
    unit = added["success"][by_hand]
    outside, inside = foreign_span()
    allowed = {"success": (1.6, 1.6), "429": (1.85, 3.5), "stream": (1.85, 0.52)}
    return [
        *(
            Gate(f"{case}: run, candidate and call / by hand", added[case][ours] / added[case][by_hand], most)
            for case, (most, _) in allowed.items()
        ),
        *(
            Gate(f"{case}: the same / genai-openai's one span", added[case][ours] / added[case][genai], most)
            for case, (_, most) in allowed.items()
        ),
        Gate("a mismatch, above an honest one / a success by hand", mismatch() / unit, 1.8),
        Gate("a foreign span outside, instructions", outside, 180),
        Gate("a foreign span inside an attempt, instructions", inside, 950),
        Gate("a stream, per chunk / the bare SDK's", per_chunk(), 0.02),
        Gate("one more attempt in a chain of 180 / of 2", growth(micro.tried), 1.05),
        Gate("one more bare call in a chain of 180 / of 2", growth(tried_bare), 1.05),
        Gate("a run while 300 others are open / alone", crowded(), 1.1),
    ]


if __name__ == "__main__":
    for each in work():
        print(f"{each.kind:<24} {each.calls:>6.0f} calls {each.executed:>8.0f} instructions")
