"""The real programs behind the configurations of this folder: found, or built, and started on one machine.

The collector and Jaeger are built from the Go module proxy, about ten minutes on two idle cores and seconds afterwards;
Prometheus and Alertmanager are Debian's packages.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

HERE: Final = Path(__file__).parent
CACHE: Final = Path(os.environ.get("FAILOVER_OPS_CACHE") or Path.home() / ".cache" / "otel-failover" / "ops")
BUILDER: Final = "go.opentelemetry.io/collector/cmd/builder@v0.161.0"
JAEGER: Final = "github.com/jaegertracing/jaeger/cmd/jaeger@v1.76.0"
"""The same commit as Jaeger v2.13.0: newer releases are no valid versions of its Go module."""

NAMES: Final = {
    "collector": ("otelcol-failover",),
    "jaeger": ("jaeger",),
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("alertmanager", "prometheus-alertmanager"),
    "amtool": ("amtool",),
}
BUILT: Final = ("collector", "jaeger")


def find(program: str) -> str | None:
    """Return the path of a program: built here before, or installed."""
    for name in NAMES[program]:
        built = CACHE / "bin" / name
        if built.exists():
            return str(built)
        if found := shutil.which(name):
            return found
    return None


def missing() -> list[str]:
    """Return the programs that are neither built nor installed."""
    return [program for program in NAMES if find(program) is None]


def build(program: str) -> None:
    """Build the collector or Jaeger, unless it is there.

    Raises:
        RuntimeError: There is no Go to build it with.
    """
    if find(program) is not None:
        return
    if shutil.which("go") is None:
        raise RuntimeError(f"{program} is built with Go, 1.25 or newer, and there is none")
    binaries, room = CACHE / "bin", CACHE / program
    binaries.mkdir(parents=True, exist_ok=True)
    room.mkdir(exist_ok=True)
    settings = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(binaries)}

    def go(*arguments: str) -> None:
        subprocess.run(arguments, cwd=room, env=settings, check=True)

    if program == "collector":
        go("go", "install", BUILDER)
        shutil.copy(HERE / "collector" / "builder.yaml", room)
        go(str(binaries / "builder"), "--config=builder.yaml")
        made = room / "build" / "otelcol-failover"
    else:
        if not (room / "go.mod").exists():
            go("go", "mod", "init", "example.invalid/jaeger")
        go("go", "get", "-tool", JAEGER)
        go("go", "build", "-trimpath", "-ldflags=-s -w", "-o", "made", JAEGER.partition("@")[0])
        made = room / "made"
    made.rename(binaries / NAMES[program][0])  # at once, so that a build that was cut off is none


_given: Final[set[int]] = set()


def free_port() -> int:
    """Return a port that nobody listens at, below those that the kernel gives to clients."""
    for port in range(21000, 32000):
        if port not in _given:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) != 0:
                    _given.add(port)
                    return port
    raise RuntimeError("no port is free")


def fetch(url: str, **sent: Any) -> Any:
    """Return the JSON at an address; what is sent is sent as JSON."""
    data = json.dumps(sent).encode() if sent else None
    with urllib.request.urlopen(
        urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=10
    ) as it:
        return json.loads(it.read() or b"null")


def wait_for(what: str, look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Look until there is something, and return it.

    Raises:
        TimeoutError: There was nothing.
    """
    end, problem = time.monotonic() + seconds, "nothing"
    while time.monotonic() < end:
        try:
            if found := look():
                return found
        except (OSError, ValueError, LookupError) as refused:
            problem = repr(refused)
        time.sleep(0.25)
    raise TimeoutError(f"{what}: {problem} within {seconds:.0f} s")


