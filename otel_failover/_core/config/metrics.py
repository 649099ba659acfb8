"""The instruments, once: neither sampled nor dependent on what happens to a span.

What is only counted is counted here and read when metrics are collected (observable counters): telemetry is on every
request, and a counter's own bookkeeping would cost more than the rest of an attempt. Mismatches are counted by a plain
counter, so that each point carries its span as an exemplar.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import CallbackOptions, Observation, get_meter

from otel_failover._core import failsafe
from otel_failover._core.domain import attributes as names
from otel_failover.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter, MeterProvider

_SECONDS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36,
)  # fmt: skip
"""Buckets of the GenAI conventions, with room for a hung candidate behind them."""


class Count:
    """A monotonic count by labels, read at collection.

    Args:
        keys: Names of the labels, in the order in which `add` takes their values; a None value is left out.
    """

    __slots__ = ("__weakref__", "_keys", "_lock", "_points")

    def __init__(self, *keys: str) -> None:
        self._keys = keys
        self._points: Counter[tuple[str | None, ...]] = Counter()
        self._lock = threading.RLock()
        _counts.add(self)

    def add(self, *values: str | None) -> None:
        """Add 1 to the series of these label values."""
        with self._lock:
            self._points[values] += 1

    def born(self, *values: str | None) -> None:
        """Create a series at 0: `increase()` never sees one that is born at 1."""
        with self._lock:
            self._points[values] += 0

    def observe(self, _: CallbackOptions) -> Iterable[Observation]:
        """Return all series."""
        with self._lock:
            points = tuple(dict(self._points).items())
        return [Observation(n, {k: v for k, v in zip(self._keys, values, strict=True) if v}) for values, n in points]

    def after_fork(self) -> None:
        """Replace a lock that another thread may have held when the process forked."""
        self._lock = threading.RLock()


_counts: Final[weakref.WeakSet[Count]] = weakref.WeakSet()


def _after_fork() -> None:
    for count in tuple(_counts):
        count.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Metrics:
    """Counters and histograms of runs, attempts and checks.

    Args:
        meter: Where they are made.
    """

    def __init__(self, meter: Meter) -> None:
        self.open_ages: Callable[[], Iterable[tuple[str, float]]] = tuple
        self.runs = Count(names.LIBRARY, names.LOOP_NAME, names.OUTCOME)
        self.attempts = Count(names.CANDIDATE_PROVIDER, names.CANDIDATE_OUTCOME, names.REASON_CODE)
        self.checks = Count(names.VERDICT)
        self.findings = Count(names.FINDING_RULE, names.LIBRARY)
        meter.create_observable_counter(names.METRIC_RUNS, [self.runs.observe], "{run}", "Passes of a fallback loop")
        meter.create_observable_counter(
            names.METRIC_ATTEMPTS, [self.attempts.observe], "{attempt}", "Tries at a candidate"
        )
        meter.create_observable_counter(
            names.METRIC_CHECKS, [self.checks.observe], "{check}", "Claims held against evidence"
        )
        meter.create_observable_counter(
            names.METRIC_FINDINGS, [self.findings.observe], "{finding}", "What runs got wrong"
        )
        self.mismatches = meter.create_counter(
            names.METRIC_MISMATCHES, "{mismatch}", "Spans that carry somebody else's error"
        )
        self.attempt_duration = meter.create_histogram(
            names.METRIC_ATTEMPT_DURATION, "s", "Duration of attempts", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self.run_duration = meter.create_histogram(
            names.METRIC_RUN_DURATION, "s", "Duration of runs", explicit_bucket_boundaries_advisory=_SECONDS
        )
        meter.create_observable_gauge(
            names.METRIC_OPEN_AGE, [self._observe_ages], "s", "Age of the oldest open attempt"
        )
        meter.create_observable_counter(
            names.METRIC_INTERNAL_ERRORS, [_observe_failures], "{error}", "Failures of otel-failover itself"
        )

    def mismatch(self, rule: str, expected: str, source: str | None, context: Context) -> None:
        """Count one mismatch, in the offender's context so that the point has an exemplar.

        Args:
            rule: That fired.
            expected: Whose span it is.
            source: Whose error it is; None where that is nobody's.
            context: The offender's.
        """
        labels = {names.RULE: rule, names.EXPECTED_PROVIDER: expected}
        if source is not None:
            labels[names.SOURCE_PROVIDER] = source
        self.mismatches.add(1, labels, context=context)

    def _observe_ages(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(age, {names.CANDIDATE_PROVIDER: provider}) for provider, age in self.open_ages()]


def _observe_failures(_: CallbackOptions) -> Iterable[Observation]:
    return [Observation(count, {names.METRIC_SITE: site}) for site, count in tuple(failsafe.failures.items())]


_made: Final[weakref.WeakKeyDictionary[MeterProvider, Metrics]] = weakref.WeakKeyDictionary()
_global: Final[list[Metrics]] = []


def metrics_of(provider: MeterProvider | None) -> Metrics:
    """Return the instruments of a meter provider, made once: an observable one cannot be made twice.

    Args:
        provider: None: the global one, whenever it is set.
    """
    if provider is None:
        if not _global:
            _global.append(Metrics(get_meter(names.SCOPE, __version__)))
        return _global[0]
    found = _made.get(provider)
    if found is None:
        found = _made[provider] = Metrics(get_meter(names.SCOPE, __version__, meter_provider=provider))
    return found
