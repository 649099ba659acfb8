"""`OTEL_TRACES_EXPORTER=failover_console`: trees on standard error, and a host that never notices."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode

from otel_failover.cli.live.exporter import ConsoleExporter, open_attempts
from tests.cli.collector import Collector
from tests.cli.command import environment
from tests.cli.live import service

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.trace import Tracer

PICTURE = """\
failover chat  fallback, served by openai/gpt-5.5-mini, N s
├── candidate openai  gpt-5.5  error 429 billing, N s  verified
│   └── chat gpt-5.5  error 429 openai.RateLimitError, N s
└── candidate openai  gpt-5.5-mini  success 200, N s  verified
    └── chat gpt-5.5-mini  N s
"""
needs_terminals = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals and forks are POSIX's")


def masked(text: str) -> str:
    """Return what was drawn without times and ids."""
    text = re.sub(r"(?m)^\d\d:\d\d:\d\d  (?:\S+  )?trace [0-9a-f]{32}\n", "", text)
    return re.sub(r"\d+\.\d\d s", "N s", text)


@pytest.mark.parametrize("processor", ["SimpleSpanProcessor", "BatchSpanProcessor"])
def test_a_run_is_drawn_on_standard_error(processor: str, tmp_path: Path) -> None:
    """Standard output is the service's own. What is no terminal gets plain text."""
    program = service.script(service.SDK, service.INSTRUMENT, service.SERVICE, processor=processor)
    done = service.run(program, tmp_path)
    assert done.stdout == b"DATA\n"
    assert masked(done.stderr.decode()) == PICTURE


def test_it_is_found_by_its_name_and_stands_beside_another(tmp_path: Path) -> None:
    (point,) = importlib.metadata.entry_points(group="opentelemetry_traces_exporter", name="failover_console")
    assert point.load() is ConsoleExporter
    with Collector() as collector:
        given = {
            "OTEL_TRACES_EXPORTER": "failover_console,otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "my-service",
        }
        done = service.run(service.script(service.CONFIGURED, service.INSTRUMENT, service.SERVICE), tmp_path, given)
        assert b"candidate openai" in b"".join(collector.got["/v1/traces"])
    assert masked(done.stderr.decode()) == PICTURE
    assert re.match(rb"\d\d:\d\d:\d\d  my-service  trace [0-9a-f]{32}\n", done.stderr)


