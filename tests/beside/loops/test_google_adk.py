"""google-adk's FallbackModel beside google-adk's own spans and those of others."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("google.adk.models._fallback_model")

from tests.beside.chains import FEW, GEMINI, GEMINI_MIDWAY, Path, check_attempts, shown
from tests.integrations.loops.google_adk.models import Bench, chain

if TYPE_CHECKING:
    from tests.beside.counting import Beside

tracing = pytest.importorskip("google.adk.telemetry.tracing")


@pytest.fixture(autouse=True)
def native(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let google-adk export its own spans, where nobody else has taken its tracer."""
    if "google_adk" not in beside.members:
        monkeypatch.setattr(tracing, "tracer", beside.provider.get_tracer("gcp.vertex.agent"))


def ask(path: Path, stream: bool, *, alone: bool = False) -> Any:
    with ExitStack() as stack:
        bench = Bench(stack)
        first = bench.gemini(*path.first, retries=path.retries)
        said = bench.ask(first if alone else chain(first, bench.anthropic(*path.second)), stream=stream)
        return shown(said), bench.asked


ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@ways
@pytest.mark.parametrize("path", GEMINI)
def test_chains(beside: Beside, path: str, stream: bool) -> None:
    _, asked = beside.honest(lambda: ask(GEMINI[path], stream))
    check_attempts(beside, asked)


@pytest.mark.parametrize("path", GEMINI_MIDWAY)
def test_streams_that_fail_midway(beside: Beside, path: str) -> None:
    _, asked = beside.honest(lambda: ask(GEMINI_MIDWAY[path], stream=True))
    check_attempts(beside, asked)


@ways
@pytest.mark.parametrize("path", FEW)
def test_models_alone(beside: Beside, path: str, stream: bool) -> None:
    beside.honest(lambda: ask(GEMINI[path], stream, alone=True))
