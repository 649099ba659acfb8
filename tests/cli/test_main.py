"""The command itself."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from otel_failover import __version__
from otel_failover.cli import main
from tests.cli.command import MAIN, ONE_LIBRARY, environment

if TYPE_CHECKING:
    from pathlib import Path


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """As a package's command says it."""
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"otel-failover {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["dance"], ["demo", "--loud"]])
def test_a_wrong_call_is_answered_with_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with exit code 2."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: otel-failover" in capsys.readouterr().err


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with a line."""
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    assert "demo" in out
    assert "doctor" in out


def test_help_needs_no_extra(tmp_path: Path) -> None:
    """Neither rich nor an SDK is imported before a command runs."""
    code = (
        "import sys\nfrom otel_failover.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('IMPORTED', [name for name in ('rich', 'openai', 'anthropic') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, check=True, timeout=300
    )
    assert done.stdout.decode().strip().endswith("IMPORTED []")


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell's pipe")
def test_a_reader_that_has_seen_enough_is_no_traceback(tmp_path: Path) -> None:
    """`otel-failover doctor | head -1`."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{ONE_LIBRARY}\n{MAIN}", "doctor"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    complaints = process.stderr.read()
    process.stderr.close()
    process.wait(300)
    assert b"Traceback" not in complaints
    assert b"BrokenPipe" not in complaints
