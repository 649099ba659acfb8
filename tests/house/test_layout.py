"""Where things are: few entries a folder, no long module without a reason, and tests in the rooms of what they test."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "otel_failover"
MOST: Final = 12
LINES: Final = 400
REASON: Final = "In one file: "
"""How the paragraph of a docstring begins that says why a module is as long as it is."""

FOLDERS: Final = sorted(
    folder
    for name in ("otel_failover", "tests")
    for folder in (ROOT / name, *(ROOT / name).rglob("*"))
    if folder.is_dir() and folder.name != "__pycache__"
)
LONG: Final = [path for path in sorted(PACKAGE.rglob("*.py")) if len(path.read_text("utf-8").splitlines()) > LINES]
ROOMS: Final = {"core": "_core", "integrations": "integrations", "cli": "cli", "testing": "testing"}
"""Folders of the tests, and the folders of the package whose rooms they have. The other tests are of the whole."""
TESTED_ELSEWHERE: Final = {
    "cli/doctor/start": "by the services that are looked at",
    "integrations/loops/shared": "by each loop that is built of it",
    "testing/wire": "by the SDKs, to which the providers speak it",
    "testing/wire/compatible": "by the SDKs, to which the providers speak it",
}


def _from_root(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _entries(folder: Path) -> list[str]:
    """Return what a reader looks through in a folder: its modules and folders."""
    unread = ("__init__.py", "__pycache__", "conftest.py", "py.typed")
    return sorted(each.name for each in folder.iterdir() if each.name not in unread and each.name[0] != ".")


@pytest.mark.parametrize("folder", FOLDERS, ids=_from_root)
def test_a_folder_has_few_entries(folder: Path) -> None:
    assert len(_entries(folder)) <= MOST, _entries(folder)


@pytest.mark.parametrize("path", LONG, ids=_from_root)
def test_a_long_module_says_why_it_is_one(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    assert any(paragraph.startswith(REASON) for paragraph in docstring.split("\n\n")), f"over {LINES} lines"


@pytest.mark.parametrize(("tests", "package"), ROOMS.items(), ids=ROOMS)
def test_tests_are_in_the_rooms_of_what_they_test(tests: str, package: str) -> None:
    """Each room of the package has tests, in a folder or in one file of its name; and no folder is of no room."""
    ours, theirs = ROOT / "tests" / tests, ROOT / "otel_failover" / package
    rooms = {each.relative_to(theirs) for each in theirs.rglob("*") if each.is_dir() and each.name != "__pycache__"}
    folders = {each.parent.relative_to(ours) for each in ours.rglob("test_*.py")} - {Path()}
    files = {each.relative_to(ours).with_name(each.stem.removeprefix("test_")) for each in ours.rglob("test_*.py")}
    tested = folders | files | {above for each in folders for above in each.parents}
    assert folders <= rooms
    untested = {f"{package}/{room.as_posix()}" for room in rooms - tested}
    assert untested == {room for room in TESTED_ELSEWHERE if room.startswith(f"{package}/")}


@pytest.mark.parametrize("kind", ["loops", "transports"])
def test_each_library_has_tests_under_its_name(kind: str) -> None:
    ours, theirs = ROOT / "tests" / "integrations" / kind, ROOT / "otel_failover" / "integrations" / kind
    names = {each.removesuffix(".py") for each in _entries(theirs)} - {"shared"}
    there = {each.removesuffix(".py").removeprefix("test_") for each in _entries(ours)}
    assert names <= there
