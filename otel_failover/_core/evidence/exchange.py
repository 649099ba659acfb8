"""One HTTP request and what came back.

A body is looked at only where the host has read it: to read one would take it from the host (a stream can be read
once), block its event loop, or hold its connection. A success is not kept alive for us.

Binding is by identity: requests, responses and exceptions are remembered by weak reference and compared with `is`. A
bare `id()` is never a key, since the number is given to the next object as soon as the first is gone, and in a busy
service that next one is another request's.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from otel_failover._core.domain.endpoint import endpoint_of
from otel_failover._core.evidence import headers as header_facts
from otel_failover._core.evidence.call_error import response_of, status_begun, transport_reason
from otel_failover._core.evidence.error_body import (
    ErrorBody,
    content_of,
    look_closer,
    read_error,
    seconds_asked,
    text_holds,
)
from otel_failover._core.evidence.ownership import OWN, UNRELATED
from otel_failover._core.evidence.references import Reference
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.text.matching import quoted_ids

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Iterable

    from otel_failover._core.evidence.ownership import SendingCall

    class OpenCall(SendingCall, Protocol):
        """An SDK call in whose context requests are sent, as far as the evidence asks.

        Attributes:
            wire: The request that is the whole call, where no SDK makes it.
        """

        wire: Exchange | None

        def response_closed(self) -> None:
            """Take note that the host closed the response under the call's stream."""

    class Owner(Protocol):
        """The evidence that an exchange belongs to: a `Ledger`, which stands above."""

        closed: bool
        who: object
        base: str | None
        started: float

        @property
        def heard(self) -> bool:
            """Whether output has begun."""

        @property
        def live(self) -> bool:
            """Whether it takes evidence."""

        @property
        def own(self) -> list[Exchange]:
            """Its own sends, in order."""


_HELD_STATUS: Final = 400
_KEPT: Final = 2_048
_ID_KEYS: Final = ("request_id", "requestId", "requestID", "RequestId", "request-id")


class Glimpse(NamedTuple):
    """What came of a request, as the library below the one that we wrap had it.

    Between the two stand other instrumentations, whose spans end before the answer reaches us.

    Args:
        url: Where the library below sent it: text, or an object that can be read as one.
        status: Of the answer; None where there is none.
        failure: Our reason, where there is no answer.
        said: The words of what was raised then.
    """

    url: Any
    status: int | None = None
    failure: str | None = None
    said: str = ""


class _Passed(NamedTuple):
    """A body that has passed, under the name that `httpx` gives it."""

    content: bytes


def _nobody() -> None:
    """Return nobody: whose evidence a request is in that has no attempt."""


