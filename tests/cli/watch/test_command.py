"""`otel-failover watch`: of a command, whose streams, signals and exit code are its own; and of whoever sends OTLP."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover.cli.watch import process
from tests.cli.collector import Collector
from tests.cli.command import MAIN, environment
from tests.cli.doctor.test_doctor import launcher
from tests.cli.live import service
from tests.cli.live.test_exporter import PICTURE, masked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from typing_extensions import Self

WATCH = [sys.executable, "-c", MAIN, "watch"]
GIVEN = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": service.OTHERS, "ANTHROPIC_OPEN_TELEMETRY_PROPAGATION": "false"}
_UNSEEN = (
    "no spans came: no provider was called, or by a way that is not seen; `otel-failover doctor -- " + sys.executable
)
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals and pseudo-terminals are POSIX's")


def watch(
    *words: str, where: Path, given: Mapping[str, str] | None = None, before: str = "", **more: Any
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"{before}\n{MAIN}", "watch", *words]
    return subprocess.run(
        command, cwd=where, env=environment({**GIVEN, **(given or {})}), capture_output=True, text=True, timeout=120,
        check=False, encoding="utf-8", **more,
    )  # fmt: skip


def program(*parts: str) -> list[str]:
    return ["--", sys.executable, "-c", service.script(*parts)]


def test_a_command_is_watched_without_a_line_of_code(tmp_path: Path) -> None:
    """Its output, input and exit code are its own; the trees go to standard error."""
    done = watch(
        *program(service.SERVICE, "print(sys.stdin.read())\nsys.exit(3)"), where=tmp_path, input="from standard input"
    )
    assert (done.returncode, done.stdout) == (3, "DATA\nfrom standard input\n")
    assert masked(done.stderr) == PICTURE


@posix_only
@pytest.mark.skipif(launcher() is None, reason="opentelemetry-instrument is not installed")
def test_a_command_that_opentelemetry_instrument_starts_is_watched_once(tmp_path: Path) -> None:
    """It puts a `sitecustomize` of its own first, which would hide ours, and would set everything up a second time."""
    done = watch("--", str(launcher()), *program(service.SERVICE, "print('END')")[1:], where=tmp_path)
    assert (done.returncode, done.stdout) == (0, "DATA\nEND\n")
    assert masked(done.stderr) == PICTURE


def test_what_the_command_sends_elsewhere_it_still_sends(tmp_path: Path) -> None:
    with Collector() as collector:
        given = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_SERVICE_NAME": "my-service",
        }
        done = watch(*program(service.SERVICE), where=tmp_path, given=given)
        assert b"candidate openai" in b"".join(collector.got["/v1/traces"])
    assert masked(done.stderr) == PICTURE
    assert "my-service" in done.stderr


@pytest.mark.parametrize(
    ("given", "traces", "metrics"),
    [
        ({}, "none", "otlp"),
        ({"OTEL_METRICS_EXPORTER": "none"}, "none", "none"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console", "otlp"),
        ({"OTEL_TRACES_EXPORTER": "failover_console"}, "none", "otlp"),
        ({"OTEL_TRACES_EXPORTER": "failover_console,otlp", "OTEL_METRICS_EXPORTER": "none"}, "otlp", "none"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318"}, None, None),
    ],
)
def test_what_is_said_of_one_signal_says_nothing_of_another(
    given: dict[str, str], traces: str | None, metrics: str | None
) -> None:
    result = process.environment(given, 4318)
    assert (result.get("OTEL_TRACES_EXPORTER"), result.get("OTEL_METRICS_EXPORTER")) == (traces, metrics)


def test_processes_that_the_command_starts_are_watched_too(tmp_path: Path) -> None:
    """Workers that are spawned, as by a server that reloads: each is a Python of its own."""
    (tmp_path / "worker.py").write_text(service.script(service.LOOP))
    spawning = """
        import multiprocessing, os
        from worker import passes
        if __name__ == "__main__":
            workers = [multiprocessing.get_context("spawn").Process(target=passes) for _ in range(2)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
    """
    (tmp_path / "app.py").write_text(service.script(spawning))
    done = watch("--", sys.executable, "app.py", where=tmp_path)
    assert masked(done.stderr) == PICTURE * 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--", "no-such-command"], 127, "there is no command 'no-such-command'"),
        (["--", "./not-executable"], 126, "./not-executable cannot be started"),
        (["--", sys.executable, "-I", "-c", "0"], 0, "no spans came: the command started no Python that can be watched"),
        ([sys.executable, "-c", "raise SystemExit(9)"], 9, f"{_UNSEEN} -c 'raise SystemExit(9)'` says which are"),
    ],
)  # fmt: skip
def test_what_to_do_is_said_where_there_is_nothing_to_see(
    words: list[str], code: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "not-executable").touch()
    done = watch(*words, where=tmp_path)
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"otel-failover watch: {said}")


@pytest.mark.parametrize("missing", ["rich", "opentelemetry.exporter.otlp.proto.http"])
def test_without_its_packages_a_sentence_says_what_to_install(missing: str, tmp_path: Path) -> None:
    hidden = f"import sys\nsys.modules[{missing!r}] = None"
    done = watch("--", sys.executable, "-c", "print('never')", where=tmp_path, before=hidden)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "otel-failover watch needs: pip install 'otel-failover[watch]'\n"


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = watch("--port", port, where=tmp_path)
        assert done.returncode == 2
        assert f"otel-failover watch cannot listen: port {port} on 127.0.0.1: " in done.stderr
        assert "--port PORT" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_number_that_is_no_port_is_a_wrong_call(tmp_path: Path) -> None:
    assert watch("--port", "70000", where=tmp_path).returncode == 2


# --- listening only ---------------------------------------------------------------------------------------------------


class Listening:
    """`otel-failover watch` without a command, in a process of its own, for a `with`."""

    def __init__(self, where: Path) -> None:
        self.process = subprocess.Popen(
            [*WATCH, "--port", "0", "--grpc-port", "0"], cwd=where, env=environment(GIVEN), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip

    def __enter__(self) -> Self:
        assert self.process.stderr is not None
        said = "".join(self.process.stderr.readline() for _ in range(2))
        self.grpc = re.findall(r"gRPC at (127\.0\.0\.1:\d+)", said)[0]
        self.http = re.findall(r"HTTP at (http://127\.0\.0\.1:\d+)", said)[0]
        return self

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """Send a signal; return exit code, standard output and error."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@posix_only
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_services_elsewhere_on_the_machine_send_their_spans(protocol: str, tmp_path: Path) -> None:
    """The pictures are standard output: what was asked for."""
    with Listening(tmp_path) as listening:
        given = {
            **GIVEN,
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{listening.grpc}" if protocol == "grpc" else listening.http,
        }
        program = service.script(service.CONFIGURED, service.INSTRUMENT, service.SERVICE)
        assert service.run(program, tmp_path, given).stdout == b"DATA\n"
        code, out, err = listening.end()
    assert (code, masked(out), err) == (0, PICTURE, "")


@posix_only
def test_where_nobody_sent_anything_it_says_how_to(tmp_path: Path) -> None:
    with Listening(tmp_path) as listening:
        code, out, err = listening.end(signal.SIGTERM)
    assert (code, out) == (0, "")
    assert f"no spans came. A service sends them here with OTEL_EXPORTER_OTLP_ENDPOINT={listening.http} " in err


# --- signals and terminals --------------------------------------------------------------------------------------------

SLEEPS = """
import signal, sys, time
def told(number, frame):
    print("GOT", signal.Signals(number).name, flush=True)
    sys.exit(5)
for name in ("SIGTERM", "SIGINT", "SIGHUP"):
    signal.signal(getattr(signal, name), told)
print("READY", flush=True)
time.sleep(60)
"""


@posix_only
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signals_are_the_commands(name: str, tmp_path: Path) -> None:
    command = [*WATCH, "--", sys.executable, "-c", SLEEPS]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(GIVEN), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "READY\n"
    process.send_signal(getattr(signal, name))
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (5, f"GOT {name}\n")


@posix_only
def test_a_command_that_a_signal_ends_ends_as_in_a_shell(tmp_path: Path) -> None:
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert watch("--", sys.executable, "-c", killed, where=tmp_path).returncode == 137


@posix_only
def test_a_run_that_its_process_does_not_end_is_drawn_as_far_as_it_has_come(tmp_path: Path) -> None:
    dies = """
        import os
        import threading
        threading.Thread(target=passes, args=(1, 60), daemon=True).start()
        time.sleep(4)
        os.kill(os.getpid(), 9)
    """
    done = watch(*program(service.LOOP, dies), where=tmp_path)
    assert done.returncode == 137
    assert masked(done.stderr).splitlines()[:2] == [
        "a run that has not ended",
        "candidate openai  gpt-5.5  error 429 billing, N s  verified",
    ]


@pytest.mark.slow
def test_a_run_is_told_of_in_which_nothing_has_ended_yet(tmp_path: Path) -> None:
    """A candidate that hangs has no span: the process says itself that it is open."""
    hangs = """
        with LocalProvider("openai", Answer.hang(60)) as first, failover_run("chat", chain=["openai/gpt-5.5"]):
            client = openai.OpenAI(base_url=first.base_url, api_key="sk-local-0123456789", max_retries=0, timeout=12.5)
            try:
                client.chat.completions.create(model="gpt-5.5", messages=[{"role": "user", "content": "Hello?"}])
            except openai.APITimeoutError:
                pass
    """
    done = watch(*program(service.LOOP, hangs), where=tmp_path)
    assert done.returncode == 0
    first, *others = done.stderr.splitlines()
    assert re.search(r"failover chat still going, 1\d s: openai gpt-5.5 open for 1\d s$", first), done.stderr
    assert "still going" not in "".join(others)


@posix_only
def test_in_a_terminal_keys_reach_the_command_once(tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to both; that is passed on by nobody."""
    import pty

    counted = SLEEPS.replace("sys.exit(5)", "COUNT.append(1)").replace(
        "time.sleep(60)", "time.sleep(2)\nprint(len(COUNT))"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        command = [*WATCH, "--", sys.executable, "-c", f"COUNT = []\n{counted}"]
        os.execve(command[0], command, environment(GIVEN))
    got = b""
    while b"READY" not in got:
        got += os.read(terminal, 4096)
    time.sleep(0.2)
    os.write(terminal, b"\x03")
    try:
        while some := os.read(terminal, 4096):
            got += some
    except OSError:  # Linux: the other side is closed
        pass
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert re.findall(r"GOT \w+|\n\d+", got.decode()) == ["GOT SIGINT", "\n1"]
