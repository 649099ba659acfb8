"""An instrumentation that makes current, inside an attempt, a context it took before: the attempt is still known."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from opentelemetry import context as context_api

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import MESSAGES, stand

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from tests.support.hosts import Stand
    from tests.support.spans import Telemetry


def ask_in(context: Context, asked: Stand) -> None:
    token = context_api.attach(context)
    try:
        asked.ask()
    finally:
        context_api.detach(token)


@pytest.mark.parametrize("taken", ["in the run", "before the run"])
def test_a_call_in_a_context_taken_before_the_attempt_is_the_attempts(telemetry: Telemetry, taken: str) -> None:
    before = context_api.get_current()
    with stand("openai", Answer.ok("fine")) as first, failover_run("chat", chain=[first.candidate]) as run:
        context = context_api.get_current() if taken == "in the run" else before
        with run.attempt(first.candidate):
            ask_in(context, first)
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span["failover.wire.requests"]) == ("success", 1)
    assert span.verdict[0] == "verified"


def test_a_span_started_in_a_context_taken_before_the_attempt_is_the_attempts(telemetry: Telemetry) -> None:
    with stand("openai", Answer.ok("fine")) as first, failover_run("chat", chain=[first.candidate]) as run:
        context = context_api.get_current()
        with run.attempt(first.candidate):
            telemetry.tracer.start_span("theirs", context=context).end()
            first.ask()
        telemetry.tracer.start_span("after", context=context).end()
    assert telemetry.named("theirs")[0]["candidate.provider"] == "openai"
    assert "candidate.provider" not in telemetry.named("after")[0].attributes


def test_a_context_of_another_run_stays_that_runs(telemetry: Telemetry) -> None:
    with stand("openai", Answer.ok("fine")) as first, stand("anthropic", Answer.ok("fine")) as second:
        with failover_run("other", chain=[second.candidate]) as other:
            context = context_api.get_current()
            with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate):
                ask_in(context, second)
                first.ask()
    tried: dict[Any, Any] = {span["candidate.provider"]: span["failover.run.id"] for span in telemetry.candidates}
    assert tried == {"anthropic": other.id, "openai": run.id}


class InThisProcess(httpx.BaseTransport):
    """An application that is reached without a socket, and asks a provider itself; its telemetry exchanges the context.

    FastAPI's own makes it of the request's headers alone, and leaves out what was current.
    """

    def __init__(self, asks: Stand, context: Context | None) -> None:
        self._asks, self._context = asks, context

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._context is None:
            found = self._asks.ask()
        else:
            token = context_api.attach(self._context)
            try:
                found = self._asks.ask()
            finally:
                context_api.detach(token)
        return httpx.Response(200, json=found.model_dump(mode="json"), request=request)


@pytest.mark.parametrize("context", ["kept", "taken before", "made anew"])
@pytest.mark.parametrize("where", ["in a run", "outside any"])
def test_a_call_inside_a_call_is_its_own_whatever_context_is_exchanged_between(
    telemetry: Telemetry, context: str, where: str
) -> None:
    given = {"kept": None, "taken before": context_api.get_current(), "made anew": context_api.Context()}[context]
    with ExitStack() as stack:
        asked = stack.enter_context(stand("anthropic", Answer.ok("fine"), kind="openai"))
        client: Any = stack.enter_context(httpx.Client(transport=InThisProcess(asked, given)))
        gateway = openai.OpenAI(
            api_key="sk-gateway-0123456789", base_url="http://gateway.example/v1", http_client=client
        )
        if where == "in a run":
            stack.enter_context(failover_run("chat", chain=["openai/gpt-5.5"]))
        gateway.chat.completions.create(model="gpt-5.5", messages=MESSAGES)
        gateway.close()
    outer, inner = telemetry.starting("chat ")
    assert (inner["candidate.model"], inner["failover.wire.requests"]) == (asked.candidate.model, 1)
    assert inner["candidate.outcome"] == "success"
    whole = telemetry.candidates[0] if where == "in a run" else outer
    assert (whole["candidate.model"], whole["failover.wire.requests"]) == ("gpt-5.5", 1)
    assert whole.verdict == ("verified", None)
