"""Beside others that instrument LangChain by its callbacks: their honest spans are left alone."""

from __future__ import annotations

import importlib
from contextlib import ExitStack
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_failover import FailoverInstrumentor
from otel_failover.testing.providers import Answer
from tests.integrations.loops.langchain.models import BATCHES, WAYS, Bench
from tests.integrations.loops.langchain.test_runnables import PROMPT, StrOutputParser
from tests.support.process import in_a_process
from tests.support.spans import SerialisingExporter

OTHERS = {
    "openinference": "openinference.instrumentation.langchain",
    "openllmetry": "opentelemetry.instrumentation.langchain",
}
SCOPE = "otel_failover"


def ask(way: str) -> None:
    """Ask models and whole chains: served late, and not at all."""
    with ExitStack() as stack:
        bench = Bench(stack)
        for last in (Answer.ok("fine"), Answer.anthropic_overloaded()):
            models = bench.openai(Answer.openai_quota()).with_fallbacks([bench.anthropic(last)])
            first = PROMPT | bench.openai(Answer.openai_rate_limit()) | StrOutputParser()
            chains = first.with_fallbacks([PROMPT | bench.anthropic(last) | StrOutputParser()])
            bench.ask(models, ["a", "b"] if way in BATCHES else "a", way)
            bench.ask(chains, [{"word": "a"}, {"word": "b"}] if way in BATCHES else {"word": "a"}, way)


def shapes(exporter: SerialisingExporter) -> list[tuple[Any, ...]]:
    """Return name and status of every span of theirs."""
    return sorted((span.name, span.status) for span in exporter.spans if span.scope != SCOPE)


def compare(module: str) -> None:
    """Ask without us and with us, beside another instrumentation; fail where its spans differ or one is flagged.

    In a process of its own: not every instrumentation can be taken off, or leaves the context as it was.
    """
    exporter, provider = SerialisingExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    found = importlib.import_module(module)
    kind = getattr(found, "LangchainInstrumentor", None) or found.LangChainInstrumentor
    kind().instrument(tracer_provider=provider)
    for way in WAYS + BATCHES:
        exporter.spans.clear()
        ask(way)
        without = shapes(exporter)
        exporter.spans.clear()
        FailoverInstrumentor().instrument(tracer_provider=provider)
        ask(way)
        FailoverInstrumentor().uninstrument()
        assert without, way
        assert shapes(exporter) == without, way
        flagged = [span for span in exporter.spans if span.verdict[0] in ("mismatch", "inconsistent")]
        assert flagged == [], (way, flagged)
        assert not [span for span in exporter.spans if span.name == "failover.attribution.mismatch"], way
        runs = [span for span in exporter.spans if span.name == "failover chat"]
        assert len(runs) == (8 if way in BATCHES else 4), way
        assert len([span for span in exporter.spans if span.name.startswith("candidate ")]) == 2 * len(runs), way


@pytest.mark.parametrize("other", sorted(OTHERS))
def test_their_spans_are_the_same_and_none_is_flagged(other: str) -> None:
    pytest.importorskip(OTHERS[other])
    code = f"from tests.integrations.loops.langchain import test_beside as it; it.compare({OTHERS[other]!r}); print('SAME')"
    assert "SAME" in in_a_process(code, timeout=300)
