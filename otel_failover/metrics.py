"""The instruments, once: neither sampled nor dependent on what happens to a span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import CallbackOptions, Observation

from otel_failover import failsafe, names
from otel_failover.attribution import MISMATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter

_SECONDS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36,
)  # fmt: skip
"""Buckets of the GenAI conventions, with room for a hung candidate behind them."""


class Metrics:
    """Counters and histograms of runs, attempts and checks.

    Args:
        meter: Where they are made.
        open_ages: Returns (provider, seconds) of the oldest open attempt of each provider.
    """

    def __init__(self, meter: Meter, open_ages: Callable[[], Iterable[tuple[str, float]]]) -> None:
        self._open_ages = open_ages
        self.runs = meter.create_counter(names.METRIC_RUNS, "{run}", "Passes of a fallback loop")
        self.attempts = meter.create_counter(names.METRIC_ATTEMPTS, "{attempt}", "Tries at a candidate")
        self.attempt_duration = meter.create_histogram(
            names.METRIC_ATTEMPT_DURATION,
            "s",
            "Duration of attempts",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.run_duration = meter.create_histogram(
            names.METRIC_RUN_DURATION, "s", "Duration of runs", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self.checks = meter.create_counter(names.METRIC_CHECKS, "{check}", "Claims held against evidence")
        self.mismatches = meter.create_counter(
            names.METRIC_MISMATCHES, "{mismatch}", "Spans that carry somebody else's error"
        )
        meter.create_observable_gauge(
            names.METRIC_OPEN_AGE, [self._observe_ages], "s", "Age of the oldest open attempt"
        )
        meter.create_observable_counter(
            names.METRIC_INTERNAL_ERRORS, [_observe_failures], "{error}", "Failures of otel-failover itself"
        )
        self._checks: dict[str, dict[str, str]] = {}

    def check(self, verdict: str) -> None:
        """Count one check by verdict."""
        self.checks.add(1, {names.VERDICT: verdict})

    def mismatch(self, rule: str, expected: str, context: Context) -> None:
        """Count one mismatch, in the offender's context so that the point has an exemplar."""
        self.mismatches.add(1, {names.RULE: rule, names.EXPECTED_PROVIDER: expected}, context=context)

    def born(self) -> None:
        """Create the series that are alerted on at 0: `increase()` never sees a series that is born at 1."""
        self.checks.add(0, {names.VERDICT: MISMATCH})
        self.mismatches.add(0, {})

    def _observe_ages(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(age, {names.CANDIDATE_PROVIDER: provider}) for provider, age in self._open_ages()]


def _observe_failures(_: CallbackOptions) -> Iterable[Observation]:
    return [Observation(count, {names.METRIC_SITE: site}) for site, count in tuple(failsafe.failures.items())]
