"""A trace as a tree in the terminal: one line a span, and in red what is said of a candidate that is not its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import verdicts
from otel_failover._core.domain.outcome import FALLBACK, PRIMARY, SUCCESS, UNASKED, UNSEEN
from otel_failover.cli.drawing.span_view import ERROR, SpanView, by_trace, printable, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType

    from otel_failover.cli.drawing.span_view import LinkView

_LEAST: Final = 16
_INFERRED: Final = "inferred"


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The few signs that not every terminal can show."""

    wrong: str = "✗"
    right: str = "✓"
    more: str = "…"
    opening: str = "“"
    closing: str = "”"

    @classmethod
    def of(cls, options: ConsoleOptions) -> Glyphs:
        """Return the signs that a terminal's encoding has."""
        return _ASCII if options.ascii_only else _UNICODE

    def quoted(self, text: str, room: int) -> str:
        """Return a text on one line in quotes, cut to a number of columns, quotes included."""
        folded, room = " ".join(printable(text).split()), max(_LEAST, room) - len(self.opening) - len(self.closing)
        if cell_len(folded) > room:
            folded = set_cell_size(folded, room - len(self.more)).rstrip() + self.more
        return f"{self.opening}{folded}{self.closing}"


_UNICODE: Final = Glyphs()
_ASCII: Final = Glyphs("x", "+", "...", '"', '"')


class Row:
    """A renderable: a line of the tree, which is cut in its middle where a terminal is too narrow for it.

    What comes of a span and what is said of it stand at the end, so that is never what is cut. Nothing is where it does
    not go to a terminal: a file is searched, and has no edge.

    Args:
        head: Who.
        middle: What can be cut: a model's name, a description.
        tail: What came of it, and the verdict.
    """

    def __init__(self, head: Text, middle: Text, tail: Text) -> None:
        self._head, self._middle, self._tail = head, middle, tail

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield the line."""
        middle = self._middle.copy()
        room = max(_LEAST, options.max_width - self._head.cell_len - self._tail.cell_len)
        if console.file.isatty() and middle.cell_len > room:
            more = Glyphs.of(options).more
            middle.truncate(room - cell_len(more))
            middle.rstrip()
            middle.append(more)
        yield Text.assemble(self._head, middle, self._tail)


class TraceTree:
    """A renderable: the spans of one or more traces as trees.

    Args:
        views: Spans, in any order. A span whose parent is not among them stands as a root.
    """

    def __init__(self, views: Iterable[SpanView]) -> None:
        self._traces = by_trace(map(shown, views))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield one tree for each root."""
        glyphs = Glyphs.of(options)
        for views in self._traces.values():
            yield from _Trace(views, glyphs).trees()


class _Trace:
    """The spans of one trace, by parent."""

    def __init__(self, views: Sequence[SpanView], glyphs: Glyphs) -> None:
        self._glyphs = glyphs
        self._known = {view.span_id: view for view in views}
        self._below: dict[str | None, list[SpanView]] = {}
        for view in views:
            parent = view.parent_id if view.parent_id in self._known else None
            self._below.setdefault(parent, []).append(view)

    def trees(self) -> Iterator[Tree]:
        for root in self._below.get(None, ()):
            yield self._grow(Tree(self._line(root), guide_style="dim"), root)

    def _grow(self, tree: Tree, view: SpanView) -> Tree:
        below = self._below.get(view.span_id, [])
        for link in view.links if _is_run(view) else ():
            if earlier := _earlier(link):
                tree.add(earlier)
        has_marker = view.name == names.SPAN_MISMATCH or any(each.name == names.SPAN_MISMATCH for each in below)
        for child in sorted(below, key=lambda each: (each.name == names.SPAN_MISMATCH, each.start)):
            self._grow(tree.add(self._line(child)), child)
        if view.attributes.get(names.MISMATCH) and not has_marker:
            tree.add(self._accusation(view))
        for finding in _findings(view):
            tree.add(finding)
        return tree

    def _line(self, view: SpanView) -> RenderableType:
        kind = view.name.split(" ")[0]
        if view.name == names.SPAN_MISMATCH:
            return self._accusation(view)
        if view.name == names.SPAN_HUNG:
            return _hung(view)
        if _is_run(view):
            return _run(view)
        if view.scope == names.SCOPE and kind == names.SPAN_CANDIDATE:
            return _candidate(view)
        if view.scope == names.SCOPE and kind == names.SPAN_SKIP:
            return self._skip(view)
        if view.scope == names.SCOPE and names.CANDIDATE_OUTCOME in view.attributes:
            return _call(view)
        return _other(view)

    def _skip(self, view: SpanView) -> Row:
        cause = self._known.get(view.attributes.get(names.SKIP_CAUSE_SPAN_ID, ""))
        after = f" (since {_provider(cause)}: {_reason(cause)})" if cause is not None else ""
        return _line(view, [(f"skipped: {view.attributes.get(names.SKIP_REASON, '')}{after}", "dim")])

    def _accusation(self, view: SpanView) -> Accusation:
        source = self._known.get(view.attributes.get(names.SOURCE_SPAN_ID, ""))
        return Accusation(view, source.attributes.get(names.CANDIDATE_PROFILE) if source is not None else None)


