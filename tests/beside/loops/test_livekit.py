"""LiveKit's FallbackAdapter, with its probes, beside LiveKit's own spans and those of others."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("livekit.plugins.anthropic")

from tests.beside.chains import FEW, MIDWAY, OPENAI, Path, shown
from tests.integrations.loops.test_livekit import Bench

if TYPE_CHECKING:
    from tests.beside.counting import Beside

telemetry = pytest.importorskip("livekit.agents.telemetry")


@pytest.fixture(autouse=True)
def native(beside: Beside, caplog: pytest.LogCaptureFixture) -> None:
    """Let LiveKit export its own spans."""
    caplog.set_level(logging.CRITICAL, "livekit")
    telemetry.set_tracer_provider(beside.provider)


def ask(path: Path, **options: Any) -> Any:
    with ExitStack() as stack:
        bench = Bench(stack)
        return shown(bench.ask(bench.openai(*path.first), bench.anthropic(*path.second), **options))


@pytest.mark.parametrize("path", OPENAI | MIDWAY)
def test_an_adapter(beside: Beside, path: str) -> None:
    beside.honest(lambda: ask((OPENAI | MIDWAY)[path]))


@pytest.mark.parametrize("path", FEW)
def test_one_that_retries_by_itself(beside: Beside, path: str) -> None:
    beside.honest(lambda: ask(OPENAI[path], max_retry_per_llm=1, retry_interval=0.001))


@pytest.mark.parametrize("path", FEW)
def test_one_that_is_asked_again(beside: Beside, path: str) -> None:
    """Who failed is left out the second time, until its probe has succeeded."""
    beside.honest(lambda: [shown(each) for each in ask(OPENAI[path], times=2)])
