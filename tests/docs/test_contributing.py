"""The pages for contributors: what they name is there."""

from __future__ import annotations

import importlib
import re
from typing import Final

import pytest

from tests.docs import package
from tests.docs.pages import BESIDE, ROOT, SITE, page, plain, words

ARCHITECTURE: Final = page("contributing/architecture")
WORDS: Final = page("contributing/words")
OURS: Final = [each for name, each in {**SITE, **BESIDE}.items() if name != "CHANGELOG.md"]


def _tree() -> dict[str, int]:
    """Return the paths of the layout's block, with their depth."""
    (block,) = ARCHITECTURE.blocks("text")
    found: dict[str, int] = {}
    above: list[str] = []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above = [*above[:depth], line.split()[0]]
        found["".join(above)] = depth
    return found


@pytest.mark.parametrize("path", _tree())
def test_what_the_layout_names_is_there(path: str) -> None:
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


@pytest.mark.parametrize("above", ["otel_failover/", "otel_failover/_core/", "otel_failover/integrations/"])
def test_the_layout_names_every_folder(above: str) -> None:
    there = {f"{above}{path.name}/" for path in (ROOT / above).iterdir() if (path / "__init__.py").exists()}
    named = {path for path in _tree() if re.fullmatch(rf"{re.escape(above)}\w+/", path)}
    assert named == there


def test_the_layout_has_the_order_in_which_imports_go() -> None:
    rooms = [path.split("/")[2] for path in _tree() if re.fullmatch(r"otel_failover/_core/\w+/", path)]
    ranks = [next(rank for rank, layer in enumerate(package.layers()) if room in layer) for room in rooms]
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize("name", [each.name for each in OURS])
def test_a_path_that_a_page_names_is_there(name: str) -> None:
    (document,) = [each for each in OURS if each.name == name]
    for word in words(document.prose):
        if re.fullmatch(r"(otel_failover|tests|examples|bench|docs|\.ci)/[\w/.-]*", word):
            assert (ROOT / word).exists(), word


def _wrappers() -> list[tuple[str, str]]:
    (table,) = page("contributing/add-a-loop").tables("Your framework returns …")
    return [(plain(row[2]), word) for row in table[1:] for word in words(row[1])]


@pytest.mark.parametrize(("module", "name"), _wrappers())
def test_a_wrapper_of_the_table_is_where_it_says(module: str, name: str) -> None:
    where = module if module.startswith("_core.") else f"integrations.loops.{module}"
    assert hasattr(importlib.import_module(f"otel_failover.{where}"), name)


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", WORDS.tables("Old and new")[0][1:], ids=lambda row: row[0])
def test_the_new_word_stands_where_the_old_one_stood(row: list[str]) -> None:
    known = package.classes()
    assert not [word for word in words(row[0]) if word in known and word not in words(row[1])]
    assert plain(row[1]) in known


def test_the_verdicts_of_the_vocabulary_are_those_of_the_code() -> None:
    (row,) = [row for row in WORDS.tables("One word for one thing")[0] if row[0] == "verdict"]
    assert sorted(words(row[1])) == sorted(package.VALUES["failover.attribution.verdict"])
