"""What `docs/cost.md` and the README say in figures: made of the file that the benchmark wrote, and of nothing else.

    python bench/docs/page.py

A text stands between two comments, `<!-- name -->` and `<!-- /name -->`; what stands around it is written by hand.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

FIGURES: Final = ROOT / "docs" / "assets" / "cost" / "figures.json"
PAGES: Final = (ROOT / "docs" / "cost.md", ROOT / "README.md")
WHO: Final = {
    "nothing": "bare SDK",
    "agent": "uninstrumented",
    "one_span": "one span by hand",
    "by_hand": "the same spans and metrics, by hand",
    "genai_openai": "genai-openai, one span and metrics",
    "openinference": "OpenInference, one span",
    "openllmetry": "OpenLLMetry, one span and metrics",
    "logfire": "Logfire, one span",
    "langfuse": "Langfuse, one span",
    "agent_own": "pydantic-ai's own instrumentation",
    "agent_ours": "ours, a declared run",
    "ours": "ours, `run.attempt`",
    "ours_bare": "ours, a bare call in a run",
    "ours_outside": "ours, one call, one span",
}
"""In the order of the tables."""
CASES: Final = {
    "success": "answered",
    "429": "429",
    "stream": "stream",
    "by wire": "by wire, answered",
    "in turn": "two in turn, without a line",
    "agent: answered": "agent, first model answers",
    "agent: two refused": "agent, third model answers",
}


def blocks(figures: dict[str, Any]) -> dict[str, str]:
    """Return each text by its name.

    Args:
        figures: What the benchmark wrote.
    """
    return {
        "lead": _lead(figures),
        "how": _how(figures),
        "calls": _calls(figures),
        "agents": _agents(figures),
        "times": _times(figures),
        "counted": _counted(figures),
        "scale": _scale(figures),
        "cost": _readme(figures),
    }


def rewritten(text: str, figures: dict[str, Any]) -> str:
    """Return a page with its texts made anew.

    Args:
        text: The page.
        figures: What the benchmark wrote.
    """
    for name, block in blocks(figures).items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        text = re.sub(f"{begin}.*?{end}", (begin + block + end).replace("\\", r"\\"), text, flags=re.DOTALL)
    return text


def write(figures: str) -> None:
    """Keep the figures, and make of them the plots and the pages.

    Args:
        figures: As JSON.
    """
    from bench.docs import plots

    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(figures, encoding="utf-8")
    read = json.loads(figures)
    for name, drawn in plots.drawn(read).items():
        (FIGURES.parent / name).write_text(drawn, encoding="utf-8")
    for path in PAGES:
        path.write_text(rewritten(path.read_text(encoding="utf-8"), read), encoding="utf-8")


# --- sentences --------------------------------------------------------------------------------------------------------


def _row(figures: dict[str, Any], who: str, case: str, kind: str = "recording") -> dict[str, Any]:
    (found,) = [
        row for row in figures["calls"] if (row["contender"], row["case"], row["kind"]) == (who, case, kind)
    ]  # fmt: skip
    return dict(found)


def _time(figures: dict[str, Any], what: str) -> float:
    (found,) = [line["measured"] for line in figures["times"] if line["what"] == what]
    return float(found)


def _milliseconds(figures: dict[str, Any], who: str, case: str) -> str:
    return f"{_row(figures, who, case)['added']['median'] / 1000:.2f} ms"


def _lead(figures: dict[str, Any]) -> str:
    by_hand = _row(figures, "ours", "success")["by_hand"]["median"]
    genai = _row(figures, "ours_outside", "success")["genai"]["median"]
    imported = _time(figures, "our import, beyond OpenTelemetry's")
    return _filled(
        f"A run with one attempt adds about {_milliseconds(figures, 'ours', 'success')} of CPU time to an answered "
        f"call, {by_hand:.2f} times what the same spans and metrics cost when written by hand. One call outside any "
        f"run adds {_milliseconds(figures, 'ours_outside', 'success')}, {genai:.2f} times what OpenTelemetry's own "
        f"OpenAI instrumentation adds for its span and metrics. Importing it adds {imported:.1f} ms to OpenTelemetry's "
        "own import."
    )


def _readme(figures: dict[str, Any]) -> str:
    by_hand = _row(figures, "ours", "success")["by_hand"]["median"]
    imported = _time(figures, "our import, beyond OpenTelemetry's")
    return (
        f"A run with one attempt adds about **{_milliseconds(figures, 'ours', 'success')}** of CPU time to an answered "
        f"call, {by_hand:.2f} times what\nthe same spans and metrics cost when written by hand. Its import adds "
        f"**{imported:.1f} ms** to OpenTelemetry's own."
    )


def _how(figures: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in figures["versions"].items())
    return _filled(
        f"Measured with CPython {figures['python']} on {figures['cores']} cores, beside other work (a load average of "
        f"{figures['load']}), and {versions}."
    )


def _agents(figures: dict[str, Any]) -> str:
    if not any(row["contender"] == "agent_own" for row in figures["calls"]):
        return "\n"
    plot = "![What is added to an agent's fallback of three models](assets/cost/agents.svg)"
    what = (
        "pydantic-ai's `FallbackModel` of three OpenAI models, asked by an agent: what its own instrumentation adds, "
        "and what ours does."
    )
    return f"\n## Agents\n{_filled(what)}\n{plot}\n\n"


def _filled(text: str) -> str:
    return "\n" + textwrap.fill(text, 118, break_on_hyphens=False) + "\n"


# --- tables -----------------------------------------------------------------------------------------------------------


def _figure(found: dict[str, float] | None, digits: int) -> str:
    if found is None:
        return ""
    return f"{found['median']:.{digits}f} [{found['low']:.{digits}f}, {found['high']:.{digits}f}]"


def _table(head: str, align: str, cells: list[list[str]]) -> str:
    return "\n".join(["", "", head, align, *(f"| {' | '.join(row)} |" for row in cells), "", ""])


def _calls(figures: dict[str, Any]) -> str:
    order = [*WHO]
    cells = []
    for case, shown in CASES.items():
        found = [row for row in figures["calls"] if row["case"] == case]
        kinds = ["recording", "sampled out", "no SDK"]
        for row in sorted(found, key=lambda row: (kinds.index(row["kind"]), order.index(row["contender"]))):
            who = WHO[row["contender"]] + ("" if row["kind"] == "recording" else f"; {row['kind']}")
            bare = row["contender"] in ("nothing", "agent")
            added = "" if bare else _figure(row["added"], 0)
            ratios = ["" if row[name] is None else f"{row[name]['median']:.2f}" for name in ("by_hand", "genai")]
            cells.append([shown, who, f"{row['total']['median']:.0f}", added, *ratios])
    head = "| case | who | µs | added µs | / by hand | / genai-openai |"
    return _table(head, "|---|---|---:|---:|---:|---:|", cells)


def _times(figures: dict[str, Any]) -> str:
    cells = [
        [line["what"], _with(line["measured"], line["unit"]), _with(line["limit"], line["unit"])]
        for line in figures["times"]
    ]
    return _table("| figure | measured | wanted |", "|---|---:|---:|", cells)


def _counted(figures: dict[str, Any]) -> str:
    cells = [
        [gate["what"], _with(gate["measured"], gate["unit"]), _with(gate["goal"], gate["unit"])]
        for gate in figures["counted"]
    ]
    return _table("| counted | found | goal |", "|---|---:|---:|", cells)


def _with(number: float, unit: str) -> str:
    return f"{_short(number)} {unit}".rstrip()


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.2f}"


def _scale(figures: dict[str, Any]) -> str:
    scale = figures["scale"]
    cells = [
        [f"one attempt in a chain of {int(length):,}", f"{took['median']:.0f}", ""]
        for length, took in scale["chain"].items()
    ]
    for crowd in scale["crowds"]:
        beside = f"beside {crowd['open']:,} open requests"
        cells.append([f"a run {beside}; alone", f"{crowd['run']:.0f}", f"{crowd['run_alone']:.0f}"])
        cells.append([f"a foreign span {beside}; alone", f"{crowd['foreign']:.1f}", f"{crowd['foreign_alone']:.1f}"])
    for name, one in (("tasks", "task"), ("threads", "thread")):
        for count, took in scale[name].items():
            what = f"a call in {int(count):,} {one if int(count) == 1 else name} at once; of the bare SDK"
            cells.append([what, f"{took['ours']:.0f}", f"{took['nothing']:.0f}"])
    return _table("| what | µs | beside it, µs |", "|---|---:|---:|", cells)


if __name__ == "__main__":
    write(FIGURES.read_text(encoding="utf-8"))
