"""Renderables as text, as a terminal of a given kind would show them."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from rich.console import Console

from otel_failover.cli.drawing.span_view import SpanView

if TYPE_CHECKING:
    from rich.console import RenderableType


class _Shown(io.TextIOWrapper):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def drawn(
    thing: RenderableType,
    width: int = 80,
    encoding: str = "utf-8",
    *,
    colours: bool = False,
    terminal: bool = False,
) -> str:
    """Return what is written, to a file or a terminal, with durations masked and trailing blanks taken off."""
    stream = (_Shown if terminal else io.TextIOWrapper)(io.BytesIO(), encoding=encoding, errors="replace")
    console = Console(
        file=stream,
        width=width,
        force_terminal=colours,
        color_system="truecolor" if colours else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        _environ={},
    )
    console.print(thing)
    stream.seek(0)
    text = re.sub(r"\d+\.\d\d s", "N.NN s", stream.read())
    return "\n".join(line.rstrip() for line in text.splitlines())


def span(name: str, number: int, parent: int | None = None, *, scope: str = "otel_failover", **facts: Any) -> SpanView:
    """Return a span of a made-up trace: its number is its id and its place in time."""
    attributes = facts.pop("attributes", {})
    return SpanView(
        name=name,
        trace_id=f"{1:032x}",
        span_id=f"{number:016x}",
        parent_id=None if parent is None else f"{parent:016x}",
        start=number * 1_000,
        end=number * 1_000 + 500_000_000,
        attributes=attributes,
        scope=scope,
        **facts,
    )
