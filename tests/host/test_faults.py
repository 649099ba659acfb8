"""A bug of our own, wherever it is, never reaches the host."""

from __future__ import annotations

import re

import pytest

from tests.support.process import in_a_process

_LOOP = """
    import operator, openai
    import otel_failover._core.spans.processor, otel_failover.integrations.patching
    from otel_failover import FailoverInstrumentor, failover_run, Candidate
    from otel_failover._core import failsafe
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import StatusCode
    tracer_provider = TracerProvider()
    tracer = tracer_provider.get_tracer("application")

    def boom(*args, **kwargs):
        raise RuntimeError("planted")

    def loop(provider):
        answers = Answer.error(401, "No"), Answer.ok("yes"), Answer.stream(2), Answer.stream(1, then="error")
        provider.program(*answers)
        found = []
        client = openai.OpenAI(base_url=provider.base_url, api_key="sk-local-0123456789", max_retries=0, timeout=5)
        with failover_run("chat", chain=["openai/m", Candidate("anthropic", "m")]) as run:
            for name in ("openai/m", "anthropic/m"):
                try:
                    with run.attempt(name) as attempt:
                        with tracer.start_as_current_span("mine") as span:
                            span.set_status(StatusCode.ERROR, "mine")
                        reply = client.chat.completions.create(model="m", messages=QUESTION)
                        attempt.fail("no thanks")
                        found.append(reply.choices[0].message.content)
                except openai.APIError as problem:
                    found.append((type(problem).__name__, str(problem)))
            run.skip("openai/m", reason="cooldown")
        for _ in range(2):
            try:
                for chunk in client.chat.completions.create(model="m", messages=QUESTION, stream=True):
                    found.append(chunk.choices[0].delta.content)
            except openai.APIError as problem:
                found.append((type(problem).__name__, str(problem)))
        client.close()
        return found

    with LocalProvider("openai") as provider:
        without = loop(provider)
        for place in PLACES:
            where, _, name = ("otel_failover." + place).rpartition(".")
            owner = operator.attrgetter(where.removeprefix("otel_failover."))(otel_failover)
            original = vars(owner)[name]
            failsafe.failures.clear()
            print("PLACE", place, flush=True)
            setattr(owner, name, boom)
            FailoverInstrumentor().instrument(tracer_provider=tracer_provider)
            same = loop(provider) == without and loop(provider) == without
            FailoverInstrumentor().uninstrument()
            setattr(owner, name, original)
            print("SAME", same, "COUNTED", sum(failsafe.failures.values()) > 0, flush=True)
"""
PLANTED = [
    "_core.evidence.exchange.Exchange.__init__",
    "_core.evidence.exchange.Exchange.answered",
    "_core.evidence.ledger.Ledger.add",
    "_core.evidence.ledger.Ledger.call_raised",
    "_core.runs.attempt.Attempt._settled",
    "_core.runs.attempt.Attempt._tell_error",
    "_core.runs.attempt.Attempt.trail",
    "_core.runs.attempt.Attempt._first_attributes",
    "_core.runs.attempt.from_error",
    "_core.spans.candidate_span.CandidateSpan.write",
    "_core.runs.run.Run._read_chain",
    "_core.runs.run.Run._next_step",
    "_core.runs.run.Run._outcome",
    "_core.runs.call.Call.open",
    "_core.runs.call.Call._settle",
    "_core.spans.processor.read_claim",
    "_core.config.runtime.redact",
    "_core.config.runtime.Runtime.attach",
    "integrations.patching.put_on",
]


@pytest.fixture(scope="module")
def planted() -> dict[str, str]:
    """What was printed with a failure planted in each place, one after the other."""
    printed = in_a_process(_LOOP.replace("PLACES", repr(PLANTED)), timeout=60)
    parts = printed.split("PLACE ")[1:]
    return {part.split("\n", 1)[0]: part for part in parts}


@pytest.mark.parametrize("place", PLANTED)
def test_a_failure_of_our_own_never_reaches_the_host(place: str, planted: dict[str, str]) -> None:
    """A bug anywhere in us: same results, counted, logged once per site with its traceback."""
    printed = planted[place]
    assert "SAME True COUNTED True" in printed
    sites = re.findall(r"otel-failover failed in (\S+)", printed)
    assert sites
    assert len(sites) == len(set(sites)), "logged once per site"
    assert "RuntimeError: planted" in printed


_AFTERWARDS = """
    import {module}
    from otel_failover import FailoverInstrumentor, failover_run
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, ConsoleSpanExporter
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    FailoverInstrumentor().instrument(tracer_provider=provider)
    def boom(*args, **kwargs):
        raise RuntimeError("planted")
    assert callable({module}.{place})
    {module}.{place} = boom
    with failover_run("chat", chain=["openai/m"]) as run:
        try:
            with run.attempt("openai/m") as attempt:
                raise ValueError("x")
        except ValueError:
            pass
    print("SPANS", sorted(span.name for span in exporter.get_finished_spans()))
"""


@pytest.mark.parametrize(
    "place",
    [
        "_core.runs.attempt.Attempt._tell_error",
        "_core.runs.attempt.Attempt._judged",
        "_core.runs.attempt.Attempt._settled",
        "_core.runs.run.Run._outcome",
    ],
)
def test_a_failure_of_our_own_loses_facts_but_no_spans(place: str) -> None:
    module, name = re.split(r"\.(?=[A-Z])", place, maxsplit=1)
    printed = in_a_process(_AFTERWARDS.format(module=f"otel_failover.{module}", place=name))
    assert "SPANS ['candidate openai', 'failover chat']" in printed