class Stack:
    """Collector, Jaeger, Prometheus and Alertmanager on this machine.

    Args:
        folder: For what they write, their logs among it.
        settings: For the collector's environment: `DECISION_WAIT`, `DECISION_WAIT_AFTER_ROOT`.
        rules: Changes the text of the rules, to hurry them.
        scrape: How often Prometheus looks.
        pager: Where alerts are sent: host and port.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, str],
        rules: Callable[[str], str] = str,
        scrape: str = "15s",
        pager: str = "127.0.0.1:8080",
    ) -> None:
        self._folder, self._settings, self._rules, self._scrape, self._pager = folder, settings, rules, scrape, pager
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        names = ("otlp", "otlp_grpc", "metrics", "own", "jaeger", "jaeger_otlp", "prometheus", "alertmanager")
        self.ports = {name: free_port() for name in names}

    def url(self, name: str) -> str:
        """Return the address of one of them."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self) -> None:
        """Start all, and wait until each answers."""
        self._write()
        self.start_jaeger()
        self.start_collector()
        port = self.ports
        self._start(
            "alertmanager", f"--config.file={self._folder}/alertmanager.yml", f"--storage.path={self._folder}/am",
            f"--web.listen-address=127.0.0.1:{port['alertmanager']}", "--cluster.listen-address=",
        )  # fmt: skip
        self._start(
            "prometheus", f"--config.file={self._folder}/prometheus.yml", f"--storage.tsdb.path={self._folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{port['prometheus']}", "--enable-feature=exemplar-storage",
        )  # fmt: skip
        wait_for("Alertmanager", lambda: fetch(f"{self.url('alertmanager')}/api/v2/status"))
        wait_for("Prometheus", lambda: fetch(f"{self.url('prometheus')}/api/v1/status/buildinfo"))

    def _write(self) -> None:
        """Write the configurations as they stand beside this file, with this machine's addresses."""
        (self._folder / "rules.yml").write_text(
            self._rules((HERE / "prometheus" / "rules.yml").read_text("utf-8")), "utf-8"
        )
        text = (HERE / "prometheus" / "prometheus.yml").read_text("utf-8")
        text = text.replace("collector:8889", f"127.0.0.1:{self.ports['metrics']}").replace("15s", self._scrape)
        text = text.replace("alertmanager:9093", f"127.0.0.1:{self.ports['alertmanager']}")
        (self._folder / "prometheus.yml").write_text(text, "utf-8")
        text = (HERE / "prometheus" / "alertmanager.yml").read_text("utf-8").replace("pager:8080", self._pager)
        if self._scrape != "15s":
            text = text.replace("group_wait: 10s", "group_wait: 0s").replace("group_interval: 1m", "group_interval: 2s")
        (self._folder / "alertmanager.yml").write_text(text, "utf-8")

    def start_jaeger(self) -> None:
        """Start Jaeger."""
        self._start("jaeger", f"--config={HERE}/jaeger/jaeger.yaml", **self.jaeger_settings())
        wait_for("Jaeger", lambda: fetch(f"{self.url('jaeger')}/api/services"))

    def jaeger_settings(self) -> dict[str, str]:
        """Return the addresses that Jaeger's configuration asks for."""
        return {
            "OTLP_GRPC": f"127.0.0.1:{self.ports['jaeger_otlp']}",
            "OTLP_HTTP": f"127.0.0.1:{free_port()}",
            "JAEGER_HTTP": f"127.0.0.1:{self.ports['jaeger']}",
            "JAEGER_GRPC": f"127.0.0.1:{free_port()}",
            "JAEGER_UI": str(HERE / "jaeger" / "ui.json"),
            "PROMETHEUS": self.url("prometheus"),
            "OWN_METRICS_HOST": "127.0.0.1",
            "OWN_METRICS_PORT": str(free_port()),
        }

    def start_collector(self) -> None:
        """Start the collector."""
        self._start("collector", f"--config={HERE}/collector/collector.yaml", **self.collector_settings())
        wait_for("the collector", lambda: self._listens(self.ports["otlp"]) and self._listens(self.ports["metrics"]))

    def collector_settings(self) -> dict[str, str]:
        """Return the addresses that the collector's configuration asks for."""
        return {
            "OTLP_GRPC": f"127.0.0.1:{self.ports['otlp_grpc']}",
            "OTLP_HTTP": f"127.0.0.1:{self.ports['otlp']}",
            "JAEGER_OTLP": f"127.0.0.1:{self.ports['jaeger_otlp']}",
            "METRICS": f"127.0.0.1:{self.ports['metrics']}",
            "OWN_METRICS_HOST": "127.0.0.1",
            "OWN_METRICS_PORT": str(self.ports["own"]),
            **self._settings,
        }

    @staticmethod
    def _listens(port: int) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    def _start(self, program: str, *arguments: str, **settings: str) -> None:
        path = find(program)
        if path is None:
            raise RuntimeError(f"{program} is not here: python -m examples.ops.up --build")
        with (self._folder / f"{program}.log").open("ab") as log:
            self._running[program] = subprocess.Popen(
                [path, *arguments], stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **settings}
            )

    def stop(self, program: str) -> None:
        """End one of them, as an orchestrator does."""
        process = self._running.pop(program, None)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        """End all."""
        for program in tuple(self._running):
            self.stop(program)
