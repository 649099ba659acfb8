"""A run that nobody declared: it begins where a call asks another candidate what one has failed at.

The calls before are not written any more, their spans have ended: the run's span links them, and they count in it.
"""

from __future__ import annotations

import dataclasses
import time
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry import context as context_api
from opentelemetry.trace import Link

from otel_failover._core import context as scope
from otel_failover._core.config import runtime
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain.asked import provider_of
from otel_failover._core.domain.candidate import shown
from otel_failover._core.domain.outcome import CANCELLED, ERROR, FROM_TRANSPORT, SUCCESS, UNSEEN, Outcome
from otel_failover._core.domain.reasons import TIMEOUT
from otel_failover._core.evidence.outcome import is_cancelling
from otel_failover._core.failsafe import guarded
from otel_failover._core.runs.inferred import askers
from otel_failover._core.runs.run import Run
from otel_failover._core.spans import deferred, registry
from otel_failover._core.spans.run_span import RunSpan
from otel_failover._core.text.gate import named

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext

    from otel_failover._core.attribution.source import Source
    from otel_failover._core.domain.asked import Asked
    from otel_failover._core.findings.attempt_record import AttemptRecord
    from otel_failover._core.runs.attempt import Attempt
    from otel_failover._core.runs.inferred.askers import Place
    from otel_failover._core.runs.question import Question


class Failed(NamedTuple):
    """A call outside any run that failed or was cancelled.

    Args:
        asked: What the SDK was asked, without its body, and with a hash for the credential.
        began: In seconds of the monotonic clock.
        ended: The same.
        record: What became of it, without the provider's texts.
        source: What others may be held against, without any object or text.
        span: Of the call.
        place: Where it was made, without the span that was current.
        attempt: The attempt that it was, while that lives.
    """

    asked: Asked
    began: float
    ended: float
    record: AttemptRecord
    source: Source
    span: SpanContext
    place: Place
    attempt: weakref.ref[Attempt]


