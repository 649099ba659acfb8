"""How a mismatch is shown: the offender's attributes, the marker span, the counter and the log line.

The marker is always made: it shows as a row of its own, is found and counted by its name, and does not depend on
whether the SDK still lets the offender be written.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, set_span_in_context

from otel_failover._core.attribution.rules import MISMATCH
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import candidate as identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.context import Context

    from otel_failover._core.attribution.from_exception import Said
    from otel_failover._core.attribution.rules import Verdict
    from otel_failover._core.config.runtime import Runtime


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
        attributes[names.EXPECTED_PROVIDER] = expected
        attributes[names.BOUND_BY] = verdict.bound_by or ""
        if verdict.source is not None:
            attributes[names.SOURCE_PROVIDER] = verdict.source.provider
            attributes[names.SOURCE_INDEX] = verdict.source.index
            if verdict.source.span_id:
                attributes[names.SOURCE_SPAN_ID] = verdict.source.span_id
    return attributes


def claimed_attributes(said: Said, runtime: Runtime, secrets: Sequence[str]) -> dict[str, Any]:
    """Return the claim's own facts, redacted, as they stand on a mismatching span of ours and on its marker."""
    message = "\n".join(said.texts[:2]) if said.texts else ""
    facts = {
        names.CLAIMED_REASON: runtime.redacted(said.word, secrets, 255) if said.word else None,
        names.CLAIMED_TYPE: said.type,
        names.CLAIMED_STATUS_CODE: said.status,
        names.CLAIMED_CODE: _joined(said.codes, runtime, secrets),
        names.CLAIMED_REQUEST_ID: _joined(said.request_ids, runtime, secrets),
        names.CLAIMED_MESSAGE: runtime.redacted(message, secrets)
        if message and runtime.settings.error_text != "none"
        else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _joined(words: frozenset[str], runtime: Runtime, secrets: Sequence[str]) -> str | None:
    return runtime.redacted(", ".join(sorted(words)), secrets, 255) if words else None


def announce(
    runtime: Runtime,
    offender: SpanContext,
    verdict: Verdict,
    said: Said,
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
        said: The claim.
        candidate: Provider, model and index of the one whose span it is.
        own: The own evidence in a sentence.
        secrets: Credentials that may not leave.
        end_time: The offender's end in nanoseconds, None for now.
        later: No span can be started here; the marker is made at our next step.
    """
    provider, model, index = candidate
    now = time.time_ns() if end_time is None else end_time
    context = set_span_in_context(NonRecordingSpan(offender))
    attributes = {
        names.CANDIDATE_PROVIDER: provider,
        names.CANDIDATE_MODEL: model,
        names.CANDIDATE_INDEX: index,
        **verdict_attributes(verdict, provider),
        **claimed_attributes(said, runtime, secrets),
        names.OWN_EVIDENCE: runtime.redacted(own, secrets, 255),
    }
    attributes.pop(names.VERDICT, None)
    description = f"{_whose(verdict, provider)} error on {provider}'s span"
    made = Marker(runtime, names.SPAN_MISMATCH, context, attributes, description, now)
    if later:
        _waiting.append(made)
    else:
        made.make()
    rule = verdict.rule or ""
    runtime.metrics.mismatch(rule, identity.metric_value(provider), context)

    def safe(text: str) -> str:
        return runtime.redacted(text, secrets, 255)

    runtime.log_limited(
        (rule, provider, index, _whose(verdict, provider)),
        lambda: _sentence(verdict, said, candidate, own, safe, offender),
    )


class Marker(NamedTuple):
    """A span of no length to be made, which shows as a row of its own.

    Args:
        runtime: Whose tracer makes it.
        name: Of the span.
        context: Of its parent.
        attributes: What stands on it.
        description: Of its ERROR status.
        time: In nanoseconds.
    """

    runtime: Runtime
    name: str
    context: Context
    attributes: dict[str, Any]
    description: str
    time: int

    def make(self) -> None:
        """Start and end it."""
        span = self.runtime.tracer.start_span(self.name, self.context, attributes=self.attributes, start_time=self.time)
        span.set_status(StatusCode.ERROR, self.description)
        span.end(self.time)


_waiting: Final[deque[Marker]] = deque(maxlen=256)


def make_waiting() -> None:
    """Make the markers that could not be made where the mismatch was found."""
    while _waiting:
        _waiting.popleft().make()


def _whose(verdict: Verdict, expected: str) -> str:
    """Say whose error it is; where both are of one provider, by the place in the chain."""
    source = verdict.source
    if source is None:
        return "an answer's"
    place = f" #{source.index}" if source.provider == expected else ""
    return f"{source.provider}{place}'s"


def _sentence(
    verdict: Verdict,
    said: Said,
    candidate: tuple[str, str, int],
    own: str,
    safe: Callable[[str], str],
    offender: SpanContext,
) -> str:
    """Return the log line: both facts and ids, nothing of the provider's text but its codes."""
    facts = [
        str(said.status) if said.status else "",
        safe(" ".join(sorted(said.codes))),
        safe(said.word or ""),
    ]
    claimed = " ".join(filter(None, facts)) or said.type or "an error"
    same = verdict.source is not None and verdict.source.provider == candidate[0]
    place = f" #{candidate[2]}" if same else ""
    source = f" source.span_id={verdict.source.span_id}" if verdict.source is not None else ""
    return (
        f"span for {candidate[0]}/{candidate[1]}{place} carries {_whose(verdict, candidate[0])} error "
        f"({verdict.rule}): claimed {claimed}; own evidence: {safe(own)} "
        f"trace_id={offender.trace_id:032x} span_id={offender.span_id:016x}{source}"
    )


# --- the narrow door to a span that is ending -------------------------------------------------------------------------


def write(span: Any, attributes: dict[str, Any]) -> bool:
    """Write attributes onto a span that is ending.

    Through the public API while the span still records (an SDK that follows the specification); else through the
    private attributes, which the same thread has ended a moment ago (frozen by `_attributes._immutable` since 1.43).
    Nothing else can write at this moment.

    Args:
        span: The span of `_on_ending`.
        attributes: What to set.

    Returns:
        Whether it was written.
    """
    if span.is_recording():
        span.set_attributes(attributes)
        return True
    private: Any = getattr(span, "_attributes", None)
    frozen = getattr(private, "_immutable", None)
    if not isinstance(frozen, bool) or not hasattr(private, "__setitem__"):
        return False
    private._immutable = False
    try:
        for key, value in attributes.items():
            private[key] = value
    finally:
        private._immutable = frozen
    return True


def take_out_events(span: Any, events: Iterable[Any]) -> None:
    """Take events out of a span of ours that application code put there; OpenTelemetry has no public way.

    Args:
        span: A recording span.
        events: The very objects.
    """
    kept: Any = getattr(getattr(span, "_events", None), "_dq", None)
    doomed = list(events)
    if isinstance(kept, deque) and doomed:
        left = [event for event in kept if not any(event is each for each in doomed)]
        kept.clear()
        kept.extend(left)


def take_out(span: Any, keys: Iterable[str]) -> None:
    """Take a status and attributes out of a span of ours that application code put there.

    OpenTelemetry has no public way; where the private one is not there either, the key stays and the verdict tells.

    Args:
        span: A recording span.
        keys: What to take out.
    """
    if isinstance(getattr(span, "_status", None), Status):
        span._status = Status(StatusCode.UNSET)
    private: Any = getattr(span, "_attributes", None)
    if hasattr(private, "__delitem__"):
        for key in keys:
            if key in private:
                del private[key]
