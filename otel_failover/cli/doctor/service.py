"""Looking at a service itself: it runs as it is started, and each of its Pythons looks at itself when it ends.

Nothing is turned on for it: what it does without us, `opentelemetry-instrument` or a line of its own, is looked at.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.text.redaction import cut
from otel_failover.cli.doctor import patched
from otel_failover.cli.doctor.examination import NOT_ON, examine
from otel_failover.cli.doctor.report import report
from otel_failover.cli.watch.process import NOT_FOUND, NOT_STARTED, Command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_failover.cli.doctor.examination import Examination

_FOLDER: Final = "FAILOVER_DOCTOR_REPORTS"
"""Variable of the environment: where reports are written. No setting, so of no setting's name."""
_START: Final = str(Path(__file__).parent / "start")
_NONE: Final = (
    "the command has left no report: it started no Python that ends by itself (a signal that it does not handle, or "
    "os._exit, leaves none), or one without otel-failover"
)

_SILENT: Final = (
    "{number} more of its Pythons left no report, since they were killed or ended by os._exit, so nothing here is said "
    "of them: {first}"
)
_STARTS: Final = (
    "this process only starts others, such as a server's workers, and asks nobody by itself: what is patched there "
    "stands in their reports"
)
_STARTS_SILENT: Final = (
    "this process only starts others, such as a server's workers, and none of them left a report: they were killed, or "
    "ended by os._exit. Start the server with one process to look at what it does"
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


def write(folder: Path, *, started_by: int) -> None:
    """Look at this process, and write what is found.

    What is told of it where it turns out to have only started others stands beside: whether it has is known when all
    of them have ended.

    Args:
        folder: Where.
        started_by: Which of the examined processes has started it; 0 for none.
    """
    asks = patched.is_anything_imported()
    found = examine(is_service=True)
    document = {"process": " ".join(sys.orig_argv), "id": os.getpid(), "started_by": started_by, **_document(found)}
    if not asks:
        rest = tuple(each for each in found.problems if not each.startswith((patched.NOTHING, NOT_ON)))
        if rest != found.problems:
            document["starts"] = _document(replace(found, problems=rest, notes=(_STARTS, *found.notes)))
            document["starts_silent"] = _document(replace(found, problems=(_STARTS_SILENT, *rest)))
    (folder / f"{os.getpid()}.json").write_text(json.dumps(document), "utf-8")


def _document(found: Examination) -> dict[str, Any]:
    return {"text": report(found), "found": found.as_dict()}


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
        notes = [json.loads(each.read_text("utf-8")) for each in sorted(Path(folder).glob("*.began"))]
        problems = [each.read_text("utf-8") for each in sorted(Path(folder).glob("*.problem"))]
    if not reports:
        problems.append(_NONE)
    silent = [each["process"] for each in notes]
    reports = [_as_what_it_is(each, reports, notes) for each in reports]
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


def _as_what_it_is(
    mine: Mapping[str, Any], reports: Sequence[Mapping[str, Any]], silent: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Return the report of a process, as one that only starts others where it is one.

    Args:
        mine: Its report.
        reports: Of all.
        silent: Notes of those that have left none.
    """
    if "starts" not in mine:
        return mine
    if any(each["started_by"] == mine["id"] for each in reports):
        return {**mine, **mine["starts"]}
    if any(each["started_by"] == mine["id"] for each in silent):
        return {**mine, **mine["starts_silent"]}
    return mine


def _told(reports: Sequence[Mapping[str, Any]], problems: Sequence[str], silent: Sequence[str]) -> list[str]:
    """Return paragraphs: what is the same of several processes, workers of one server, once."""
    same = Counter((each["process"], each["text"]) for each in reports)
    told = [
        f"process {process}{f' ({number} of them)' if number > 1 else ''}\n\n{text}"
        for (process, text), number in same.items()
    ]
    return [*told, *problems, *([_SILENT.format(number=len(silent), first=cut(silent[0], _WORDS))] if silent else [])]
