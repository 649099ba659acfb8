"""The pytest plugin, as people use it: in a process of its own, with a loop and a test suite of theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
LOOP: Final = """
import httpx

def ask(each):
    path = "/v1/messages" if each.provider == "anthropic" else "/chat/completions"
    headers = {"authorization": f"Bearer {each.api_key}", "x-api-key": each.api_key}
    body = {"model": each.model, "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
    reply = httpx.post(each.base_url + path, headers=headers, json=body, timeout=each.timeout).raise_for_status().json()
    return reply["choices"][0]["message"]["content"] if "choices" in reply else reply["content"][0]["text"]

def call(candidates):
    for each in candidates:
        try:
            return ask(each)
        except httpx.HTTPStatusError as problem:
            if problem.response.status_code in (400, 404):
                raise
    raise RuntimeError("all failed")

def broken(candidates):
    return candidates.nothing
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_loop.py").write_text(LOOP, "utf-8")
    (tmp_path / "test_mine.py").write_text("def test_of_mine(): raise SystemError('was run')\n", "utf-8")
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def tried(folder: Path, loop: str, *more: str) -> tuple[int, str]:
    patience = ("--failover-timeout", "30", "--failover-deadline", "60")
    return run(folder, "-p", "otel_failover.testing.plugin", "--failover-scenarios", loop, *patience, *more)


def test_a_loop_is_tried_case_by_case_and_no_other_test_is_run(folder: Path) -> None:
    code, printed = tried(
        folder, "my_loop:call", "-k", "healthy or unknown_model or bad_key", "--failover-json", "o.json"
    )
    assert code == 1
    assert "What it did:     It raised HTTPStatusError" in printed
    assert "What is right:   Go on: the second was well and would have answered." in printed
    assert "FAILED scenarios::unknown_model" in printed
    assert "3 cases tried, 1 wrong" in printed
    assert "1 failed, 2 passed, 27 deselected" in printed
    assert "Traceback" not in printed
    assert "was run" not in printed
    found = json.loads((folder / "o.json").read_text("utf-8"))
    assert {name: each["verdict"] for name, each in found.items()} == {
        "healthy": "served",
        "bad_key": "went on",
        "unknown_model": "stopped",
    }
    code, printed = tried(folder, "my_loop:call", "-k", "healthy or bad_key")
    assert (code, "2 passed" in printed) == (0, True)


def test_a_loop_that_does_not_work_at_all_is_told_once(folder: Path) -> None:
    code, printed = tried(folder, "my_loop:broken")
    assert code == 1
    assert "It raised AttributeError: 'list' object has no attribute 'nothing', and never asked first." in " ".join(
        printed.split()
    )
    assert "1 failed, 29 skipped" in printed


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["my_loop:cal"], "--failover-scenarios: 'my_loop' has no 'cal'; it has ask, broken, call"),
        (["my_lop:call"], "--failover-scenarios: 'my_lop' cannot be imported: there is no such module here"),
        (
            ["my_loop:call", "--failover-providers", "acme"],
            "no wire format is called 'acme'; there are openai, anthropic",
        ),
        (["my_loop:call", "--failover-timeout", "60"], "--failover-timeout has to be more than 0 and less than"),
    ],
)
def test_what_cannot_be_tried_is_said_in_a_line(folder: Path, arguments: list[str], why: str) -> None:
    code, printed = tried(folder, *arguments)
    assert code == 4
    assert why in printed
    assert "Traceback" not in printed


def test_nothing_loads_by_itself(folder: Path) -> None:
    code, printed = run(folder, "--failover-scenarios", "my_loop:call")
    assert (code, "unrecognized arguments: --failover-scenarios" in printed) == (4, True)
    assert "failover_runs" not in run(folder, "--fixtures")[1]


def test_the_fixtures_are_there_for_a_suite_that_asks_for_them(folder: Path) -> None:
    (folder / "conftest.py").write_text('pytest_plugins = ["otel_failover.testing.plugin"]\n', "utf-8")
    (folder / "test_mine.py").write_text(
        """
import openai, pytest
from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from otel_failover.testing.runs import assert_chain, assert_truthful

def test_of_mine(failover_runs, local_provider):
    provider = local_provider("openai", Answer.openai_quota())
    client = openai.OpenAI(base_url=provider.base_url, api_key="any", max_retries=0)
    with pytest.raises(openai.RateLimitError), failover_run("chat", chain=["openai/gpt-5.5"]):
        client.chat.completions.create(model="gpt-5.5", messages=[{"role": "user", "content": "?"}])
    assert_truthful(failover_runs)
    assert_chain(failover_runs.one, "openai/gpt-5.5 error billing", outcome="exhausted")
""",
        "utf-8",
    )
    code, printed = run(folder)
    assert (code, "1 passed" in printed) == (0, True), printed
