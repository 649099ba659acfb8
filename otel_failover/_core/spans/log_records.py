"""Judges log records that are exception events: OpenTelemetry moves those from spans into the logs signal.

Such a record is held against the evidence as an exception event on its span is. An application's own log lines are no
claims: what its logger writes has no event's name.

The SDK's logs package is imported here, and this module only where the application has imported that already.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.trace import SpanContext, TraceFlags

from otel_failover._core.attribution.from_span import read_record
from otel_failover._core.config import runtime
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain.verdicts import MISMATCH, VERIFIED
from otel_failover._core.evidence.references import IdentityMap
from otel_failover._core.failsafe import guarded
from otel_failover._core.spans.registry import Place, bound, own_spans

if TYPE_CHECKING:
    from otel_failover._core.attribution.claim import Claim
    from otel_failover._core.attribution.facts import Verdict

_EVENTS: Final = frozenset({names.EVENT_EXCEPTION, "gen_ai.client.operation.exception"})
_providers: Final[IdentityMap[bool]] = IdentityMap()
"""Logger providers with a processor of ours."""


class ExceptionRecordProcessor(LogRecordProcessor):
    """Checks whose error an exception record carries, where its span is in an attempt or in a run.

    The SDK calls `on_emit` since 1.35 and `emit` before; both are given what holds the record as `log_record`.
    """

    def on_emit(self, log_record: Any) -> None:
        """Judge a record that is an exception event; nearly all are not."""
        record = getattr(log_record, "log_record", None)
        name, attributes = getattr(record, "event_name", None), getattr(record, "attributes", None)
        if not name and isinstance(attributes, Mapping):
            name = attributes.get("event.name")  # before 1.35
        if isinstance(name, str) and name in _EVENTS and (own_spans or bound):
            _check(record, log_record)

    def emit(self, log_data: Any) -> None:
        """Judge a record, as older SDKs ask for it."""
        self.on_emit(log_data)

    def shutdown(self) -> None:
        """Nothing to shut down."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing to flush."""
        return True


def attach_to(provider: Any) -> bool:
    """Give a logger provider a processor of ours, once; return whether it has one.

    Args:
        provider: Perhaps one that takes no processors: the API's own, until the application sets another.
    """
    if not hasattr(provider, "add_log_record_processor"):
        return False
    if _providers.get(provider) is not True:
        ours = ExceptionRecordProcessor()
        provider.add_log_record_processor(ours)
        _providers.set(provider, True)
        _put_first(provider, ours)
    return True


def _put_first(provider: Any, ours: ExceptionRecordProcessor) -> None:
    """Let our processor be asked before any exporter's: a record has no hook that runs for all before one exports.

    OpenTelemetry has no public way; where the private one is not there either, a record that is exported at once leaves
    without its verdict, and the marker tells.
    """
    processors = getattr(provider, "_multi_log_record_processor", None)
    lock, kept = getattr(processors, "_lock", None), getattr(processors, "_log_record_processors", None)
    if lock is None or not isinstance(kept, tuple):
        return
    with lock:
        kept = processors._log_record_processors  # type: ignore[union-attr]  # noqa: SLF001 - the private door, see above
        others = tuple(each for each in kept if each is not ours)
        processors._log_record_processors = (ours, *others)  # type: ignore[union-attr]  # noqa: SLF001


@guarded(fallback=None)
def _check(record: Any, emitted: Any) -> None:
    """Judge one exception record by the span that it stands on."""
    active = runtime.current()
    found = own_spans.get(record.span_id)
    is_ours = found is not None
    found = bound.get(record.span_id) if found is None else found
    if found is None or not active.active or names.VERDICT in (record.attributes or {}) or _is_ignored(emitted):
        return
    if isinstance(found, Place):
        _check_in_run(record, found)
        return
    claim = read_record(record, {})
    asked = found.asked_at
    if claim is None or asked is None or _is_before(record, asked):
        return
    verdict = found.judge(claim.claim)
    # What application code records on our own span besides (a cache that missed) says nothing of the candidate.
    if not is_ours or verdict.verdict in (MISMATCH, VERIFIED):
        who = found.provider, found.model, found.index
        _settle(record, verdict, claim.claim, who, found.evidence_sentence(), found.secrets)


def _check_in_run(record: Any, place: Place) -> None:
    """Judge one on a span that stands in a run, around attempts or beside them."""
    from otel_failover._core.attribution.enclosing import judge_held, sentence_of  # late: see `judgement`

    attributes = getattr(place.span, "attributes", None) or {}
    found = read_record(record, attributes)
    held = place.held(found, attributes) if found is not None else None
    if found is None or held is None or (held.asked_at is not None and _is_before(record, held.asked_at)):
        return
    first, claim = held.own[0], found.claim
    if claim.conflict == first.provider:
        claim = claim._replace(conflict=None)  # as `processor` does
    who = first.provider, first.model, first.index
    _settle(record, judge_held(claim, held), claim, who, sentence_of(held.own[-1]), ())


def _is_before(record: Any, asked: float) -> bool:
    """Whether a record tells of something from before a candidate was asked, in seconds of the monotonic clock."""
    told = record.timestamp or record.observed_timestamp
    return bool(told) and told < time.time_ns() - int((time.monotonic() - asked) * 1e9)


def _is_ignored(emitted: Any) -> bool:
    scope = getattr(emitted, "instrumentation_scope", None)
    return getattr(scope, "name", None) in runtime.current().settings.ignore


def _settle(
    record: Any, verdict: Verdict, claim: Claim, candidate: tuple[str, str, int], own: str, secrets: tuple[str, ...]
) -> None:
    """Write the verdict onto the record, count it, and make a mismatch seen."""
    from otel_failover._core.spans.mismatch import announce, verdict_attributes  # late: for the import budget

    active, attributes = runtime.current(), record.attributes
    written = verdict_attributes(verdict, candidate[0])
    # One that is full would drop the host's own attributes for ours.
    most = getattr(attributes, "maxlen", None)
    if isinstance(attributes, MutableMapping) and (most is None or len(attributes) + len(written) <= most):
        attributes.update(written)
    active.metrics.checks.add(verdict.verdict)
    if verdict.verdict == MISMATCH:
        span = SpanContext(
            record.trace_id, record.span_id, is_remote=False, trace_flags=TraceFlags(record.trace_flags or 0)
        )
        announce(active, span, verdict, claim, candidate, own, secrets, None)
