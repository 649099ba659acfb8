"""One logical SDK call: whose it is, opened, current, settled.

What every provider adapter shares. An adapter says what its SDK was asked (`Asked`); the call then finds its attempt,
opens its span, is current while the SDK works, and settles once: with the result, with the exception, or with the end
of its stream.

In one file: what a call may become and how it may end stand side by side, each with its table.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.config import runtime, usage_hints
from otel_failover._core.context import is_suppressed
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain.asked import Asked, provider_of
from otel_failover._core.domain.candidate import Candidate, asked_at
from otel_failover._core.domain.chain import EMPTY
from otel_failover._core.domain.endpoint import names_of
from otel_failover._core.domain.providers import GATEWAYS, PROVIDERS
from otel_failover._core.evidence import wire
from otel_failover._core.evidence.answers import content as response_content
from otel_failover._core.evidence.call_error import CallError, error_in_exception
from otel_failover._core.evidence.error_body import look_closer
from otel_failover._core.evidence.ledger import Ledger
from otel_failover._core.evidence.orphans import outside
from otel_failover._core.evidence.ownership import goes_to_another
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs.attempt import Attempt
from otel_failover._core.runs.run import Run, current_run
from otel_failover._core.spans import call_span, deferred, processor, registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.trace import Span
    from typing_extensions import Self

    from otel_failover._core.config.runtime import Runtime
    from otel_failover._core.evidence.error_body import ErrorBody
    from otel_failover._core.evidence.exchange import Exchange


_NAMED: Final = (names.CANDIDATE_PROVIDER,)
_SPEAKING: Final = frozenset({"chat", "text_completion", "generate_content"})
"""Operations whose answer is a text; an empty one is worth knowing."""


def where_now() -> tuple[int, object]:
    """Return the thread and the number of the task that the host's code runs in."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident(), id(task)


