"""What the wire said, bound to the attempt that asked.

A transport reports each send to the `Ledger` of the attempt in whose context it happens; a provider adapter reports
each SDK call. Nothing here settles what somebody else sent.
"""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.context import attempt_in
from otel_failover._core.domain import providers
from otel_failover._core.domain.endpoint import host_of
from otel_failover._core.evidence.call_error import CallError
from otel_failover._core.evidence.error_body import ErrorBody, pieces
from otel_failover._core.evidence.exchange import ASIDE, ELSEWHERE, OWN, Exchange
from otel_failover._core.evidence.orphans import orphans
from otel_failover._core.failsafe import read
from otel_failover._core.text.matching import normalise

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_failover._core.evidence.exchange import OpenCall

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


class Ledger:
    """The evidence of one attempt: what it and its descendants sent, and what came of it.

    Args:
        provider: What the loop declared, None for an inferred attempt.
        endpoint: The candidate's endpoint, None where only the provider is known.
        parent: The ledger of the attempt this one runs inside; it owns what its descendants sent.
        neighbours: Endpoints of the other members of the chain.
        gateways: Hosts that relay for many providers: the table says nothing about them.
    """

    __slots__ = (
        "__weakref__",
        "_heard", "_secrets", "beside", "calls", "chunks", "closed", "elsewhere", "empty", "endpoint", "exchanges",
        "failure_seen",
        "gateways",
        "last_failed", "model", "neighbours", "open_calls", "orphaned", "parent", "pid", "provider", "raised",
        "response_ids", "response_model", "retries",
        "rootless", "started", "stream_error",
        "streams", "text_error", "unseen",
        "who",
    )  # fmt: skip

    def __init__(
        self,
        provider: str | None,
        endpoint: str | None,
        parent: Ledger | None = None,
        neighbours: frozenset[str] = frozenset(),
        gateways: frozenset[str] = frozenset(),
    ) -> None:
        self.provider, self.endpoint, self.parent = provider, endpoint, parent
        self.neighbours, self.gateways = neighbours, gateways
        self.who: object = None
        self.exchanges: list[Exchange] = []
        self.raised: list[CallError] = []
        self.response_ids: list[str] = []
        self.chunks: deque[str] | None = None
        self.stream_error: ErrorBody | None = None
        self.elsewhere: list[Exchange] = []
        self.beside: Ledger | None = None
        self.last_failed: CallError | None = None
        self.failure_seen: tuple[Any, Any] = (None, None)
        self.calls = self.open_calls = self.streams = 0
        self.unseen: str | None = None
        self.orphaned = False
        self.rootless = False
        self._heard = False
        self.model = self.response_model = ""
        self.retries: int | None = None
        self.empty: bool | None = None
        self.text_error: bool | None = None
        self.closed = False
        self.pid = _PID[0]
        self.started = time.monotonic()
        self._secrets: tuple[int, tuple[str, ...]] = (0, ())

    @property
    def live(self) -> bool:
        """Whether it takes evidence: not ended, and not inherited through a fork."""
        return not self.closed and self.pid == _PID[0]

    # --- whose send is it ---------------------------------------------------------------------------------------------

    def whose(self, endpoint: str, method: str, call: OpenCall | None) -> str:
        """Say whose a send is: the candidate's, somebody else's, or an aside.

        Args:
            endpoint: Where it goes.
            method: HTTP method; a provider is asked by POST, anything else is a probe.
            call: The open SDK call, None for a plain HTTP request.
        """
        if call is not None and (not call.inference or self._is_beside(call)):
            return ASIDE
        if self.belongs(endpoint, call.endpoint if call is not None else None):
            return OWN if method == "POST" else ASIDE
        return ELSEWHERE if self.is_elsewhere(endpoint) else ASIDE

    def _is_beside(self, call: OpenCall) -> bool:
        """Whether a call asks another model for another purpose: embeddings for a search, beside the chat."""
        return bool(self.model) and call.model != self.model and call.asked.operation == "embeddings"

    def belongs(self, endpoint: str, base: str | None) -> bool:
        """Whether an endpoint is the candidate's.

        Args:
            endpoint: Where a request goes.
            base: The base URL's endpoint of the open SDK call.
        """
        if self.endpoint is not None:
            return endpoint == self.endpoint
        host = host_of(endpoint)
        known = None if host in self.gateways else providers.provider_of_host(host)
        if known is not None and self.provider in providers.PROVIDERS:
            return known == self.provider
        return base == endpoint and endpoint not in self.neighbours

    def is_elsewhere(self, endpoint: str) -> bool:
        """Whether the table or the chain gives an endpoint to somebody else than this candidate."""
        if self.provider is None or endpoint == self.endpoint:
            return False
        if endpoint in self.neighbours:
            return True
        host = host_of(endpoint)
        known = None if host in self.gateways else providers.provider_of_host(host)
        return known is not None and known != self.provider and self.provider in providers.PROVIDERS

    def add(self, exchange: Exchange, call: OpenCall | None = None) -> None:
        """Take one send into the evidence, and tell the attempts around about an own one."""
        exchange.call, exchange.ledger = call, self
        exchange.model = call.model if call is not None else None
        exchange.kind = self.whose(exchange.endpoint, exchange.method, call)
        (self.elsewhere if exchange.kind == ELSEWHERE else self.exchanges).append(exchange)
        if exchange.kind == OWN:
            above = self.parent
            while above is not None:
                above.exchanges.append(exchange)
                above = above.parent
        if self.beside is not None:
            self.beside.elsewhere.append(exchange)

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
                above.response_ids.append(response_id)
            above = above.parent

    def adopt(self, exchange: Exchange) -> None:
        """Make a send own that is bound to this attempt's exception or result by identity."""
        exchange.kind, exchange.taken = OWN, weakref.ref(self)
        if not any(mine is exchange for mine in self.exchanges):
            self.exchanges.append(exchange)

    # --- what the evidence says ---------------------------------------------------------------------------------------

    @property
    def own(self) -> list[Exchange]:
        """Own sends, in order."""
        return [exchange for exchange in self.exchanges if exchange.kind == OWN]

    @property
    def state(self) -> tuple[str, str | None]:
        """`complete`, `partial` or `none`, and what is missing."""
        own = self.own
        if not self.calls and not own:
            around = self.endpoint and orphans.overlap(self.endpoint, self.started, own)
            return ("partial", "orphan") if around else ("none", None)
        gap = self.unseen or self._gap(own)
        return ("partial", gap) if gap else ("complete", None)

    def _gap(self, own: list[Exchange]) -> str | None:
        if self.open_calls:
            return "call_open"
        for exchange in own:
            if exchange.stopped is None:
                return "request_open"
        for exchange in own:
            if exchange.is_error and not exchange.body.whole:
                return "body_not_seen"
        if self.asked_elsewhere:
            return "other_endpoint"
        if self.orphaned or (self.endpoint and orphans.overlap(self.endpoint, self.started, own)):
            return "orphan"
        return None

    @property
    def asked_elsewhere(self) -> bool:
        """Whether nothing was asked where the candidate is declared to be, and something where its client sends."""
        return not self.own and any(exchange.is_to_its_calls_base for exchange in self.exchanges)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials of this attempt's own requests."""
        sends = len(self.exchanges) + len(self.elsewhere)
        if not self.closed and self._secrets[0] != sends:
            if sends == 1:
                self._secrets = (1, (self.exchanges or self.elsewhere)[0].sent.secrets)
            else:
                found = (secret for each in (*self.exchanges, *self.elsewhere) for secret in each.sent.secrets)
                self._secrets = (sends, tuple(dict.fromkeys(found)))
        return self._secrets[1]

    def raised_here(self, problem: object) -> CallError | None:
        """Return the record of an exception that a provider call of this attempt raised."""
        return next((raised for raised in self.raised if raised.reference.is_(problem)), None)

    def is_own(self, problem: BaseException) -> bool:
        """Whether an exception is one that a provider call of this attempt raised, and says what it said then."""
        raised = self.raised_here(problem)
        return raised is not None and raised.unchanged(problem)

    def by_response(self, response: object) -> Exchange | None:
        """Return the send that a response answers, own or aside."""
        return next((e for e in self.exchanges if e.response is not None and e.response.is_(response)), None)

    def by_request(self, request: object) -> Exchange | None:
        """Return the send of a request, own or aside."""
        return next((e for e in self.exchanges if e.request.is_(request)), None)

    def holds(self, text: str) -> bool | None:
        """Whether a normalised text stands in any byte of this attempt that is not kept as an error text.

        That is: successful bodies, chunks, the request (a provider may quote a prompt) and the answers to asides.

        Returns:
            None where some of it could not be seen.
        """
        bodies = (exchange.body.text for exchange in self.exchanges if exchange.is_error)
        if any(text in normalise(piece) for body in bodies for piece in pieces(body)):
            return True
        if self.chunks and text in normalise("".join(self.chunks)):
            return True
        found = [exchange.holds(text) for exchange in self.exchanges]
        return True if True in found else None if None in found else False

    def saw_chunk(self, chunk: object) -> None:
        """Remember what a chunk of a stream adds, at most 256, so that a claim may be looked for in it."""
        if self.chunks is None:
            self.chunks = deque(maxlen=_CHUNKS)
        text = chunk_text(chunk)
        if text:
            self.chunks.append(text)

    @property
    def heard(self) -> bool:
        """Whether output has begun: a text or a tool call; a chunk that only opens a message is none."""
        return self._heard or bool(self.chunks)

    @heard.setter
    def heard(self, value: bool) -> None:
        self._heard = value

    def close(self) -> None:
        """End the evidence: nothing more is taken, bodies and credentials are let go."""
        _ = self.secrets
        self.closed = True
        for exchange in (*self.exchanges, *self.elsewhere):
            if exchange.ledger is self:
                exchange.reduce()
        self._heard, self.chunks = self.heard, None


WORDLESS: Final = " "
"""What stands for output that is no text: a piece of a tool call, of a thought."""

_WORDLESS: Final = ("tool_calls", "function_call", "partial_json", "thinking", "refusal")


def chunk_text(chunk: object) -> str:
    """Return the text that a stream's chunk adds, in the shapes of OpenAI's and Anthropic's SDKs."""
    if isinstance(chunk, str):
        return chunk
    choices = read(chunk, "choices")
    delta = read(choices[0], "delta") if isinstance(choices, list) and choices else read(chunk, "delta")
    if isinstance(delta, str):
        return delta
    text = read(delta, "content") or read(delta, "text") or read(chunk, "text") or wordless(delta)
    return text if isinstance(text, str) else ""


def wordless(delta: object) -> str:
    """Return `WORDLESS` where a piece of a stream is output though it has no text."""
    return WORDLESS if delta is not None and any(read(delta, name) for name in _WORDLESS) else ""


_PID: Final = [os.getpid()]


def _after_fork() -> None:
    _PID[0] = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
