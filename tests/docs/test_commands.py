"""Every shell block of the documents: what it names is there, and what can be run here is run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from otel_failover import cli
from tests.docs import package
from tests.docs.pages import PAGES, README, ROOT, page, words
from tests.docs.test_code import clean_environment

PROJECT: Final = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def _names(section: str) -> set[str]:
    """Return the names of the lists in a section of the project's file."""
    return set(re.findall(r"^([\w-]+) = \[", PROJECT.split(f"[{section}]")[1].split("\n[")[0], re.MULTILINE))


EXTRAS: Final = _names("project.optional-dependencies")
GROUPS: Final = _names("dependency-groups")
BLOCKS: Final = [(name, block) for name, each in PAGES.items() for block in each.blocks("sh")]
CHECKS: Final = {("ruff", "check"), ("ruff", "format"), ("mypy",)}
VARIABLES: Final = {"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"} | {name for _, name, _ in package.SETTINGS}


def _commands(block: str) -> list[list[str]]:
    """Return the words of each command of a block; comments left out."""
    lines = [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    return [
        list(words)
        for line in lines
        for command in line.split(" && ")
        if (words := shlex.split(command, comments=True))
    ]


@pytest.mark.parametrize(
    ("name", "command"), [(name, command) for name, block in BLOCKS for command in _commands(block)], ids=" ".join
)
def test_what_a_command_names_is_there(name: str, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    while command and re.match(r"\w+=", command[0]):
        assert command[0].partition("=")[0] in VARIABLES, name
        command = command[1:]
    _check(command, capsys)


@pytest.mark.parametrize("name", PAGES)
def test_what_a_command_in_a_sentence_names_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for word in words(PAGES[name].prose):
        if "…" not in word and re.match(
            r"(python3?|pip|otel-failover|opentelemetry-instrument|mkdocs|nox) [\w.'-]|\.venv/bin/|\.ci/run", word
        ):
            for command in _commands(word):
                _check(command, capsys)


def _check(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    program, *rest = [Path(command[0]).name, *command[1:]]
    if program == "export":
        assert {word.partition("=")[0] for word in rest} <= VARIABLES
    elif program == "pip":
        assert rest[0] == "install"
        asked = [extra for word in rest for extra in re.findall(r"^(?:\.|otel-failover)\[(.+)\]$", word)]
        assert {extra for each in asked for extra in each.split(",")} <= EXTRAS
        assert {name for flag, name in pairwise(rest) if flag == "--group"} <= GROUPS
    elif program in ("python", "python3"):
        if rest[0] == "-m":
            assert importlib.util.find_spec(rest[1]) is not None
        else:
            assert rest[0] == "app.py" or (ROOT / rest[0]).is_file()
    elif program == "otel-failover":
        with pytest.raises(SystemExit) as left:
            cli.main([rest[0], "--help"])
        assert left.value.code == 0
        printed = capsys.readouterr().out
        assert all(word in printed for word in rest if word.startswith("--"))
    elif program == "opentelemetry-instrument":
        _check(rest, capsys)
    elif program == "nox":
        for word in rest[1:] if rest[:1] == ["-s"] else []:
            name, _, environment = word.rstrip(")").partition("(")
            assert name in package.SESSIONS
            assert not environment or environment in package.ENVIRONMENTS
    elif program == "run":
        assert (ROOT / command[0]).is_file()
        assert set(rest) <= package.SESSIONS | package.ENVIRONMENTS
    else:
        assert (program, *rest[:1]) in {("mkdocs", "build"), ("mkdocs", "serve"), *CHECKS}


def test_the_two_commands_are_run_by_ci_as_they_stand() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    demo, tests = (block.strip() for block in README.blocks("sh")[:2])
    assert demo.endswith("otel-failover demo")
    assert tests.endswith("python -m pytest")
    assert demo in script
    assert tests in script
    assert page("why").blocks("sh") == README.blocks("sh")[:1]


def test_the_quick_subset_has_its_mark() -> None:
    (mark,) = set(re.findall(r"pytest -m (\w+)", README.text + PAGES["CONTRIBUTING.md"].text))
    assert re.search(rf'"{mark}: ', PROJECT.split("[tool.pytest.ini_options]")[1])


@pytest.mark.parametrize("name", ["README.md", "docs/quickstart.md"])
def test_installing_for_no_code_is_one_command(name: str) -> None:
    (lines,) = [block.splitlines() for block in PAGES[name].blocks("sh") if "opentelemetry-distro" in block]
    assert [line for line in lines if line.startswith("pip install")] == [lines[0]]
    assert "[otlp]" in lines[0]


@pytest.mark.parametrize(
    ("name", "block"), [each for each in BLOCKS if "export OTEL_FAILOVER_" in each[1]], ids=lambda each: each[:40]
)
def test_what_is_exported_is_taken_as_a_setting(
    name: str, block: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "loops.json").write_text('[{"run": "acme.router:Router.route"}]', encoding="utf-8")
    exports = "\n".join(line for line in block.splitlines() if line.startswith("export "))
    printed = _bash(f"{exports}\n{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'", tmp_path)
    given = {key: value for key, value in json.loads(printed).items() if key.startswith("OTEL_FAILOVER_")}
    given = {key: value.replace("@", f"@{tmp_path}/") for key, value in given.items()}
    assert given, name
    default, loaded = package.loaded({}, {}), package.loaded({}, given)
    assert not caplog.records
    for variable in given:
        setting = variable.removeprefix("OTEL_FAILOVER_").lower()
        assert getattr(loaded, setting) != getattr(default, setting)


def test_a_variable_that_stands_in_a_sentence_is_taken_as_a_setting(caplog: pytest.LogCaptureFixture) -> None:
    found = re.findall(r"`(OTEL_FAILOVER_\w+)=([^`@]+)`", " ".join(each.prose for each in PAGES.values()))
    assert len(found) > 3
    for variable, value in found:
        package.loaded({}, {variable: value.strip("'")})
    assert not caplog.records


# --- no code ----------------------------------------------------------------------------------------------------------

BESIDE: Final = Path(sys.executable).with_name("opentelemetry-instrument")
needs_distro: Final = pytest.mark.skipif(
    not (BESIDE.exists() or shutil.which("opentelemetry-instrument"))
    or importlib.util.find_spec("opentelemetry.distro") is None,
    reason="needs opentelemetry-distro",
)
# Other instrumentations that the test environment has: they make the call's span themselves.
OTHERS: Final = "openai,anthropic,httpx,httpx2,requests,urllib,urllib3,threading"


def _bash(script: str, where: Path, **environment: str) -> str:
    """Run a script as a reader of the documents would, in this environment's Python; return what it printed."""
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=where,
        env={
            **clean_environment(),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@needs_distro
@pytest.mark.parametrize("name", ["README.md", "docs/quickstart.md"])
def test_what_no_code_prints_is_what_the_document_shows(name: str, tmp_path: Path) -> None:
    """The application is the quick start's; the README leaves to it that a server on loopback counts as OpenAI's."""
    (tmp_path / "app.py").write_text(page("quickstart").blocks("python")[0], encoding="utf-8")
    (block,) = [each for each in PAGES[name].blocks("sh") if "OTEL_TRACES_EXPORTER=console" in each]
    script = "\n".join(line for line in block.splitlines() if not line.startswith("pip "))
    aliases = {} if "127.0.0.1" in script else {"OTEL_FAILOVER_PROVIDER_ALIASES": '{"127.0.0.1": "openai"}'}
    printed = _bash(script, tmp_path, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=OTHERS, **aliases)
    status, _, span = printed.partition("\n")
    assert status == "429"
    (shown,) = [each for each in PAGES[name].blocks("text") if each.startswith('"')]
    found = json.loads(span)
    facts = {"name": found["name"], **found["attributes"]}
    assert json.loads(f"{{{shown}}}").items() <= facts.items()
