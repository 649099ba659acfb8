"""What a span is to a run: by its attributes, and by its parents as far as they are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import attributes as names
from otel_failover._core.domain.outcome import SUCCESS
from otel_failover.cli.drawing.span_view import EventView, LinkView, SpanView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_LONG: Final = 2_048
_TEXTS: Final = frozenset({
    names.CANDIDATE_PROVIDER, names.CANDIDATE_MODEL, names.CANDIDATE_PROFILE, names.CANDIDATE_OUTCOME, names.RUN_ID,
    names.OUTCOME, names.SKIP_REASON, names.SKIP_CAUSE_SPAN_ID, names.REASON_CODE, names.ERROR_TYPE, names.VERDICT,
    names.RULE, names.EXPECTED_PROVIDER, names.SOURCE_PROVIDER, names.SOURCE_SPAN_ID, names.BOUND_BY,
    names.OWN_EVIDENCE, names.CLAIMED_REASON, names.CLAIMED_TYPE, names.CLAIMED_CODE, names.CLAIMED_MESSAGE,
    names.GEN_AI_OPERATION, names.LIBRARY, names.FINDING_RULE, names.FINDING_SENTENCE, names.FINDING_LEVEL,
})  # fmt: skip
_NUMBERS: Final = frozenset({
    names.HTTP_STATUS, names.SILENT_DURATION, names.MISMATCH, names.SOURCE_INDEX, names.CLAIMED_STATUS_CODE,
})  # fmt: skip
"""With `_TEXTS` and `failover.findings` all that the drawing reads: prompts and replies that others record are not even
kept. What is of another type than it should be is not either: over OTLP anybody may send anything."""


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt that is open in this process, as the instrumentation knows it.

    Args:
        run_id: Of its run; empty for a call outside any.
        run_name: What the run's span is called.
        who: Provider and model.
        began: In nanoseconds since the epoch.
        run_began: When its run began.
    """

    run_id: str
    run_name: str
    who: str
    began: int
    run_began: int


def is_wanted(view: SpanView) -> bool:
    """Whether a span is ours, or stands in an attempt: it is drawn, whatever comes."""
    return view.scope == names.SCOPE or names.CANDIDATE_PROVIDER in view.attributes


def _kind(view: SpanView) -> str:
    return view.name.split(" ")[0] if view.scope == names.SCOPE else ""


def is_run(view: SpanView) -> bool:
    """Whether a span is a run's own."""
    return _kind(view) == names.SPAN_RUN


def is_of_a_run(view: SpanView) -> bool:
    """Whether a span says which run it belongs to, and has not been drawn with it."""
    return view.scope == names.SCOPE and names.RUN_ID in view.attributes and not view.note


def is_call(view: SpanView) -> bool:
    """Whether a span is a call outside any run: its own candidate."""
    is_own = view.scope == names.SCOPE and names.CANDIDATE_OUTCOME in view.attributes
    return is_own and names.RUN_ID not in view.attributes


def is_below(view: SpanView, trace: Mapping[str, SpanView], inside: dict[str, bool], run_id: str) -> bool:
    """Whether a span stands below a run: by its parents, or by the run's id on one of them.

    Args:
        view: The span.
        trace: The spans of its trace that are known.
        inside: What is known of others; added to.
        run_id: The run's; empty where only parents count.
    """
    path: list[str] = []
    at: SpanView | None = view
    answer = False
    while at is not None and at.span_id not in path:
        if at.span_id in inside:
            answer = inside[at.span_id]
            break
        path.append(at.span_id)
        if run_id and at.attributes.get(names.RUN_ID) == run_id and at.scope == names.SCOPE:
            answer = True
            break
        if at.parent_id in inside:
            answer = inside[at.parent_id]
            break
        at = trace.get(at.parent_id or "")
    for span_id in path:
        inside[span_id] = answer
    return answer


def is_around(view: SpanView) -> bool:
    """Whether a span stands around calls, and in no attempt: what is a call right below it is in no run."""
    return view.scope != names.SCOPE and names.CANDIDATE_PROVIDER not in view.attributes


def run_of(view: SpanView, trace: Mapping[str, SpanView]) -> str:
    """Return the id of the run that a span stands in, by its parents as far as they are known; empty if by none."""
    seen: set[str] = set()
    at: SpanView | None = view
    while at is not None and at.span_id not in seen:
        if is_of_a_run(at):
            return str(at.attributes[names.RUN_ID])
        seen.add(at.span_id)
        at = trace.get(at.parent_id or "")
    return ""


def has_served(views: Iterable[SpanView]) -> bool:
    """Whether one of a run's candidates answered."""
    return any(view.attributes.get(names.CANDIDATE_OUTCOME) == SUCCESS for view in views)


def still_going(age: float, views: Iterable[SpanView], attempts: Sequence[OpenAttempt], now: int) -> str:
    """Return the line of a run that is still going: what has ended in it, and what is open since when."""
    parts, views = [], list(views)
    ended = {view.span_id for view in views}
    for view in views:
        get = view.attributes.get
        if view.name == names.SPAN_HUNG and view.parent_id in ended:
            continue  # it was silent, and has ended since
        said = "silent" if view.name == names.SPAN_HUNG else get(names.CANDIDATE_OUTCOME)
        facts = (get(names.CANDIDATE_PROVIDER), said, get(names.HTTP_STATUS), get(names.REASON_CODE))
        parts.append(" ".join(str(fact) for fact in facts if fact))
    parts += [f"{each.who} open for {(now - each.began) / 1e9:.0f} s" for each in attempts]
    name = attempts[0].run_name if attempts else names.SPAN_RUN
    return f"{name} still going, {age:.0f} s: {', '.join(parts)}"


def reduced(view: SpanView) -> SpanView:
    """Return a view with what is drawn of it, and no more."""
    events = tuple(
        EventView(event.name, _of(event.attributes))
        for event in view.events
        if event.name.startswith(names.EVENT_FINDING)
    )
    links = tuple(
        LinkView(link.span_id, _of(link.attributes))
        for link in view.links
        if names.CANDIDATE_PROVIDER in link.attributes
    )
    said = view.description[:_LONG]
    facts = _of(view.attributes)
    return replace(view, description=said, attributes=facts, events=events if is_run(view) else (), links=links)


def _of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if _is_drawn(key, value)}


def _is_drawn(key: str, value: object) -> bool:
    if isinstance(value, str):
        return key in _TEXTS
    if isinstance(value, (int, float)):
        return key in _NUMBERS
    return key == names.FINDINGS and isinstance(value, (tuple, list)) and all(isinstance(each, str) for each in value)
