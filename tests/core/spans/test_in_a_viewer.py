"""What trace viewers need: spans that have a length, events inside their spans, rows that say at one click what is wrong.

Jaeger cuts all times to microseconds, warns of a span that ends when it starts, and hides events that lie on its span's
end or behind it.
"""

# ruff: noqa: PT012 - how run, attempt and call are nested is what is tested
from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_failover import FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, stand

if TYPE_CHECKING:
    from tests.support.spans import Exported, Telemetry

SEEN = 105
"""As much of an event as Jaeger shows without a click, about."""


def times(span: Exported) -> tuple[int, int, list[int]]:
    """Return start, end and the times of the events as Jaeger has them, in microseconds."""
    read = Span.FromString(span.raw)
    start = span.start // 1000
    return start, start + (span.end - span.start) // 1000, [event.time_unix_nano // 1000 for event in read.events]


def hidden(telemetry: Telemetry) -> list[tuple[str, str]]:
    """Return what Jaeger would warn of, or hide."""
    found = []
    for span in telemetry.spans:
        start, end, events = times(span)
        if end <= start:
            found.append((span.name, "no length"))
        found += [(span.name, "event") for each in events if not start <= each < end]
    return found


def incident(telemetry: Telemetry, **settings: Any) -> None:
    """OpenAI's quota error, told of Anthropic while it hung; then the same entry of the chain is passed over."""
    if settings:
        FailoverInstrumentor().uninstrument()
        FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, **settings)
    with (
        stand("openai", Answer.openai_quota()) as first,
        stand("anthropic", Answer.hang(), timeout=0.15) as second,
        failover_run("chat", chain=[first.candidate, second.candidate, "gcp.gemini/gemini-2.5-flash"]) as run,
    ):
        with pytest.raises(Exception, match="quota") as caught, run.attempt(first.candidate):
            first.ask()
        with suppress(LoopError), run.attempt(second.candidate):
            with suppress(Exception):
                second.ask()
            raise LoopError(str(caught.value), "anthropic", 429)
        run.skip("gcp.gemini/gemini-2.5-flash", "cooldown", caught.value)


def test_nothing_is_hidden_and_nothing_is_warned_of(telemetry: Telemetry) -> None:
    incident(telemetry)
    assert telemetry.run.events
    assert telemetry.candidates[1].events
    assert [len(found) for found in (telemetry.markers, telemetry.starting("skip "))] == [1, 1]
    assert hidden(telemetry) == []


def test_nothing_is_hidden_of_a_run_that_was_left_long_before_it_ended(telemetry: Telemetry) -> None:
    """A stream is read after the run: the run's span ends where the run was left, its findings are drawn later."""
    with (
        stand("openai", Answer.openai_server_error()) as first,
        stand("anthropic", Answer.stream(["a", "b", "c"])) as second,
    ):
        with failover_run("chat", chain=["openai/other", "anthropic/other"]):
            with suppress(Exception):
                first.ask()
            stream = second.ask(stream=True)
        list(stream)
    assert telemetry.run["failover.findings"]
    assert hidden(telemetry) == []


def test_a_candidate_that_hangs_has_a_row_with_a_length(telemetry: Telemetry) -> None:
    FailoverInstrumentor().uninstrument()
    reader = InMemoryMetricReader()
    FailoverInstrumentor().instrument(
        tracer_provider=telemetry.provider, meter_provider=MeterProvider(metric_readers=[reader]), stale_after=0.001
    )
    with failover_run("chat", chain=["openai/a"]) as run, run.attempt("openai/a"):
        time.sleep(0.01)
        reader.get_metrics_data()
    (row,) = telemetry.named("failover.hung")
    assert row.parent_id == telemetry.candidates[0].span_id
    assert hidden(telemetry) == []


def test_the_marker_says_it_all_at_one_click(telemetry: Telemetry) -> None:
    incident(telemetry)
    (marker,) = telemetry.markers
    ((sentence, attributes),) = marker.events
    assert attributes == {}
    seconds = marker["failover.attribution.own"].split()[3]
    assert sentence.startswith(
        "anthropic/claude-opus-4-7 carries openai's error. "
        f"Its own: no response in {seconds} s (timeout). Claimed: 429 You exceeded your current quota"
    )
    assert "Claimed: 429" in sentence[:SEEN]


def test_the_marker_shows_no_text_of_a_provider_where_that_is_asked_for(telemetry: Telemetry) -> None:
    incident(telemetry, error_text="none")
    (marker,) = telemetry.markers
    ((sentence, _),) = marker.events
    assert sentence.endswith("(timeout). Claimed: 429")
    assert "quota" not in str((marker.events, marker.attributes))


def test_the_counter_says_whose_error_it_was(telemetry: Telemetry) -> None:
    incident(telemetry)
    counted = {key: count for key, count in telemetry.metric("failover.attribution.mismatches").items() if count}
    assert counted == {
        (
            ("failover.attribution.expected.provider", "anthropic"),
            ("failover.attribution.rule", "stale_error"),
            ("failover.attribution.source.provider", "openai"),
        ): 1
    }


@pytest.mark.parametrize(
    ("chain", "names"),
    [
        (["openai/a", "openai/b", "anthropic/c"], ["candidate openai #0", "skip openai #1", "candidate anthropic"]),
        (["openai/a", "anthropic/b", "openai/a"], ["candidate openai #0", "skip anthropic", "candidate openai #2"]),
        (["openai/a", "anthropic/b", "gcp.gemini/c"], ["candidate openai", "skip anthropic", "candidate gcp.gemini"]),
        (["mine/a", "theirs/b", "openai/c"], ["candidate other #0", "skip other #1", "candidate openai"]),
    ],
    ids=["two models", "the same twice", "three providers", "two that nobody knows"],
)
def test_rows_that_would_read_alike_have_their_place(telemetry: Telemetry, chain: list[str], names: list[str]) -> None:
    entries = [*chain]
    with failover_run("chat", chain=entries) as run:
        with run.attempt(entries[0]):
            pass
        run.skip(entries[1], "cooldown")
        with run.attempt(entries[2]):
            pass
    rows = [*telemetry.candidates, *telemetry.starting("skip ")]
    assert [row.name for row in sorted(rows, key=lambda row: row["candidate.index"])] == names
