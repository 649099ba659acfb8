"""`opentelemetry-instrument python app.py`: no line of ours in the application."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.process import ROOT

_BESIDE = Path(sys.executable).with_name("opentelemetry-instrument")
COMMAND = str(_BESIDE) if _BESIDE.exists() else shutil.which("opentelemetry-instrument")
pytestmark = pytest.mark.skipif(
    COMMAND is None or importlib.util.find_spec("opentelemetry.distro") is None, reason="needs opentelemetry-distro"
)

_APP = """
    import openai
    from otel_failover.testing.providers import Answer, LocalProvider
    with LocalProvider("openai", Answer.openai_quota(), Answer.ok("yes")) as local:
        client = openai.OpenAI(base_url=local.base_url, api_key="sk-local-0123456789", max_retries=0)
        for _ in range(2):
            try:
                reply = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])
                print("GOT", reply.choices[0].message.content)
            except openai.RateLimitError as problem:
                print("REFUSED", problem.status_code)
        print("WIRE", [sorted(set(each.headers) & {"traceparent", "baggage"}) for each in local.log])
"""


# Other instrumentations that the test environment has: they make spans and headers of their own.
_OTHERS = "openai,anthropic,httpx,httpx2,requests,urllib,urllib3,threading"


def _run(tmp_path: Path, first: str = "", **environment: str) -> str:
    """Start an application; return what it printed, and after it what was logged.

    Args:
        tmp_path: Where it stands.
        first: What it does first.
        environment: Further variables.
    """
    disabled = ",".join(filter(None, [_OTHERS, environment.pop("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")]))
    app = tmp_path / "app.py"
    app.write_text(f"{first}\n{textwrap.dedent(_APP)}")
    assert COMMAND is not None
    done = subprocess.run(
        [COMMAND, sys.executable, str(app)],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
            "PYTHONPATH": str(ROOT),
            "OTEL_TRACES_EXPORTER": "console",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": disabled,
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "GOT yes" in done.stdout
    assert "REFUSED 429" in done.stdout
    assert "WIRE [[], []]" in done.stdout
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_calls_are_traced_and_judged_without_a_line_of_code(tmp_path: Path) -> None:
    printed = _run(tmp_path)
    assert printed.count('"name": "chat m"') == 2
    assert '"failover.reason.code": "billing"' in printed
    assert '"failover.attribution.verdict": "verified"' in printed


def test_it_is_switched_off_by_opentelemetrys_own_variable(tmp_path: Path) -> None:
    assert "failover" not in _run(tmp_path, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="otel_failover")


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    printed = _run(tmp_path, OTEL_FAILOVER_ERROR_TEXT="none")
    assert "You exceeded your current quota" not in printed
    assert '"failover.reason.code": "billing"' in printed


_CALL = "from otel_failover import FailoverInstrumentor; FailoverInstrumentor().instrument({})"


def test_code_that_instruments_once_more_is_told_nothing(tmp_path: Path) -> None:
    printed = _run(tmp_path, _CALL.format(""))
    assert printed.count('"name": "chat m"') == 2
    assert "instrument() was called" not in printed
    assert "already instrumented" not in printed


def test_settings_that_only_the_code_has_count(tmp_path: Path) -> None:
    printed = _run(tmp_path, _CALL.format("error_text='none'"))
    assert printed.count('"name": "chat m"') == 2
    assert '"failover.reason.code": "billing"' in printed
    assert "exceeded your current quota" not in printed
    assert "called before" not in printed


def test_settings_beside_those_that_the_code_has_passed_before_are_told(tmp_path: Path) -> None:
    first = "\n".join(map(_CALL.format, ("log_interval=7", "error_text='none'")))
    printed = _run(tmp_path, first)
    assert printed.count("the settings of that call stay; error_text of this one is ignored") == 1
    assert "exceeded your current quota" in printed
