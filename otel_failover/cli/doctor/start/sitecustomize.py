"""Imported by each Python that an examined command starts: has it look at itself when it ends.

Which Python that is cannot be known beforehand, so this imports nothing that may be missing, and hurts nobody. An own
`sitecustomize` of the environment, which this one hides, is imported after it.
"""

import atexit
import contextlib
import importlib
import os
import sys
from pathlib import Path

_FOLDER = os.environ.get("FAILOVER_DOCTOR_REPORTS", "")
_HERE = str(Path(__file__).parent)
_IS_HELPER = any("multiprocessing.resource_tracker" in word for word in sys.orig_argv)
"""Whether this is a process that `multiprocessing` starts beside its own, which runs nobody's code."""


def _begin() -> None:
    """Leave a note that this process is there: it is all that is known of one that a signal ends."""
    with contextlib.suppress(OSError):
        (Path(_FOLDER) / f"{os.getpid()}.began").write_text(" ".join(sys.orig_argv), "utf-8")


def _report() -> None:
    with contextlib.suppress(OSError):  # a fork has none
        (Path(_FOLDER) / f"{os.getpid()}.began").unlink()
    if "opentelemetry" not in sys.modules and "otel_failover" not in sys.modules:
        return  # it has to do with neither: a shell's helper, a build tool
    try:
        from otel_failover.cli.doctor.service import write

        write(Path(_FOLDER))
    except Exception as problem:
        try:
            report = Path(_FOLDER) / f"{os.getpid()}.problem"
            report.write_text(f"{sys.executable}: {type(problem).__name__}: {problem}", "utf-8")
        except OSError:
            pass


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
    _begin()
    # Registered first, so that it is called last: after what the service itself does at its end.
    atexit.register(_report)
    sys.addaudithook(_stay_first)
    _import_hidden()
    _stay_first("os.exec")  # in what it starts, too: a hidden one puts itself first again
