"""Spans in, pictures out: what belongs to one run is kept until the run's own span has come.

A span is exported when it ends, so children come before their run, in whatever batches; a run's candidates may stand in
several traces (`failover.run.id` holds them together). What comes when:

| what | when it is drawn |
|---|---|
| a run | when its span has come, with all that stands below it |
| a run inside a run | when it ends; the outer run's tree has its line, and says so |
| a call outside any run | at once, in one line |
| earlier calls that an inferred run links to | as calls when they ended; in the run by a line for each link |
| what ends after its run: a candidate's stream, a mismatch | when it comes, under the run's name |
| a candidate that hangs | at once, while it hangs, and again in its run |
| somebody else's span outside any run | never, unless it carries another's error |
| a run whose span never comes | at the end, or when too many wait: what has come of it, and that it did not end |

Memory is bounded: at most so many spans wait, and of spans that are nobody's candidate far fewer. Nothing here knows a
clock, a terminal or a thread.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import verdicts
from otel_failover.cli.drawing.span_view import SpanView
from otel_failover.cli.live.belonging import (
    OpenAttempt,
    has_served,
    is_around,
    is_below,
    is_call,
    is_of_a_run,
    is_run,
    is_wanted,
    reduced,
    run_of,
    still_going,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST: Final = 10_000
"""Spans that wait for their run, of candidates and of what stands inside them."""
_MOST_OTHERS: Final = 2_000
"""Spans that wait and are nobody's candidate: nearly all of them belong to no run."""
_REMEMBERED: Final = 10_000
_FIRST: Final = 10.0
"""Seconds after which a run is first said to be still going."""
_LONGEST: Final = 60.0
"""Seconds between two such lines, at most."""
_SILENT: Final = 900.0
"""Seconds after which nobody waits any longer for a run that is only known by spans, and has sent no more."""
_LOUD: Final = (verdicts.MISMATCH, verdicts.INCONSISTENT)

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Picture:
    """What is to be drawn at once.

    Args:
        views: Spans, with all that stands below them.
        remark: What a reader has to know before them; empty where nothing.
        kind: `run`, `call`, `late`, `hung` or `unended`.
    """

    views: tuple[SpanView, ...]
    remark: str = ""
    kind: str = "run"


