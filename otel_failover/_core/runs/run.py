"""One pass of a fallback loop: who is tried next, who served, and when it is over.

`failover_run` is what people write; a provider call inside it, outside any attempt, is an attempt by itself.

In one file: what people, adapters, attempts and readers ask of a run stands in one class: they all mean the same
object. What it keeps is elsewhere: who served (`tally`), what became of each (`recorder`), its span.
"""

from __future__ import annotations

import random
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.config import runtime
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain.asked import Asked, provider_of
from otel_failover._core.domain.candidate import Candidate, parse, shown
from otel_failover._core.domain.chain import NOBODY, chain_of
from otel_failover._core.domain.outcome import CANCELLED, EXHAUSTED, FALLBACK, PRIMARY, STOPPED, SUCCESS, UNSEEN
from otel_failover._core.domain.positions import ChainPositions
from otel_failover._core.evidence import wire
from otel_failover._core.evidence.ledger import Ledger
from otel_failover._core.evidence.orphans import outside
from otel_failover._core.evidence.outcome import is_cancelling
from otel_failover._core.evidence.references import IdentityMap
from otel_failover._core.failsafe import guarded, logger, survived, text_of
from otel_failover._core.runs.attempt import Attempt
from otel_failover._core.runs.recorder import RunRecorder
from otel_failover._core.runs.tally import Place, Tally
from otel_failover._core.spans import deferred, processor, registry
from otel_failover._core.spans.run_span import RunSpan
from otel_failover._core.text.gate import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import CodeType, TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

    from otel_failover._core.attribution.facts import SourceFacts
    from otel_failover._core.attribution.source import Source
    from otel_failover._core.domain.candidate_error import CandidateError
    from otel_failover._core.domain.chain import Chain
    from otel_failover._core.findings.attempt_record import AttemptRecord
    from otel_failover._core.findings.record import Skipped

F = TypeVar("F", bound="Callable[..., Any]")

OUT_OF_SIGHT: Final = (
    "xai_sdk", "vertexai", "google.generativeai", "lmstudio", "llama_cpp", "transformers", "claude_agent_sdk",
)  # fmt: skip
"""Modules that ask a model by a way that we cannot see: gRPC, a websocket, a process of their own, this one."""

_SERVED: Final = (PRIMARY, FALLBACK, UNSEEN)
"""What may have become of a run that somebody is known to have served."""
_SOURCES: Final = 32
_LEFT_BY: Final = 4
_left_by: Final[IdentityMap[list[Run]]] = IdentityMap(256)
"""The last runs that an exception has left by a `with`, while it lives: for runs that stand in no frame by a name."""


def runs_left_by(problem: BaseException) -> list[Run]:
    """Return the runs that an exception has left, as far as they are remembered; a builtin exception's are not.

    Args:
        problem: The exception.
    """
    return list(_left_by.get(problem) or ())


def current_run(current: Context | None = None) -> Run | None:
    """Return the run of a context, whether it still takes attempts or not; None where there is none.

    Args:
        current: OpenTelemetry's; the current one by default.
    """
    found: Run | None = scope.run_in(current)
    return found


def _loaded_out_of_sight() -> str:
    """Return a loaded module whose calls we cannot see; empty where there is none."""
    return next((each for each in OUT_OF_SIGHT if each in sys.modules), "")


