"""One try at one candidate: the span, the evidence, the verdict.

The only code that writes error facts. They come from the attempt's own evidence; what a loop says is a claim, which is
judged once, when the attempt ends, and never goes to `error.*`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api
from opentelemetry.trace import Span, SpanKind

from otel_failover._core import context as scope
from otel_failover._core import deferred as dropping
from otel_failover._core.attribution import own_facts as judging
from otel_failover._core.attribution import rules as attribution
from otel_failover._core.attribution.bonds import adopt
from otel_failover._core.attribution.claim import Said
from otel_failover._core.attribution.facts import SourceFacts, Verdict
from otel_failover._core.attribution.from_exception import from_error, from_exception
from otel_failover._core.attribution.history import history
from otel_failover._core.attribution.source import Source
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain import outcome, providers, reasons, verdicts
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.candidate_error import CandidateError
from otel_failover._core.domain.endpoint import address_of
from otel_failover._core.domain.outcome import CANCELLED, ERROR, PARTIAL, SUCCESS, Outcome
from otel_failover._core.domain.verdicts import MISMATCH
from otel_failover._core.evidence import outcome as settlement
from otel_failover._core.evidence.carried_response import is_of_the_wire
from otel_failover._core.failsafe import guarded, logger
from otel_failover._core.references import Reference
from otel_failover._core.runs.streams import wrap_chunks
from otel_failover._core.spans import marker, processor
from otel_failover._core.spans import mismatch as marking
from otel_failover._core.spans.candidate_span import CandidateSpan
from otel_failover._core.text import matching as wording

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext
    from typing_extensions import Self

    from otel_failover._core.config.runtime import Runtime
    from otel_failover._core.evidence.ledger import Ledger
    from otel_failover._core.runs.run import Run

_CLAIMS: Final = 32
_VERIFIED: Final = Verdict()
_UNSETTLED: Final = Outcome(outcome=ERROR, reason=reasons.UNKNOWN)
_UNSEEN: Final = Verdict(verdicts.UNVERIFIED, verdicts.EVIDENCE_INCOMPLETE)


class Attempt:
    """One try of a run at one candidate. Made by `run.attempt(candidate)`; a plain context manager.

    Args:
        runtime: Settings, tracer, instruments.
        candidate: Who is tried.
        index: Its place in the chain, -1 outside it.
        ledger: Where its evidence is kept.
        run: The run it belongs to; None for a provider call outside any run.
        number: 1-based, per candidate in this run.
        doubled: Provider and model occur twice in the chain.
    """

    def __init__(
        self,
        runtime: Runtime,
        candidate: Candidate,
        index: int,
        ledger: Ledger,
        run: Run | None = None,
        number: int = 1,
        *,
        doubled: bool = False,
    ) -> None:
        self._runtime, self._run, self._ledger = runtime, run, ledger
        self._candidate, self._index, self._number, self._doubled = candidate, index, number, doubled
        self._own = CandidateSpan(runtime, ledger, ledger.started, in_run=run is not None)
        self._attachment: scope.Attachment | None = None
        self._claims: list[Said] = []
        self._problem: BaseException | None = None
        self._marked = self._rejected = self._output = self._done = self._inside = False
        self._pending_end: int | None = None
        self._stopped: float | None = None
        self._probe = self._late = False
        self._claimed: tuple[str, ...] = ()
        self.evidence = "none"
        self._settlement: Outcome | None = None
        self._own_error: CandidateError | None = None
        self._declared = False
        self._around: tuple[int, ...] = ()
        self._inherited: dict[str, Any] | None = None
        self._order = runtime.next_order()
        ledger.model = candidate.model
        ledger.who = (candidate.provider, candidate.model, candidate.endpoint, candidate.profile)
        self.started = ledger.started

    # --- for the host -------------------------------------------------------------------------------------------------

    @property
    def provider(self) -> str:
        """The candidate's provider."""
        return self._candidate.provider

    @property
    def model(self) -> str:
        """The candidate's model, as requested."""
        return self._candidate.model

    @property
    def index(self) -> int:
        """The candidate's place in the chain, -1 outside it."""
        return self._index

    @property
    def error(self) -> CandidateError | None:
        """This candidate's own error, from its own evidence; None while or if there is none. Never raises."""
        return self._own_error if self._done else self._error_so_far()

    def fail(self, error: object = None) -> None:
        """Say that the candidate failed, without raising.

        What is said is a claim: it is held against the evidence, and never copied to `error.*`.

        Args:
            error: A word (`"rate_limit"`), a sentence, an exception, a mapping, or an object with any of `status_code`,
                `code`, `message`, `reason`, `request_id`.
        """
        self._claim(error, rejected=False)

    def reject(self, why: object = None) -> None:
        """Say that the loop would not take the response, though the provider answered.

        Args:
            why: The loop's own word for it.
        """
        self._claim(why, rejected=True)

    def stream(self, chunks: Any) -> Any:
        """Pass chunks on; the attempt ends when they end, fail, are closed or dropped.

        The attempt is current while a chunk is being made, and nothing is while the consumer has it.

        Args:
            chunks: An iterator, iterable, async iterator or async iterable.

        Returns:
            An iterator of the same kind.
        """
        return self._wrap_stream(chunks)

    def __enter__(self) -> Self:
        """Start the candidate's span and make it current."""
        self._declared = True
        self._enter(None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Judge what left, end the span; the exception passes untouched."""
        self._leave(problem)

    # --- opening ------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _enter(self, base: Context | None) -> None:
        """Open the span in the run's context and make the attempt current."""
        if self._inside or self._done:
            logger.warning("otel-failover: an attempt was entered twice; run.attempt() makes a new one for each try")
            return
        self._inside = True
        run = self._run
        if run is None:
            return
        current = context_api.get_current()
        outer = scope.attempt_in(current)
        if outer is not None and outer.live:
            self._around = (*outer._around, outer._order)
        run._next_step(self)
        parent = run._context if base is None else base
        span = self._runtime.tracer.start_span(self._name(), parent, SpanKind.INTERNAL, self._first_attributes())
        self._own.span = span
        processor.bind(span, self)
        self._runtime.open_attempts[self] = None
        self._attachment = scope.Attachment(
            scope.with_values({scope.ATTEMPT: self, scope.RUN: run, scope.CALL: None}, span, current)
        )

    def _name(self) -> str:
        place = f" #{self._index}" if self._doubled else ""
        return f"{names.SPAN_CANDIDATE} {providers.metric_value(self.provider)}{place}"

    def _first_attributes(self) -> dict[str, Any]:
        """What is known at the start, so that samplers see it."""
        attributes: dict[str, Any] = dict(self.inherited())
        attributes[names.CANDIDATE_ATTEMPT] = self._number
        if self._run is not None:
            attributes[names.RUN_ID] = self._run.id
        if self._candidate.endpoint is not None:
            attributes[names.CANDIDATE_ENDPOINT] = self._candidate.endpoint
        if self._candidate.profile is not None:
            attributes[names.CANDIDATE_PROFILE] = identity.shown(self._candidate.profile)
        return attributes

    def inherited(self) -> dict[str, Any]:
        """Return the three attributes that stand on every span started inside this attempt."""
        if self._inherited is None:
            self._inherited = {
                names.CANDIDATE_PROVIDER: self._candidate.provider,
                names.CANDIDATE_MODEL: identity.shown(self._candidate.model),
                names.CANDIDATE_INDEX: self._index,
            }
        return self._inherited

    @property
    def live(self) -> bool:
        """Whether it takes evidence."""
        return not self._done and self._ledger.live

    @property
    def key(self) -> object:
        """Its candidate's identity within the run."""
        return self._index if self._index >= 0 else self._candidate

    @property
    def lasting_key(self) -> object:
        """Its candidate's identity across runs; the place in the chain tells equal entries apart."""
        twice = self._run is not None and self._run.places.chain.has_twice(self._candidate)
        return (self._candidate, self._index if twice else None)

    # --- claims -------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _claim(self, error: object, *, rejected: bool) -> None:
        if self._done:
            logger.warning("otel-failover: an attempt was marked after it had ended; the mark is ignored")
            return
        said = from_error(error)
        self._marked, self._rejected = self._marked or not rejected, self._rejected or rejected
        if len(self._claims) < _CLAIMS:
            self._claims.append(said)

    # --- for adapters -------------------------------------------------------------------------------------------------

    @property
    def run(self) -> Run | None:
        """The run it belongs to; None for a provider call outside any run."""
        return self._run

    @property
    def ledger(self) -> Ledger:
        """Its own evidence, for what no SDK adapter sees: a library that asks a provider by itself."""
        return self._ledger

    def owns(self, span: object) -> bool:
        """Whether a span is this candidate's own, which a framework that asks what is current must not find.

        Args:
            span: Of a context; None where there is none.
        """
        return span is not None and span is self._own.span

    def is_within(self, other: Attempt) -> bool:
        """Whether it is another attempt, or was made inside that: what it asks is then asked by that too."""
        return self is other or other._order in self._around

    @guarded(fallback=None)
    def interrupted(self) -> None:
        """End as cancelled, at once: for what ends a candidate's call without being an error, whatever comes next."""
        self.release()
        self._finish(killed="")

    @guarded(fallback=None)
    def open_detached(self) -> None:
        """Open without becoming current: for a generator, which is current only while it works; `leave` ends it."""
        self._declared = True
        self._enter(None)
        if self._inside:
            self._ledger.open_streams += 1
        self.release()

    @property
    def context(self) -> Context | None:
        """The context in which a step of it is made; None once it has ended."""
        return self.stream_context()

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End what `open_detached` opened, once its other streams have ended too.

        Args:
            problem: The exception that left it, if any.
        """
        if self._done:
            return
        self._ledger.open_streams = max(0, self._ledger.open_streams - 1)
        if problem is None or isinstance(problem, GeneratorExit):
            if self._ledger.open_streams == 0:
                self._finish()
        else:
            self.conclude(problem)

    @guarded(fallback=None)
    def answered(self) -> None:
        """Take note that the candidate has answered; whether the loop takes it shows at the run's next step.

        The attempt keeps this end. Another attempt or a skip, or an exception that leaves the run, makes it `rejected`;
        a run that is left normally took it.
        """
        if self._done or not self._inside:
            return
        self.release()
        if self._run is None or self._ledger.open_streams:
            self._leave_open()
            return
        self._stop_clock()
        self._run.hold(self)

    def refused(self) -> None:
        """End an answer that the loop did not take."""
        self._rejected = True
        self._finish()

    def _leave_open(self) -> None:
        if self._ledger.open_streams == 0:
            self._finish()

    def _stop_clock(self) -> None:
        self._pending_end, self._stopped = time.time_ns(), time.monotonic()

    # --- streams ------------------------------------------------------------------------------------------------------

    def _wrap_stream(self, chunks: Any) -> Any:
        opened = self._stream_opened()
        return wrap_chunks(chunks, self) if opened else chunks

    @guarded(fallback=False)
    def _stream_opened(self) -> bool:
        if self._done:
            return False
        self._ledger.open_streams += 1
        return True

    def stream_context(self) -> Context | None:
        """Return the context in which the next chunk is made; None once the attempt has ended."""
        if self._done or self._own.span is None:
            return None
        return scope.with_values({scope.ATTEMPT: self, scope.RUN: self._run, scope.CALL: None}, self._own.span)

    @guarded(fallback=None)
    def stream_ended(self, problem: BaseException | None = None) -> None:
        """Take note that a stream ended, failed, was closed or dropped."""
        self._ledger.open_streams = max(0, self._ledger.open_streams - 1)
        if isinstance(problem, Exception):
            self._problem = problem
        if not self._inside and self._ledger.open_streams == 0:
            self._finish()

    def stream_output(self) -> None:
        """Take note that a chunk was handed on."""
        self._output = True

    # --- closing ------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _leave(self, problem: BaseException | None) -> None:
        """The `with` is left; without an exception, open streams keep the attempt open."""
        if not self._inside:
            return
        self.release()
        if problem is None and self._ledger.open_streams:
            return
        self.conclude(problem)

    def release(self) -> None:
        """Stop being current, without ending."""
        self._inside = False
        if self._attachment is not None:
            self._attachment.detach()
            self._attachment = None

    def conclude(self, problem: BaseException | None) -> None:
        """End with what left it, or with nothing.

        A cancelled attempt keeps its end time: what it was is known at the run's next step. A generator that its
        consumer closes (GeneratorExit) is a stream dropped, not a cancellation.
        """
        self.release()
        if problem is None or isinstance(problem, GeneratorExit):
            self._finish()
        elif isinstance(problem, Exception):
            self._problem = problem
            self._finish()
        else:
            self._stop_clock()
            if self._run is not None and not self._run._left:
                self._run._pending.append(self)
            else:
                self._finish(killed="")

    @guarded(fallback=None)
    def learn(self, candidate: Candidate) -> None:
        """Take provider or model from the first call, where the loop declared only one of them."""
        known, self._inherited = self._candidate, None
        self._candidate = known.filled(Candidate(candidate.provider, candidate.model))
        if self._run is None or self._candidate == known:
            return
        self._ledger.model = self._candidate.model
        self._ledger.who = (self.provider, self.model, self._candidate.endpoint, self._candidate.profile)
        self._run.place_anew(self, known)
        span = self._own.span
        if span is not None and span.is_recording():
            span.update_name(self._name())
            span.set_attributes({**self.inherited(), names.CANDIDATE_ATTEMPT: self._number})

    @guarded(fallback=None)
    def _finish(self, *, killed: str | None = None) -> None:
        """End the attempt, once: settle, judge, write, end.

        Args:
            killed: For an attempt left by cancellation: `caller_timeout` (a later attempt starts), `user` (the run is
                left by it too) or an empty text (the run ended otherwise).
        """
        if self._done:
            return
        self._done = True
        self._runtime.open_attempts.pop(self, None)
        processor.unbind(self._own.context.span_id)
        ended = self._stopped or time.monotonic()
        # Whatever of ours fails below, the span ends and the run goes on.
        verdict = self._write_down(killed, ended) or _UNSEEN
        settled = self._settlement or _UNSETTLED
        trail = self._trail_left(settled, verdict)
        self._ledger.close()
        if self._own.span is not None:
            self._own.span.end(self._pending_end)
        marker.make_waiting()
        dropping.end_waiting()
        self._count(settled, verdict, ended)
        if self._run is not None:
            self._run._ended(self, settled, trail)
        # A host's exception must not live on with us: its traceback holds the frames of the request.
        self._problem, self._claims = None, []

    @guarded(fallback=None)
    def _write_down(self, killed: str | None, ended: float) -> Verdict:
        """Settle, judge and write."""
        self._adopt()
        settled = self._settlement = self._settled(killed)
        complete, gap = self._ledger.state
        self.evidence = complete
        verdict, said = self._judged(settled, complete)
        message = self._tell_error(settled, ended)
        attributes: dict[str, Any] = {names.EVIDENCE: complete}
        if gap:
            attributes[names.EVIDENCE_GAP] = gap
        if self._claims or said is not None:
            self._say_host(attributes, verdict, said)
        if settled.message:
            self._remember(attributes, settled)
        self._own.write(self._candidate, self.inherited(), attributes, settled, verdict, message)
        self._own.announce(self._candidate, self._index, verdict, said, settled, self._pending_end)
        return verdict

    @guarded(fallback=None)
    def _trail_left(self, settled: Outcome, verdict: Verdict) -> Source:
        """Reduce it to what the others may be held against."""
        complete = self._state_left() == "complete"
        if verdict.verdict == MISMATCH or (complete and verdict.rule == verdicts.NOTHING_BOUND):
            # Somebody else's; or the application's own (a constant, a singleton) that says nothing of this candidate.
            self._problem, self._claims = None, []
        return self.trail(settled, complete=complete)

    def _state_left(self) -> str:
        """How complete its evidence is, now that it has been judged: a claim may have brought in a send of its own."""
        return self._ledger.state[0] if self._claims or self._problem is not None else self.evidence

    def _adopt(self) -> None:
        """Take in what was sent without us, where this attempt's exception is its answer: threads, single flight."""
        if self._problem is not None:
            adopt(self._problem, self._ledger)
        for said in self._claims:
            if isinstance(said.thing, BaseException):
                adopt(said.thing, self._ledger)

    def _tell_error(self, settled: Outcome, ended: float) -> str:
        """Work out `attempt.error`; return its message."""
        if settled.outcome == SUCCESS:
            return ""
        self._own_error = self._candidate_error(settled, ended)
        return self._own_error.message

    def _settled(self, killed: str | None) -> Outcome:
        if killed is None:
            return settlement.settle(
                self._ledger,
                self._problem,
                marked=self._marked,
                rejected=self._rejected,
                output=self._output or self._ledger.heard,
            )
        if killed == "caller_timeout":
            return Outcome(
                outcome=PARTIAL if self._output or self._ledger.heard else ERROR,
                reason=reasons.TIMEOUT,
                origin=outcome.FROM_TRANSPORT,
                timeout="caller",
                killed_by=killed,
            )
        return Outcome(
            outcome=CANCELLED,
            reason=reasons.CANCELLED,
            origin=outcome.FROM_CANCEL,
            killed_by=killed or None,
        )

    # --- judging ------------------------------------------------------------------------------------------------------

    def _judged(self, settled: Outcome, state: str) -> tuple[Verdict, Said | None]:
        """Hold all claims against the evidence, once; the worst verdict stands.

        Left by the own call's exception, saying what it said when the call raised it, nothing is in doubt.
        """
        ledger, claims = self._ledger, self._claims
        written = self._own.taken_over(settled)
        foreign = self._foreign(written, settled) if written else []
        if written:
            claims = [*claims, *(said for said, event in written if event is None or any(said is s for s in foreign))]
        if self._problem is not None and not (ledger.is_own(self._problem) and not ledger.to_others):
            claims = [*claims, from_exception(self._problem)]
        if claims or ledger.to_others:
            self._claimed = tuple(text for said in claims for text in said.texts[:2])
            pairs = [(self.judge(said, settled), said) for said in claims or [Said()]]
            verdict = attribution.worst(verdict for verdict, _ in pairs)
            return verdict, next(said for found, said in pairs if found is verdict)
        if self._problem is not None:
            return _VERIFIED, None
        return (_VERIFIED if state == "complete" else _UNSEEN), None

    def _foreign(self, written: list[tuple[Said, Any]], settled: Outcome) -> list[Said]:
        """Return what exception events claim that is somebody else's; the events are taken out where that is asked for.

        What application code records besides (a cache that missed) says nothing of the candidate, and is no claim.
        """
        events = [(said, event) for said, event in written if event is not None]
        foreign = [(said, event) for said, event in events if self.judge(said, settled).verdict == MISMATCH]
        self._own.correct(event for _, event in foreign)
        return [said for said, _ in foreign]

    def judge(self, said: Said, settled: Outcome | None = None) -> Verdict:
        """Hold one claim against this attempt's evidence.

        Args:
            said: The claim.
            settled: How the attempt ended; None while it is open.
        """
        ledger, run, settled = self._ledger, self._run, settled or self._settled(None)
        if isinstance(said.thing, BaseException) and ledger.is_own(said.thing) and not ledger.to_others:
            return _VERIFIED
        return judging.judge(
            said, ledger, settled, run, list(run.others(self)) if run is not None else [],
            self.model, self._history, self._runtime.disabled_rules,
            self._own.message(settled, self.provider, time.monotonic()) if settled.outcome != SUCCESS else "",
        )  # fmt: skip

    def disowns(self, problem: BaseException) -> bool:
        """Whether an exception that left an SDK's call is a claim, and no evidence of this attempt.

        A breaker that clients share raises its last error in place of any call's. What the wire said is own; what was
        made of another attempt's answer is not, nor is anything else where every own send failed in its own way.

        Args:
            problem: What left the call.
        """
        ledger, run = self._ledger, self._run
        if run is None or is_of_the_wire((*ledger.exchanges, *ledger.to_others), problem):
            return False
        own = ledger.own
        if own and all(exchange.is_error or exchange.failure is not None for exchange in own):
            return True
        return any(trail.is_source_of(problem) for trail, incident in run.others(self) if not incident.same)

    def _history(self, fingerprint: str) -> SourceFacts | None:
        return history.find(fingerprint, self.lasting_key)

    # --- what is remembered -------------------------------------------------------------------------------------------

    def trail(self, settled: Outcome | None = None, *, complete: bool = False) -> Source:
        """Return what others may be held against.

        Args:
            settled: How the attempt ended; None while it is open.
            complete: Its evidence is complete.
        """
        ledger = self._ledger
        left = [said.thing for said in self._claims if isinstance(said.thing, BaseException)]
        if self._problem is not None:
            left.append(self._problem)
        failed = settled if settled is not None and settled.outcome != SUCCESS else None
        return Source(
            self.provider,
            self._index,
            self.model,
            self._own.span_id,
            self._order,
            self.key,
            ledger.own,
            ledger.raised,
            map(Reference, left),
            ledger.stream.error,
            ledger.answer.response_ids,
            alive=settled is None,
            around=self._around,
            complete=complete,
            reason=settled.reason if settled is not None else None,
            sentence=settlement.sentence(ledger, failed) if failed is not None else "",
            told=self._own.message(failed, self.provider, time.monotonic()) if failed is not None else "",
        )

    def _remember(self, attributes: dict[str, Any], settled: Outcome) -> None:
        """Keep the message's fingerprint for later runs, and write it."""
        message = wording.normalise(settled.message)
        who = SourceFacts(
            self.provider, self._index, self._own.span_id, self._order,
            statuses=frozenset({settled.status} if settled.status is not None else ()),
        )  # fmt: skip
        found = wording.fingerprint(message)
        if len(message) >= wording.MINIMUM and message not in wording.STOCK:
            history.add(found, self.lasting_key, who)
        shown = self._own.redacted(settled.message)
        same = shown == settled.message
        attributes[names.ERROR_FINGERPRINT] = found if same else wording.fingerprint(wording.normalise(shown))

    # --- what the checker asks ----------------------------------------------------------------------------------------

    def is_at(self, address: tuple[str, int | None]) -> bool:
        """Whether a host, and a port where one is named, is this candidate's.

        Args:
            address: As a span names it.
        """
        host, port = address
        known = [self._ledger.endpoint, *(exchange.endpoint for exchange in self._ledger.own)]
        for endpoint in filter(None, known):
            own_host, own_port = address_of(endpoint)
            if host == own_host and port in (None, own_port):
                return True
        return self._ledger.endpoint is None and providers.provider_of_host(host) == self.provider

    @property
    def run_id(self) -> str:
        """Its run's id; empty for a provider call outside any run."""
        return self._run.id if self._run is not None else ""

    @property
    def span_context(self) -> SpanContext:
        """Its span's context; an invalid one with tracing off."""
        return self._own.context

    @property
    def chunks(self) -> Sequence[str] | None:
        """What its stream has yielded so far; None where there is none."""
        return self._ledger.stream.chunks

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials of this attempt's requests: never to be exported."""
        return self._ledger.secrets

    def evidence_sentence(self) -> str:
        """Return the own evidence in a few words, as far as it goes."""
        return settlement.sentence(self._ledger, self._settlement or self._settled(None))

    # --- writing ------------------------------------------------------------------------------------------------------

    def _say_host(self, attributes: dict[str, Any], verdict: Verdict, said: Said | None) -> None:
        """Keep the loop's own word where it does not lie; where it does, its claim."""
        secrets = self._ledger.secrets
        if verdict.verdict == MISMATCH and said is not None:
            attributes.update(marking.claimed_attributes(said, self._runtime, secrets))
            return
        word = next((each.word or (each.texts[0] if each.texts else None) for each in self._claims), None)
        if word and (not said_text(self._claims, word) or self._runtime.settings.error_text != "none"):
            attributes[names.REASON_HOST] = self._runtime.redacted(word, secrets, 255)

    def write_call_error(self, span: Span, problem: BaseException) -> None:
        """Write what a call of this attempt raised onto the call's span.

        Args:
            span: The call's span.
            problem: What the SDK raised; a cancellation leaves the span unset.
        """
        if isinstance(problem, Exception):
            settled = self._settled(None)
            mine = self._ledger.raised_here(problem)
            kind = mine.type_name if mine is not None else settled.reason or reasons.UNKNOWN
            self._own.write_call_error(span, kind, settled, self._own.message(settled, self.provider, time.monotonic()))

    def _count(self, settled: Outcome, verdict: Verdict, ended: float) -> None:
        metrics = self._runtime.metrics
        provider = providers.metric_value(self.provider)
        metrics.attempts.add(provider, settled.outcome, settled.reason)
        metrics.checks.add(verdict.verdict)
        labels = {names.CANDIDATE_PROVIDER: provider, names.CANDIDATE_OUTCOME: settled.outcome}
        if settled.reason is not None:
            labels[names.REASON_CODE] = settled.reason
        metrics.attempt_duration.record(ended - self.started, labels)

    # --- the own error ------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _error_so_far(self) -> CandidateError | None:
        settled = self._settled(None)
        return self._candidate_error(settled, time.monotonic()) if settled.outcome != SUCCESS else None

    def _candidate_error(self, settled: Outcome, now: float) -> CandidateError:
        return CandidateError(
            self.provider, self.model, settled.status, settled.reason or reasons.UNKNOWN,
            self._own.message(settled, self.provider, now), settled.origin, self._own.span_id,
            self._candidate.profile,
        )  # fmt: skip


def said_text(claims: list[Said], word: str) -> bool:
    """Whether what a loop said is a text, and no word of its own."""
    return any(word in said.texts for said in claims)
