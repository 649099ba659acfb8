"""The environments of CI: what their table names is there, and every session is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otel_failover.integrations.libraries import NEWEST, libraries
from tests import environments
from tests.environments import (
    ALIKE,
    BESIDE,
    COEXISTENCE,
    ENDS,
    LEFT_OUT,
    NOT_QUICK,
    PYTHONS,
    QUICK,
    ZERO_CODE,
    Environment,
)
from tests.support import taken
from tests.support.taken import taken_in, told

ROOT = Path(__file__).parents[2]
ALL = (*ENDS, *BESIDE, COEXISTENCE, ZERO_CODE)


@pytest.mark.parametrize("environment", ALL, ids=lambda each: each.name)
def test_the_tests_that_an_environment_names_are_there(environment: Environment) -> None:
    assert environment.paths()
    for path in environment.paths():
        assert (ROOT / path).is_file()


def test_what_is_left_out_at_the_old_end_is_there() -> None:
    """A test that is renamed would be run there again, and fail; one that is gone would stand in the list for ever."""
    for name in (test for tests in LEFT_OUT.values() for test in tests):
        path, *_, function = name.split("::")
        text = (ROOT / "tests" / path).read_text(encoding="utf-8")
        assert re.search(rf"^ *(async )?def {function.partition('[')[0]}\(", text, re.MULTILINE), name


def test_each_library_with_tests_of_its_own_is_in_an_environment() -> None:
    named = {module for each in ALL for module in each.modules.split()}
    assert {module for module in environments.TESTS_OF if module not in named} == set()


def test_the_releases_of_each_library_are_compared() -> None:
    known = {each.name: each.distribution for each in libraries()}
    del known["bedrock"]  # botocore's
    assert known == environments.LIBRARIES
    assert taken.tested() == {known[name]: version for name, version in NEWEST.items() if name in known}


def test_of_which_libraries_the_newest_was_taken_is_told(tmp_path: Path) -> None:
    """Taken somewhere is taken; where it was not, it is said why, and what drifts away from the table is seen."""
    (tmp_path / "ends(a).json").write_text('{"openai": "3.9.0", "agno": "3.1.10", "haystack-ai": "3.4.0"}')
    (tmp_path / "ends(b).json").write_text('{"openai": "3.57.0", "haystack-ai": "3.4.1", "litellm": "1.0"}')
    newest = {"openai": "3.57.0", "agno": "3.2.0", "haystack-ai": "3.5.0"}

    def resolve(wanted: str) -> tuple[dict[str, str], str]:
        name = wanted.rsplit(maxsplit=1)[-1].partition("==")[0]
        return {name: newest[name]} if name in newest else {}, "there is no acme>=2" if "agno==" in wanted else ""

    known = {"openai": "3.54.0", "agno": "3.1.10"}
    assert list(told(taken_in(tmp_path), known, resolve)) == [
        "openai 3.57.0: the newest, in 1 environment; newer than 3.54.0, which the support table names",
        "agno 3.1.10: NOT the newest, which is 3.2.0: there is no acme>=2",
        "haystack-ai 3.4.1: NOT the newest, which is 3.5.0: held back by what it was installed with",
        "litellm 1.0: which is the newest cannot be seen",
    ]


def test_no_two_environments_have_one_name() -> None:
    names = [each.name for each in ALL]
    assert sorted(names) == sorted(set(names))


def test_what_is_alike_everywhere_is_there() -> None:
    assert [path for path in ALIKE if not (ROOT / "tests" / path).exists()] == []


def test_what_is_quick_or_can_differ_in_another_python_is_there() -> None:
    there = [each.relative_to(ROOT / "tests").as_posix() for each in (ROOT / "tests").rglob("*.py")]
    for each in (*QUICK, *NOT_QUICK, *PYTHONS):
        path, _, name = each.partition("::")
        found = [name for name in there if name.startswith(path)]
        assert found, each
        assert name in (ROOT / "tests" / found[0]).read_text(encoding="utf-8"), each


def test_every_room_has_something_quick() -> None:
    """A change anywhere in the package is met by some test that is run in a minute."""
    package = ROOT / "otel_failover"
    rooms = [each for folder in ("_core", "integrations", "cli") for each in (package / folder).iterdir()]
    names = [each.relative_to(package).as_posix().lstrip("_") for each in rooms if (each / "__init__.py").is_file()]
    assert len(names) > 10
    for name in (*names, "testing"):
        assert any(each.startswith(name) for each in QUICK), name
