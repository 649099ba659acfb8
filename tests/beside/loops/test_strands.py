"""Strands Agents' ModelRouter beside Strands' own spans and those of others."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("strands.models.routing")

from tests.beside.chains import FEW, MIDWAY, OPENAI, Path, check_attempts, shown
from tests.integrations.loops.strands.models import Bench, router

if TYPE_CHECKING:
    from tests.beside.counting import Beside

telemetries = pytest.importorskip("strands.telemetry.tracer")


@pytest.fixture(autouse=True)
def native(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Strands export its own spans."""
    told = telemetries.Tracer()
    told.tracer_provider = beside.provider
    told.tracer = beside.provider.get_tracer(told.service_name)
    monkeypatch.setattr(telemetries, "_tracer_instance", told)


def ask(path: Path, how: str) -> Any:
    with ExitStack() as stack:
        bench = Bench(stack)
        first = bench.openai(*path.first, retries=path.retries)
        return shown(getattr(bench, how)(router(first, bench.anthropic(*path.second)))), bench.asked


@pytest.mark.parametrize("how", ["ask", "stream"])
@pytest.mark.parametrize("path", OPENAI | MIDWAY)
def test_agents(beside: Beside, path: str, how: str) -> None:
    """Strands streams from every model, whatever the agent was asked for."""
    _, asked = beside.honest(lambda: ask((OPENAI | MIDWAY)[path], how))
    check_attempts(beside, asked)


@pytest.mark.parametrize("path", FEW)
def test_models_alone(beside: Beside, path: str) -> None:
    """An agent of one model, which is no chain."""

    def work() -> Any:
        with ExitStack() as stack:
            bench = Bench(stack)
            return shown(bench.ask(bench.openai(*OPENAI[path].first, retries=OPENAI[path].retries)))

    beside.honest(work)
