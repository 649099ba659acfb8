"""The environments of CI: what their table names is there, and every session is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import environments
from tests.environments import ALIKE, BESIDE, COEXISTENCE, ENDS, LEFT_OUT, PYTHONS, QUICK, ZERO_CODE, Environment

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


def test_no_two_environments_have_one_name() -> None:
    names = [each.name for each in ALL]
    assert sorted(names) == sorted(set(names))


def test_what_is_alike_everywhere_is_there() -> None:
    assert [path for path in ALIKE if not (ROOT / "tests" / path).exists()] == []


def test_what_is_quick_or_can_differ_in_another_python_is_there() -> None:
    there = [each.relative_to(ROOT / "tests").as_posix() for each in (ROOT / "tests").rglob("*.py")]
    for each in (*QUICK, *PYTHONS):
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
