"""What a contributor types, and what `.ci/run` calls: `nox -l` lists it.

`nox` alone is lint, types and the quick tests. `nox -s "ends(litellm_newest)"` is one library's tests in one release of
it. What follows `--` goes to pytest. Which packages each environment has stands in `tests/environments.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import nox

ROOT: Final = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from tests.environments import (  # noqa: E402 - found by the line above: nox does not look here
    ALIKE,
    BASE,
    BESIDE,
    COEXISTENCE,
    ENDS,
    LEFT_OUT,
    LIBRARIES,
    OLDEST,
    ZERO_CODE,
    Environment,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|venv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False

PYPROJECT: Final = nox.project.load_toml(ROOT / "pyproject.toml")
FOREIGN: Final = (
    *("ANTHROPIC_", "AWS_", "GOOGLE_", "LANGCHAIN_", "LANGSMITH_", "LITELLM_", "OPENAI_", "OTEL_"),
    "PYTHONPATH",
)
"""Variables that change what libraries do: a test meets none that it did not set."""
SILENT: Final = {
    "AGNO_TELEMETRY": "false",
    "ANONYMIZED_TELEMETRY": "false",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}
"""Nothing is sent home, and nothing fetched."""


def find_pythons(*versions: str) -> list[str]:
    """Let nox find pyenv's Pythons too: where a command is a shim that leads nowhere, the real one is put before it."""
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in versions:
        if not _works(f"python{version}"):
            real = [each for each in installed.glob(f"{version}.*/bin/python{version}") if _works(str(each))]
            os.environ["PATH"] = os.pathsep.join([*(str(each.parent) for each in real), os.environ["PATH"]])
    return [*versions]


def _works(command: str) -> bool:
    found = shutil.which(command)
    return found is not None and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0


def install(session: nox.Session, *wanted: str, groups: Iterable[str] = ()) -> None:
    """Install this package, editable, and what else is wanted; and what dependency groups name."""
    asked: list[str] = []
    for each in [*wanted, *nox.project.dependency_groups(PYPROJECT, *groups)]:
        asked += ["-e", each] if each.startswith(".") else [each]
    session.install(*asked)


def note_taken(session: nox.Session) -> None:
    """Say which releases of the libraries an environment has, and write it down where `.ci/run` compares them."""
    listed = session.run("python", "-c", _TAKEN, silent=True)
    everything = json.loads(listed) if isinstance(listed, str) else {}
    taken = {name: everything[name] for name in LIBRARIES.values() if name in everything}
    session.log("taken: %s", ", ".join(f"{name} {version}" for name, version in taken.items()))
    if folder := os.environ.get("FAILOVER_TAKEN"):
        (Path(folder) / f"{session.name}.json").write_text(json.dumps(taken), "utf-8")


_TAKEN: Final = """
import importlib.metadata, json
found = {each.metadata["Name"].lower().replace("_", "-"): each.version for each in importlib.metadata.distributions()}
print(json.dumps(found))
"""


def run_pytest(session: nox.Session, *arguments: str, must_have: str = "") -> None:
    """Run tests in an environment without variables that are not theirs."""
    note_taken(session)
    foreign = {name: None for name in os.environ if name.startswith(FOREIGN)}
    given = {"FAILOVER_MUST_HAVE": must_have} if must_have else {}
    session.run("python", "-m", "pytest", *arguments, env={**foreign, **SILENT, **given})


def run_environment(session: nox.Session, environment: Environment, *base: str) -> None:
    """Run the tests of one environment; what it was made for has to be there."""
    install(session, *base, *environment.installed.split())
    run_pytest(session, "-q", *(session.posargs or environment.paths()), must_have=environment.modules)


# --- while one works --------------------------------------------------------------------------------------------------


@nox.session(reuse_venv=True, tags=["ci"])
def lint(session: nox.Session) -> None:
    """Lint, form, and the rules of the house about imports."""
    install(session, groups=["lint"])
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache", "--no-logo")


@nox.session(reuse_venv=True, tags=["ci"])
def types(session: nox.Session) -> None:
    """Types of the package, its tests, the examples, the benchmark; and as a user writes them."""
    install(session, ".[test]", groups=["types"])
    session.run("mypy")


@nox.session(reuse_venv=True)
def quick(session: nox.Session) -> None:
    """Tests of every room of the package, in less than a minute."""
    install(session, ".[test]")
    run_pytest(session, "-m", "quick", *session.posargs)


@nox.session(reuse_venv=True, default=False)
def tests(session: nox.Session) -> None:
    """The whole suite with the newest releases, as the README's command runs it."""
    install(session, ".[test]")
    run_pytest(session, *session.posargs)


@nox.session(reuse_venv=True, default=False)
def demo(session: nox.Session) -> None:
    """Watch the incident."""
    install(session, ".[demo]")
    session.run("otel-failover", "demo", *session.posargs)


