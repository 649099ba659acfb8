"""The page that tries loops: its loop does what the page says, its tables are those of the code."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any, Final

import pytest

from otel_failover.testing import plugin
from otel_failover.testing.scenarios import CASES, Conditions, Target, load, try_case
from otel_failover.testing.scenarios.judging import FAULTS, FINE, NOTES
from otel_failover.testing.scenarios.telling import sentences
from tests.docs.pages import page, plain, words
from tests.testing.scenarios.libraries import LIBRARIES, WRITTEN, filled

PAGE: Final = page("try-your-loop")
BY_NAME: Final = {case.name: case for case in CASES}


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "documents"}
    for block in PAGE.blocks("python"):
        exec(compile(block, PAGE.name, "exec"), namespace)
    return namespace


def test_the_documented_loop_is_told_what_the_page_shows(documented: dict[str, Any]) -> None:
    (shown,) = PAGE.blocks("text")
    result = try_case(BY_NAME["unknown_model"], documented["call"], Conditions(timeout=30, deadline=60))
    told = sentences(BY_NAME["unknown_model"], result)
    assert _without_account(told) == _without_account(shown)
    assert list(documented["wrong_in"](documented["call"], "healthy", "out_of_quota", "bad_key")) == ["bad_key"]


def _without_account(text: str) -> str:
    return " ".join(re.sub(r"\w+-[0-9a-f]{6}\b", "…", text).split())


def test_the_cases_are_those_of_the_code() -> None:
    assert PAGE.rows("The cases") == [[f"`{each.name}`", each.situation.rstrip("."), each.right] for each in CASES]


def test_the_verdicts_are_those_of_the_code() -> None:
    table = next(each for each in PAGE.tables("What it says"))
    assert {plain(row[0]): row[1] for row in table[1:]} == FAULTS
    assert set(words(PAGE.section("What it says"))) >= set(NOTES) - {"not tried"}


def test_the_fields_of_a_candidate_are_those_of_the_code() -> None:
    table = next(each for each in PAGE.tables("What it takes") if each[0][0] == "field")
    assert [plain(row[0]) for row in table[1:]] == [each.name for each in fields(Target)]


class Options:
    """Stands for pytest's parser, and for the group of options that is asked of it."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def getgroup(self, *_: str) -> Options:
        return self

    def addoption(self, name: str, **_: Any) -> None:
        self.names.append(name)


def test_the_options_are_those_of_the_plugin() -> None:
    options: Any = Options()
    plugin.pytest_addoption(options)
    table = next(each for each in PAGE.tables("What it takes") if each[0][0] == "option")
    assert [plain(row[0]) for row in table[1:]] == options.names


def test_the_table_of_the_libraries_is_what_was_written_down() -> None:
    known = json.loads(WRITTEN.read_text("utf-8"))
    assert list(LIBRARIES) == sorted(known, key=list(LIBRARIES).index)
    assert PAGE.text == filled(PAGE.text, known)
    for name, found in known.items():
        assert list(found["cases"]) == sorted(BY_NAME), name
        assert {each["verdict"] for each in found["cases"].values()} <= {*FINE, *NOTES, *FAULTS}, name


def test_what_a_command_of_the_page_names_is_there() -> None:
    assert callable(load("tests.testing.scenarios.libraries:main"))