class Gathering:
    """Spans that wait for their run, and what is drawn as they come.

    Args:
        grace: Nanoseconds that a run or call waits after its span has come: for spans of other processes.
        most: Spans that may wait.
        most_others: Spans that may wait and are nobody's candidate.
    """

    def __init__(self, grace: int = 0, most: int = _MOST, most_others: int = _MOST_OTHERS) -> None:
        self._grace, self._most, self._most_others = grace, most, most_others
        self.forget()

    def forget(self) -> None:
        """Let go of everything: after a fork, what waits is the parent process's."""
        self._traces: OrderedDict[str, dict[str, SpanView]] = OrderedDict()
        self._ours: OrderedDict[Key, None] = OrderedDict()
        self._others: OrderedDict[Key, None] = OrderedDict()
        self._below_them: dict[Key, dict[str, None]] = {}
        self._due: dict[Key, int] = {}
        self._held: dict[Key, None] = {}
        self._traces_of: dict[str, set[str]] = {}
        self._news: dict[str, int] = {}
        self._ended: OrderedDict[str, str] = OrderedDict()
        self._drawn: OrderedDict[Key, str] = OrderedDict()
        self._told: OrderedDict[str, tuple[float, float]] = OrderedDict()

    # --- spans in, pictures out ---------------------------------------------------------------------------------------

    def add(self, views: Iterable[SpanView], now: int) -> list[Picture]:
        """Take in spans that have ended, in any order; return what is to be drawn.

        Args:
            views: The spans.
            now: In nanoseconds since the epoch.
        """
        came = [reduced(view) for view in views]
        for view in came:
            self._keep(view, now)
        pictures: list[Picture] = []
        for view in came:
            pictures += self._hung(view)
        pictures += self.due(now)
        for view in came:
            pictures += self._outside(view)
        return pictures + self._overflow()

    def due(self, now: int) -> list[Picture]:
        """Return the runs and calls whose time to be drawn has come, in the order in which they ended.

        Args:
            now: In nanoseconds since the epoch.
        """
        ready = [key for key, when in self._due.items() if when <= now]
        # The outermost first: a run inside it that has come with it is drawn in it, and is not due any more.
        ready.sort(key=lambda key: self._traces[key[0]][key[1]].start)
        pictures = [self._complete(key) for key in ready if self._due.pop(key, None) is not None]
        pictures.sort(key=lambda picture: picture.views[0].end)
        return pictures + self._released() if pictures else pictures

    def rest(self) -> list[Picture]:
        """Return what is left: runs that did not end, as far as they have come. Nothing waits any more."""
        pictures = self.due(1 << 63)
        while self._ours:
            pictures.append(self._unended(next(iter(self._ours))))
        self.forget()
        return pictures

    # --- what waits ---------------------------------------------------------------------------------------------------

    def _keep(self, view: SpanView, now: int) -> None:
        key = (view.trace_id, view.span_id)
        self._traces.setdefault(view.trace_id, {})[view.span_id] = view
        if is_wanted(view):
            self._ours[key] = None
            self._below_them.setdefault((view.trace_id, view.parent_id or ""), {})[view.span_id] = None
        else:
            self._others[key] = None
        run_id = view.attributes.get(names.RUN_ID)
        if run_id and view.scope == names.SCOPE and run_id not in self._ended:
            self._traces_of.setdefault(run_id, set()).add(view.trace_id)
            self._news[run_id] = now
        if is_run(view) or is_call(view):
            self._due[key] = now + self._grace

    def _forget(self, key: Key) -> None:
        trace = self._traces.get(key[0], {})
        view = trace.pop(key[1], None)
        if view is not None:
            place = (key[0], view.parent_id or "")
            below = self._below_them.get(place, {})
            below.pop(key[1], None)
            if not below:
                self._below_them.pop(place, None)
        if not trace:
            self._traces.pop(key[0], None)
        for each in (self._ours, self._others, self._due, self._held):
            each.pop(key, None)

    def _draw(self, views: Iterable[SpanView], name: str) -> None:
        """Remember that spans have been drawn, and let go of them."""
        for view in views:
            key = (view.trace_id, view.span_id)
            self._forget(key)
            self._drawn[key] = name
        while len(self._drawn) > _REMEMBERED:
            self._drawn.popitem(last=False)

    # --- a run --------------------------------------------------------------------------------------------------------

    def _complete(self, key: Key) -> Picture:
        view = self._traces[key[0]][key[1]]
        return self._run(key) if is_run(view) else self._alone(view)

    def _run(self, key: Key) -> Picture:
        run = self._traces[key[0]][key[1]]
        run_id = str(run.attributes.get(names.RUN_ID) or "")
        members = self._below(run, run_id)
        views = [run, *(view for view in members if view is not run)]
        self._draw(views, run.name)
        self._drop_run(run_id)
        if run_id:
            self._ended[run_id] = run.name
            if len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)
        # The run's own line stays, in case that a run around it comes.
        if run.parent_id is not None:
            self._traces.setdefault(key[0], {})[key[1]] = replace(run, note="drawn above", events=(), links=())
            self._others[key] = None
        return Picture(tuple(views))

    def _below(self, run: SpanView, run_id: str) -> list[SpanView]:
        """Return what stands below a run, of all traces that it is split over, as spans of one tree."""
        found: list[SpanView] = []
        for trace_id in sorted(self._traces_of.get(run_id, {run.trace_id}) | {run.trace_id}):
            trace = self._traces.get(trace_id, {})
            inside: dict[str, bool] = {run.span_id: True} if trace_id == run.trace_id else {}
            found += [each for each in trace.values() if each is not run and is_below(each, trace, inside, run_id)]
        known = {view.span_id for view in found} | {run.span_id}
        return [self._placed(view, run, known) for view in found]

    def _placed(self, view: SpanView, run: SpanView, known: set[str]) -> SpanView:
        """Return a view as it stands in a run's tree: a candidate whose parent is not in it stands below the run."""
        if view.trace_id == run.trace_id and view.parent_id in known:
            return view
        elsewhere = "in another trace" if view.trace_id != run.trace_id else view.note
        if view.parent_id in known:
            return replace(view, trace_id=run.trace_id)
        return replace(view, trace_id=run.trace_id, parent_id=run.span_id, note=elsewhere)

    # --- what is in no run --------------------------------------------------------------------------------------------

    def _hung(self, view: SpanView) -> Iterator[Picture]:
        if view.name == names.SPAN_HUNG:
            yield Picture((view,), kind="hung")

    def _outside(self, view: SpanView) -> Iterator[Picture]:
        """Yield what is to be drawn of a span that has come, and of what has waited for it, outside any open run."""
        key = (view.trace_id, view.span_id)
        trace = self._traces.get(key[0], {})
        kept = trace.get(key[1])
        if kept is None or kept.note:  # it has been drawn
            return
        name = self._late_for(view)
        if name is not None:
            if is_wanted(view) or self._is_loud(view):
                yield self._alone(view, f"late, of the run above: {name}", "late")
            else:
                self._draw([view], name)
            return
        if is_wanted(view):
            around = trace.get(view.parent_id or "")
            if view.scope != names.SCOPE and (view.parent_id is None or (around is not None and is_around(around))):
                yield self._foreign_call(view, around)
            return
        if self._is_loud(view):
            self._held[key] = None
        for child in self._wanted_below(view):
            if child.scope != names.SCOPE and child.span_id in trace:
                yield self._foreign_call(child, view)
        yield from self._released()

    def _foreign_call(self, view: SpanView, around: SpanView | None) -> Picture:
        """Return the line of a call outside any run whose span is another instrumentation's.

        Args:
            view: A span inside the call's attempt.
            around: The span that it stands in: the call's own, where that began before the attempt.
        """
        call = around if around is not None and names.GEN_AI_OPERATION in around.attributes else view
        picture = self._alone(call)
        get = view.attributes.get
        who = f"{get(names.CANDIDATE_PROVIDER, '')} {get(names.CANDIDATE_MODEL, '')}"
        first, *more = picture.views
        return replace(picture, views=(replace(first, note=who.strip()), *more))

    def _wanted_below(self, view: SpanView) -> list[SpanView]:
        """Return the spans right below one that are ours, or stand in an attempt."""
        trace = self._traces.get(view.trace_id, {})
        return [trace[each] for each in self._below_them.get((view.trace_id, view.span_id), ())]

    def _released(self) -> list[Picture]:
        """Return spans that carry another's error, once no run is open in their trace that they may belong to."""
        pictures = []
        for key in list(self._held):
            trace = self._traces.get(key[0], {})
            if not any(is_of_a_run(view) for view in trace.values()):
                pictures.append(self._alone(trace[key[1]]))
        return pictures

    def _is_loud(self, view: SpanView) -> bool:
        """Whether a span carries what is not its own; before SDK 1.40 only its marker says so."""
        if view.attributes.get(names.VERDICT) in _LOUD:
            return True
        return any(each.name == names.SPAN_MISMATCH for each in self._wanted_below(view))

    def _late_for(self, view: SpanView) -> str | None:
        """Return the name of the run that a span belongs to and that is drawn already; None where there is none."""
        run_id = view.attributes.get(names.RUN_ID)
        if view.scope == names.SCOPE and run_id is not None and run_id in self._ended:
            return self._ended[run_id]
        return self._drawn.get((view.trace_id, view.parent_id or ""))

    def _alone(self, view: SpanView, remark: str = "", kind: str = "call") -> Picture:
        """Return a span with what stands below it: markers only, where it is a call, which is one line."""
        trace = self._traces.get(view.trace_id, {})
        inside = {view.span_id: True}
        views = [each for each in trace.values() if each is not view and is_below(each, trace, inside, "")]
        self._draw([view, *views], view.name)
        if kind == "call":
            views = [each for each in views if each.name == names.SPAN_MISMATCH and each.parent_id == view.span_id]
        return Picture((view, *views), remark, kind)

    # --- what never ends ----------------------------------------------------------------------------------------------

    def _overflow(self) -> list[Picture]:
        while len(self._others) > self._most_others:
            self._forget(next(iter(self._others)))
        pictures: list[Picture] = []
        while len(self._ours) > self._most:
            pictures.append(self._unended(next(iter(self._ours)), "too many spans wait"))
        return pictures

    def _unended(self, key: Key, why: str = "") -> Picture:
        """Return what has come of a run that has not ended."""
        trace = self._traces[key[0]]
        # A call whose candidate is still open names no run: it is the only one's, or the first one's, of its trace.
        run_id = run_of(trace[key[1]], trace)
        run_id = run_id or next(
            (str(each.attributes[names.RUN_ID]) for each in trace.values() if is_of_a_run(each)), ""
        )
        found = self._below(SpanView("", key[0], ""), run_id) if run_id else []
        lost = [view for view in trace.values() if is_wanted(view) and not view.note and not run_of(view, trace)]
        views = {view.span_id: replace(view, parent_id=view.parent_id or None) for view in [*lost, *found]}
        self._draw([*lost, *found], f"{names.SPAN_RUN} (not ended)")
        self._drop_run(run_id)
        return Picture(tuple(views.values()), ": ".join(filter(None, ["a run that has not ended", why])), "unended")

    def _drop_run(self, run_id: str) -> None:
        for each in (self._traces_of, self._news, self._told):
            each.pop(run_id, None)

    # --- what is still going ------------------------------------------------------------------------------------------

    def going(self, now: int, open_now: Iterable[OpenAttempt] = ()) -> tuple[list[str], list[Picture]]:
        """Return a line for each run that is still going and has been for long, and runs that nobody waits for longer.

        Args:
            now: In nanoseconds since the epoch.
            open_now: What is open in this process.
        """
        known: dict[str, list[OpenAttempt]] = {}
        for each in open_now:
            if each.run_id not in self._ended:  # what another process says of itself may be a second old
                known.setdefault(each.run_id or f"{each.who} {each.began}", []).append(each)
        over = {self._traces[trace][span].attributes.get(names.RUN_ID) for trace, span in self._due}
        waiting = {run_id: self._members(run_id) for run_id in self._traces_of if run_id not in over}
        lines, pictures = [], []
        for run_id in [each for each in {**waiting, **known} if each not in over]:
            views, attempts = waiting.get(run_id, []), known.get(run_id, [])
            began = min([*(each.run_began for each in attempts), *(view.start for view in views)], default=now)
            age = (now - began) / 1e9
            if not attempts and now - self._news.get(run_id, now) > _SILENT * 1e9 and views:
                key = (views[0].trace_id, views[0].span_id)
                pictures.append(self._unended(key, f"nothing was heard of it for {_SILENT / 60:.0f} minutes"))
            elif self._is_to_be_told(run_id, age) and (attempts or not has_served(views)):
                lines.append(still_going(age, views, attempts, now))
        for run_id in [each for each in self._told if each not in waiting and each not in known]:
            del self._told[run_id]
        return lines, pictures

    def _members(self, run_id: str) -> list[SpanView]:
        """Return the candidates of a run that have ended, in their order."""
        views = [
            view
            for trace_id in self._traces_of[run_id]
            for view in self._traces.get(trace_id, {}).values()
            if view.attributes.get(names.RUN_ID) == run_id and view.scope == names.SCOPE
        ]
        return sorted(views, key=lambda view: view.start)

    def _is_to_be_told(self, run_id: str, age: float) -> bool:
        """Whether it is time for a run's next line: after 10, 20, 40 seconds, then every minute."""
        told, pause = self._told.get(run_id, (0.0, _FIRST))
        if age < told + pause:
            return False
        self._told[run_id] = (age, min(_LONGEST, max(pause, age)))
        return True
