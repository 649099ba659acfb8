"""Metrics: names, units, attributes, and what does not depend on a span."""

# ruff: noqa: PT012 - how run, attempt and call are nested is what is tested
from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_failover import FailoverInstrumentor, failover_run
from otel_failover._core import failsafe
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, stand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Telemetry

UNITS = {
    "failover.runs": "{run}",
    "failover.attempts": "{attempt}",
    "failover.attempt.duration": "s",
    "failover.run.duration": "s",
    "failover.attempt.open.age": "s",
    "failover.attribution.checks": "{check}",
    "failover.attribution.mismatches": "{mismatch}",
    "failover.internal.errors": "{error}",
}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def incident(stack: ExitStack) -> None:
    """OpenAI's quota error, told of Anthropic while it hung; Gemini serves."""
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.1))
    third = stack.enter_context(stand("gcp.gemini", Answer.ok()))
    chain = [each.candidate for each in (first, second, third)]
    with failover_run("chat", chain=chain, name="route") as run:
        with pytest.raises(openai.RateLimitError) as caught, run.attempt(first.candidate):
            first.ask()
        with pytest.raises(LoopError), run.attempt(second.candidate):
            with pytest.raises(anthropic.APITimeoutError):
                second.ask()
            raise LoopError(str(caught.value))
        with run.attempt(third.candidate):
            third.ask()


def key(**attributes: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((name.replace("__", "."), value) for name, value in attributes.items()))


