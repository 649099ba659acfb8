"""Measure what the instrumentation costs, in one run, beside others; count what it executes.

    python bench/overhead.py [--quick] [--gate] [--json FILE] [--docs] [--rounds N]

Every contender has a process of its own, and takes its turn in short blocks; of many the cheapest counts, in CPU time.
`added` is what a contender costs beyond the bare SDK. Ratios hold on any machine, microseconds on this one. Times never
fail anything: `--gate` counts what is executed, which no other job on the machine can change. A contender that does not
make the spans that it should ends the benchmark, and so does any failure of ours.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import claims, counted, micro, scale, side_by_side, starting
from bench.contenders import CONTENDERS, Contender, assert_same_names
from bench.limits import TIMED
from bench.peers import AGENTS, PEERS
from bench.stage import RECORDING, SAMPLED_OUT, WITHOUT_SDK, cases

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.side_by_side import Row

PACKAGES: Final = (
    "openai",
    "opentelemetry-sdk",
    "wrapt",
    "opentelemetry-instrumentation-genai-openai",
    "openinference-instrumentation-openai",
    "opentelemetry-instrumentation-openai",
    "logfire",
    "langfuse",
    "pydantic-ai-slim",
)
SHOWN: Final = {"success": "answered", "429": "429", "stream": "stream"}
"""Cases that stand in the limits, and what they are called there."""


@dataclass(frozen=True)
class Line:
    """One line of what times are held against.

    Args:
        what: In words.
        limit: What is wanted.
        measured: What was measured.
        unit: Of the numbers.
        note: What else is worth knowing.
    """

    what: str
    limit: float
    measured: float
    unit: str = ""
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is within the limit."""
        return self.measured <= self.limit


# --- times ------------------------------------------------------------------------------------------------------------


def lines(table: Sequence[Row], small: dict[str, Any]) -> list[Line]:
    """Hold what was measured against what is wanted, in the order of `limits.TIMED`.

    Args:
        table: The contenders.
        small: What `measure_small` returned.
    """
    found = _of_calls(table) | _of_small(small)
    return [Line(what, limit, found[what], unit) for what, (limit, unit) in TIMED.items() if what in found]


def _of_calls(table: Sequence[Row]) -> dict[str, float]:
    found = {}
    of = {(row.contender, row.case, row.kind): row for row in table}
    for case, shown in SHOWN.items():
        run, call = of["ours", case, RECORDING], of["ours_outside", case, RECORDING]
        assert run.by_hand is not None
        assert call.genai is not None
        found[f"a run / by hand, {shown}"] = run.by_hand.median
        found[f"one call / genai-openai's, {shown}"] = call.genai.median
        for kind in (SAMPLED_OUT, WITHOUT_SDK):
            if (other := of.get(("ours", case, kind))) is not None:
                found[f"{kind} / recorded, {shown}"] = other.added.median / run.added.median
    return found


def _of_small(small: dict[str, Any]) -> dict[str, float]:
    chain, crowd, tasks, threads = (small[name] for name in ("chain", "crowds", "tasks", "threads"))
    most, alone = max(threads), min(threads)
    crowded = crowd[-1]
    return {
        "a mismatch, above an honest one": small["mismatch"].median,
        "a foreign span outside": small["foreign"]["outside"].median,
        "a foreign span inside an attempt": small["foreign"]["inside"].median,
        "a stream, per chunk": small["chunk"]["added"].median,
        "an attempt in the longest chain / in the shortest": chain[max(chain)].median / chain[min(chain)].median,
        "a run beside many open requests / alone": crowded.run / crowded.run_alone,
        "a foreign span beside many open requests / alone": crowded.foreign / crowded.foreign_alone,
        "a call in many tasks at once, added / added alone": _added(tasks[max(tasks)]) / _added(tasks[min(tasks)]),
        "a call in 16 threads, added / added in one": _added(threads[most]) / _added(threads[alone]),
        "memory kept per run": small["memory"]["traced"],
        "our import, beyond OpenTelemetry's": small["import"].milliseconds,
        "otel-failover --help": small["command"].milliseconds,
    }


def _added(took: dict[str, float]) -> float:
    """Return what ours adds, where noise may have left nothing."""
    return max(1.0, took["ours"] - took[Contender.name])


