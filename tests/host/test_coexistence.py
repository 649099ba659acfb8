"""Beside other instrumentation, in every order: nobody's wrapper is lost, no span is made twice."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai
import pytest
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

from otel_failover import AttributionProcessor, Candidate, FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.process import in_a_process
from tests.support.same import QUESTION
from tests.support.spans import SerialisingExporter, Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HAS_HOOK = hasattr(SpanProcessor, "_on_ending")
needs_hook = pytest.mark.skipif(not HAS_HOOK, reason="the SDK shows an ending span to processors since 1.40")
CHAIN = [Candidate("openai", "m"), Candidate("anthropic", "m")]


def _httpx() -> Any:
    return pytest.importorskip("opentelemetry.instrumentation.httpx").HTTPXClientInstrumentor()


def _httpx2() -> Any:
    module = pytest.importorskip("opentelemetry.instrumentation.httpx")
    if not hasattr(module, "HTTPX2ClientInstrumentor"):
        pytest.skip("this version instruments no httpx2")
    pytest.importorskip("httpx2")
    return module.HTTPX2ClientInstrumentor()


def _genai_openai() -> Any:
    return pytest.importorskip("opentelemetry.instrumentation.genai.openai").OpenAIInstrumentor()


def _genai_anthropic() -> Any:
    return pytest.importorskip("opentelemetry.instrumentation.genai.anthropic").AnthropicInstrumentor()


OTHERS = {
    "httpx": _httpx,
    "httpx2": _httpx2,
    "genai-openai": _genai_openai,
    "genai-anthropic": _genai_anthropic,
}


def _attributes() -> dict[str, Any]:
    """Return every attribute that we or the others wrap."""
    from openai import _base_client, _streaming

    places: dict[str, tuple[Any, str]] = {
        "request": (_base_client.SyncAPIClient, "request"),
        "arequest": (_base_client.AsyncAPIClient, "request"),
        "stream": (_streaming.Stream, "__stream__"),
        "astream": (_streaming.AsyncStream, "__stream__"),
        "close": (_streaming.Stream, "close"),
        "aclose": (_streaming.AsyncStream, "close"),
        "send": (httpx.Client, "send"),
        "asend": (httpx.AsyncClient, "send"),
        "transport": (httpx.HTTPTransport, "handle_request"),
        "create": (openai.resources.chat.Completions, "create"),
        "messages": (anthropic.resources.Messages, "create"),
    }
    return {name: vars(place).get(attribute) for name, (place, attribute) in places.items()}


@pytest.fixture
def exported() -> Iterator[Telemetry]:
    """A tracer provider with nothing instrumented."""
    exporter = SerialisingExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield Telemetry(provider, exporter, None)  # type: ignore[arg-type]
    provider.shutdown()


def ask(provider: LocalProvider, **options: Any) -> Any:
    with openai.OpenAI(base_url=provider.base_url, api_key="k", max_retries=0) as client:
        reply = client.chat.completions.create(model="m", messages=QUESTION, **options)
        return list(reply) if options.get("stream") else reply


def ask_anthropic(provider: LocalProvider) -> Any:
    with anthropic.Anthropic(base_url=provider.base_url, api_key="k", max_retries=0) as client:
        return client.messages.create(model="m", max_tokens=5, messages=QUESTION)


# --- on and off -------------------------------------------------------------------------------------------------------


def test_off_means_the_originals_are_back() -> None:
    before = _attributes()
    for _ in range(2):
        FailoverInstrumentor().instrument(tracer_provider=TracerProvider())
        assert vars(httpx.Client)["send"] is not before["send"]
        FailoverInstrumentor().uninstrument()
        after = _attributes()
        assert all(after[name] is before[name] for name in before)


def test_on_twice_is_on_once(telemetry: Telemetry) -> None:
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider)
    with LocalProvider("openai") as provider, failover_run("chat"):
        ask(provider)
    (candidate,) = telemetry.candidates
    assert candidate["failover.wire.requests"] == 1
    assert len(telemetry.named("chat m")) == 1


def test_off_twice_is_off() -> None:
    before = _attributes()
    FailoverInstrumentor().instrument(tracer_provider=TracerProvider())
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().uninstrument()
    after = _attributes()
    assert all(after[name] is before[name] for name in before)


ORDERS = [
    order
    for order in itertools.permutations(["we on", "they on", "we off", "they off"])
    if order.index("we on") < order.index("we off") and order.index("they on") < order.index("they off")
]


@pytest.mark.parametrize("order", ORDERS, ids=", ".join)
@pytest.mark.parametrize("other", OTHERS)
def test_every_order_leaves_everybody_whole(other: str, order: tuple[str, ...], exported: Telemetry) -> None:
    """After each step whoever is on sees the call once, whoever is off does not see it."""
    them = OTHERS[other]()
    before = _attributes()
    on: set[str] = set()
    steps: dict[str, Callable[[], Any]] = {
        "we on": lambda: FailoverInstrumentor().instrument(tracer_provider=exported.provider),
        "we off": FailoverInstrumentor().uninstrument,
        "they on": lambda: them.instrument(tracer_provider=exported.provider, skip_dep_check=True),
        "they off": them.uninstrument,
    }
    kind = "anthropic" if "anthropic" in other else "openai"
    with LocalProvider(kind) as provider:  # type: ignore[arg-type]
        for step in order:
            steps[step]()
            who, _, state = step.partition(" ")
            (on.add if state == "on" else on.discard)(who)
            exported.clear()
            if other == "httpx":
                with httpx.Client() as client:
                    client.post(provider.base_url + "/chat/completions", json={"model": "m", "messages": []})
            elif kind == "openai":
                ask(provider)
            else:
                ask_anthropic(provider)
            theirs = [span for span in exported.spans if span.scope.startswith("opentelemetry")]
            assert len(theirs) == ("they" in on), (step, [span.name for span in exported.spans])
            ours = [span for span in exported.spans if span.scope == "otel_failover"]
            if kind == "openai" and other != "httpx":
                doubled = "they" in on and other == "genai-openai"
                assert len(ours) == ("we" in on and not doubled), (step, [span.name for span in exported.spans])
    after = _attributes()
    assert all(after[name] is before[name] for name in before)


def test_a_plain_closure_on_top_of_us_stays(telemetry: Telemetry) -> None:
    """An application that wraps by assignment loses nothing when we go, and is not called through us twice after."""
    calls: list[Any] = []
    inner = httpx.Client.send

    def outer(self: httpx.Client, *args: Any, **kwargs: Any) -> httpx.Response:
        calls.append(args)
        return inner(self, *args, **kwargs)

    httpx.Client.send = outer  # type: ignore[method-assign]
    try:
        FailoverInstrumentor().uninstrument()
        assert httpx.Client.send is outer
        with LocalProvider("openai") as provider, httpx.Client() as client:
            assert client.get(provider.base_url + "/models").status_code == 200
        assert len(calls) == 1
    finally:
        httpx.Client.send = getattr(inner, "__wrapped__", inner)  # type: ignore[method-assign]
    assert not telemetry.spans


def test_on_again_under_a_closure_counts_once(exported: Telemetry) -> None:
    with openai.OpenAI(api_key="k") as client:
        http: Any = sys.modules[
            next(c.__module__ for c in type(client._client).__mro__ if c.__name__ == "Client").partition(".")[0]
        ]
    original = vars(http.Client)["send"]
    FailoverInstrumentor().instrument(tracer_provider=exported.provider)
    inner = http.Client.send

    def outer(self: Any, *args: Any, **kwargs: Any) -> Any:
        return inner(self, *args, **kwargs)

    http.Client.send = outer
    try:
        FailoverInstrumentor().uninstrument()
        FailoverInstrumentor().instrument(tracer_provider=exported.provider)
        with LocalProvider("openai") as provider, failover_run("chat"):
            ask(provider)
        assert exported.candidates[0]["failover.wire.requests"] == len(provider.log)
    finally:
        FailoverInstrumentor().uninstrument()
        http.Client.send = original


_CAPTURED = """
    import openai
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from otel_failover import FailoverInstrumentor
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    FailoverInstrumentor().instrument()
    with LocalProvider("openai") as local:
        client = openai.OpenAI(base_url=local.base_url, api_key="k")
        captured = client.request
        client.request = captured
        post = client.post
        FailoverInstrumentor().uninstrument()
        client.chat.completions.create(model="m", messages=QUESTION)
    with trace.get_tracer("application").start_as_current_span("chat m") as span:
        span.set_attribute("gen_ai.provider.name", "openai")
        span.set_attribute("error.llm_provider", "anthropic")
        span.set_attribute("error.type", "x")
    print("SPANS", [span.name for span in exporter.get_finished_spans()])
    print("VERDICT", [span.attributes.get("failover.attribution.verdict") for span in exporter.get_finished_spans()])
