"""What a mismatch says of itself, on its marker and in the log: what is wrong, and no more."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import openai
import pytest

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, stand

if TYPE_CHECKING:
    from tests.support.spans import Telemetry


@pytest.mark.parametrize("answer", [Answer.ok(), Answer.openai_rate_limit()], ids=["answered", "refused"])
def test_a_request_that_went_to_another(telemetry: Telemetry, caplog: pytest.LogCaptureFixture, answer: Answer) -> None:
    """Nobody claimed an error: what went wrong is where the request went."""
    with (
        stand("openrouter", Answer.openai_quota(), answer, model="m") as first,
        stand("mistral_ai", model="m") as other,
    ):
        with caplog.at_level(logging.WARNING), failover_run("chat", chain=[first.candidate, other.candidate]) as run:
            for each in (first, other):
                with suppress(openai.OpenAIError), run.attempt(each.candidate):
                    first.ask()
    (marker,) = telemetry.markers
    assert telemetry.candidates[1].verdict == ("mismatch", "wrong_endpoint")
    assert marker.description == "mistral_ai's request went to openrouter"
    (line,) = [record.getMessage() for record in caplog.records if "wrong_endpoint" in record.getMessage()]
    assert "span for mistral_ai/m has a request that went to openrouter (wrong_endpoint): " in line
    assert "carries" not in line
    assert "an error" not in line


def test_an_error_that_is_anothers(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """A claim without a status or code is still an error that somebody told."""
    with (
        stand("openai", Answer.openai_quota()) as first,
        stand("anthropic", Answer.hang(), timeout=0.15) as other,
        caplog.at_level(logging.WARNING),
        failover_run("chat", chain=[first.candidate, other.candidate]) as run,
    ):
        with pytest.raises(openai.RateLimitError) as caught, run.attempt(first.candidate):
            first.ask()
        with run.attempt(other.candidate) as attempt:
            with suppress(Exception):
                other.ask()
            attempt.fail(LoopError(str(caught.value)).args[0])
    (marker,) = telemetry.markers
    assert marker.description == "openai's error on anthropic's span"
    (line,) = [record.getMessage() for record in caplog.records if "stale_error" in record.getMessage()]
    assert "carries openai's error (stale_error): claimed an error; own evidence: no response in" in line
