"""The rule of the house: only the code that owns a span writes its error facts, and from evidence of its own."""

from __future__ import annotations

import ast
import importlib
import inspect
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[2] / "otel_failover"
KEPT_TO = {
    "record_exception": set(),  # formats chained tracebacks: the previous candidate's error would ride along
    "format_exc": set(),
    "set_status": {"_core.spans.candidate_span", "_core.spans.marker", "_core.spans.run_span"},
    "get_current_span": {"_core.spans.run_span"},  # what a run happens inside of, no error
}
PURE = ["_core.attribution.rules", "_core.text", "_core.domain.reasons", "_core.findings"]
CORE = sorted((PACKAGE / "_core").rglob("*.py"))
ADAPTERS = sorted(
    path for kind in ("loops", "providers", "transports") for path in (PACKAGE / "integrations" / kind).rglob("*.py")
)
BY_TEXT = {"getattr", "hasattr", "setattr"}  # `failsafe.read` is for foreign objects


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _calls(path: Path) -> set[str]:
    found = (node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    return {getattr(function, "attr", getattr(function, "id", "")) for function in found}


@pytest.mark.parametrize("name", KEPT_TO)
def test_a_call_is_kept_to_the_modules_that_may_make_it(name: str) -> None:
    callers = {_module(path) for path in PACKAGE.rglob("*.py") if name in _calls(path)}
    assert callers == KEPT_TO[name]


@pytest.mark.parametrize("name", PURE)
def test_pure_logic_knows_no_opentelemetry(name: str) -> None:
    paths = [path for path in CORE if (_module(path) + ".").startswith(name + ".")]
    assert paths
    nodes = [node for path in paths for node in ast.walk(_tree(path))]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert not any(each.startswith(("opentelemetry", "wrapt", "httpx", "openai", "anthropic")) for each in imported)
    if name == "_core.findings":
        assert imported.isdisjoint({"time", "logging", "random"})


def test_the_core_knows_no_adapter() -> None:
    """Adapters know the core; only the table of libraries knows the adapters."""
    for path in CORE:
        for node in ast.walk(_tree(path)):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not module.startswith("otel_failover.integrations"), path


# --- what is private to the core --------------------------------------------------------------------------------------


def _is_private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


@cache
def _members(tree: ast.AST) -> frozenset[str]:
    """Return the private members of the classes in a module, or of one class: methods, fields and slots."""
    found: set[object] = set()
    for kind in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for node in ast.walk(kind):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_own(node):
                found.add(node.attr)
        for node in (each for each in kind.body if isinstance(each, (ast.Assign, ast.AnnAssign))):
            found |= {each.id if isinstance(each, ast.Name) else getattr(each, "value", "") for each in ast.walk(node)}
    return frozenset(name for name in found if isinstance(name, str) and _is_private(name))


def _all_members(paths: list[Path]) -> frozenset[str]:
    return frozenset[str]().union(*(_members(_tree(path)) for path in paths))


def _taken(tree: ast.AST) -> Iterator[str]:
    """Yield the private names that are taken from objects other than `self` and `cls`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not _is_own(node) and _is_private(node.attr):
            yield node.attr


def _read(tree: ast.AST) -> Iterator[str]:
    """Yield the private names that are read as texts: `getattr(thing, "_name")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in BY_TEXT and len(node.args) > 1:
            name = getattr(node.args[1], "value", "")
            if _is_private(name):
                yield name


def _of_modules(tree: ast.AST) -> Iterator[str]:
    """Yield the private names that are taken from modules of ours, imported or by `module._name`."""
    ours: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("otel_failover"):
            ours |= {alias.asname or alias.name for alias in node.names}
            yield from (alias.name for alias in node.names if _is_private(alias.name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ours:
            yield from (node.attr,) if _is_private(node.attr) else ()


def _named(path: Path) -> str:
    return _module(path)


@pytest.mark.parametrize("path", ADAPTERS, ids=_named)
def test_an_adapter_knows_nothing_private_of_the_core(path: Path) -> None:
    """Private names of foreign objects are the adapter's business; one that a class of the core has is the core's."""
    tree = _tree(path)
    assert not _all_members(CORE).intersection([*_taken(tree), *_read(tree)]), "give the core a public member"
    assert not list(_of_modules(tree))


@pytest.mark.parametrize("path", ADAPTERS, ids=_named)
def test_an_adapter_knows_nothing_private_of_another(path: Path) -> None:
    """Objects of its own classes are its own, by whatever name it has them."""
    theirs = _all_members([each for each in ADAPTERS if each != path]) - _members(_tree(path))
    assert not theirs.intersection(_taken(_tree(path)))


@pytest.mark.parametrize("path", ADAPTERS, ids=_named)
def test_a_class_that_builds_on_the_core_shares_no_private_name_with_it(path: Path) -> None:
    """Where a class inherits from the core's, `self` is the core's object too: it would read or overwrite its own."""
    module = importlib.import_module(f"otel_failover.{_module(path)}")
    modules = {f"otel_failover.{_module(each)}" for each in CORE}
    for kind in (
        each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__
    ):
        used = {node.attr for node in ast.walk(_class(kind)) if isinstance(node, ast.Attribute) and _is_own(node)}
        for base in (each for each in kind.__mro__ if each.__module__ in modules):
            assert not used & _members(_class(base)), kind


def _class(kind: type) -> ast.ClassDef:
    tree = _tree(Path(inspect.getfile(kind)))
    return next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
