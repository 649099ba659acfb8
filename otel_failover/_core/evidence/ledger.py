"""What the wire said, bound to the attempt that asked.

A transport reports each send to the `Ledger` of the attempt in whose context it happens; a provider adapter reports
each SDK call. Whose a send is, `ownership` says; how an attempt ended, `outcome` reads out of here.
"""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.context import attempt_in
from otel_failover._core.domain.endpoint import base_of
from otel_failover._core.evidence.answers.content import chunk_text
from otel_failover._core.evidence.call_error import CallError
from otel_failover._core.evidence.error_body import body_text, pieces
from otel_failover._core.evidence.orphans import orphans
from otel_failover._core.evidence.ownership import OTHER_CANDIDATE, OWN, sibling_at, whose
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.text.matching import holds, normalise

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_failover._core.domain.chain import Siblings
    from otel_failover._core.evidence.error_body import ErrorBody
    from otel_failover._core.evidence.exchange import Exchange, OpenCall

_CHUNKS: Final = 256


def current_ledger(context: Context | None = None) -> Ledger | None:
    """Return the ledger of the live attempt whose context this is, as `get_current_span` stands beside `Span`.

    Args:
        context: OpenTelemetry's; the current one by default.
    """
    attempt = attempt_in(context)
    if attempt is None or not attempt.live:
        return None
    ledger: Ledger = attempt.ledger
    return ledger


class StreamFacts:
    """What the streams of an attempt yielded. The values stand on the class, so that to make one runs no code of ours.

    Attributes:
        chunks: The texts of the last 256 chunks, so that a claim may be looked for in them; None without a stream.
        error: An error event of a stream, as the wrapped stream saw it or the SDK's exception states it.
        begun: Output has begun, though no chunk is kept that shows it.
        cut: The send whose stream was being read when its reader was cancelled, and by what.
        unfinished: A stream ended in good order, but without the mark that its dialect ends with.
        untouched: An answer's headers came, and the host has not begun to read on: it is the host that takes its time.
    """

    chunks: deque[str] | None = None
    error: ErrorBody | None = None
    begun: bool = False
    cut: tuple[Exchange, type[BaseException]] | None = None
    unfinished: bool = False
    untouched: bool = False


class AnswerFacts:
    """What the good answers of an attempt said of themselves: the last one's word stands, but for the ids.

    Attributes:
        response_ids: Of each, in order.
        model: That the answer names; empty where none does.
        empty: It holds neither a text nor a tool call; None where nobody looked.
        text_error: Its text reads like an error message; None where nobody looked.
        refused: It was withheld, for what it or the prompt holds.
    """

    response_ids: tuple[str, ...] = ()
    model: str = ""
    empty: bool | None = None
    text_error: bool | None = None
    refused: bool = False


