"""Judges every span before it is exported, ours or anybody's.

A span is bound to its attempt when it starts and judged when it ends, in the hook that runs for all processors before
any exporter's (`_on_ending`, SDK 1.40 and newer), so the order of processors does not matter. By then the SDK has
frozen the span's attributes; they are written through one narrow private door, found by trying. Where there is no such
hook or door, the marker span says it all.

Nothing here raises, blocks or starts a thread, and nothing of a span is kept once it has ended.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry.context import get_current
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import StatusCode, get_tracer_provider

from otel_failover._core.attribution import facts
from otel_failover._core.attribution.claim import Claim
from otel_failover._core.attribution.facts import Verdict
from otel_failover._core.attribution.from_span import Reading, has_error_provider, may_conflict, read_claim
from otel_failover._core.config import runtime
from otel_failover._core.context import ATTEMPT, RUN, displaced, entered
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import verdicts
from otel_failover._core.domain.verdicts import MISMATCH, UNVERIFIED
from otel_failover._core.evidence.references import IdentityMap
from otel_failover._core.failsafe import guarded
from otel_failover._core.spans import deferred, registry
from otel_failover._core.spans.registry import Place, around, bound, enclosing, own_spans, pools

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import SpanContext

    from otel_failover._core.attribution.enclosing import Subject
    from otel_failover._core.config.runtime import Runtime
    from otel_failover._core.spans.registry import EnclosedRun, Judge

_LATELY: Final = 64
_LOGS: Final = "opentelemetry.sdk._logs"
_HAS_HOOK: Final = hasattr(SpanProcessor, "_on_ending")


_providers: Final[IdentityMap[bool]] = IdentityMap()
"""Providers with a processor of ours: some (Logfire's) have no hash."""


class AttributionProcessor(SpanProcessor):
    """A span processor that checks whose error a span carries.

    `FailoverInstrumentor().instrument()` attaches one by itself; add it by hand only to providers that are not the
    global one. Attaching two checks once.
    """

    @staticmethod
    def attached_to(provider: object) -> bool:
        """Whether a provider was given one by us."""
        return _providers.get(provider) is True

    @classmethod
    def attach_to(cls, provider: Any) -> None:
        """Give a provider one, once."""
        if not cls.attached_to(provider):
            provider.add_span_processor(cls())
            _providers.set(provider, True)
            pool = getattr(getattr(provider, "_active_span_processor", None), "_executor", None)
            if pool is not None:
                pools.append(weakref.ref(pool, pools.remove))

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Bind a span to the attempt that it starts in, or to its place in a run."""
        # Bound here and never at the end: a span may end in another context than it started in (a stream, a callback,
        # another thread), and the attempt that is current there is not its own.
        context = get_current() if parent_context is None else parent_context
        attempt: Any = context.get(ATTEMPT)
        if attempt is None and entered() is not None:
            attempt = displaced(context)
        if attempt is None and context.get(RUN) is None and not ((own_spans or bound) and _is_in_ours(span.parent)):
            return
        scope = span.instrumentation_scope
        if scope is not None and scope.name == names.SCOPE:
            return
        if attempt is not None:
            _bind(span, attempt)
        else:
            _place(span, context)

    def _on_ending(self, span: Span) -> None:
        """Judge a span while it can still be written; most have nothing to be judged."""
        # This hook runs for all processors before `on_end` runs for any, so it does not matter whether an exporter's
        # processor was added before ours. Nearly every span of a service leaves by this test, which has to be cheap.
        span_id, scope = span.context.span_id, span.instrumentation_scope
        if (
            span_id in bound
            or span_id in enclosing
            or (
                (scope is None or scope.name != names.SCOPE)
                and (span.status.status_code is StatusCode.ERROR or has_error_provider(span))
            )
        ):
            _check(span, writable=True)
        # Here and not below, where it can be helped: what is inside a span is exported before it.
        if around and span_id in around:
            _end_inside(span_id)

    def on_end(self, span: ReadableSpan) -> None:
        """Judge a span that the hook above did not show us: an older SDK, or a host that hides the hook."""
        if not _HAS_HOOK or (bound and span.context is not None and span.context.span_id in bound):
            _check(span, writable=False)
        if around and span.context is not None and span.context.span_id in around:
            _end_inside(span.context.span_id)

    def shutdown(self) -> None:
        """Nothing to shut down."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """End what could not be ended where it was dropped, and runs that have been silent for too long."""
        deferred.end_waiting()
        runtime.sweep()
        return True


def _is_in_ours(parent: SpanContext | None) -> bool:
    """Whether we know the parent of a span for which nothing of ours is current: a pool's thread sees no context.

    Args:
        parent: Of the span.
    """
    return parent is not None and (parent.span_id in own_spans or parent.span_id in bound)


def _end_inside(span_id: int) -> None:
    """Tell inferred runs that the span around them has ended."""
    for tell in around.pop(span_id, ()):
        # In a thread of the SDK's own pool no span may be ended: that waits for the pool.
        deferred.end_later(tell) if pools and _in_a_pool() else tell()


@guarded(fallback=False)
def attach(active: Runtime, *, warn: bool = False) -> bool:
    """Attach the checking processor to the tracer provider, once there is one that takes processors.

    Called at `instrument()`, and again when a run or a call opens: the application may configure its SDK later.

    Args:
        active: Whose provider it is.
        warn: Log a WARNING, once each, where nothing is instrumented or no SDK is configured.

    Returns:
        Whether it is attached.
    """
    if not active.active:
        return False
    if warn and active.logs.not_instrumented:
        active.logs.warn_not_instrumented()
    if not active.reads_records and _LOGS in sys.modules:
        _attach_to_logs(active)
    provider = active.provider or get_tracer_provider()
    if active.attached_to is not None and active.attached_to() is provider:
        return True
    active.on_stale = lambda attempt, now: _watch(active, attempt, now)
    if not hasattr(provider, "add_span_processor"):
        if warn:
            active.logs.warn_no_sdk()
        return False
    active.attached_to = weakref.ref(provider)
    AttributionProcessor.attach_to(provider)
    return True


def _attach_to_logs(active: Runtime) -> None:
    """Attach the processor of exception records to the logger provider, once there is one that takes processors."""
    from opentelemetry._logs import get_logger_provider  # late: few applications have the logs signal

    from otel_failover._core.spans import log_records

    active.reads_records = log_records.attach_to(active.logger_provider or get_logger_provider())


def _watch(active: Runtime, attempt: Any, now: float) -> None:
    """Look whether an attempt that has been open for long is hanging."""
    from otel_failover._core.spans.hanging import look_at  # late: for the import budget, few attempts hang

    look_at(active, attempt, now)


@guarded(fallback=None)
def _bind(span: Span, attempt: Judge) -> None:
    """Write whose attempt it is, and remember it until the span ends."""
    if not runtime.current().active:
        return
    span.set_attributes(attempt.inherited())
    bound[span.context.span_id] = attempt
    if len(bound) > registry.OPEN:
        registry.drop_oldest(bound)


@guarded(fallback=None)
def _place(span: Span, context: Context) -> None:
    """Remember where in a run a span stands that is in none of its attempts, until it ends."""
    above: Judge | Place | None = None
    if span.parent is not None:
        # A processor that runs in a pool's thread sees no context; the parent tells.
        above = own_spans.get(span.parent.span_id) or bound.get(span.parent.span_id)
        if above is not None and type(above) is not Place:
            if own_spans:
                _bind(span, cast("Judge", above))
            return
    current: Any = context.get(RUN)
    run = above.run if current is None and type(above) is Place else current
    if run is None or run.is_over or not runtime.current().active:
        return
    bound[span.context.span_id] = Place(run, above if type(above) is Place and above.run is run else None, span)
    if len(bound) > registry.OPEN:
        registry.drop_oldest(bound)


@guarded(fallback=None)
def _check(span: Any, *, writable: bool) -> None:
    """Judge one span: inside an attempt, around attempts or beside them, or naming its error's provider by itself."""
    # What is kept of the span is taken out first, whatever becomes of it below: nothing of a span outlives it.
    span_id = span.context.span_id
    attempt: Any = bound.pop(span_id, None) if bound else None
    runs: list[EnclosedRun] = []
    if enclosing:
        parent = span.parent
        runs = enclosing.take(span_id, parent.span_id if parent is not None and not parent.is_remote else None)
    place: Place | None = None
    if type(attempt) is Place:
        attempt, place = None, _left(span, attempt)
    if _is_ours(span) or (attempt is None and place is None and not runs and not may_conflict(span)):
        return
    if not runtime.current().active or (not writable and _is_seen(span_id)):
        return
    attributes = span.attributes
    # A span with more attributes than the SDK's limit loses its oldest first, and ours were written at its start.
    if attempt is not None and writable and names.CANDIDATE_PROVIDER not in attributes:
        from otel_failover._core.spans.span_access import write  # late: for the import budget

        write(span, attempt.inherited())
    reading = read_claim(span)
    if reading is None or names.VERDICT in attributes or _is_ignored(span):
        return
    if attempt is not None:
        _judge_inside(span, attempt, reading, writable=writable)
    elif runs or place is not None:
        _judge_around(span, runs, place, reading, writable=writable)
    elif reading.claim.conflict is not None:
        _judge_alone(span, reading, writable=writable)


def _left(span: Any, place: Place) -> Place | None:
    """Take note that a span in a run has ended; return its place where it may tell an error that is another's."""
    place.left()
    return place if span.status.status_code is StatusCode.ERROR or place.run.may_tell_errors else None


_lately: OrderedDict[int, None] = OrderedDict()


def _is_seen(span_id: int) -> bool:
    """Whether another processor of ours has judged a span that could not be written, so that it does not show."""
    seen = span_id in _lately
    _lately[span_id] = None
    if len(_lately) > _LATELY:
        _lately.popitem(last=False)
    return seen


def _is_ours(span: Any) -> bool:
    return span.instrumentation_scope is not None and span.instrumentation_scope.name == names.SCOPE


def _is_ignored(span: Any) -> bool:
    ignore = runtime.current().settings.ignore
    return bool(ignore) and (span.name in ignore or getattr(span.instrumentation_scope, "name", None) in ignore)


def _judge_inside(span: Any, attempt: Judge, found: Reading, *, writable: bool) -> None:
    """A span inside an attempt; one that names a host only if it is the candidate's."""
    # A search, a database or a tool that fails inside an attempt tells its own error, not the candidate's; the host it
    # names is all that parts it from a call of the provider's.
    if found.address is not None and not attempt.is_at(found.address):
        return
    claim = _claim_since(span, attempt.asked_at) if span.events else found.claim
    verdict = attempt.judge(claim)
    if verdict.rule == verdicts.STATUS_CONFLICT and found.provider is None and found.model is None:
        # A bare status that is nobody's, on a span that names neither provider nor host: a tool's, a database's.
        return
    _settle(span, verdict, claim, (attempt.provider, attempt.model, attempt.index), attempt.evidence_sentence(),
          attempt.secrets, writable=writable)  # fmt: skip


def _judge_around(span: Any, runs: list[EnclosedRun], place: Place | None, found: Reading, *, writable: bool) -> None:
    """A span around attempts or beside them, where it names one and carries an error, or only a response's id."""
    from otel_failover._core.attribution.enclosing import judge_held, sentence_of  # late: see `judgement`

    if found.claim.members:
        return
    held, conflict = _held(span, runs, place, found), found.claim.conflict
    if held is not None:
        if conflict == held.own[0].provider:
            conflict = None  # it has another's name, and tells the error of whom it is held against
        claim = _claim_since(span, held.asked_at) if found.error else Claim(response_id=found.claim.response_id)
        claim = claim._replace(conflict=conflict and claim.conflict)
        if not found.error:
            # A span that is named after what was asked for may tell who answered, never who failed.
            held = held._replace(others=[source for source in held.others if source.reason is not None], told=[])
        verdict = judge_held(claim, held)
        if found.error or verdict.verdict != UNVERIFIED:
            who = (held.own[0].provider, held.own[0].model, held.own[0].index)
            _settle(span, verdict, claim, who, sentence_of(held.own[-1]), (), writable=writable)
            return
    if conflict is not None:
        _judge_alone(span, found, writable=writable)


def _held(span: Any, runs: list[EnclosedRun], place: Place | None, found: Reading) -> Subject | None:
    """Return whom a span around attempts, or beside them, is held against."""
    from otel_failover._core.attribution.enclosing import Part, hold  # late: see `judgement`

    parts = []
    for run in runs:
        (sources, whole), since = run.attempts_so_far(), run.began_within(span.context.span_id)
        if since is None:
            parts.append(Part(sources, [], whole, started_in=False))
        else:
            inside = [source for source in sources if source.order >= since]
            parts.append(Part(inside, [each for each in sources if each.order < since], whole, started_in=True))
    return hold(found, parts, None) if place is None else place.held(found, span.attributes, parts)


def _claim_since(span: Any, asked: float | None) -> Claim:
    """Return what a span claims; an exception event from before the candidate was asked is no claim.

    Args:
        span: That is ending.
        asked: When that was, in seconds of the monotonic clock; None where it never was.
    """
    since = None if asked is None else time.time_ns() - int((time.monotonic() - asked) * 1e9)
    found = read_claim(span, since)
    return found.claim if found is not None else Claim()


def _judge_alone(span: Any, found: Reading, *, writable: bool) -> None:
    """A span that names one provider for itself and another for its error."""
    if verdicts.PROVIDER_CONFLICT in runtime.current().disabled_rules or found.provider is None:
        return
    source = facts.SourceFacts(found.claim.conflict or "", index=-1)
    verdict = Verdict(MISMATCH, verdicts.PROVIDER_CONFLICT, verdicts.FACTS, source)
    _settle(span, verdict, found.claim, (found.provider, found.model or "", -1), "not seen", (), writable=writable)


def _settle(
    span: Any,
    verdict: Verdict,
    claim: Claim,
    candidate: tuple[str, str, int],
    own: str,
    secrets: tuple[str, ...],
    *,
    writable: bool,
) -> None:
    """Write the verdict, count it, and make a mismatch seen."""
    from otel_failover._core.spans.mismatch import announce, verdict_attributes  # late: for the import budget
    from otel_failover._core.spans.span_access import write

    active = runtime.current()
    if writable:
        write(span, verdict_attributes(verdict, candidate[0]))
    active.metrics.checks.add(verdict.verdict)
    if verdict.verdict == MISMATCH:
        later = bool(pools) and _in_a_pool()
        announce(active, span.context, verdict, claim, candidate, own, secrets, span.end_time, later=later)


def _in_a_pool() -> bool:
    """Whether we run in a thread of an SDK's own pool (`ConcurrentMultiSpanProcessor`).

    Starting a span waits for that pool: with every thread of it in here, for ever.
    """
    me = threading.current_thread()
    return any(me in getattr(pool(), "_threads", ()) for pool in tuple(pools))
