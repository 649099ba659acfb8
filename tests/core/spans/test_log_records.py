"""Log records that are exception events are held against the evidence, and an application's own lines are not."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import inspect
import logging
import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk import _logs
from opentelemetry.sdk._logs import export as exporting
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import get_current_span, set_span_in_context

from otel_failover import FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import stand
from tests.support.process import in_a_process
from tests.support.spans import SerialisingExporter, Telemetry, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hosts import Stand

THEFT = ("mismatch", "stale_error")
OWN = ("verified", None)
NOTHING = (None, None)
NAMES = ("exception", "gen_ai.client.operation.exception")
Exporter: Any = getattr(exporting, "LogRecordExporter", None) or exporting.LogExporter  # the older name
DONE: Any = getattr(exporting, "LogRecordExportResult", None) or exporting.LogExportResult


class SerialisingLogExporter(Exporter):  # type: ignore[misc]
    """Keeps what OTLP would carry at the moment of export."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def export(self, batch: Any) -> Any:
        for resource in encode_logs(batch).resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    found = {each.key: value_of(each.value) for each in record.attributes}
                    self.records.append({**found, "body": value_of(record.body), "span": record.span_id.hex()})
        return DONE.SUCCESS

    def shutdown(self) -> None:
        """Nothing to shut down."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class Logs:
    """A logger provider, its exporter and how both are put together."""

    def __init__(self, order: str, exporting_: str = "simple") -> None:
        self.exporter, self.spans = SerialisingLogExporter(), SerialisingExporter()
        self.provider, self.tracers = _logs.LoggerProvider(shutdown_on_exit=False), TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        processor = (
            exporting.SimpleLogRecordProcessor(self.exporter)
            if exporting_ == "simple"
            else exporting.BatchLogRecordProcessor(self.exporter)
        )
        if order == "exporter first":
            self.provider.add_log_record_processor(processor)
        FailoverInstrumentor().instrument(tracer_provider=self.tracers, logger_provider=self.provider)
        if order == "exporter last":
            self.provider.add_log_record_processor(processor)
        self.telemetry = Telemetry(self.tracers, self.spans, None)  # type: ignore[arg-type]

    def emit(self, problem: BaseException, *, name: str | None = "exception", **more: Any) -> None:
        """Emit an exception as an event, as OpenTelemetry's instrumentations do."""
        attributes = {"exception.type": f"{type(problem).__module__}.{type(problem).__name__}", "exception.message": str(problem)}  # fmt: skip
        self.provider.get_logger("instrumentor").emit(**_record(name, {**attributes, "own.key": 1}, **more))

    @property
    def verdicts(self) -> list[tuple[str | None, str | None]]:
        self.provider.force_flush()
        return [(e.get("failover.attribution.verdict"), e.get("failover.attribution.rule")) for e in self.exporter.records]  # fmt: skip


