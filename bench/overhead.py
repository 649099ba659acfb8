"""Measure what the instrumentation costs, in one run, against others that are put on and taken off in the same process.

    python bench/overhead.py [--rounds N] [--calls N] [--runs N] [--quick] [--json FILE] [--gate]

Each round measures every contender in a new order; what is shown are medians of differences within a round, with their
quartiles. `added` is what a contender costs beyond the bare SDK. Ratios hold on any machine, microseconds on this one.
Times never fail anything: `--gate` counts what is executed, which no other job on the machine can change.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import random
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import counted, micro
from bench.contenders import CONTENDERS, Contender, assert_same_names
from bench.figures import Figure, paired, settle, timed
from bench.stage import Case, cases

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PACKAGES: Final = (
    "openai",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-genai-openai",
    "wrapt",
)
_WARMING: Final = 10
"""Calls before each measurement: wrappers that were just put on are slow until the interpreter has specialised them."""

Columns = dict[str, list[float]]


@dataclass(frozen=True)
class Line:
    """One line of the budget.

    Args:
        what: In words.
        limit: What is allowed.
        measured: What was measured.
        unit: Of the numbers.
        note: Quartiles, or what else is worth knowing.
    """

    what: str
    limit: float
    measured: float
    unit: str = ""
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is within the budget."""
        return self.measured <= self.limit


# --- measuring --------------------------------------------------------------------------------------------------------


