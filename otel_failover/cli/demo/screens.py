"""What `otel-failover demo` prints, part by part."""

from __future__ import annotations

import io
import re
import textwrap
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.text import Text

from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import verdicts as verdict_names
from otel_failover.cli.demo.tables import ClaimsTable, MetricsTable
from otel_failover.cli.drawing.tree import Glyphs, TraceTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.metrics.export import MetricsData
    from rich.console import RenderableType

    from otel_failover._core.config.loop import Loop
    from otel_failover.cli.demo.otlp import Delivery
    from otel_failover.cli.demo.scenarios import Scenario
    from otel_failover.cli.demo.stage import Act
    from otel_failover.cli.drawing.span_view import SpanView

_WEB_FONTS: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_SVG_WIDTH: Final = 96
_RAISED: Final = "The exception says: "


class Programme:
    """Prints the demo on standard output.

    Each part returns whether it is good news, so that the exit code says what the output says.
    """

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._glyphs = Glyphs.of(self._console.options)

    def opening(self) -> None:
        """Say what is real and what is not."""
        self._say(
            "Local servers play the providers; SDKs, loops, exceptions and traces are real. No key is needed. "
            "Each error is held against what that candidate's own response said: verified, or a mismatch.",
            "dim",
        )

    def act(self, number: int, act: Act) -> None:
        """Show one scenario: what happens, its trace, what was reported against what was answered."""
        self._say(f"\n{number}. {act.played.scenario.title}\n", "bold")
        if act.played.scenario.loop is not None:
            self._say(f"{_code(act.played.scenario.loop, self._console.width)}\n", "cyan")
        self._console.print(TraceTree(act.views))
        if act.played.raised is not None:
            room = self._console.width - len(_RAISED)
            self._say(f"\n{_RAISED}{self._glyphs.quoted(act.played.raised, room)}")
        self._console.print(ClaimsTable(act.played))

    def left_out(self, scenario: Scenario, module: str, command: str) -> None:
        """Say that a scenario cannot be played here, and what it takes.

        Args:
            scenario: Which.
            module: What does not import.
            command: What installs it.
        """
        self._say(f"\nLeft out: {scenario.title}\nIt needs {module}: {command}", "yellow")

    def metrics(self, data: MetricsData | None) -> None:
        """Show what the counters say."""
        self._say("\nWhat the metrics counted", "bold")
        self._console.print(MetricsTable(data))

    def judged(self, acts: Sequence[Act], failed: int) -> bool:
        """Say whether every verdict is the expected one, and if not, which span says what.

        Args:
            acts: All scenarios.
            failed: How often the instrumentation itself failed meanwhile.
        """
        wrong = [(act.played.scenario.name, deviation) for act in acts for deviation in act.deviations]
        for scenario, deviation in wrong:
            self._say(f"{self._glyphs.wrong} {scenario}: {deviation}", "bold red")
        if failed:
            self._say(f"{self._glyphs.wrong} otel-failover itself failed {failed} times", "bold red")
        if wrong or failed:
            return False
        verdicts = [view.attributes.get(names.VERDICT) for act in acts for view in act.views if _is_candidate(view)]
        foreign = verdicts.count(verdict_names.MISMATCH)
        self._say(
            f"{self._glyphs.right} All {len(verdicts)} verdicts are as expected: {foreign} candidates were blamed with "
            f"somebody else's error, the other {len(verdicts) - foreign} were not.",
            "bold green",
        )
        return True

    def written(self, path: str, problem: str | None) -> bool:
        """Say where the traces are, and what to do with them."""
        if problem is not None:
            return self._failed(f"{path} could not be written: {problem}")
        self._say(f"Traces: {path} (OTLP JSON lines). To browse them, upload the file in Jaeger's UI: Search > Upload.")
        return True

    def sent(self, delivery: Delivery) -> bool:
        """Say whether a collector took the traces or the metrics."""
        target, problem = delivery.endpoint, delivery.problem
        if problem is None:
            self._say(f"Sent {target.signal} to {target.shown}; the service is otel-failover-demo.")
        elif delivery.harmless:
            self._say(f"No {target.signal} sent: {target.shown} takes none (404), as stores of traces such as Jaeger.")
        else:
            self._failed(f"{target.signal} not sent to {target.shown} ({target.source}): {problem}")
        return delivery.harmless

    def drawn(self, path: str, problem: str | None) -> bool:
        """Say where the picture is."""
        if problem is not None:
            return self._failed(f"{path} could not be written: {problem}")
        self._say(f"Picture: {path}")
        return True

    def svg(self, act: Act) -> str:
        """Return a picture of one scenario; without web fonts, which pages that show it would not load."""
        console = Console(
            record=True, file=io.StringIO(), width=_SVG_WIDTH, force_terminal=True, color_system="truecolor",
            highlight=False, markup=False, emoji=False, legacy_windows=False, _environ={},
        )  # fmt: skip
        console.print(Group(*_picture(act)))
        return _WEB_FONTS.sub("", console.export_svg(title="otel-failover demo", unique_id="demo"))

    def _failed(self, text: str) -> bool:
        self._say(f"{self._glyphs.wrong} {text}", "bold red")
        return False

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style))


def _picture(act: Act) -> list[RenderableType]:
    return [Text(f"{act.played.scenario.title}\n", style="bold"), TraceTree(act.views), ClaimsTable(act.played)]


def _code(loop: Loop, width: int) -> str:
    """Return a configured loop as it is written in a program."""
    given = [(each.name, getattr(loop, each.name)) for each in fields(loop) if getattr(loop, each.name) != each.default]
    text = ", ".join(f'{name}="{value}"' for name, value in given)
    return textwrap.fill(
        f"loops=[Loop({text})]", width, subsequent_indent=" " * len("loops=[Loop("), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _is_candidate(view: SpanView) -> bool:
    return view.scope == names.SCOPE and view.name.split(" ")[0] == names.SPAN_CANDIDATE
