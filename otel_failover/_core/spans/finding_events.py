"""How findings are written: an event each on the run's span, one list, a metric and a line in the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.config import usage_hints
from otel_failover._core.domain import attributes as names
from otel_failover._core.failsafe import exportable
from otel_failover._core.findings.record import Thresholds
from otel_failover._core.findings.rules import find
from otel_failover._core.spans.marker import BEFORE_END

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from otel_failover._core.config.runtime import Runtime
    from otel_failover._core.findings.record import Finding, Record


_ONCE: Final = frozenset({"nothing_served"})
"""Findings that are mere information, and a WARNING the first time for each loop: somebody should look once."""


def write(runtime: Runtime, span: Span, record: Record, end: int, loop: tuple[object, ...] = ()) -> list[str]:
    """Draw the findings of a run, write them onto its span, count and log them.

    Args:
        runtime: Settings, instruments, logs.
        span: The run's span, still open.
        record: The run, over.
        end: Of that span, in nanoseconds.
        loop: Which loop it is a pass of.

    Returns:
        The names of the rules that fired, each once.
    """
    settings = runtime.settings
    thresholds = Thresholds(settings.stale_after, settings.max_requests or None, settings.starved_below)
    found = find(record, thresholds, runtime.disabled_rules, settings.enabled_rules)
    for finding in found:
        if finding.rule in _ONCE:
            usage_hints.run_unserved(record.seconds)
        span.add_event(names.EVENT_FINDING + finding.rule, _attributes(runtime, finding), end - BEFORE_END)
        runtime.metrics.findings.add(finding.rule, record.library)
        first = finding.rule in _ONCE and runtime.logs.is_first((finding.rule, *loop))
        runtime.logs.log_limited(
            (finding.rule, record.library, record.loop, finding.candidates),
            lambda finding=finding: f"{record.loop}: {finding.rule}: {_clean(runtime, finding.sentence)}",  # type: ignore[misc]
            logging.WARNING if finding.level == "warning" or first else logging.INFO,
        )
    return list(dict.fromkeys(finding.rule for finding in found))


def _attributes(runtime: Runtime, finding: Finding) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        names.FINDING_RULE: finding.rule,
        names.FINDING_SENTENCE: _clean(runtime, finding.sentence),
        names.FINDING_LEVEL: finding.level,
    }
    if finding.candidates:
        attributes[names.FINDING_CANDIDATES] = list(finding.candidates)
    for name, value in finding.facts.items():
        attributes[names.FINDING_FACT + name] = _clean(runtime, value) if isinstance(value, str) else value
    return attributes


def _clean(runtime: Runtime, text: str) -> str:
    return runtime.redacted(exportable(text), (), 255)
