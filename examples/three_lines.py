"""Three lines around a loop that exists: the calls inside become the candidates of one run.

The local providers stand in for real ones; without `base_url` the same clients ask the real ones.
"""

from __future__ import annotations

import anthropic
import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from otel_failover import FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer, LocalProvider

CHAIN = ["openai/gpt-5.5", "anthropic/claude-opus-4-7"]


def ask(prompt: str, first: openai.OpenAI, second: anthropic.Anthropic) -> str:
    """A fallback as applications write it."""
    with failover_run("chat", chain=CHAIN):  # the one line around the loop
        try:
            reply = first.chat.completions.create(model="gpt-5.5", messages=[{"role": "user", "content": prompt}])
            return reply.choices[0].message.content or ""
        except openai.OpenAIError:
            message = second.messages.create(
                model="claude-opus-4-7", max_tokens=256, messages=[{"role": "user", "content": prompt}]
            )
            return "".join(block.text for block in message.content if block.type == "text")


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
        LocalProvider("openai", Answer.openai_quota()) as first,
        LocalProvider("anthropic", Answer.ok("Hello from the second.")) as second,
    ):
        print(
            ask(
                "Say hello.",
                openai.OpenAI(base_url=first.base_url, api_key="sk-local-one", max_retries=0),
                anthropic.Anthropic(base_url=second.base_url, api_key="sk-local-two", max_retries=0),
            )
        )