class Call:
    """One logical SDK call, in a `with` around the host's: what leaves by an exception is settled with it.

    Whose it is, decided when it opens:

    | where it is made | what it becomes |
    |---|---|
    | inside a call of the same SDK and base URL that has not ended | a part of that: an SDK that calls itself |
    | inside any other call that has not ended | an attempt by itself, of no run |
    | inside a live attempt, to its candidate | a call of that attempt |
    | inside a live attempt, to somebody else by the chain or the table of hosts | an attempt by itself, of no run |
    | inside a run, outside any attempt, an inference | the run's next attempt, which ends with it |
    | outside any run, an inference that asks what a call before it has failed at | an inferred run's next attempt |
    | outside any run, another inference | an attempt by itself, of no run |
    | no inference, outside any attempt | nothing: it is not recorded |

    How it ends, once: `returned` with what the SDK returned; `raised`; or, where that was a stream (`stream_opened`),
    `stream_ended`, by its last chunk, its error, its `close`, or the collector.

    Args:
        asked: What the SDK was asked.
    """

    __slots__ = (
        "__weakref__", "_active", "_attachment", "_finalizer", "_is_the_attempt", "_span", "asked", "attempt", "busy",
        "done", "endpoint", "inference", "known", "ledger", "model", "outer", "parent", "provider", "refused",
        "started", "streaming",
    )  # fmt: skip

    wire: Exchange | None = None
    """The request that is the whole call, where no SDK makes it."""
    said: object = None
    """What a streamed answer has said of itself, where it was looked at."""
    ended_at: int | None = None
    """When it ended, in nanoseconds since the epoch, where it is settled later."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.model, self.endpoint = asked, asked.model, asked.endpoint
        self.inference = asked.operation is not None
        self.provider = ""
        self.outer: Call | None = None
        self.attempt: Attempt | None = None
        self.ledger: Ledger | None = None
        self.parent: Any = None
        self.known: Any = None
        self.done = self.streaming = self.busy = self._is_the_attempt = self.refused = False
        self.started = 0.0
        self._active: Runtime | None = None
        self._span: Span | None = None
        self._attachment: scope.Attachment | None = None
        self._finalizer: Any = None

    # --- opening ------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Find the attempt, open the span, become current."""
        current = context_api.get_current()
        outer: Any = current.get(scope.CALL)
        if outer is None and current.get(scope.ATTEMPT) is None and scope.entered() is not None:
            outer = scope.call_in(current)
        is_inside = outer is not None and not outer.done
        if is_inside and outer.claims(self.asked):
            self.outer = outer
            return
        if wire.unread:
            self._settle_unread()
        attempt: Attempt | None = scope.attempt_in(current)
        run: Any = current.get(scope.RUN)
        # An attempt that has ended, or was inherited through a fork, may still stand in the context of a task or thread
        # that was started inside it. What is asked there is no evidence of it any more.
        if attempt is not None and not attempt.live:
            attempt = None
        elsewhere = is_inside and self.inference
        if attempt is not None and not elsewhere:
            ledger = attempt.ledger
            if self.endpoint != ledger.endpoint or ledger.siblings is not None:
                elsewhere = goes_to_another(ledger, self.endpoint, self.asked.base, self.model)
        if elsewhere:
            self._stand_alone(attempt)
        elif attempt is not None:
            self.attempt = attempt
        elif run is not None and run.takes_attempts and self.inference:
            self.attempt, self._is_the_attempt = run.infer(self.asked, self._told), True
            self.attempt.enter()
        elif self.inference:
            self._stand_alone(None)
        else:
            return
        self._start()

    def claims(self, asked: Asked) -> bool:
        """Whether a call inside it is a part of it: the SDK calls itself.

        Whatever else runs inside it asks on its own account: a tool, an application that is reached in this process.

        Args:
            asked: What the other call was asked.
        """
        mine = self.asked
        return (mine.sdk, mine.endpoint, mine.base) == (asked.sdk, asked.endpoint, asked.base)

    def _settle_unread(self) -> None:
        """Settle calls by wire outside any run that were refused, where the host goes on without having read why."""
        here = where_now()
        wire.settle_unread(lambda call: call.attempt.run is None and call.where == here)

    def candidate(self, run: Run | None) -> Candidate:
        """Return whom this call asks, for a candidate that nobody declared.

        Args:
            run: Whose chain may know the endpoint or the model.
        """
        active = runtime.current()
        chain = run.chain if run is not None else EMPTY
        provider = provider_of(self.asked, chain, active.aliases, active.gateways, self._told)
        return asked_at(provider, self.model, self.endpoint or None, self.asked.base)

    def _note_unknown(self) -> None:
        """Take note of a host that is nobody's: neither a gateway, nor what the user calls by a name of their own."""
        exact, host = names = names_of(self.endpoint)
        if self.provider == host and host not in GATEWAYS and runtime.current().gateways.isdisjoint(names):
            usage_hints.unknown_host(host, exact)

    def _told(self) -> str:
        """Return whom another instrumentation's span of this call names; kept, for whoever asks again."""
        span: Any = context_api.get_current().get(scope.SPAN)
        if span is None or not span.is_recording():
            return ""
        from otel_failover._core.domain.provider_labels import provider_on  # late: for a host that nobody knows

        told = provider_on(span, self.asked)
        if told:
            self.asked = self.asked._replace(told=told)
        return told

    def _stand_alone(self, beside: Attempt | None) -> None:
        """Make the call its own attempt: outside any run, or inside an attempt at somebody else."""
        active = runtime.current()
        processor.attach(active, warn=True)
        candidate = self.candidate(current_run() if beside is not None else None)
        if beside is None:
            current = context_api.get_current()
            self.parent = current.get(scope.SPAN)
            # One comparison, unless a call outside any run has failed a moment ago.
            if outside.watch is not None:
                self.attempt = outside.watch.attempt_of(self, candidate.provider)
                if self.attempt is not None:
                    self._is_the_attempt = True
                    return
        ledger = Ledger(None, candidate.endpoint, gateways=active.gateways)
        ledger.beside = beside.ledger if beside is not None else None
        self.attempt = Attempt(active, candidate, -1 if beside is not None else 0, ledger)
        self._is_the_attempt = True
        if beside is None:
            # A thread that was started without its context looks like this: an attempt elsewhere may own the call.
            ledger.rootless = not current
            if ledger.rootless:
                waiting = any(each.run is not None for each in tuple(active.open_attempts))
                usage_hints.rootless_call(run_is_open=waiting)
            outside.asked = ledger.started

    def _start(self) -> None:
        attempt = self.attempt
        if attempt is None:
            return
        ledger = self.ledger = attempt.ledger
        candidate = attempt.candidate_span.candidate
        if self.inference:
            if ledger.base is None:
                ledger.base = self.asked.base
            ledger.calls += 1
            ledger.open_calls += 1
            ledger.retries = self.asked.retries
        self.provider = candidate.provider
        if self.provider not in PROVIDERS and self._is_the_attempt and self.provider not in usage_hints.unknown_hosts:
            self._note_unknown()
        self.started = attempt.started if self._is_the_attempt else time.monotonic()
        if not candidate.provider or not candidate.model:
            attempt.learn(self.candidate(attempt.run if isinstance(attempt.run, Run) else None))
            candidate = attempt.candidate_span.candidate
        current = context_api.get_current()
        inside = {**current, scope.CALL: self, scope.ATTEMPT: attempt}
        active = self._active = runtime.current()
        wanted = active.settings.call_spans
        is_ours = wanted == "on" or (wanted == "auto" and not self.asked.own_spans)
        if self.inference and is_ours and not is_suppressed(current):
            span = call_span.start(active.tracer, self.asked, candidate.provider, attempt.inherited(), current)
            self._span = inside[scope.SPAN] = span
            if attempt.candidate_span.span is None:
                attempt.candidate_span.takes(span)  # a call outside any run has one span for both
            if span.is_recording():
                registry.own_spans[span.get_span_context().span_id] = attempt
        self._attachment = scope.Attachment(context_api.Context(inside))

    # --- settling -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Return the call, which `opened` has made current."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Settle with the exception that leaves, if one does; it passes untouched."""
        if problem is not None:
            self.raised(problem)

    def leave(self) -> None:
        """Stop being current: the SDK has handed back; never raises."""
        if self._attachment is not None:
            self._attachment.detach()
            self._attachment = None

    @guarded(fallback=None)
    def returned(self, result: object) -> None:
        """Settle with what the SDK returned."""
        self.settle(result)

    def settle(self, result: object) -> None:
        """Settle with what the SDK returned; the caller is guarded.

        Args:
            result: The SDK's own object.
        """
        self.leave()
        if self.outer is not None or self.ledger is None:
            return
        if self.streaming:
            if self._is_the_attempt and self.attempt is not None:
                self.attempt.release()
            return
        response_id = read(result, "id")
        self._settle(None, response_id if isinstance(response_id, str) else None, result)

    @guarded(fallback=None)
    def raised(self, problem: BaseException) -> None:
        """Settle with what the SDK raised."""
        self.leave()
        if self.outer is None:
            self._settle(problem, None, None)
        elif self.outer.ledger is not None and isinstance(problem, Exception):
            # A call inside a call raised: own by object for the same attempt, settled by the outer one.
            self.outer.ledger.raised.append(CallError(problem))

    def _settle(self, problem: BaseException | None, response_id: str | None, result: object) -> None:
        attempt, ledger = self.attempt, self.ledger
        if self.done or ledger is None or attempt is None:
            return
        self.done = True
        if self.inference:
            ledger.open_calls -= 1
        if isinstance(problem, Exception):
            # Behind the attempt's end nothing is held against it; what cannot be held weakly would keep its frames.
            if ledger.live and not attempt.disowns(problem):
                ledger.call_raised(problem)
        elif problem is None and self.inference:
            ledger.call_returned(response_id)
            if not self.streaming:
                self._look_at(result, ledger)
        self._end(attempt, problem, response_id, result)

    def _look_at(self, answer: object, ledger: Ledger) -> None:
        """Take note of what an answer is, for what a run may have got wrong."""
        model = read(answer, "model")
        if isinstance(model, str):
            ledger.answer.model = model
        speaks = self.asked.operation in _SPEAKING
        ledger.answer.refused = False
        if speaks and response_content.is_common(answer):
            ledger.answer.empty = False
        elif speaks or not read(answer, "data"):
            self._look_closer(answer, ledger, speaks=speaks)
        if speaks and self._active is not None and "text_error" in self._active.settings.enabled_rules:
            ledger.answer.text_error = response_content.reads_like_error(answer)

    def _look_closer(self, answer: object, ledger: Ledger, *, speaks: bool) -> None:
        """Find out whether an answer is none: an error under a 200, a refusal, nothing."""
        sent = next((each for each in reversed(ledger.exchanges) if each.call is self and each.status), None)
        found = look_closer(answer, sent.response.target if sent is not None and sent.response is not None else None)
        ledger.answer.refused = found.refused
        if speaks:
            ledger.answer.empty = found.empty
        if found.error is not None:
            self.refused = True
            if sent is not None:
                sent.refused_with(found.error)
            else:
                ledger.stream.error = found.error

    def _end(self, attempt: Attempt, problem: BaseException | None, response_id: str | None, result: object) -> None:
        """End the call's span, and the attempt that is just this call."""
        span = self._span
        if span is not None:
            if span.is_recording():
                if problem is None and not self.refused:
                    call_span.write_answer(span, response_id, attempt.ledger.answer.model, result)
                else:
                    attempt.write_call_error(span, problem, self, self.started)
                if names.CANDIDATE_PROVIDER not in (getattr(span, "attributes", None) or _NAMED):
                    span.set_attributes(attempt.inherited())  # attribute limits have pushed it out
            registry.own_spans.pop(span.get_span_context().span_id, None)
            if attempt.candidate_span.span is not span:
                span.end(self.ended_at)
        # The attempt last: its end judges, and finds in the ledger what this call has just reported.
        if self._is_the_attempt:
            if attempt.run is None and problem is None:
                self._answered_outside(attempt.ledger)
            attempt.conclude(problem)
            if attempt.kept is not None and attempt.ledger.beside is None:
                from otel_failover._core.runs.inferred.watch import watch  # late: for the import budget

                watch.failed(self, attempt)
                self.parent = None
                return
        if outside.watch is not None and problem is None and not self.refused:
            outside.watch.answered(self, attempt)
        self.parent = None

    def _answered_outside(self, ledger: Ledger) -> None:
        """Take note of an answer outside any run, which may have served one that nobody is known to have."""
        if (
            ledger.beside is None
            and self.asked.operation != "embeddings"
            and not (self.refused or ledger.answer.refused)
        ):
            outside.saw(ledger.started)

    # --- streams ------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def stream_opened(self, stream: object) -> None:
        """The SDK returned a stream: the call, and its attempt, stay open until it ends or is dropped."""
        if self.ledger is None or self.done or self.streaming:
            return
        self.streaming = True
        self.ledger.open_streams += 1
        # A stream that nobody reads to its end or closes ends when it is collected, wherever that happens.
        self._finalizer = weakref.finalize(stream, deferred.end_when_safe, self.stream_ended)
        self._finalizer.atexit = False
        if self._is_the_attempt and self.attempt is not None and self.attempt.run is None:
            self._answered_outside(self.ledger)

    def stream_context(self) -> Context | None:
        """Return None: reading a chunk sends nothing, so nothing needs to be current."""
        return None

    @guarded(fallback=None)
    def stream_chunk(self, chunk: object, error: ErrorBody | None = None) -> None:
        """Take note of a chunk.

        Args:
            chunk: As the SDK made it.
            error: The error that the chunk itself is, if it is one.
        """
        if self.done or self.ledger is None or self.attempt is None:
            return
        if error is not None:
            self.ledger.stream.error, self.refused = error, True
            return
        if self.ledger.stream.chunks is None:
            response_id = read(chunk, "id") or read(read(chunk, "message"), "id") or read(read(chunk, "response"), "id")
            if isinstance(response_id, str):
                self.ledger.answer.response_ids += (response_id,)
        self.ledger.saw_chunk(chunk)

    @guarded(fallback=None)
    def stream_doubted(self, chunk: object) -> None:
        """Take note of a chunk that is not as usual: it may be an error, or say that the rest is withheld.

        Args:
            chunk: As the SDK made it.
        """
        if self.done or self.ledger is None:
            return
        found = look_closer(chunk, None)
        if found.error is not None:
            self.ledger.stream.error, self.refused = found.error, True
        elif found.refused:
            self.ledger.answer.refused = True

    def keeper(self) -> Callable[[str], None] | None:
        """Return what keeps a further chunk's text, so that a claim may be looked for in it."""
        chunks = self.ledger.stream.chunks if self.ledger is not None and not self.done else None
        return chunks.append if chunks is not None else None

    @guarded(fallback=None)
    def response_closed(self) -> None:
        """The host closed the response under a stream; one that closes itself while it works ends on its own."""
        if not self.busy:
            self.stream_ended(None)

    @guarded(fallback=None)
    def stream_ended(self, problem: BaseException | None = None) -> None:
        """The stream ended, failed, was closed or dropped."""
        if self._finalizer is not None:
            self._finalizer.detach()
        attempt, ledger = self.attempt, self.ledger
        if self.done or not self.streaming or ledger is None or attempt is None:
            return
        ledger.open_streams = max(0, ledger.open_streams - 1)
        if isinstance(problem, GeneratorExit):
            problem = None
        response_id = ledger.answer.response_ids[-1] if ledger.answer.response_ids else None
        if ledger.answer.refused and not ledger.heard:
            ledger.answer.empty = True
        if problem is not None and ledger.stream.error is None:
            ledger.stream.error = error_in_exception(problem)
        if problem is not None and not isinstance(problem, Exception):
            ledger.reader_cancelled(problem)
        self._settle(problem, response_id, self.said)
        if not self._is_the_attempt:
            attempt.finish_if_left(problem)

    def reads_later(self) -> bool:
        """Whether the host reads the body after the SDK has returned, out of our sight: `with_streaming_response`."""
        own = self.ledger.exchanges if self.ledger is not None else []
        return bool(own) and own[-1].stream and own[-1].call is self

    @guarded(fallback=None)
    def unseen(self, why: str) -> None:
        """Say that part of the evidence passes us by."""
        if self.ledger is not None:
            self.ledger.unseen = why


NO_CALL: Final = Call(Asked("", None, "", "", is_default=False, provider=""))
"""A call that was never opened: it has no ledger, so nothing that an adapter reports to it is recorded anywhere."""


@guarded(fallback=NO_CALL)
def opened(reader: Callable[..., Asked | None], *given: Any) -> Call:
    """Open a call, to be used in a `with` around the host's call: what leaves by an exception is settled with it.

    Args:
        reader: Reads what the SDK was asked; runs guarded.
        *given: Its arguments.

    Returns:
        The call; `NO_CALL` where there is nothing to open.
    """
    if not runtime.current().active:
        return NO_CALL
    asked = reader(*given)
    if asked is None:
        return NO_CALL
    call = Call(asked)
    call.open()
    return call
