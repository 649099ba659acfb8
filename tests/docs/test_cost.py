"""The page on cost and the README's figures are made of one file, which the benchmark wrote."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

pytest.importorskip("openai")
pytest.importorskip("opentelemetry.instrumentation.genai.openai")

from bench import limits
from bench.docs import page
from tests.docs.pages import DOCS, README
from tests.docs.pages import page as page_of

FIGURES: Final[dict[str, Any]] = json.loads(page.FIGURES.read_text(encoding="utf-8"))
COST: Final = page_of("cost")


@pytest.mark.parametrize("name", [path.name for path in page.PAGES])
def test_what_a_page_says_in_figures_is_what_was_measured(name: str) -> None:
    (path,) = [each for each in page.PAGES if each.name == name]
    text = path.read_text(encoding="utf-8")
    assert page.rewritten(text, FIGURES) == text


def test_a_page_with_other_figures_is_another_page() -> None:
    changed = json.loads(json.dumps(FIGURES))
    for row in changed["calls"]:
        row["added"]["median"] += 1000.0
    for path in page.PAGES:
        text = path.read_text(encoding="utf-8")
        assert page.rewritten(text, changed) != text


def test_every_text_stands_on_a_page_once() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in page.PAGES)
    assert sorted(re.findall(r"<!-- (\w+) -->", texts)) == sorted(page.blocks(FIGURES))
    assert "<!-- cost -->" in README.text


def test_every_plot_stands_on_the_page_and_says_what_was_measured() -> None:
    plots = sorted((DOCS / "assets" / "cost").glob("*.svg"))
    shown = [link for link in COST.links if link.endswith(".svg")]
    assert sorted(shown) == [path.relative_to(DOCS).as_posix() for path in plots]
    drawn = {path.stem: path.read_text(encoding="utf-8") for path in plots}
    plotted = {"calls": ("success", "429", "stream"), "agents": ("agent: answered", "agent: two refused")}
    for row in FIGURES["calls"]:
        for name, cases in plotted.items():
            is_bar = row["case"] in cases and row["contender"] not in {"nothing", "agent", "ours_bare"}
            if is_bar and row["kind"] == "recording":
                assert f">{row['added']['median']:,.0f}<" in drawn[name], row
    for text in drawn.values():
        assert "prefers-color-scheme: dark" in text
        assert not re.search(r"<image|href=\"https?:|<script", text)


def test_limits_and_goals_of_the_page_are_those_of_the_benchmark() -> None:
    assert {line["what"]: (line["limit"], line["unit"]) for line in FIGURES["times"]} == limits.TIMED
    assert {gate["what"]: gate["goal"] for gate in FIGURES["counted"]} == {
        what: limit.goal for what, limit in limits.COUNTED.items()
    }


def test_what_is_compared_was_measured_in_one_run() -> None:
    measured = {(row["contender"], row["case"]) for row in FIGURES["calls"] if row["kind"] == "recording"}
    assert {who for who, _ in measured} <= set(page.WHO)
    for case in ("success", "429", "stream"):
        assert {(who, case) for who in ("nothing", "by_hand", "genai_openai", "ours", "ours_outside")} <= measured