def test_without_rich_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    """Nothing else of the service's telemetry is lost to it."""
    hidden = "import sys\nsys.modules['rich'] = None"
    program = service.script(hidden, service.CONFIGURED, service.INSTRUMENT, service.SERVICE)
    given = {
        "OTEL_TRACES_EXPORTER": "failover_console,console",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    done = service.run(program, tmp_path, given)
    assert done.stderr.count(b"failover_console draws nothing: it needs pip install 'otel-failover[watch]'") == 1
    assert b"Traceback" not in done.stderr
    assert b'"name": "failover chat"' in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_stream_without_the_signs_gets_others(encoding: str, tmp_path: Path) -> None:
    program = service.script(service.SDK, service.INSTRUMENT, service.SERVICE)
    done = service.run(program, tmp_path, {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    text = done.stderr.decode(encoding)
    assert "+-- candidate openai" in text
    assert "?" not in text
    assert text.isascii()


@needs_terminals
def test_on_a_terminal_there_are_colours_unless_the_user_has_none(tmp_path: Path) -> None:
    command = [sys.executable, "-c", service.script(service.SDK, service.INSTRUMENT, service.SERVICE)]
    code, text = service.in_a_terminal(command, tmp_path)
    assert code == 0
    assert "\x1b[32mverified\x1b[0m" in text.replace("  verified", "verified")
    code, text = service.in_a_terminal(command, tmp_path, {"NO_COLOR": "1"})
    assert "verified" in text
    assert not re.search(r"\x1b\[[\d;]*3\d", text)
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert PICTURE in masked(plain)
    assert "\x1b" not in plain


def test_colours_can_be_asked_for(tmp_path: Path) -> None:
    program = service.script(service.SDK, service.INSTRUMENT, service.SERVICE)
    assert b"\x1b[" in service.run(program, tmp_path, {"FORCE_COLOR": "1"}).stderr


@needs_terminals
def test_a_narrow_terminal_folds_lines(tmp_path: Path) -> None:
    command = [sys.executable, "-c", service.script(service.SDK, service.INSTRUMENT, service.SERVICE)]
    _, text = service.in_a_terminal(command, tmp_path, {"NO_COLOR": "1"}, columns=40)
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    assert len(lines) > 6
    assert max(map(len, lines)) <= 40


# --- a host that never notices ----------------------------------------------------------------------------------------


@needs_terminals
@pytest.mark.parametrize("broken", ["closed", "no reader", "closed by the application"])
def test_a_standard_error_that_is_gone_hurts_nobody(broken: str, tmp_path: Path) -> None:
    first = {"closed": "import os\nos.close(2)", "closed by the application": "import sys\nsys.stderr.close()"}
    program = service.script(first.get(broken, ""), service.SDK, service.INSTRUMENT, service.SERVICE)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stderr.close()
    assert process.stdout.read() == b"DATA\n"
    process.stdout.close()
    assert process.wait(120) == 0


@needs_terminals
def test_workers_write_whole_trees_to_one_stream(tmp_path: Path) -> None:
    """Forked from a process that has an exporter, as a server's workers are: each draws its own runs, once."""
    workers = """
        import os
        passes()
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                passes(5)
                tracers.shutdown()
                os._exit(0)
            children.append(child)
        assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    """
    program = service.script(service.SDK, service.INSTRUMENT, service.LOOP, workers)
    text = masked(service.run(program, tmp_path).stderr.decode())
    assert text == PICTURE * 21


@pytest.mark.slow
def test_a_long_run_shows_that_it_is_still_going(tmp_path: Path) -> None:
    """With what has ended in it; its own span has not come."""
    program = service.script(service.SDK, service.INSTRUMENT, service.LOOP, "passes(1, 11.0)")
    lines = service.run(program, tmp_path).stderr.decode().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d  failover still going, 1[01] s: openai error 429 billing", lines[0])
    assert masked("\n".join(lines[1:]) + "\n") == PICTURE


def traced(exporter: ConsoleExporter) -> Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("otel_failover")


CALL = {"candidate.provider": "a", "candidate.outcome": "error"}


def test_what_is_open_is_asked_of_the_instrumentation(telemetry: Any) -> None:
    from otel_failover import failover_run

    assert open_attempts() == []
    with failover_run("chat") as run, run.attempt("openai/gpt-5.5"):
        (found,) = open_attempts()
        assert (found.run_id, found.run_name, found.who) == (run.id, "failover chat", "openai gpt-5.5")
        assert found.run_began <= found.began
    assert open_attempts() == []


def test_a_span_that_ends_while_another_is_drawn_waits_for_nobody() -> None:
    """In the same thread: a finalizer that ends a span, or a stream that makes one for each write."""

    class Tracing(io.StringIO):
        def write(self, text: str) -> int:
            if not self.getvalue():
                super().write(text)
                tracer.start_span("chat second", attributes=CALL).end()
                return len(text)
            return super().write(text)

    out = Tracing()
    tracer = traced(ConsoleExporter(out))
    tracer.start_span("chat first", attributes=CALL).end()
    first, second = out.getvalue().splitlines()
    assert "chat first" in first
    assert "chat second" in second


def test_what_comes_while_the_terminal_is_held_is_bounded_and_counted() -> None:
    class Held(io.StringIO):
        def write(self, text: str) -> int:
            if not self.getvalue():
                super().write(text)
                for number in range(10_010):
                    tracer.start_span(f"SELECT {number}").end()
                return len(text)
            return super().write(text)

    out = Held()
    tracer = traced(ConsoleExporter(out))
    tracer.start_span("chat first", attributes=CALL).end()
    assert out.getvalue().splitlines()[1:] == ["10 spans came faster than they could be drawn, and are lost"]


def test_credentials_in_foreign_spans_are_not_shown() -> None:
    key = "sk-proj-Ab12Cd34Ef56Gh78Ij90Kl12"
    out = io.StringIO()
    facts = {"failover.attribution.verdict": "inconsistent", "error.type": f"api_key={key}"}
    theirs = TracerProvider(shutdown_on_exit=False)
    theirs.add_span_processor(SimpleSpanProcessor(ConsoleExporter(out)))
    for name, attributes in ((f"GET /v1?key={key}", facts), ("GET", {**facts, "error.type": ""})):
        span = theirs.get_tracer("app").start_span(name, attributes=attributes)
        span.set_status(Status(StatusCode.ERROR, f"Incorrect API key provided: {key}"))
        span.end()
    assert out.getvalue().count("[redacted]") == 3
    assert "Ab12" not in out.getvalue()


def test_a_shutdown_draws_what_has_come_of_a_run_that_did_not_end() -> None:
    out = io.StringIO()
    exporter = ConsoleExporter(out)
    facts = {**CALL, "candidate.model": "m", "failover.run.id": "r"}
    traced(exporter).start_span("candidate a", attributes=facts).end()
    assert exporter.force_flush()
    assert out.getvalue() == ""
    exporter.shutdown()
    assert masked(out.getvalue()) == "a run that has not ended\ncandidate a  m  error, N s\n"


@pytest.mark.skipif(importlib.util.find_spec("opentelemetry.distro") is None, reason="needs opentelemetry-distro")
def test_it_works_without_a_line_of_code(tmp_path: Path) -> None:
    given = {
        "OTEL_TRACES_EXPORTER": "failover_console",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": service.OTHERS,
    }
    started = "from opentelemetry.instrumentation.auto_instrumentation import initialize\ninitialize()"
    assert masked(service.run(service.script(started, service.SERVICE), tmp_path, given).stderr.decode()) == PICTURE