def _record(name: str | None, attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the arguments of `Logger.emit`, as this SDK takes them."""
    more = {"severity_number": SeverityNumber.WARN, "body": "a call failed", **more}
    made = getattr(_logs, "LogRecord", None)  # until 1.38 the SDK has a class of its own
    if made is None or "event_name" in inspect.signature(_logs.Logger.emit).parameters:
        return {"event_name": name, "attributes": attributes, **more}
    known = inspect.signature(made.__init__).parameters
    if "event_name" in known:
        return {"record": made(event_name=name, attributes=attributes, **more)}
    context = get_current_span(more.pop("context", None)).get_span_context()
    attributes = {"event.name": name, **attributes} if name else attributes
    return {"record": made(attributes=attributes, trace_id=context.trace_id, span_id=context.span_id, trace_flags=context.trace_flags, observed_timestamp=more.get("timestamp") or 1 << 62, **more)}  # fmt: skip


@pytest.fixture
def logs() -> Iterator[Logs]:
    found = Logs("exporter first")
    yield found
    FailoverInstrumentor().uninstrument()


@pytest.fixture
def pair() -> Iterator[tuple[Stand, Stand]]:
    """OpenAI has no quota, Anthropic hangs."""
    with (
        stand("openai", *[Answer.openai_quota()] * 2) as first,
        stand("anthropic", *[Answer.hang()] * 2, timeout=0.15) as second,
    ):
        yield first, second


def failed(each: Stand) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the SDK's own
        each.ask()
    return caught.value


def incident(logs: Logs, pair: tuple[Stand, Stand], *, honest: bool = False, name: str | None = "exception") -> None:
    """Let the second candidate's attempt tell an error by a record: its own, or the first one's."""
    first, second = pair
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with run.attempt(first.candidate):
            shared = failed(first)
        with run.attempt(second.candidate), logs.tracers.get_tracer("application").start_as_current_span("step"):
            own = failed(second)
            logs.emit(own if honest else shared, name=name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("exporter", ["simple", "batch"])
@pytest.mark.parametrize("order", ["exporter first", "exporter last"])
def test_a_record_leaves_with_its_verdict(order: str, exporter: str, name: str, pair: tuple[Stand, Stand]) -> None:
    logs = Logs(order, exporter)
    try:
        incident(logs, pair, name=name)
        incident(logs, pair, name=name, honest=True)
        assert logs.verdicts == [THEFT, OWN]
    finally:
        FailoverInstrumentor().uninstrument()
    told, honest = logs.exporter.records
    by_name = {key: value for key, value in told.items() if key.startswith("failover.")}
    assert by_name == {
        "failover.attribution.verdict": "mismatch",
        "failover.attribution.rule": "stale_error",
        "failover.attribution.mismatch": True,
        "failover.attribution.expected.provider": "anthropic",
        "failover.attribution.bound_by": "text",
        "failover.attribution.source.provider": "openai",
        "failover.attribution.source.index": 0,
        "failover.attribution.source.span_id": logs.telemetry.candidates[0].span_id,
    }
    assert {key for key in honest if key.startswith("failover.")} == {"failover.attribution.verdict"}
    assert told["own.key"] == honest["own.key"] == 1
    steps = logs.telemetry.named("step")
    assert [marker.parent_id for marker in logs.telemetry.markers] == [steps[0].span_id] == [told["span"]]
    assert logs.telemetry.markers[0]["failover.attribution.own"].startswith("no response in 0.")


def test_what_an_application_logs_is_no_claim(logs: Logs, pair: tuple[Stand, Stand]) -> None:
    """`logger.exception` through OpenTelemetry's handler sets `exception.*`, and no event's name."""
    incident(logs, pair, name=None)
    incident(logs, pair, name="app.fallback")
    assert logs.verdicts == [NOTHING, NOTHING]
    handler: Any = _handler(logs.provider)
    logger = logging.getLogger("application of a test")
    logger.addHandler(handler)
    _, second = pair
    try:
        with failover_run("chat", chain=[second.candidate]) as run, run.attempt(second.candidate):
            try:
                raise RuntimeError("You exceeded your current quota, please check your plan and billing details.")
            except RuntimeError:
                logger.exception("fallback")
    finally:
        logger.removeHandler(handler)
    assert "exception.message" in logs.exporter.records[-1]
    assert logs.verdicts == [NOTHING] * 3
    assert not logs.telemetry.markers


def _handler(provider: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return _logs.LoggingHandler(logger_provider=provider)


def test_before_the_candidate_is_asked_a_record_says_why_it_is(logs: Logs, pair: tuple[Stand, Stand]) -> None:
    first, second = pair
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with run.attempt(first.candidate):
            shared = failed(first)
        with run.attempt(second.candidate):
            logs.emit(shared)
            failed(second)
            logs.emit(shared, timestamp=1)
            logs.emit(shared)
    assert logs.verdicts == [NOTHING, NOTHING, THEFT]
    assert len(logs.telemetry.markers) == 1


def test_on_our_own_span_something_else_that_went_wrong_is_no_claim(logs: Logs, pair: tuple[Stand, Stand]) -> None:
    """A cache that missed while the candidate was asked says nothing of it."""
    first, second = pair
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run, run.attempt(second.candidate):
        failed(second)
        logs.emit(KeyError("this key is in no cache of ours, so the model is asked"))
    assert logs.verdicts == [NOTHING]
    assert logs.telemetry.candidates[0].verdict == OWN


@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize("way", ["around", "beside"])
def test_on_a_loops_own_span_in_a_run(logs: Logs, pair: tuple[Stand, Stand], way: str, honest: bool) -> None:
    first, second = pair
    tracer = logs.tracers.get_tracer("application")
    named = {"gen_ai.provider.name": "anthropic", "gen_ai.request.model": second.candidate.model}
    with failover_run("chat", chain=[first.candidate, second.candidate]):
        shared = failed(first)
        if way == "beside":
            own = failed(second)
        with tracer.start_as_current_span("ask anthropic", attributes=named):
            if way == "around":
                logs.emit(shared)  # why it is asked
                own = failed(second)
            logs.emit(own if honest else shared)
        with tracer.start_as_current_span("nobody"):
            logs.emit(shared)
    assert logs.verdicts[-2:] == [OWN if honest else THEFT, NOTHING]
    assert len(logs.telemetry.markers) == (not honest)


@pytest.mark.parametrize("honest", [True, False])
def test_on_a_calls_own_span_and_for_a_span_by_name(logs: Logs, pair: tuple[Stand, Stand], honest: bool) -> None:
    """An instrumentor says by a context on which span its event stands, whatever is current."""
    first, second = pair
    tracer = logs.tracers.get_tracer("application")
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with run.attempt(first.candidate):
            shared = failed(first)
        with run.attempt(second.candidate):
            theirs = tracer.start_span("chat claude")
            own = failed(second)
        logs.emit(own if honest else shared, context=set_span_in_context(theirs))
        theirs.end()
        logs.emit(shared, context=set_span_in_context(theirs))
    assert logs.verdicts == [OWN if honest else THEFT, NOTHING]


def test_outside_any_run_records_are_left_alone(logs: Logs) -> None:
    with logs.tracers.get_tracer("application").start_as_current_span("request"):
        logs.emit(RuntimeError("You exceeded your current quota, please check your plan and billing details."))
    logs.emit(RuntimeError("You exceeded your current quota, please check your plan and billing details."))
    assert logs.verdicts == [NOTHING, NOTHING]


def test_in_tasks_and_threads(logs: Logs, pair: tuple[Stand, Stand]) -> None:
    first, second = pair

    async def loop() -> None:
        with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
            with run.attempt(first.candidate):
                with pytest.raises(Exception) as caught:  # noqa: PT011
                    await first.aask()
            with run.attempt(second.candidate):
                with contextlib.suppress(Exception):
                    await asyncio.create_task(second.aask())
                await asyncio.to_thread(logs.emit, caught.value)
                with concurrent.futures.ThreadPoolExecutor(1) as pool:
                    pool.submit(contextvars.copy_context().run, logs.emit, caught.value).result()
                    pool.submit(logs.emit, caught.value).result()  # without its context it stands on no span
        for each in pair:
            await each.aclose()

    asyncio.run(loop())
    assert logs.verdicts == [THEFT, THEFT, NOTHING]


def test_a_full_record_keeps_what_the_host_put_there(logs: Logs, pair: tuple[Stand, Stand]) -> None:
    first, second = pair
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with run.attempt(first.candidate):
            shared = failed(first)
        with run.attempt(second.candidate):
            failed(second)
            attributes = {"exception.message": str(shared)} | {f"own.{number}": number for number in range(125)}
            logs.provider.get_logger("instrumentor").emit(**_record("exception", attributes))
    (record,) = logs.exporter.records
    assert all(record[f"own.{number}"] == number for number in range(125))
    assert logs.verdicts == [NOTHING]
    assert len(logs.telemetry.markers) == 1


def test_in_correct_mode_a_record_stays_as_it_is(pair: tuple[Stand, Stand]) -> None:
    """Only what application code put on our own spans is taken out there; a record is not ours to drop."""
    logs = Logs("exporter first")
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(
        tracer_provider=logs.tracers, logger_provider=logs.provider, on_mismatch="correct"
    )
    try:
        incident(logs, pair)
    finally:
        FailoverInstrumentor().uninstrument()
    assert logs.verdicts == [THEFT]
    assert logs.exporter.records[0]["exception.message"].startswith("Error code: 429")


def test_switched_off_it_is_silent(logs: Logs, pair: tuple[Stand, Stand]) -> None:
    FailoverInstrumentor().uninstrument()
    incident(logs, pair)
    assert logs.verdicts == [NOTHING]


def test_it_never_raises_into_the_host(logs: Logs) -> None:
    """Whatever a provider of somebody's own hands on; and to our failures, nobody listens."""
    from otel_failover._core.spans.log_records import ExceptionRecordProcessor

    ours = ExceptionRecordProcessor()
    for odd in (None, object(), SimpleNamespace(log_record=None), SimpleNamespace(log_record=SimpleNamespace())):
        ours.on_emit(odd)
        ours.emit(odd)
    named = SimpleNamespace(event_name=["exception"], attributes=None, span_id=0)
    ours.on_emit(SimpleNamespace(log_record=named))
    assert ours.force_flush()
    ours.shutdown()


def test_processors_in_a_pool_of_threads(pair: tuple[Stand, Stand]) -> None:
    """The span tells whose it is; the marker tells what the record may have left without."""
    concurrent_, internal = (
        "ConcurrentMultiLogRecordProcessor",
        pytest.importorskip("opentelemetry.sdk._logs._internal"),
    )
    logs = Logs("exporter first")
    FailoverInstrumentor().uninstrument()
    logs.provider = _logs.LoggerProvider(
        shutdown_on_exit=False, multi_log_record_processor=getattr(internal, concurrent_)(2)
    )
    FailoverInstrumentor().instrument(tracer_provider=logs.tracers, logger_provider=logs.provider)
    try:
        incident(logs, pair)
    finally:
        FailoverInstrumentor().uninstrument()
        logs.provider.shutdown()
    assert len(logs.telemetry.markers) == 1


LATER = """
    import sys
    import openai
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from otel_failover import FailoverInstrumentor, failover_run
    trace.set_tracer_provider(TracerProvider())
    FailoverInstrumentor().instrument()
    print("IMPORTED", "opentelemetry.sdk._logs" in sys.modules, "otel_failover._core.spans.log_records" in sys.modules)
    with failover_run("chat"):
        pass
    print("IMPORTED", "opentelemetry.sdk._logs" in sys.modules)
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.sdk._logs import LoggerProvider
    with failover_run("chat"):
        pass
    provider = LoggerProvider(shutdown_on_exit=False)
    set_logger_provider(provider)
    with failover_run("chat"):
        pass
    with failover_run("chat"):
        pass
    kept = provider._multi_log_record_processor._log_record_processors
    print("ATTACHED", [type(each).__name__ for each in kept])
"""


def test_a_logger_provider_that_appears_later_is_found(telemetry: Telemetry) -> None:
    """And the logs signal is imported by nobody but the application."""
    printed = in_a_process(LATER)
    assert "IMPORTED False False" in printed
    assert "IMPORTED False\n" in printed
    assert "ATTACHED ['ExceptionRecordProcessor']" in printed