"""


def test_after_we_are_off_kept_bound_methods_and_the_processor_are_silent() -> None:
    printed = in_a_process(_CAPTURED)
    assert "SPANS ['chat m']" in printed
    assert "VERDICT [None]" in printed


# --- who makes the call span ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "ours"), [("auto", 0), ("on", 1), ("off", 0)])
def test_beside_genai_openai_the_call_span_is_made_once(setting: str, ours: int, exported: Telemetry) -> None:
    them = _genai_openai()
    them.instrument(tracer_provider=exported.provider, skip_dep_check=True)
    FailoverInstrumentor().instrument(tracer_provider=exported.provider, call_spans=setting)
    try:
        with LocalProvider("openai", Answer.ok(), Answer.stream(3)) as provider, failover_run("chat"):
            ask(provider)
            ask(provider, stream=True)
    finally:
        FailoverInstrumentor().uninstrument()
        them.uninstrument()
    calls = exported.named("chat m")
    assert sum(span.scope == "otel_failover" for span in calls) == 2 * ours
    assert sum(span.scope != "otel_failover" for span in calls) == 2
    assert len(exported.candidates) == 2


@pytest.mark.parametrize(("setting", "ours"), [("auto", 1), ("on", 1), ("off", 0)])
def test_alone_the_call_span_is_ours(setting: str, ours: int, exported: Telemetry) -> None:
    FailoverInstrumentor().instrument(tracer_provider=exported.provider, call_spans=setting)
    try:
        with LocalProvider("openai") as provider, failover_run("chat"):
            ask(provider)
    finally:
        FailoverInstrumentor().uninstrument()
    assert len(exported.named("chat m")) == ours
    assert len(exported.candidates) == 1


@pytest.mark.parametrize("setting", ["auto", "on", "off"])
def test_the_anthropic_sdks_own_span_is_not_doubled(setting: str, exported: Telemetry) -> None:
    """Since 1.11 the SDK traces by itself, where a tracer provider is passed or set."""
    FailoverInstrumentor().instrument(tracer_provider=exported.provider, call_spans=setting)
    try:
        with LocalProvider("anthropic") as provider, failover_run("chat"):
            options: dict[str, Any] = {"base_url": provider.base_url, "api_key": "k"}
            traced = "open_telemetry" in anthropic.Anthropic.__init__.__annotations__
            if traced:
                options["open_telemetry"] = {"tracer_provider": exported.provider, "traces": {"propagation": False}}
            with anthropic.Anthropic(**options) as client:
                client.messages.create(model="m", max_tokens=5, messages=QUESTION)
    finally:
        FailoverInstrumentor().uninstrument()
    ours = [span for span in exported.spans if span.scope == "otel_failover" and span.name.startswith("chat")]
    assert len(ours) == {"auto": 0 if traced else 1, "on": 1, "off": 0}[setting]


# --- processors -------------------------------------------------------------------------------------------------------


def lie(telemetry: Telemetry) -> None:
    """Run a loop in which a foreign span of the second candidate carries the first one's error.

    The second candidate was asked and gave no answer, so its own evidence is complete.
    """
    with (
        LocalProvider("openai", Answer.openai_quota()) as first,
        LocalProvider("anthropic", Answer.reset()) as second,
        failover_run("chat", chain=CHAIN) as run,
    ):
        text = ""
        try:
            with run.attempt(CHAIN[0]):
                ask(first)
        except openai.APIError as problem:
            text = str(problem)
        with run.attempt(CHAIN[1]), telemetry.tracer.start_as_current_span("theirs") as span:
            with contextlib.suppress(anthropic.APIConnectionError):
                ask_anthropic(second)
            span.set_status(StatusCode.ERROR, text)


class Arrangement:
    """A tracer provider, its exporter and how both are put together."""

    def __init__(self, order: str, exporting: str, multi: str) -> None:
        self.exporter = SerialisingExporter()
        concurrent = ConcurrentMultiSpanProcessor(num_threads=4) if multi == "concurrent" else None
        self.provider = TracerProvider(active_span_processor=concurrent)
        processor: SpanProcessor = (
            SimpleSpanProcessor(self.exporter)
            if exporting == "simple"
            else BatchSpanProcessor(self.exporter, max_export_batch_size=1, schedule_delay_millis=10)
        )
        if order == "exporter first":
            self.provider.add_span_processor(processor)
        FailoverInstrumentor().instrument(tracer_provider=self.provider)
        if order == "exporter last":
            self.provider.add_span_processor(processor)


@needs_hook
@pytest.mark.parametrize(
    "multi",
    [
        "synchronous",
        "concurrent",
    ],
)
@pytest.mark.parametrize("exporting", ["simple", "batch"])
@pytest.mark.parametrize("order", ["exporter first", "exporter last"])
def test_the_verdict_leaves_with_a_foreign_span(order: str, exporting: str, multi: str) -> None:
    arranged = Arrangement(order, exporting, multi)
    telemetry = Telemetry(arranged.provider, arranged.exporter, None)  # type: ignore[arg-type]
    try:
        lie(telemetry)
        arranged.provider.force_flush()
    finally:
        FailoverInstrumentor().uninstrument()
        arranged.provider.shutdown()
    (theirs,) = telemetry.named("theirs")
    assert theirs.verdict == ("mismatch", "stale_error")
    assert theirs["candidate.provider"] == "anthropic"
    assert [marker.parent_id for marker in telemetry.markers] == [theirs.span_id]


def test_a_marker_never_blocks_a_pool_of_processors() -> None:
    """`provider_conflict` needs no context, so that the marker is made whatever is bound."""
    in_a_process(
        """
        import threading, os
        from opentelemetry.sdk.trace import TracerProvider, ConcurrentMultiSpanProcessor
        from otel_failover import FailoverInstrumentor
        provider = TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor(num_threads=1))
        FailoverInstrumentor().instrument(tracer_provider=provider)

        def lie():
            span = provider.get_tracer("application").start_span("chat m")
            span.set_attribute("gen_ai.provider.name", "openai")
            span.set_attribute("error.llm_provider", "anthropic")
            span.set_attribute("error.type", "x")
            span.end()

        worker = threading.Thread(target=lie, daemon=True)
        worker.start()
        worker.join(60)
        print("ALIVE", worker.is_alive(), flush=True)
        os._exit(worker.is_alive())
        """
    )


@pytest.mark.parametrize("by_hand", ["first", "last", "twice"])
def test_a_processor_added_by_hand_makes_no_second_marker(by_hand: str) -> None:
    exporter = SerialisingExporter()
    provider = TracerProvider()
    if by_hand in ("first", "twice"):
        provider.add_span_processor(AttributionProcessor())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    FailoverInstrumentor().instrument(tracer_provider=provider)
    if by_hand in ("last", "twice"):
        provider.add_span_processor(AttributionProcessor())
    telemetry = Telemetry(provider, exporter, None)  # type: ignore[arg-type]
    try:
        lie(telemetry)
        assert len(telemetry.markers) == 1
        with telemetry.tracer.start_as_current_span("alone") as span:
            span.set_attribute("gen_ai.provider.name", "openai")
            span.set_attribute("error.llm_provider", "anthropic")
            span.set_attribute("error.type", "x")
    finally:
        FailoverInstrumentor().uninstrument()
    assert len(telemetry.markers) == 2


def test_a_marker_appears_whatever_the_sdk(telemetry: Telemetry) -> None:
    """Where the SDK shows no ending span (before 1.40), the marker says it all."""
    lie(telemetry)
    (theirs,) = telemetry.named("theirs")
    assert [marker.parent_id for marker in telemetry.markers] == [theirs.span_id]
    assert telemetry.markers[0]["failover.attribution.source.provider"] == "openai"
    assert theirs["failover.attribution.mismatch"] is (True if HAS_HOOK else None)


def test_unsampled_traces_are_judged_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    exporter, reader = SerialisingExporter(), InMemoryMetricReader()
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    FailoverInstrumentor().instrument(tracer_provider=provider, meter_provider=MeterProvider([reader]))
    telemetry = Telemetry(provider, exporter, reader)
    try:
        with LocalProvider("openai", Answer.openai_quota()) as local, failover_run("chat", chain=CHAIN) as run:
            try:
                with run.attempt(CHAIN[0]):
                    ask(local)
            except openai.APIError as problem:
                with run.attempt(CHAIN[1]) as attempt:
                    attempt.fail(problem)
                assert attempt.error is not None
    finally:
        FailoverInstrumentor().uninstrument()
    assert not telemetry.spans
    counted = {
        dict(k)["failover.attribution.verdict"]: n for k, n in telemetry.metric("failover.attribution.checks").items()
    }
    assert counted["mismatch"] == 1
    assert "span for anthropic/m carries openai's error" in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("mine", marks=[needs_hook]),
        "candidate openai",
        "chat m",
    ],
)
def test_a_limit_of_attributes_leaves_the_candidate_findable(name: str) -> None:
    assert _limited(SpanLimits(max_attributes=8), name) == ("openai", "m", 0)


@pytest.mark.parametrize("name", ["mine", "candidate openai", "chat m"])
def test_a_limit_of_length_leaves_the_candidate_findable(name: str) -> None:
    assert _limited(SpanLimits(max_attribute_length=5), name) == ("opena", "m", 0)


def _limited(limits: SpanLimits, name: str) -> tuple[Any, Any, Any]:
    """Return what names the candidate on a span of a run under limits."""
    exporter = SerialisingExporter()
    provider = TracerProvider(span_limits=limits)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    FailoverInstrumentor().instrument(tracer_provider=provider)
    telemetry = Telemetry(provider, exporter, None)  # type: ignore[arg-type]
    try:
        with LocalProvider("openai") as local, failover_run("chat", chain=CHAIN) as run, run.attempt(CHAIN[0]):
            ask(local)
            with telemetry.tracer.start_as_current_span("mine") as span:
                for number in range(20):
                    span.set_attribute(f"key{number}", number)
    finally:
        FailoverInstrumentor().uninstrument()
    (found,) = telemetry.named(name)
    return found["candidate.provider"], found["candidate.model"], found["candidate.index"]


# --- fork -------------------------------------------------------------------------------------------------------------

_FORK = """
    import openai, time
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from otel_failover import FailoverInstrumentor, failover_run, Candidate
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    FailoverInstrumentor().instrument(tracer_provider=provider)

    def tell(who):
        found = [each for each in exporter.get_finished_spans() if each.name.startswith("candidate ")]
        print(who, [each.attributes["failover.wire.requests"] for each in found], flush=True)
        exporter.clear()

    with LocalProvider("openai", default=Answer.openai_quota()) as local:
        def ask():
            with openai.OpenAI(base_url=local.base_url, api_key="k", max_retries=0) as client:
                try:
                    client.chat.completions.create(model="m", messages=QUESTION)
                except openai.RateLimitError:
                    pass
        with failover_run("chat", chain=["openai/m"]) as run:
            attempt = run.attempt("openai/m")
            with attempt:
                ask()
                sys.stdout.flush()
                child = os.fork()
                if child == 0:
                    ask()
                    attempt.__exit__(None, None, None)
                    tell("CHILD")
                    with failover_run("chat", chain=["openai/m"]) as mine, mine.attempt("openai/m"):
                        ask()
                    tell("OWN")
                    os._exit(0)
                deadline = time.monotonic() + 60
                done = 0
                while not done and time.monotonic() < deadline:
                    done, status = os.waitpid(child, os.WNOHANG)
                    time.sleep(0.02)
                if not done:
                    os.kill(child, 9)
                    os.waitpid(child, 0)
        tell("PARENT")
        print("DONE", bool(done))
"""
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@needs_fork
def test_a_forked_child_takes_no_evidence_for_its_parents_attempt() -> None:
    printed = in_a_process(_FORK)
    assert "CHILD [1, 1]" in printed, "its call is an attempt of its own, beside the one it was forked in"
    assert "OWN [1]" in printed
    assert "PARENT [1]" in printed
    assert "DONE True" in printed
