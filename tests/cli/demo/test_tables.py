"""Tables: whether a loop told the truth, and what was counted."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_failover import Candidate
from otel_failover.cli.demo.scenarios import INCIDENT, Played, Report
from otel_failover.cli.demo.tables import ClaimsTable, MetricsTable, answered, is_true
from otel_failover.cli.drawing.tree import Glyphs
from otel_failover.testing.providers import Served
from tests.cli.drawing.drawing import drawn


def served(**facts: Any) -> list[Served]:
    return [Served("openai", "openai", "POST", "/", {}, b"", 0.0, **facts)]


QUOTA = served(kind="error", status=429, message="Out of quota.", code="insufficient_quota")
HUNG = served(kind="hang")
GOOD = served(kind="ok", status=200)


@pytest.mark.parametrize(
    ("report", "answers", "true"),
    [
        (Report(0, "quota", 429, "Error code: 429 - Out of quota."), QUOTA, True),
        (Report(0, "quota", 429, "Something else."), QUOTA, False),
        (Report(0, "quota", 500, "Out of quota."), QUOTA, False),
        (Report(0, "quota", 429, "Out of quota."), HUNG, False),
        (Report(0, "timeout", None, "Request timed out."), HUNG, True),
        (Report(0, None, None, "Hello"), HUNG, False),
        (Report(0, None, None, "Hello"), GOOD, True),
        (Report(0, "quota", 429, "Out of quota."), GOOD, False),
        (Report(0, "quota", 429, "Out of quota."), [], False),
    ],
)
def test_truth_is_what_the_providers_log_says(report: Report, answers: list[Served], true: bool) -> None:
    """No span is asked."""
    assert is_true(report, answers) is true


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([], "no request reached it"),
        (HUNG, "it never answered"),
        (served(kind="reset"), "connection reset"),
        (GOOD, "200, an answer"),
        (QUOTA, "429 insufficient_quota\n“Out of quota.”"),
        (served(kind="error", status=500), "500"),
    ],
)
def test_answers_in_words(answers: list[Served], words: str) -> None:
    """As short as they are clear."""
    assert answered(answers, Glyphs(), 40) == words


def test_a_candidate_that_the_loop_says_nothing_of_has_its_row() -> None:
    """Its provider's answer stands there, and nothing is called true or untrue."""
    chain = (Candidate("openai", "m"), Candidate("anthropic", "n"))
    played = Played(INCIDENT, None, chain, (Report(1, None, None, "Hello"),), (tuple(QUOTA), tuple(GOOD)), "Hello")
    first, _, second, _ = drawn(ClaimsTable(played)).strip().splitlines()[2:]
    assert first.split() == ["openai", "nothing", "429", "insufficient_quota"]
    assert second.split() == ["anthropic", "success", "200,", "an", "answer", "yes"]


def test_metrics_are_counted_by_their_labels() -> None:
    """Series that are born at 0 are not shown; a name stands once."""
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader]).get_meter("m")
    checks = meter.create_counter("failover.attribution.checks")
    checks.add(0, {"failover.attribution.verdict": "inconsistent"})
    checks.add(2, {"failover.attribution.verdict": "mismatch"})
    checks.add(3, {"failover.attribution.verdict": "verified"})
    meter.create_counter("failover.attribution.mismatches").add(0)
    assert (
        drawn(MetricsTable(reader.get_metrics_data())).strip()
        == """\
metric                        of         count
 ──────────────────────────────────────────────
 failover.attribution.checks   mismatch       2
                               verified       3"""
    )


def test_no_metrics_are_an_empty_table() -> None:
    """A reader with nothing to say gives None."""
    assert "metric" in drawn(MetricsTable(None))