class Accusation:
    """A renderable: what a span says that is not its own, whose it is, and what the own evidence is.

    Args:
        view: The marker span, or the offender itself where the marker is not there.
        profile: Label of the key of the one whose error it is.
    """

    def __init__(self, view: SpanView, profile: str | None = None) -> None:
        self._view, self._profile = view, profile

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield a sentence, and below it claim and evidence."""
        glyphs, get = Glyphs.of(options), self._view.attributes.get
        bound = get(names.BOUND_BY)
        facts = ", ".join(filter(None, [get(names.RULE), f"bound by {bound}" if bound else None]))
        yield Text(f"{glyphs.wrong} carries {self._whose()} error ({facts})", style="bold red")
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, style="red")
        grid.add_column()
        grid.add_row("  claimed", Text(self._claimed(glyphs, options.max_width - len("  own evidence  ")), style="red"))
        if own := get(names.OWN_EVIDENCE):
            grid.add_row(Text("  own evidence", style="default"), Text(own))
        yield grid

    def _whose(self) -> str:
        get = self._view.attributes.get
        provider = get(names.SOURCE_PROVIDER)
        if provider is None:
            return "an answer's"
        if provider != get(names.EXPECTED_PROVIDER):
            return f"{provider}'s"
        return f"the {self._profile} key's" if self._profile else f"{provider} #{get(names.SOURCE_INDEX)}'s"

    def _claimed(self, glyphs: Glyphs, room: int) -> str:
        get = self._view.attributes.get
        known = get(names.CLAIMED_STATUS_CODE), get(names.CLAIMED_CODE) or get(names.CLAIMED_REASON)
        facts = " ".join(str(fact) for fact in known if fact)
        message = get(names.CLAIMED_MESSAGE)
        if message:
            return f"{facts} {glyphs.quoted(message, room - len(facts) - 1)}".strip()
        return facts or get(names.CLAIMED_TYPE) or "an error"


def _is_run(view: SpanView) -> bool:
    return view.scope == names.SCOPE and view.name.split(" ")[0] == names.SPAN_RUN


def _run(view: SpanView) -> Row:
    get = view.attributes.get
    outcome = get(names.OUTCOME, "open")
    if outcome in (PRIMARY, FALLBACK):
        became = (f"{outcome}, served by {get(names.CANDIDATE_PROVIDER)}/{get(names.CANDIDATE_MODEL)}", "green")
    else:
        style = "yellow" if outcome in (UNSEEN, UNASKED) else "red"
        became = (": ".join(filter(None, [outcome, view.description])), style)
    # Who has declared no loop has to know that it was found, and that less is known of it.
    origin = _INFERRED if get(names.LIBRARY) == _INFERRED else ""
    rest = [(f", {fact}", style) for fact, style in ((_seconds(view), ""), (origin, "dim"), (view.note, "dim")) if fact]
    return Row(Text(view.name, style="bold"), Text.assemble("  ", became), Text.assemble(*rest))


def _earlier(link: LinkView) -> Text | None:
    """Return the line of a call that was made before anybody knew that it belongs to a run; it has no span in it."""
    get = link.attributes.get
    provider = get(names.CANDIDATE_PROVIDER)
    if provider is None:
        return None
    said = _words(get(names.CANDIDATE_OUTCOME), get(names.HTTP_STATUS), get(names.REASON_CODE))
    name = Text.assemble((f"{names.SPAN_CANDIDATE} {provider}", "bold"), f"  {get(names.CANDIDATE_MODEL, '')}")
    return _joined(name, [(said, "yellow"), ("asked before the run was known", "dim")])


def _findings(view: SpanView) -> Iterator[Text]:
    """Yield what a run got wrong: a sentence for each event, the rule alone where the event was dropped."""
    events = [event.attributes for event in view.events if event.name.startswith(names.EVENT_FINDING)]
    for facts in events:
        warning = facts.get(names.FINDING_LEVEL) != "info"
        yield _remark(f"{facts.get(names.FINDING_RULE)}: {facts.get(names.FINDING_SENTENCE)}", warning=warning)
    rules = {facts.get(names.FINDING_RULE) for facts in events}
    yield from (
        _remark(printable(str(rule))) for rule in view.attributes.get(names.FINDINGS) or () if rule not in rules
    )


def _hung(view: SpanView) -> Text:
    """Return the marker of a candidate that hangs: its own span is still open, and may never come."""
    seconds = view.attributes.get(names.SILENT_DURATION)
    silent = f"silent for {seconds:.1f} s" if isinstance(seconds, (int, float)) else "silent"
    who = _words(view.attributes.get(names.CANDIDATE_PROVIDER), view.attributes.get(names.CANDIDATE_MODEL))
    return _remark(f"{who or 'a candidate'} was still open, and {silent}")


def _remark(text: str, *, warning: bool = True) -> Text:
    return Text(f"{'!' if warning else 'i'} {text}", style="yellow" if warning else "dim")


def _candidate(view: SpanView) -> Row:
    get = view.attributes.get
    outcome = get(names.CANDIDATE_OUTCOME, "open")
    style = "green" if outcome == SUCCESS else "yellow"
    said = _words(outcome, get(names.HTTP_STATUS), get(names.REASON_CODE))
    return _line(view, [(said, style), (_seconds(view), ""), (view.note, "dim")])


def _call(view: SpanView) -> Row:
    """Return the line of a call outside any run: it is a candidate by itself."""
    get = view.attributes.get
    said = _words(get(names.CANDIDATE_OUTCOME), get(names.HTTP_STATUS), get(names.REASON_CODE))
    style = "green" if get(names.CANDIDATE_OUTCOME) == SUCCESS else "yellow"
    tail = _joined(Text(), [(said, style), (_seconds(view), "")]).append_text(_verdict(view))
    return Row(Text(view.name, style="bold"), Text(f"  {_provider(view)}"), tail)


def _other(view: SpanView) -> Row:
    """Return the line of a call, or of anybody's span."""
    get = view.attributes.get
    status = get(names.HTTP_STATUS)
    kind = (get(names.ERROR_TYPE) or view.description) if view.status == ERROR else None
    said = _words("error" if view.status == ERROR else None, status, kind if kind != str(status) else None)
    tail = _joined(Text(), [(said, ""), (_seconds(view), ""), (view.note, "")])
    tail.stylize("dim")
    if get(names.VERDICT) != verdicts.VERIFIED:
        tail.append_text(_verdict(view))
    return Row(Text(), Text(view.name, style="dim"), tail)


