"""What each Python of a watched command imports first."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tests.cli.command import environment
from tests.cli.watch.test_command import posix_only, watch

if TYPE_CHECKING:
    from pathlib import Path


def test_an_own_sitecustomize_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins\nbuiltins.was_here = True\n")
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    shown = "print(was_here, any('watch' in path for path in sys.path))"
    done = watch("--", sys.executable, "-c", f"import sys\n{shown}", where=tmp_path, given={"PYTHONPATH": path})
    assert done.stdout == "True False\n"


@posix_only
def test_a_python_that_has_no_otel_failover_is_named(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden" / "otel_failover"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'otel_failover'\")")
    path = os.pathsep.join([str(hidden.parent), environment()["PYTHONPATH"]])
    wrapped = ["env", f"PYTHONPATH={{START}}{os.pathsep}{path}", sys.executable, "-c", "0"]
    shell = " ".join(wrapped).replace("{START}", "${PYTHONPATH%%:*}")
    done = watch("--", "sh", "-c", shell, where=tmp_path)
    assert f"no spans came: otel-failover is not installed for {sys.executable}" in done.stderr
