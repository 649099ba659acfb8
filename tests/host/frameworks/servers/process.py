"""Servers in processes of their own, started without a line of code, and what they export."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_failover.testing.providers import Answer, LocalProvider
from tests.cli.collector import Collector
from tests.support.process import ROOT
from tests.support.spans import spans_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Exported

COMMAND: Final = Path(sys.executable).with_name("opentelemetry-instrument")
LATE: Final = "The tide is late."
SILENT = "such a run is told once nobody has asked again for a while: core/runs/inferred/test_processes"
"""Why what is served without a span is not looked at where nobody answers."""
PATIENCE: Final = 90.0
"""Seconds that a busy machine may need to start a server, or to export."""
_ALWAYS: Final = [
    "openai",
    "anthropic",
    "httpx",
    "httpx2",
    "requests",
    "urllib",
    "urllib3",
    "openai_agents",
    "langchain",
]
"""Other instrumentations that an environment may have: none of a server's, nor of its threads and tasks."""


def needs(*modules: str) -> None:
    """Skip where a server, or what starts it, is not installed."""
    for each in ("opentelemetry.distro", *modules):
        pytest.importorskip(each)
    if not COMMAND.exists():
        pytest.skip("needs opentelemetry-instrument")


@dataclass
class Running:
    """A server, or a worker, at work.

    Attributes:
        process: It.
        collector: Where its spans go.
        url: Where it listens; empty for a worker.
        log: Where its output goes.
        environment: In which it works.
    """

    process: subprocess.Popen[bytes]
    collector: Collector
    url: str
    log: Path
    environment: dict[str, str]

    def post(self, path: str) -> tuple[int, str]:
        """Ask; return status and answer."""
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.url + path, method="POST"), timeout=PATIENCE
            ) as said:
                return said.status, said.read().decode()
        except urllib.error.HTTPError as problem:
            return problem.code, ""

    @property
    def spans(self) -> list[Exported]:
        """What it has exported so far."""
        got = list(self.collector.got.get("/v1/traces", ()))
        return [span for each in got for span in spans_in(ExportTraceServiceRequest.FromString(each))]

    def wait(self, done: Callable[[list[Exported]], object]) -> list[Exported]:
        """Return what it exported, once that is enough; fail with its output where it never is."""
        self._until(lambda: done(self.spans))
        return self.spans

    def started(self) -> None:
        """Wait until it listens."""

        def listens() -> bool:
            try:
                with urllib.request.urlopen(f"{self.url}/up", timeout=5) as said:
                    return bool(said.status == 200)
            except OSError:
                return False

        self._until(listens)

    def _until(self, look: Callable[[], Any]) -> Any:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = look()
            if found:
                return found
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"{[span.name for span in self.spans]}\n{self.log.read_text()}")


@contextmanager
def running(
    command: list[str],
    log: Path,
    providers: tuple[LocalProvider, LocalProvider],
    *,
    port: int = 0,
    off: str = "",
    **more: str,
) -> Iterator[Running]:
    """Run a command under `opentelemetry-instrument`; it is ended with the test.

    Args:
        command: A module and its arguments, as `python -m` takes them.
        log: Where its output goes.
        providers: Whom it may ask.
        port: Where it listens.
        off: Further instrumentations that stay off, separated by commas.
        more: Further variables.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        "PYTHONPATH": str(ROOT), "FIRST": providers[0].base_url, "SECOND": providers[1].base_url,
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(filter(None, [*_ALWAYS, off])),
        "OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_BSP_SCHEDULE_DELAY": "100",
        "ANTHROPIC_OPEN_TELEMETRY_PROPAGATION": "false", "NO_PROXY": "127.0.0.1", **more,
    }  # fmt: skip
    with Collector() as collector, log.open("wb") as output:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        process = subprocess.Popen(
            [str(COMMAND), sys.executable, "-m", *command],
            env=environment, cwd=log.parent, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            server = Running(process, collector, f"http://127.0.0.1:{port}" if port else "", log, environment)
            if port:
                server.started()
            yield server
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Service:
    """A server, or a worker, and those whom it asks.

    Args:
        server: At work.
        first: Whom it asks first.
        second: Whom it asks next.
        traced: Whether what it serves has a span of its own.
    """

    def __init__(self, server: Running, first: LocalProvider, second: LocalProvider, *, traced: bool) -> None:
        self.server, self.first, self.second, self.traced = server, first, second, traced

    def restart(self) -> None:
        """Let the first provider refuse from now on, and the second one answer."""
        self.first.program(Answer.openai_quota())
        self.second.program(Answer.ok(LATE))

    def ask(self, path: str, question: str, *, calls: int, **more: str) -> tuple[int, str, list[Exported]]:
        """Ask; return status and answer, and the spans that it made, once all calls are there."""
        before = {span.span_id for span in self.server.spans}
        query = "&".join(f"{name}={urllib.parse.quote(text)}" for name, text in {"q": question, **more}.items())
        status, said = self.server.post(f"{path}?{query}")
        return status, said, self.new(before, calls)

    def new(self, before: set[str], calls: int) -> list[Exported]:
        """Return the spans that were not there before, once there are so many calls, and what they are inside."""

        def fresh(spans: list[Exported]) -> list[Exported]:
            up = {span.trace_id for span in spans if span.name == "GET /up"}
            return [span for span in spans if span.span_id not in before and span.trace_id not in up]

        def done(spans: list[Exported]) -> bool:
            new = fresh(spans)
            made = [span for span in new if span["gen_ai.operation.name"] == "chat"]
            return len(made) >= calls and all(is_whole(span, new) for span in new)

        self.server.wait(done)
        time.sleep(0.3)  # three times as long as spans wait for export: nothing may come behind
        return fresh(self.server.spans)


def is_whole(span: Exported, spans: list[Exported]) -> bool:
    """Whether what a span is inside, if anything, has been exported too."""
    return not span.parent_id or any(each.span_id == span.parent_id for each in spans)