def measure_small(*, quick: bool) -> dict[str, Any]:
    """Return the figures that stand beside the contenders.

    Args:
        quick: Fewer rounds, fewer at once.
    """
    rounds = 4 if quick else 40
    return {
        "foreign": micro.foreign_spans(rounds, 500),
        "mismatch": micro.mismatch(rounds, 10),
        "chunk": micro.per_chunk(rounds, 2),
        "chain": micro.chain_growth(2 if quick else 4, micro.LENGTHS[:2] if quick else micro.LENGTHS),
        "crowds": [scale.open_requests(count) for count in ((300,) if quick else (100, 1_000, 10_000))],
        "tasks": {count: scale.tasks(count) for count in ((1, 100) if quick else (1, 100, 1_000, 10_000))},
        "threads": scale.threads(16, 160 if quick else 800),
        "import": starting.importing(2 if quick else 8),
        "command": starting.command(1 if quick else 5),
        "memory": micro.memory(200 if quick else 1600),
    }


# --- showing ----------------------------------------------------------------------------------------------------------


def show(table: Sequence[Row], held: Sequence[Line]) -> None:
    """Print the table, then what times are held against.

    Args:
        table: The contenders.
        held: The limits.
    """
    for name, text in says().items():
        print(f"{name:<13} {text}")
    print(f"\n{'case':<18} {'contender':<26} {'us':>6}  {'added us':<20} {'/ by_hand':<19} {'/ genai_openai':<19}")
    for row in table:
        bare = row.contender in (Contender.name, "agent")
        ratios = ["" if each is None else f"{each:.2f}" for each in (row.by_hand, row.genai)]
        shown = "" if bare else f"{f'{row.added:.0f}':<20} {ratios[0]:<19} {ratios[1]:<19}"
        who = row.contender if row.kind == RECORDING else f"{row.contender}, {row.kind}"
        print(f"{row.case:<18} {who:<26} {row.total.median:>6.0f}  {shown}".rstrip())
    print(f"\n{'times: none of them fails anything':<52} {'limit':>8} {'measured':>9}")
    for line in held:
        verdict = "ok" if line.ok else "over"
        print(f"{line.what:<52} {line.limit:>5g} {line.unit:<2} {line.measured:>6.2f} {line.unit:<2} {verdict}")


def show_gates(gates: Sequence[counted.Gate]) -> None:
    """Print what was counted.

    Args:
        gates: What must hold.
    """
    print(f"\n{'counted':<62} {'goal':>8} {'gate':>8} {'counted':>10}")
    for gate in gates:
        verdict = "ok" if gate.ok else "OVER"
        print(f"{gate.what:<62} {gate.goal:>8g} {gate.gate:>8g} {gate.measured:>10.2f} {verdict}")


def says() -> dict[str, str]:
    """Return what each contender is, by its name."""
    return {make.name: make.says for make in (*CONTENDERS, *PEERS, *AGENTS)}


def as_json(table: Sequence[Row], held: Sequence[Line], small: dict[str, Any], gates: Sequence[counted.Gate]) -> str:
    """Return everything as JSON.

    Args:
        table: The contenders.
        held: The limits on times.
        small: What `measure_small` returned.
        gates: What was counted.
    """
    scaled = {name: small.get(name) for name in ("chain", "crowds", "tasks", "threads")}
    found = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[2]),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "contenders": says(),
        "calls": [asdict(row) for row in table],
        "times": [{**asdict(line), "ok": line.ok} for line in held],
        "counted": [{**asdict(gate), "ok": gate.ok} for gate in gates],
        "scale": scaled,
    }
    return json.dumps(found, indent=1, default=asdict) + "\n"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and say whether the gate is passed.

    Args:
        arguments: Of the command line.

    Returns:
        1 where a contender is broken, or `--gate` is given and more is executed than may be.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="blocks of each contender in each case")
    parser.add_argument("--quick", action="store_true", help="a rougher answer, sooner, without peers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--gate", action="store_true", help="count what is executed too; exit 1 where it is too much")
    parser.add_argument("--docs", action="store_true", help="write the figures, tables and plots of docs/cost.md")
    given = parser.parse_args(arguments)
    with quiet():
        try:
            return _measured(given)
        except claims.Broken as problem:
            print(f"BROKEN: {problem}")
            return 1


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
    assert_same_names(cases())
    found = side_by_side.measure(side_by_side.parts(quick=given.quick), given.rounds or (10 if given.quick else 60))
    table, small = side_by_side.rows(found), measure_small(quick=given.quick)
    claims.assert_no_failures("what is measured")
    held = lines(table, small)
    show(table, held)
    gates = counted.gates() if given.gate or given.docs else []
    show_gates(gates)
    if given.json is not None:
        given.json.write_text(as_json(table, held, small, gates), encoding="utf-8")
    if given.docs:
        from bench.docs import page

        page.write(as_json(table, held, small, gates))
    return 0 if all(gate.ok for gate in gates) or not given.gate else 1


if __name__ == "__main__":
    sys.exit(main())