def points(reader: InMemoryMetricReader) -> dict[str, Any]:
    data: Any = reader.get_metrics_data()
    return {
        metric.name: metric
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_every_metric_has_its_unit_and_attributes(
    telemetry: Telemetry, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(failsafe.failures, "somewhere", 2)
    incident(stack)
    monkeypatch.setitem(failsafe.failures, "somewhere", 3)
    found = points(telemetry.reader)
    assert {name: found[name].unit for name in UNITS if name in found} == {
        name: unit for name, unit in UNITS.items() if name != "failover.attempt.open.age"
    }
    assert all(found[name].description for name in found)
    run = key(failover__library="manual", failover__loop__name="route", failover__outcome="fallback")
    assert telemetry.metric("failover.runs") == {run: 1}
    assert telemetry.metric("failover.run.duration") == {run: 1}
    attempts = {
        key(candidate__provider="openai", candidate__outcome="error", failover__reason__code="billing"): 1,
        key(candidate__provider="anthropic", candidate__outcome="error", failover__reason__code="timeout"): 1,
        key(candidate__provider="gcp.gemini", candidate__outcome="success"): 1,
    }
    assert telemetry.metric("failover.attempts") == attempts
    assert telemetry.metric("failover.attempt.duration") == attempts
    checks = telemetry.metric("failover.attribution.checks")
    assert checks[key(failover__attribution__verdict="mismatch")] == 1
    assert checks[key(failover__attribution__verdict="verified")] >= 2
    assert telemetry.metric("failover.internal.errors")[key(failover__site="somewhere")] == 3


def test_seconds_have_buckets_of_seconds(telemetry: Telemetry, stack: ExitStack) -> None:
    incident(stack)
    found = points(telemetry.reader)
    for name in ("failover.attempt.duration", "failover.run.duration"):
        bounds = list(found[name].data.data_points[0].explicit_bounds)
        assert bounds[0] <= 0.01
        assert bounds[-1] > 180
        slow = [point for point in found[name].data.data_points if point.sum >= 0.1]
        assert slow


def test_a_provider_outside_the_table_is_other(telemetry: Telemetry) -> None:
    with failover_run("chat", chain=["my-own-proxy/m"]) as run, run.attempt("my-own-proxy/m"):
        pass
    (attempt,) = telemetry.metric("failover.attempts")
    assert dict(attempt)["candidate.provider"] == "other"
    assert telemetry.candidates[0]["candidate.provider"] == "my-own-proxy"
    assert telemetry.candidates[0].name == "candidate other"


def test_a_mismatch_points_at_its_span(stack: ExitStack) -> None:
    reader, provider = InMemoryMetricReader(), TracerProvider()
    meters = MeterProvider(metric_readers=[reader], exemplar_filter=AlwaysOnExemplarFilter())
    seen: list[int] = []
    FailoverInstrumentor().instrument(tracer_provider=provider, meter_provider=meters)
    try:
        with provider.get_tracer("application").start_as_current_span("request") as request:
            incident(stack)
            seen.append(request.get_span_context().trace_id)
    finally:
        FailoverInstrumentor().uninstrument()
    counted = [p for p in points(reader)["failover.attribution.mismatches"].data.data_points if p.value]
    assert len(counted) == 1
    assert dict(counted[0].attributes) == {
        "failover.attribution.rule": "stale_error",
        "failover.attribution.expected.provider": "anthropic",
        "failover.attribution.source.provider": "openai",
    }
    (exemplar,) = counted[0].exemplars
    assert exemplar.trace_id == seen[0]
    assert exemplar.span_id


def test_what_is_alerted_on_is_born_at_zero(telemetry: Telemetry) -> None:
    assert sum(telemetry.metric("failover.attribution.mismatches").values()) == 0
    assert len(telemetry.metric("failover.attribution.mismatches")) == 1
    assert telemetry.metric("failover.attribution.checks")[key(failover__attribution__verdict="mismatch")] == 0


def test_the_oldest_open_attempt_is_seen_while_it_hangs(telemetry: Telemetry) -> None:
    with failover_run("chat", chain=["openai/a", "openai/b", "anthropic/c"]) as run:
        outer = run.attempt("openai/a")
        with outer:
            time.sleep(0.05)
            with run.attempt("openai/b"), run.attempt("anthropic/c"):
                ages = telemetry.metric("failover.attempt.open.age")
                assert ages[key(candidate__provider="openai")] >= 0.05
                assert ages[key(candidate__provider="anthropic")] < ages[key(candidate__provider="openai")]
    assert telemetry.metric("failover.attempt.open.age") == {}


def test_an_attempt_that_has_ended_is_not_open_though_it_is_kept(telemetry: Telemetry) -> None:
    kept = []
    with failover_run("chat", chain=["openai/a"]) as run:
        with run.attempt("openai/a") as attempt:
            kept.append(attempt)
        assert telemetry.metric("failover.attempt.open.age") == {}


def test_metrics_do_not_depend_on_sampling(stack: ExitStack) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider(metric_readers=[reader])
    FailoverInstrumentor().instrument(tracer_provider=TracerProvider(sampler=ALWAYS_OFF), meter_provider=meters)
    try:
        incident(stack)
    finally:
        FailoverInstrumentor().uninstrument()
    found = points(reader)
    assert sum(point.value for point in found["failover.attempts"].data.data_points) == 3
    assert sum(point.value for point in found["failover.attribution.mismatches"].data.data_points) == 1
    outcomes = [dict(point.attributes)["failover.outcome"] for point in found["failover.runs"].data.data_points]
    assert outcomes == ["fallback"]


def test_a_mismatch_is_logged_once_a_minute(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        incident(stack)
    lines = [record.getMessage() for record in caplog.records if "stale_error" in record.getMessage()]
    assert len(lines) == 1
    assert caplog.records[-1].levelno == logging.WARNING
    span = telemetry.candidates[1]
    assert span.span_id in lines[0]
    assert telemetry.candidates[0].span_id in lines[0]
    assert "anthropic/claude-opus-4-7 carries openai's error (stale_error)" in lines[0]
    assert "no response" in lines[0]
    assert "exceeded" not in lines[0]
    assert (
        telemetry.metric("failover.attribution.mismatches")[
            key(
                failover__attribution__rule="stale_error",
                failover__attribution__expected__provider="anthropic",
                failover__attribution__source__provider="openai",
            )
        ]
        == 3
    )
