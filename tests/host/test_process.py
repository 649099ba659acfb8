"""How we start, in a process of its own: without an SDK, switched off, set up late, beside a broken log."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.process import in_a_process


def test_without_an_sdk_one_warning_and_the_host_goes_on() -> None:
    printed = in_a_process("""
        import openai
        from otel_failover import FailoverInstrumentor, failover_run
        FailoverInstrumentor().instrument()
        with LocalProvider("openai", Answer.error(401, "No")) as provider:
            client = openai.OpenAI(base_url=provider.base_url, api_key="k", max_retries=0)
            for _ in range(3):
                with failover_run("chat", chain=["openai/m"]) as run:
                    try:
                        with run.attempt("openai/m") as attempt:
                            client.chat.completions.create(model="m", messages=QUESTION)
                    except openai.AuthenticationError:
                        print("ERROR", attempt.error.status_code, attempt.error.message)
    """)
    assert printed.count("no OpenTelemetry SDK is configured") == 1
    assert printed.count("ERROR 401 No") == 3


@pytest.mark.parametrize(
    ("environment", "times"), [({}, 1), ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask, otel_failover"}, 0)]
)
def test_a_run_where_nothing_was_instrumented_says_so_once(environment: dict[str, Any], times: int) -> None:
    """Every reason is unknown then; silence is how instrumentation dies."""
    printed = in_a_process(
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from otel_failover import failover_run
        trace.set_tracer_provider(TracerProvider())
        for _ in range(3):
            with failover_run("chat", chain=["openai/m"]) as run:
                pass
        """,
        **environment,
    )
    assert printed.count("nothing is instrumented") == times


def test_a_disabled_sdk_is_respected() -> None:
    printed = in_a_process(
        """
        import openai
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor, ConsoleSpanExporter
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
        trace.set_tracer_provider(provider)
        from otel_failover import FailoverInstrumentor, failover_run
        FailoverInstrumentor().instrument()
        with LocalProvider("openai", Answer.ok("yes")) as local:
            client = openai.OpenAI(base_url=local.base_url, api_key="k")
            with failover_run("chat", chain=["openai/m"]) as run, run.attempt("openai/m"):
                print("GOT", client.chat.completions.create(model="m", messages=QUESTION).choices[0].message.content)
        """,
        OTEL_SDK_DISABLED="true",
    )
    assert "GOT yes" in printed
    assert "otel-failover failed" not in printed
    assert "trace_id" not in printed


def test_a_provider_set_after_instrument_is_checked_all_the_same() -> None:
    printed = in_a_process("""
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from otel_failover import FailoverInstrumentor, failover_run
        FailoverInstrumentor().instrument()
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        with failover_run("chat", chain=["openai/m"]) as run, run.attempt("openai/m"):
            with trace.get_tracer("application").start_as_current_span("mine"):
                pass
        for span in exporter.get_finished_spans():
            print("SPAN", span.name, span.attributes.get("candidate.provider"))
    """)
    assert "SPAN mine openai" in printed
    assert "no OpenTelemetry SDK" not in printed


def test_a_stream_collected_while_metrics_are_read_blocks_nobody() -> None:
    """The collector runs anywhere, also inside a lock that the end of an attempt takes: here at each step of ours."""
    printed = in_a_process("""
        import faulthandler, gc
        faulthandler.dump_traceback_later(60, exit=True)
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        import otel_failover
        from otel_failover import FailoverInstrumentor, failover_run
        reader = InMemoryMetricReader()
        FailoverInstrumentor().instrument(tracer_provider=TracerProvider(), meter_provider=MeterProvider([reader]))

        class Holder:
            pass

        def left_open():
            holder = Holder()
            with failover_run("chat", chain=["openai/m"]) as run, run.attempt("openai/m") as attempt:
                holder.stream = attempt.stream(iter([1, 2]))
                next(holder.stream)
            holder.itself = holder
            return holder

        gc.disable()
        gc.freeze()  # what is there already is not looked at each time
        held = [left_open() for _ in range(200)]

        def collect(frame, event, arg):
            if held and frame.f_code.co_filename.startswith(os.path.dirname(otel_failover.__file__)):
                sys.setprofile(None)
                held.pop()
                gc.collect()
                sys.setprofile(collect)

        sys.setprofile(collect)
        reader.get_metrics_data()
        sys.setprofile(None)
        print("READ", len(held) < 190)
    """)
    assert "READ True" in printed
