"""A service with the incident's bug, that does what its standard input says: `good 100`, `incident 3`.

Three candidates on this machine. In an incident OpenAI refuses for want of quota, Anthropic hangs until its timeout,
and Groq serves; the loop keeps the first error of its session and raises that for whoever fails next. For each request
one line of JSON: its kind and its trace.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

import anthropic
import openai
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel_failover import Candidate, FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer, LocalProvider

HANG: Final = float(os.environ.get("HANG", "6"))
"""How long Anthropic's client waits, in seconds."""
PROMPT: Final[Any] = [{"role": "user", "content": "Hello?"}]


class ProviderError(Exception):
    """What the loop raises for a candidate."""


def chat(client: openai.OpenAI, model: str) -> object:
    """Ask by OpenAI's SDK."""
    return client.chat.completions.create(model=model, messages=PROMPT)


def candidates(kind: str, stack: ExitStack) -> Any:
    """Open the chain: each candidate, and how to ask it."""
    first = Answer.openai_quota() if kind == "incident" else Answer.ok("Hello")
    one = stack.enter_context(LocalProvider("openai", first))
    two = stack.enter_context(LocalProvider("anthropic", Answer.hang(HANG + 30)))
    three = stack.enter_context(LocalProvider("openai", Answer.ok("Hello")))
    gpt = stack.enter_context(openai.OpenAI(base_url=one.base_url, api_key="k", max_retries=0))
    groq = stack.enter_context(openai.OpenAI(base_url=three.base_url, api_key="k", max_retries=0))
    claude = stack.enter_context(anthropic.Anthropic(base_url=two.base_url, api_key="k", max_retries=0, timeout=HANG))
    return [
        (Candidate("openai", "gpt-5.5", one.base_url), lambda: chat(gpt, "gpt-5.5")),
        (
            Candidate("anthropic", "claude-opus-4-7", two.base_url),
            lambda: claude.messages.create(model="claude-opus-4-7", max_tokens=16, messages=PROMPT),
        ),
        (Candidate("groq", "llama-4", three.base_url), lambda: chat(groq, "llama-4")),
    ]


def answer(asks: Any) -> str:
    """Serve one request, and return its trace's id."""
    with trace.get_tracer("checkout").start_as_current_span("POST /answer") as request:
        loop(asks)
        return f"{request.get_span_context().trace_id:032x}"


def loop(asks: Any) -> object:
    """Ask one after the other. The bug: the first error of the session is what every later failure is reported as."""
    session: dict[str, str] = {}
    with failover_run("chat", chain=[candidate for candidate, _ in asks], name="checkout") as run:
        for candidate, ask in asks:
            try:
                with run.attempt(candidate):
                    try:
                        return ask()
                    except (openai.OpenAIError, anthropic.AnthropicError) as problem:
                        raise ProviderError(session.setdefault("error", str(problem))) from None
            except ProviderError:
                continue
    return None


def main() -> None:
    """Do what standard input says, until it is closed."""
    resource = Resource.create({"service.name": "checkout"})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=200))
    meters = MeterProvider(
        resource=resource, metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter(), 1000)]
    )
    trace.set_tracer_provider(tracers)
    FailoverInstrumentor().instrument(tracer_provider=tracers, meter_provider=meters)
    for line in sys.stdin:
        kind, _, times = line.strip().partition(" ")
        with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
            for found in pool.map(answer, [candidates(kind, stack)] * int(times or 1)):
                print(json.dumps({"kind": kind, "trace": found}), flush=True)
        tracers.force_flush()
        print(json.dumps({"kind": "done"}), flush=True)
    tracers.shutdown()
    meters.shutdown()


if __name__ == "__main__":
    main()
