"""Turns on each family of neighbours in turn, and says at the end what was looked at.

These tests run where they are asked for by name (`pytest tests/beside`), as CI does: most wait, and they are many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.beside import neighbours
from tests.beside.counting import COUNTS, Beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:  # noqa: ARG001 - pytest's
    """Leave these tests out unless something in here was named on the command line."""
    return None if any("beside" in argument for argument in config.invocation_params.args) else True


@pytest.fixture(scope="module", params=sorted(neighbours.installed()))
def neighbour(request: pytest.FixtureRequest) -> Iterator[neighbours.Neighbours]:
    """Turn on one family while the tests of a module run; some of its spans must have been seen."""
    with neighbours.turned_on(request.param) as on:
        yield on
    assert on.seen or not on.looked, f"no span of {on.family} was seen"


@pytest.fixture
def beside(neighbour: neighbours.Neighbours, request: pytest.FixtureRequest) -> Beside:
    """One family that is on, with nothing exported yet; what a test expects to fail does not count."""
    neighbour.exporter.spans.clear()
    return Beside(neighbour, lambda: request.node.get_closest_marker("xfail") is not None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say for each family what was looked at, and what was flagged for nothing."""
    for family, count in sorted(COUNTS.items()):
        terminalreporter.write_line(f"beside {family}: {count}")
        for alarm in count.alarms:
            terminalreporter.write_line(f"  false alarm: {alarm}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where there was a false alarm, whatever became of its test."""
    if any(count.alarms for count in COUNTS.values()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
