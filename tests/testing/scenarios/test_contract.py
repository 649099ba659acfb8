"""What is named as a loop is one, or the text says why not and what would do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from otel_failover.testing.scenarios import NoSuchCallError, Target, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "a_loop_of_mine.py").write_text(
        "class Router:\n    def call(self, candidates): return ''\nrouter = Router()\nROUTES = []\n"
        "def call(candidates): return ''\nasync def acall(candidates): return ''\n"
        "def optional(candidates, *, prompt='?'): return ''\n"
        "def none(): return ''\ndef two(candidates, prompt): return ''\n"
    )
    (tmp_path / "a_broken_loop.py").write_text("1 / 0\n")
    (tmp_path / "a_loop_without_its_library.py").write_text("import acme_that_is_nowhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "a_loop_of_mine"
    for each in ("a_loop_of_mine", "a_broken_loop", "a_loop_without_its_library"):
        sys.modules.pop(each, None)


@pytest.mark.parametrize("path", ["call", "acall", "optional", "router.call"])
def test_a_function_of_the_candidates_is_a_loop(module: str, path: str) -> None:
    assert callable(load(f"{module}:{path}"))


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("a_loop_of_mine", "write module:function"),
        (":call", "write module:function"),
        ("nowhere.at_all:call", "there is no such module here"),
        ("a_broken_loop:call", "importing it raised ZeroDivisionError: division by zero"),
        ("a_loop_without_its_library:call", "ModuleNotFoundError: No module named 'acme_that_is_nowhere'"),
        ("a_loop_of_mine:cal", "has no 'cal'; it has Router, acall, call"),
        ("a_loop_of_mine:router.ask", "has no 'router.ask'"),
        ("a_loop_of_mine:ROUTES", "is no function but list"),
        ("a_loop_of_mine:none", "cannot be called with the candidates alone: too many positional arguments"),
        ("a_loop_of_mine:two", "missing a required argument: 'prompt'"),
    ],
)
def test_what_is_no_loop_is_refused_with_the_reason(module: str, named: str, why: str) -> None:
    with pytest.raises(NoSuchCallError) as caught:
        load(named)
    assert why in str(caught.value)


def test_a_target_shows_no_key() -> None:
    target = Target("first", "openai", "first-model", "http://127.0.0.1:1/v1", "sk-secret", 1.0)
    assert repr(target) == "<Target first: openai/first-model at http://127.0.0.1:1/v1>"
