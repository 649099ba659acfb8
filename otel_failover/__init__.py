"""OpenTelemetry instrumentation that tells the truth about failover between LLM providers.

Each candidate of a fallback loop gets a span of its own, whose error can only be what its own response said; and every
span, ours or anybody's, is checked before export for an error that belongs to somebody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.candidate_error import CandidateError
from otel_failover._core.runs.attempt import Attempt
from otel_failover._core.runs.run import Run, failover_run
from otel_failover._core.spans.processor import AttributionProcessor
from otel_failover.instrumentor import FailoverInstrumentor
from otel_failover.version import __version__

if TYPE_CHECKING:
    from otel_failover._core.config.loop import Loop
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


def _present(*exported: Any) -> None:
    """Let what is exported name the module that it is imported from: in a `repr`, in a pickle, in a pydantic schema."""
    for each in exported:
        each.__module__ = __name__


_present(Attempt, AttributionProcessor, Candidate, CandidateError, FailoverInstrumentor, Run, failover_run)


def _import_late(name: str) -> Any:
    """Import what most processes never need when it is asked for: the import of this package is on every start."""
    if name == "Loop":
        from otel_failover._core.config import loop

        _present(loop.Loop)
        globals()[name] = loop.Loop
        return loop.Loop
    if name in ("Summary", "summarize"):
        from otel_failover._core.summary import summary

        _present(summary.Summary, summary.summarize)
        # Whoever resolves annotations, as pydantic does, looks their names up in the module that a class names as its
        # own. So the type of `Summary.candidates` is here too.
        for each in ("CandidateSummary", "Summary", "summarize"):
            globals()[each] = getattr(summary, each)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if not TYPE_CHECKING:  # a type checker that sees it believes that every name is here
    __getattr__ = _import_late
