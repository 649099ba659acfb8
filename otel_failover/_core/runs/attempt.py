"""One try at one candidate: opened, current, settled.

The only code that ends a candidate's span. What the span says about the error comes from the attempt's own evidence
(`evidence/`); what a loop says is a claim, which is judged once, when the attempt ends (`judgement`).

In one file: the ways in which an attempt can end stand side by side, with the table of its states, and can be
compared so; half of it is docstrings.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import providers, reasons
from otel_failover._core.domain.candidate import Candidate, shown
from otel_failover._core.domain.candidate_error import CandidateError
from otel_failover._core.domain.endpoint import address_of
from otel_failover._core.domain.outcome import (
    CANCELLED,
    ERROR,
    FROM_CANCEL,
    FROM_TRANSPORT,
    OPEN,
    PARTIAL,
    SUCCESS,
    Outcome,
)
from otel_failover._core.domain.positions import ChainPositions
from otel_failover._core.evidence import outcome as settling
from otel_failover._core.evidence import wire
from otel_failover._core.evidence.ledger import PID
from otel_failover._core.failsafe import guarded, logger, read, survived, text_of
from otel_failover._core.findings.attempt_record import AttemptRecord
from otel_failover._core.runs.judgement import UNSEEN, VERIFIED, Judgement
from otel_failover._core.runs.streams import wrap_chunks
from otel_failover._core.spans import deferred, marker, registry
from otel_failover._core.spans.candidate_span import CandidateSpan
from otel_failover._core.text import matching

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext
    from typing_extensions import Self

    from otel_failover._core.attribution.claim import Claim
    from otel_failover._core.attribution.facts import SourceFacts, Verdict
    from otel_failover._core.attribution.source import Source
    from otel_failover._core.config.runtime import Runtime
    from otel_failover._core.domain.asked import Asked
    from otel_failover._core.evidence.exchange import Exchange, OpenCall
    from otel_failover._core.evidence.ledger import Ledger
    from otel_failover._core.runs.judgement import Surroundings

    class AttemptOwner(Surroundings, Protocol):
        """What an attempt notifies, and asks, of whatever it belongs to: a run, or nothing (`NO_RUN`).

        Attributes:
            id: Of the run; empty where there is none.
            started: When it began, in seconds of the monotonic clock.
        """

        id: str
        started: float

        @property
        def context(self) -> Context | None:
            """The context in which its attempts start."""

        def attempt_started(self, attempt: Attempt) -> bool:
            """Return whether it starts late: the run had been told to stop, or its caller had cancelled it."""

        def attempt_answered(self, attempt: Attempt) -> None:
            """Keep an attempt that has answered until the loop's next step shows whether it took the answer."""

        def attempt_cancelled(self, attempt: Attempt) -> None:
            """End an attempt that was left by cancellation: now, or at the next step, which shows by whom."""

        def attempt_moved(self, attempt: Attempt, was: Candidate) -> tuple[int, int | None]:
            """Return where an attempt stands whose candidate has become known, and its number there if that is new."""

        def attempt_ended(self, attempt: Attempt, record: AttemptRecord, source: Source | None, ended: float) -> None:
            """Take in what became of an attempt that ended at `ended`, in seconds of the monotonic clock."""


_UNSETTLED: Final = Outcome(outcome=ERROR, reason=reasons.UNKNOWN)
"""How an attempt ended where working that out failed."""
_OPEN: Final = Outcome(outcome=OPEN)


_REFUSED: Final = frozenset({401, 402, 403, 404})
"""Statuses that the same request gets again, unless a credential or an address has changed."""
_SIGNING: Final = frozenset({"bedrock"})
"""SDKs that sign each request anew, so that the key's id tells whose it is, and no header."""
_MAY_PASS: Final = frozenset({reasons.RATE_LIMIT, reasons.OVERLOADED, reasons.SERVER_ERROR, reasons.TIMEOUT})


