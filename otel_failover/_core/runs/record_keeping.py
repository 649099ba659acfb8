"""A run's account: what became of each attempt and skip, kept until the run is over.

Findings are drawn from it, and `summarize` reads it. Nearly everything is worked out on demand, the records' module
included: most runs are served by their first candidate, and nobody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from otel_failover._core.attribution.from_exception import from_exception
from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain import providers, reasons
from otel_failover._core.domain.candidate_error import CandidateError
from otel_failover._core.domain.outcome import ERROR, SUCCESS
from otel_failover._core.failsafe import read
from otel_failover._core.text import matching as wording
from otel_failover._core.text.escapes import compiled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_failover._core.attribution.claim import Said
    from otel_failover._core.attribution.source import Source
    from otel_failover._core.domain.candidate import Candidate
    from otel_failover._core.domain.outcome import Outcome
    from otel_failover._core.findings.record import AttemptRecord, Record, Report, Skipped
    from otel_failover._core.runs.attempt import Attempt

_MOST: Final = 64
_SHORT: Final = 255
_BLAME: Final = ("llm_provider", "provider")


class Past(NamedTuple):
    """One attempt that has ended.

    Args:
        attempt: The attempt.
        settled: How it ended.
        trail: What others may be held against; None where it could not be made.
        ended: In seconds of the monotonic clock.
        claimed: Texts that were claimed for it.
        stopped_before: The run had been cancelled, or told to stop, before it began.
    """

    attempt: Attempt
    settled: Outcome
    trail: Source | None
    ended: float
    claimed: tuple[str, ...]
    stopped_before: bool


class RunRecorder:
    """What a run keeps of its attempts and skips, the last 64 of each."""

    __slots__ = ("booked", "pasts", "report", "skipped")

    def __init__(self) -> None:
        self.pasts: list[Past] = []
        self.skipped: list[Skipped] = []
        self.report: Report | None = None
        self.booked: frozenset[int] = frozenset()

    def add(self, past: Past) -> None:
        """Take in an attempt that has ended."""
        if len(self.pasts) >= _MOST:
            del self.pasts[0]
        self.pasts.append(past)

    def skip(self, candidate: Candidate, index: int, reason: str, cause: object) -> str | None:
        """Take in a candidate that was passed over.

        Args:
            candidate: Who.
            index: Its place in the chain.
            reason: The loop's word, redacted.
            cause: The exception or `CandidateError` that armed it.

        Returns:
            The span where the cause was first seen, where it is known.
        """
        from otel_failover._core.findings.record import Skipped

        whose, why, span_id = self._cause(cause)
        if len(self.skipped) < _MOST:
            model = identity.shown(candidate.model)
            self.skipped.append(Skipped(candidate.provider, model, index, reason, candidate.profile, whose, why))
        return span_id or None

    def _cause(self, cause: object) -> tuple[tuple[str, str, str | None] | None, str | None, str]:
        """Return whose failure a skip cites: provider, model and profile, its reason, its span."""
        if isinstance(cause, CandidateError):
            return (cause.provider, identity.shown(cause.model), cause.profile), cause.reason, cause.span_id
        for past in self.pasts if cause is not None else ():
            if past.trail is not None and past.trail.holds(cause):
                who = past.attempt._candidate
                return (who.provider, identity.shown(who.model), who.profile), past.settled.reason, past.trail.span_id
        return None, None, ""

    def left_by(self, problem: BaseException | None) -> None:
        """Take in the error that leaves the run, where it has something to tell.

        Args:
            problem: What leaves it, if anything; only what it tells of is kept.
        """
        if isinstance(problem, Exception) and sum(past.settled.outcome != SUCCESS for past in self.pasts) > 1:
            from otel_failover._core.findings.record import Report

            said = from_exception(problem)
            self.report = Report(said.type or "", frozenset(self._told(said)), frozenset(_blamed(problem)))

    def _told(self, said: Said) -> Iterator[int]:
        """Yield the positions of the attempts whose own error a report tells: by object, or in its words."""
        texts = [wording.normalise(text) for text in said.texts]
        things = (said.thing, *said.members)
        for position, past in enumerate(self.pasts):
            trail, own = past.trail, wording.normalise(past.settled.message)
            if (trail is not None and any(bond for thing in things for bond in trail.bonds(thing))) or (
                own and any(own in text for text in texts)
            ):
                yield position

    @property
    def errors(self) -> list[CandidateError]:
        """The own error of each attempt that did not serve the run, in order; probes are left out."""
        told = (past.attempt.error for past in self.pasts if not past.attempt._probe)
        return [error for error in told if error is not None]

    @property
    def plain(self) -> bool:
        """Whether no finding is possible: one attempt, in its chain, answered well or refused once by its provider."""
        if len(self.pasts) != 1 or self.skipped:
            return False
        past = self.pasts[0]
        ledger, attempt, settled = past.attempt._ledger, past.attempt, past.settled
        if attempt.index != 0 or (self.booked and 0 not in self.booked):
            return False
        if settled.outcome == SUCCESS:
            return (
                _is_itself(ledger.answer.model, attempt.model)
                and not ledger.answer.empty
                and not ledger.answer.text_error
            )
        return (
            settled.outcome == ERROR
            and settled.status not in (None, 400, 404)
            and settled.reason != reasons.MODEL_NOT_FOUND
            and len(ledger.exchanges) == 1
        )

    def record(
        self,
        library: str,
        loop: str,
        chain: Iterable[Candidate],
        outcome: str,
        stop_reason: str | None,
        untried: Iterable[int],
        started: float,
        ended: float,
        open_attempts: Iterable[Attempt] = (),
    ) -> Record:
        """Return the record of the run.

        Args:
            library: Which loop.
            loop: Its operation or route.
            chain: The configured chain.
            outcome: What became of the run.
            stop_reason: Why it ended with candidates left.
            untried: Places neither tried nor skipped.
            started: In seconds of the monotonic clock.
            ended: The same.
            open_attempts: Attempts that still run.
        """
        from otel_failover._core.findings.record import Record

        # Without a claim nobody can carry a text that is not its own.
        claimed = any(past.claimed for past in self.pasts)
        known = {text for past in self.pasts for text in _own_texts(past)} if claimed else set()
        tried = [_tried(past, started, known) for past in self.pasts]
        tried += [_still_open(attempt, started, ended) for attempt in open_attempts]
        return Record(
            library,
            loop,
            tuple((each.provider, identity.shown(each.model)) for each in chain),
            outcome,
            stop_reason,
            tuple(tried),
            tuple(self.skipped),
            tuple(untried),
            self.report,
            ended - started,
            self.booked,
        )


_DATED: Final = r"[-@:]\d{4}"


def _is_itself(answered: str, asked: str) -> bool:
    """Whether a model answered by the name it was asked by, or by that and a date; findings look closer."""
    if not answered.startswith(asked):
        return answered == ""
    return len(answered) == len(asked) or compiled(_DATED).match(answered, len(asked)) is not None


def _blamed(problem: BaseException) -> Iterator[str]:
    """Yield the providers that an error names by a key of its own."""
    for name in _BLAME:
        value = read(problem, name)
        if isinstance(value, str) and (known := providers.canonical(value)) in providers.PROVIDERS:
            yield known


def _own_texts(past: Past) -> Iterator[str]:
    """Yield the error messages that an attempt's own evidence holds, normalised, where they are long enough to bind."""
    messages = [past.settled.message, *(each.body.message for each in past.attempt._ledger.own if each.is_error)]
    for message in messages:
        text = wording.normalise(message)
        if len(text) >= wording.MINIMUM and text not in wording.STOCK:
            yield text


