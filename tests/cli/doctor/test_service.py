"""`otel-failover doctor -- command`: the service itself is looked at, as it is started, when it ends."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command import run

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = """
import sys, threading
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=open(sys.argv[0] + ".spans", "w"))))
trace.set_tracer_provider(provider)
from otel_failover import FailoverInstrumentor, failover_run
FailoverInstrumentor().instrument()
import openai
from otel_failover.testing.providers import Answer, LocalProvider

def ask():
    client = openai.OpenAI(base_url=local.base_url, api_key="sk-local-0123456789")
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])

with LocalProvider("openai", default=Answer.ok("yes")) as local:
    LOOP
print("SERVED")
sys.exit(3)
"""
THREAD = """with failover_run("chat", chain=["openai/m"]):
        thread = threading.Thread(target=ask, name="acme-worker")
        thread.start()
        thread.join()"""
ALIASES = {"OTEL_FAILOVER_PROVIDER_ALIASES": '{"127.0.0.1": "openai"}'}


def examined(tmp_path: Path, code: str, given: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Have a service looked at; return the command's code, and its document after what the service printed."""
    service = tmp_path / "service.py"
    service.write_text(code)
    done = run("doctor", "--json", "--", sys.executable, str(service), cwd=tmp_path, given=given)
    printed, _, document = done.stdout.decode().partition("{")
    assert ("SERVED" in printed) is ("SERVED" in code)
    return done.returncode, json.loads("{" + document)


def test_a_service_that_is_well(tmp_path: Path) -> None:
    """What it has imported, where its spans go; and what it printed is its own."""
    code, document = examined(tmp_path, SERVICE.replace("LOOP", "ask()"), ALIASES)
    (process,) = document["processes"]
    assert (code, document["ok"], document["code"], process["problems"]) == (0, True, 3, [])
    assert process["active"] is True
    states = {each["name"]: each for each in process["libraries"]}
    assert (states["openai"]["status"], states["openai"]["imported"]) == ("patched", True)
    assert states["anthropic"]["status"] == "waiting"
    assert [each["kind"] for each in process["exporters"]] == ["console"]
    assert not [note for note in process["notes"] if "nobody's" in note]


def test_a_host_that_is_nobodys_and_a_thread_without_context_are_told(tmp_path: Path) -> None:
    code, document = examined(tmp_path, SERVICE.replace("LOOP", THREAD))
    (process,) = document["processes"]
    (note,) = [note for note in process["notes"] if "nobody's" in note]
    assert re.search(r"""OTEL_FAILOVER_PROVIDER_ALIASES='\{"127\.0\.0\.1:\d+": "openai"\}'""", note)
    (problem,) = process["problems"]
    assert "in the thread acme-worker, which was started without a context" in problem
    assert "opentelemetry-instrumentation-threading" in problem
    assert code == 1


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ("import opentelemetry.trace, httpx", ["otel-failover is not turned on", "no OpenTelemetry SDK is configured"]),
        (
            "from otel_failover import FailoverInstrumentor as F; F().instrument(); import httpx",
            ["no OpenTelemetry SDK"],
        ),
        ("import json", ["has left no report"]),
        ("import opentelemetry.trace, os; os._exit(0)", ["has left no report"]),
    ],
)
def test_a_service_that_shows_nothing_is_told_why(tmp_path: Path, service: str, told: list[str]) -> None:
    code, document = examined(tmp_path, service)
    problems = [*document["problems"], *(each for process in document["processes"] for each in process["problems"])]
    assert code == 1
    assert all(any(word in problem for problem in problems) for word in told)


LAUNCHER = """
import os, sys
os.environ["PYTHONPATH"] = os.pathsep.join([{own!r}, os.environ["PYTHONPATH"]])
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there a launcher starts another process and ends")
def test_a_launcher_with_a_sitecustomize_of_its_own_hides_nothing(tmp_path: Path) -> None:
    """As `opentelemetry-instrument` and others do it: their folder first, and then the service in their place."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text(
        "import builtins, os\nbuiltins.was_here = 'SERVED'\n"
        f"os.environ['PYTHONPATH'] = os.pathsep.join([{str(own)!r}, os.environ['PYTHONPATH']])\n"
    )
    (tmp_path / "service.py").write_text(
        "import opentelemetry.trace, subprocess, sys\nprint(was_here)\n"
        "subprocess.run([sys.executable, '-c', 'import opentelemetry.trace'])\n"
    )
    launch = [sys.executable, "-c", LAUNCHER.format(own=str(own)), "service.py"]
    done = run("doctor", "--json", "--", *launch, cwd=tmp_path)
    printed, _, document = done.stdout.decode().partition("{")
    assert printed.strip() == "SERVED"
    processes = [each["process"].split(" ", 1)[1] for each in json.loads("{" + document)["processes"]]
    assert sorted(processes) == ["-c import opentelemetry.trace", "service.py"]


def test_a_process_that_a_signal_ends_is_named(tmp_path: Path) -> None:
    """It can say nothing of itself, and what the others say is not about it; `multiprocessing`'s helper is nobody's."""
    worker = "import opentelemetry.trace, os; os._exit(0)"
    (tmp_path / "service.py").write_text(
        f"import opentelemetry.trace, subprocess, sys\nsubprocess.run([sys.executable, '-c', {worker!r}])\n"
        "from multiprocessing import resource_tracker\nresource_tracker.ensure_running()\n"
    )
    done = run("doctor", "--json", "--", sys.executable, "service.py", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert [each["process"].endswith(" service.py") for each in document["processes"]] == [True]
    assert [each.endswith(worker) for each in document["silent"]] == [True]
    done = run("doctor", "--", sys.executable, "service.py", cwd=tmp_path)
    assert b"1 more of its Pythons left no report" in done.stdout


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    done = run("doctor", "--", "acme-nowhere", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (127, b"")
    assert b"there is no command 'acme-nowhere'" in done.stderr


def test_text_for_people(tmp_path: Path) -> None:
    service = tmp_path / "service.py"
    service.write_text(SERVICE.replace("LOOP", "ask()"))
    done = run("doctor", "--", sys.executable, str(service), cwd=tmp_path, given=ALIASES)
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "SERVED"
    assert lines[1].startswith("process ")
    assert lines[-1] == "ok"
