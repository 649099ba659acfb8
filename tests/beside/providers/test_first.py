"""Whoever was on first: bare calls in a run are attempts, beside every neighbour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.beside.neighbours import has
from tests.beside.scenarios import SCENES, Loop
from tests.beside.sdks import ANTHROPIC, BEDROCK, GEMINI, OPENAI

if TYPE_CHECKING:
    from tests.beside.counting import Beside
    from tests.beside.scenarios import Sdk

MODULES = {"google_genai": "google.genai", "bedrock": "boto3"}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("sdk", [OPENAI, ANTHROPIC, GEMINI, BEDROCK], ids=lambda sdk: sdk.name)
def test_bare_calls_are_attempts(beside: Beside, sdk: Sdk, mode: str) -> None:
    """A neighbour that was on before us does not take our calls away, not even by a `request` on the client's class."""
    if not has(MODULES.get(sdk.name, sdk.name)):
        pytest.skip(f"{sdk.name} is not installed")
    beside.needs(sdk.name)
    loop = Loop(beside, (sdk, sdk), SCENES["second serves after no quota"], "bare")
    work: Any = loop.arun if mode == "async" and sdk.is_async else loop.run
    beside.honest(work)
    (run,) = beside.runs
    candidates = [span for span in beside.spans if span.name.startswith("candidate ")]
    assert [span["candidate.index"] for span in candidates] == [0, 1]
    assert run["failover.attempt.count"] == len(candidates)
    assert not run["failover.findings"]
