"""One try at one candidate: the span, the evidence, the verdict.

The only code that writes error facts. They come from the attempt's own evidence; what a loop says is a claim, which is
judged once, when the attempt ends, and never goes to `error.*`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import Span, SpanKind, StatusCode

from otel_failover import attribution, identity, marking, names, reasons, scope, settlement
from otel_failover.attribution import MISMATCH, Incident, Own, Verdict
from otel_failover.claims import Said, Trail, adopt, bind, from_error, from_exception
from otel_failover.evidence import Exchange, Ledger, Reference, qualified
from otel_failover.failsafe import guarded, logger
from otel_failover.identity import Candidate
from otel_failover.reading import read_claim
from otel_failover.settlement import CANCELLED, ERROR, PARTIAL, SUCCESS, Settlement
from otel_failover.streams import wrap_chunks

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

    from otel_failover.run import Run
    from otel_failover.runtime import Runtime

_STATUSES: Final = 8
_ERROR_KEYS: Final = ("error.", "http.response.status_code", "http.status_code")
_VERIFIED: Final = Verdict()
_UNSEEN: Final = Verdict(attribution.UNVERIFIED, attribution.EVIDENCE_INCOMPLETE)


@dataclass(frozen=True, slots=True)
class CandidateError:
    """A candidate's own error: the truth a loop may report.

    Args:
        provider: Whose it is.
        model: As requested.
        status_code: Of the terminal response; None if there was none.
        reason: One of our reasons: `rate_limit`, `billing`, `timeout` …
        message: The provider's own sentence, redacted, or "no response from anthropic within 123.0 s".
        origin: `response`, `transport`, `client`, `cancelled`; None where nothing was seen.
        span_id: 16 hex digits of the candidate's span, empty with tracing off.
    """

    provider: str
    model: str
    status_code: int | None
    reason: str
    message: str
    origin: str | None
    span_id: str = ""


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
        self._span: Span | None = None
        self._attachment: scope.Attachment | None = None
        self._claims: list[Said] = []
        self._left: Said | None = None
        self._problem: BaseException | None = None
        self._marked = self._rejected = self._output = self._done = self._inside = False
        self._pending_end: int | None = None
        self._settlement: Settlement | None = None
        self._own_error: CandidateError | None = None
        self._order = runtime.next_order()
        ledger.who = (candidate.provider, candidate.model, candidate.endpoint, candidate.profile)
        self._shown = ("", "")
        self._declared = False
        self._own_objects: list[Reference] = []
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
        run._next_step(self)
        parent = run._context if base is None else base
        self._span = self._runtime.tracer.start_span(self._name(), parent, SpanKind.INTERNAL, self._first_attributes())
        self._runtime.open_attempts[self] = None
        self._attachment = scope.Attachment(
            scope.with_values({scope.ATTEMPT: self, scope.RUN: run, scope.CALL: None}, self._span)
        )

    def _name(self) -> str:
        place = f" #{self._index}" if self._doubled else ""
        return f"{names.SPAN_CANDIDATE} {identity.metric_value(self.provider)}{place}"

    def _first_attributes(self) -> dict[str, Any]:
        """What is known at the start, so that samplers see it."""
        attributes: dict[str, Any] = self.inherited()
        attributes[names.CANDIDATE_ATTEMPT] = self._number
        if self._run is not None:
            attributes[names.RUN_ID] = self._run.id
        if self._candidate.endpoint is not None:
            attributes[names.CANDIDATE_ENDPOINT] = self._candidate.endpoint
        if self._candidate.profile is not None:
            attributes[names.CANDIDATE_PROFILE] = self._candidate.profile[:255]
        return attributes

    def inherited(self) -> dict[str, Any]:
        """Return the three attributes that stand on every span started inside this attempt."""
        candidate = self._candidate
        return {
            names.CANDIDATE_PROVIDER: candidate.provider,
            names.CANDIDATE_MODEL: candidate.model[:255],
            names.CANDIDATE_INDEX: self._index,
        }

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
        return (self._candidate, self._index if self._doubled else 0)

    # --- claims -------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _claim(self, error: object, *, rejected: bool) -> None:
        if self._done:
            logger.warning("otel-failover: an attempt was marked after it had ended; the mark is ignored")
            return
        said = from_error(error)
        if rejected and isinstance(error, str):
            said = Said(word=error)
        self._marked, self._rejected = self._marked or not rejected, self._rejected or rejected
        if len(self._claims) < 8:
            self._claims.append(said)

    # --- streams ------------------------------------------------------------------------------------------------------

    def _wrap_stream(self, chunks: Any) -> Any:
        opened = self._stream_opened()
        return wrap_chunks(chunks, self) if opened else chunks

    @guarded(fallback=False)
    def _stream_opened(self) -> bool:
        if self._done:
            return False
        self._ledger.streams += 1
        return True

    def stream_context(self) -> Context | None:
        """Return the context in which the next chunk is made; None once the attempt has ended."""
        if self._done or self._span is None:
            return None
        return scope.with_values({scope.ATTEMPT: self, scope.RUN: self._run, scope.CALL: None}, self._span)

    @guarded(fallback=None)
    def stream_ended(self, problem: BaseException | None = None) -> None:
        """Take note that a stream ended, failed, was closed or dropped."""
        self._ledger.streams = max(0, self._ledger.streams - 1)
        if problem is not None and self._left is None and not isinstance(problem, GeneratorExit):
            self._left, self._problem = from_exception(problem), problem
        if not self._inside and self._ledger.streams == 0:
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
        if problem is None and self._ledger.streams:
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
            self._left, self._problem = from_exception(problem), problem
            self._finish()
        else:
            self._pending_end = time.time_ns()
            if self._run is not None:
                self._run._pending.append(self)
            else:
                self._finish(killed="")

    @guarded(fallback=None)
    def learn(self, candidate: Candidate) -> None:
        """Take provider or model from the first call, where the loop declared only one of them."""
        known = self._candidate
        self._candidate = Candidate(
            known.provider or candidate.provider,
            known.model or candidate.model,
            known.endpoint,
            known.profile,
        )

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
        ended = time.monotonic()
        self._adopt()
        settled = self._settled(killed)
        verdict, said = self._judged(settled)
        secrets = self._ledger.secrets
        self._settlement = settled
        self._own_error = self._candidate_error(settled, ended)
        attributes = self._facts(settled, verdict)
        trail = self._trail(attributes, settled)
        evidence, gap = self._ledger.state
        attributes[names.EVIDENCE] = evidence
        if gap:
            attributes[names.EVIDENCE_GAP] = gap
        self._ledger.close()
        self._say_host(attributes, verdict, said, secrets)
        self._write(attributes, settled, verdict, said, secrets)
        self._count(settled, verdict, ended)
        if self._run is not None:
            self._run._ended(self, settled, trail)
        # A host's exception must not live on with us: its traceback holds the frames of the request.
        self._left, self._problem, self._claims = None, None, []

    def _adopt(self) -> None:
        """Take in what was sent without us, where this attempt's exception is its answer: threads, single flight."""
        for said in (self._left, *self._claims):
            if said is not None and isinstance(said.thing, BaseException):
                adopt(said.thing, self._ledger)

    def _settled(self, killed: str | None) -> Settlement:
        if killed is None:
            return settlement.settle(
                self._ledger, self._problem, marked=self._marked, rejected=self._rejected, output=self._output
            )
        if killed == "caller_timeout":
            return Settlement(
                outcome=PARTIAL if self._output else ERROR,
                reason=reasons.TIMEOUT,
                origin=settlement.FROM_TRANSPORT,
                timeout="caller",
                killed_by=killed,
            )
        return Settlement(
            outcome=CANCELLED,
            reason=reasons.CANCELLED,
            origin=settlement.FROM_CANCEL,
            killed_by=killed or None,
        )

    # --- judging ------------------------------------------------------------------------------------------------------

    def _judged(self, settled: Settlement) -> tuple[Verdict, Said | None]:
        """Hold all claims against the evidence, once; the worst verdict stands."""
        claims = [*self._claims, *([self._left] if self._left is not None else [])]
        written = self._written()
        if written is not None:
            claims.append(written)
        if not claims and not self._ledger.elsewhere:
            return (_VERIFIED if self._ledger.state[0] == "complete" else _UNSEEN), None
        pairs = [(self.judge(said, settled), said) for said in claims or [Said()]]
        verdict = attribution.worst(verdict for verdict, _ in pairs)
        return verdict, next(said for found, said in pairs if found is verdict)

    def _written(self) -> Said | None:
        """Return what application code wrote on our span: `get_current_span()` inside an attempt is the candidate's.

        Own evidence has the last word: such keys are taken out before ours are written.
        """
        span: Any = self._span
        if span is None or self._run is None or not span.is_recording() or not hasattr(span, "events"):
            return None
        found = read_claim(span)
        if found is None:
            return None
        marking.take_out(span, [key for key in span.attributes if key.startswith(_ERROR_KEYS)])
        return found.said if found.error else None

    def judge(self, said: Said, settled: Settlement | None = None) -> Verdict:
        """Hold one claim against this attempt's evidence.

        Args:
            said: The claim.
            settled: How the attempt ended; None while it is open.
        """
        if isinstance(said.thing, BaseException):
            raised = self._ledger.raised_here(said.thing)
            if raised is not None and raised.unchanged(said.thing) and not self._ledger.elsewhere:
                return _VERIFIED
        aside = self._elsewhere_trails()
        own = self._own(settled or self._settled(None), said, aside)
        others = list(self._run._trails_for(self)) if self._run is not None else []
        if own.misdirected is None:
            others += aside
        claim = bind(said, self._ledger, others)
        known = [trail.incident for trail in others]
        return attribution.judge(claim, own, known, self._history, self._runtime.disabled_rules)

    def _history(self, fingerprint: str) -> Incident | None:
        return self._runtime.history.find(fingerprint, self.lasting_key)

    def _elsewhere_trails(self) -> list[Trail]:
        """What calls to somebody else's host said inside this attempt."""
        return [
            _trail_of([exchange], Incident(self._owner(exchange), index=-1, order=self._order))
            for exchange in self._ledger.elsewhere
        ]

    def _owner(self, exchange: Exchange) -> str:
        """Whose endpoint a call elsewhere went to."""
        known = self._run._member_at(exchange.endpoint) if self._run is not None else None
        host = identity.host_of(exchange.endpoint)
        return known.provider if known is not None else identity.provider_of_host(host) or host

    def _own(self, settled: Settlement, said: Said, aside: list[Trail]) -> Own:
        """Collect the own evidence in the form in which it is compared; only on the way to a doubtful verdict."""
        ledger = self._ledger
        own, bodies = ledger.own, [exchange.body for exchange in ledger.exchanges if exchange.is_error]
        if ledger.stream_error is not None:
            bodies.append(ledger.stream_error)
        texts = [text for body in bodies for text in (body.message, body.text)]
        texts += [raised.text for raised in ledger.raised]
        codes = {code for body in bodies for code in body.codes}
        codes |= {raised.code for raised in ledger.raised if isinstance(raised.code, str)}
        issued = {e.request_id for e in ledger.exchanges if e.request_id} | {i for e in own for i in e.sent_ids()}
        evident = {settled.reason} if settled.reason else set()
        evident |= {e.failure for e in own if e.failure}
        evident |= {reasons.from_answer(e.status, e.body.code, None, e.body.message) for e in own if e.is_error}
        if any(e.status is not None and not e.is_error for e in own):
            evident.add(reasons.RESPONSE_REJECTED)
        return Own(
            complete=ledger.state[0] == "complete",
            sent=len(own),
            answered=sum(exchange.status is not None for exchange in own),
            statuses=frozenset(e.status for e in own if e.status is not None),
            codes=frozenset(codes),
            request_ids=frozenset(issued),
            response_ids=frozenset(ledger.response_ids),
            texts=tuple(filter(None, dict.fromkeys(attribution.normalise(text) for text in texts if text))),
            reasons=frozenset(evident),
            elsewhere=ledger.holds,
            misdirected=self._misdirected(said, aside) if not own else None,
        )

    def _misdirected(self, said: Said, aside: list[Trail]) -> Incident | None:
        """Return the member whose endpoint got this candidate's request instead of the candidate.

        The request asks for this candidate's model, or the claim is its answer: a call to somebody else for another
        purpose (moderation, embeddings) is none.
        """
        for exchange, trail in zip(self._ledger.elsewhere, aside, strict=True):
            member = self._run._member_at(exchange.endpoint) if self._run is not None else None
            if member is None or exchange.method != "POST":
                continue
            asked = exchange.model == self.model
            if asked or (said.thing is not None and any(trail.bonds(said.thing))):
                return replace(trail.incident, index=self._run._place_of(member) if self._run is not None else -1)
        return None

    def trail(self) -> Trail:
        """Return what others may be held against while this attempt is still open."""
        incident = Incident(self.provider, self._index, self._span_id(), self._order, alive=True)
        return self._with_objects(_trail_of(self._ledger.own, incident, self._ledger.stream_error))

    def _span_id(self) -> str:
        return f"{self._span.get_span_context().span_id:016x}" if self._span is not None else ""

    def _with_objects(self, trail: Trail) -> Trail:
        trail.objects = [raised.reference for raised in self._ledger.raised]
        trail.objects += [
            Reference(each.thing) for each in (*self._claims, self._left) if each and each.thing is not None
        ]
        trail.incident = replace(trail.incident, response_ids=frozenset(self._ledger.response_ids))
        return trail

    def _trail(self, attributes: dict[str, Any], settled: Settlement) -> Trail:
        """Reduce the attempt to what is remembered of it, and to the fingerprint of its message."""
        incident = Incident(self.provider, self._index, self._span_id(), self._order)
        trail = self._with_objects(_trail_of(self._ledger.own, incident, self._ledger.stream_error))
        for message in trail.incident.messages:
            if len(message) >= attribution.MINIMUM and message not in attribution.STOCK:
                remembered = replace(incident, statuses=trail.incident.statuses)
                self._runtime.history.add(attribution.fingerprint(message), self.lasting_key, remembered)
        if settled.message and settled.outcome != SUCCESS:
            shown = attribution.normalise(self._redacted(settled.message))
            attributes[names.ERROR_FINGERPRINT] = attribution.fingerprint(shown)
        own = self._ledger.own
        trail.model, trail.reason, trail.sentence = self.model, settled.reason, self._sentence(settled)
        trail.complete = self._ledger.state[0] == "complete"
        trail.sent, trail.answered = len(own), sum(exchange.status is not None for exchange in own)
        trail.statuses = frozenset(exchange.status for exchange in own if exchange.status is not None)
        if settled.outcome != SUCCESS:
            bodies = [exchange.body.text for exchange in own if exchange.is_error]
            trail.texts = (*bodies, settled.message, *(raised.text for raised in self._ledger.raised))
        return trail

    # --- what the checker asks ----------------------------------------------------------------------------------------

    def is_at(self, address: tuple[str, int | None]) -> bool:
        """Whether a host, and a port where one is named, is this candidate's.

        Args:
            address: As a span names it.
        """
        host, port = address
        known = [self._ledger.endpoint, *(exchange.endpoint for exchange in self._ledger.own)]
        for endpoint in filter(None, known):
            own_host, own_port = identity.address_of(endpoint)
            if host == own_host and port in (None, own_port):
                return True
        return self._ledger.endpoint is None and identity.provider_of_host(host) == self.provider

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials of this attempt's requests: never to be exported."""
        return self._ledger.secrets

    def evidence_sentence(self) -> str:
        """Return the own evidence in a few words, as far as it goes."""
        return self._sentence(self._settlement or self._settled(None))

    # --- writing ------------------------------------------------------------------------------------------------------

    def _facts(self, settled: Settlement, verdict: Verdict) -> dict[str, Any]:
        """Return what the wire said, as attributes."""
        own = self._ledger.own
        facts: dict[str, Any] = {names.CANDIDATE_OUTCOME: settled.outcome, names.WIRE_REQUESTS: len(own)}
        facts[names.WIRE_STATUSES] = [str(e.status) if e.status is not None else "-" for e in own[-_STATUSES:]]
        optional = {
            names.REASON_CODE: settled.reason,
            names.ERROR_ORIGIN: settled.origin,
            names.ERROR_CODE: settled.code[:255] if settled.code else None,
            names.HTTP_STATUS: settled.status,
            names.TIMEOUT_KIND: settled.timeout,
            names.TIMEOUT_CONFIGURED: settled.timeout_configured,
            names.KILLED_BY: settled.killed_by,
            names.RETRY_AFTER: settled.retry_after,
            names.WIRE_REQUEST_ID: settled.request_id[:255] if settled.request_id else None,
            names.STATUS_SYNTHETIC: verdict.synthetic,
            names.ERROR_TYPE: settled.reason if settled.outcome in (ERROR, PARTIAL) and self._run else None,
        }
        facts.update({name: value for name, value in optional.items() if value is not None})
        if verdict.replayed:
            facts[names.ERROR_REPLAYED] = True
            if not own:
                facts[names.KILLED_BY] = "breaker"
        facts.update(marking.verdict_attributes(verdict, self.provider))
        return facts

    def _say_host(
        self, attributes: dict[str, Any], verdict: Verdict, said: Said | None, secrets: tuple[str, ...]
    ) -> None:
        """Keep the loop's own word where it does not lie; where it does, its claim."""
        if verdict.verdict == MISMATCH and said is not None:
            attributes.update(marking.claimed_attributes(said, self._runtime, secrets))
            return
        word = next((each.word or (each.texts[0] if each.texts else None) for each in self._claims), None)
        if word:
            attributes[names.REASON_HOST] = self._runtime.redacted(word, secrets, 255)

    def _write(
        self,
        attributes: dict[str, Any],
        settled: Settlement,
        verdict: Verdict,
        said: Said | None,
        secrets: tuple[str, ...],
    ) -> None:
        span = self._span
        if span is None:
            return
        if span.is_recording():
            attributes.update(self.inherited())
            if self._candidate.endpoint is not None:
                attributes[names.CANDIDATE_ENDPOINT] = self._candidate.endpoint
            span.set_attributes({name: _clean(value, self._runtime, secrets) for name, value in attributes.items()})
            if settled.outcome in (ERROR, PARTIAL):
                self._write_error(span, settled)
        if verdict.verdict == MISMATCH and said is not None:
            marking.announce(
                self._runtime,
                span.get_span_context(),
                verdict,
                said,
                (self.provider, self.model, self._index),
                self._sentence(settled),
                secrets,
                self._pending_end,
            )
        span.end(self._pending_end)

    def _write_error(self, span: Span, settled: Settlement) -> None:
        """Write status and exception event, from own evidence only."""
        own = self._own_error
        span.set_status(StatusCode.ERROR, own.message if own is not None else settled.reason)
        if settled.exception is not None:
            event = {names.EXCEPTION_TYPE: settled.exception[0]}
            if self._runtime.settings.error_text != "none":
                event[names.EXCEPTION_MESSAGE] = self._redacted(settled.exception[1])
            span.add_event(names.EVENT_EXCEPTION, event)

    def write_call_error(self, span: Span, problem: BaseException) -> None:
        """Write what a call of this attempt raised onto the call's span: its class, and own evidence.

        Args:
            span: The call's span.
            problem: What the SDK raised; a cancellation leaves the span unset.
        """
        if not isinstance(problem, Exception):
            return
        settled = self._settled(None)
        attributes: dict[str, Any] = {
            names.ERROR_TYPE: qualified(type(problem)),
            names.VERDICT: attribution.VERIFIED,
        }
        if settled.status is not None:
            attributes[names.HTTP_STATUS] = settled.status
        span.set_attributes(attributes)
        span.set_status(StatusCode.ERROR, self._message(settled, time.monotonic()))

    def _count(self, settled: Settlement, verdict: Verdict, ended: float) -> None:
        metrics = self._runtime.metrics
        provider = identity.metric_value(self.provider)
        labels: dict[str, Any] = {
            names.CANDIDATE_PROVIDER: provider,
            names.CANDIDATE_OUTCOME: settled.outcome,
        }
        if settled.reason:
            labels[names.REASON_CODE] = settled.reason
        metrics.attempts.add(1, labels)
        metrics.attempt_duration.record(ended - self.started, labels)
        metrics.check(verdict.verdict)

    # --- the own error ------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _error_so_far(self) -> CandidateError | None:
        return self._candidate_error(self._settled(None), time.monotonic())

    def _candidate_error(self, settled: Settlement, now: float) -> CandidateError | None:
        if settled.outcome == SUCCESS:
            return None
        return CandidateError(
            self.provider, self.model, settled.status, settled.reason or reasons.UNKNOWN,
            self._message(settled, now), settled.origin, self._span_id(),
        )  # fmt: skip

    def _message(self, settled: Settlement, now: float) -> str:
        """Return the own error in a sentence: the provider's own words, or that it had none."""
        if settled.message and self._runtime.settings.error_text != "none":
            return self._redacted(settled.message)
        if settled.origin == settlement.FROM_RESPONSE:
            return f"{settled.status} {settled.reason} from {self.provider}"
        if settled.reason == reasons.TIMEOUT:
            return f"no response from {self.provider} within {now - self.started:.1f} s"
        if settled.origin == settlement.FROM_TRANSPORT:
            return f"connection to {self.provider} failed"
        if settled.origin == settlement.FROM_CLIENT:
            raised = f" ({settled.exception[0]})" if settled.exception else ""
            return f"nothing was asked of {self.provider}: this process failed{raised}"
        return f"{settled.reason or reasons.UNKNOWN}: {self.provider}"

    def _redacted(self, text: str) -> str:
        """Return a provider's text without secrets; the last one is kept, since several spans carry it."""
        if self._shown[0] != text:
            self._shown = (text, self._runtime.redacted(text, self._ledger.secrets))
        return self._shown[1]

    def _sentence(self, settled: Settlement) -> str:
        """Return the own evidence in a few words, for the marker and the log."""
        own = self._ledger.own
        if not own:
            return "no request to it was seen" if not self._ledger.calls else "nothing was sent"
        if settled.status is not None:
            return " ".join(filter(None, [str(settled.status), settled.code, settled.reason]))
        took = (own[-1].stopped or time.monotonic()) - own[0].started
        return f"no response in {took:.1f} s ({settled.reason})" if settled.reason else "an answer without error"


def _trail_of(exchanges: list[Exchange], incident: Incident, stream_error: Any = None) -> Trail:
    """Return the facts and identities of some exchanges."""
    bodies = [exchange.body for exchange in exchanges if exchange.is_error]
    if stream_error is not None:
        bodies.append(stream_error)
    sent = {name for exchange in exchanges for name in exchange.sent_ids()}
    facts = replace(
        incident,
        messages=tuple(dict.fromkeys(attribution.normalise(body.message) for body in bodies if body.message)),
        codes=frozenset(code for body in bodies for code in body.codes),
        statuses=frozenset(e.status for e in exchanges if e.status is not None and e.is_error),
        request_ids=frozenset(e.request_id for e in exchanges if e.request_id and e.request_id not in sent),
    )
    return Trail(
        facts,
        responses=[exchange.response for exchange in exchanges if exchange.response is not None],
        requests=[exchange.request for exchange in exchanges],
    )


def _clean(value: Any, runtime: Runtime, secrets: tuple[str, ...]) -> Any:
    """Keep an attempt's own credential out of every text, whatever the host named it."""
    if not secrets or not isinstance(value, str) or len(value) < 8:
        return value
    return runtime.redacted(value, secrets)
