"""The command as a process of its own, with an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import otel_failover

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


def found(tmp_path: Path, given: Mapping[str, str] | None = None, **more: Any) -> tuple[int, dict[str, Any]]:
    """Run `otel-failover doctor --json` in a process that complains of nothing; return its code and its document.

    Args:
        tmp_path: Where.
        given: Further variables of the environment.
        more: As for `run`.
    """
    done = run("doctor", "--json", cwd=tmp_path, given=given, **more)
    assert done.stderr == b""
    return done.returncode, json.loads(done.stdout)