def _line(view: SpanView, facts: Sequence[tuple[str, str]]) -> Row:
    """Return the line of a candidate or a skip: name, model and profile, facts, verdict."""
    profile = view.attributes.get(names.CANDIDATE_PROFILE)
    model = f"{view.attributes.get(names.CANDIDATE_MODEL, '')}" + (f" ({profile})" if profile else "")
    # A span's name has `other` for who is not known; whoever reads the tree has to tell two of them apart.
    kind = view.name.split(" ")[0]
    provider = view.attributes.get(names.CANDIDATE_PROVIDER)
    head = Text(f"{kind} {provider}" if provider else view.name, style="bold")
    return Row(head, Text(f"  {model}" if model else ""), _joined(Text(), facts).append_text(_verdict(view)))


def _joined(text: Text, facts: Sequence[tuple[str, str]]) -> Text:
    """Append facts to a name: two spaces, then commas between them."""
    for number, (fact, style) in enumerate(fact for fact in facts if fact[0]):
        text.append(", " if number else "  ")
        text.append(fact, style=style)
    return text


def _verdict(view: SpanView) -> Text:
    verdict = view.attributes.get(names.VERDICT)
    if verdict is None:
        return Text()
    style = {verdicts.VERIFIED: "green", verdicts.MISMATCH: "bold red"}.get(verdict, "yellow")
    rule = view.attributes.get(names.RULE)
    shown = verdict if rule is None or verdict == verdicts.MISMATCH else f"{verdict} ({rule})"
    return Text(f"  {shown}", style=style)


def _words(*facts: object) -> str:
    return " ".join(str(fact) for fact in facts if fact)


def _provider(view: SpanView) -> str:
    return str(view.attributes.get(names.CANDIDATE_PROVIDER, view.name))


def _reason(view: SpanView) -> str:
    return str(view.attributes.get(names.REASON_CODE, view.attributes.get(names.CANDIDATE_OUTCOME, "")))


def _seconds(view: SpanView) -> str:
    return f"{view.seconds:.2f} s"
