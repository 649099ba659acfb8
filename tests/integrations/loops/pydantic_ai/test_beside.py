"""Beside pydantic-ai's own instrumentation and Logfire: its spans stay as they are, and are judged honestly."""

from __future__ import annotations

import re
from concurrent import futures
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pydantic_ai")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from pydantic_ai import Agent
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.instrumented import InstrumentationSettings, InstrumentedModel

from otel_failover import FailoverInstrumentor
from otel_failover.testing.providers import Answer
from tests.integrations.loops.pydantic_ai.models import HAS_CAPABILITY, Bench, answered, streamed
from tests.support.spans import SerialisingExporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Exported

OURS = ("candidate.", "failover.")


class Told:
    """What an instrumented program exports."""

    def __init__(self) -> None:
        self.exporter = SerialisingExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def of(self, ours: bool) -> list[Exported]:
        """Return our spans, or the others, in the order of their start."""
        chosen = [span for span in self.exporter.spans if (span.scope == "otel_failover") is ours]
        return sorted(chosen, key=lambda span: (span.start, span.name))


@pytest.fixture
def told() -> Iterator[Told]:
    """Instrument agents as pydantic-ai does it itself."""
    found = Told()
    Agent.instrument_all(InstrumentationSettings(tracer_provider=found.provider))
    yield found
    Agent.instrument_all(False)
    found.provider.shutdown()


def flat(first: Any, second: Any) -> Agent[None, str]:
    return Agent(FallbackModel(first, second))


def nested(first: Any, second: Any) -> Agent[None, str]:
    return Agent(FallbackModel(FallbackModel(first, first), second, fallback_on=(Exception,)))


def instrumented(first: Any, second: Any) -> Agent[None, str]:
    return Agent(FallbackModel(InstrumentedModel(first), second))


def capability(first: Any, second: Any) -> Agent[None, str]:
    from pydantic_ai.capabilities import ModelFallback

    return Agent(first, capabilities=[ModelFallback(second)])


def loop_in_capability(first: Any, second: Any) -> Agent[None, str]:
    from pydantic_ai.capabilities import ModelFallback

    return Agent(FallbackModel(first, second), capabilities=[ModelFallback(second, fallback_on=(Exception,))])


needs_capability = pytest.mark.skipif(not HAS_CAPABILITY, reason="ModelFallback came with pydantic-ai 2.64")
AGENTS = [
    flat,
    nested,
    instrumented,
    pytest.param(capability, marks=needs_capability),
    pytest.param(loop_in_capability, marks=needs_capability),
]
PAIRS = {
    "first serves": (Answer.ok("fine"), Answer.ok()),
    "second serves": (Answer.openai_quota(), Answer.ok("fine")),
    "both fail": (Answer.openai_model_not_found(), Answer.anthropic_rate_limit()),
    "fails midway": (Answer.stream(["Hel", "lo"], then="error"), Answer.ok("fine")),
}


def ask(make: Callable[[Any, Any], Agent[None, str]], pair: str, how: str) -> None:
    with ExitStack() as stack:
        bench = Bench(stack)
        agent = make(bench.openai(PAIRS[pair][0]), bench.anthropic(PAIRS[pair][1]))
        bench.run(lambda: answered(agent) if how == "run" else streamed(agent))


def plain(text: object) -> str:
    """Return a text without what differs from one time to the next, and without whose frames an error passed."""
    text = re.sub(r"\b(req|msg|chatcmpl|run|resp)[_-]\w+", r"\1<id>", str(text))
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<uuid>", text)
    return re.sub(r"0x[0-9a-f]+|\d{4}-\d\d-\d\dT[^'\"]*|\d+", "<n>", text)


def described(span: Exported, parents: dict[str, str]) -> Any:
    """Return a span of another scope as its reader sees it, without what we add."""
    attributes = {
        key: plain(value)
        for key, value in span.attributes.items()
        if not key.startswith(OURS) and "duration" not in key and "time_to_first" not in key
    }
    events = [
        (name, {key: plain(value) for key, value in held.items() if key != "exception.stacktrace"})
        for name, held in span.events
    ]
    return plain(span.name), span.status, plain(span.description), attributes, events, parents.get(span.parent_id or "")


def others(told: Told) -> list[Any]:
    """Return the spans of others, each with the nearest span around it that is not ours."""
    every = {span.span_id: span for span in told.exporter.spans}
    around: dict[str, str] = {}
    for span in every.values():
        nearest: Exported | None = span
        while nearest is not None and nearest.scope == "otel_failover":
            nearest = every.get(nearest.parent_id or "")
        around[span.span_id] = plain(nearest.name) if nearest is not None else ""
    return sorted((described(span, around) for span in told.of(ours=False)), key=str)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("how", ["run", "stream"])
@pytest.mark.parametrize("make", AGENTS)
def test_its_spans_are_the_same_with_us(told: Told, make: Any, how: str, pair: str) -> None:
    """Names, winners, attempts, errors; and none of them is a mismatch."""
    ask(make, pair, how)
    without = others(told)
    told.exporter.spans.clear()
    FailoverInstrumentor().instrument(tracer_provider=told.provider)
    try:
        ask(make, pair, how)
    finally:
        FailoverInstrumentor().uninstrument()
    assert others(told) == without
    assert not [span for span in told.exporter.spans if span.name == "failover.attribution.mismatch"]
    assert not [span for span in told.exporter.spans if span.verdict[0] in ("mismatch", "inconsistent")]
    runs = [span for span in told.of(ours=True) if span.name == "failover chat"]
    assert runs
    chats = {span.span_id for span in told.of(ours=False) if span.name.startswith("chat ")}
    assert chats & {run.parent_id for run in runs}


@pytest.mark.parametrize("how", ["run", "stream"])
def test_beside_logfire(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Logfire's own provider, which we attach to; what it puts on executors, for good, is taken off again."""
    logfire = pytest.importorskip("logfire")
    for executor in (futures.ThreadPoolExecutor, futures.ProcessPoolExecutor):
        monkeypatch.setattr(executor, "submit", executor.submit)
    exporter = SerialisingExporter()
    local = logfire.configure(
        local=True, send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(exporter)]
    )
    local.instrument_pydantic_ai()
    FailoverInstrumentor().instrument(tracer_provider=local.config.get_tracer_provider())
    try:
        for pair in PAIRS:
            ask(flat, pair, how)
    finally:
        FailoverInstrumentor().uninstrument()
        Agent.instrument_all(False)
    finished = [span for span in exporter.spans if "logfire.pending_parent_id" not in span.attributes]
    runs = [span for span in finished if span.name == "failover chat"]
    assert len(runs) == len(PAIRS)
    assert len([span for span in finished if span.name.startswith("candidate ")]) >= 6
    assert not [span for span in exporter.spans if span.verdict[0] in ("mismatch", "inconsistent")]
    assert not [span for span in exporter.spans if span.name == "failover.attribution.mismatch"]
