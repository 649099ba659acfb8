"""OpenTelemetry instrumentation that tells the truth about failover between LLM providers.

Each candidate of a fallback loop gets a span of its own, whose error can only be what its own response said; and every
span, ours or anybody's, is checked before export for an error that belongs to somebody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_failover._core.config.loop import Loop
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.candidate_error import CandidateError
from otel_failover._core.runs.attempt import Attempt
from otel_failover._core.runs.run import Run, failover_run
from otel_failover._core.spans.processor import AttributionProcessor
from otel_failover.instrumentor import FailoverInstrumentor
from otel_failover.version import __version__

if TYPE_CHECKING:
    from otel_failover._core.summary.summary import Summary, summarize

__all__ = [
    "Attempt",
    "AttributionProcessor",
    "Candidate",
    "CandidateError",
    "FailoverInstrumentor",
    "Loop",
    "Run",
    "Summary",
    "__version__",
    "failover_run",
    "summarize",
]


def __getattr__(name: str) -> Any:
    """Import what only a failed request needs when it is asked for: the import of this package is on every start."""
    if name in ("Summary", "summarize"):
        from otel_failover._core.summary import summary

        return getattr(summary, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
