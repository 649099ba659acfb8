"""What is remembered of an attempt for the others: its facts, and its objects by identity.

Made when an attempt ends and looked into only where a claim is doubtful, so nearly everything is worked out on demand.
The objects are remembered weakly: an exception holds its traceback, and that the whole request. Only what cannot be
(Python's own exceptions) is held, until the run is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover._core.attribution.facts import SourceFacts
from otel_failover._core.domain.endpoint import address_of
from otel_failover._core.domain.verdicts import OBJECT, REQUEST, RESPONSE
from otel_failover._core.evidence.call_error import response_of
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.text.matching import holds, normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_failover._core.evidence.call_error import CallError
    from otel_failover._core.evidence.error_body import ErrorBody
    from otel_failover._core.evidence.exchange import Exchange
    from otel_failover._core.evidence.references import Reference


_ERROR: Final = 400


class Source:
    """One attempt, or one call to somebody else, as the others may be held against it.

    Args:
        provider: Whose it is.
        index: Its place in the chain.
        model: As requested.
        exchanges: Its own sends.
        span_id: Where it was first seen.
        order: Larger is later.
        key: The candidate's identity within its run.
        raised: What its calls raised.
        left: What left it, and errors it was marked with.
        stream_error: An error event of a stream.
        response_ids: Of its successful answers.
        alive: Whether it is still open.
        around: Orders of the attempts that it was made inside.
        complete: Its evidence was complete.
        reason: Why it failed.
        sentence: Its own evidence in a few words, where it failed.
        message: Its own error in our words, as `attempt.error` has it: a loop may repeat it.
    """

    __slots__ = (  # noqa: RUF023 - who it is, what it holds, how it ended, what is read on demand
        "provider", "index", "model", "key", "span_id", "around", "_order",
        "exchanges", "raised", "left", "stream_error", "response_ids",
        "complete", "reason", "sentence", "is_probe", "_message", "_alive",
        "_facts", "_texts",
    )  # fmt: skip

    def __init__(
        self,
        *,
        provider: str,
        index: int,
        model: str,
        exchanges: list[Exchange],
        span_id: str = "",
        order: int = 0,
        key: object = None,
        raised: Iterable[CallError] = (),
        left: Iterable[Reference] = (),
        stream_error: ErrorBody | None = None,
        response_ids: Iterable[str] = (),
        alive: bool = False,
        around: tuple[int, ...] = (),
        complete: bool = False,
        reason: str | None = None,
        sentence: str = "",
        message: str = "",
    ) -> None:
        self.provider, self.index, self.model, self.key = provider, index, model, key
        self.span_id, self.around, self._order = span_id, around, order
        self.exchanges, self.raised, self.left = exchanges, tuple(raised), tuple(left)
        self.stream_error, self.response_ids = stream_error, tuple(response_ids)
        self.complete, self.reason, self.sentence = complete, reason, sentence
        self._message, self._alive, self.is_probe = message, alive, False
        self._facts: SourceFacts | None = None
        self._texts: tuple[str, ...] | None = None

    @property
    def order(self) -> int:
        """Larger is later."""
        return self._order

    @property
    def who(self) -> tuple[str, str, object]:
        """Whose it is: equal for two attempts of a run at the same candidate."""
        return self.provider, self.model, self.key

    @property
    def facts(self) -> SourceFacts:
        """What its wire said, in the form in which claims are compared."""
        if self._facts is None:
            bodies = self.bodies
            statuses = {e.status for e in self.exchanges if e.status is not None and e.status >= _ERROR}
            self._facts = SourceFacts(
                self.provider,
                self.index,
                self.span_id,
                self._order,
                self._alive,
                messages=tuple(dict.fromkeys(said for body in bodies for said in body.messages if said)),
                codes=frozenset(code for body in bodies for code in body.codes),
                statuses=frozenset(statuses).union(*(body.statuses for body in bodies)),
                request_ids=frozenset(name for e in self.exchanges for name in (e.issued_id, *e.named_ids) if name),
                response_ids=frozenset(self.response_ids),
                model=self.model,
                addresses=frozenset(address_of(exchange.endpoint) for exchange in self.exchanges),
            )
        return self._facts

    def seen_by(self, key: object) -> SourceFacts:
        """Return its facts as an attempt sees them: the same candidate's are its own, of an earlier try.

        Args:
            key: The identity of that attempt's candidate.
        """
        return self.facts._replace(same=True) if key == self.key else self.facts

    @property
    def bodies(self) -> list[ErrorBody]:
        """Its error bodies."""
        found = [exchange.body for exchange in self.exchanges if exchange.is_error]
        return [*found, self.stream_error] if self.stream_error is not None else found

    @property
    def texts(self) -> tuple[str, ...]:
        """Its own error texts, normalised, for a span around the run that names this candidate."""
        if self._texts is None:
            texts = [text for body in self.bodies for text in (*body.messages, body.text)]
            texts += [*(raised.text for raised in self.raised), self._message]
            self._texts = tuple(filter(None, map(normalise, texts)))
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

        The object alone proves nothing here: an exception that several calls raise is a constant of the application's.

        Args:
            problem: What left another attempt's call.
        """
        bonds = set(self.bonds(problem))
        if bonds & {RESPONSE, REQUEST}:
            return True
        text = normalise(text_of(problem)) if OBJECT in bonds else ""
        return any(body.message and holds(text, normalise(body.message)) for body in self.bodies)

    def reduced(self) -> Source:
        """Return what of it holds no text, no body and no object: for a call that belongs to no run, or not yet."""
        found = Source(
            provider=self.provider,
            index=self.index,
            model=self.model,
            exchanges=[],
            span_id=self.span_id,
            order=self._order,
            key=self.key,
            left=[each for each in (*self.left, *(raised.reference for raised in self.raised)) if each.weak],
            # What its texts were is not known any more, so nothing can be proved by their absence.
            complete=False,
            reason=self.reason,
            sentence=self.sentence,
        )
        found._facts = self.facts._replace(messages=(), alive=False)
        return found

    def placed(self, index: int) -> Source:
        """Return it, at a place of a run that it has turned out to belong to.

        Args:
            index: The place.
        """
        self.index = self.key = index
        self._facts = self.facts._replace(index=index)
        return self

    def forget(self) -> None:
        """Let go of objects that could not be remembered weakly."""
        for raised in self.raised:
            raised.reference.held = None
        for reference in self.left:
            reference.held = None
