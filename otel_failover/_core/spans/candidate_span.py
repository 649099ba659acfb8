"""The span of a candidate: the one class that writes error facts.

They come from the attempt's own evidence. What a loop says never reaches `error.*`, the status or an event; where it
lies, it stands in `failover.attribution.claimed.*`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import INVALID_SPAN, Span, SpanContext, SpanKind, StatusCode

from otel_failover._core.attribution.from_span import may_claim, read_claim, read_events
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain import providers, verdicts
from otel_failover._core.domain.endpoint import DEPLOYMENTS, deployment_in
from otel_failover._core.domain.outcome import ERROR, PARTIAL, Outcome, own_error
from otel_failover._core.domain.verdicts import MISMATCH
from otel_failover._core.evidence import outcome as settlement
from otel_failover._core.spans.marker import BEFORE_END
from otel_failover._core.text.gate import LONG, SHORT, Clean, clean, issued, named, word
from otel_failover._core.text.redaction import cut

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.context import Context

    from otel_failover._core.attribution.claim import Claim
    from otel_failover._core.attribution.facts import Verdict
    from otel_failover._core.config.runtime import Runtime
    from otel_failover._core.domain.candidate import Candidate
    from otel_failover._core.evidence.exchange import Exchange
    from otel_failover._core.evidence.ledger import Ledger

_STATUSES: Final = 8
_LONG: Final = 48
_FAILED: Final = (ERROR, PARTIAL)
_ERROR_KEYS: Final = ("error.", "http.response.status_code", "http.status_code")
_VERIFIED: Final = {names.VERDICT: verdicts.VERIFIED}


class CandidateSpan:
    """Owns one candidate's span, or a call's span where the call is outside any run.

    Args:
        runtime: Settings, tracer, instruments.
        ledger: The attempt's evidence.
        candidate: Whose span it is.
        index: The candidate's place in the chain, -1 outside it.
        number: Which attempt at the candidate it is, 1-based.
        in_run: It is a candidate's span: `error.type` is the reason; on a call's it is the exception's class.
        doubled: The provider occurs twice in the chain, so that the span's name needs the place.

    Attributes:
        span: None before it is opened.
        span_id: 16 hex digits, empty with tracing off.
    """

    __slots__ = (
        "_doubled", "_in_run", "_inherited", "_ledger", "_runtime", "_shown",
        "candidate", "index", "number", "span", "span_id",
    )  # fmt: skip

    def __init__(
        self,
        runtime: Runtime,
        ledger: Ledger,
        candidate: Candidate,
        index: int,
        number: int,
        *,
        in_run: bool,
        doubled: bool,
    ) -> None:
        self._runtime, self._ledger, self._in_run, self._doubled = runtime, ledger, in_run, doubled
        self.candidate, self.index, self.number = candidate, index, number
        self._inherited: dict[str, Any] | None = None
        self._shown: dict[str, Clean] = {}
        self.span_id = ""
        self.span: Span | None = None

    # --- who it is ----------------------------------------------------------------------------------------------------

    @property
    def key(self) -> object:
        """The candidate's identity within the run: its place, outside the chain the candidate itself."""
        return self.index if self.index >= 0 else self.candidate.identity

    @property
    def profile(self) -> str | None:
        """The host's label; where it gave none, the deployment that the calls' base URL names."""
        profile, base = self.candidate.profile, self._ledger.base
        return profile if profile is not None or not base or DEPLOYMENTS not in base else deployment_in(base)

    def inherited(self) -> dict[str, Any]:
        """Return the three attributes that stand on every span started inside the attempt."""
        if self._inherited is None:
            self._inherited = {
                names.CANDIDATE_PROVIDER: named(self.candidate.provider),
                names.CANDIDATE_MODEL: identity.shown(self.candidate.model),
                names.CANDIDATE_INDEX: self.index,
            }
        return self._inherited

    def open(self, parent: Context | None, run_id: str) -> Span:
        """Start the span with all that is known by now, so that samplers see it.

        Args:
            parent: The context it starts in.
            run_id: Of the attempt's run.
        """
        attributes: dict[str, Any] = dict(self.inherited())
        attributes[names.CANDIDATE_ATTEMPT] = self.number
        attributes[names.RUN_ID] = run_id
        if self.candidate.endpoint is not None:
            attributes[names.CANDIDATE_ENDPOINT] = named(self.candidate.endpoint)
        profile = self.candidate.profile if self.candidate.profile is not None else self.profile
        if profile is not None:
            attributes[names.CANDIDATE_PROFILE] = identity.shown(profile)
        span = self._runtime.tracer.start_span(self._name(), parent, SpanKind.INTERNAL, attributes)
        self.takes(span)
        return span

    def takes(self, span: Span) -> None:
        """Be this span.

        Args:
            span: Just opened.
        """
        self.span, context = span, span.get_span_context()
        if context.is_valid:
            self.span_id = f"{context.span_id:016x}"

    def _name(self) -> str:
        place = f" #{self.index}" if self._doubled else ""
        return f"{names.SPAN_CANDIDATE} {providers.metric_value(self.candidate.provider)}{place}"

    def becomes(self, candidate: Candidate) -> None:
        """Take a candidate that has become known after the attempt began; `rename` shows it.

        Args:
            candidate: What is known now.
        """
        self.candidate, self._inherited = candidate, None

    def rename(self) -> None:
        """Write anew on the open span who it is."""
        self._inherited = None
        if self.span is not None and self.span.is_recording():
            self.span.update_name(self._name())
            self.span.set_attributes({**self.inherited(), names.CANDIDATE_ATTEMPT: self.number})

    @property
    def context(self) -> SpanContext:
        """The span's context; an invalid one before it is opened."""
        return (self.span or INVALID_SPAN).get_span_context()

    # --- what application code wrote here -----------------------------------------------------------------------------

    def taken_over(self, settled: Outcome) -> list[tuple[Claim, Any]]:
        """Return what application code claimed on this span, each with its event where it is one.

        `get_current_span()` inside an attempt is the candidate's span. Status and attributes are taken out: own
        evidence has the last word. Events stay; they are claims on a span that is, or will be, an error.

        Args:
            settled: How the attempt ended.
        """
        span: Any = self.span
        if span is None or not self._in_run or not span.is_recording() or not hasattr(span, "status"):
            return []
        # Read before anything of ours is written here: afterwards nobody could tell who wrote it.
        is_error = span.status.status_code is StatusCode.ERROR
        claims: list[tuple[Claim, Any]] = []
        # What is recorded before the candidate is asked tells why it is: the error of the one before.
        since = self._ledger.first_sent if span.events else None
        if span.events and (is_error or settled.outcome in _FAILED):
            claims += [(claim, event) for event, claim in read_events(span, since)]
        if is_error or may_claim(span.attributes):
            found = read_claim(span, since)
            from otel_failover._core.spans.span_access import take_out  # late: for the import budget

            take_out(span, [key for key in span.attributes if key.startswith(_ERROR_KEYS)])
            if found is not None and found.error:
                claims.append((found.claim, None))
        return claims

    def correct(self, events: Iterable[Any]) -> None:
        """Take events out that are somebody else's, where the host asked for it.

        Args:
            events: Exception events that application code put here.
        """
        if self._runtime.settings.on_mismatch == "correct":
            from otel_failover._core.spans.span_access import take_out_events  # late: for the import budget

            take_out_events(self.span, events)

    # --- texts --------------------------------------------------------------------------------------------------------

    def redacted(self, text: str) -> Clean:
        """Return a provider's text without secrets; kept, since several spans carry the same one.

        Where it wraps one that was clean ("Error code: 429 - …"), only what is around that is looked at.
        """
        found = self._shown.get(text)
        if found is not None:
            return found
        secrets = self._ledger.secrets
        # Redaction is the dearest step of a failure, and the same sentence comes three times: alone, in the SDK's
        # exception, in the loop's own error. A text that was found clean once is clean inside another, too.
        for known, shown in self._shown.items():
            if known == shown and len(known) >= _LONG and known in text:
                head, _, tail = text.partition(known)
                before, behind = self._runtime.redacted(head, secrets), self._runtime.redacted(tail, secrets)
                found = Clean(cut(before + known + behind, LONG))
                break
        else:
            found = self._runtime.redacted(text, secrets)
        self._shown[text] = found
        return found

    def message(self, settled: Outcome, own: list[Exchange] | None = None, since: float | None = None) -> str:
        """Return the own error in a sentence: the provider's own words, or that it had none.

        Args:
            settled: How the attempt ended, or a call of it.
            own: What the call sent; None for the attempt.
            since: When the call began, in seconds of the monotonic clock; None for the attempt.
        """
        if settled.message and self._runtime.settings.error_text != "none":
            shown = self._shown.get(settled.message) or self.redacted(settled.message)
            return f"{shown}: {self.redacted(settled.relayed)}" if settled.relayed else shown
        return own_error(settled, settlement.seen(self._ledger, own, since), self.candidate.provider)

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(
        self, attributes: dict[str, Any], settled: Outcome, verdict: Verdict, message: str, end: int | None = None
    ) -> None:
        """Write what the wire said and what became of the claims; asked only where the span is recording.

        Args:
            attributes: What stands on it besides; taken over.
            settled: How the attempt ended.
            verdict: Of the claims.
            message: The own error in a sentence.
            end: Of the span, in nanoseconds; None where it ends now.
        """
        span = self.span
        if span is None:
            return
        secrets = self._ledger.secrets
        # Own evidence last, in one call: what application code set under the same keys meanwhile is overwritten.
        self._add_facts(attributes, settled, verdict, secrets)
        if verdict.rule is None:
            attributes.update(_VERIFIED)
        else:
            from otel_failover._core.spans.mismatch import verdict_attributes  # late: for the import budget

            attributes.update(verdict_attributes(verdict, self.candidate.provider))
        profile = self.candidate.profile if self.candidate.profile is not None else self.profile
        if profile is not None:
            attributes[names.CANDIDATE_PROFILE] = identity.shown(profile)
        if secrets:
            # Its own credential in what the host named it: what is no telling one is known here alone.
            attributes.update(_cleaned(self.candidate.provider, self.candidate.model, profile, secrets))
        span.set_attributes(attributes)
        if names.CANDIDATE_PROVIDER not in (getattr(span, "attributes", None) or self.inherited()):
            span.set_attributes(self.inherited())  # attribute limits have pushed it out
        if settled.outcome in _FAILED:
            span.set_status(StatusCode.ERROR, message)
            if settled.exception is not None:
                event = {names.EXCEPTION_TYPE: identity.shown(settled.exception[0])}
                if self._runtime.settings.error_text != "none":
                    event[names.EXCEPTION_MESSAGE] = self.redacted(settled.exception[1])
                span.add_event(names.EVENT_EXCEPTION, event, end - BEFORE_END if end is not None else None)

    def _add_facts(self, facts: dict[str, Any], settled: Outcome, verdict: Verdict, secrets: tuple[str, ...]) -> None:
        """Add what the wire said, as attributes."""
        own = self._ledger.own
        facts[names.CANDIDATE_OUTCOME] = settled.outcome
        facts[names.WIRE_REQUESTS] = len(own)
        facts[names.WIRE_STATUSES] = [str(each.status or each.begun or "-") for each in own[-_STATUSES:]]
        if settled.status is not None:
            facts[names.HTTP_STATUS] = settled.status
        if settled.request_id is not None:
            facts[names.WIRE_REQUEST_ID] = issued(settled.request_id, secrets)
        if verdict.synthetic is not None:
            facts[names.STATUS_SYNTHETIC] = verdict.synthetic
        if settled.reason is not None:
            self._add_reason(facts, settled, secrets)
        if settled.host_exception is not None and verdict.verdict != MISMATCH:
            facts[names.REASON_EXCEPTION] = identity.shown(settled.host_exception)
        if verdict.replayed:
            facts[names.ERROR_REPLAYED] = True
            if not own:
                facts[names.KILLED_BY] = "breaker"

    def _add_reason(self, facts: dict[str, Any], settled: Outcome, secrets: tuple[str, ...]) -> None:
        """Add why it failed."""
        found = (
            (names.REASON_CODE, settled.reason),
            (names.ERROR_ORIGIN, settled.origin),
            (names.ERROR_CODE, word(settled.code, secrets) if settled.code is not None else None),
            (names.TIMEOUT_KIND, settled.timeout),
            (names.TIMEOUT_CONFIGURED, settled.timeout_configured),
            (names.KILLED_BY, settled.killed_by),
            (names.RETRY_AFTER, settled.retry_after),
            (names.ERROR_TYPE, settled.reason if self._in_run and settled.outcome in _FAILED else None),
        )
        facts.update({name: value for name, value in found if value is not None})

    def write_call_error(self, span: Span, kind: str, settled: Outcome, message: str) -> None:
        """Write that a call of this attempt failed onto the call's span: own evidence only.

        Args:
            span: The call's span.
            kind: The class of what the SDK raised, or our reason where that is another attempt's.
            settled: How the attempt would end now.
            message: The own error in a sentence.
        """
        attributes: dict[str, Any] = {names.ERROR_TYPE: identity.shown(kind), **_VERIFIED}
        if settled.status is not None:
            attributes[names.HTTP_STATUS] = settled.status
        span.set_attributes(attributes)
        span.set_status(StatusCode.ERROR, message)

    def announce(self, verdict: Verdict, claim: Claim | None, settled: Outcome, end_time: int | None) -> None:
        """Make a mismatch seen: marker, counter, log."""
        if verdict.verdict == MISMATCH and claim is not None:
            from otel_failover._core.spans.mismatch import announce  # late: for the import budget

            announce(
                self._runtime, self.context, verdict, claim,
                (self.candidate.provider, identity.shown(self.candidate.model), self.index),
                settlement.sentence(self._ledger, settled), self._ledger.secrets, end_time,
            )  # fmt: skip


@lru_cache(maxsize=256)
def _cleaned(provider: str, model: str, profile: str | None, secrets: tuple[str, ...]) -> dict[str, str]:
    """Return the labels that are exported otherwise than they are; the same few come again and again."""
    labels = (
        (names.CANDIDATE_PROVIDER, provider, named(provider)),
        (names.CANDIDATE_MODEL, model, identity.shown(model)),
        (names.CANDIDATE_PROFILE, profile or "", identity.shown(profile or "")),
    )
    found = {name: (label, clean(shown, secrets, SHORT, None, False)) for name, label, shown in labels if label}
    return {name: cleaned for name, (label, cleaned) in found.items() if cleaned != label}