class Ledger:
    """The evidence of one attempt: what it and its descendants sent, and what came of it.

    Whether it takes evidence (`live`):

    =========  ======================================================================================================
    open       from the start; sends, calls and streams are recorded
    closed     once the attempt has ended: nothing is taken any more, and the bodies and credentials are let go
    inherited  open when the process was forked: in the child it takes nothing, since the parent goes on writing there
    =========  ======================================================================================================

    How much of what happened it has seen, and what is missing (`state`); the first that fits:

    ========  ==================  ====================================================================================
    partial   `orphan`            nothing of its own, but a send without an attempt was under way to the candidate
    none                          neither an SDK call nor an own send: nothing is known, so nothing can be proved
    partial   what `unseen` says  an adapter knows that a stream or a body passes it by
    partial   `call_open`         an SDK call has neither returned nor raised
    partial   `request_open`      an own send has neither an answer nor a transport error
    partial   `body_not_seen`     the host has not read an own error body, or it is longer than what we look at
    partial   `other_endpoint`    nothing went to the endpoint that the candidate declares, and something to that of
                                  its client
    partial   `orphan`            beside own sends, too, a send without an attempt was under way to the candidate
    complete                      else
    ========  ==================  ====================================================================================

    Args:
        provider: What the loop declared, None for an inferred attempt.
        endpoint: The candidate's endpoint, None where only the provider is known.
        parent: The ledger of the attempt this one runs inside; it owns what its descendants sent.
        neighbours: Endpoints of the other members of the chain.
        gateways: Hosts that relay for many providers: the table says nothing about them.
        siblings: The other members of the chain at the candidate's own endpoint; None where there are none.

    Attributes:
        base: Path of the base URL that its first call asks; None before that. In memory only.
        model: The candidate's model; empty where it is not known yet.
        who: The candidate as a whole: equal for two attempts at the same one.
        beside: The ledger of the attempt inside which this one asks somebody else.
        exchanges: Own and unrelated sends, in order.
        own: Own sends, in order.
        to_others: Sends to other candidates.
        calls: SDK calls that ask a model, of which `open_calls` are under way.
        open_streams: Streams that have neither ended nor been dropped.
        raised: What the calls raised, each as it was then.
        last_failed: The last of these, unless a later call returned.
        retries: How often the SDK tries again by itself; None where that is not known.
        stream: What its streams yielded.
        answer: What its good answers said of themselves.
        unseen: What an adapter could not see.
        rootless: Nothing at all was current when it began, as in a thread that was started without its context.
        stopped: When the attempt was left, in seconds of the monotonic clock, where it is settled later; None else.
        last_sent: What the last call by wire was sent as, to know its repetitions by.
        failure_seen: The failure that `outcome` found last, and what it was found in.
    """

    __slots__ = (  # noqa: RUF023 - what was sent, whose it is, what came back, what is read on demand
        "__weakref__",
        "provider", "endpoint", "base", "model", "neighbours", "gateways", "siblings", "who",
        "parent", "beside",
        "exchanges", "own", "to_others",
        "calls", "open_calls", "open_streams", "raised", "last_failed", "retries",
        "stream", "answer",
        "unseen", "rootless",
        "started", "stopped", "closed", "pid",
        "failure_seen", "last_sent", "_secrets",
    )  # fmt: skip

    def __init__(
        self,
        provider: str | None,
        endpoint: str | None,
        parent: Ledger | None = None,
        neighbours: frozenset[str] = frozenset(),
        gateways: frozenset[str] = frozenset(),
        siblings: Siblings | None = None,
    ) -> None:
        self.provider, self.endpoint, self.parent = provider, endpoint, parent
        self.neighbours, self.gateways, self.siblings = neighbours, gateways, siblings
        self.base: str | None = None
        self.model = ""
        self.who: object = None
        self.beside: Ledger | None = None
        self.exchanges: list[Exchange] = []
        self.own: list[Exchange] = []
        self.to_others: list[Exchange] = []
        self.calls = self.open_calls = self.open_streams = 0
        self.raised: list[CallError] = []
        self.last_failed: CallError | None = None
        self.retries: int | None = None
        self.stream, self.answer = StreamFacts(), AnswerFacts()
        self.unseen: str | None = None
        self.rootless = self.closed = False
        self.started = time.monotonic()
        self.stopped: float | None = None
        self.pid = PID[0]
        self.failure_seen: tuple[Any, Any] = (None, None)
        self.last_sent: object = None
        self._secrets: tuple[int, tuple[str, ...]] = (0, ())

    @property
    def live(self) -> bool:
        """Whether it takes evidence: not ended, and not inherited through a fork."""
        return not self.closed and self.pid == PID[0]

    # --- what is reported ---------------------------------------------------------------------------------------------

    def add(self, exchange: Exchange, call: OpenCall | None = None) -> None:
        """Take one send into the evidence; an own one is that of the attempts around, too."""
        exchange.call, exchange.owner = call, weakref.ref(self)
        exchange.model = call.model if call is not None else None
        path = _path_of(exchange) if self.siblings is not None and call is None else ""
        exchange.kind = whose(self, exchange.endpoint, exchange.method, call, path)
        (self.to_others if exchange.kind == OTHER_CANDIDATE else self.exchanges).append(exchange)
        if exchange.kind == OWN:
            self.own.append(exchange)
            above = self.parent
            while above is not None:
                above.exchanges.append(exchange)
                above.own.append(exchange)
                above = above.parent
        if self.siblings is not None and exchange.kind == OTHER_CANDIDATE:
            exchange.sibling = _sibling_asked(self, exchange, call, path)
        if self.beside is not None:
            self.beside.to_others.append(exchange)
            exchange.sibling = _sibling_asked(self.beside, exchange, call, path)

    def call_raised(self, problem: BaseException) -> CallError:
        """Record that a provider call of this attempt raised, here and in the attempts around."""
        raised = CallError(problem)
        above: Ledger | None = self
        while above is not None:
            above.raised.append(raised)
            above.last_failed = raised
            above = above.parent
        return raised

    def call_returned(self, response_id: str | None = None) -> None:
        """Record that a provider call of this attempt returned, here and in the attempts around."""
        above: Ledger | None = self
        while above is not None:
            above.last_failed = None
            if response_id:
                above.answer.response_ids += (response_id,)
            above = above.parent

    def adopt(self, exchange: Exchange) -> None:
        """Make a send own that is bound to this attempt's exception or result by identity."""
        exchange.kind, exchange.taken = OWN, weakref.ref(self)
        if not any(mine is exchange for mine in self.exchanges):
            self.exchanges.append(exchange)
        # Anew, since who asked before has the sends that were own then; and in the order in which they were sent.
        self.own = [each for each in self.exchanges if each.kind == OWN]

    def saw_chunk(self, chunk: object) -> None:
        """Remember what a chunk of a stream adds, at most 256, so that a claim may be looked for in it."""
        stream = self.stream
        if stream.chunks is None:
            stream.chunks = deque(maxlen=_CHUNKS)
        text = chunk_text(chunk)
        if text:
            stream.chunks.append(text)

    def reader_cancelled(self, by: BaseException) -> None:
        """Record that whoever read a stream was cancelled in the middle of it.

        Args:
            by: What was thrown into it; only its class is kept.
        """
        own = self.own
        self.stream.cut = (own[-1], type(by)) if own else None

    def close(self) -> None:
        """End the evidence: nothing more is taken, bodies and credentials are let go.

        The credentials that were sent stay known, since what is exported later is searched for them. Sends of a call
        inside an attempt inside this one are that one's to reduce.
        """
        if self._secrets[0] != len(self.exchanges) + len(self.to_others):
            _ = self.secrets
        self.closed = True
        for exchange in (*self.exchanges, *self.to_others):
            if exchange.owner() is self:
                exchange.reduce()
        if self.stream.chunks is not None:
            self.stream.begun, self.stream.chunks = self.heard, None

    def forget_raised(self) -> None:
        """Let go of exceptions that could not be remembered weakly: nobody else is held against them."""
        for raised in self.raised:
            raised.forget()

    # --- what the evidence says ---------------------------------------------------------------------------------------

    @property
    def first_sent(self) -> int | None:
        """When the first own send began, in nanoseconds since the epoch as spans count them; None where none did."""
        if not self.own:
            return None
        return time.time_ns() - int((time.monotonic() - self.own[0].started) * 1e9)

    @property
    def state(self) -> tuple[str, str | None]:
        """`complete`, `partial` or `none`, and what is missing, by the table above."""
        own = self.own
        if not self.calls and not own:
            around = self.endpoint and orphans.overlap(self.endpoint, self.started, own)
            return ("partial", "orphan") if around else ("none", None)
        if self.unseen:
            return "partial", self.unseen
        if self.open_calls:
            return "partial", "call_open"
        for exchange in own:
            if exchange.stopped is None:
                return "partial", "request_open"
        for exchange in own:
            if exchange.is_error and not exchange.body.whole:
                return "partial", "body_not_seen"
        if not own and self.asks_other_endpoint:
            return "partial", "other_endpoint"
        there = self.endpoint
        if there is not None and there in orphans.endpoints and orphans.overlap(there, self.started, own):
            return "partial", "orphan"
        return "complete", None

    @property
    def asks_other_endpoint(self) -> bool:
        """Whether nothing was asked where the candidate is declared to be, and something where its client sends."""
        return not self.own and any(exchange.is_to_its_calls_base for exchange in self.exchanges)

    @property
    def heard(self) -> bool:
        """Whether output has begun: a text or a tool call; a chunk that only opens a message is none."""
        return self.stream.begun or bool(self.stream.chunks)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials of this attempt's own requests; worked out anew only where a request was added."""
        sends = len(self.exchanges) + len(self.to_others)
        if not self.closed and self._secrets[0] != sends:
            if sends == 1:
                self._secrets = (1, (self.exchanges or self.to_others)[0].sent.secrets)
            else:
                found = (secret for each in (*self.exchanges, *self.to_others) for secret in each.sent.secrets)
                self._secrets = (sends, tuple(dict.fromkeys(found)))
        return self._secrets[1]

    def raised_here(self, problem: object) -> CallError | None:
        """Return the record of an exception that a provider call of this attempt raised."""
        for raised in self.raised:
            if raised.reference.is_(problem):
                return raised
        return None

    def is_own(self, problem: BaseException) -> bool:
        """Whether an exception is one that a provider call of this attempt raised, and says what it said then."""
        raised = self.raised_here(problem)
        return raised is not None and raised.unchanged(problem)

    def by_response(self, response: object) -> Exchange | None:
        """Return the send that a response answers, own or unrelated."""
        return next((e for e in self.exchanges if e.response is not None and e.response.is_(response)), None)

    def by_request(self, request: object) -> Exchange | None:
        """Return the send of a request, own or unrelated."""
        return next((e for e in self.exchanges if e.request.is_(request)), None)

    def holds(self, text: str) -> bool | None:
        """Whether a normalised text stands in any byte of this attempt that is not kept as an error text.

        That is: successful bodies, chunks, the request (a provider may quote a prompt) and the answers to unrelated
        sends. A text that this attempt's own bytes hold proves nothing about anybody else.

        Returns:
            None where some of it could not be seen.
        """
        bodies = (exchange.body.text for exchange in self.exchanges if exchange.is_error)
        if any(holds(normalise(piece), text) for body in bodies for piece in pieces(body)):
            return True
        if self.stream.chunks and holds(normalise("".join(self.stream.chunks)), text):
            return True
        found = [exchange.holds(text) for exchange in self.exchanges]
        return True if True in found else None if None in found else False

    def good_texts(self) -> tuple[str, ...]:
        """Return the texts of own answers that were no errors, normalised, as far as the host has read them whole."""
        texts = (body_text(e.response.target) for e in self.own if e.response is not None and not e.is_error)
        return tuple(normalise(text) for text in texts if text)


def _sibling_asked(ledger: Ledger, exchange: Exchange, call: OpenCall | None, path: str) -> int | None:
    """Return the place of the other member at a candidate's own endpoint that a send goes to."""
    base, model = (path, "") if call is None else (call.asked.base, call.model)
    return sibling_at(ledger, exchange.endpoint, base, model)


def _path_of(exchange: Exchange) -> str:
    """Return the path of a plain HTTP request, without its query, where a key may stand."""
    return base_of(text_of(read(exchange.request.target, "url"))).partition("?")[0]


PID: Final = [os.getpid()]
"""In a list, since it is exchanged in a forked child; asking the system for it at each look costs a call."""


def _after_fork() -> None:
    PID[0] = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
