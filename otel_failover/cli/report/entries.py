"""Spans as what an incident review looks at: runs, each with its waterfall, claim beside evidence, and findings.

Plain data, in the words of the spans. An entry is a run with all that stands below it; a call outside any run that
failed or says what is not its own; or somebody else's span that does. What an inferred run links to stands in it. Texts
are cleaned of secrets once more: spans of others have passed no gate of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_failover._core.domain import attributes as names
from otel_failover._core.domain.outcome import ERROR, FALLBACK, PRIMARY, SUCCESS
from otel_failover._core.text.gate import clean
from otel_failover.cli.drawing import span_view
from otel_failover.cli.drawing.span_view import SpanView, printable
from otel_failover.cli.live.belonging import is_below, is_call, is_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Key = tuple[str, str]
RUN: Final = "run"
CALL: Final = "call"
SPAN: Final = "span"
_LONG: Final = 500
_SHORT: Final = 120


@dataclass(frozen=True, slots=True)
class Claim:
    """What a span says that is not its own, and what the own evidence is.

    Args:
        rule: That found it.
        bound: By what it is another's: `text`, `object` …; empty where nobody is named.
        source: Whose it is: provider and model where its span is known, else the provider; empty where nobody is named.
        source_id: The span where it was first seen.
        facts: Status, code and reason that it claims, in one line.
        message: Its text.
        own: The own evidence in a sentence.
    """

    rule: str = ""
    bound: str = ""
    source: str = ""
    source_id: str = ""
    facts: str = ""
    message: str = ""
    own: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a waterfall.

    Args:
        span_id: 16 hex digits.
        depth: How far in it stands.
        kind: `run`, `candidate`, `call`, `skip`, `hung` or `span`.
        name: Of the span.
        who: `provider/model`, where it is a candidate's.
        provider: Of the candidate; empty outside one.
        start: In milliseconds since the entry's.
        duration: In milliseconds.
        outcome: In our words; empty where the span has none.
        status: Of the terminal HTTP response; 0 where there was none.
        reason: Why it failed.
        verdict: On it.
        rule: Of the verdict, where it is not `verified`.
        failed: Its status is ERROR.
        message: Its status's description.
        host: The loop's own word for why it failed.
        requests: Sent to the provider.
        claim: What is not its own.
        note: What a reader has to know besides.
    """

    span_id: str
    depth: int
    kind: str
    name: str
    who: str = ""
    provider: str = ""
    start: float = 0.0
    duration: float = 0.0
    outcome: str = ""
    status: int = 0
    reason: str = ""
    verdict: str = ""
    rule: str = ""
    failed: bool = False
    message: str = ""
    host: str = ""
    requests: int = 0
    claim: Claim | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a run got wrong.

    Args:
        rule: Its name.
        level: `warning` or `info`.
        sentence: In words; empty where the event was dropped.
    """

    rule: str
    level: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A run, a call outside any run, or somebody else's span that carries another's error.

    Args:
        kind: `run`, `call` or `span`.
        name: The loop's name, or the span's.
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        run_id: Empty where it is no run.
        service: Its name.
        library: What the loop is of; empty where it is no run.
        around: Name of the trace's first span, where that is another.
        start: Nanoseconds since the epoch.
        duration: In milliseconds.
        outcome: In our words.
        served: Who served it: `provider/model`; empty where nobody did.
        message: Status description.
        wasted: Seconds in attempts that did not serve it.
        rows: Its waterfall.
        findings: What it got wrong.
    """

    kind: str
    name: str
    trace_id: str
    span_id: str
    run_id: str = ""
    service: str = ""
    library: str = ""
    around: str = ""
    start: int = 0
    duration: float = 0.0
    outcome: str = ""
    served: str = ""
    message: str = ""
    wasted: float = 0.0
    rows: tuple[Row, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def lies(self) -> list[Row]:
        """The rows that carry another's error."""
        return [row for row in self.rows if row.claim is not None]


@dataclass(slots=True)
class Entries:
    """What stands in a file of traces.

    Args:
        found: In the order of their starts.
        spans: How many spans were read.
        calm: Calls outside any run that were answered, and say nothing wrong: they are only counted.
    """

    found: list[Entry] = field(default_factory=list)
    spans: int = 0
    calm: int = 0


def entries_in(views: Iterable[SpanView]) -> Entries:
    """Return the entries that spans tell of.

    Args:
        views: Spans, in any order; of two with the same id the later is taken.
    """
    known = {_key(view): view for view in views}
    traces = {trace_id: _Trace(spans) for trace_id, spans in span_view.by_trace(known.values()).items()}
    elsewhere: dict[str, list[SpanView]] = {}
    for trace in traces.values():
        for view in trace.views:
            run_id = view.attributes.get(names.RUN_ID)
            if view.scope == names.SCOPE and isinstance(run_id, str):
                elsewhere.setdefault(run_id, []).append(view)
    result = Entries(spans=len(known))
    taken: set[Key] = set()
    runs = [(trace, view) for trace in traces.values() for view in trace.views if is_run(view)]
    for trace, view in runs:
        if _key(view) in taken:
            continue  # it is a candidate of a run that holds it
        result.found.append(_of_run(trace, view, elsewhere.get(_text(view, names.RUN_ID), []), traces, taken))
    for trace in traces.values():
        for view in trace.views:
            if _key(view) in taken or view.name == names.SPAN_MISMATCH:
                continue
            has_claim = _accuser(view, trace) is not None
            if is_call(view) and not has_claim and view.attributes.get(names.CANDIDATE_OUTCOME) == SUCCESS:
                result.calm += 1
            elif is_call(view) or has_claim:
                result.found.append(_alone(trace, view, taken))
    result.found.sort(key=lambda each: each.start)
    return result


def _key(view: SpanView) -> Key:
    """Return what is one span's alone: span ids are unique in their trace."""
    return view.trace_id, view.span_id


class _Trace:
    """The spans of one trace, by parent."""

    def __init__(self, views: Sequence[SpanView]) -> None:
        self.views = views
        self.known = {view.span_id: view for view in views}
        self.below: dict[str, list[SpanView]] = {}
        for view in views:
            self.below.setdefault(view.parent_id or "", []).append(view)

    def around(self, view: SpanView) -> str:
        """Return the name of the outermost span around one; empty where there is none."""
        seen, at, name = {view.span_id}, self.known.get(view.parent_id or ""), ""
        while at is not None and at.span_id not in seen:
            seen.add(at.span_id)
            name, at = at.name, self.known.get(at.parent_id or "")
        return name


# --- one entry --------------------------------------------------------------------------------------------------------


def _of_run(
    trace: _Trace, run: SpanView, others: Iterable[SpanView], traces: Mapping[str, _Trace], taken: set[Key]
) -> Entry:
    inside: dict[str, bool] = {run.span_id: True}
    # What belongs to it and does not stand below it: in other traces, or asked before anybody knew of a run.
    apart = [view for view in others if view.trace_id != run.trace_id or not is_below(view, trace.known, inside, "")]
    apart += [trace.known[link.span_id] for link in run.links if link.span_id in trace.known]
    apart = [view for view in apart if _key(view) not in taken and view.name != names.SPAN_MISMATCH]
    start = min([run.start, *(view.start for view in apart)])
    rows = _grown(trace, run, start, taken, [(traces[view.trace_id], view) for view in apart])
    get = run.attributes.get
    served = _who(run) if get(names.OUTCOME) in (PRIMARY, FALLBACK) else ""
    return Entry(
        RUN, _clean(run.name.partition(" ")[2] or run.name, _SHORT), run.trace_id, run.span_id,
        run_id=_text(run, names.RUN_ID), service=_clean(run.service, _SHORT), library=_text(run, names.LIBRARY),
        around=_clean(trace.around(run), _SHORT), start=start, duration=(run.end - start) / 1e6,
        outcome=_text(run, names.OUTCOME), served=served, message=_clean(run.description, _LONG),
        wasted=_number(run, names.WASTED_DURATION), rows=tuple(rows), findings=tuple(_findings(run)),
    )  # fmt: skip


def _alone(trace: _Trace, view: SpanView, taken: set[Key]) -> Entry:
    rows = tuple(_grown(trace, view, view.start, taken))
    first = rows[0]
    return Entry(
        CALL if is_call(view) else SPAN, _clean(view.name, _SHORT), view.trace_id, view.span_id,
        service=_clean(view.service, _SHORT), around=_clean(trace.around(view), _SHORT), start=view.start,
        duration=view.seconds * 1e3, outcome=first.outcome or (ERROR if first.failed else ""),
        served=first.who if first.outcome == SUCCESS else "", message=first.message, rows=rows,
    )  # fmt: skip


def _grown(
    trace: _Trace, view: SpanView, start: int, taken: set[Key], apart: Sequence[tuple[_Trace, SpanView]] = ()
) -> list[Row]:
    """Return the rows of a span and of all below it; markers stand in the row of whom they accuse.

    Args:
        trace: It stands in.
        view: The span.
        start: Of the entry, in nanoseconds since the epoch.
        taken: Spans that stand in an entry; added to.
        apart: What is shown right below it though it does not stand there.
    """
    rows: list[Row] = []
    waiting = [(trace, view, 0)]
    while waiting:
        where, at, level = waiting.pop()
        if _key(at) in taken:
            continue
        taken.add(_key(at))
        rows.append(_row(where, at, level, start))
        below = [(where, each) for each in where.below.get(at.span_id, ())]
        taken.update(_key(each) for _, each in below if each.name == names.SPAN_MISMATCH)
        if at is view:
            below = sorted([*below, *apart], key=lambda each: each[1].start)
        waiting += [(there, each, level + 1) for there, each in reversed(below)]
    return rows


def _row(trace: _Trace, view: SpanView, depth: int, start: int) -> Row:
    silent = _number(view, names.SILENT_DURATION)
    return Row(
        view.span_id, depth, _kind(view), _clean(view.name, _SHORT), _who(view), _text(view, names.CANDIDATE_PROVIDER),
        (view.start - start) / 1e6, view.seconds * 1e3,
        _text(view, names.CANDIDATE_OUTCOME) or _text(view, names.OUTCOME),
        int(_number(view, names.HTTP_STATUS)), _text(view, names.REASON_CODE) or _text(view, names.SKIP_REASON),
        _text(view, names.VERDICT), _text(view, names.RULE), view.status == span_view.ERROR,
        _clean(view.description, _LONG), _text(view, names.REASON_HOST), int(_number(view, names.WIRE_REQUESTS)),
        _claim(trace, view), f"silent for {silent:.1f} s when this was told" if silent else "",
    )  # fmt: skip


def _kind(view: SpanView) -> str:
    if is_run(view):
        return RUN
    first = view.name.split(" ")[0]
    if view.scope == names.SCOPE and first in (names.SPAN_CANDIDATE, names.SPAN_SKIP):
        return first
    if view.name == names.SPAN_HUNG:
        return "hung"
    return CALL if view.scope == names.SCOPE or names.GEN_AI_OPERATION in view.attributes else SPAN


def _accuser(view: SpanView, trace: _Trace) -> SpanView | None:
    """Return who says that a span carries another's error: its marker, or the span itself where that was dropped."""
    marker = next((each for each in trace.below.get(view.span_id, ()) if each.name == names.SPAN_MISMATCH), None)
    return marker if marker is not None else view if view.attributes.get(names.MISMATCH) is True else None


def _claim(trace: _Trace, view: SpanView) -> Claim | None:
    said = _accuser(view, trace)
    if said is None:
        return None
    get = said.attributes.get
    facts = [get(names.CLAIMED_STATUS_CODE), get(names.CLAIMED_CODE) or get(names.CLAIMED_REASON)]
    if not any(facts):
        facts = [get(names.CLAIMED_TYPE)]
    source = trace.known.get(_text(said, names.SOURCE_SPAN_ID))
    return Claim(
        _text(said, names.RULE) or _text(view, names.RULE),
        _text(said, names.BOUND_BY),
        (_who(source) if source is not None else "") or _text(said, names.SOURCE_PROVIDER),
        _text(said, names.SOURCE_SPAN_ID),
        _clean(" ".join(str(each) for each in facts if each), _SHORT),
        _text(said, names.CLAIMED_MESSAGE, _LONG),
        _text(said, names.OWN_EVIDENCE, _LONG),
    )


def _findings(run: SpanView) -> Iterator[Finding]:
    told = set()
    for event in run.events:
        if event.name.startswith(names.EVENT_FINDING):
            get = event.attributes.get
            rule = str(get(names.FINDING_RULE) or event.name[len(names.EVENT_FINDING) :])
            told.add(rule)
            sentence = _clean(str(get(names.FINDING_SENTENCE) or ""), _LONG)
            yield Finding(_clean(rule, _SHORT), "info" if get(names.FINDING_LEVEL) == "info" else "warning", sentence)
    rules = run.attributes.get(names.FINDINGS)
    for rule in rules if isinstance(rules, (list, tuple)) else ():
        if rule not in told:
            yield Finding(_clean(str(rule), _SHORT), "warning", "")


# --- texts ------------------------------------------------------------------------------------------------------------


def _clean(text: str, limit: int) -> str:
    return clean(printable(text), (), limit) if text else ""


def _text(view: SpanView, key: str, limit: int = _SHORT) -> str:
    value = view.attributes.get(key)
    return _clean(value, limit) if isinstance(value, str) else ""


def _number(view: SpanView, key: str) -> float:
    value = view.attributes.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def _who(view: SpanView) -> str:
    parts = (_text(view, names.CANDIDATE_PROVIDER), _text(view, names.CANDIDATE_MODEL))
    profile = _text(view, names.CANDIDATE_PROFILE)
    who = "/".join(filter(None, parts))
    return f"{who} ({profile})" if who and profile else who
