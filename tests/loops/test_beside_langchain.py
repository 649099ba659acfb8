"""Beside others that instrument LangChain by its callbacks: their honest spans are left alone."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("langchain_openai")
pytest.importorskip("langchain_anthropic")

from langchain_core.output_parsers import StrOutputParser
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_failover import FailoverInstrumentor
from otel_failover.testing.providers import Answer
from tests.loops.langchain_models import BATCHES, WAYS, Bench
from tests.loops.test_langchain_core import PROMPT
from tests.spans import SerialisingExporter

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHERS = {
    "openinference": "openinference.instrumentation.langchain",
    "openllmetry": "opentelemetry.instrumentation.langchain",
}
SCOPE = "otel_failover"


@pytest.fixture(params=sorted(OTHERS))
def other(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Another instrumentation, put on before or after ours, and its exporter."""
    module = pytest.importorskip(OTHERS[request.param])
    exporter, provider = SerialisingExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = module.LangchainInstrumentor() if hasattr(module, "LangchainInstrumentor") else module.LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield exporter, provider
    instrumentor.uninstrument()
    provider.shutdown()


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


@pytest.mark.parametrize("way", WAYS + BATCHES)
def test_their_spans_are_the_same_and_none_is_flagged(other: Any, way: str) -> None:
    exporter, provider = other
    ask(way)
    without = shapes(exporter)
    assert without
    exporter.spans.clear()
    FailoverInstrumentor().instrument(tracer_provider=provider)
    try:
        ask(way)
    finally:
        FailoverInstrumentor().uninstrument()
    assert shapes(exporter) == without
    flagged = [(span.name, span.verdict, span.attributes) for span in exporter.spans if span.verdict[0] in ("mismatch", "inconsistent")]
    assert flagged == []
    assert not [span for span in exporter.spans if span.name == "failover.attribution.mismatch"]
    assert [span for span in exporter.spans if span.name.startswith("candidate ")]
