"""Tables: what a loop reported against what the providers really answered, and what the metrics counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import outcome
from otel_failover._core.domain.verdicts import MISMATCH
from otel_failover.cli.drawing.tree import Glyphs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.metrics.export import MetricsData
    from rich.console import Console, ConsoleOptions, RenderableType

    from otel_failover._core.domain.candidate import Candidate
    from otel_failover.cli.demo.scenarios import Played, Report
    from otel_failover.testing.providers import Served

_COUNTED: Final = (
    names.METRIC_RUNS,
    names.METRIC_FINDINGS,
    names.METRIC_ATTEMPTS,
    names.METRIC_CHECKS,
    names.METRIC_MISMATCHES,
)
_LABELS: Final = (
    names.LIBRARY,
    names.CANDIDATE_PROVIDER,
    names.EXPECTED_PROVIDER,
    names.CANDIDATE_OUTCOME,
    names.OUTCOME,
    names.REASON_CODE,
    names.VERDICT,
    names.RULE,
    names.FINDING_RULE,
)
"""Labels worth reading, in the order of reading."""

_ASCII_BOX: Final = box.Box(
    "    \n"
    "    \n"
    " -- \n"
    "    \n"
    "    \n"
    "    \n"
    "    \n"
    "    \n",
    ascii=True,
)  # fmt: skip
"""SIMPLE_HEAD for terminals that have ASCII only; rich would draw walls around everything."""

_LEAST: Final = 16
_TAKEN: Final = 17
"""Columns of a table of claims that hold no text: its margins, and the last column."""


class ClaimsTable:
    """A renderable: one row per candidate, what the loop reported of it beside what its provider answered.

    The provider's answer comes from its own log, not from any span: it is the measure of what was reported.

    Args:
        played: A scenario that has run.
    """

    def __init__(self, played: Played) -> None:
        self._played = played

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield the table."""
        glyphs = Glyphs.of(options)
        called = [_name(candidate) for candidate in self._played.chain]
        widest = max(len(line) for name in called for line in name.splitlines())
        room = max(_LEAST, (options.max_width - widest - _TAKEN) // 2)
        table = _table(options)
        table.add_column("candidate", no_wrap=True)
        table.add_column("what the loop said", min_width=room)
        table.add_column("the provider's answer", min_width=room)
        table.add_column("true?", no_wrap=True)
        reports = {report.index: report for report in self._played.reports}
        for index, served in enumerate(self._played.served):
            table.add_row(_bold_first_line(called[index]), *_judged(reports.get(index), served, glyphs, room))
        yield table


def _judged(report: Report | None, served: Sequence[Served], glyphs: Glyphs, room: int) -> tuple[Text, Text, Text]:
    """Return the cells of one candidate: what was reported, what was answered, whether that is the same."""
    answer = Text(answered(served, glyphs, room))
    if report is None:
        return Text("nothing", style="dim"), answer, Text()
    if is_true(report, served):
        return Text(reported(report, glyphs, room)), answer, Text("yes", style="green")
    return Text(reported(report, glyphs, room), style="red"), answer, Text(f"{glyphs.wrong} no", style="bold red")


def _name(candidate: Candidate) -> str:
    profile = f" ({candidate.profile})" if candidate.profile else ""
    return f"{candidate.provider}\n{candidate.model}{profile}"


def _bold_first_line(text: str) -> Text:
    first, rest = text.split("\n", 1)
    return Text.assemble((first, "bold"), "\n", rest)


def reported(report: Report, glyphs: Glyphs, room: int) -> str:
    """Return what a loop reported about a candidate: its word, and the sentence below."""
    facts = [str(report.status) if report.status else None, report.reason or outcome.SUCCESS]
    return f"{' '.join(filter(None, facts))}\n{glyphs.quoted(report.text, room)}"


def is_true(report: Report, served: Sequence[Served]) -> bool:
    """Whether a loop's report is what the provider's own log says.

    Args:
        report: What the loop reported about one candidate.
        served: What its local provider answered.
    """
    last = served[-1] if served else None
    if last is None or last.status is None:
        return report.reason is not None and report.status is None
    if last.kind != "error":
        return report.reason is None
    return report.status == last.status and (last.message or "") in report.text


def answered(served: Sequence[Served], glyphs: Glyphs, room: int) -> str:
    """Return what a local provider did with its last request, in words."""
    if not served:
        return "no request reached it"
    last = served[-1]
    if last.status is None:
        return "connection reset" if last.kind == "reset" else "it never answered"
    if last.kind == "error":
        facts = f"{last.status} {last.code}" if last.code else f"{last.status}"
        return f"{facts}\n{glyphs.quoted(last.message, room)}" if last.message else facts
    return f"{last.status}, an answer"


def _table(options: ConsoleOptions) -> Table:
    return Table(box=_ASCII_BOX if options.ascii_only else box.SIMPLE_HEAD, pad_edge=False)


class MetricsTable:
    """A renderable: what the counters say.

    Args:
        data: As an InMemoryMetricReader gives it; None shows an empty table.
    """

    def __init__(self, data: MetricsData | None) -> None:
        self._data = data

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield the table."""
        table = _table(options)
        table.add_column("metric", no_wrap=True)
        table.add_column("of")
        table.add_column("count", justify="right")
        for name in _COUNTED:
            for number, (labels, value) in enumerate(sorted(_points(self._data, name))):
                wrong = value and (name == names.METRIC_MISMATCHES or labels == MISMATCH)
                table.add_row("" if number else name, labels, str(value), style="red" if wrong else "")
        yield table


def _points(data: MetricsData | None, name: str) -> Iterator[tuple[str, Any]]:
    """Yield labels and value of each point of a counter, but for series that are only there to be born at 0."""
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in (metric for metric in scope.metrics if metric.name == name):
                for point in metric.data.data_points:
                    labels = point.attributes or {}
                    value = getattr(point, "value", 0)
                    if value:
                        yield " ".join(str(labels[key]) for key in _LABELS if key in labels), value
