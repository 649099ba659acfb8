"""The plots of `docs/cost.md`, as SVG that is read on a light and on a dark page alike."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.docs.page import WHO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

INK: Final = "#24292f"
QUIET: Final = "#d0d7de"
OURS: Final = "#0969da"
OTHERS: Final = "#8c959f"
DARK: Final = {INK: "#e6edf3", QUIET: "#3d444d", OURS: "#4493f8", OTHERS: "#9198a1"}
"""What each colour becomes where the reader's page is dark."""
_SIZE: Final = 9
_CALLS: Final = ("by_hand", "one_span", "genai_openai", "openinference", "openllmetry", "logfire", "langfuse")
_STYLE: Final = {
    "svg.fonttype": "none",
    "svg.hashsalt": "otel-failover",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": _SIZE,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": INK,
    "ytick.color": INK,
}


def drawn(figures: dict[str, Any]) -> dict[str, str]:
    """Return every plot by its file's name.

    Args:
        figures: What the benchmark wrote.
    """
    with mpl.rc_context(_STYLE):
        found = {"calls.svg": _calls(figures), "growth.svg": _growth(figures)}
        if any(row["contender"] == "agent_own" for row in figures["calls"]):
            found["agents.svg"] = _agents(figures)
    return found


def _calls(figures: dict[str, Any]) -> str:
    """What each adds to a call: answered, refused, streamed."""
    order = ["ours_outside", "ours", *_CALLS]
    whole = Figure(figsize=(9, 3.6), layout="constrained")
    panels = whole.subplots(1, 3, sharey=True)
    for panel, (case, title) in zip(
        panels, (("success", "answered"), ("429", "429"), ("stream", "stream")), strict=True
    ):
        added = {
            row["contender"]: row["added"] for row in figures["calls"]
            if (row["case"], row["kind"]) == (case, "recording")
        }  # fmt: skip
        who = [name for name in order if name in added]
        _bars(
            panel, [WHO[name] for name in who], [added[name] for name in who], [name.startswith("ours") for name in who]
        )
        panel.set_title(title, fontsize=_SIZE + 1)
    panels[1].set_xlabel("CPU time added to the bare SDK's call, µs")
    return _svg(whole, "What each instrumentation adds to a call")


def _agents(figures: dict[str, Any]) -> str:
    """What is added to an agent's run over a fallback of three."""
    whole = Figure(figsize=(9, 1.6), layout="constrained")
    panels = whole.subplots(1, 2, sharey=True)
    cases = (("agent: answered", "first model answers"), ("agent: two refused", "third model answers"))
    for panel, (case, title) in zip(panels, cases, strict=True):
        added = {row["contender"]: row["added"] for row in figures["calls"] if row["case"] == case}
        who = ["agent_ours", "agent_own"]
        _bars(panel, [WHO[name] for name in who], [added[name] for name in who], [True, False])
        panel.set_title(title, fontsize=_SIZE + 1)
    whole.supxlabel("CPU time added to pydantic-ai's FallbackModel of three, µs", fontsize=_SIZE)
    return _svg(whole, "What is added to an agent's fallback of three models")


def _bars(panel: Axes, names: Sequence[str], added: Sequence[dict[str, float]], ours: Sequence[bool]) -> None:
    places = range(len(names))
    middles = [each["median"] for each in added]
    spread = [
        [each["median"] - each["low"] for each in added],
        [each["high"] - each["median"] for each in added],
    ]
    colours = [OURS if mine else OTHERS for mine in ours]
    panel.barh(places, middles, xerr=spread, color=colours, ecolor=INK, error_kw={"elinewidth": 0.8}, height=0.7)
    panel.set_yticks(places, [name.replace("`", "") for name in names])
    panel.invert_yaxis()
    for place, each in zip(places, added, strict=True):
        panel.annotate(
            f"{each['median']:,.0f}", (each["high"], place), xytext=(4, 0), textcoords="offset points", va="center"
        )
    panel.set_xlim(0, max(each["high"] for each in added) * 1.25)
    _plain(panel)


def _growth(figures: dict[str, Any]) -> str:
    """What does not grow: with the chain, with open requests, with tasks."""
    scale = figures["scale"]
    whole = Figure(figsize=(9, 2.6), layout="constrained")
    chain, crowd, tasks = whole.subplots(1, 3)
    lengths = [int(length) for length in scale["chain"]]
    _line(chain, lengths, [each["median"] for each in scale["chain"].values()], "candidates that fail in one run")
    chain.set_ylabel("CPU time, µs")
    chain.set_title("one attempt", fontsize=_SIZE + 1)
    counts = [0, *(each["open"] for each in scale["crowds"])]
    alone = scale["crowds"][0]["run_alone"]
    _line(crowd, counts, [alone, *(each["run"] for each in scale["crowds"])], "requests open beside it")
    crowd.set_title("one run, answered", fontsize=_SIZE + 1)
    numbers = [int(count) for count in scale["tasks"]]
    _line(tasks, numbers, [each["nothing"] for each in scale["tasks"].values()], "tasks at once", ours=False)
    _line(tasks, numbers, [each["ours"] for each in scale["tasks"].values()], "tasks at once")
    tasks.set_title("one call in a task; grey: bare SDK", fontsize=_SIZE + 1)
    return _svg(whole, "What an attempt costs as chains, open requests and tasks grow in number")


def _line(panel: Axes, along: Sequence[float], values: Sequence[float], label: str, *, ours: bool = True) -> None:
    panel.plot(along, values, marker="o", markersize=4, color=OURS if ours else OTHERS)
    panel.set_xscale("symlog", linthresh=min(each for each in along if each))
    panel.set_xticks(along, [f"{each:,.0f}" for each in along])
    panel.set_xlabel(label)
    panel.set_ylim(0, max(*values, panel.get_ylim()[1] if panel.lines[1:] else 0) * 1.15)
    _plain(panel)


def _plain(panel: Axes) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(length=0)
    panel.patch.set_alpha(0)


def _svg(whole: Figure, title: str) -> str:
    """Return a figure as SVG without a background, whose colours turn where the reader's page is dark."""
    whole.patch.set_alpha(0)
    written = io.StringIO()
    whole.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    turned = "".join(
        f'[style*="{kind}: {light}"] {{ {kind}: {dark} !important; }}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark) {{ {turned} }}</style>"
    text = re.sub(r"[ \t]+$", "", written.getvalue(), flags=re.MULTILINE)
    return re.sub(r"(<svg [^>]*>)", lambda found: f"{found[1]}\n {style}", text, count=1)
