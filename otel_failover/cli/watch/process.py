"""The command that is watched: its own streams, its own signals, its own exit code."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_failover.cli.watch import child
from otel_failover.cli.watch.listener import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_START: Final = str(Path(__file__).parent / "start")
_TRACES: Final = "OTEL_TRACES_EXPORTER"
_METRICS: Final = "OTEL_METRICS_EXPORTER"
_SAME: Final = "failover_console"
_OTLP: Final = "OTEL_EXPORTER_OTLP_"
_PASSED: Final = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGINT")
_FROM_KEYS: Final = ("SIGINT", "SIGQUIT")
"""What a terminal sends to all processes in front of it, by a key."""
NOT_FOUND: Final = 127
NOT_STARTED: Final = 126


def environment(given: Mapping[str, str], port: int) -> dict[str, str]:
    """Return the environment of the command: every Python in it is instrumented, and sends its spans to a port.

    Who has said where telemetry goes is obeyed, of each signal: that stays, and the watcher gets the spans besides.
    Else spans and logs go nowhere but here; metrics do, since a candidate that hangs is noticed when they are read.
    What draws the same trees within the service is left out: they would come twice.

    Args:
        given: This process's.
        port: Where we listen.
    """
    result = dict(given)
    path = [each for each in given.get("PYTHONPATH", "").split(os.pathsep) if each and each != _START]
    result["PYTHONPATH"] = os.pathsep.join([_START, *path])
    result[child.PORT] = str(port)
    if _TRACES in given:
        kept = [each for each in given[_TRACES].split(",") if each.strip() != _SAME]
        result[_TRACES] = ",".join(kept) or "none"
    if any(name.startswith(_OTLP) for name in given):
        return result
    nothing = {_TRACES: "none", "OTEL_LOGS_EXPORTER": "none"}
    if _METRICS not in given:
        nothing |= {
            _METRICS: "otlp",
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://{HOST}:{port}/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL": "10000",
        }
    return {**nothing, **result}


class Command:
    """The command.

    Args:
        words: Program and arguments.
        env: Its environment.
    """

    def __init__(self, words: Sequence[str], env: Mapping[str, str]) -> None:
        self._words, self._env = list(words), dict(env)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it.

        Raises:
            FileNotFoundError: There is no such program.
            OSError: It cannot be started.
        """
        program = shutil.which(self._words[0])
        if program is None:
            if os.sep in self._words[0] and Path(self._words[0]).exists():
                raise PermissionError(f"{self._words[0]} cannot be executed")
            raise FileNotFoundError(f"there is no command {self._words[0]!r}")
        # What a user types is what is run, without a shell.
        self._process = subprocess.Popen(self._words, executable=program, env=self._env)  # noqa: S603

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process is None or self._process.poll() is not None

    @property
    def code(self) -> int:
        """Its exit code, as a shell has it: 128 and the signal's number where one has ended it."""
        code = self._process.wait() if self._process is not None else 0
        return code if code >= 0 else 128 - code

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Pass on what is sent to us; what a terminal's keys send, the command gets by itself."""
        before = {}
        for name in _PASSED:
            number = getattr(signal, name, None)
            if number is not None:
                before[number] = signal.signal(number, self._pass_on)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, frame: Any) -> None:  # noqa: ARG002 - a handler's signature
        if self._process is None or (signal.Signals(number).name in _FROM_KEYS and _is_in_front()):
            return
        if os.name == "nt":
            if number == signal.SIGTERM:
                self._process.terminate()
            return
        with contextlib.suppress(OSError):
            self._process.send_signal(number)


def _is_in_front() -> bool:
    """Whether the terminal's keys reach us, and so the command."""
    if os.name == "nt":
        return True
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(descriptor) == os.getpgrp()
    return False
