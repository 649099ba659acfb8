"""The rule of the house: only the code that owns a span writes its error facts, and from evidence of its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "otel_failover"
KEPT_TO = {
    "record_exception": set(),  # formats chained tracebacks: the previous candidate's error would ride along
    "format_exc": set(),
    "set_status": {"candidate_span.py", "marking.py", "run.py"},
    "get_current_span": {"run.py", "hints.py"},  # what a run happens inside of, never what an error was
}
PURE = ["attribution.py", "reasons.py", "redaction.py"]


def _calls(path: Path) -> set[str]:
    found = (node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    return {getattr(function, "attr", getattr(function, "id", "")) for function in found}


@pytest.mark.parametrize("name", KEPT_TO)
def test_a_call_is_kept_to_the_modules_that_may_make_it(name: str) -> None:
    callers = {path.name for path in PACKAGE.rglob("*.py") if name in _calls(path)}
    assert callers == KEPT_TO[name]


@pytest.mark.parametrize("name", PURE)
def test_pure_logic_knows_no_opentelemetry(name: str) -> None:
    tree = ast.parse((PACKAGE / name).read_text("utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any(each.startswith(("opentelemetry", "wrapt", "httpx", "openai", "anthropic")) for each in imported)


def test_the_core_knows_no_adapter() -> None:
    """Adapters know the core; only the table of libraries knows the adapters."""
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if module.startswith(("otel_failover.loops", "otel_failover.providers", "otel_failover.transports")):
                assert path.name == "instrumentor.py", path