class InferredRun(Run):
    """One question, asked of several candidates, by a loop that nobody declared.

    It is left when nothing more can come: by the end of the span around it, by the death of whoever asked, by silence;
    where no span around it is recorded, as soon as it has been served. It ends with its last attempt, and at the time
    at which that has.

    Args:
        operation: What is asked for.
        question: What the call asks that opens it.
        place: Where the call is made that opens it.
        asker: Who makes it.
        on_left: Called when it has been left.

    Attributes:
        questions: What its calls ask: one question, as each dialect has it.
        is_claimed: A call is about to be its next attempt, so that no other may be.
    """

    is_inferred = True

    def __init__(
        self,
        operation: str,
        question: Question,
        place: Place,
        asker: weakref.ref[Any],
        on_left: Callable[[InferredRun], None],
    ) -> None:
        super().__init__(operation, library="inferred")
        self.questions, self.asker = {question}, asker
        self.who: set[Hashable] = set()
        self.is_claimed = True
        self.last_end = time.monotonic()
        self._place, self._on_left = place, on_left
        self._last_end_ns = time.time_ns()
        self._doubt = ""
        self._watched = 0
        self._tries: dict[int, int] = {}
        self._knows_killer = False
        self._finalizer: Any = None

    # --- for what is remembered ---------------------------------------------------------------------------------------

    @property
    def where(self) -> Hashable:
        """Where its calls are made: their trace, or who makes them."""
        return self._place.where

    def asks(self, question: Question) -> bool:
        """Whether each of its calls, in whatever dialect, asks a question.

        Args:
            question: It.
        """
        return all(each.is_like(question) for each in self.questions)

    @property
    def is_served(self) -> bool:
        """Whether one of its candidates has served it."""
        return self._tally.served is not None

    @property
    def is_busy(self) -> bool:
        """Whether one of its attempts is under way: not one that only waits to be settled by its next step."""
        return self.is_claimed or any(each.ledger.stopped is None for each in self._open)

    @property
    def takes_attempts(self) -> bool:
        """Return False: what is asked in its attempts' context is an attempt of it only if it asks the same."""
        return False

    # --- opening ------------------------------------------------------------------------------------------------------

    def begin(self, failures: Sequence[Failed], current: Context) -> None:
        """Open its span, put back to the start of the first call that failed.

        Args:
            failures: The calls before, in order.
            current: The context that the call is made in which opens it.
        """
        active = self._runtime
        self.id = runtime.new_run_id()
        self._loop = active.redacted(self.operation, (), 120)
        deferred.end_waiting()
        self.started = failures[0].began
        since = time.time_ns() - int((time.monotonic() - self.started) * 1e9)
        attributes = {names.RUN_ID: self.id, names.LIBRARY: self._library, names.LOOP_NAME: self._loop}
        taken = [self._taken_in(each) for each in failures]
        links = [link for each, record in zip(failures, taken, strict=True) if (link := _link(each, record))]
        self._span = RunSpan(active, self._loop, attributes, current, since, links)
        RunSpan.note_enclosing(self, current)
        if registry.pools:
            registry.own_run(self._span.span, self)
        values: dict[str, object] = {scope.RUN: self, scope.ATTEMPT: None, scope.CALL: None}
        self._context = scope.with_values(values, self._span.span, current)
        self._tally.is_cancelled = failures[-1].record.outcome == CANCELLED and is_cancelling()
        self._watch(failures)

    def _taken_in(self, failed: Failed) -> AttemptRecord:
        """Count a call that failed before the run was known, as an attempt that has ended."""
        active, tally = self._runtime, self._tally
        provider = provider_of(failed.asked, self.positions.chain, active.aliases, active.gateways)
        candidate, index = self.positions.of_call(failed.asked, provider, active.aliases)
        record = failed.record._replace(
            candidate=candidate,
            index=index,
            number=self.positions.next_number(candidate, index),
            began=failed.began - self.started,
            ended=failed.ended - self.started,
        )
        if record.outcome == CANCELLED:
            # The loop has gone on: it was its own deadline around this candidate, as in any run.
            error = record.error and dataclasses.replace(record.error, reason=TIMEOUT, origin=FROM_TRANSPORT)
            record = record._replace(settled=_BY_CALLER, error=error)
        tally.count += 1
        tally.first = index if tally.first is None else tally.first
        tally.last = (candidate, index)
        self.positions.used.add(index)
        tally.attempt_ended(record, failed.began, failed.ended, can_serve=True)
        source = failed.source.placed(index)
        self._sources.append(source)
        self._recorder.add(record, source)
        attempt = failed.attempt()
        if attempt is not None:
            attempt.inferred_in = weakref.ref(self)
        return record

    def _watch(self, failures: Sequence[Failed]) -> None:
        """Learn of the end of the span around it; where there is none, of the end of whoever asks."""
        place = self._place
        self._watched = place.shared(failures[-1].place) if place.is_recording else 0
        # A task that asks for somebody who waits for it may be followed by another: its end is not the loop's.
        watched: Any = askers.root_of(self.asker())
        if self._watched:
            registry.watch(self._watched, self._around_ended)
            watched = place.span if place.span_id == self._watched else None
        if watched is not None:
            # Its death is learnt wherever the collector runs.
            self._finalizer = weakref.finalize(watched, deferred.end_when_safe, self.left_alone)
            self._finalizer.atexit = False
        self._place = place._replace(span=None)

    @property
    def context(self) -> Context | None:
        """The context in which an attempt starts: the run's, where the span is current in which it was opened."""
        current = context_api.get_current()
        if self._context is None:
            return None
        span: Any = current.get(scope.SPAN)
        here = span.get_span_context().span_id if span is not None else 0
        if here == self._place.span_id:
            return self._context
        return scope.with_values({scope.RUN: self, scope.ATTEMPT: None, scope.CALL: None}, None, current)

    def next_attempt(self, asked: Asked, who: Hashable, asker: weakref.ref[Any]) -> Attempt:
        """Return its next attempt, open and current; one that is not below its span links it.

        Args:
            asked: What the SDK is asked.
            who: Whom.
            asker: Who asks.
        """
        self.asker = asker
        self.who.add(who)
        # What was answered beside it before has not served it: the loop goes on.
        self._tally.beside_at = 0.0
        attempt = self.infer(asked._replace(credential=askers.hashed(asked.credential)))
        around, is_below = context_api.get_current(), self.context is self._context
        attempt.enter()
        self.is_claimed = False
        span: Any = around.get(scope.SPAN)
        here = span.get_span_context().span_id if span is not None else 0
        if not is_below and self._span is not None:
            attempt.link(self._span.span.get_span_context())
            RunSpan.note_enclosing(self, around)
        if here and (here != self._watched or not is_below) and len(self._tries) < _TRIES:
            self._tries.setdefault(here, attempt.order)
        return attempt

    def began_within(self, span_id: int) -> int | None:
        """Return the order of the first attempt inside a span that the loop has made for a try; None of any other.

        Args:
            span_id: Of a span around some of its attempts.
        """
        return self._tries.get(span_id)

    # --- what becomes of it -------------------------------------------------------------------------------------------

    def doubt(self, why: str) -> None:
        """Take in that it may have been served by what is no attempt of it, or that its answer was refused.

        Args:
            why: In a few words.
        """
        self._doubt = self._doubt or why

    def attempt_ended(self, attempt: Attempt, record: AttemptRecord, source: Source | None, ended: float) -> None:
        """Take in what became of an attempt."""
        self.last_end, self._last_end_ns = ended, attempt.end_time
        super().attempt_ended(attempt, record, source, ended)
        if record.outcome == SUCCESS and not self._watched:
            self.leave(None)

    @property
    def outcome(self) -> str:
        """What became of it, or would if it ended now."""
        return self._ended_as or (UNSEEN if self._doubt else super().outcome)

    def _may_have_served(self, since: float) -> str:
        return self._doubt or super()._may_have_served(since)

    @property
    def _moment(self) -> tuple[int, float]:
        return self._last_end_ns, self.last_end

    # --- closing ------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _around_ended(self) -> None:
        """Take in that the span around it has ended."""
        self._watched = 0
        # Who cancelled its last attempt can be asked of the task that goes on, or has been told to end.
        me = self.asker()
        self._knows_killer = me is None or me is askers.current() or askers.is_over(self.asker)
        self.leave(None)

    @guarded(fallback=None)
    def left_alone(self) -> None:
        """Take in that nothing more is to come: it ends once its open attempts have."""
        self.leave(None)

    def leave(self, problem: BaseException | None) -> None:
        """Take in that it is over; it ends when its last attempt has.

        Args:
            problem: None: what leaves such a loop is not seen.
        """
        if self.is_left:
            return
        self._forget_around()
        self._on_left(self)
        super().leave(problem)

    def abandon(self) -> None:
        """Let go of it in a forked child: its parent ends it."""
        self.is_left = self.is_over = True
        self._forget_around()

    def _forget_around(self) -> None:
        if self._watched:
            registry.unwatch(self._watched, self._around_ended)
        if self._finalizer is not None:
            self._finalizer.detach()

    def _killer(self) -> str:
        return super()._killer() if self._knows_killer else ""


_TRIES: Final = 64
"""Of so many spans it is known that the loop has made them for one try."""
_BY_CALLER: Final = Outcome(
    outcome=ERROR, reason=TIMEOUT, origin=FROM_TRANSPORT, timeout="caller", killed_by="caller_timeout"
)


def _link(failed: Failed, record: AttemptRecord) -> Link | None:
    """Return what tells of a call on the run's span; None where there is nothing to link."""
    if not failed.span.is_valid:
        return None
    attributes: dict[str, Any] = {
        names.CANDIDATE_PROVIDER: named(record.candidate.provider),
        names.CANDIDATE_MODEL: shown(record.candidate.model),
        names.CANDIDATE_INDEX: record.index,
        names.CANDIDATE_OUTCOME: record.outcome,
    }
    if record.reason is not None:
        attributes[names.REASON_CODE] = record.reason
    return Link(failed.span, attributes)
