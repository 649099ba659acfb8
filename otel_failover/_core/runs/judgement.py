"""What is claimed about one attempt, held against its evidence.

Claims are collected while the attempt is open and judged once, when it ends: what a loop says about a candidate
(`fail`, `reject`), the exception that leaves the attempt, and what application code wrote onto the candidate's span.

What compares claims with evidence is imported late, for the import budget: it is a third of the package, and nothing of
it is needed before the first failure. `instrument()` imports it (`preload`), so that no request waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_failover._core.attribution.claim import Claim
from otel_failover._core.attribution.facts import SourceFacts, Verdict
from otel_failover._core.attribution.source import Source
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain.outcome import SUCCESS, Outcome
from otel_failover._core.domain.verdicts import EVIDENCE_INCOMPLETE, MISMATCH, NOTHING_BOUND, UNVERIFIED
from otel_failover._core.evidence import outcome as settling
from otel_failover._core.evidence.exchange import is_of_the_wire
from otel_failover._core.evidence.references import Reference
from otel_failover._core.text import matching

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_failover._core.config.runtime import Runtime
    from otel_failover._core.domain.positions import ChainPositions
    from otel_failover._core.evidence.ledger import Ledger
    from otel_failover._core.spans.candidate_span import CandidateSpan

    class Surroundings(Protocol):
        """What a judgement asks of whatever the attempt belongs to."""

        @property
        def run(self) -> object:
            """The run; None for a provider call outside any run."""

        @property
        def id(self) -> str:
            """The run's id; empty for a provider call outside any run."""

        @property
        def positions(self) -> ChainPositions:
            """Who stands where in the run's chain."""

        def sources_beside(self, order: int, key: object) -> Iterable[tuple[Source, SourceFacts]]:
            """Return the other attempts of the run and of those around it, as one attempt sees them.

            Args:
                order: Of the attempt that is held against them.
                key: Its candidate's identity within the run: errors of its own earlier attempts are no foreign ones.
            """


_CLAIMS: Final = 32
VERIFIED: Final = Verdict()
UNSEEN: Final = Verdict(UNVERIFIED, EVIDENCE_INCOMPLETE)
"""The verdict where the evidence does not go far enough to say more."""


def preload() -> None:
    """Import what compares claims with evidence, while nobody waits for an answer."""
    import otel_failover._core.attribution.enclosing
    import otel_failover._core.attribution.history
    import otel_failover._core.attribution.own_facts  # and all that it needs
    import otel_failover._core.domain.reasons.deciding
    import otel_failover._core.evidence.answers.envelopes
    import otel_failover._core.evidence.answers.success
    import otel_failover._core.spans.mismatch
    import otel_failover._core.spans.span_access  # noqa: F401


