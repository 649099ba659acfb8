"""The command as a process of its own, with an environment of its own."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import otel_failover
from otel_failover.integrations.libraries import libraries

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(otel_failover.__file__).parents[1]
MAIN = "import sys; from otel_failover.cli import main; sys.exit(main(sys.argv[1:]))"
_FOREIGN = ("OTEL_", "OPENAI_", "ANTHROPIC_", "PYTHONIOENCODING", "COLUMNS", "NO_COLOR", "FORCE_COLOR")


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what the command reads, and with what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    # A plugin of pydantic's (logfire brings one) warns on standard error where a package is hidden from it.
    ours = {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
    return {**kept, **ours, **(given or {})}


def run(
    *arguments: str, cwd: Path, given: Mapping[str, str] | None = None, before: str = "", start: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    """Run `otel-failover` with arguments.

    Args:
        arguments: As typed.
        cwd: Where.
        given: Further variables of the environment.
        before: Python that runs first, in the same process.
        start: What stands before Python: `opentelemetry-instrument`.
    """
    command = [*start, sys.executable, "-c", f"{before}\n{MAIN}", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(given), capture_output=True, timeout=300, check=False)


ONE_LIBRARY = "from tests.cli import command; command.hide_all_but('httpx')"
"""Runs before a command that imports whatever we know, and spares it what takes most of its time."""


def hide_all_but(distribution: str) -> None:
    """Let no other library be installed, in this process."""
    known = {each.distribution for each in libraries()}
    version = importlib.metadata.version

    def visible(distribution_name: str) -> str:
        if distribution_name in known and distribution_name != distribution:
            raise importlib.metadata.PackageNotFoundError(distribution_name)
        return version(distribution_name)

    importlib.metadata.version = visible


def found(
    tmp_path: Path, given: Mapping[str, str] | None = None, *, before: str = "", everything: bool = False, **more: Any
) -> tuple[int, dict[str, Any]]:
    """Run `otel-failover doctor --json` in a process that complains of nothing; return its code and its document.

    Where nothing is given of exporters, spans would go to the console: telemetry that goes nowhere is a bad result.

    Args:
        tmp_path: Where.
        given: Further variables of the environment.
        before: As for `run`.
        everything: Each library that is installed here is installed there too; else one of them.
        more: As for `run`.
    """
    if not any(name.startswith(("OTEL_EXPORTER_", "OTEL_TRACES_EXPORTER")) for name in given or {}):
        given = {"OTEL_TRACES_EXPORTER": "console", **(given or {})}
    before = before if everything else f"{ONE_LIBRARY}\n{before}"
    done = run("doctor", "--json", cwd=tmp_path, given=given, before=before, **more)
    assert done.stderr == b""
    return done.returncode, json.loads(done.stdout)
