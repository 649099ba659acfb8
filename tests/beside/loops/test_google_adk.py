"""google-adk's FallbackModel beside google-adk's own spans and those of others."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("google.adk.models._fallback_model")

from tests.beside.chains import FEW, GEMINI, GEMINI_MIDWAY, Path, check_attempts, shown
from tests.beside.neighbours import GENAI, LOGFIRE, OPENINFERENCE
from tests.integrations.loops.google_adk.models import Bench, chain

if TYPE_CHECKING:
    from tests.beside.counting import Beside

tracing = pytest.importorskip("google.adk.telemetry.tracing")
LOOP = "generate_content gemini-2.5-flash"
LIES = ("both fail", "both fail with a 429", "second fails midway")
"""google-adk's span of the whole loop names the first model, and carries the last one's exception."""


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


def lies(beside: Beside, path: str) -> tuple[str, ...]:
    """Return what lies on a path: google-adk leaves its span out where Google's SDK, or all of it, is instrumented."""
    return (LOOP,) if path in LIES and beside.family not in (GENAI, LOGFIRE, OPENINFERENCE) else ()


ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@ways
@pytest.mark.parametrize("path", GEMINI)
def test_chains(beside: Beside, path: str, stream: bool) -> None:
    _, asked = beside.honest(lambda: ask(GEMINI[path], stream), lying=lies(beside, path))
    check_attempts(beside, asked)


@pytest.mark.parametrize("path", GEMINI_MIDWAY)
def test_streams_that_fail_midway(beside: Beside, path: str) -> None:
    _, asked = beside.honest(lambda: ask(GEMINI_MIDWAY[path], stream=True), lying=lies(beside, path))
    check_attempts(beside, asked)


@ways
@pytest.mark.parametrize("path", FEW)
def test_models_alone(beside: Beside, path: str, stream: bool) -> None:
    beside.honest(lambda: ask(GEMINI[path], stream, alone=True))
