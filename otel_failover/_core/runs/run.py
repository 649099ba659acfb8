"""One pass of a fallback loop: the run, its chain, and who is tried next.

`failover_run` is what people write; a provider call inside it, outside any attempt, is an attempt by itself.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from opentelemetry import context as context_api
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span

from otel_failover._core import context as scope
from otel_failover._core import deferred as dropping
from otel_failover._core.config import runtime
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain import providers
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.chain import NOBODY, chain_of
from otel_failover._core.domain.positions import ChainPositions
from otel_failover._core.evidence.ledger import Ledger
from otel_failover._core.evidence.outcome import CANCELLED, SUCCESS, Outcome, is_cancelling
from otel_failover._core.failsafe import guarded, logger, text_of
from otel_failover._core.runs import left
from otel_failover._core.runs.attempt import Attempt
from otel_failover._core.runs.functions import decorated
from otel_failover._core.runs.record_keeping import Past, RunRecorder
from otel_failover._core.spans import processor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import CodeType, TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

    from otel_failover._core.attribution.facts import SourceFacts
    from otel_failover._core.attribution.source import Source
    from otel_failover._core.domain.chain import Chain
    from otel_failover._core.runs.call import Call

F = TypeVar("F", bound="Callable[..., Any]")

_TRAILS: Final = 32
PRIMARY: Final = "primary"
FALLBACK: Final = "fallback"
EXHAUSTED: Final = "exhausted"
STOPPED: Final = "stopped"


class Run:
    """One request that several candidates may serve. Made by `failover_run`.

    Args:
        operation: What is asked for: `chat`.
        chain: The configured chain; None where it is not known beforehand.
        library: Which loop this is: `manual`, `pydantic_ai` …
        name: The operation or route, for people.
    """

    def __init__(
        self,
        operation: str = "chat",
        chain: Iterable[object] | None = None,
        *,
        library: str = "manual",
        name: str | None = None,
    ) -> None:
        self._operation, self._given, self._library = operation, chain, library
        self._name_given = name
        self._loop = ""
        self._reset()

    def _reset(self) -> None:
        self.id = ""
        self._runtime = runtime.current()
        self._places = ChainPositions()
        self._span: Span | None = None
        self._context: Context | None = None
        self._attachment: scope.Attachment | None = None
        self._around: Attempt | None = None
        self._skipped: set[int] = set()
        self._open: list[Attempt] = []
        self._trails: deque[Source] = deque(maxlen=_TRAILS)
        self._failures: list[tuple[Candidate, str]] = []
        self._pending: list[Attempt] = []
        self._held: Attempt | None = None
        self._served: tuple[Candidate, int] | None = None
        self._served_inside: tuple[Candidate, int] | None = None
        self._outer: Run | None = None
        self._served_at = 0.0
        self._left_at: tuple[int, float] | None = None
        self._last: tuple[Candidate, int] | None = None
        self._count = 0
        self._wasted = 0.0
        self._account = RunRecorder()
        self._was_stopped = False
        self._stop_reason: str | None = None
        self._left = self._done = False
        self._left_by_cancel = self._left_by_error = False
        self._left_in: tuple[CodeType, int] | None = None
        self._started = 0.0

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
        made = self._make(candidate)
        if made is None:
            made = self._bare(Candidate("", ""), -1)
        made._probe = probe
        return made

    def attempt_at(self, index: int, known: Candidate | None = None) -> Attempt:
        """Return the next attempt at a place of the chain: for adapters that know it.

        Args:
            index: 0-based; outside the chain, the attempt records nothing.
            known: What is known of the candidate besides; it fills what the chain leaves open.
        """
        made = self._make_at(index, known)
        return made if made is not None else self._bare(Candidate("", ""), -1)

    def skip(self, candidate: object, reason: object, cause: object = None) -> None:
        """Say that a candidate is passed over without a call.

        Args:
            candidate: A Candidate or a text.
            reason: `cooldown`, `budget`, `not_allowed`, `not_configured`, `unsupported`, or the loop's own word.
            cause: The exception or `CandidateError` that armed it.
        """
        self._skip(candidate, reason, cause)

    def stop(self, reason: str) -> None:
        """Say that the loop ends on purpose with candidates left.

        Args:
            reason: Why: `deadline`, `budget`, `user` …
        """
        self._stop_reason = text_of(reason)[:255]

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
            self._left_in = (traceback.tb_frame.f_code, traceback.tb_lasti)
        if problem is not None:
            self._note_left_by(problem)
        self.leave(problem)

    @guarded(fallback=None)
    def _note_left_by(self, problem: BaseException) -> None:
        left.note(problem, self)

    def __call__(self, function: F) -> F:
        """Use the run as a decorator: each call of the function, generator or coroutine is a run of its own."""
        wrapped: F = decorated(self._fresh, function)
        return wrapped

    def _fresh(self) -> Run:
        """Return a new run with the same arguments."""
        return type(self)(self._operation, self._given, library=self._library, name=self._name_given)

    # --- opening ------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _enter(self) -> None:
        if self._span is not None and not self._done:
            logger.warning("otel-failover: a run was entered twice; failover_run() makes a new one for each pass")
            return
        if self._done:
            self._reset()
        self.id = runtime.new_run_id()
        operation = self._runtime.redacted(text_of(self._operation), (), 120)
        self._loop = self._runtime.redacted(text_of(self._name_given), (), 255) if self._name_given else operation
        self._read_chain()
        processor.attach(self._runtime, warn=True)
        dropping.end_waiting()
        current = context_api.get_current()
        around = scope.attempt_in(current)
        self._around = around if around is not None and around.live else None
        self._outer = scope.run_in(current) if self._around is None else None
        self._started = time.monotonic()
        attributes: dict[str, Any] = dict(self._around.inherited()) if self._around is not None else {}
        attributes |= {
            names.RUN_ID: self.id,
            names.LIBRARY: self._library,
            names.LOOP_NAME: self._loop,
        }
        if self._places.declared:
            attributes[names.CHAIN] = self._chain.labels
        self._span = self._runtime.tracer.start_span(
            f"{names.SPAN_RUN} {operation}",
            current,
            kind=SpanKind.INTERNAL,
            attributes=attributes,
        )
        self._note_enclosing(current)
        self._context = scope.with_values({scope.RUN: self, scope.ATTEMPT: None, scope.CALL: None}, self._span, current)
        self._attachment = scope.Attachment(self._context)

    def _read_chain(self) -> None:
        given: Any = self._given
        if given is None:
            return
        if isinstance(given, (str, Candidate)):
            given = (given,)
        try:
            if iter(given) is given:
                # Reading it would leave the host's own loop without candidates.
                raise TypeError("an iterator, which can be read only once; pass a list")  # noqa: TRY301
            self._places.declare(chain_of(tuple(given)))
        except Exception as problem:
            logger.warning("otel-failover: the chain of run %r cannot be read: %s", self._loop, text_of(problem))

    def _note_enclosing(self, current: Context) -> None:
        """Tell the checker which span this run happens in: spans that enclose a run are judged by its evidence."""
        from otel_failover._core.spans.processor import enclosing

        around = get_current_span(current)
        if around.is_recording():
            enclosing.begin(around.get_span_context().span_id, self)

    # --- candidates ---------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _make(self, given: object) -> Attempt | None:
        candidate = identity.parse(given)
        index = self._places.of(given, candidate)
        if index >= 0 and self._declared:
            candidate = self._chain.members[index]
        if self._done or self._span is None:
            logger.warning("otel-failover: an attempt was made outside its run; it is not recorded")
            return self._bare(candidate, index)
        return self._new(candidate, index, declared=candidate.provider or None)

    @guarded(fallback=None)
    def _make_at(self, index: int, known: Candidate | None) -> Attempt | None:
        candidate = self._chain.members[index]
        if known is not None:
            candidate = candidate.filled(known)
        if self._done or self._span is None:
            return self._bare(candidate, index)
        return self._new(candidate, index, declared=candidate.provider or None)

    def _bare(self, candidate: Candidate, index: int) -> Attempt:
        """Return an attempt that records nothing on any span, for a run that is not open."""
        return Attempt(self._runtime, candidate, index, Ledger(candidate.provider or None, candidate.endpoint))

    def _new(self, candidate: Candidate, index: int, declared: str | None) -> Attempt:
        runtime.remember_endpoint(candidate.endpoint)
        number = self._places.next_number(candidate, index)
        ledger = Ledger(
            declared,
            candidate.endpoint,
            self._around._ledger if self._around is not None else None,
            self._chain.endpoints - {candidate.endpoint} if len(self._chain.endpoints) > 1 else NOBODY,
            self._runtime.gateways,
        )
        return Attempt(
            self._runtime, candidate, index, ledger, self, number, doubled=self._places.is_doubled(candidate)
        )

    def place_anew(self, attempt: Attempt, was: Candidate) -> None:
        """Find the place of an attempt whose candidate has become known only after it began.

        Args:
            attempt: Now at its candidate.
            was: What was known of it before.
        """
        candidate, old = attempt._candidate, attempt._index
        attempt._index, number = self._places.anew(was, candidate, old)
        if self._last is not None and self._last == (was, old):
            self._last = (candidate, attempt._index)
        if number is not None:
            attempt._number = number

    def infer(self, call: Call) -> Attempt:
        """Return the attempt that a provider call outside any attempt is.

        Args:
            call: The SDK call about to be made.
        """
        candidate, index = self._places.of_call(call.asked, call.provider_of(self), self._runtime.aliases)
        return self._new(candidate, index, declared=None)

    @property
    def places(self) -> ChainPositions:
        """Who stands where."""
        return self._places

    @property
    def _chain(self) -> Chain:
        return self._places.chain

    @property
    def _declared(self) -> bool:
        return self._places.declared

    # --- what attempts tell -------------------------------------------------------------------------------------------

    def _next_step(self, attempt: Attempt | None) -> None:
        """A later attempt starts: one that was left by cancellation had run into its caller's timeout."""
        self._refuse_held()
        pending, self._pending = self._pending, []
        # A watchdog of the loop's own cancels just so; that nobody took it back is a finding, and no verdict.
        by_user = bool(pending) and is_cancelling()
        for cancelled in pending:
            lost = self._served is not None and cancelled.started < self._served_at
            cancelled._finish(killed="" if lost else "caller_timeout")
        self._was_stopped = self._was_stopped or by_user
        if attempt is not None:
            attempt._late = self._was_stopped or self._stop_reason is not None
            self._count += 1
            self._open.append(attempt)
            if attempt.index >= 0:
                self._places.used.add(attempt.index)
            if not attempt._probe:
                self._last = (attempt._candidate, attempt.index)

    def hold(self, attempt: Attempt) -> None:
        """Keep an attempt that has answered until the loop's next step shows whether it took the answer.

        Args:
            attempt: Left, with its end noted.
        """
        self._refuse_held()
        self._held = attempt

    def _refuse_held(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.refused()

    def _ended(self, attempt: Attempt, settled: Outcome, trail: Source | None) -> None:
        """An attempt has ended."""
        if attempt in self._open:
            self._open.remove(attempt)
        if trail is not None:
            if len(self._trails) == _TRAILS:
                self._trails[0].forget()
            self._trails.append(trail)
        ended = attempt._stopped or time.monotonic()
        self._account.add(Past(attempt, settled, trail, ended, attempt._claimed, attempt._late))
        in_chain = attempt.index >= 0 or attempt._declared or not self._declared
        if settled.outcome == SUCCESS and not attempt._probe and in_chain:
            self._note_served(attempt, ended)
        elif settled.outcome != SUCCESS:
            self._wasted += ended - attempt.started
            if settled.outcome != CANCELLED and not attempt._probe and len(self._failures) < 64:
                self._failures.append((attempt._candidate, settled.reason or settled.outcome))
        if self._left and not self._done:
            self._left_by_cancel = self._left_by_cancel or settled.outcome == CANCELLED
            if self._served is None or self._served_at == ended:
                self._left_at = (time.time_ns(), time.monotonic())
            self._finish_if_over()

    def _note_served(self, attempt: Attempt, ended: float) -> None:
        """Who served: of attempts side by side (hedged), the first to succeed; else the last."""
        if self._served is not None and attempt.started < self._served_at:
            self._wasted += ended - attempt.started
            return
        self._served, self._served_at = (attempt._candidate, attempt.index), ended

    def _finish_if_over(self) -> None:
        """End once nothing is open but what no longer matters: losers of a race and probes that still run."""
        if not self._open or (self._served is not None and all(each._inside for each in self._open)):
            self._finish()

    def others(self, judged: Attempt) -> Iterator[tuple[Source, SourceFacts]]:
        """Yield the other attempts, and those of the runs around, as one attempt sees them.

        Args:
            judged: The attempt that is held against them.
        """
        # A loop that calls itself tries the next candidate inside this attempt: what comes out of it is a report.
        trails = [*self._trails, *(other.trail() for other in tuple(self._open) if other is not judged)]
        yield from ((trail, trail.seen_by(judged.key)) for trail in trails if judged._order not in trail.around)
        if self._around is not None and self._around._run is not None:
            yield from self._around._run.others(self._around)

    def split_by(self, named: Callable[[Candidate], bool]) -> tuple[list[Source], list[Source]]:
        """Return the trails of the candidates that a span names, and those of the others.

        Args:
            named: Tells whether a candidate is named.
        """
        own: list[Source] = []
        others: list[Source] = []
        for trail in tuple(self._trails):
            (own if named(Candidate(trail.provider, trail.model)) else others).append(trail)
        return own, others

    # --- skips --------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def _skip(self, given: object, reason: object, cause: object) -> None:
        if self._span is None or self._done:
            logger.warning("otel-failover: a skip was told outside its run; it is not recorded")
            return
        self._next_step(None)
        candidate = identity.parse(given)
        index = self._places.of(given, candidate)
        if index >= 0:
            candidate = self._chain.members[index] if self._declared else candidate
            self._skipped.add(index)
            self._places.used.add(index)
        word = self._runtime.redacted(text_of(reason), (), 255)
        attributes: dict[str, Any] = {
            names.CANDIDATE_PROVIDER: candidate.provider,
            names.CANDIDATE_MODEL: identity.shown(candidate.model),
            names.CANDIDATE_INDEX: index,
            names.CANDIDATE_OUTCOME: "skipped",
            names.RUN_ID: self.id,
            names.SKIP_REASON: word,
        }
        armed_by = self._account.skip(candidate, index, word, cause)
        if armed_by:
            attributes[names.SKIP_CAUSE_SPAN_ID] = armed_by
        now = time.time_ns()
        span = self._runtime.tracer.start_span(
            f"{names.SPAN_SKIP} {providers.metric_value(candidate.provider)}",
            self._context, SpanKind.INTERNAL, attributes, start_time=now,
        )  # fmt: skip
        span.end(now)

    # --- for adapters -------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def step(self) -> None:
        """Say that the loop goes on: an attempt left by cancellation before was ended by the loop, not by its user."""
        self._next_step(None)

    @property
    def goes_on(self) -> bool:
        """Whether it has been opened and not been left yet."""
        return self._span is not None and not self._left

    # --- closing ------------------------------------------------------------------------------------------------------

    @property
    def account(self) -> RunRecorder:
        """What became of its attempts and skips; kept after its end."""
        return self._account

    @property
    def context(self) -> Context | None:
        """The context in which its attempts start."""
        return self._context

    def stream_output(self) -> None:
        """Take note that something was handed on; what matters of it is told by the attempts."""

    def book(self, places: Iterable[int]) -> None:
        """Take note of whom the loop's own result names as the one that served: for adapters that can read it.

        Args:
            places: In the chain; several where the result does not tell them apart.
        """
        self._account.booked = frozenset(places)

    def open_detached(self) -> None:
        """Open without becoming current: for a generator, which is current only while it works."""
        self._enter()
        if self._attachment is not None:
            self._attachment.detach()

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """The run is left; it ends when its last stream has.

        Args:
            problem: The exception that leaves it, if any.
        """
        if self._span is None or self._left:
            return
        self._left = True
        if self._attachment is not None:
            self._attachment.detach()
        held, self._held = self._held, None
        if held is not None:
            held._finish() if problem is None or isinstance(problem, GeneratorExit) else held.refused()
        self._account.left_by(problem)
        self._left_by_cancel = problem is not None and not isinstance(problem, (Exception, GeneratorExit))
        self._left_by_error = isinstance(problem, Exception)
        pending, self._pending = self._pending, []
        for cancelled in pending:
            cancelled._finish(killed="user" if self._left_by_cancel else "")
        self._left_at = (time.time_ns(), time.monotonic())
        self._finish_if_over()

    def _finish(self) -> None:
        """End the run's span: what became of it, in our own words only."""
        if self._done or self._span is None:
            return
        self._done = True
        outer, self._outer = self._outer, None
        if outer is not None:
            outer._served_inside = self._who_served() or outer._served_inside
        self._settle(self._span)
        self._span.end(self._left_at[0] if self._left_at is not None else None)
        self._note_ended()

    @guarded(fallback=None)
    def _settle(self, span: Span) -> None:
        """Write what became of it, and count it."""
        outcome = self._outcome()
        attributes: dict[str, Any] = {
            names.OUTCOME: outcome,
            names.ATTEMPT_COUNT: self._count,
            names.WASTED_DURATION: round(self._wasted, 6),
        }
        shown = self._who_served() or self._last
        if shown is not None:
            attributes[names.CANDIDATE_PROVIDER] = shown[0].provider
            attributes[names.CANDIDATE_MODEL] = identity.shown(shown[0].model)
            attributes[names.CANDIDATE_INDEX] = shown[1]
        if outcome in (EXHAUSTED, STOPPED):
            self._describe(span, outcome, attributes)
        if not self._is_plain(outcome):
            self._tell_findings(span, outcome, attributes)
        span.set_attributes(attributes)
        if self._served is not None and shown is not None:
            self._runtime.note_served(
                (self._library, self._loop, self._chain.key),
                f"{shown[0].provider}/{attributes[names.CANDIDATE_MODEL]}",
            )
        metrics = self._runtime.metrics
        metrics.runs.add(self._library, self._loop, outcome)
        labels = {names.LIBRARY: self._library, names.LOOP_NAME: self._loop, names.OUTCOME: outcome}
        ended = self._left_at[1] if self._left_at is not None else time.monotonic()
        metrics.run_duration.record(ended - self._started, labels)

    def _is_plain(self, outcome: str) -> bool:
        """Whether no finding is possible, so that none needs to be looked for."""
        quick = time.monotonic() - self._started < self._runtime.settings.stale_after
        return quick and (outcome in (PRIMARY, EXHAUSTED)) and not self._open and self._account.plain

    @guarded(fallback=None)
    def _tell_findings(self, span: Span, outcome: str, attributes: dict[str, Any]) -> None:
        """Say what it got wrong."""
        from otel_failover._core.spans import finding_events

        ended = self._left_at[1] if self._left_at is not None else time.monotonic()
        record = self._account.record(
            self._library, self._loop, self._chain.members, outcome, self._stop_reason,
            self._places.untried, self._started,
            ended, self._open,
        )  # fmt: skip
        found = finding_events.tell(self._runtime, span, record)
        if found:
            attributes[names.FINDINGS] = found

    def _note_ended(self) -> None:
        """Let go of what only a living run needs."""
        self._attachment = self._context = None
        self._places.forget()
        for trail in self._trails:
            trail.forget()

    def _outcome(self) -> str:
        served = self._who_served()
        if served is not None:
            return PRIMARY if served[1] == 0 else FALLBACK
        if self._left_by_cancel:
            return CANCELLED
        if self._untried() or (self._stop_reason is not None and not self._declared):
            return STOPPED
        if self._count and not self._failures:
            return CANCELLED
        return EXHAUSTED

    def _who_served(self) -> tuple[Candidate, int] | None:
        """Return who served: its own candidate; in a run that only holds another, that one's.

        A run with a chain, or one that an error leaves, is no such run: its own loop was passed by.
        """
        own = self._served is not None or self._count or self._skipped
        return self._served if own or self._places.declared or self._left_by_error else self._served_inside

    def _untried(self) -> list[str]:
        return [self._chain.labels[at] for at in self._places.untried]

    def _describe(self, span: Span, outcome: str, attributes: dict[str, Any]) -> None:
        """Say how a run failed: "3 of 3 failed: openai rate_limit, anthropic timeout, gcp.gemini timeout"."""
        attributes[names.ERROR_TYPE] = outcome
        if self._stop_reason is not None:
            attributes[names.STOP_REASON] = self._runtime.redacted(self._stop_reason, (), 255)
        untried = self._untried()
        if untried:
            attributes[names.UNTRIED] = untried[:64]
        tried = {candidate for candidate, _ in self._failures}
        total = len(self._chain.members) if self._declared else len(tried)
        failed = ", ".join(
            f"{candidate.provider or identity.shown(candidate.model)} {reason}" for candidate, reason in self._failures
        )
        skipped = f", {len(self._skipped)} skipped" if self._skipped else ""
        span.set_status(
            StatusCode.ERROR, f"{len(tried)} of {total} failed{skipped}" + (f": {failed}" if failed else "")
        )


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
