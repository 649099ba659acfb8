"""What is public: the names, their arguments and their fields are those of the code."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from typing import Any, Final, get_args

import pytest

import otel_failover
from otel_failover import cli
from otel_failover.testing import plugin, providers, runs, scenarios
from otel_failover.testing.answers import StreamEnding
from otel_failover.testing.providers import Answer, Served
from tests.docs import package
from tests.docs.pages import page, plain, words

API: Final = page("reference/api")
TESTING: Final = page("testing")
SECTIONS: Final = re.findall(r"^### (\w+)$", API.prose, re.MULTILINE)


@pytest.mark.parametrize(
    ("title", "module"),
    [
        ("`otel_failover`", otel_failover),
        *((f"`{each.__name__}`", each) for each in (providers, runs, scenarios, plugin)),
    ],
)
def test_the_public_names_are_those_of_the_code(title: str, module: Any) -> None:
    (table,) = [table for table in API.tables(title) if table[0][0] == "name"]
    assert sorted(plain(row[0]) for row in table[1:]) == sorted(module.__all__)


def test_every_public_name_with_members_has_a_table_of_them() -> None:
    untold = {"AttributionProcessor", "Loop", "__version__"}
    assert set(SECTIONS) == set(otel_failover.__all__) - untold


@pytest.mark.parametrize("title", SECTIONS)
def test_a_member_takes_the_arguments_that_the_table_gives_it(title: str) -> None:
    given = getattr(otel_failover, title)
    for row in API.rows(title):
        word = plain(row[0])
        name = word.partition("(")[0]
        if "(" in word:
            called = given if name == title else inspect.getattr_static(given, name)
            assert word == name + _arguments(called)
        else:
            assert hasattr(given, name) or name in {each.name for each in fields(given)}


def _arguments(function: Any) -> str:
    """Return a function's parameters with their defaults, as they are written; `self` left out."""
    signature = inspect.signature(function)
    kept = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in signature.parameters.values()
        if each.name != "self"
    ]
    text = str(signature.replace(parameters=kept, return_annotation=inspect.Signature.empty))
    return text.replace("'", '"')


@pytest.mark.parametrize("title", [each for each in SECTIONS if is_dataclass(getattr(otel_failover, each))])
def test_every_field_of_a_record_is_in_its_table(title: str) -> None:
    """What is made of the others, and shown nowhere, is no field for a reader."""
    record: Any = getattr(otel_failover, title)
    told = [plain(row[0]) for row in API.rows(title)]
    known = [each.name for each in fields(record) if each.init]
    assert [name for name in told if name in known] == known


def test_the_fields_of_a_loop_are_those_of_the_code() -> None:
    told = [plain(row[0]) for row in page("loops/configured").rows()]
    assert sorted(told) == sorted(each.name for each in fields(otel_failover.Loop))


def test_the_outcomes_of_a_summary_are_those_of_the_code() -> None:
    (row,) = [row for row in API.rows("Summary") if plain(row[0]) == "outcome"]
    assert words(row[1]) == list(package.RUN_OUTCOMES)


# --- the local providers ----------------------------------------------------------------------------------------------

ANSWERS: Final = {plain(row[0]).removeprefix("Answer."): row[1] for row in TESTING.rows("Answers")}
MADE_OF: Final[dict[str, tuple[Any, ...]]] = {
    "error": (418, "a teapot"),
    "raw": (502, "<html>"),
    "delayed": (Answer.ok(), 0.1),
}
"""Arguments of what takes some."""


def test_every_answer_is_in_the_table_and_none_besides() -> None:
    made = [name for name, each in vars(Answer).items() if isinstance(each, classmethod) and not name.startswith("_")]
    assert list(ANSWERS) == made


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_has_the_status_that_the_table_gives_it(name: str) -> None:
    answer = getattr(Answer, name)(*MADE_OF.get(name, ()))
    status = re.match(r"\d{3}", ANSWERS[name])
    assert status is None or answer.status == int(status[0])


def test_the_ends_of_a_stream_are_those_of_the_code() -> None:
    assert words(ANSWERS["stream"]) == list(get_args(StreamEnding))


def test_the_kinds_of_providers_are_those_of_the_code() -> None:
    assert [plain(row[0]) for row in TESTING.rows("Providers")] == list(get_args(providers.Kind))


def test_the_log_has_the_attributes_of_the_table() -> None:
    assert [plain(row[0]) for row in TESTING.rows("The log")] == [each.name for each in fields(Served)]


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_has_what_the_table_says(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    listed = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert [plain(row[0]) for row in API.rows("The command")] == [f"otel-failover {name}" for name in listed]
    for row in API.rows("The command"):
        command = plain(row[0]).split()
        with pytest.raises(SystemExit) as left:
            cli.main([*command[1:], "--help"])
        assert left.value.code == 0
        printed = capsys.readouterr().out
        offered = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", printed, re.MULTILINE)) - {"--help"}
        assert {word.split()[0] for word in words(row[1])} - {"--"} == offered