class Run:
    """One request that several candidates may serve. Made by `failover_run`.

    Its states, and the one way from each to the next:

    | state | how it gets there | what comes next |
    |---|---|---|
    | made | `failover_run(...)` | `__enter__`, or `open_detached` for a generator |
    | open | its span is started | attempts, skips; `leave`, by `__exit__` or by whoever opened it detached |
    | left | `leave` | over at once; or once its last stream has ended, if one is still open |
    | over | its span has ended | `__enter__` makes a new pass of the same object |

    It is over, though attempts are still open, where one of them has served: losers of a race and probes do not keep
    it.

    Args:
        operation: What is asked for: `chat`.
        chain: The configured chain; None where it is not known beforehand.
        library: Which loop this is: `manual`, `pydantic_ai` …
        name: The operation or route, for people.
    """

    is_inferred = False
    """Nobody declared it."""

    def __init__(
        self,
        operation: str = "chat",
        chain: Iterable[object] | None = None,
        *,
        library: str = "manual",
        name: str | None = None,
    ) -> None:
        self._operation = operation if type(operation) is str else text_of(operation)
        self._given, self._library = chain, library
        self._name_given = name
        self._loop = ""
        self._reset()

    def _reset(self) -> None:
        self.id = ""
        self.started = 0.0
        self.positions = ChainPositions()
        self.around: Attempt | None = None
        self.left_in: tuple[CodeType, int] | None = None
        self.is_left = self.is_over = False
        self._runtime = runtime.current()
        self._span: RunSpan | None = None
        self._context: Context | None = None
        self._attachment: scope.Attachment | None = None
        self._outer: Run | None = None
        self._tally = Tally()
        self._recorder = RunRecorder()
        self._sources: deque[Source] = deque(maxlen=_SOURCES)
        self._open: list[Attempt] = []
        self._cancelled: list[Attempt] = []
        self._answered: Attempt | None = None
        self._left_at: tuple[int, float] | None = None
        self.last_sent: object = None
        self._ended_as = ""

    def __repr__(self) -> str:
        try:
            served, tally = self._ended_as and self._tally.who_served(declared=self.positions.declared), self._tally
            name = self._loop or shown(text_of(self._name_given or self._operation))
            state = self._ended_as or ("not begun" if self._span is None else "left" if self.is_left else "open")
            by = f" by {shown(served[0].label)}" if served else ""
            return f"<{type(self).__name__} {name!r} ({self._library}): {state}{by}, {tally.count} attempts>"
        except Exception:  # shown by a debugger while it is being made
            return f"<{type(self).__name__}>"

    # --- for the host -------------------------------------------------------------------------------------------------

    def attempt(self, candidate: object, *, probe: bool = False) -> Attempt:
        """Return the next attempt at a candidate, to be used as `with run.attempt(candidate) as attempt:`.

        Args:
            candidate: A Candidate or a text like `openai/gpt-5.5`; looked up in the chain by object, then by equality.
            probe: It only asks whether the candidate is back, beside the one that serves: it never counts as having
                served the request, nor as its failure.

        Returns:
            An attempt. Never raises: what cannot be understood is tried under its own name.
        """
        return self._made(candidate, probe=probe) or self._unrecorded(Candidate("", ""), -1, probe=probe)

    def attempt_at(self, index: int, known: Candidate | None = None) -> Attempt:
        """Return the next attempt at a place of the chain: for adapters that know it.

        Args:
            index: 0-based; outside the chain, the attempt records nothing.
            known: What is known of the candidate besides; it fills what the chain leaves open.
        """
        return self._made_at(index, known) or self._unrecorded(Candidate("", ""), -1)

    @guarded(fallback=None)
    def skip(self, candidate: object, reason: object, cause: object = None) -> None:
        """Say that a candidate is passed over without a call.

        Args:
            candidate: A Candidate or a text.
            reason: `cooldown`, `budget`, `not_allowed`, `not_configured`, `unsupported`, or the loop's own word.
            cause: The exception or `CandidateError` that armed it.
        """
        if self._span is None or self.is_over:
            logger.warning("otel-failover: a skip was told outside its run; it is not recorded")
            return
        self._settle_earlier()
        found = parse(candidate)
        index = self.positions.of(candidate, found)
        if index >= 0:
            found = self.chain.members[index] if self.has_chain else found
            self._tally.skipped.add(index)
            self.positions.used.add(index)
        word = self._runtime.redacted(text_of(reason), (), 255)
        armed_by = self._recorder.skip(found, index, word, cause)
        doubled = self.positions.is_doubled(found)
        self._span.skip(found, index, word, armed_by, self.id, self._context, doubled=doubled)

    def stop(self, reason: str) -> None:
        """Say that the loop ends on purpose with candidates left.

        Args:
            reason: Why: `deadline`, `budget`, `user` …
        """
        self._tally.stop_reason = self._runtime.redacted(text_of(reason), (), 255)

    def __enter__(self) -> Self:
        """Start the run's span and make it current."""
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the run, once its last stream has ended; the exception passes untouched."""
        if traceback is not None:
            # The place, not the traceback: that would keep the request's frames alive.
            self.left_in = (traceback.tb_frame.f_code, traceback.tb_lasti)
        if problem is not None:
            self._note_left_by(problem)
        self.leave(problem)

    @guarded(fallback=None)
    def _note_left_by(self, problem: BaseException) -> None:
        runs = _left_by.get(problem)
        if runs is None:
            _left_by.set(problem, [self])
        else:
            runs.append(self)
            del runs[:-_LEFT_BY]

    def __call__(self, function: F) -> F:
        """Use the run as a decorator: each call of the function, generator or coroutine is a run of its own."""
        from otel_failover._core.runs.functions import decorated  # late: for the import budget

        wrapped: F = decorated(self._fresh, function)
        return wrapped

    def _fresh(self) -> Run:
        """Return a new run with the same arguments."""
        return type(self)(self._operation, self._given, library=self._library, name=self._name_given)

    # --- opening ------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _enter(self) -> None:
        if self._span is not None and not self.is_over:
            logger.warning("otel-failover: a run was entered twice; failover_run() makes a new one for each pass")
            return
        if self.is_over:
            self._reset()
        active = self._runtime
        self.id = f"{random.getrandbits(128):032x}"  # no secret, so the fast generator will do
        operation = active.redacted(self._operation, (), 120)
        self._loop = active.redacted(text_of(self._name_given), (), 255) if self._name_given else operation
        if self._given is not None:
            self._read_chain(self._given)
        processor.attach(active, warn=True)
        if deferred.waiting:
            deferred.end_waiting()
        current = context_api.get_current()
        around: Attempt | None = scope.attempt_in(current)
        self.around = around if around is not None and around.live else None
        # Inside an attempt it is a child run, and that attempt's evidence; outside any, in a run that has none either,
        # it may be all that the run around it holds.
        outer: Any = current.get(scope.RUN) if self.around is None else None
        self._outer = outer
        self.started = time.monotonic()
        attributes: dict[str, Any] = dict(self.around.inherited()) if self.around is not None else {}
        attributes |= {names.RUN_ID: self.id, names.LIBRARY: self._library, names.LOOP_NAME: self._loop}
        if self.positions.declared:
            attributes[names.CHAIN] = self.positions.chain.labels
        self._span = RunSpan(active, operation, attributes, current)
        span = self._span.span
        if scope.SPAN in current:
            RunSpan.note_enclosing(self, current)
        if registry.pools:
            registry.own_run(span, self)
        inside = {**current, scope.RUN: self, scope.ATTEMPT: None, scope.CALL: None, scope.SPAN: span}
        self._context = context_api.Context(inside)
        self._attachment = scope.Attachment(self._context)

    def _read_chain(self, given: Any) -> None:
        if isinstance(given, (str, Candidate)):
            given = (given,)
        try:
            if iter(given) is given:
                # Reading it would leave the host's own loop without candidates.
                raise TypeError("an iterator, which can be read only once; pass a list")  # noqa: TRY301
            self.positions.chain, self.positions.declared = chain_of(tuple(given)), True
        except Exception as problem:
            why = self._runtime.redacted(text_of(problem), (), 255)
            logger.warning("otel-failover: the chain of run %r cannot be read: %s", self._loop, why)

    def open_detached(self) -> None:
        """Open without becoming current: for a generator, which is current only while it works."""
        self._enter()
        if self._attachment is not None:
            self._attachment.detach()

    # --- candidates ---------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _made(self, given: object, *, probe: bool) -> Attempt | None:
        candidate = given if type(given) is Candidate else parse(given)
        index = self.positions.of(given, candidate)
        if index >= 0 and self.positions.declared:
            member = self.positions.chain.members[index]
            if candidate is not member:
                candidate = member.filled(candidate) if candidate.endpoint or candidate.profile else member
        if self.is_over or self._span is None:
            logger.warning("otel-failover: an attempt was made outside its run; it is not recorded")
            return self._unrecorded(candidate, index, probe=probe)
        return self._new(candidate, index, candidate.provider or None, probe=probe)

    @guarded(fallback=None)
    def _made_at(self, index: int, known: Candidate | None) -> Attempt | None:
        candidate = self.chain.members[index]
        if known is not None:
            candidate = candidate.filled(known)
        if self.is_over or self._span is None:
            return self._unrecorded(candidate, index)
        return self._new(candidate, index, candidate.provider or None)

    def _unrecorded(self, candidate: Candidate, index: int, *, probe: bool = False) -> Attempt:
        """Return an attempt that records nothing on any span, for a run that is not open."""
        ledger = Ledger(candidate.provider or None, candidate.endpoint)
        return Attempt(self._runtime, candidate, index, ledger, probe=probe)

    def _new(self, candidate: Candidate, index: int, declared: str | None, *, probe: bool = False) -> Attempt:
        if candidate.endpoint not in runtime.endpoints:
            runtime.remember_endpoint(candidate.endpoint)
        positions = self.positions
        chain = positions.chain
        number, endpoints = positions.next_number(candidate, index), chain.endpoints
        ledger = Ledger(
            declared,
            candidate.endpoint,
            self.around.ledger if self.around is not None else None,
            endpoints - {candidate.endpoint} if len(endpoints) > 1 else NOBODY,
            self._runtime.gateways,
            chain.siblings.get(index) if declared is not None else None,
        )
        doubled = (not positions.declared or bool(chain.doubled)) and positions.is_doubled(candidate)
        return Attempt(self._runtime, candidate, index, ledger, self, number, doubled=doubled, probe=probe)

    def infer(self, asked: Asked, told: Callable[[], str] | None = None) -> Attempt:
        """Return the attempt that a provider call outside any attempt is.

        Args:
            asked: What the SDK was asked.
            told: As `provider_of` takes it.
        """
        active = self._runtime
        provider = provider_of(asked, self.positions.chain, active.aliases, active.gateways, told)
        found, index = self.positions.of_call(asked, provider, active.aliases)
        attempt = self._new(found, index, None)
        if self.positions.declared:
            attempt.asked = asked
        attempt.ledger.base = asked.base
        return attempt

    # --- what its attempts notify -------------------------------------------------------------------------------------

    def attempt_started(self, attempt: Attempt) -> bool:
        """Take in that an attempt starts; return whether the run had been told to end before."""
        if self._answered is not None or self._cancelled or wire.unread:
            self._settle_earlier()
        tally = self._tally
        tally.count += 1
        self._open.append(attempt)
        candidate, index = attempt.candidate_span.candidate, attempt.candidate_span.index
        if not attempt.is_probe:
            tally.is_declared = tally.is_declared or attempt.is_declared
            if tally.first is None:
                tally.first = index
        if index >= 0:
            self.positions.used.add(index)
        if attempt.is_probe:
            tally.probes.add(attempt.order)
        else:
            tally.last = (candidate, index)
        return tally.is_cancelled or tally.stop_reason is not None

    def _settle_earlier(self) -> None:
        """End what waited for the loop's next step: an answer that it did not take, an attempt that it cancelled."""
        # In this order: an answer that is refused here has served nobody, so nobody that was cancelled lost against it.
        self._settle_unread()
        self._refuse_answered()
        cancelled, self._cancelled = self._cancelled, []
        # A watchdog of the loop's own cancels just so; that nobody took it back is a finding, and no verdict.
        by_user = bool(cancelled) and is_cancelling()
        for attempt in cancelled:
            lost = self._tally.served is not None and attempt.started < self._tally.served_at
            attempt.finish(killed="" if lost else "caller_timeout")
        self._tally.is_cancelled = self._tally.is_cancelled or by_user

    def _settle_unread(self, *, interrupted: bool = True) -> None:
        """End what was refused, and nobody has read why; and what is read no further since its reader was cancelled.

        Args:
            interrupted: The latter too, where this task has sent it: another one may yet read on.
        """
        if wire.unread:
            wire.settle_unread(
                lambda call: call.attempt.run is self and (not call.is_interrupted or (interrupted and call.is_ours))
            )

    def attempt_answered(self, attempt: Attempt) -> None:
        """Keep an attempt that has answered until the loop's next step shows whether it took the answer."""
        self._refuse_answered()
        self._answered = attempt

    def _refuse_answered(self) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered.refuse()

    def attempt_cancelled(self, attempt: Attempt) -> None:
        """Keep an attempt that was left by cancellation until the next step shows by whom; end it where none comes."""
        if self.is_left:
            attempt.finish(killed="")
        else:
            self._cancelled.append(attempt)

    def attempt_moved(self, attempt: Attempt, was: Candidate) -> tuple[int, int | None]:
        """Return the place of an attempt whose candidate has become known, and its number there if it is another."""
        index, number = self.positions.anew(was, attempt.candidate, attempt.index)
        if self._tally.last == (was, attempt.index):
            self._tally.last = (attempt.candidate, index)
        return index, number

    def attempt_ended(self, attempt: Attempt, record: AttemptRecord, source: Source | None, ended: float) -> None:
        """Take in what became of an attempt."""
        # One whose start failed in our own code is not among the open ones, and is recorded all the same.
        if attempt in self._open:
            self._open.remove(attempt)
        if source is not None:
            if len(self._sources) == _SOURCES:
                # The deque drops it now; what could only be held strongly must not stay alive by others that hold it.
                self._sources[0].forget()
            self._sources.append(source)
        self._recorder.add(record, source)
        tally = self._tally
        can_serve = record.index >= 0 or record.declared or not self.positions.declared
        tally.attempt_ended(record, attempt.started, ended, can_serve=can_serve)
        if attempt.asked is not None and (record.index < 0 or record.settled.outcome != SUCCESS):
            self._note_question(attempt.asked, record, attempt.started)
        # A stream may outlive the loop that asked for it: the run's end is then the stream's, if nobody served before.
        if self.is_left and not self.is_over:
            tally.is_left_by_cancel = tally.is_left_by_cancel or record.outcome == CANCELLED
            if tally.served is None or tally.served_at == ended:
                self._left_at = self._moment
            self._finish_if_over()

    def _note_question(self, asked: Asked, record: AttemptRecord, began: float) -> None:
        """Take in what a bare call was asked that failed, or that was answered outside the chain."""
        from otel_failover._core.runs.question import question_of  # late: for the import budget, few calls need it

        question = question_of(asked.body, asked.model)
        if record.outcome != SUCCESS:
            self._tally.asked_in_vain(question)
        elif asked.operation != "embeddings":
            self._tally.answered_off_chain(record, question, began)

    def run_inside_ended(self, inside: Run, served: Place | None) -> None:
        """Take in who served a run inside: it counts where this one tried nobody by itself.

        Args:
            inside: That run, over.
            served: The candidate and its place in that run's chain; None where nobody did.
        """
        tally = self._tally
        tally.served_inside, tally.inside = served or tally.served_inside, inside.outcome
        if served is not None or inside.outcome == UNSEEN:
            tally.beside_at = max(tally.beside_at, inside.started)

    def asked_beside(self) -> None:
        """Take in that something in it was asked that is no attempt, and that may be a call of an SDK unknown to us."""
        self._tally.has_asked_beside = True

    def answered_beside(self, began: float) -> None:
        """Take in that something in it was answered that is no attempt, and that may have served it.

        Args:
            began: When it was sent, in seconds of the monotonic clock.
        """
        self._tally.beside_at = max(self._tally.beside_at, began)

    def sources_beside(self, order: int, key: object) -> Iterator[tuple[Source, SourceFacts]]:
        """Yield the other attempts, and those of the runs around, as one attempt sees them.

        A loop that calls itself tries the next candidate inside an attempt: what comes out of that one is a report.

        Args:
            order: Of the attempt that is held against them.
            key: Its candidate's identity within this run.
        """
        sources = [*self._sources, *(other.source() for other in tuple(self._open) if other.order != order)]
        yield from ((source, source.seen_by(key)) for source in sources if order not in source.around)
        around = self.around
        if around is not None and isinstance(around.run, Run):
            yield from around.run.sources_beside(around.order, around.key)

    def attempts_so_far(self) -> tuple[list[Source], bool]:
        """Return what its attempts can be held against, in the order in which they began, open ones included.

        Returns:
            What is kept of them, and whether that is all: the oldest of many are let go of.
        """
        cancelled, probes = tuple(self._cancelled), self._tally.probes
        found = [*self._sources, *(each.source(cancelled=each in cancelled) for each in tuple(self._open))]
        for source in found if probes else ():
            source.is_probe = source.order in probes
        found.sort(key=lambda source: source.order)
        return found, self._tally.count <= len(found)

    def began_within(self, span_id: int) -> int | None:  # noqa: ARG002 - for runs that are inferred
        """Return None: a span around it is around all of it.

        Args:
            span_id: Of a span around it.
        """
        return None

    @property
    def operation(self) -> str:
        """What is asked for, in the host's words."""
        return self._operation

    @property
    def latest_ended(self) -> int:
        """The order of the attempt that ended last, or was left by cancellation; 0 where none has."""
        if self._cancelled:
            return self._cancelled[-1].order
        return self._sources[-1].order if self._sources else 0

    @property
    def latest_begun(self) -> int:
        """The order of the attempt that began last, of any run."""
        return self._runtime.order

    @property
    def may_tell_errors(self) -> bool:
        """Whether one of its attempts has failed, or is still open and may."""
        return bool(self._open) or any(source.reason is not None for source in tuple(self._sources))

    # --- for adapters and readers -------------------------------------------------------------------------------------

    @property
    def run(self) -> Run:
        """Itself, as its attempts' owner."""
        return self

    @property
    def context(self) -> Context | None:
        """The context in which its attempts start."""
        return self._context

    @guarded(fallback=None)
    def step(self) -> None:
        """Say that the loop goes on: an attempt left by cancellation before was ended by the loop, not by its user."""
        self._settle_earlier()

    @property
    def goes_on(self) -> bool:
        """Whether it has been opened and not been left yet."""
        return self._span is not None and not self.is_left

    @property
    def takes_attempts(self) -> bool:
        """Whether an attempt of it would be recorded."""
        return not self.is_over

    def stream_output(self) -> None:
        """Take note that something was handed on; what matters of it, its attempts notice."""

    def book(self, places: Iterable[int]) -> None:
        """Take note of whom the loop's own result names as the one that served: for adapters that can read it.

        Args:
            places: In the chain; several where the result does not tell them apart.
        """
        self._recorder.booked = frozenset(places)

    @property
    def chain(self) -> Chain:
        """The configured chain, without members where nobody declared one."""
        return self.positions.chain

    @property
    def has_chain(self) -> bool:
        """Whether the chain was declared."""
        return self.positions.declared

    @property
    def left_at(self) -> float | None:
        """When it was left, in seconds of the monotonic clock; the end of a stream that ended later counts."""
        return self._left_at[1] if self._left_at is not None else None

    @property
    def trace_id(self) -> int:
        """Of its span; 0 where there is none, or tracing is off."""
        return self._span.span.get_span_context().trace_id if self._span is not None else 0

    @property
    def served(self) -> Place | None:
        """Who of its own candidates served, and its place, -1 outside the chain; None while or if nobody did."""
        if self._tally.served is not None:
            return self._tally.served
        stray = self._tally.server_off_chain
        return None if stray is None else (stray.candidate, stray.index)

    @property
    def has_tried(self) -> bool:
        """Whether an attempt was begun or a candidate passed over."""
        return self._tally.has_tried

    @property
    def outcome(self) -> str:
        """What became of it, or would if it ended now."""
        positions = self.positions
        return self._ended_as or self._tally.outcome(
            declared=positions.declared,
            untried=not positions.used.issuperset(range(len(positions.chain.members))),
            may_have_served=self._may_have_served,
        )

    def _may_have_served(self, since: float) -> str:
        """Return what may have served it unseen since a moment; empty where nothing can have.

        Args:
            since: In seconds of the monotonic clock; 0 for its start.
        """
        since = since or self.started
        if self._tally.beside_at >= since:
            return "another request of it was answered"
        if outside.answered >= since:
            return "a call outside any run was answered"
        loaded = _loaded_out_of_sight()
        return f"calls of {loaded} are not seen" if loaded else ""

    @property
    def records(self) -> Sequence[AttemptRecord]:
        """What became of its attempts that have ended, in order; the last 64."""
        return tuple(self._recorder.records)

    @property
    def skips(self) -> Sequence[Skipped]:
        """Candidates that were passed over, in order; the first 64."""
        return tuple(self._recorder.skips)

    @property
    def errors(self) -> list[CandidateError]:
        """The own error of each attempt that did not serve it, in order; probes are left out."""
        return self._recorder.errors

    @property
    def open_attempts(self) -> Sequence[Attempt]:
        """The attempts that are still open."""
        return tuple(self._open)

    # --- closing ------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """Take in that the loop is over; the run ends when its last stream has.

        Args:
            problem: The exception that leaves it, if any.
        """
        if self._span is None or self.is_left:
            return
        # A stream whose reader was cancelled may be read on behind the run, unless an error leaves that.
        if wire.unread:
            self._settle_unread(interrupted=problem is not None and not isinstance(problem, GeneratorExit))
        self.is_left = True
        if self._attachment is not None:
            self._attachment.detach()
        # No further step will come: an answer that nobody refused was taken, unless an error leaves instead of it.
        answered, self._answered = self._answered, None
        if answered is not None:
            answered.finish() if problem is None or isinstance(problem, GeneratorExit) else answered.refuse()
        tally = self._tally
        if problem is not None:
            self._recorder.left_by(problem)
            tally.is_left_by_cancel = not isinstance(problem, (Exception, GeneratorExit))
            tally.is_left_by_error = isinstance(problem, Exception)
        if self._cancelled:
            left_by_cancel, killer = tally.is_left_by_cancel, self._killer()
            cancelled, self._cancelled = self._cancelled, []
            for attempt in cancelled:
                attempt.finish(killed=killer)
            tally.is_left_by_cancel = left_by_cancel or (killer == "" and tally.served is None)
        self._left_at = self._moment
        self._finish_if_over()

    @property
    def _moment(self) -> tuple[int, float]:
        """When it ends, if that is now: in nanoseconds since the epoch, and in seconds of the monotonic clock."""
        return time.time_ns(), time.monotonic()

    def _killer(self) -> str:
        """Return who ended the attempts that were left by cancellation, where the run ends and no further step comes.

        The user, where the run is left by it too. Else the loop's own deadline, if it goes on from it without having
        been served: `wait_for` and `timeout` take their cancellation back. Nobody where that cannot be told.
        """
        tally = self._tally
        if tally.is_left_by_cancel:
            return "user"
        if tally.served is not None or tally.stop_reason is not None or is_cancelling():
            return ""
        return "caller_timeout" if tally.is_left_by_error or sys.version_info >= (3, 11) else ""

    def _finish_if_over(self) -> None:
        """End once nothing is open but what no longer matters: losers of a race and probes that still run."""
        if not self._open or (self._tally.served is not None and all(each.is_current for each in self._open)):
            self._finish()

    def _finish(self) -> None:
        """End the run's span, and let go of what only a living run needs."""
        span = self._span
        if self.is_over or span is None:
            return
        self.is_over = True
        self._ended_as = self.outcome
        outer, self._outer = self._outer, None
        served = self._tally.served
        if served is None and self._ended_as in _SERVED:
            served = self._tally.who_served(declared=self.positions.declared)
        if outer is not None:
            outer.run_inside_ended(self, served)
        end = self._left_at[0] if self._left_at is not None else time.time_ns()
        try:
            self._settle(span, served, end)
        except Exception as problem:
            survived("_core.runs.run.Run._settle", problem)
        if registry.pools:
            registry.disown(span.span.get_span_context().span_id)
        span.span.end(end)
        self._attachment = self._context = None
        self.positions.forget()
        for source in self._sources:
            if source.raised or source.left:
                source.forget()

    def _settle(self, span: RunSpan, served: Place | None, end: int) -> None:
        """Write what became of it, and count it."""
        tally, outcome, active = self._tally, self._ended_as, self._runtime
        attributes: dict[str, Any] = {
            names.OUTCOME: outcome,
            names.ATTEMPT_COUNT: tally.count,
            names.WASTED_DURATION: round(tally.wasted, 6),
        }
        who = served or tally.last
        if who is not None and outcome != UNSEEN:
            attributes[names.CANDIDATE_PROVIDER] = named(who[0].provider)
            attributes[names.CANDIDATE_MODEL] = shown(who[0].model)
            attributes[names.CANDIDATE_INDEX] = who[1]
        if outcome in (EXHAUSTED, STOPPED):
            positions, members = self.positions, self.positions.chain.labels
            untried = [members[at] for at in positions.untried] if outcome == STOPPED or not tally.count else []
            sentence = tally.sentence(len(members) if positions.declared else None)
            span.fail(attributes, outcome, sentence, tally.stop_reason, untried)
        key, in_a_row = self._key, 0
        if self.positions.declared and tally.count:
            begins_later = (tally.first or 0) > 0 and 0 not in self.positions.used
            in_a_row = active.logs.in_a_row(key, counts=begins_later)
        if not self._is_plain(outcome):
            self._write_findings(span, outcome, attributes, in_a_row, end)
        if span.span.is_recording():
            span.span.set_attributes(attributes)
        is_own = tally.served is not None or (served is not None and self.served is not None)
        if who is not None and is_own and outcome != UNSEEN and not self.is_inferred:
            active.logs.log_served(key, f"{attributes[names.CANDIDATE_PROVIDER]}/{attributes[names.CANDIDATE_MODEL]}")
        active.metrics.runs.add(self._library, self._loop, outcome)
        labels = {names.LIBRARY: self._library, names.LOOP_NAME: self._loop, names.OUTCOME: outcome}
        ended = self._left_at[1] if self._left_at is not None else time.monotonic()
        active.metrics.run_duration.record(ended - self.started, labels)

    @property
    def _key(self) -> tuple[object, ...]:
        """Which loop it is a pass of, for what is told once, or in a row."""
        return (self._library, self._loop, self.positions.chain.key)

    def _asks_elsewhere(self, outcome: str) -> bool:
        """Whether it may have asked a model out of sight, so that an error which leaves it may be a provider's."""
        tally = self._tally
        if outcome != STOPPED or tally.count:
            return False
        inside = tally.inside in (EXHAUSTED, STOPPED, CANCELLED)
        return tally.has_asked_beside or inside or outside.asked >= self.started or bool(_loaded_out_of_sight())

    def _is_plain(self, outcome: str) -> bool:
        """Whether no finding is possible, so that none needs to be looked for."""
        quick = time.monotonic() - self.started < self._runtime.settings.stale_after
        return quick and (outcome in (PRIMARY, EXHAUSTED)) and not self._open and self._recorder.is_plain

    @guarded(fallback=None)
    def _write_findings(self, span: RunSpan, outcome: str, attributes: dict[str, Any], in_a_row: int, end: int) -> None:
        """Add what the run got wrong."""
        from otel_failover._core.spans.finding_events import write  # late: most runs have none, and its rules cost

        ended = self._left_at[1] if self._left_at is not None else time.monotonic()
        record = self._recorder.record(
            self._library, self._loop, self.chain.members, outcome, self._tally.stop_reason, self.positions.untried,
            ended - self.started, [attempt.record_so_far(ended) for attempt in self._open],
            self._tally.server_off_chain, asked_elsewhere=self._asks_elsewhere(outcome), begun_later=in_a_row,
            unseen=self._may_have_served(self._tally.failed_at) if outcome == UNSEEN else "",
        )  # fmt: skip
        found = write(self._runtime, span.span, record, end, self._key)
        if found:
            attributes[names.FINDINGS] = found


@overload
def failover_run(operation: F) -> F: ...


@overload
def failover_run(operation: str = ..., chain: Iterable[object] | None = ..., *, name: str | None = ...) -> Run: ...


def failover_run(
    operation: str | F = "chat", chain: Iterable[object] | None = None, *, name: str | None = None
) -> Run | F:
    """Say that what follows is one pass of a fallback loop.

    A plain `with`, in async code too, or a decorator, `@failover_run` or `@failover_run("chat", chain=CHAIN)`:

        with failover_run("chat", chain=["openai/gpt-5.5", "anthropic/claude-opus-4-7"]) as run:
            ...

    Args:
        operation: What is asked for; part of the span's name.
        chain: The configured chain, in order: `Candidate`s or texts like `openai/gpt-5.5`. None where it is not known
            beforehand; a chain lets the trace say who was never tried.
        name: The route or feature, for people; the operation by default.

    Returns:
        The run: `run.attempt(candidate)`, `run.skip(candidate, reason)`, `run.stop(reason)`. Nothing of it raises.
    """
    if isinstance(operation, str) or not callable(operation):
        return Run(operation, chain, name=name)
    return Run("chat", chain, name=name)(operation)
