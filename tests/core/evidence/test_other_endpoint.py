"""A candidate whose client sends elsewhere than it declares: a typo, or a proxy in between."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import openai
import pytest

from otel_failover import Candidate, failover_run
from otel_failover._core.config import usage_hints
from otel_failover.testing.providers import Answer
from tests.support.fresh import as_imported
from tests.support.hosts import LoopError, stand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Telemetry

DECLARED = Candidate("openai", "gpt-5.5", "https://llm-proxy.internal.example/v1")


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    as_imported(usage_hints, monkeypatch)
    with ExitStack() as opened:
        yield opened


def attempted(stack: ExitStack, answer: Answer, *, rewrap: bool = False) -> Any:
    """Ask in an attempt that declares another endpoint; return the attempt."""
    each = stack.enter_context(stand("openai", answer))
    with failover_run("chat", chain=[DECLARED]) as run:
        with contextlib.suppress(openai.OpenAIError, LoopError), run.attempt(DECLARED) as attempt:
            try:
                each.ask()
            except openai.OpenAIError:  # noqa: PERF203 - a fallback loop
                if not rewrap:
                    raise
                raise LoopError("it did not work") from None
    return attempt


def test_the_error_that_leaves_is_the_candidates_own(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """What an attempt's exception was made of is evidence, wherever it was sent; the log says where that was."""
    error = attempted(stack, Answer.openai_bad_key()).error
    assert (error.status_code, error.reason, error.origin) == (401, "auth", "response")
    (span,) = telemetry.candidates
    assert (span["http.response.status_code"], span["failover.wire.requests"]) == (401, 1)
    assert span.verdict == ("verified", None)
    assert telemetry.run["failover.findings"] is None
    attempted(stack, Answer.openai_bad_key())
    told = [record.getMessage() for record in caplog.records if "declares the endpoint" in record.getMessage()]
    assert len(told) == 2, "once for each place that is asked"
    assert "https://llm-proxy.internal.example, and its client asks http://127.0.0.1" in told[0]


def test_an_error_that_does_not_leave_is_not_known_to_be_its_own(telemetry: Telemetry, stack: ExitStack) -> None:
    """Nothing is claimed to have failed in this process: something was sent, and answered."""
    error = attempted(stack, Answer.openai_bad_key(), rewrap=True).error
    assert (error.status_code, error.reason) == (None, "unknown")
    (span,) = telemetry.candidates
    assert (span["failover.evidence"], span["failover.evidence_gap"]) == ("partial", "other_endpoint")
    assert span.verdict[0] == "unverified"
    (call,) = telemetry.named("chat gpt-5.5")
    assert "nothing was asked" not in call.description
    assert telemetry.run["failover.findings"] is None


def test_an_answer_is_success_with_partial_evidence(telemetry: Telemetry, stack: ExitStack) -> None:
    assert attempted(stack, Answer.ok()).error is None
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span["failover.evidence"]) == ("success", "partial")


def test_a_helpers_failure_is_not_the_candidates(telemetry: Telemetry, stack: ExitStack) -> None:
    """A small model at another host rewrites the question; it fails, and the candidate is asked all the same."""
    helper = stack.enter_context(stand("openai", Answer.error(500, "the small model is down")))
    each = stack.enter_context(stand("openai", Answer.openai_quota()))
    with failover_run("chat", chain=[each.candidate]) as run:
        with pytest.raises(openai.RateLimitError), run.attempt(each.candidate):
            with contextlib.suppress(openai.InternalServerError):
                helper.ask()
            each.ask()
    (span,) = telemetry.candidates
    assert (span["http.response.status_code"], span["failover.wire.requests"]) == (429, 1)
    assert span.verdict == ("verified", None)
