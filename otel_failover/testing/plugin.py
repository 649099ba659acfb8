"""A pytest plugin: local providers, captured runs, and the cases that loops get wrong, tried against your own.

Nothing loads by itself. In a `conftest.py`:

    pytest_plugins = ["otel_failover.testing.plugin"]

which gives the fixtures below; or on the command line, to try a loop:

    pytest -p otel_failover.testing.plugin --failover-scenarios my.module:call

With that option no other test is run: each case is one, by its name, so that `-k "not bare_400"` leaves one out. The
exit code is pytest's: 0 where the loop did what is right, 1 where it did not, 4 where what is named is no loop.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest

from otel_failover.testing.providers import Kind, LocalProvider
from otel_failover.testing.scenarios import CASES, Conditions, NoSuchCallError, load, try_case
from otel_failover.testing.scenarios.telling import document, sentences, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_failover.testing.runs import CapturedRuns
    from otel_failover.testing.scenarios import Call, Case, Result

__all__ = ["failover_runs", "local_provider"]

_RESULTS: Final[pytest.StashKey[list[Result]]] = pytest.StashKey()
_FIRST: Final = CASES[0]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the cases."""
    group = parser.getgroup("failover", "otel-failover: try your own fallback loop")
    group.addoption(
        "--failover-scenarios",
        metavar="MODULE:CALL",
        help="try this loop, and run no other test: a function of candidates that returns text or raises",
    )
    group.addoption(
        "--failover-providers",
        metavar="KINDS",
        default="openai,anthropic,openai",
        help="whose wire formats the candidates speak, in order (default: %(default)s)",
    )
    group.addoption(
        "--failover-timeout",
        metavar="SECONDS",
        type=float,
        default=1.0,
        help="how long the loop is told to wait for a candidate (default: %(default)s)",
    )
    group.addoption(
        "--failover-deadline",
        metavar="SECONDS",
        type=float,
        default=10.0,
        help="after which a call that has not come back counts as hung (default: %(default)s)",
    )
    group.addoption("--failover-json", metavar="FILE", help="write what was found there, too")


# --- the cases --------------------------------------------------------------------------------------------------------


class _WrongError(AssertionError):
    """A loop did what is not right."""


class _Cases(pytest.Collector):
    """The cases, in the place of files with tests."""

    def collect(self) -> list[pytest.Item]:
        """Return a test for each case."""
        conditions = _conditions(self.config)
        call = _call(self.config)
        return [_Item.from_parent(self, name=case.name, case=case, call=call, conditions=conditions) for case in CASES]


class _Item(pytest.Item):
    """One case."""

    def __init__(self, *, case: Case, call: Call, conditions: Conditions, **more: Any) -> None:
        super().__init__(**more)
        self._case, self._call, self._conditions = case, call, conditions

    def runtest(self) -> None:
        results = self.config.stash.setdefault(_RESULTS, [])
        if any(each.is_fault for each in results if each.case == _FIRST.name):
            pytest.skip(f"the loop fails where its first candidate is well: see {_FIRST.name}")
        result = try_case(self._case, self._call, self._conditions)
        results.append(result)
        if result.verdict == "not tried":
            pytest.skip(result.happened)
        if result.is_fault:
            raise _WrongError(sentences(self._case, result))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *more: Any, **named: Any) -> Any:
        if isinstance(excinfo.value, _WrongError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *more, **named)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self._case.name}: {self._case.situation}"


def _conditions(config: pytest.Config) -> Conditions:
    kinds = [each.strip() for each in config.getoption("--failover-providers").split(",")]
    unknown = [each for each in kinds if each not in get_args(Kind)]
    if unknown:
        raise pytest.UsageError(
            f"--failover-providers: no wire format is called {unknown[0]!r}; there are {', '.join(get_args(Kind))}"
        )
    timeout, deadline = config.getoption("--failover-timeout"), config.getoption("--failover-deadline")
    if not 0 < timeout < deadline:
        raise pytest.UsageError("--failover-timeout has to be more than 0 and less than --failover-deadline")
    return Conditions(tuple(kinds), timeout, deadline)


def _call(config: pytest.Config) -> Call:
    here = str(config.invocation_params.dir)
    if here not in sys.path:  # where one stands is where `python -m` would find it
        sys.path.insert(0, here)
    try:
        return load(config.getoption("--failover-scenarios"))
    except NoSuchCallError as problem:
        raise pytest.UsageError(f"--failover-scenarios: {problem}") from problem.__cause__


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> bool | None:
    """Collect the cases alone, where they are asked for."""
    if session.config.getoption("--failover-scenarios") is None:
        return None
    cases: _Cases = _Cases.from_parent(session, name="failover scenarios", path=session.path, nodeid="scenarios")
    session.items = list(cases.collect())
    session.config.hook.pytest_collection_modifyitems(session=session, config=session.config, items=session.items)
    session.config.hook.pytest_collection_finish(session=session)
    session.testscollected = len(session.items)
    return True


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show all cases in a table; write them down, where that is asked for."""
    results = config.stash.get(_RESULTS, [])
    if not results:
        return
    terminalreporter.section(f"failover scenarios: {config.getoption('--failover-scenarios')}")
    for line in table(results):
        terminalreporter.line(line)
    if path := config.getoption("--failover-json"):
        Path(path).write_text(json.dumps(document(results), indent=1) + "\n", "utf-8")


# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def local_provider() -> Iterator[Callable[..., LocalProvider]]:
    """Open local providers, which are closed at the end of the test: takes what `LocalProvider` takes."""
    opened: list[LocalProvider] = []

    def open_one(*given: Any, **named: Any) -> LocalProvider:
        opened.append(LocalProvider(*given, **named).start())
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def failover_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[CapturedRuns]:
    """Instrument everything that is installed, and capture the runs of the test; taken off again at its end.

    `OTEL_FAILOVER_STRICT` is set meanwhile, unless it was before: a failure of `otel-failover`'s own is raised.
    """
    from otel_failover.testing.runs import captured

    if "OTEL_FAILOVER_STRICT" not in os.environ:
        monkeypatch.setenv("OTEL_FAILOVER_STRICT", "1")
    with captured() as runs:
        yield runs
