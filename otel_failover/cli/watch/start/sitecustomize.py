"""Imported by each Python that a watched command starts, before the application: begins to watch it.

Which Python that is cannot be known beforehand, so this imports nothing that may be missing, and hurts nobody. An own
`sitecustomize` of the environment, which this one hides, is imported after it.
"""

import importlib
import os
import socket
import sys
from pathlib import Path

_PORT = os.environ.get("FAILOVER_WATCH_PORT", "")
_HERE = str(Path(__file__).parent)
_IS_HELPER = any("multiprocessing.resource_tracker" in word for word in sys.orig_argv)
"""Whether this is a process that `multiprocessing` starts beside its own, which runs nobody's code."""


def _tell(text: str) -> None:
    """Say to the watcher that this process is watched, or why not."""
    body = text.encode("utf-8", "replace")
    head = "POST /watched HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    try:
        with socket.create_connection(("127.0.0.1", int(_PORT)), 1.0) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            connection.recv(4096)
    except (OSError, ValueError):
        pass


def _stay_first(event: str, arguments: object) -> None:  # noqa: ARG001 - a hook's signature
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


if _PORT and not _IS_HELPER and __name__ == "sitecustomize":
    try:
        from otel_failover.cli.watch.child import begin

        begin()
    except Exception as _problem:
        _tell(f"{sys.executable}: {type(_problem).__name__}: {_problem}")
    else:
        _tell("")
    sys.addaudithook(_stay_first)
    _import_hidden()