@guarded(fallback=())
def _refusals(own: Sequence[Exchange]) -> tuple[int, ...]:
    """Return for each call that was refused what tells its refusal from others, as a number of this process.

    Args:
        own: The sends of an attempt; of one call's, an SDK's own retries included, only one counts.
    """
    calls: list[object] = []
    found = []
    for exchange in own:
        if exchange.status not in _REFUSED or any(exchange.call is call for call in calls if call is not None):
            continue
        calls.append(exchange.call)
        body = exchange.body
        if body.reason(exchange.status) in _MAY_PASS:
            continue
        path = text_of(read(exchange.request.target, "url")).partition("?")[0] or exchange.endpoint
        said = (exchange.status, body.code, matching.normalise(body.message))
        asked: Any = read(exchange.call, "asked")
        secrets = asked.credential if asked is not None and asked.sdk in _SIGNING else exchange.sent.secrets
        found.append(hash((path, exchange.model, secrets, said)))
    return tuple(found)


def current_attempt(current: Context | None = None) -> Attempt | None:
    """Return the attempt of a context, live or not; None where there is none.

    Args:
        current: OpenTelemetry's; the current one by default.
    """
    found: Attempt | None = scope.attempt_in(current)
    return found


class NoRun:
    """Owns a provider call outside any run: nobody is notified, and there are no others."""

    id = ""
    started = 0.0
    run = None
    context = None
    positions: Final = ChainPositions()

    def attempt_started(self, attempt: Attempt) -> bool:  # noqa: ARG002 - the protocol's signature
        """Return False: there was nothing to be late for."""
        return False

    def attempt_answered(self, attempt: Attempt) -> None:
        """End it: no loop goes on that could refuse the answer."""
        attempt.finish()

    def attempt_cancelled(self, attempt: Attempt) -> None:
        """End it: no later step will show by whom it was cancelled."""
        attempt.finish(killed="")

    def attempt_moved(self, attempt: Attempt, was: Candidate) -> tuple[int, int | None]:  # noqa: ARG002 - as above
        """Return the place that it has."""
        return attempt.index, None

    def attempt_ended(self, attempt: Attempt, record: AttemptRecord, source: Source | None, ended: float) -> None:
        """Keep nothing."""

    def sources_beside(self, order: int, key: object) -> Iterable[tuple[Source, SourceFacts]]:  # noqa: ARG002 - as above
        """Return nobody."""
        return ()


NO_RUN: Final[AttemptOwner] = NoRun()