def measure(asked: Sequence[Case], rounds: int, calls: int) -> dict[str, dict[str, list[float]]]:
    """Return microseconds per call, by case and contender, one number per round.

    Args:
        asked: The cases.
        rounds: How many; one more warms up.
        calls: Per contender, case and round; streams take half as many.
    """
    contenders = [make() for make in CONTENDERS]
    found: dict[str, Columns] = {case.name: {each.name: [] for each in contenders} for case in asked}
    for number in range(rounds + 1):
        random.shuffle(contenders)
        for contender in contenders:
            with contender:
                for case in asked:
                    count = max(1, calls // 2 if case.streamed else calls)
                    task = partial(contender.run, case)
                    timed(task, min(count, _WARMING))
                    took = timed(task, count)
                    if number:
                        found[case.name][contender.name].append(took)
        if not number:
            settle()
    for contender in contenders:
        contender.telemetry.shutdown()
    return found


@dataclass(frozen=True)
class Row:
    """One contender in one case.

    Args:
        case: Which.
        contender: Who.
        total: Microseconds per call.
        added: Microseconds beyond the bare SDK.
        by_hand: `added` over the hand-written equivalent's.
        genai: `added` over genai-openai's.
    """

    case: str
    contender: str
    total: Figure
    added: Figure
    by_hand: Figure
    genai: Figure


def rows(found: dict[str, dict[str, list[float]]]) -> list[Row]:
    """Return the table's rows.

    Args:
        found: As measured.
    """
    made = []
    for case, columns in found.items():
        base = columns[Contender.name]
        added = {who: [one - bare for one, bare in zip(took, base, strict=True)] for who, took in columns.items()}
        for make in CONTENDERS:
            who = make.name
            zero = [0.0] * len(base)
            made.append(
                Row(
                    case,
                    who,
                    paired(columns[who], zero),
                    paired(added[who], zero),
                    paired(added[who], added["by_hand"], _over),
                    paired(added[who], added["genai_openai"], _over),
                )
            )
    return made


def _over(one: float, other: float) -> float:
    """Divide, where noise may have left nothing to divide by."""
    return one / other if other > 1.0 else one


# --- the budget -------------------------------------------------------------------------------------------------------


def budget(table: list[Row], small: dict[str, Any]) -> list[Line]:
    """Hold what was measured against the budget.

    Args:
        table: The contenders.
        small: What `measure_small` returned.
    """
    ours = {row.case: row for row in table if row.contender == "ours"}
    lines = [
        Line(f"{case}: run, candidate and call / by hand", 1.2, row.by_hand.median, "x", f"{row.by_hand:.2f}")
        for case, row in ours.items()
    ]
    lines += [
        Line(f"{case}: the same / genai-openai's one span", 1.5, row.genai.median, "x", f"{row.genai:.2f}")
        for case, row in ours.items()
    ]
    foreign, chunk, growth = small["foreign"], small["chunk"], small["growth"]
    shortest, longest = min(growth), max(growth)
    shown = ", ".join(f"{length}: {each.median:.0f} us" for length, each in growth.items())
    beyond, imported = small["import"]
    memory = small["memory"]
    return [
        *lines,
        Line("a mismatch, above an honest one", 200, small["mismatch"].median, "us", f"{small['mismatch']:.0f}"),
        Line("a foreign span outside", 1.5, foreign["outside"].median, "us", f"{foreign['outside']:.2f}"),
        Line("a foreign span inside an attempt", 1.5, foreign["inside"].median, "us", f"{foreign['inside']:.2f}"),
        Line(
            "a stream, per chunk", 2, chunk["share"].median * 100, "%",
            f"{chunk['added'].median:.2f} us on {chunk['bare'].median:.1f} us",
        ),
        Line(
            f"an attempt in a chain of {longest} / of {shortest}", 1.15,
            growth[longest].median / growth[shortest].median, "x", shown,
        ),
        Line("a run while 300 others are open", 1.1, small["alive"].median, "x", f"{small['alive']:.2f}"),
        Line(
            "memory kept per run", 64, memory["traced"], "B", f"resident {memory['resident']:.0f} B",
        ),
        Line("import, beyond OpenTelemetry's", 15, beyond, "ms"),
        Line("SDKs imported", 0, len(imported), "", ", ".join(imported)),
    ]  # fmt: skip


def measure_small(*, quick: bool, runs: int) -> dict[str, Any]:
    """Return the figures that stand beside the contenders.

    Args:
        quick: Fewer rounds.
        runs: For memory.
    """
    rounds = 6 if quick else 40
    return {
        "foreign": micro.foreign_spans(rounds, 1000),
        "mismatch": micro.mismatch(rounds, 10),
        "chunk": micro.per_chunk(rounds, 2),
        "growth": micro.chain_growth(3 if quick else 8),
        "alive": micro.alive_growth(rounds // 2, 20),
        "import": micro.import_time(3 if quick else 5),
        "memory": micro.memory(runs),
    }


# --- showing ----------------------------------------------------------------------------------------------------------


def show(table: list[Row], lines: list[Line]) -> None:
    """Print the table, then the budget.

    Args:
        table: The contenders.
        lines: The budget.
    """
    says = {make.name: make.says for make in CONTENDERS}
    for name, text in says.items():
        print(f"{name:<13} {text}")
    print(f"\n{'case':<8} {'contender':<13} {'us':>6}  {'added us':<20} {'/ by_hand':<19} {'/ genai_openai':<19}")
    for row in table:
        bare = row.contender == Contender.name
        ratios = "" if bare else f"{f'{row.added:.0f}':<20} {f'{row.by_hand:.2f}':<19} {f'{row.genai:.2f}':<19}"
        print(f"{row.case:<8} {row.contender:<13} {row.total.median:>6.0f}  {ratios}".rstrip())
    print(f"\n{'budget':<46} {'limit':>8} {'measured':>9}")
    for line in lines:
        verdict = "ok" if line.ok else "OVER"
        figures = f"{line.limit:>5g} {line.unit:<2} {line.measured:>6.2f} {line.unit:<2}"
        print(f"{line.what:<46} {figures} {verdict:<4} {line.note}".rstrip())


def show_gates(gates: Sequence[counted.Gate]) -> None:
    """Print what was counted.

    Args:
        gates: What must hold.
    """
    print(f"\n{'bytecode instructions, counted':<54} {'gate':>6} {'counted':>9}")
    for gate in gates:
        print(f"{gate.what:<54} {gate.gate:>6g} {gate.measured:>9.2f} {'ok' if gate.ok else 'OVER'}")


def as_json(table: list[Row], lines: list[Line]) -> str:
    """Return everything as JSON.

    Args:
        table: The contenders.
        lines: The budget.
    """
    versions = {package: version(package) for package in _PACKAGES}
    found = {
        "python": platform.python_version(),
        "versions": versions,
        "contenders": [asdict(row) for row in table],
        "budget": [{**asdict(line), "ok": line.ok} for line in lines],
    }
    return json.dumps(found, indent=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and say whether the gate is passed.

    Args:
        arguments: Of the command line.

    Returns:
        1 where `--gate` is given and more is executed than may be.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="rounds of all contenders")
    parser.add_argument("--calls", type=int, help="calls per contender, case and round")
    parser.add_argument("--runs", type=int, help="runs of the memory measurement")
    parser.add_argument("--quick", action="store_true", help="a rougher answer in a quarter of the time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--gate", action="store_true", help="count what is executed too; exit 1 where it is too much")
    given = parser.parse_args(arguments)
    with quiet():
        return _measured(given)


@contextmanager
def quiet() -> Iterator[None]:
    """Let no warning of ours stand in the measured time: findings and mismatches are meant here."""
    logger = logging.getLogger("otel_failover")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _measured(given: argparse.Namespace) -> int:
    asked = cases()
    assert_same_names(asked)
    rounds, calls, runs = (8, 12, 400) if given.quick else (26, 32, 1600)
    table = rows(measure(asked, given.rounds or rounds, given.calls or calls))
    small = measure_small(quick=given.quick, runs=given.runs or runs)
    lines = budget(table, small)
    show(table, lines)
    if given.json is not None:
        given.json.write_text(as_json(table, lines), encoding="utf-8")
    if not given.gate:
        return 0
    gates = counted.gates()
    show_gates(gates)
    return 0 if all(gate.ok for gate in gates) else 1


if __name__ == "__main__":
    sys.exit(main())
