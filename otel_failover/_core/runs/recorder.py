"""What a run keeps of its attempts and skips until it is over, and afterwards for `summarize`.

Findings are drawn from it. Their module and their records are only imported where one is possible: most runs are served
by their first candidate, and nobody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import providers, reasons
from otel_failover._core.domain.candidate import shown
from otel_failover._core.domain.candidate_error import CandidateError
from otel_failover._core.domain.outcome import ERROR, SUCCESS
from otel_failover._core.evidence.call_error import qualified
from otel_failover._core.failsafe import read
from otel_failover._core.text import matching
from otel_failover._core.text.escapes import compiled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from otel_failover._core.attribution.claim import Claim
    from otel_failover._core.attribution.source import Source
    from otel_failover._core.domain.candidate import Candidate
    from otel_failover._core.findings.attempt_record import AttemptRecord
    from otel_failover._core.findings.record import Record, Report, Skipped

_MOST: Final = 64
_BLAME: Final = ("llm_provider", "provider")
_DATED: Final = r"[-@:]\d{4}"


class RunRecorder:
    """What a run keeps of its attempts and skips, the last 64 of each.

    Attributes:
        records: Of the attempts that have ended, in order.
        skips: Candidates that were passed over, in order.
        report: What the error that left the run says of its attempts; None where there is nothing to compare.
        booked: Places in the chain that the loop's own result may name as the one that served.
        error: Class of the exception that left the run; empty where none did.
    """

    __slots__ = ("_sources", "booked", "error", "records", "report", "skips")

    def __init__(self) -> None:
        self.records: list[AttemptRecord] = []
        self.skips: list[Skipped] = []
        self.report: Report | None = None
        self.booked: frozenset[int] = frozenset()
        self.error = ""
        self._sources: list[Source | None] = []

    def add(self, record: AttemptRecord, source: Source | None) -> None:
        """Take in an attempt that has ended.

        Args:
            record: What became of it.
            source: What others may be held against; None where it could not be made.
        """
        if len(self.records) >= _MOST:
            del self.records[0], self._sources[0]
        self.records.append(record)
        self._sources.append(source)

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
        from otel_failover._core.findings.record import Skipped  # late: for the import budget, few runs skip

        whose, why, span_id = self._cause(cause)
        if len(self.skips) < _MOST:
            model = shown(candidate.model)
            self.skips.append(Skipped(candidate.provider, model, index, reason, candidate.profile, whose, why))
        return span_id or None

    def _cause(self, cause: object) -> tuple[tuple[str, str, str | None] | None, str | None, str]:
        """Return whose failure a skip cites: provider, model and profile, its reason, its span."""
        if isinstance(cause, CandidateError):
            return (cause.provider, shown(cause.model), cause.profile), cause.reason, cause.span_id
        if cause is not None:
            for record, source in zip(self.records, self._sources, strict=True):
                if source is not None and source.holds(cause):
                    return (record.provider, record.model, record.profile), record.reason, record.span_id
        return None, None, ""

    def left_by(self, problem: BaseException | None) -> None:
        """Take in the error that leaves the run.

        Args:
            problem: What leaves it, if anything; only its class is kept, and which attempts it tells of where several
                have failed.
        """
        if isinstance(problem, Exception):
            self.error = qualified(type(problem))
        if isinstance(problem, Exception) and sum(each.outcome != SUCCESS for each in self.records) > 1:
            from otel_failover._core.attribution.from_exception import from_exception  # late: for the import budget
            from otel_failover._core.findings.record import Report

            claim = from_exception(problem)
            self.report = Report(claim.type or "", frozenset(self._reported(claim)), frozenset(_blamed(problem)))

    def _reported(self, claim: Claim) -> Iterator[int]:
        """Yield the positions of the attempts whose own error a report tells: by object, or in its words."""
        texts = [matching.normalise(text) for text in claim.texts]
        things = (claim.thing, *claim.members)
        for position, (record, source) in enumerate(zip(self.records, self._sources, strict=True)):
            own = matching.normalise(record.settled.message)
            if (source is not None and any(bond for thing in things for bond in source.bonds(thing))) or (
                own and any(matching.holds(text, own) for text in texts)
            ):
                yield position

    @property
    def errors(self) -> list[CandidateError]:
        """The own error of each attempt that did not serve the run, in order; probes are left out."""
        return [each.error for each in self.records if each.error is not None and not each.probe]

    @property
    def is_plain(self) -> bool:
        """Whether no finding is possible: one attempt, in its chain, answered well or refused once by its provider."""
        if len(self.records) != 1 or self.skips:
            return False
        (only,) = self.records
        settled = only.settled
        if only.index != 0 or (self.booked and 0 not in self.booked):
            return False
        if settled.outcome == SUCCESS:
            return _is_itself(only.response_model, only.candidate.model) and not only.empty and not only.text_error
        return (
            settled.outcome == ERROR
            and settled.status not in (None, 400, 404)
            and settled.reason != reasons.MODEL_NOT_FOUND
            and only.sends == 1
        )

    def record(
        self,
        library: str,
        loop: str,
        chain: Iterable[Candidate],
        outcome: str,
        stop_reason: str | None,
        untried: Iterable[int],
        seconds: float,
        still_open: Sequence[AttemptRecord] = (),
        stray: AttemptRecord | None = None,
        **seen: Any,
    ) -> Record:
        """Return the record of the run.

        Args:
            library: Which loop.
            loop: Its operation or route.
            chain: The configured chain.
            outcome: What became of the run.
            stop_reason: Why it ended with candidates left.
            untried: Places neither tried nor skipped.
            seconds: Its length.
            still_open: Attempts that still run.
            stray: Of the bare call outside the chain that served.
            **seen: Further facts, by the names that `Record` has for them.
        """
        from otel_failover._core.findings.record import Record  # late: for the import budget

        return Record(
            library,
            loop,
            tuple((each.provider, shown(each.model)) for each in chain),
            outcome,
            stop_reason,
            (*self._fingerprinted(), *still_open),
            tuple(self.skips),
            tuple(untried),
            self.report,
            seconds,
            self.booked,
            next((position for position, each in enumerate(self.records) if each is stray), -1),
            self.error,
            **seen,
        )

    def _fingerprinted(self) -> list[AttemptRecord]:
        """Return the records with the fingerprints of their texts; without a claim nobody can carry another's text."""
        if not any(each.claims for each in self.records):
            return self.records
        known = {text for each in self.records for text in _own_texts(each)}
        return [
            each._replace(
                own=frozenset(map(matching.fingerprint, _own_texts(each))) if known else frozenset(),
                claimed=frozenset(_claimed(each, known)),
            )
            for each in self.records
        ]


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


def _own_texts(record: AttemptRecord) -> Iterator[str]:
    """Yield the error messages that an attempt's own evidence holds, normalised, where they are long enough to bind."""
    for message in record.messages:
        text = matching.normalise(message)
        if matching.is_long_enough(text) and matching.says_enough(text):
            yield text


def _claimed(record: AttemptRecord, known: set[str]) -> Iterator[str]:
    """Yield fingerprints of the candidates' messages that stand in what was claimed, or of all that was claimed.

    What an SDK or a loop wrote around a message ("Error code: 429 - ...") is in nobody's evidence, and tells nothing.
    """
    for claimed in record.claims:
        text = matching.normalise(claimed)
        if matching.is_long_enough(text) and matching.says_enough(text):
            yield from map(matching.fingerprint, [each for each in known if matching.holds(text, each)] or [text])