@nox.session(reuse_venv=True, default=False, tags=["ci"])
def docs(session: nox.Session) -> None:
    """Build the pages; a link that leads nowhere fails."""
    if not (ROOT / "mkdocs.yml").exists():
        session.skip("mkdocs.yml is not here")
    install(session, groups=["docs"])
    session.run("mkdocs", "build", "--strict", "--site-dir", str(Path(session.create_tmp()) / "site"))


@nox.session(reuse_venv=True, default=False, tags=["ci"])
def bench(session: nox.Session) -> None:
    """The benchmark's gate: what is executed decides; times, beside other work, are only shown."""
    install(session, ".[test]")
    session.run("python", "bench/overhead.py", *(session.posargs or ["--quick", "--gate"]))


@nox.session(reuse_venv=True, default=False)
def cost(session: nox.Session) -> None:
    """The whole benchmark, beside others' instrumentations: writes the figures, tables and plots of docs/cost.md."""
    install(session, ".[test]", groups=["bench"])
    session.run("python", "bench/overhead.py", *(session.posargs or ["--docs"]))


# --- releases, neighbours, Pythons ------------------------------------------------------------------------------------


@nox.session(default=False, tags=["ci"])
def oldest(session: nox.Session) -> None:
    """The suite with the oldest releases that are supported."""
    install(session, *OLDEST.split())
    left_out = [f"--deselect=tests/{test}" for tests in LEFT_OUT.values() for test in tests]
    alike = [f"--ignore=tests/{path}" for path in ALIKE]
    run_pytest(session, "-q", *left_out, *alike, *session.posargs)


@nox.session(default=False, tags=["ci"], python=find_pythons("3.10", "3.13"))
def pythons(session: nox.Session) -> None:
    """What can differ in another Python."""
    install(session, ".[test]")
    run_pytest(session, "-q", *(session.posargs or ["-m", "python"]))


@nox.session(default=False, tags=["ci"])
@nox.parametrize("environment", [nox.param(each, id=each.name) for each in BESIDE])
def beside(session: nox.Session, environment: Environment) -> None:
    """Honest traces beside other instrumentations: a false alarm fails."""
    run_environment(session, environment, *BASE.split())


@nox.session(default=False, tags=["ci"])
@nox.parametrize("environment", [nox.param(each, id=each.name) for each in ENDS])
def ends(session: nox.Session, environment: Environment) -> None:
    """A library's tests in one of its releases."""
    run_environment(session, environment, *BASE.split())


@nox.session(default=False, tags=["ci"])
def coexistence(session: nox.Session) -> None:
    """Beside instrumentations that the extra `test` does not bring: Anthropic's SDK, Google's SDK, Logfire."""
    run_environment(session, COEXISTENCE)


@nox.session(default=False, tags=["ci"])
def zero_code(session: nox.Session) -> None:
    """`opentelemetry-instrument`, beside no other instrumentation."""
    run_environment(session, ZERO_CODE)


@nox.session(default=False, tags=["ci"])
def examples(session: nox.Session) -> None:
    """The examples; their page, and the report's, in a real browser, where there is one."""
    install(session, ".[test]", "selenium", "pyyaml", groups=["examples"])
    run_pytest(session, "-q", *(session.posargs or ["tests/examples", "tests/cli/report/test_browser.py"]))


@nox.session(default=False)
def ops(session: nox.Session) -> None:
    """From a lying span to a pager and back to the trace: real collector, Jaeger, Prometheus, Alertmanager."""
    if shutil.which("go") is None:
        session.skip("left out: the collector and Jaeger are built with Go, and there is none")
    install(session, ".[test]", "pyyaml")
    session.run("python", "-m", "examples.ops.up", "--build")
    session.env["FAILOVER_OPS"] = "1"
    walk = ["tests/examples/test_ops.py", "tests/examples/test_ops_walk.py"]
    run_pytest(session, "-q", "-rs", *(session.posargs or walk))


@nox.session(default=False, tags=["ci"])
def chains(session: nox.Session) -> None:
    """Three thousand random chains and fifty thousand pure cases, in every way in which an error can be carried.

    Every theft is found, and none is invented. A fault in every function below a guard.
    """
    install(session, ".[test]")
    session.env.update(FAILOVER_CHAINS="3000", FAILOVER_CASES="50000", FAILOVER_WAYS="all", FAILOVER_FAULTS="all")
    pure = ["tests/core/attribution/test_random_cases.py", "tests/core/attribution/test_ways.py"]
    live = ["tests/truth/test_random_chains.py", "tests/truth/ways", "tests/host/test_faults.py"]
    run_pytest(session, "-q", *(session.posargs or [*pure, *live]))