class Attempt:
    """One try of a run at one candidate. Made by `run.attempt(candidate)`; a plain context manager.

    Its states, and the one way from each to the next:

    | state | how it gets there | what comes next |
    |---|---|---|
    | made | `run.attempt` | `enter` (by `with`, or by the call that it is) or `open_detached` |
    | current | `enter` | `__exit__`; or `release`, by whatever keeps it open without being current |
    | open, not current | `release`: an open stream, a generator | the end of its last stream; `leave` |
    | answered | `answered`: a handler may yet refuse it | `finish` where the loop took it, `refuse` where it went on |
    | left by cancellation | `conclude` with no `Exception` | `finish(killed=...)` by the run's next step, or its end |
    | ended | `finish`, once | nothing: marks are ignored with a warning, evidence is no longer taken |

    Which way it ends: left by its `with` -> `__exit__`; by its call -> `conclude`; by what `open_detached` opened ->
    `leave`; by its last stream -> `stream_ended`; by what ends a call without being an error -> `interrupted`. All of
    them come to `finish`, which settles, judges, writes and ends the span.

    Args:
        runtime: Settings, tracer, instruments.
        candidate: Who is tried.
        index: Its place in the chain, -1 outside it.
        ledger: Where its evidence is kept.
        owner: The run it belongs to; `NO_RUN` for a provider call outside any run.
        number: 1-based, per candidate in this run.
        doubled: The provider occurs twice in the chain.
        probe: It only asks whether the candidate is back: it neither serves the request nor fails it.
    """

    asked: Asked | None = None
    """What was asked by the call that it is, where that may matter to its run."""
    kept: tuple[AttemptRecord, Source, float] | None = None
    """Of a provider call outside any run that did not succeed, once it is over: what may be kept of it, and its end."""
    inferred_in: Any = None
    """A weak reference to the run that a provider call outside any has turned out to belong to."""
    repeats = False
    """It asks the one before once more: an SDK that is seen by wire tries again by itself."""
    _refused: tuple[int, ...] = ()
    _own_seen = 0
    candidate_span: CandidateSpan
    """Its span, and who the candidate is."""

    def __init__(
        self,
        runtime: Runtime,
        candidate: Candidate,
        index: int,
        ledger: Ledger,
        owner: AttemptOwner = NO_RUN,
        number: int = 1,
        *,
        doubled: bool = False,
        probe: bool = False,
    ) -> None:
        self._runtime, self._owner, self.ledger = runtime, owner, ledger
        self.run = None if owner is NO_RUN else owner
        runtime.order += 1
        self.order = runtime.order
        self.candidate_span = CandidateSpan(
            runtime, ledger, candidate, index, number, in_run=self.run is not None, doubled=doubled
        )
        # The attributes that stand on every span started inside: asked for by each of those spans, so without a detour.
        self.inherited = self.candidate_span.inherited
        self._judgement = Judgement(runtime, ledger, owner, self.candidate_span, self.order)
        self.started = ledger.started
        self.is_probe = probe
        self.is_declared = self.is_current = self.is_over = False
        self._is_late = self._has_output = False
        self._attachment: scope.Attachment | None = None
        self.around: tuple[int, ...] = ()
        self._end_time: int | None = None
        self._evidence = "none"
        self._settled_as: Outcome | None = None
        self._own_error: CandidateError | None = None
        ledger.model = candidate.model
        chain = owner.positions.chain
        place = index if chain.doubled and chain.has_twice(candidate) else None
        ledger.who = (candidate.provider, candidate.model, candidate.endpoint, candidate.profile, place)

    def __repr__(self) -> str:
        try:
            span, settled = self.candidate_span, self._settled_as
            state = "current" if self.is_current else "open" if span.span is not None else "not begun"
            if settled is not None:
                state = " ".join(str(each) for each in (settled.outcome, settled.reason, settled.status) if each)
            return f"<Attempt {span.number} at {shown(span.candidate.label)}: {state}>"
        except Exception:  # shown by a debugger while it is being made
            return "<Attempt>"

    # --- for the host -------------------------------------------------------------------------------------------------

    @property
    def provider(self) -> str:
        """The candidate's provider."""
        return self.candidate_span.candidate.provider

    @property
    def model(self) -> str:
        """The candidate's model, as requested."""
        return self.candidate_span.candidate.model

    @property
    def index(self) -> int:
        """The candidate's place in the chain, -1 outside it."""
        return self.candidate_span.index

    @property
    def error(self) -> CandidateError | None:
        """This candidate's own error, from its own evidence; None while or if there is none. Never raises."""
        return self._own_error if self.is_over else self._error_so_far()

    @guarded(fallback=None)
    def fail(self, error: object = None) -> None:
        """Say that the candidate failed, without raising.

        What is said is a claim: it is held against the evidence, and never copied to `error.*`.

        Args:
            error: A word (`"rate_limit"`), a sentence, an exception, a mapping, or an object with any of `status_code`,
                `code`, `message`, `reason`, `request_id`.
        """
        self._claim(error, refused=False)

    @guarded(fallback=None)
    def reject(self, why: object = None) -> None:
        """Say that the loop would not take the response, though the provider answered.

        Args:
            why: The loop's own word for it.
        """
        self._claim(why, refused=True)

    def _claim(self, error: object, *, refused: bool) -> None:
        if self.is_over:
            logger.warning("otel-failover: an attempt was marked after it had ended; the mark is ignored")
        else:
            self._judgement.claim(error, refused=refused)

    def stream(self, chunks: Any) -> Any:
        """Pass chunks on; the attempt ends when they end, fail, are closed or dropped.

        The attempt is current while a chunk is being made, and nothing is while the consumer has it.

        Args:
            chunks: An iterator, iterable, async iterator or async iterable.

        Returns:
            An iterator of the same kind.
        """
        return wrap_chunks(chunks, self) if self._stream_opened() else chunks

    def __enter__(self) -> Self:
        """Start the candidate's span and make it current."""
        self.is_declared = True
        self.enter()
        return self

    @guarded(fallback=None)
    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Judge what left, end the span; the exception passes untouched. Open streams keep the attempt open."""
        if not self.is_current:
            return
        if problem is None and self.ledger.open_streams:
            self.release()
            return
        self.conclude(problem)

    # --- opening ------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def enter(self) -> None:
        """Open the span in the run's context and make the attempt current."""
        if self.is_current or self.is_over:
            logger.warning("otel-failover: an attempt was entered twice; run.attempt() makes a new one for each try")
            return
        self.is_current = True
        if self.run is None:
            return
        # Its span's parent is the run, wherever it is entered; its context is the current one, with its own keys in it,
        # so that what the application has put there by now (baggage, other libraries' keys) goes on to the call.
        current = context_api.get_current()
        outer: Attempt | None = scope.attempt_in(current)
        if outer is not None and outer.live:
            self.around = (*outer.around, outer.order)
        owner = self._owner
        parent = owner.context
        if current is not parent:
            registry.note_attempt(current.get(scope.SPAN), self.order)
        self._is_late = owner.attempt_started(self)
        span = self.candidate_span.open(parent, owner.id)
        if span.is_recording():
            registry.own_spans[span.get_span_context().span_id] = self
        self._runtime.open_attempts[self] = None
        inside = {**current, scope.ATTEMPT: self, scope.RUN: self.run, scope.CALL: None, scope.SPAN: span}
        self._attachment = scope.Attachment(context_api.Context(inside))

    @guarded(fallback=None)
    def open_detached(self) -> None:
        """Open without becoming current: for a generator, which is current only while it works; `leave` ends it."""
        self.is_declared = True
        self.enter()
        if self.is_current:
            self.ledger.open_streams += 1
        self.release()

    def release(self) -> None:
        """Stop being current, without ending."""
        self.is_current = False
        if self._attachment is not None:
            self._attachment.detach()
            self._attachment = None

    @property
    def context(self) -> Context | None:
        """The context in which a step of it is made, or the next chunk; None once it has ended."""
        if self.is_over or self.candidate_span.span is None:
            return None
        values: dict[str, object] = {scope.ATTEMPT: self, scope.RUN: self.run, scope.CALL: None}
        return scope.with_values(values, self.candidate_span.span)

    # --- for its run and its calls ------------------------------------------------------------------------------------

    @property
    def candidate(self) -> Candidate:
        """Who is tried."""
        return self.candidate_span.candidate

    @property
    def key(self) -> object:
        """Its candidate's identity within the run."""
        return self.candidate_span.key

    @property
    def live(self) -> bool:
        """Whether it takes evidence: not over, and not inherited through a fork."""
        return not self.is_over and self.ledger.pid == PID[0]

    def owns(self, span: object) -> bool:
        """Whether a span is this candidate's own, which a framework that asks what is current must not find.

        Args:
            span: Of a context; None where there is none.
        """
        return span is not None and span is self.candidate_span.span

    def link(self, other: SpanContext) -> None:
        """Link the span of its run, which is not around its own.

        Args:
            other: That span's context.
        """
        if self.candidate_span.span is not None and other.is_valid:
            self.candidate_span.span.add_link(other)

    def is_within(self, other: Attempt) -> bool:
        """Whether it is another attempt, or was made inside that: what it asks is then asked by that too."""
        return self is other or other.order in self.around

    def disowns(self, problem: BaseException) -> bool:
        """Whether an exception that left an SDK's call is a claim, and no evidence of this attempt."""
        return self._judgement.disowns(problem)

    @guarded(fallback=None)
    def learn(self, candidate: Candidate) -> None:
        """Take provider or model from the first call, where the loop declared only one of them.

        Args:
            candidate: Whom the call asks.
        """
        span, known = self.candidate_span, self.candidate_span.candidate
        filled = known.filled(Candidate(candidate.provider, candidate.model))
        span.becomes(filled)
        if self.run is None or filled == known:
            return
        self.ledger.model = filled.model
        self.ledger.who = (filled.provider, filled.model, filled.endpoint, filled.profile, None)
        span.index, number = self._owner.attempt_moved(self, known)
        if number is not None:
            span.number = number
        span.rename()

    def write_call_error(self, span: Span, problem: BaseException | None, call: OpenCall, since: float) -> None:
        """Write the error of a call of this attempt onto the call's span.

        Args:
            span: The call's span.
            problem: What the SDK raised; a cancellation leaves the span unset. None where it returned an error.
            call: The call.
            since: When it began, in seconds of the monotonic clock.
        """
        if problem is None or isinstance(problem, Exception):
            settled, own = settling.of_call(self.ledger, call, since)
            mine = self.ledger.raised_here(problem)
            kind = mine.type_name if mine is not None else settled.reason or reasons.UNKNOWN
            self.candidate_span.write_call_error(span, kind, settled, self.candidate_span.message(settled, own, since))

    def source(self, *, cancelled: bool = False) -> Source:
        """Return what others may be held against, while it is open.

        Args:
            cancelled: It was left by cancellation, so that nothing more comes of it.
        """
        if not cancelled:
            return self._judgement.source(None, self.around)
        complete = self.ledger.state[0] == "complete"
        return self._judgement.source(self._settle("caller_timeout"), self.around, complete=complete)

    def record_so_far(self, now: float) -> AttemptRecord:
        """Return its record, while it is open.

        Args:
            now: In seconds of the monotonic clock.
        """
        span, began = self.candidate_span, self._owner.started
        return AttemptRecord(
            candidate=span.candidate,
            index=span.index,
            number=span.number,
            settled=_OPEN,
            evidence="partial",
            began=self.started - began,
            ended=now - began,
            declared=self.is_declared,
            probe=self.is_probe,
            span_id=span.span_id,
        )

    # --- ways to end --------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def answered(self) -> None:
        """Take note that the candidate has answered; whether the loop takes it shows at the run's next step.

        The attempt keeps this end. Another attempt or a skip, or an exception that leaves the run, makes it `rejected`;
        a run that is left normally took it.
        """
        if self.is_over or not self.is_current:
            return
        self.release()
        if not self.ledger.open_streams:
            self.stop_clock()
            self._owner.attempt_answered(self)

    def refuse(self) -> None:
        """End an answer that the loop did not take."""
        self._judgement.refused = True
        self.finish()

    @guarded(fallback=None)
    def interrupted(self) -> None:
        """End as cancelled, at once: for what ends a candidate's call without being an error, whatever comes next."""
        self.release()
        self.finish(killed="")

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End what `open_detached` opened, once its other streams have ended too.

        Args:
            problem: The exception that left it, if any.
        """
        if self.is_over:
            return
        self.ledger.open_streams = max(0, self.ledger.open_streams - 1)
        if problem is not None and not isinstance(problem, GeneratorExit):
            self.conclude(problem)
        elif self.ledger.open_streams == 0:
            self.finish()

    def conclude(self, problem: BaseException | None) -> None:
        """End with what left it, or with nothing.

        A cancelled attempt keeps its end time: what it was is known at the run's next step. A generator that its
        consumer closes (GeneratorExit) is a stream dropped, not a cancellation.

        Args:
            problem: The exception that left it, if any.
        """
        if self.is_current or self._attachment is not None:
            self.release()
        if problem is None or isinstance(problem, GeneratorExit):
            self.finish()
        elif isinstance(problem, Exception):
            self._judgement.problem = problem
            self.finish()
        else:
            # `wait_for` around one candidate and a user who hangs up look the same from here: CancelledError leaves.
            # Which of them it was shows at the loop's next step: it goes on, or it is left by the cancellation as well.
            if self._end_time is None:
                self.stop_clock()
            self._owner.attempt_cancelled(self)

    def stop_clock(self) -> None:
        """Keep this moment as its end; when it is settled shows later."""
        self._end_time, self.ledger.stopped = time.time_ns(), time.monotonic()

    def restart_clock(self) -> None:
        """Let go of the end that was kept: it goes on."""
        self._end_time = self.ledger.stopped = None

    # --- streams ------------------------------------------------------------------------------------------------------

    @guarded(fallback=False)
    def _stream_opened(self) -> bool:
        if self.is_over:
            return False
        self.ledger.open_streams += 1
        return True

    def stream_context(self) -> Context | None:
        """Return the context in which the next chunk is made; None once the attempt has ended."""
        return self.context

    def stream_output(self) -> None:
        """Take note that a chunk was handed on."""
        self._has_output = True

    @guarded(fallback=None)
    def stream_ended(self, problem: BaseException | None = None) -> None:
        """Take note that a stream ended, failed, was closed or dropped."""
        self.ledger.open_streams = max(0, self.ledger.open_streams - 1)
        if isinstance(problem, Exception):
            self._judgement.problem = problem
        self.finish_if_left()

    def finish_if_left(self, problem: BaseException | None = None) -> None:
        """End once it has been left and its last stream is over.

        Args:
            problem: What broke that stream off, if anything; whoever is cancelled while reading it, after the attempt
                was left, is the host's user, or another step of the loop shows that it was not.
        """
        if self.is_current or self.is_over or self.ledger.open_streams:
            return
        if problem is not None and not isinstance(problem, Exception):
            self.conclude(problem)
        else:
            self.finish()

    # --- the end ------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def finish(self, *, killed: str | None = None) -> None:
        """End the attempt, once: settle, judge, write, end.

        Args:
            killed: For an attempt left by cancellation: `caller_timeout` (a later attempt starts), `user` (the run is
                left by it too) or an empty text (the run ended otherwise).
        """
        if wire.unread:
            wire.settle_unread(lambda call: call.attempt is self)
        if self.is_over:
            return
        # Before anything of ours runs: what fails below, or ends this attempt once more from inside (a stream that is
        # closed, a span processor of the host's), must find it over.
        self.is_over = True
        self._runtime.open_attempts.pop(self, None)
        span, ledger = self.candidate_span.span, self.ledger
        if span is not None:
            registry.own_spans.pop(span.get_span_context().span_id, None)
        ended = ledger.stopped or time.monotonic()
        # Whatever of ours fails below, the span ends and the run goes on.
        verdict, source = UNSEEN, None
        try:
            verdict = self._write_down(killed)
        except Exception as problem:
            survived("_core.runs.attempt.Attempt._write_down", problem)
        settled = self._settled_as or _UNSETTLED
        judgement = self._judgement
        is_claimed = judgement.problem is not None or bool(judgement.claims)
        try:
            # After the verdict, on which it depends what may be held against others; before the ledger is closed, since
            # the source takes objects that are let go of then.
            evidence = self._let_go(verdict) if is_claimed else self._evidence
            message = self._own_error.message if self._own_error is not None else None
            source = judgement.source(settled, self.around, complete=evidence == "complete", message=message)
        except Exception as problem:
            survived("_core.runs.judgement.Judgement.source", problem)
        if settled.status in _REFUSED:
            self._refused = _refusals(ledger.own)
        ledger.close()
        if span is not None:
            span.end(self._end_time)
        if marker.waiting:
            marker.make_waiting()
        if deferred.waiting:
            deferred.end_waiting()
        self._count(settled, verdict, ended)
        if self.run is not None:
            try:
                record = self._record(settled, ended)
            except Exception as problem:
                survived("_core.runs.attempt.Attempt._record", problem)
                record = AttemptRecord(self.candidate, self.index, settled=settled)
            self._owner.attempt_ended(self, record, source, ended)
        else:
            if settled.outcome != SUCCESS and source is not None:
                self.kept = self._reduced(settled, source, ended)
            if ledger.raised:
                ledger.forget_raised()
        if is_claimed:
            # Let go of the host's objects: a traceback holds the frames of the whole request.
            judgement.problem, judgement.claims = None, []

    def _write_down(self, killed: str | None) -> Verdict:
        """Settle, judge and write."""
        judgement, span, ledger = self._judgement, self.candidate_span, self.ledger
        is_claimed = judgement.problem is not None or bool(judgement.claims)
        if is_claimed and (judgement.claims or not ledger.own or ledger.raised_here(judgement.problem) is None):
            judgement.adopt_sends()
        settled = self._settled_as = self._settle(killed)
        self._evidence, gap = ledger.state
        self._own_seen = len(ledger.own)
        written, claim = span.taken_over(settled), None
        if is_claimed or written or ledger.to_others:
            verdict, claim = judgement.verdict(settled, self._evidence, written)
        else:
            verdict = VERIFIED if self._evidence == "complete" else UNSEEN
        if settled.outcome != SUCCESS:
            self._own_error = self._candidate_error(settled)
        is_recording = span.span is not None and span.span.is_recording()
        attributes: dict[str, Any] | None = {names.EVIDENCE: self._evidence} if is_recording else None
        if attributes is not None:
            if gap:
                attributes[names.EVIDENCE_GAP] = gap
            if judgement.claims or claim is not None:
                judgement.write_host_word(attributes, verdict, claim)
        if settled.message:
            judgement.remember(settled, attributes)
        if attributes is not None:
            message = self._own_error.message if self._own_error is not None else ""
            span.write(attributes, settled, verdict, message, self._end_time)
        if claim is not None:
            span.announce(verdict, claim, settled, self._end_time)
        return verdict

    def _settle(self, killed: str | None) -> Outcome:
        """Return how it ended, or would end now, from its own evidence."""
        stream = self.ledger.stream
        has_output = self._has_output or stream.begun or bool(stream.chunks)
        if killed is None:
            judgement = self._judgement
            return settling.settle(
                self.ledger,
                judgement.problem,
                marked=judgement.failed,
                rejected=judgement.refused,
                output=has_output,
                word=judgement.claims[0].reason if judgement.claims else None,
            )
        if killed == "caller_timeout":
            return Outcome(
                outcome=PARTIAL if has_output else ERROR,
                reason=reasons.TIMEOUT,
                origin=FROM_TRANSPORT,
                timeout="caller",
                killed_by=killed,
            )
        return Outcome(outcome=CANCELLED, reason=reasons.CANCELLED, origin=FROM_CANCEL, killed_by=killed or None)

    def _let_go(self, verdict: Verdict) -> str:
        """Forget claims that are somebody else's; return how complete the evidence is by now."""
        evidence = self._evidence
        if len(self.ledger.own) != self._own_seen:
            evidence = self.ledger.state[0]  # judging has brought in a send of its own
        if verdict is not VERIFIED:
            self._judgement.let_go_of_strangers(verdict, evidence)
        return evidence

    def _record(self, settled: Outcome, ended: float) -> AttemptRecord:
        """Make the one record of what became of it."""
        ledger, span, own, began = self.ledger, self.candidate_span, self.ledger.own, self._owner.started
        messages = [settled.message] if settled.message else []
        for exchange in own:
            if exchange.is_error:
                messages += exchange.body.messages
        return AttemptRecord(
            candidate=span.candidate,
            index=span.index,
            number=span.number,
            settled=settled,
            error=self._own_error,
            evidence=self._evidence,
            began=self.started - began,
            ended=ended - began,
            requests=len(own),
            sends=len(ledger.exchanges),
            calls=ledger.calls,
            repeats=self.repeats,
            retries=ledger.retries,
            messages=tuple(messages),
            claims=self._judgement.claimed,
            response_model=ledger.answer.model,
            empty=ledger.answer.empty,
            text_error=ledger.answer.text_error,
            streamed=self._has_output or ledger.stream.begun,
            declared=self.is_declared,
            probe=self.is_probe,
            cancelled_before=self._is_late,
            span_id=span.span_id,
            refused=self._refused,
        )

    @guarded(fallback=None)
    def _reduced(self, settled: Outcome, source: Source, ended: float) -> tuple[AttemptRecord, Source, float] | None:
        """Return what may be kept of it: no text, no object and no body, but what became of it in our own words."""
        facts = settled._replace(message="", relayed="", exception=None)
        record = self._record(facts, ended)
        error = self._candidate_error(facts)
        return record._replace(error=error, messages=(), claims=()), source.reduced(), ended

    def _count(self, settled: Outcome, verdict: Verdict, ended: float) -> None:
        metrics = self._runtime.metrics
        provider = providers.metric_value(self.candidate_span.candidate.provider)
        metrics.attempts.add(provider, settled.outcome, settled.reason)
        metrics.checks.add(verdict.verdict)
        labels = {names.CANDIDATE_PROVIDER: provider, names.CANDIDATE_OUTCOME: settled.outcome}
        if settled.reason is not None:
            labels[names.REASON_CODE] = settled.reason
        metrics.attempt_duration.record(ended - self.started, labels)

    # --- the own error ------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _error_so_far(self) -> CandidateError | None:
        settled = self._settle(None)
        return self._candidate_error(settled) if settled.outcome != SUCCESS else None

    def _candidate_error(self, settled: Outcome) -> CandidateError:
        span, who = self.candidate_span, self.candidate_span.candidate
        return CandidateError(
            who.provider, who.model, settled.status, settled.reason or reasons.UNKNOWN,
            span.message(settled), settled.origin, span.span_id,
            who.profile if who.profile is not None else span.profile,
        )  # fmt: skip

    # --- for the checker ----------------------------------------------------------------------------------------------

    def judge(self, claim: Claim) -> Verdict:
        """Hold one claim against the evidence so far: a span of somebody else's that ends inside this attempt.

        Args:
            claim: As it was made.
        """
        return self._judgement.judge(claim, self._settle(None))

    def is_at(self, address: tuple[str, int | None]) -> bool:
        """Whether a host, and a port where one is named, is this candidate's.

        Args:
            address: As a span names it.
        """
        host, port = address
        known = [self.ledger.endpoint, *(exchange.endpoint for exchange in self.ledger.own)]
        for endpoint in filter(None, known):
            own_host, own_port = address_of(endpoint)
            if host == own_host and port in (None, own_port):
                return True
        return self.ledger.endpoint is None and providers.provider_of_host(host) == self.provider

    @property
    def asked_at(self) -> float | None:
        """When its first own request was sent, in seconds of the monotonic clock; None where none was."""
        own = self.ledger.own
        return own[0].started if own else None

    @property
    def run_id(self) -> str:
        """Its run's id; empty for a provider call outside any run."""
        return self._owner.id

    @property
    def span_context(self) -> SpanContext:
        """Its span's context; an invalid one with tracing off."""
        return self.candidate_span.context

    @property
    def end_time(self) -> int:
        """When it ended, if that is now or was before, in nanoseconds since the epoch."""
        return self._end_time or time.time_ns()

    @property
    def is_untouched(self) -> bool:
        """Whether its answer's headers came, and the host has not begun to read on."""
        return self.ledger.stream.untouched

    @property
    def chunks(self) -> Sequence[str] | None:
        """What its stream has yielded so far; None where there is none."""
        return self.ledger.stream.chunks

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials of this attempt's requests: never to be exported."""
        return self.ledger.secrets

    def evidence_sentence(self) -> str:
        """Return the own evidence in a few words, as far as it goes."""
        return settling.sentence(self.ledger, self._settled_as or self._settle(None))