class Judgement:
    """The claims about one attempt, and the verdict on them.

    It knows the attempt's evidence, span and owner, never the attempt: two objects that hold each other would be freed
    by the collector only.

    Args:
        runtime: Settings, instruments.
        ledger: The attempt's evidence.
        owner: Who knows the attempts beside it.
        span: The candidate's span, and who the candidate is.
        order: The attempt's number in this process; larger is later.
    """

    __slots__ = (
        "_ledger",
        "_order",
        "_owner",
        "_runtime",
        "_span",
        "claimed",
        "claims",
        "failed",
        "problem",
        "refused",
    )

    def __init__(self, runtime: Runtime, ledger: Ledger, owner: Surroundings, span: CandidateSpan, order: int) -> None:
        self._runtime, self._ledger, self._owner, self._span, self._order = runtime, ledger, owner, span, order
        self.claims: list[Claim] = []
        self.claimed: tuple[str, ...] = ()
        self.problem: BaseException | None = None
        self.failed = self.refused = False

    # --- collecting ---------------------------------------------------------------------------------------------------

    def claim(self, error: object, *, refused: bool) -> None:
        """Take in what a loop says about the candidate.

        Args:
            error: A word, a sentence, an exception, a mapping or an object.
            refused: The loop would not take the response; else it says that the candidate failed.
        """
        from otel_failover._core.attribution.from_exception import from_error  # late: see above

        claim = from_error(error)
        self.failed, self.refused = self.failed or not refused, self.refused or refused
        if len(self.claims) < _CLAIMS:
            self.claims.append(claim)

    def adopt_sends(self) -> None:
        """Take in what was sent without us, where this attempt's exception is its answer: threads, single flight."""
        from otel_failover._core.attribution.bonds import adopt  # late: see above

        ledger = self._ledger
        for thing in (self.problem, *[claim.thing for claim in self.claims]) if self.claims else (self.problem,):
            if not isinstance(thing, BaseException):
                continue
            adopt(thing, ledger)
            if ledger.raised_here(thing) is None:
                from otel_failover._core.attribution.from_exception import errors_inside  # late: see above

                for problem in errors_inside(thing):
                    adopt(problem, ledger)

    def disowns(self, problem: BaseException) -> bool:
        """Whether an exception that left an SDK's call is a claim, and no evidence of this attempt.

        A breaker that clients share raises its last error in place of any call's. What the wire said is own; what was
        made of another attempt's answer is not, nor is anything else where every own send failed in its own way.

        Args:
            problem: What left the call.
        """
        ledger = self._ledger
        sends = (*ledger.exchanges, *ledger.to_others) if ledger.to_others else ledger.exchanges
        if not self._owner.id or is_of_the_wire(sends, problem):
            return False
        own = ledger.own
        if own and all(exchange.is_error or exchange.failure is not None for exchange in own):
            return True
        beside = self._owner.sources_beside(self._order, self._span.key)
        return any(source.is_source_of(problem) for source, facts in beside if not facts.same)

    # --- judging ------------------------------------------------------------------------------------------------------

    def verdict(
        self, settled: Outcome, evidence: str, written: list[tuple[Claim, Any]]
    ) -> tuple[Verdict, Claim | None]:
        """Hold all claims against the evidence; the worst verdict stands.

        An attempt that is left by its own call's exception, which still says what it said when the call raised it, is
        in no doubt: identity alone decides, and nothing is compared.

        Args:
            settled: How the attempt ended.
            evidence: `complete`, `partial` or `none`.
            written: What application code claimed on the span, each with its event where it is one.

        Returns:
            The verdict, and the claim that it is about.
        """
        ledger, claims = self._ledger, self.claims
        if written:
            foreign = self._foreign_events(written, settled)
            # What stands on the span itself speaks of the candidate; an event may be anything that went wrong
            # meanwhile, and counts only where it is another candidate's error.
            claims = [
                *claims,
                *(claim for claim, event in written if event is None or any(claim is f for f in foreign)),
            ]
        if self.problem is not None and not (ledger.is_own(self.problem) and not ledger.to_others):
            from otel_failover._core.attribution.from_exception import from_exception  # late: see above

            claims = [*claims, from_exception(self.problem)]
        if claims or ledger.to_others:
            from otel_failover._core.attribution.rules import worst  # late: see above

            self.claimed = tuple(text for claim in claims for text in claim.texts[:2])
            pairs = [(self.judge(claim, settled), claim) for claim in claims or [Claim()]]
            verdict = worst(verdict for verdict, _ in pairs)
            return verdict, next(claim for found, claim in pairs if found is verdict)
        if self.problem is not None or evidence == "complete":
            return VERIFIED, None
        return UNSEEN, None

    def _foreign_events(self, written: list[tuple[Claim, Any]], settled: Outcome) -> list[Claim]:
        """Return what exception events on the candidate's span claim that is somebody else's.

        They are taken out where the host asked for that. What application code records besides (a cache that missed)
        says nothing of the candidate, and is no claim.
        """
        events = [(claim, event) for claim, event in written if event is not None]
        foreign = [(claim, event) for claim, event in events if self.judge(claim, settled).verdict == MISMATCH]
        self._span.correct(event for _, event in foreign)
        return [claim for claim, _ in foreign]

    def judge(self, claim: Claim, settled: Outcome) -> Verdict:
        """Hold one claim against the evidence.

        Args:
            claim: As it was made.
            settled: How the attempt ended, or would end now.
        """
        ledger, span = self._ledger, self._span
        if isinstance(claim.thing, BaseException) and ledger.is_own(claim.thing) and not ledger.to_others:
            return VERIFIED
        from otel_failover._core.attribution.own_facts import JudgedAttempt, judge  # late: see above

        message = span.message(settled) if settled.outcome != SUCCESS else ""
        positions = self._owner.positions if self._owner.run is not None else None
        return judge(
            claim,
            JudgedAttempt(ledger, settled, message, positions, self._ids),
            list(self._owner.sources_beside(self._order, span.key)),
            self._earlier,
            self._runtime.disabled_rules,
        )

    @property
    def _ids(self) -> tuple[str, ...]:
        """What other systems may know this attempt by, and a provider may say of it, without having issued it."""
        context = self._span.context
        ids = (f"{context.trace_id:032x}", self._span.span_id) if context.is_valid else ()
        return tuple(filter(None, (*ids, self._owner.id)))

    def _earlier(self, fingerprint: str) -> SourceFacts | None:
        from otel_failover._core.attribution.history import history  # late: see above

        return history.find(fingerprint, self._lasting_key)

    @property
    def _lasting_key(self) -> object:
        """The candidate's identity across runs.

        The place in the chain tells equal entries apart, and the base URL's path: a hash of it, since this is kept for
        longer than a run, and a key may stand in it.
        """
        span, base = self._span, self._ledger.base
        chain = self._owner.positions.chain
        twice = bool(chain.doubled) and chain.has_twice(span.candidate)
        return (span.candidate, span.index if twice else None, None if base is None else hash(base))

    # --- what is left of it -------------------------------------------------------------------------------------------

    def write_host_word(self, attributes: dict[str, Any], verdict: Verdict, claim: Claim | None) -> None:
        """Add the loop's own word where it does not lie; where it does, its claim.

        Args:
            attributes: Of the candidate's span.
            verdict: On the claims.
            claim: As it was made. that the verdict is about.
        """
        secrets = self._ledger.secrets
        if verdict.verdict == MISMATCH and claim is not None:
            from otel_failover._core.spans.mismatch import claimed_attributes  # late: see above

            attributes.update(claimed_attributes(claim, self._runtime, secrets))
            return
        word = next((each.word or (each.texts[0] if each.texts else None) for each in self.claims), None)
        is_text = any(word in each.texts for each in self.claims)
        if word and (not is_text or self._runtime.settings.error_text != "none"):
            attributes[names.REASON_HOST] = self._runtime.redacted(word, secrets, 255)

    def remember(self, settled: Outcome, attributes: dict[str, Any] | None) -> None:
        """Keep the own message's fingerprint for later runs, and add it to the span's attributes.

        Args:
            settled: How the attempt ended, with a message.
            attributes: Of the candidate's span; None where that keeps none.
        """
        from otel_failover._core.attribution.history import history  # late: see above

        span, message = self._span, matching.normalise(settled.message)
        facts = SourceFacts(
            span.candidate.provider, span.index, span.span_id, self._order,
            statuses=frozenset({settled.status} if settled.status is not None else ()),
        )  # fmt: skip
        found = matching.fingerprint(message)
        for text in (message, matching.normalise(settled.relayed)) if settled.relayed else (message,):
            if matching.is_long_enough(text):
                history.add(matching.fingerprint(text), matching.start_keys(text), self._lasting_key, facts)
        if attributes is None:
            return
        shown = span.redacted(settled.message)
        same = shown == settled.message
        attributes[names.ERROR_FINGERPRINT] = found if same else matching.fingerprint(matching.normalise(shown))

    def let_go_of_strangers(self, verdict: Verdict, evidence: str) -> None:
        """Forget claims that are somebody else's: others may not be held against them as if they were this attempt's.

        So too an application's own (a constant, a singleton), which says nothing of this candidate.

        Args:
            verdict: On the claims.
            evidence: How complete it is, now that a claim may have brought in a send of its own.
        """
        if verdict.verdict == MISMATCH or (evidence == "complete" and verdict.rule == NOTHING_BOUND):
            self.forget()

    def forget(self) -> None:
        """Let go of the host's objects: a traceback holds the frames of the whole request."""
        self.problem, self.claims = None, []

    def source(
        self, settled: Outcome | None, around: tuple[int, ...], *, complete: bool = False, message: str | None = None
    ) -> Source:
        """Return what others may be held against.

        Args:
            settled: How the attempt ended; None while it is open.
            around: Orders of the attempts that it was made inside.
            complete: Its evidence is complete.
            message: Its own error in our words, where that is known already.
        """
        ledger, span = self._ledger, self._span
        left = [] if self.problem is None else [Reference(self.problem)]
        if self.claims:
            left += [Reference(claim.thing) for claim in self.claims if isinstance(claim.thing, BaseException)]
        failed = settled if settled is not None and settled.outcome != SUCCESS else None
        return Source(
            provider=span.candidate.provider,
            index=span.index,
            model=span.candidate.model,
            exchanges=ledger.own if settled is not None else list(ledger.own),
            span_id=span.span_id,
            order=self._order,
            key=span.index if span.index >= 0 else span.key,
            raised=ledger.raised,
            left=left,
            stream_error=ledger.stream.error,
            response_ids=ledger.answer.response_ids,
            alive=settled is None,
            around=around,
            complete=complete,
            reason=settled.reason if settled is not None else None,
            sentence=settling.sentence(ledger, failed) if failed is not None else "",
            message=message if message is not None else span.message(failed) if failed is not None else "",
        )
