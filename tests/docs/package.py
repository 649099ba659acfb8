"""What the package, and CI, say of themselves: the one place where the tests of the documents know what is inside."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import otel_failover
from otel_failover._core.attribution import rules as attribution
from otel_failover._core.config import runtime, settings
from otel_failover._core.domain import attributes, outcome, providers, reasons, verdicts
from otel_failover._core.summary import row, summary
from otel_failover.integrations.libraries import libraries
from tests import environments
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = Path(otel_failover.__file__).parent

# --- names on the wire ------------------------------------------------------------------------------------------------

_NAMES: Final = {name: value for name, value in vars(attributes).items() if name.isupper() and isinstance(value, str)}
_BORROWED: Final = ("error.", "http.", "exception", "gen_ai.", "server.")
SPANS: Final = {value for name, value in _NAMES.items() if name.startswith("SPAN_")}
ATTRIBUTES: Final = {
    value
    for name, value in _NAMES.items()
    if not name.startswith(("METRIC_", "SPAN_", "SCOPE", "EVENT_"))
    and name != "CLAIMED"
    and not value.startswith(_BORROWED)
} | {"http.response.status_code", "error.type"}
"""What we write on spans; of OpenTelemetry's own names, the two that a candidate's span has."""
METRICS: Final = {value for name, value in _NAMES.items() if name.startswith("METRIC_") and name != "METRIC_SITE"}

VALUES: Final[dict[str, tuple[str, ...]]] = {
    "candidate.outcome": (
        outcome.SUCCESS, outcome.ERROR, outcome.REJECTED, outcome.PARTIAL, outcome.CANCELLED, outcome.SKIPPED,
    ),
    "failover.outcome": (
        outcome.PRIMARY, outcome.FALLBACK, outcome.EXHAUSTED, outcome.STOPPED, outcome.CANCELLED, outcome.UNSEEN,
        outcome.UNASKED,
    ),
    "failover.error.origin": (
        outcome.FROM_RESPONSE, outcome.FROM_TRANSPORT, outcome.FROM_CLIENT, outcome.FROM_CANCEL,
    ),
    "failover.attribution.verdict": tuple(verdicts.SEVERITY),
    "failover.attribution.bound_by": (
        verdicts.OBJECT, verdicts.RESPONSE, verdicts.REQUEST_ID, verdicts.TEXT, verdicts.FACTS,
    ),
}  # fmt: skip
"""Attributes whose values are a closed table, with them in their order."""

RULES: Final = verdicts.RULES
INCONSISTENT: Final = {
    getattr(verdicts, name) for name in re.findall(r"Verdict\(INCONSISTENT, (\w+)", inspect.getsource(attribution))
}
UNVERIFIED: Final = (
    verdicts.REPORT, verdicts.EVIDENCE_INCOMPLETE, verdicts.NOTHING_SENT, verdicts.NOTHING_BOUND,
)  # fmt: skip
FINDINGS: Final = verdicts.FINDINGS
REASONS: Final = reasons.REASONS
PROVIDERS: Final = providers.PROVIDERS
HOSTS: Final = {
    **providers.HOSTS,
    **{f"*{ending}": provider for ending, provider in providers.HOST_ENDINGS.items()},
}
GATEWAYS: Final = providers.GATEWAYS

# --- settings ---------------------------------------------------------------------------------------------------------

SETTINGS: Final = [
    (each.name, settings.PREFIX + each.name.upper(), getattr(settings.Settings(), each.name))
    for each in fields(settings.Settings)
]
"""Name, variable and default of each."""


def loaded(given: dict[str, Any], environment: dict[str, str]) -> settings.Settings:
    """Return the settings of what is passed and of an environment."""
    return settings.load(given, environment)


def in_force() -> settings.Settings:
    """Return the settings of `instrument()`."""
    return runtime.current().settings


# --- summaries --------------------------------------------------------------------------------------------------------

TITLES: Final = {**row.TITLES, **row.SKIPS}
SUMMARY_KEYS: Final = [each.name for each in fields(row.CandidateSummary)]
SUMMARY_OUTCOMES: Final = row.OUTCOMES
RUN_OUTCOMES: Final = summary.RUN_OUTCOMES

# --- libraries, and what CI pins --------------------------------------------------------------------------------------

LIBRARIES: Final = {each.name: each for each in libraries()}
SESSIONS: Final = set(re.findall(r"^def (\w+)\(session: nox", (ROOT / "noxfile.py").read_text("utf-8"), re.MULTILINE))
BY_WIRE: Final = [each for each in environments.ENDS if each.name.startswith("by_wire")]
ENVIRONMENTS: Final = {each.name for each in (*environments.ENDS, *environments.BESIDE)}


def pinned() -> set[tuple[str, str]]:
    """Return the releases that CI asks an installer for by `==`: distribution and version."""
    return environments.pinned()


def layers() -> list[set[str]]:
    """Return the rooms of the core as the linter of imports has them, the highest first."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    (listed,) = re.findall(r'^id = "core"\n.*?^layers = \[\n(.*?)^\]', text, re.MULTILINE | re.DOTALL)
    return [set(re.findall(r"\w+", each)) for each in re.findall(r'"([^"]+)"', listed)]


# --- sources ----------------------------------------------------------------------------------------------------------


def sources() -> Iterator[ast.Module]:
    """Yield each module of the package, parsed."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield ast.parse(path.read_text(encoding="utf-8"))


def literals() -> set[str]:
    """Return every text that stands in the package."""
    return {
        node.value
        for tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def log_lines() -> set[tuple[str, str]]:
    """Return level and text of each line that is logged where it is written, `…` in place of what is filled in."""
    found = set()
    for tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                first, called = node.args[0], ast.unparse(node.func)
                if called in ("logger.info", "logger.warning", "logger.error") and isinstance(first, ast.Constant):
                    found.add((node.func.attr.upper(), re.sub(r"(%[sdr])+", "…", str(first.value))))
    return found


def classes() -> set[str]:
    """Return the names of all classes and functions of the package, without underscores in front."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name.lstrip("_") for tree in sources() for node in ast.walk(tree) if isinstance(node, kinds)}
