"""Code in a fresh interpreter, where nothing of a test runner is."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


ROOT = Path(__file__).parents[2]
_PREAMBLE = """
    import logging, os, sys, traceback
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="LOG %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    from otel_failover.testing.providers import Answer, LocalProvider
    QUESTION = [{"role": "user", "content": "Hello?"}]
"""


def in_a_process(code: str, *, python: str = sys.executable, timeout: float = 120, **environment: str) -> str:
    """Run code in a fresh interpreter, without strict mode; return what it printed.

    Args:
        code: After a preamble that sets up logging and imports the local providers.
        python: The interpreter.
        timeout: In seconds; a process that hangs fails the test.
        environment: Further variables.
    """
    inherited: Mapping[str, str] = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    done = subprocess.run(
        [python, "-c", textwrap.dedent(_PREAMBLE) + textwrap.dedent(code)],
        env={**inherited, "PYTHONPATH": str(ROOT), "ANTHROPIC_OPEN_TELEMETRY_PROPAGATION": "false", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
