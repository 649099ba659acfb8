"""Tests know what the package does, and the names that have no underscore: none knows a private, or a file, of it."""

from __future__ import annotations

import ast
import re
import textwrap
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "otel_failover"
TESTS: Final = sorted(path for path in (ROOT / "tests").rglob("*.py") if path.parent.name != "house")

THEIRS: Final = {
    "_attributes": "the SDK's span: where all that is on it stands",
    "_client": "the HTTP client that a provider's SDK has",
    "_content": "requests' response: whether its body was read",
    "_fields": "a named tuple's: Python's own name",
    "_known": "litellm's lists of names: how they begin",
    "_log_record_processors": "the SDK's logs: which processors there are, in order",
    "_on_ending": "the SDK's hook for spans that are about to end",
    "_seconds": "Prometheus: how the name of a series ends",
    "_status": "LiveKit's adapter: which of its models are thought to be there",
}
"""Private names that somebody else's class has as well as one of ours, and whose a test means."""

MAY_KNOW_THE_CORE: Final = (
    "core",
    "docs",
    "conftest.py",
    "examples/test_ops.py",
    "support/faults.py",
    "host/a_pass.py",
    "truth/test_random_chains.py",
)
"""Tests of its rooms; those that compare the documents, or what back ends are configured with, with its names; and those
that count its failures, or normalise texts as it does. All others take what everybody may import, and the adapters' tests
their adapter.
"""


# --- what is private --------------------------------------------------------------------------------------------------


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name.strip("_") != ""


def _defined(tree: ast.AST) -> Iterator[str]:
    """Yield what a module names: functions, classes, constants, fields, and what is written to attributes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def _ours() -> frozenset[str]:
    return frozenset(name for path in PACKAGE.rglob("*.py") for name in _defined(_tree(path)) if _is_private(name))


@cache
def _files() -> frozenset[str]:
    """Return how files of the package are called from its root: `_core/runs/run.py`."""
    return frozenset(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


# --- what a test names ------------------------------------------------------------------------------------------------


def _prose(tree: ast.AST) -> set[int]:
    """Return the docstrings of a module, by identity: they may speak of anything."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def _texts(tree: ast.AST) -> Iterator[str]:
    prose = _prose(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def _code_in(text: str) -> ast.Module | None:
    """Return the code that a text is, for a process of its own."""
    if "\n" not in text and "import " not in text:
        return None
    try:
        return ast.parse(textwrap.dedent(text))
    except SyntaxError:
        return None


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield module and name of each import of ours; no name where the module itself is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _is_of_ours(node.module or ""):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if _is_of_ours(alias.name))


def _is_of_ours(module: str) -> bool:
    return f"{module}.".startswith("otel_failover.")


def _private_names(tree: ast.AST, own: frozenset[str]) -> Iterator[str]:
    """Yield the names private to us that code takes from an object other than its own, or says in a text."""
    forbidden = _ours() - own - set(THEIRS)
    for module, name in _imported(tree):
        yield from (part for part in (*module.split(".")[2:], name) if _is_private(part))
    held = {name for _, name in _imported(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            holder = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr not in THEIRS and (
                holder in held or (holder not in ("self", "cls") and node.attr in forbidden)
            ):
                yield node.attr
    for text in _texts(tree):
        code = _code_in(text)
        if code is not None:
            yield from _private_names(code, own | frozenset(_defined(code)))
        else:
            words = {word for word in re.findall(r"(?<![\w/])_\w+", text) if word != "_core"}
            yield from words & forbidden


def _paths(tree: ast.AST) -> Iterator[str]:
    """Yield the texts that are a file or a module of ours."""
    for text in _texts(tree):
        code = _code_in(text)
        if code is not None:
            yield from _paths(code)
            continue
        named = re.findall(r"[\w/]+\.py\b", text)
        yield from (name for name in named if name.removeprefix("otel_failover/") in _files())
        yield from re.findall(r"(?:otel_failover\.)?\b_core\.\w[\w.]*", text)


def _name_of(path: Path) -> str:
    return str(path.relative_to(ROOT / "tests"))


def _own(path: Path) -> frozenset[str]:
    """Return what a test defines itself, in the text of code too, and what the tests that it imports do."""
    trees = [_tree(path), *filter(None, map(_code_in, _texts(_tree(path))))]
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
            modules = [f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)]
            paths = [ROOT.joinpath(*module.split(".")).with_suffix(".py") for module in modules]
            trees += [_tree(each) for each in paths if each.is_file()]
    return frozenset(name for tree in trees for name in _defined(tree))


@pytest.mark.parametrize("path", TESTS, ids=_name_of)
def test_no_test_names_a_private_of_the_package(path: Path) -> None:
    own = _own(path)
    assert sorted(set(_private_names(_tree(path), own))) == []


@pytest.mark.parametrize("path", TESTS, ids=_name_of)
def test_no_test_names_a_file_of_the_package(path: Path) -> None:
    assert sorted(set(_paths(_tree(path)))) == []


@pytest.mark.parametrize("path", TESTS, ids=_name_of)
def test_only_tests_of_the_core_know_it(path: Path) -> None:
    if _name_of(path).startswith(MAY_KNOW_THE_CORE):
        return
    trees = [_tree(path), *filter(None, map(_code_in, _texts(_tree(path))))]
    assert [module for tree in trees for module, name in _imported(tree) if "_core" in (*module.split("."), name)] == []


def test_every_exception_is_needed() -> None:
    """A name that no test takes, or that no class of ours has any more, is off the list."""
    taken = {node.attr for path in TESTS for node in ast.walk(_tree(path)) if isinstance(node, ast.Attribute)}
    said = {word for path in TESTS for text in _texts(_tree(path)) for word in re.findall(r"_\w+", text)}
    assert set(THEIRS) <= _ours() & (taken | said)


def test_what_is_looked_for_is_found() -> None:
    """In code that does what no test may, and in the text of such code."""
    private = min(name for name in _ours() if name not in THEIRS)
    for code in (
        f"from otel_failover._core.runs.run import {private}",
        f"from otel_failover import instrumentor\ninstrumentor.{private}",
        f"made().{private}",
        f"setattr(made(), '{private}', 5)",
        f"NAMES = ['Run.{private}']",
        f"CODE = '''\n    import otel_failover\n    found = made().{private}\n'''",
    ):
        assert set(_private_names(ast.parse(code), frozenset())) == {private}, code
    for code in ("A = '_core.runs.run'", "A = ['otel_failover/instrumentor.py']", "A = 'otel_failover._core.runs'"):
        assert len(set(_paths(ast.parse(code)))) == 1, code
