"""A streamed reply that breaks off: the attempt ends with its stream, and says that output had begun.

The first stream fails after two chunks; the loop starts again with the second provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from otel_failover import FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer, LocalProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAIN = ["openai/gpt-5.5", "deepseek/deepseek-chat"]


def words(client: openai.OpenAI, model: str) -> Iterator[str]:
    """Ask for a stream; the application's own generator over the SDK's."""
    with client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Count."}], stream=True
    ) as chunks:
        for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


def answer(clients: dict[str, openai.OpenAI]) -> str:
    """Return the words of the first candidate that delivers all of them."""
    with failover_run("chat", chain=CHAIN) as run:
        for candidate in CHAIN:
            try:
                with run.attempt(candidate) as attempt:
                    return "".join(attempt.stream(words(clients[candidate], candidate.split("/")[1])))
            except openai.OpenAIError as problem:
                print("broken off:", problem)
    raise RuntimeError("no candidate delivered")


def line(span: ReadableSpan) -> str:
    """One span in one line."""
    facts = span.attributes or {}
    keys = ("failover.outcome", "candidate.outcome", "failover.reason.code", "failover.attribution.verdict")
    return " ".join([span.name, *(str(facts[key]) for key in keys if key in facts)]) + "\n"


if __name__ == "__main__":
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
    trace.set_tracer_provider(provider)
    FailoverInstrumentor().instrument()

    with (
        LocalProvider("openai", Answer.stream(["one ", "two "], then="error")) as first,
        LocalProvider("openai", Answer.stream(["one ", "two ", "three"])) as second,
    ):
        urls = [first.base_url, second.base_url]
        made = [openai.OpenAI(base_url=url, api_key="sk-local-0123456789", max_retries=0) for url in urls]
        print(answer(dict(zip(CHAIN, made, strict=True))))
