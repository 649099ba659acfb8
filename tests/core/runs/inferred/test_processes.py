"""Where a process ends, forks, or is switched off in the middle: no thread of ours, and nothing is lost or done twice."""

from __future__ import annotations

import os
from textwrap import dedent

import pytest

from tests.support.process import in_a_process

_LOOP = """
    import os, sys, threading
    import openai
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
    from otel_failover import FailoverInstrumentor
    from otel_failover.testing.providers import Answer, LocalProvider

    class Printed(SpanExporter):
        def export(self, spans):
            for span in spans:
                print("SPAN", os.getpid() == BORN, span.name, dict(span.attributes).get("failover.outcome"), flush=True)
            return SpanExportResult.SUCCESS

    BORN = os.getpid()
    provider = TracerProvider()
    provider.add_span_processor(PROCESSOR(Printed()))
    trace.set_tracer_provider(provider)
    FailoverInstrumentor().instrument()
    servers = [LocalProvider("openai", default=Answer.openai_quota()).start() for _ in range(2)]
    clients = [openai.OpenAI(api_key="sk-" + "k" * 20, base_url=each.base_url, max_retries=0) for each in servers]

    def ask(one):
        try:
            clients[one].chat.completions.create(model=f"model-{one}", messages=[{"role": "user", "content": "hello"}])
        except openai.APIError:
            pass

    def loop():
        ask(0)
        ask(1)
"""


def _printed(code: str, processor: str = "SimpleSpanProcessor") -> list[str]:
    program = dedent(_LOOP).replace("PROCESSOR", processor) + dedent(code)
    return [line for line in in_a_process(program).splitlines() if line.startswith(("SPAN", "THREADS"))]


@pytest.mark.parametrize("processor", ["SimpleSpanProcessor", "BatchSpanProcessor"])
@pytest.mark.parametrize("around", ["nothing", "a span that never ends"])
def test_at_exit_it_ends_before_the_provider(processor: str, around: str) -> None:
    code = "loop()" if around == "nothing" else "with trace.use_span(trace.get_tracer('x').start_span('main')): loop()"
    lines = _printed(code, processor)
    assert "SPAN True failover chat exhausted" in lines
    assert "SPAN True candidate other #1 None" in lines


def test_no_thread_is_started() -> None:
    lines = _printed(
        """
        before = set(threading.enumerate())
        loop()
        print("THREADS", set(threading.enumerate()) <= before)
        """
    )
    assert "THREADS True" in lines


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_in_a_forked_child_it_is_the_parents() -> None:
    lines = _printed(
        """
        with trace.get_tracer("x").start_as_current_span("request"):
            loop()
            child = os.fork()
            if child == 0:
                ask(1)
                sys.stdout.flush()
                sys.exit(0)
            os.waitpid(child, 0)
        """
    )
    assert lines.count("SPAN True failover chat exhausted") == 1
    assert "SPAN False failover chat exhausted" not in lines
    assert "SPAN False chat model-1 None" in lines


def test_switched_off_in_the_middle_it_ends() -> None:
    lines = _printed(
        """
        loop()
        FailoverInstrumentor().uninstrument()
        print("THREADS off")
        ask(0)
        """
    )
    assert lines[-2:] == ["SPAN True failover chat exhausted", "THREADS off"]


def test_a_deadline_around_each_is_seen_without_any_span() -> None:
    """Before Python 3.12 `wait_for` makes a task of each call."""
    lines = _printed(
        """
        import asyncio
        slow = [LocalProvider("openai", default=Answer.hang()).start() for _ in range(2)]
        patient = [openai.AsyncOpenAI(api_key="sk-" + "k" * 20, base_url=each.base_url, max_retries=0) for each in slow]

        async def served():
            for number, each in enumerate(patient):
                asking = each.chat.completions.create(model=f"m-{number}", messages=[{"role": "user", "content": "hi"}])
                try:
                    await asyncio.wait_for(asking, 0.2)
                except asyncio.TimeoutError:
                    pass

        asyncio.run(served())
        """
    )
    assert any(line.startswith("SPAN True failover chat") for line in lines)
