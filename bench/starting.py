"""What a start costs, in processes of their own: our import beyond OpenTelemetry's, and the command line's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.claims import Broken

ROOT: Final = Path(__file__).resolve().parent.parent
_OTHERS: Final = ("openai", "anthropic", "httpx", "httpx2", "rich")
_BEFORE: Final = "import opentelemetry.sdk.trace, opentelemetry.metrics, opentelemetry.instrumentation.instrumentor"
_IMPORT: Final = "import otel_failover"
_COMMAND: Final = """
from contextlib import suppress
from otel_failover.cli import main
with suppress(SystemExit):
    main(["--help"])
"""
_MEASURED: Final = """
import json, sys, time

def count(executed):
    def inside(frame, event, arg):
        if event == "opcode":
            executed[0] += 1
        return inside
    def entered(frame, event, arg):
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return inside
    return entered

{before}
code, executed, modules = compile({what!r}, "started", "exec"), [0], len(sys.modules)
out, sys.stdout = sys.stdout, sys.stderr
started = time.process_time()
{counting}
exec(code, {{}})
sys.settrace(None)
took = time.process_time() - started
others = [name for name in {others!r} if name in sys.modules]
print(json.dumps([took, executed[0], len(sys.modules) - modules, others]), file=out)
"""


@dataclass(frozen=True)
class Start:
    """What a start takes.

    Args:
        milliseconds: Of CPU time, in the cheapest of some processes.
        executed: Bytecode instructions.
        modules: How many are imported.
        others: SDKs and libraries among them that nobody asked for.
    """

    milliseconds: float
    executed: int
    modules: int
    others: tuple[str, ...]


def importing(times: int = 5) -> Start:
    """Return what our import adds to OpenTelemetry's own.

    Args:
        times: How many processes, after one that writes the byte code.
    """
    return _started(_BEFORE, _IMPORT, times)


def command(times: int = 5) -> Start:
    """Return what `otel-failover --help` takes, beyond the interpreter's own start.

    Args:
        times: How many processes, after one that writes the byte code.
    """
    return _started("", _COMMAND, times)


def _started(before: str, what: str, times: int) -> Start:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as cache:
        # Byte code of its own, even where the environment forbids writing any: compiling is not importing.
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}

        def run(counting: str) -> Any:
            script = _MEASURED.format(before=before, what=what, counting=counting, others=_OTHERS)
            ran = subprocess.run(
                [sys.executable, "-c", script], env=environment, capture_output=True, check=False, text=True
            )
            if ran.returncode:
                raise Broken(f"{what.strip()}: {ran.stderr[-2000:]}")
            return json.loads(ran.stdout)

        run("")
        best = min(run("")[0] for _ in range(times))
        _, executed, modules, others = run("sys.settrace(count(executed))")
    return Start(best * 1e3, executed, modules, tuple(others))
