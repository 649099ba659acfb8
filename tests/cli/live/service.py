"""A service of a few lines, for a process of its own: a run that is served by its second candidate, and a call."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

from tests.cli.command import environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SDK = """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
    from otel_failover.cli.live.exporter import ConsoleExporter
    tracers = TracerProvider()
    tracers.add_span_processor({processor}(ConsoleExporter()))
    trace.set_tracer_provider(tracers)
"""
"""What sets the SDK up in code; the exporter is also found by its name, see `CONFIGURED`."""
CONFIGURED = """
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator
    _OTelSDKConfigurator().configure()
"""
"""What sets the SDK up as the environment says: what `opentelemetry-instrument` does."""
INSTRUMENT = """
    from otel_failover import FailoverInstrumentor
    FailoverInstrumentor().instrument()
"""
LOOP = """
    import sys, time
    import openai
    from otel_failover import Candidate, failover_run
    from otel_failover.testing.providers import Answer, LocalProvider

    def one_pass(first, second, pause=0.0):
        chain = [Candidate("openai", "gpt-5.5", first.base_url), Candidate("openai", "gpt-5.5-mini", second.base_url)]
        question = [{"role": "user", "content": "Hello?"}]
        with failover_run("chat", chain=chain):
            for candidate in chain:
                client = openai.OpenAI(base_url=candidate.endpoint, api_key="sk-local-0123456789", max_retries=0)
                try:
                    client.chat.completions.create(model=candidate.model, messages=question)
                    break
                except openai.RateLimitError:
                    time.sleep(pause)

    def passes(number=1, pause=0.0):
        with LocalProvider("openai", *[Answer.openai_quota()] * number) as first:
            with LocalProvider("openai", *[Answer.ok("yes")] * number) as second:
                for _ in range(number):
                    one_pass(first, second, pause)
"""
SERVICE = f"""
{LOOP}
    passes()
    print("DATA")
"""
# Other instrumentations that the test environment has: they make spans of their own.
OTHERS = "openai,anthropic,httpx,httpx2,requests,urllib,urllib3,threading"


def script(*parts: str, processor: str = "SimpleSpanProcessor") -> str:
    """Return the program that parts make."""
    return "\n".join(textwrap.dedent(part.replace("{processor}", processor)) for part in parts)


def run(
    program: str, where: Path, given: Mapping[str, str] | None = None, **more: object
) -> subprocess.CompletedProcess[bytes]:
    """Run a program in a process of its own, which ends well.

    Args:
        program: Python.
        where: Its directory.
        given: Further variables of the environment.
        more: As for `subprocess.run`.
    """
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        [sys.executable, "-c", program],
        cwd=where,
        env={**environment(given), "ANTHROPIC_OPEN_TELEMETRY_PROPAGATION": "false"},
        timeout=120,
        check=False,
        **streams,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done
    return done


def in_a_terminal(
    command: list[str], where: Path, given: Mapping[str, str] | None = None, *, columns: int = 80
) -> tuple[int, str]:
    """Run a command in a pseudo-terminal; return its exit code and what the terminal got.

    Args:
        command: Program and arguments.
        where: Its directory.
        given: Further variables of the environment.
        columns: The terminal's width.
    """
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {**environment(given), "TERM": "xterm-256color", "ANTHROPIC_OPEN_TELEMETRY_PROPAGATION": "false"}
    process = subprocess.Popen(command, cwd=where, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    got = b""
    while True:
        try:
            some = os.read(ours, 65_536)
        except OSError:  # Linux: the other side is closed
            break
        if not some:
            break
        got += some
    os.close(ours)
    return process.wait(120), got.decode().replace("\r\n", "\n")
