"""Two whole traces of pydantic-ai's `FallbackModel`, as they are exported; ids, times, ports are masked."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("pydantic_ai")

from pydantic_ai import Agent
from pydantic_ai.exceptions import FallbackExceptionGroup
from pydantic_ai.models.fallback import FallbackModel

from otel_failover.testing.providers import Answer
from tests.integrations.loops.pydantic_ai.models import Bench, answered
from tests.truth.test_traces import drawn, traced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Telemetry

__all__ = ["traced"]

BUSY = Answer.error(429, "Too many requests for this key; please slow down.", type="rate_limit_error")


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


def ask(bench: Bench, agent: Agent[None, str], how: str) -> object:
    """Ask, either way; return the output, or the group of errors."""
    if how == "async":
        return bench.run(lambda: answered(agent))
    try:
        return agent.run_sync("hello").output
    except FallbackExceptionGroup as problem:
        return problem


def told(telemetry: Telemetry) -> str:
    """Draw the trace without what a call span has only where the SDK was asked for a whole answer: 2.68 streams."""
    known_whole = ("gen_ai.response.model", "gen_ai.usage.")
    return "\n".join(line for line in drawn(telemetry).splitlines() if not line.strip().startswith(known_whole))


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_404_and_a_429(traced: Telemetry, bench: Bench, how: str) -> None:
    chain = FallbackModel(bench.openai(Answer.openai_model_not_found()), bench.anthropic(BUSY))
    assert isinstance(ask(bench, Agent(chain), how), FallbackExceptionGroup)
    assert told(traced) == EXHAUSTED


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_quota_and_an_answer(traced: Telemetry, bench: Bench, how: str) -> None:
    chain = FallbackModel(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.ok("fine")))
    assert ask(bench, Agent(chain), how) == "fine"
    assert told(traced) == FALLBACK


EXHAUSTED = """\
failover chat ERROR: 2 of 2 failed: openai model_not_found, anthropic rate_limit
  candidate.index = 1
  candidate.model = claude-opus-4-7
  candidate.provider = anthropic
  error.type = exhausted
  failover.attempt.count = 2
  failover.chain = ['openai/gpt-5.5', 'anthropic/claude-opus-4-7']
  failover.library = pydantic_ai
  failover.loop.name = chat
  failover.outcome = exhausted
  failover.run.id = <run>
  failover.wasted.duration = <seconds>
    candidate openai ERROR: The model `gpt-none` does not exist or you do not have access to it.
      candidate.attempt = 1
      candidate.endpoint = http://127.0.0.1:<port>
      candidate.index = 0
      candidate.model = gpt-5.5
      candidate.outcome = error
      candidate.provider = openai
      error.type = model_not_found
      failover.attribution.verdict = verified
      failover.error.code = model_not_found
      failover.error.fingerprint = 47e3d7a5b038f5fb
      failover.error.origin = response
      failover.evidence = complete
      failover.reason.code = model_not_found
      failover.run.id = <run>
      failover.wire.request_id = req_<id>
      failover.wire.requests = 1
      failover.wire.statuses = ['404']
      http.response.status_code = 404
      event exception
        exception.message = Error code: 404 - <as sent>
        exception.type = openai.NotFoundError
        chat gpt-5.5 ERROR: The model `gpt-none` does not exist or you do not have access to it.
          candidate.index = 0
          candidate.model = gpt-5.5
          candidate.provider = openai
          error.type = openai.NotFoundError
          failover.attribution.verdict = verified
          gen_ai.operation.name = chat
          gen_ai.provider.name = openai
          gen_ai.request.model = gpt-5.5
          http.response.status_code = 404
          server.address = 127.0.0.1
          server.port = <port>
    candidate anthropic ERROR: Too many requests for this key; please slow down.
      candidate.attempt = 1
      candidate.endpoint = http://127.0.0.1:<port>
      candidate.index = 1
      candidate.model = claude-opus-4-7
      candidate.outcome = error
      candidate.provider = anthropic
      error.type = rate_limit
      failover.attribution.verdict = verified
      failover.error.code = rate_limit_error
      failover.error.fingerprint = f6c4dc94f61ad2b5
      failover.error.origin = response
      failover.evidence = complete
      failover.reason.code = rate_limit
      failover.run.id = <run>
      failover.wire.request_id = req_<id>
      failover.wire.requests = 1
      failover.wire.statuses = ['429']
      http.response.status_code = 429
      event exception
        exception.message = Error code: 429 - <as sent>
        exception.type = anthropic.RateLimitError
        chat claude-opus-4-7 ERROR: Too many requests for this key; please slow down.
          candidate.index = 1
          candidate.model = claude-opus-4-7
          candidate.provider = anthropic
          error.type = anthropic.RateLimitError
          failover.attribution.verdict = verified
          gen_ai.operation.name = chat
          gen_ai.provider.name = anthropic
          gen_ai.request.model = claude-opus-4-7
          http.response.status_code = 429
          server.address = 127.0.0.1
          server.port = <port>"""

FALLBACK = """\
failover chat UNSET
  candidate.index = 1
  candidate.model = claude-opus-4-7
  candidate.provider = anthropic
  failover.attempt.count = 2
  failover.chain = ['openai/gpt-5.5', 'anthropic/claude-opus-4-7']
  failover.library = pydantic_ai
  failover.loop.name = chat
  failover.outcome = fallback
  failover.run.id = <run>
  failover.wasted.duration = <seconds>
    candidate openai ERROR: You exceeded your current quota, please check your plan and billing details. For more \
information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.
      candidate.attempt = 1
      candidate.endpoint = http://127.0.0.1:<port>
      candidate.index = 0
      candidate.model = gpt-5.5
      candidate.outcome = error
      candidate.provider = openai
      error.type = billing
      failover.attribution.verdict = verified
      failover.error.code = insufficient_quota
      failover.error.fingerprint = 92b355f8fd4d8606
      failover.error.origin = response
      failover.evidence = complete
      failover.reason.code = billing
      failover.run.id = <run>
      failover.wire.request_id = req_<id>
      failover.wire.requests = 1
      failover.wire.statuses = ['429']
      http.response.status_code = 429
      event exception
        exception.message = Error code: 429 - <as sent>
        exception.type = openai.RateLimitError
        chat gpt-5.5 ERROR: You exceeded your current quota, please check your plan and billing details. For more \
information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.
          candidate.index = 0
          candidate.model = gpt-5.5
          candidate.provider = openai
          error.type = openai.RateLimitError
          failover.attribution.verdict = verified
          gen_ai.operation.name = chat
          gen_ai.provider.name = openai
          gen_ai.request.model = gpt-5.5
          http.response.status_code = 429
          server.address = 127.0.0.1
          server.port = <port>
    candidate anthropic UNSET
      candidate.attempt = 1
      candidate.endpoint = http://127.0.0.1:<port>
      candidate.index = 1
      candidate.model = claude-opus-4-7
      candidate.outcome = success
      candidate.provider = anthropic
      failover.attribution.verdict = verified
      failover.evidence = complete
      failover.run.id = <run>
      failover.wire.request_id = req_<id>
      failover.wire.requests = 1
      failover.wire.statuses = ['200']
      http.response.status_code = 200
        chat claude-opus-4-7 UNSET
          candidate.index = 1
          candidate.model = claude-opus-4-7
          candidate.provider = anthropic
          gen_ai.operation.name = chat
          gen_ai.provider.name = anthropic
          gen_ai.request.model = claude-opus-4-7
          gen_ai.response.id = msg_<id>
          server.address = 127.0.0.1
          server.port = <port>"""
