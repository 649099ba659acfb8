"""How a mismatch is shown: the offender's attributes, the marker span, the counter and the log line.

The marker is always made: it shows as a row of its own, is found and counted by its name, and does not depend on
whether the SDK still lets the offender be written.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import providers
from otel_failover._core.domain.verdicts import FOREIGN_RESPONSE, MISMATCH, WRONG_ENDPOINT
from otel_failover._core.spans import marker
from otel_failover._core.text.escapes import compiled
from otel_failover._core.text.gate import issued, named, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_failover._core.attribution.claim import Claim
    from otel_failover._core.attribution.facts import Verdict
    from otel_failover._core.config.runtime import Runtime


_FRAME: Final = r"""(?:Error code: \d{3} - )?(?:\{["']error["']: \{["']message["']: ["'])?"""
"""What SDKs put before the provider's sentence."""


def verdict_attributes(verdict: Verdict, expected: str) -> dict[str, Any]:
    """Return what a judged span carries.

    Args:
        verdict: The outcome of the check.
        expected: Whose span it is.
    """
    attributes: dict[str, Any] = {names.VERDICT: verdict.verdict}
    if verdict.rule is not None:
        attributes[names.RULE] = verdict.rule
    if verdict.verdict == MISMATCH:
        attributes[names.MISMATCH] = True
        attributes[names.EXPECTED_PROVIDER] = named(expected)
        attributes[names.BOUND_BY] = verdict.bound_by or ""
        if verdict.source is not None:
            attributes[names.SOURCE_PROVIDER] = named(verdict.source.provider)
            attributes[names.SOURCE_INDEX] = verdict.source.index
            if verdict.source.span_id:
                attributes[names.SOURCE_SPAN_ID] = verdict.source.span_id
    return attributes


def claimed_attributes(claim: Claim, runtime: Runtime, secrets: Sequence[str]) -> dict[str, Any]:
    """Return the claim's own facts, redacted, as they stand on a mismatching span of ours and on its marker."""
    message = "\n".join(claim.texts[:2]) if claim.texts else ""
    facts = {
        names.CLAIMED_REASON: runtime.redacted(claim.word, secrets, 255) if claim.word else None,
        names.CLAIMED_TYPE: shown(claim.type) if claim.type else None,
        names.CLAIMED_STATUS_CODE: claim.status,
        names.CLAIMED_CODE: runtime.redacted(", ".join(sorted(claim.codes)), secrets, 255) if claim.codes else None,
        names.CLAIMED_REQUEST_ID: ", ".join(issued(each, tuple(secrets)) for each in sorted(claim.request_ids)) or None,
        names.CLAIMED_MESSAGE: runtime.redacted(message, secrets)
        if message and runtime.settings.error_text != "none"
        else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def announce(
    runtime: Runtime,
    offender: SpanContext,
    verdict: Verdict,
    claim: Claim,
    candidate: tuple[str, str, int],
    own: str,
    secrets: Sequence[str],
    end_time: int | None,
    *,
    later: bool = False,
) -> None:
    """Make the marker span, count the mismatch and log it.

    Args:
        runtime: Settings, tracer, instruments.
        offender: Context of the span that carries somebody else's error.
        verdict: A mismatch.
        claim: As it was made.
        candidate: Provider, model and index of the one whose span it is.
        own: The own evidence in a sentence.
        secrets: Credentials that may not leave.
        end_time: The offender's end in nanoseconds, None for now.
        later: No span can be started here; the marker is made at our next step.
    """
    provider, model, index = candidate = (named(candidate[0]), shown(candidate[1]), candidate[2])
    now = time.time_ns() if end_time is None else end_time
    context = set_span_in_context(NonRecordingSpan(offender))
    attributes = {
        names.CANDIDATE_PROVIDER: provider,
        names.CANDIDATE_MODEL: model,
        names.CANDIDATE_INDEX: index,
        **verdict_attributes(verdict, provider),
        **claimed_attributes(claim, runtime, secrets),
        names.OWN_EVIDENCE: runtime.redacted(own, secrets, 255),
    }
    attributes.pop(names.VERDICT, None)

    def safe(text: str) -> str:
        return runtime.redacted(text, secrets, 255)

    description = f"{_whose(verdict, provider)} {_what(verdict)} on {provider}'s span"
    if verdict.rule == WRONG_ENDPOINT:
        description = f"{provider}'s request went to {_who(verdict, provider)}"
    make = marker.make_later if later else marker.make
    words = attributes.get(names.CLAIMED_MESSAGE, "")
    event = safe(_explanation(verdict, claim, candidate, own, safe, words))
    make(runtime, names.SPAN_MISMATCH, context, attributes, description, now, event)
    whose = providers.metric_value(verdict.source.provider) if verdict.source is not None else None
    runtime.metrics.mismatch(verdict.rule or "", providers.metric_value(provider), whose, context)
    runtime.logs.log_limited(
        (verdict.rule, provider, index, _whose(verdict, provider)),
        lambda: _sentence(verdict, claim, candidate, own, safe, offender),
    )


def _whose(verdict: Verdict, expected: str) -> str:
    """Say whose error it is; where both are of one provider, by the place in the chain."""
    return "an answer's" if verdict.source is None else f"{_who(verdict, expected)}'s"


def _what(verdict: Verdict) -> str:
    return "answer" if verdict.rule == FOREIGN_RESPONSE else "error"


def _who(verdict: Verdict, expected: str) -> str:
    """Return the source's name; where both are of one provider, with the place in the chain."""
    source = verdict.source
    if source is None:
        return ""
    provider = named(source.provider)
    return f"{provider} #{source.index}" if provider == expected else provider


def _explanation(
    verdict: Verdict, claim: Claim, candidate: tuple[str, str, int], own: str, safe: Callable[[str], str], words: str
) -> str:
    """Return what the marker says when it is opened.

    Own evidence comes before the claim: viewers show about 105 characters of an event without a further click.
    """
    words = words[frame.end() :] if (frame := compiled(_FRAME).match(words)) else words
    claimed = " ".join(filter(None, [_claimed(claim, safe), words.partition("\n")[0]]))
    told = f" Claimed: {claimed}" if claimed else ""
    return f"{_who_carries(verdict, candidate)}. Its own: {own}.{told}"


def _claimed(claim: Claim, safe: Callable[[str], str]) -> str:
    """Return what was claimed, without the provider's sentence."""
    facts = (str(claim.status) if claim.status else "", safe(" ".join(sorted(claim.codes))), safe(claim.word or ""))
    return " ".join(filter(None, facts))


def _who_carries(verdict: Verdict, candidate: tuple[str, str, int]) -> str:
    """Return who carries whose error.

    Whoever asked somebody else in a candidate's place need not have claimed anything: the request is what went wrong.
    """
    same = verdict.source is not None and named(verdict.source.provider) == candidate[0]
    place = f" #{candidate[2]}" if same else ""
    what = f"carries {_whose(verdict, candidate[0])} {_what(verdict)}"
    if verdict.rule == WRONG_ENDPOINT:
        what = f"has a request that went to {_who(verdict, candidate[0])}"
    return f"{candidate[0]}/{candidate[1]}{place} {what}"


def _sentence(
    verdict: Verdict,
    claim: Claim,
    candidate: tuple[str, str, int],
    own: str,
    safe: Callable[[str], str],
    offender: SpanContext,
) -> str:
    """Return the log line: both facts and ids, nothing of the provider's text but its codes."""
    claimed = _claimed(claim, safe) or safe(claim.type or "") or ("an error" if claim.texts else "")
    source = f" source.span_id={verdict.source.span_id}" if verdict.source is not None else ""
    told = f"claimed {claimed}; " if claimed else ""
    return (
        f"span for {_who_carries(verdict, candidate)} ({verdict.rule}): {told}own evidence: {safe(own)} "
        f"trace_id={offender.trace_id:032x} span_id={offender.span_id:016x}{source}"
    )


# --- the narrow door to a span that is ending -------------------------------------------------------------------------