def _claimed(past: Past, known: set[str]) -> Iterator[str]:
    """Yield fingerprints of the candidates' messages that stand in what was claimed, or of all that was claimed.

    What an SDK or a loop wrote around a message ("Error code: 429 - ...") is in nobody's evidence, and tells nothing.
    """
    for claimed in past.claimed:
        text = wording.normalise(claimed)
        if len(text) >= wording.MINIMUM:
            yield from map(wording.fingerprint, [each for each in known if each in text] or [text])


def _tried(past: Past, started: float, known: set[str]) -> AttemptRecord:
    from otel_failover._core.findings.record import AttemptRecord

    attempt, settled = past.attempt, past.settled
    ledger, error = attempt._ledger, attempt.error
    return AttemptRecord(
        attempt.provider,
        identity.shown(attempt.model),
        attempt.index,
        attempt._number,
        settled.outcome,
        settled.reason,
        settled.origin,
        settled.status,
        settled.code,
        error.message[:_SHORT] if error is not None else "",
        attempt.evidence,
        attempt.started - started,
        past.ended - started,
        len(ledger.own),
        ledger.calls,
        ledger.retries,
        frozenset(map(wording.fingerprint, _own_texts(past))) if known else frozenset(),
        frozenset(_claimed(past, known)),
        settled.timeout,
        settled.timeout_configured,
        settled.killed_by,
        ledger.answer.model,
        ledger.answer.empty,
        ledger.answer.text_error,
        attempt._output or ledger.heard,
        attempt._declared,
        attempt._probe,
        past.stopped_before,
        attempt._candidate.profile,
        attempt._own.span_id,
    )


def _still_open(attempt: Attempt, started: float, ended: float) -> AttemptRecord:
    from otel_failover._core.findings.record import AttemptRecord

    return AttemptRecord(
        attempt.provider,
        identity.shown(attempt.model),
        attempt.index,
        attempt._number,
        "open",
        evidence="partial",
        began=attempt.started - started,
        ended=ended - started,
        declared=attempt._declared,
        probe=attempt._probe,
        profile=attempt._candidate.profile,
        span_id=attempt._own.span_id,
    )
