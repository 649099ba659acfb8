"""What the four loops share: providers on this machine, and a trace that can be read line by line."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anthropic
import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_failover import Candidate, FailoverInstrumentor
from otel_failover.testing.providers import Answer, LocalProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROMPT: Any = [{"role": "user", "content": "Hello?"}]
TOLD = ("candidate.outcome", "failover.outcome", "failover.reason.code", "failover.attribution.verdict")


@dataclass
class Model:
    """One entry of a chain, and how to ask it."""

    candidate: Candidate
    client: Any
    server: LocalProvider

    def ask(self) -> str:
        """Return its answer; raise the SDK's error."""
        if isinstance(self.client, anthropic.Anthropic):
            reply: Any = self.client.messages.create(model=self.candidate.model, messages=PROMPT, max_tokens=64)
            return str(reply.content[0].text)
        chat = self.client.chat.completions.create(model=self.candidate.model, messages=PROMPT)
        return chat.choices[0].message.content or ""

    def stream(self) -> str:
        """Return its answer, streamed."""
        chunks = self.client.chat.completions.create(model=self.candidate.model, messages=PROMPT, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


PATIENCE: Final = 30.0
"""Seconds for a model that answers: a busy machine is no timeout."""


@contextmanager
def models(*given: tuple[str, str, Answer], timeout: float = 0.3) -> Iterator[list[Model]]:
    """Open a chain: provider, model and what it answers."""
    with ExitStack() as stack:
        opened = []
        for provider, model, answer in given:
            spoken = anthropic.Anthropic if provider == "anthropic" else openai.OpenAI
            server = stack.enter_context(LocalProvider("anthropic" if provider == "anthropic" else "openai", answer))
            client = stack.enter_context(
                spoken(
                    api_key="none",
                    base_url=server.base_url,
                    max_retries=0,
                    timeout=timeout if answer.kind == "hang" else PATIENCE,
                )
            )
            opened.append(Model(Candidate(provider, model, server.endpoint), client, server))
        yield opened


def traced(work: Callable[[], str]) -> tuple[str, list[str]]:
    """Do something; return what it gave, or its error's text, and its trace: a line for each of our spans."""
    exporter = InMemorySpanExporter()
    with _spans_going_to(exporter):
        try:
            told = work()
        except Exception as problem:
            told = str(problem)
    spans = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
    return told, [_line(span) for span in spans if span.name.startswith(("failover", "candidate"))]


@contextmanager
def _spans_going_to(exporter: InMemorySpanExporter) -> Iterator[None]:
    """Have our spans exported: besides, if `opentelemetry-instrument` has turned us on; else by a provider of its own.

    What is on already stays as it is, and stays on: a second `instrument()` changes nothing.
    """
    if FailoverInstrumentor().is_instrumented_by_opentelemetry:
        provider = trace.get_tracer_provider()
        if not isinstance(provider, TracerProvider):  # nothing has configured an SDK
            provider = TracerProvider()
            trace.set_tracer_provider(provider)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        yield
        return
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    FailoverInstrumentor().instrument(tracer_provider=provider)
    try:
        yield
    finally:
        FailoverInstrumentor().uninstrument()


def _line(span: Any) -> str:
    facts = [str(span.attributes[key]) for key in TOLD if key in span.attributes]
    found = span.attributes.get("failover.findings")
    return " ".join([span.name, *facts, *(["findings=" + ",".join(found)] if found else [])])


def show(before: Callable[[], str], after: Callable[[], str]) -> None:
    """Print what both versions say, and their traces."""
    for name, work in (("before", before), ("after", after)):
        told, lines = traced(work)
        print(f"{name}: {told}", *(f"    {line}" for line in lines), sep="\n")
