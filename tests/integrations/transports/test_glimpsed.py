"""Spans that end before the answer reaches us: held against what the library below has got by then."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider

HTTPXClientInstrumentor = pytest.importorskip("opentelemetry.instrumentation.httpx").HTTPXClientInstrumentor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Tracer

    from tests.support.spans import Exported, Telemetry

QUOTA = str(Answer.openai_quota().message)
ASKED = {"model": "some-model", "messages": [{"role": "user", "content": "hello"}]}
FAILURES = {
    "401": Answer.openai_bad_key(),
    "429": Answer.openai_quota(),
    "503": Answer.raw(503, b""),
    "a page": Answer.raw(502, "<html>Bad Gateway</html>"),
    "a timeout": Answer.hang(),
    "a reset": Answer.reset(),
    "refused": None,
}


@pytest.fixture
def beside(telemetry: Telemetry) -> Iterator[Telemetry]:
    """Turn on the instrumentation of httpx."""
    HTTPXClientInstrumentor().instrument(tracer_provider=telemetry.provider)
    yield telemetry
    HTTPXClientInstrumentor().uninstrument()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def provider(stack: ExitStack, answer: Answer | None) -> str:
    """Return the endpoint of a provider; nobody listens there without an answer."""
    server = stack.enter_context(LocalProvider("openai", answer or Answer.ok()))
    if answer is None:
        server.close()
    return server.endpoint


def ask(endpoint: str, **options: Any) -> None:
    with suppress(httpx.HTTPError), httpx.Client(timeout=0.3, **options) as client:
        client.post(f"{endpoint}/v1/chat/completions", json=ASKED)


async def aask(endpoint: str) -> None:
    with suppress(httpx.HTTPError):
        async with httpx.AsyncClient(timeout=0.3) as client:
            await client.post(f"{endpoint}/v1/chat/completions", json=ASKED)


def spans_of(telemetry: Telemetry, scope: str) -> list[Exported]:
    return [span for span in telemetry.spans if span.scope == scope]


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_span_of_httpxs_instrumentation(beside: Telemetry, stack: ExitStack, failure: str, how: str) -> None:
    endpoint = provider(stack, FAILURES[failure])
    with failover_run("chat") as run, run.attempt(Candidate("openai", "some-model", endpoint)):
        ask(endpoint) if how == "sync" else asyncio.run(aask(endpoint))
    (span,) = spans_of(beside, "opentelemetry.instrumentation.httpx")
    assert span.status == "ERROR"
    assert span.verdict == ("verified", None)


class Lying(httpx.BaseTransport):
    """A transport of the application's that tells of every request by a span, with the last error that it met.

    Args:
        tracer: Makes the span.
        endpoint: That the span names.
        asks: Where it sends the request instead, if it does.
        answers: Whether the real answer comes first.
    """

    def __init__(self, tracer: Tracer, endpoint: str, asks: str | None = None, *, answers: bool = True) -> None:
        self.tracer, self.endpoint, self.asks, self.answers = tracer, endpoint, asks, answers
        self.below = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        given = {"url.full": self.endpoint, "http.request.method": "POST"}
        with self.tracer.start_as_current_span("POST", attributes=given) as span:
            if self.asks is not None:
                request = httpx.Request("POST", self.asks, content=b"{}", extensions=request.extensions)
            response = self.below.handle_request(request) if self.answers or self.asks else None
            span.set_attribute("http.response.status_code", 429)
            if self.asks is None:
                span.set_attribute("error.message", QUOTA)
        if response is None or self.asks is not None:
            raise httpx.ReadTimeout("timed out")
        return response


@pytest.mark.parametrize("answers", [True, False], ids=["answered", "never sent"])
def test_a_span_below_the_send_that_tells_anothers_error(telemetry: Telemetry, stack: ExitStack, answers: bool) -> None:
    first, second = provider(stack, Answer.openai_quota()), provider(stack, Answer.raw(503, b""))
    chain = [Candidate("openai", "some-model", first), Candidate("openrouter", "some-model", second)]
    with failover_run("chat", chain=chain) as run:
        with run.attempt(chain[0]):
            ask(first)
        with run.attempt(chain[1]):
            ask(second, transport=Lying(telemetry.tracer, second, answers=answers))
    (span,) = spans_of(telemetry, "application")
    assert span.verdict[0] not in (None, "verified")


def test_what_a_transport_gets_from_somebody_else_is_not_own(telemetry: Telemetry, stack: ExitStack) -> None:
    """It asks another provider in this one's place, and tells of that answer under this one's name."""
    first, second = provider(stack, Answer.openai_quota()), provider(stack, Answer.ok())
    with failover_run("chat") as run, run.attempt(Candidate("openrouter", "some-model", second)):
        ask(second, transport=Lying(telemetry.tracer, second, f"{first}/v1/chat/completions"))
    (span,) = spans_of(telemetry, "application")
    assert span["http.response.status_code"] == 429
    assert span.verdict == ("unverified", "evidence_incomplete")
