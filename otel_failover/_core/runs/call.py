"""One logical SDK call: where it goes, whose it is, when it ends.

What every provider adapter shares. An adapter says what its SDK was asked (`Asked`); the call then finds its attempt,
opens its span, is current while the SDK works, and settles once: with the result, with the exception, or with the end
of its stream.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api
from opentelemetry.trace import Span, SpanKind

from otel_failover._core import context as scope
from otel_failover._core import deferred as dropping
from otel_failover._core.config import runtime
from otel_failover._core.config import usage_hints as hints
from otel_failover._core.context import is_suppressed
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain import endpoint
from otel_failover._core.domain.asked import provider_of
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.chain import EMPTY
from otel_failover._core.evidence import call_error
from otel_failover._core.evidence import ledger as evidence
from otel_failover._core.evidence import response_content as answers
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs.attempt import Attempt
from otel_failover._core.spans import processor

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    from otel_failover._core.domain.asked import Asked
    from otel_failover._core.evidence.error_body import ErrorBody
    from otel_failover._core.runs.run import Run

_SPEAKING: Final = frozenset({"chat", "text_completion", "generate_content"})
_USAGE: Final = (
    ("gen_ai.usage.input_tokens", ("prompt_tokens", "input_tokens")),
    ("gen_ai.usage.output_tokens", ("completion_tokens", "output_tokens")),
)


class Call:
    """One logical SDK call.

    Args:
        asked: What the SDK was asked.
    """

    __slots__ = (
        "__weakref__",
        "_attachment",
        "_finalizer",
        "_owns",
        "_span",
        "asked",
        "attempt",
        "busy",
        "credential",
        "done",
        "endpoint",
        "inference",
        "ledger",
        "model",
        "outer",
        "parent",
        "provider",
        "streaming",
    )  # fmt: skip

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.model, self.credential = asked.model, asked.credential
        self.endpoint = asked.endpoint
        self.inference = asked.operation is not None
        self.outer: Call | None = None
        self.attempt: Attempt | None = None
        self.ledger: evidence.Ledger | None = None
        self.provider = ""
        self.parent: Any = None
        self._span: Span | None = None
        self._attachment: scope.Attachment | None = None
        self._owns = self.done = self.streaming = self.busy = False
        self._finalizer: Any = None

    # --- whose it is --------------------------------------------------------------------------------------------------

    def provider_of(self, run: Run | None) -> str:
        """Return the provider."""
        active = runtime.current()
        return provider_of(self.asked, run._chain if run is not None else EMPTY, active.aliases, active.gateways)

    def candidate(self, run: Run | None) -> Candidate:
        """Return who this call asks, for a candidate that nobody declared."""
        return Candidate(self.provider_of(run), self.model, self.endpoint or None)

    # --- opening ------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Find the attempt, open the span, become current."""
        current = context_api.get_current()
        outer = scope.call_in(current)
        if outer is not None and not outer.done:
            self.outer = outer
            return
        attempt, run = scope.attempt_in(current), scope.run_in(current)
        if attempt is not None and not attempt.live:
            attempt = None
        if attempt is not None and attempt._ledger.is_elsewhere(self.endpoint):
            self._stand_alone(attempt)
        elif attempt is not None:
            self.attempt = attempt
        elif run is not None and not run._done and self.inference:
            self.attempt, self._owns = run.infer(self), True
            self.attempt._enter(None)
        elif self.inference:
            self._stand_alone(None)
        else:
            return
        self.ledger = self.attempt._ledger if self.attempt is not None else None
        self._start()

    def _stand_alone(self, beside: Attempt | None) -> None:
        """Make the call its own attempt: outside any run, or inside an attempt at somebody else."""
        active = runtime.current()
        processor.attach(active, warn=True)
        candidate = self.candidate(scope.run_in() if beside is not None else None)
        ledger = evidence.Ledger(None, candidate.endpoint, gateways=active.gateways)
        ledger.beside = beside._ledger if beside is not None else None
        self.attempt, self._owns = Attempt(active, candidate, -1 if beside is not None else 0, ledger), True
        if beside is None:
            # A thread that was started without its context looks like this: an attempt elsewhere may own the call.
            ledger.rootless = not context_api.get_current()
            hints.call_outside(self)

    def _start(self) -> None:
        attempt, ledger = self.attempt, self.ledger
        if attempt is None or ledger is None:
            return
        if self.inference:
            ledger.calls += 1
            ledger.open_calls += 1
            ledger.retries = self.asked.retries
        self.provider = attempt.provider
        if not attempt.provider or not attempt.model:
            attempt.learn(self.candidate(attempt._run))
        current = context_api.get_current()
        if self.inference and self._makes_span(current):
            self._span = self._open_span(attempt, current)
            if attempt._own.span is None:
                attempt._own.span = self._span
            processor.bind(self._span, attempt)
        values: dict[str, object] = {scope.CALL: self, scope.ATTEMPT: attempt}
        self._attachment = scope.Attachment(scope.with_values(values, self._span, current))

    def _makes_span(self, current: Context) -> bool:
        wanted = runtime.current().settings.call_spans
        if wanted == "auto":
            return not self.asked.own_spans and not is_suppressed(current)
        return wanted == "on" and not is_suppressed(current)

    def _open_span(self, attempt: Attempt, current: Context) -> Span:
        asked = self.asked
        attributes: dict[str, Any] = dict(attempt.inherited())
        attributes[names.GEN_AI_OPERATION] = asked.operation
        attributes[names.GEN_AI_PROVIDER] = attempt.provider
        model = identity.shown(asked.model)
        attributes[names.GEN_AI_REQUEST_MODEL] = model
        host, port = endpoint.address_of(self.endpoint)
        if host:
            attributes[names.SERVER_ADDRESS] = host
            attributes[names.SERVER_PORT] = port
        return runtime.current().tracer.start_span(f"{asked.operation} {model}", current, SpanKind.CLIENT, attributes)

    # --- settling -----------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def leave(self) -> None:
        """Stop being current: the SDK has handed back."""
        self._leave()

    def _leave(self) -> None:
        if self._attachment is not None:
            self._attachment.detach()
            self._attachment = None

    @guarded(fallback=None)
    def returned(self, result: object) -> None:
        """Settle with what the SDK returned."""
        self._leave()
        if self.outer is not None or self.ledger is None:
            return
        if self.streaming:
            if self._owns and self.attempt is not None:
                self.attempt.release()
            return
        response_id = read(result, "id")
        self._settle(None, response_id if isinstance(response_id, str) else None, result)

    @guarded(fallback=None)
    def raised(self, problem: BaseException) -> None:
        """Settle with what the SDK raised."""
        self._leave()
        if self.outer is not None:
            self._raised_inside(problem)
            return
        if self.ledger is not None:
            self._settle(problem, None, None)

    def _raised_inside(self, problem: BaseException) -> None:
        """A call inside a call raised: own by object for the same attempt, settled by the outer one."""
        ledger = self.outer.ledger if self.outer is not None else None
        if ledger is not None and isinstance(problem, Exception):
            ledger.raised.append(call_error.CallError(problem))

    def _settle(self, problem: BaseException | None, response_id: str | None, result: object) -> None:
        if self.done or self.ledger is None:
            return
        self.done = True
        ledger = self.ledger
        if self.inference:
            ledger.open_calls -= 1
        if isinstance(problem, Exception):
            if self.attempt is None or not self.attempt.disowns(problem):
                ledger.call_raised(problem)
        elif problem is None and self.inference:
            ledger.call_returned(response_id)
            self._look_at(result, ledger)
        self._end(problem, response_id, result)

    def _look_at(self, answer: object, ledger: evidence.Ledger) -> None:
        """Take note of what an answer is, for what a run may have got wrong."""
        model = read(answer, "model")
        if isinstance(model, str):
            ledger.response_model = model
        if self.asked.operation in _SPEAKING:
            ledger.empty = answers.is_empty(answer)
            if "text_error" in runtime.current().settings.enabled_rules:
                ledger.text_error = answers.reads_like_error(answer)

    def _end(self, problem: BaseException | None, response_id: str | None, result: object) -> None:
        """End the call's span, and the attempt that is just this call."""
        attempt, span = self.attempt, self._span
        if attempt is None:
            return
        shared = span is not None and attempt._own.span is span
        if span is not None and span.is_recording():
            self._write(span, attempt, problem, response_id, result)
            if names.CANDIDATE_PROVIDER not in (getattr(span, "attributes", None) or names.CANDIDATE_PROVIDER):
                span.set_attributes(attempt.inherited())
        if span is not None:
            processor.unbind(span.get_span_context().span_id)
            if not shared:
                span.end()
        if self._owns:
            if problem is not None and attempt._run is None:
                hints.call_failed(self)
            attempt.conclude(problem)

    def _write(
        self,
        span: Span,
        attempt: Attempt,
        problem: BaseException | None,
        response_id: str | None,
        result: object,
    ) -> None:
        """Write what came back onto the call's span: own evidence only."""
        if problem is None:
            attributes: dict[str, Any] = {}
            if response_id:
                attributes[names.GEN_AI_RESPONSE_ID] = response_id[:255]
                if attempt._ledger.response_model:
                    attributes[names.GEN_AI_RESPONSE_MODEL] = attempt._ledger.response_model[:255]
            if result is not None:
                attributes.update(_usage(read(result, "usage")))
            if attributes:
                span.set_attributes(attributes)
            return
        attempt.write_call_error(span, problem)

    # --- streams ------------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def stream_opened(self, stream: object) -> None:
        """The SDK returned a stream: the call, and its attempt, stay open until it ends or is dropped."""
        if self.ledger is None or self.done or self.streaming:
            return
        self.streaming = True
        self.ledger.streams += 1
        self._finalizer = weakref.finalize(stream, dropping.dropped, self.stream_ended)
        self._finalizer.atexit = False

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
            self.ledger.stream_error = error
            return
        if self.ledger.chunks is None:
            response_id = read(chunk, "id") or read(read(chunk, "message"), "id") or read(read(chunk, "response"), "id")
            if isinstance(response_id, str):
                self.ledger.response_ids.append(response_id)
        self.ledger.saw_chunk(chunk)

    def keeper(self) -> Callable[[str], None] | None:
        """Return what keeps a further chunk's text, so that a claim may be looked for in it."""
        chunks = self.ledger.chunks if self.ledger is not None and not self.done else None
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
        if self.done or not self.streaming or self.ledger is None or self.attempt is None:
            return
        self.ledger.streams = max(0, self.ledger.streams - 1)
        if isinstance(problem, GeneratorExit):
            problem = None
        response_id = self.ledger.response_ids[-1] if self.ledger.response_ids else None
        if problem is not None and self.ledger.stream_error is None:
            self.ledger.stream_error = call_error.error_in_exception(problem)
        self._settle(problem, response_id, None)
        if not self._owns and not self.attempt._inside and self.ledger.streams == 0:
            self.attempt._finish()

    def reads_later(self) -> bool:
        """Whether the host reads the body after the SDK has returned, out of our sight: `with_streaming_response`."""
        own = self.ledger.exchanges if self.ledger is not None else []
        return bool(own) and own[-1].stream and own[-1].call is self

    @guarded(fallback=None)
    def unseen(self, why: str) -> None:
        """Say that part of the evidence passes us by."""
        if self.ledger is not None:
            self.ledger.unseen = why


def _usage(usage: object) -> dict[str, int]:
    found: dict[str, int] = {}
    if usage is not None:
        for key, fields in _USAGE:
            for each in fields:
                value = read(usage, each)
                if isinstance(value, int):
                    found[key] = value
                    break
    return found


@guarded(fallback=None)
def begin(reader: Callable[[], Asked | None]) -> Call | None:
    """Open a call, or return None where there is nothing to open.

    Args:
        reader: Reads what the SDK was asked; runs guarded.
    """
    if not runtime.current().active:
        return None
    asked = reader()
    if asked is None:
        return None
    call = Call(asked)
    call.open()
    return call
