"""Looking at a service itself: it runs as it is started, and each of its Pythons looks at itself when it ends.

Nothing is turned on for it: what it does without us, `opentelemetry-instrument` or a line of its own, is looked at.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.text.redaction import cut
from otel_failover.cli.doctor.examination import examine
from otel_failover.cli.doctor.report import report
from otel_failover.cli.watch.process import NOT_FOUND, NOT_STARTED, Command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FOLDER: Final = "FAILOVER_DOCTOR_REPORTS"
"""Variable of the environment: where reports are written. No setting, so of no setting's name."""
_START: Final = str(Path(__file__).parent / "start")
_NONE: Final = (
    "the command has left no report: it started no Python that ends by itself (a signal that it does not handle, or "
    "os._exit, leaves none), or one without otel-failover"
)

_SILENT: Final = (
    "{number} more of its Pythons left no report, since a signal or os._exit ended them, so nothing here is said of "
    "them: {first}. A server's workers end so: start it with one process to look at what it does"
)
_WORDS: Final = 120


def environment(given: Mapping[str, str], folder: str) -> dict[str, str]:
    """Return the environment of the command, in which every Python looks at itself when it ends.

    Args:
        given: This process's.
        folder: Where reports are written.
    """
    path = [each for each in given.get("PYTHONPATH", "").split(os.pathsep) if each]
    return {**given, "PYTHONPATH": os.pathsep.join([_START, *path]), _FOLDER: folder}


def write(folder: Path) -> None:
    """Look at this process, and write what is found.

    Args:
        folder: Where.
    """
    found = examine(is_service=True)
    document = {"process": " ".join(sys.orig_argv), "text": report(found), "found": found.as_dict()}
    (folder / f"{os.getpid()}.json").write_text(json.dumps(document), "utf-8")


def run(words: Sequence[str], *, as_json: bool) -> int:
    """Run a command, and say what its processes have seen of themselves.

    Args:
        words: Program and arguments.
        as_json: Print JSON.

    Returns:
        0 if each of them is well; 1 if not, or none has said anything; 126 where it cannot be started, 127 where there
        is none.
    """
    with tempfile.TemporaryDirectory(prefix="failover-doctor-") as folder:
        command = Command(words, environment(os.environ, folder))
        with command.signals():
            try:
                command.start()
            except FileNotFoundError as problem:
                print(f"otel-failover doctor: {problem}", file=sys.stderr)
                return NOT_FOUND
            except OSError as problem:
                print(f"otel-failover doctor: {words[0]} cannot be started: {problem}", file=sys.stderr)
                return NOT_STARTED
            code = command.code
        reports = [json.loads(each.read_text("utf-8")) for each in sorted(Path(folder).glob("*.json"))]
        silent = [each.read_text("utf-8") for each in sorted(Path(folder).glob("*.began"))]
        problems = [each.read_text("utf-8") for each in sorted(Path(folder).glob("*.problem"))]
    if not reports:
        problems.append(_NONE)
    ok = not problems and all(each["found"]["ok"] for each in reports)
    if as_json:
        processes = [{"process": each["process"], **each["found"]} for each in reports]
        print(
            json.dumps(
                {"ok": ok, "code": code, "processes": processes, "silent": silent, "problems": problems}, indent=2
            )
        )
    else:
        print("\n\n".join(_told(reports, problems, silent if reports else ())))
    return 0 if ok else 1


def _told(reports: Sequence[Mapping[str, Any]], problems: Sequence[str], silent: Sequence[str]) -> list[str]:
    told = [f"process {each['process']}\n\n{each['text']}" for each in reports]
    return [*told, *problems, *([_SILENT.format(number=len(silent), first=cut(silent[0], _WORDS))] if silent else [])]
