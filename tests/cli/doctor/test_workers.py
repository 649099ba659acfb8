"""`otel-failover doctor -- command`, where the command only starts others: a server's workers say what they do."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.command import MAIN, run
from tests.support.process import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there nothing is told to end by a signal")

APP: Final = """
    import openai

    async def app(scope, receive, send):
        while scope["type"] == "lifespan":
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind.endswith("shutdown"):
                return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"up"})

    def wsgi(environ, start_response):
        start_response("200 OK", [])
        return [b"up"]
"""
ON: Final = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr)))
trace.set_tracer_provider(provider)
from otel_failover import FailoverInstrumentor
FailoverInstrumentor().instrument()
"""
"""What a launcher does in each Python, before the application: it is in a supervisor, too."""
PATIENT: Final = ["--timeout-worker-healthcheck", "90"]
"""Else a worker that a busy machine lets start slowly is killed, and another one started."""
WORKERS: Final = {
    "uvicorn": ["uvicorn", "app:app", "--workers", "2", "--port", "PORT", *PATIENT],
    "uvicorn, reloading": ["uvicorn", "app:app", "--reload", "--port", "PORT"],
    "gunicorn": ["gunicorn", "app:wsgi", "--workers", "2", "-b", "127.0.0.1:PORT"],
}


def document_of(printed: bytes) -> dict[str, Any]:
    """Return the doctor's JSON, which stands behind what the command printed."""
    text = printed.decode()
    found: dict[str, Any] = json.loads(text[text.index('{\n  "ok"') :])
    return found


def openai_of(process: dict[str, Any]) -> str:
    """Return what became of openai in a process."""
    (found,) = [each["status"] for each in process["libraries"] if each["name"] == "openai"]
    return str(found)


def served(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert process.poll() is None, "it has ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as said:
                assert said.status == 200
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("it has never answered")


@pytest.mark.parametrize("command", WORKERS.values(), ids=WORKERS)
def test_a_servers_workers(command: list[str], tmp_path: Path) -> None:
    """The process that starts them imports nothing that is patched, and misses nothing; each of them tells of itself."""
    pytest.importorskip(command[0])
    pytest.importorskip("opentelemetry.distro")
    launcher = Path(sys.executable).with_name("opentelemetry-instrument")
    if not launcher.exists():
        pytest.skip("needs opentelemetry-instrument")
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words = [word.replace("PORT", str(port)) for word in command]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environment |= {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    doctor = [sys.executable, "-c", MAIN, "doctor", "--json", "--"]
    with (tmp_path / "printed").open("wb") as printed:
        process = subprocess.Popen(
            [*doctor, str(launcher), sys.executable, "-m", *words],
            env={**environment, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, stdout=printed, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            served(port, process)
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
    document = document_of((tmp_path / "printed").read_bytes())
    states = sorted(openai_of(each) for each in document["processes"])
    workers = 1 if "--reload" in words else 2
    assert states == ["patched"] * workers + ["waiting"], document
    (supervisor,) = [each for each in document["processes"] if openai_of(each) == "waiting"]
    assert any("only starts others" in note for note in supervisor["notes"])
    assert (code, document["ok"], document["silent"], document["problems"]) == (0, True, [], [])


STARTER: Final = """
import subprocess, sys
worker = subprocess.Popen([sys.executable, "worker.py"], stdout=subprocess.PIPE)
worker.stdout.readline()
worker.send_signal(SIGNAL)
worker.wait()
"""


@pytest.mark.parametrize(
    ("worker", "sent", "told"),
    [
        ("import httpx", "SIGTERM", None),
        ("import httpx", "SIGKILL", "none of them left a report"),
        ("import json", "SIGTERM", "nothing is patched"),
    ],
    ids=["it has worked", "killed", "nobody works"],
)
def test_a_process_that_only_starts_others(tmp_path: Path, worker: str, sent: str, told: str | None) -> None:
    """A worker that is told to end is looked at then; one that is killed is not, and where none works that is told."""
    (tmp_path / "worker.py").write_text(f"{ON}{worker}\nimport time\nprint('up', flush=True)\ntime.sleep(60)\n")
    (tmp_path / "starter.py").write_text(ON + STARTER.replace("SIGNAL", str(int(getattr(signal, sent)))))
    done = run("doctor", "--json", "--", sys.executable, "starter.py", cwd=tmp_path)
    document = document_of(done.stdout)
    problems = [each for process in document["processes"] for each in process["problems"]]
    assert (done.returncode, document["ok"], bool(problems)) == ((0, True, False) if told is None else (1, False, True))
    assert told is None or any(told in problem for problem in problems)
    assert len(document["processes"]) + len(document["silent"]) == 2


def test_a_worker_that_nobody_has_turned_us_on_in(tmp_path: Path) -> None:
    """It asks, so it is no process that only starts others, whatever it has started."""
    (tmp_path / "worker.py").write_text(f"{ON}import httpx\nimport time\nprint('up', flush=True)\ntime.sleep(60)\n")
    off = f"import opentelemetry.trace, httpx\n{STARTER.replace('SIGNAL', str(int(signal.SIGTERM)))}"
    (tmp_path / "starter.py").write_text(off)
    done = run("doctor", "--json", "--", sys.executable, "starter.py", cwd=tmp_path)
    problems = [each for process in document_of(done.stdout)["processes"] for each in process["problems"]]
    assert any("otel-failover is not turned on" in each for each in problems)
    assert done.returncode == 1


def test_workers_that_are_alike_are_told_once(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(f"{ON}import httpx\n")
    (tmp_path / "starter.py").write_text(
        f"{ON}import subprocess, sys\nfor _ in range(3):\n    subprocess.run([sys.executable, 'worker.py'])\n"
    )
    done = run("doctor", "--", sys.executable, "starter.py", cwd=tmp_path)
    assert done.stdout.decode().count("worker.py (3 of them)\n") == 1
    assert len([line for line in done.stdout.decode().splitlines() if line.startswith("process ")]) == 2


def test_a_signal_ends_it_as_it_does_without_us(tmp_path: Path) -> None:
    """The exit code says that it was that signal; and a handler of its own is its own."""
    (tmp_path / "a.py").write_text(
        f"{ON}import httpx, os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nprint('NOT')\n"
    )
    done = run("doctor", "--json", "--", sys.executable, "a.py", cwd=tmp_path)
    document = document_of(done.stdout)
    assert (document["code"], len(document["processes"]), b"NOT" in done.stdout) == (143, 1, False)
    (tmp_path / "b.py").write_text(
        "import os, signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(4))\nimport opentelemetry.trace\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = run("doctor", "--json", "--", sys.executable, "b.py", cwd=tmp_path)
    document = document_of(done.stdout)
    assert (document["code"], len(document["processes"])) == (4, 1)