class Exchange:
    """One HTTP request, and what came back: an answer, a transport error, or nothing yet.

    Args:
        request: The HTTP library's own request object.
        endpoint: Scheme, host and port it goes to.
        method: HTTP method.
        stream: Whether the host reads the body later.
        hold: Keep request and response alive until the attempt has ended; orphans are not.

    Attributes:
        owner: Returns the evidence that it is in; None once that is gone, or where it is in none. Weakly, since that
            holds it: an attempt that is over is freed at once, and waits for no collector.
        is_error: The provider answered with an error: by its status, or in the body under a good one.
        begun: Status of an answer whose body broke off before the library handed it back; None else.
        sibling: Place in the chain of the other member at the candidate's own endpoint that it goes to; None else.
    """

    __slots__ = (  # noqa: RUF023 - what was sent, whose it is, what came back, what is read on demand
        "__weakref__",
        "request", "endpoint", "method", "stream", "hold", "started",
        "kind", "call", "model", "sibling", "owner", "taken",
        "stopped", "response", "status", "is_error", "request_id", "issued_id", "retry_after",
        "failure", "problem", "begun", "said", "glimpse", "timeout", "timeout_configured", "refused", "looked",
        "_sent", "_headers", "_body", "_named_ids",
    )  # fmt: skip

    def __init__(self, request: object, endpoint: str, method: str, *, stream: bool = False, hold: bool = True) -> None:
        self.request = Reference(request, hold=hold)
        self.endpoint, self.method, self.stream, self.hold = endpoint, method, stream, hold
        self.started = time.monotonic()
        self.stopped: float | None = None
        self.response: Reference | None = None
        self.status: int | None = None
        self.request_id: str | None = None
        self.issued_id: str | None = None
        self.retry_after: float | None = None
        self.failure: str | None = None
        self.problem: Reference | None = None
        self.said = ""
        self.glimpse: Glimpse | None = None
        self.begun: int | None = None
        self.timeout: str | None = None
        self.timeout_configured: float | None = None
        self.is_error = self.refused = self.looked = False
        self.kind = UNRELATED
        self.call: OpenCall | None = None
        self.model: str | None = None
        self.sibling: int | None = None
        self.owner: Callable[[], Owner | None] = _nobody
        self.taken: weakref.ref[Owner] | None = None
        self._body: ErrorBody | None = None
        self._headers: dict[bytes, str] | None = None
        self._sent: header_facts.Sent | None = None
        self._named_ids: tuple[str, ...] | None = None

    # --- reported by the transport ------------------------------------------------------------------------------------

    def answered(self, response: object, status: int, headers: Any) -> None:
        """Record that a response came, before its body is read."""
        wanted = status >= _HELD_STATUS or (self.kind == OWN and not self.stream)
        self.response = Reference(response, hold=self.hold and wanted)
        self.status = status
        answer = header_facts.of_answer(headers)
        self.request_id = header_facts.issued_id(answer)
        self.stopped = time.monotonic()
        if status >= _HELD_STATUS:
            self.is_error = True
            self._headers = answer
            self.retry_after = seconds_asked(answer)
            if self.request_id is not None and self.request_id not in self.sent.ids:
                self.issued_id = self.request_id

    def failed(self, problem: BaseException, configured: object = None) -> None:
        """Record that no response came.

        Args:
            problem: What the transport raised.
            configured: The timeouts the request was sent with, as `httpx` keeps them: `{"connect": s, "read": s, …}`.
        """
        self.failure, self.timeout = transport_reason(problem)
        self.said = text_of(problem)
        self.begun = status_begun(problem)
        owner = self.owner()
        if owner is not None and not owner.closed:
            self.problem = Reference(problem)
        if self.timeout and isinstance(configured, dict):
            seconds = configured.get(self.timeout)
            self.timeout_configured = float(seconds) if isinstance(seconds, (int, float)) else None
        self.stopped = time.monotonic()

    def refused_with(self, error: ErrorBody) -> None:
        """Record that the body under a good status is an error.

        Args:
            error: As it was read, whole.
        """
        self._body, self.is_error, self.refused = error, True, True
        if self.request_id is not None and self.request_id not in self.sent.ids:
            self.issued_id = self.request_id

    def read_as(self, content: bytes) -> None:
        """Record the body of an error as it passed while the host read it: not every library keeps it.

        Args:
            content: Decoded; longer than what is looked at where it was.
        """
        self._body = read_error(_Passed(content), self._headers)

    def look(self, *, refused: bool = False) -> bool:
        """Find out whether a body under a good status is an error, where no SDK's call has looked.

        Args:
            refused: The loop would not take it: the body may say why.

        Returns:
            Whether the answer was withheld, for what it or the prompt holds.
        """
        if self.status is None or self.is_error or self.response is None or (self.looked and not refused):
            return False
        found = look_closer(None, self.response.target, refused=refused)
        if found.error is not None:
            self.refused_with(found.error)
        self.looked = found.seen
        return found.refused

    # --- asked by the attempt -----------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether neither an answer nor a transport error has come."""
        return self.stopped is None

    @property
    def glimpsed(self) -> Glimpse | None:
        """What came of it further down, while it is under way; None where that was of a request to somebody else."""
        found = self.glimpse if self.stopped is None else None
        if found is None:
            return None
        url = bytes(found.url).decode("ascii", "replace") if hasattr(found.url, "__bytes__") else text_of(found.url)
        scheme, _, rest = url.partition("://")
        place = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]  # what follows may hold a key
        return found if endpoint_of(f"{scheme}://{place}") == self.endpoint else None

    @property
    def heard_status(self) -> int | None:
        """The status that was heard, of a whole answer or of one that broke off; None where nothing came."""
        return self.status if self.status is not None else self.begun

    @property
    def is_to_its_calls_base(self) -> bool:
        """Whether an inference call sent it to the base URL that its client has."""
        return self.call is not None and self.call.inference and self.call.endpoint == self.endpoint

    @property
    def body(self) -> ErrorBody:
        """What the error body says; read once it is there, and only if the host has read it."""
        if self._body is None:
            if not self.is_error or self.response is None:
                return ErrorBody()
            found = read_error(self.response.target, self._headers)
            if not found.whole:
                return found
            self._body = found
        return self._body

    def holds(self, text: str) -> bool | None:
        """Whether a normalised text stands in a successful body or in the request; None where it cannot be seen."""
        found = [text_holds(self.request.target, text, request=True)]
        if self.response is not None and not self.is_error and not self.stream:
            found.append(text_holds(self.response.target, text))
        return True if True in found else None if None in found else False

    @property
    def sent(self) -> header_facts.Sent:
        """What this request's own headers hold; read once, when they can no longer change."""
        if self._sent is not None:
            return self._sent
        found = header_facts.of_request(self.request.target)
        self._sent = found if self.stopped is not None else None
        return found

    @property
    def named_ids(self) -> tuple[str, ...]:
        """The request ids that its error's body names, but for those that we had sent: an echo was issued by nobody."""
        if self._named_ids is None:
            text = (self._body or self.body).text if self.is_error else ""
            # Most bodies name none: to look for the key costs less than to look for what stands behind it.
            if not any(map(text.__contains__, _ID_KEYS)):
                return ()
            return tuple(name for name in quoted_ids(text) if not self.sent_id(name))
        return self._named_ids

    def sent_id(self, name: str) -> bool:
        """Whether an id stands in a header, the URL or the body of the request; also where that cannot be seen.

        Args:
            name: With or without its dashes.
        """
        request, sought = self.request.target, name.replace("-", "").casefold()
        body = content_of(request)
        if not isinstance(body, bytes):
            return request is not None and body is not None
        raw = header_facts.raw_headers(read(request, "headers"))
        parts = [text_of(read(request, "url")).encode("utf-8", "replace"), body, *(value for _, value in raw)]
        return any(sought.encode("utf-8", "replace") in part.replace(b"-", b"").lower() for part in parts)

    def reduce(self) -> None:
        """Let go of everything but the facts, once the attempt has ended."""
        if self.is_error:
            body = self._body or self.body
            self._named_ids = self.named_ids
            self._body = body._replace(text=body.text[:_KEPT]) if len(body.text) > _KEPT else body
        if self.request.weak:
            self.request.held = None
        if self.response is not None and self.response.weak:
            self.response.held = None
        self.call = self.problem = self.glimpse = self._sent = self._headers = None


def is_of_the_wire(exchanges: Iterable[Exchange], problem: BaseException) -> bool:
    """Whether an exception was made of an answer, or of a transport error, of one of these sends.

    Args:
        exchanges: An attempt's sends, those to somebody else's host included.
        problem: What left its SDK's call.
    """
    # Here the context counts, unlike in a claim: the question is only which of these sends raised it, and SDKs raise
    # their own error inside the `except` that catches the transport's.
    response, links = response_of(problem), None
    for exchange in exchanges:
        if exchange.response is not None and exchange.response.is_(response):
            return True
        if exchange.failure is not None:
            raised = exchange.problem
            if raised is None:
                return True
            if links is None:
                made_in = None if read(problem, "__suppress_context__") else read(problem, "__context__")
                links = problem, read(problem, "__cause__"), made_in
            if any(raised.is_(each) for each in links):
                return True
    return False
