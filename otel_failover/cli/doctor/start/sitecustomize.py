"""Imported by each Python that an examined command starts: has it look at itself when it ends.

Which Python that is cannot be known beforehand, so this imports nothing that may be missing, and hurts nobody. An own
`sitecustomize` of the environment, which this one hides, is imported after it.
"""

import atexit
import contextlib
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path

_FOLDER = os.environ.get("FAILOVER_DOCTOR_REPORTS", "")
_STARTED_BY = "FAILOVER_DOCTOR_STARTED_BY"
"""Variable in which each Python leaves its id to those that it starts, by whatever way."""
_LONGEST = 20.0
"""Seconds that a look may take where a signal ends the process: what it interrupted may hold a lock for ever."""
_PROCESS = os.getpid()
_HERE = str(Path(__file__).parent)
_IS_HELPER = any("multiprocessing.resource_tracker" in word for word in sys.orig_argv)
"""Whether this is a process that `multiprocessing` starts beside its own, which runs nobody's code."""


def _begin() -> int:
    """Leave a note that this process is there, all that is known of one that is killed; return who has started it."""
    place = Path(_FOLDER) / f"{_PROCESS}.began"
    starter = int(os.environ.get(_STARTED_BY, "0"))
    os.environ[_STARTED_BY] = str(_PROCESS)
    with contextlib.suppress(OSError):
        if starter == _PROCESS:  # a launcher that has become this Python
            starter = int(json.loads(place.read_text("utf-8"))["started_by"])
        note = {"process": " ".join(sys.orig_argv), "started_by": starter}
        place.write_text(json.dumps(note), "utf-8")
    return starter


def _report() -> None:
    try:
        # What has to do with neither is a shell's helper, or a build tool.
        if "opentelemetry" in sys.modules or "otel_failover" in sys.modules:
            _look()
    finally:
        with contextlib.suppress(OSError):  # a fork has none
            (Path(_FOLDER) / f"{os.getpid()}.began").unlink()


def _look() -> None:
    try:
        from otel_failover.cli.doctor.service import write

        write(Path(_FOLDER), started_by=_STARTER if os.getpid() == _PROCESS else _PROCESS)
    except Exception as problem:
        try:
            report = Path(_FOLDER) / f"{os.getpid()}.problem"
            report.write_text(f"{sys.executable}: {type(problem).__name__}: {problem}", "utf-8")
        except OSError:
            pass


def _end(number: int, frame: object) -> None:  # noqa: ARG001 - a handler's signature
    """Look, and then be ended by the signal as without us: a server's worker ends so, once it has shut down."""
    signal.signal(number, signal.SIG_DFL)
    if os.getpid() == _PROCESS:
        looking = threading.Thread(target=_report, daemon=True)
        looking.start()
        looking.join(_LONGEST)
    signal.raise_signal(number)


def _stay_first(event: str, arguments: object = None) -> None:  # noqa: ARG001 - a hook's signature
    """Stand first again where a launcher such as `opentelemetry-instrument` becomes a Python with one of its own."""
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep) if event == "os.exec" else []
    if _HERE in path:
        os.environ["PYTHONPATH"] = os.pathsep.join([_HERE, *(each for each in path if each != _HERE)])


def _import_hidden() -> None:
    """Import the `sitecustomize` that would have been imported without this one."""
    sys.path[:] = [path for path in sys.path if path != _HERE]
    ours = sys.modules.pop(__name__)
    try:
        importlib.import_module("sitecustomize")
    except ImportError:
        sys.modules[__name__] = ours


if _FOLDER and not _IS_HELPER and __name__ == "sitecustomize":
    _STARTER = _begin()
    # Registered first, so that it is called last: after what the service itself does at its end.
    atexit.register(_report)
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end)
    sys.addaudithook(_stay_first)
    _import_hidden()
    _stay_first("os.exec")  # in what it starts, too: a hidden one puts itself first again
