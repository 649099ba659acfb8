"""An SDK that is seen by wire tries again by itself: that is one call, and a loop on top of it is a storm."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.core.runs.by_wire.ways import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Telemetry

BODY: Any = DIALECTS["chat"].body


@pytest.fixture
def limited() -> Iterator[LocalProvider]:
    with LocalProvider("openai", *[Answer.openai_rate_limit()] * 9) as found:
        yield found


def asks(provider: LocalProvider, retries: int, *, counted: bool, said: str = "Hello?") -> None:
    """Ask as an SDK does that tries again by itself, and may count that in a header."""
    body = {**BODY, "messages": [{"role": "user", "content": said}]}
    for retry in range(1 + retries):
        headers = {"x-stainless-retry-count": str(retry)} if counted else {}
        httpx.post(f"{provider.base_url}/chat/completions", json=body, headers=headers)


@pytest.mark.parametrize("declared", [True, False], ids=["attempts", "bare"])
def test_a_loop_on_top_of_an_sdks_retries_is_a_storm(
    telemetry: Telemetry, limited: LocalProvider, declared: bool
) -> None:
    candidate = Candidate("groq", "m", limited.endpoint)
    with failover_run("chat", chain=[candidate]) as run:
        for _ in range(3):
            with run.attempt(candidate) if declared else contextlib.nullcontext():
                asks(limited, 2, counted=True)
    assert "retry_storm" in (telemetry.run["failover.findings"] or ())


@pytest.mark.parametrize("declared", [True, False], ids=["attempts", "bare"])
def test_a_loop_that_tries_again_by_itself_is_none(
    telemetry: Telemetry, limited: LocalProvider, declared: bool
) -> None:
    candidate = Candidate("groq", "m", limited.endpoint)
    with failover_run("chat", chain=[candidate]) as run:
        for number in range(9):
            with run.attempt(candidate) if declared else contextlib.nullcontext():
                asks(limited, 0, counted=number % 2 == 0)
    assert "retry_storm" not in (telemetry.run["failover.findings"] or ())


def test_a_loop_of_tools_in_one_attempt_is_none(telemetry: Telemetry) -> None:
    with LocalProvider("openai", *[Answer.ok()] * 9) as provider:
        candidate = Candidate("groq", "m", provider.endpoint)
        with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
            for number in range(9):
                asks(provider, 0, counted=False, said=f"step {number}")
    assert telemetry.run["failover.findings"] is None
