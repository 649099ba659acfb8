"""The loops of four incidents: what the trace says of them as they were, and mended."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples.fix_your_loop import hung_stream, session_error, unrecognised_error
from examples.fix_your_loop.stage import traced
from tests.cli.doctor.test_doctor import is_found_by_launcher, launcher

ROOT = Path(__file__).resolve().parents[2]
MODULES = ["session_error", "unrecognised_error", "all_models_failed", "hung_stream"]


def test_an_error_read_from_the_session_is_a_mismatch_and_the_own_one_is_not() -> None:
    told, trace = traced(session_error.before)
    assert re.search(r"anthropic: Error code: 429 - .*You exceeded your current quota", told)
    assert "candidate anthropic error timeout mismatch" in trace
    assert "failover.attribution.mismatch" in trace
    told, trace = traced(session_error.after)
    assert "anthropic: no response from anthropic within" in told
    assert trace == [
        "failover chat exhausted",
        "candidate openai error billing verified",
        "candidate anthropic error timeout verified",
    ]


def test_an_unrecognised_error_ends_the_chain_after_two_of_seventeen_until_its_reason_is_read() -> None:
    told, trace = traced(unrecognised_error.before)
    assert "teapot" in told
    assert len(trace) == 3
    assert trace[0].startswith("failover chat stopped findings=chain_bypassed")
    told, trace = traced(unrecognised_error.after)
    assert told == "Hello!"
    assert trace[0] == "failover chat fallback"
    assert trace[-1] == "candidate openai #2 success verified"
    assert len(trace) == 4


def test_an_unknown_model_bypasses_the_chain_until_its_reason_is_read() -> None:
    told, trace = traced(lambda: unrecognised_error.before(unrecognised_error.UNKNOWN_MODEL))
    assert "does not exist" in told
    assert trace == [
        "failover chat stopped findings=chain_bypassed",
        "candidate openai #0 error model_not_found verified",
    ]
    told, trace = traced(lambda: unrecognised_error.after(unrecognised_error.UNKNOWN_MODEL))
    assert told == "Hello!"
    assert trace == [
        "failover chat fallback",
        "candidate openai #0 error model_not_found verified",
        "candidate openai #1 success verified",
    ]


def test_what_a_group_hides_is_told_by_its_summary() -> None:
    pytest.importorskip("pydantic_ai", reason="the example needs pydantic-ai: pip install '.[demo]'")
    from examples.fix_your_loop import all_models_failed

    told, before = traced(all_models_failed.before)
    assert told.startswith("All models from FallbackModel failed (2 sub-exceptions)")
    told, after = traced(all_models_failed.after)
    assert told == (
        "anthropic/claude-opus-47: model not found / invalid model name; openai/gpt-5.5: quota/rate limit exhausted"
    )
    assert before == after
    assert after == [
        "failover chat exhausted",
        "candidate anthropic error model_not_found verified",
        "candidate openai error billing verified",
    ]


def test_a_hung_stream_is_asked_three_times_until_its_reason_is_read() -> None:
    told, trace = traced(hung_stream.before)
    assert told == "gave up: openai/gpt-5.5: no response in time"
    assert trace[0] == "failover chat stopped findings=chain_bypassed,timeout_not_failed_over"
    assert [line.split(" verified")[0] for line in trace[1:]] == ["candidate openai error timeout"] * 3
    told, trace = traced(hung_stream.after)
    assert told == "Hello!"
    assert trace[0] == "failover chat fallback"
    assert trace[-1] == "candidate deepseek success verified"
    assert len(trace) == 3


@pytest.mark.slow
def test_each_runs_as_it_stands() -> None:
    """In one process, as most of its time goes by in imports."""
    modules = [each for each in MODULES if each != "all_models_failed" or importlib.util.find_spec("pydantic_ai")]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "OPENAI_"))}
    code = "import runpy, sys; [runpy.run_module(each, run_name='__main__') for each in sys.argv[1:]]"
    done = subprocess.run(
        [sys.executable, "-c", code, *(f"examples.fix_your_loop.{each}" for each in modules)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall("^before: ", done.stdout, re.MULTILINE)) >= len(modules)
    assert len(re.findall("^after: ", done.stdout, re.MULTILINE)) >= len(modules)


@pytest.mark.slow
@pytest.mark.skipif(not is_found_by_launcher(), reason="opentelemetry-instrument or our entry point is not installed")
@pytest.mark.parametrize("provider", ["sdk_tracer_provider", ""], ids=["an SDK", "none"])
def test_under_the_launcher_it_shows_the_same(provider: str) -> None:
    """What has been turned on stays on, and both versions of the loop are traced; the service's provider has them too."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "OPENAI_"))}
    if provider:
        environment["OTEL_PYTHON_TRACER_PROVIDER"] = provider
    environment |= {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    command = [str(launcher()), sys.executable, "-m", "examples.fix_your_loop.session_error"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:5] == [
        "    failover chat exhausted findings=identical_errors",
        "    candidate openai error billing verified",
        "    candidate anthropic error timeout mismatch",
        "    failover.attribution.mismatch",
    ]
    assert done.stdout.splitlines()[6:] == [
        "    failover chat exhausted",
        "    candidate openai error billing verified",
        "    candidate anthropic error timeout verified",
    ]
