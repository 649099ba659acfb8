"""What is remembered of an attempt for the others: its facts, and its objects by identity.

Made when an attempt ends and looked into only where a claim is doubtful, so nearly everything is worked out on demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_failover._core.attribution.facts import SourceFacts
from otel_failover._core.domain.verdicts import OBJECT, REQUEST, RESPONSE
from otel_failover._core.evidence.carried_response import response_of
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.text import matching as wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_failover._core.evidence.call_error import CallError
    from otel_failover._core.evidence.error_body import ErrorBody
    from otel_failover._core.evidence.exchange import Exchange
    from otel_failover._core.references import Reference


class Source:
    """One attempt, or one call to somebody else, as the others may be held against it.

    Args:
        provider: Whose it is.
        index: Its place in the chain.
        model: As requested.
        span_id: Where it was first seen.
        order: Larger is later.
        alive: Whether it is still open.
        around: Orders of the attempts that it was made inside.
        key: The candidate's identity within its run.
        exchanges: Its own sends.
        raised: What its calls raised.
        left: What left it, and errors it was marked with.
        stream_error: An error event of a stream.
        response_ids: Of its successful answers.
        complete: Its evidence was complete.
        reason: Why it failed.
        sentence: Its own evidence in a few words.
        told: Its own error, as `attempt.error` tells it: a loop may report it.
    """

    __slots__ = (
        "_alive",
        "_incident",
        "_order",
        "_texts",
        "around",
        "complete",
        "exchanges",
        "index",
        "key",
        "left",
        "model",
        "provider",
        "raised",
        "reason",
        "response_ids",
        "sentence",
        "span_id",
        "stream_error",
        "told",
    )  # fmt: skip

    def __init__(
        self,
        provider: str,
        index: int,
        model: str,
        span_id: str,
        order: int,
        key: object,
        exchanges: list[Exchange],
        raised: Iterable[CallError] = (),
        left: Iterable[Reference] = (),
        stream_error: ErrorBody | None = None,
        response_ids: Iterable[str] = (),
        *,
        alive: bool = False,
        around: tuple[int, ...] = (),
        complete: bool = False,
        reason: str | None = None,
        sentence: str = "",
        told: str = "",
    ) -> None:
        self.around = around
        self.provider, self.index, self.model, self.span_id = provider, index, model, span_id
        self._order, self.key, self._alive = order, key, alive
        self.exchanges, self.raised, self.left = exchanges, tuple(raised), tuple(left)
        self.stream_error, self.response_ids = stream_error, tuple(response_ids)
        self.complete, self.reason, self.sentence, self.told = complete, reason, sentence, told
        self._incident: SourceFacts | None = None
        self._texts: tuple[str, ...] | None = None

    @property
    def incident(self) -> SourceFacts:
        """What its wire said, in the form in which claims are compared."""
        if self._incident is None:
            bodies = self.bodies
            self._incident = SourceFacts(
                self.provider,
                self.index,
                self.span_id,
                self._order,
                self._alive,
                messages=tuple(dict.fromkeys(filter(None, (wording.normalise(b.message) for b in bodies)))),
                codes=frozenset(code for body in bodies for code in body.codes),
                statuses=frozenset(e.status for e in self.exchanges if e.status is not None and e.is_error),
                request_ids=frozenset(e.issued_id for e in self.exchanges if e.issued_id is not None),
                response_ids=frozenset(self.response_ids),
            )
        return self._incident

    def seen_by(self, key: object) -> SourceFacts:
        """Return its incident as an attempt sees it: the same candidate's is its own earlier one."""
        return self.incident._replace(same=True) if key == self.key else self.incident

    @property
    def bodies(self) -> list[ErrorBody]:
        """Its error bodies."""
        found = [exchange.body for exchange in self.exchanges if exchange.is_error]
        return [*found, self.stream_error] if self.stream_error is not None else found

    @property
    def texts(self) -> tuple[str, ...]:
        """Its own error texts, normalised, for a span around the run that names this candidate."""
        if self._texts is None:
            said = [text for body in self.bodies for text in (body.message, body.text)]
            said += [*(raised.text for raised in self.raised), self.told]
            self._texts = tuple(filter(None, map(wording.normalise, said)))
        return self._texts

    def holds(self, thing: object) -> bool:
        """Whether an exception is one that this attempt's calls raised, or that left it."""
        return any(each.reference.is_(thing) for each in self.raised) or any(each.is_(thing) for each in self.left)

    def bonds(self, thing: object) -> Iterator[str]:
        """Yield the ways in which an error object is bound to this attempt by identity."""
        if self.holds(thing):
            yield OBJECT
        response, request = response_of(thing), read(thing, "request")
        if response is not None and any(e.response is not None and e.response.is_(response) for e in self.exchanges):
            yield RESPONSE
        if request is not None and any(exchange.request.is_(request) for exchange in self.exchanges):
            yield REQUEST

    def is_source_of(self, problem: BaseException) -> bool:
        """Whether an exception was made of what this attempt's wire said: of a response or request, or of its words.

        A constant that several raise is of nobody's.

        Args:
            problem: What left another attempt's call.
        """
        bonds = set(self.bonds(problem))
        if bonds & {RESPONSE, REQUEST}:
            return True
        said = wording.normalise(text_of(problem)) if OBJECT in bonds else ""
        return any(body.message and wording.normalise(body.message) in said for body in self.bodies)

    def forget(self) -> None:
        """Let go of objects that could not be remembered weakly."""
        for raised in self.raised:
            raised.forget()
        for reference in self.left:
            reference.forget()
