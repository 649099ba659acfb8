"""Where pictures are written to: each in one write, in the signs and colours that the stream can show.

Several processes write to one terminal (workers of a server), so a picture is rendered whole and handed over at once.
What is written to may be closed, or its reader gone: that ends the drawing, and nothing else.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Console, Group
from rich.text import Text

from otel_failover._core.domain import attributes as names
from otel_failover._core.text.gate import clean
from otel_failover._core.text.redaction import cut
from otel_failover.cli.drawing.span_view import SpanView, printable
from otel_failover.cli.drawing.tree import TraceTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from otel_failover.cli.live.gathering import Picture

_WIDE: Final = 120
"""Columns of what is no terminal: a file, a log."""
_NAME: Final = 256


class Terminal:
    """Draws pictures on a stream, and goes silent for good where that fails.

    Args:
        stream: Where to; None: standard error, as it is when something is written.
        redacted: Takes credentials out of a text of somebody else's.
    """

    def __init__(self, stream: TextIO | None = None, redacted: Callable[[str], str] = clean) -> None:
        self._stream, self._redacted = stream, redacted
        self.is_gone = False

    def draw(self, picture: Picture) -> None:
        """Draw a picture."""
        views = [self._safe(view) for view in picture.views]
        if not views or self.is_gone:
            return
        head, remark = _head(views[0]), printable(picture.remark)
        if picture.kind == "hung":
            self._write(TraceTree(views))
        elif picture.kind == "call":
            views[0] = replace(views[0], name=f"{_time()}  {views[0].name}")
            self._write(TraceTree(views))
        else:
            said = [Text(remark, style="yellow")] if remark else []
            self._write(Group(Text(head, style="dim"), *said, TraceTree(views)))

    def say(self, text: str, style: str = "dim") -> None:
        """Write a line.

        Args:
            text: The line.
            style: As rich has them.
        """
        if not self.is_gone:
            self._write(Text(printable(text), style=style))

    def going(self, line: str) -> None:
        """Write the line of a run that is still going."""
        self.say(f"{_time()}  {self._redacted(line)}", "yellow")

    def _safe(self, view: SpanView) -> SpanView:
        """Return a view whose foreign texts hold no credentials; ours were redacted when they were made."""
        if view.scope == names.SCOPE:
            return view
        attributes = dict(view.attributes)
        if isinstance(attributes.get(names.ERROR_TYPE), str):
            attributes[names.ERROR_TYPE] = cut(self._redacted(attributes[names.ERROR_TYPE]), _NAME)
        name, description = cut(self._redacted(view.name), _NAME), self._redacted(view.description)
        return replace(view, name=name, description=description, attributes=attributes)

    # --- writing ------------------------------------------------------------------------------------------------------

    def _write(self, thing: RenderableType) -> None:
        stream = sys.stderr if self._stream is None else self._stream
        if stream is None or stream.closed:  # a process without a console; an application that has closed it
            self.is_gone = True
            return
        text = _rendered(thing, stream)
        try:
            _hand_over(text, stream)
        except BlockingIOError:  # it takes nothing now, and may later; what could not be written is lost
            return
        except (OSError, ValueError):
            self.is_gone = True


def _time() -> str:
    return time.strftime("%H:%M:%S")


def _head(view: SpanView) -> str:
    return "  ".join(filter(None, [_time(), view.service, f"trace {view.trace_id}"]))


class _Page(io.StringIO):
    """What is to be written, with the abilities of the stream that it is for."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._for = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's: it decides which signs are drawn."""
        return (getattr(self._for, "encoding", None) or "ascii").lower()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._for.isatty()


def _rendered(thing: RenderableType, stream: TextIO) -> str:
    page = _Page(stream)
    width = None if page.isatty() or os.environ.get("COLUMNS", "").isdigit() else _WIDE
    console = Console(file=page, width=width, highlight=False, markup=False, emoji=False)
    if console.legacy_windows:  # a console that knows no control sequences: rich would go past what it is given
        console = Console(
            file=page, width=console.width, color_system=None, legacy_windows=False, highlight=False, markup=False,
            emoji=False,
        )  # fmt: skip
    console.print(thing)
    return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


def _hand_over(text: str, stream: TextIO) -> None:
    """Write a text at once: past Python's buffers, which part it, where the stream is the process's own."""
    encoding = (getattr(stream, "encoding", None) or "ascii").lower()
    data = text.encode(encoding, "replace")
    stream.flush()
    if stream in (sys.__stderr__, sys.__stdout__) and os.name != "nt":
        with contextlib.suppress(io.UnsupportedOperation):
            descriptor = stream.fileno()
            while data:
                data = data[_write_some(descriptor, data) :]
            return
    stream.write(data.decode(encoding, "replace"))
    stream.flush()


def _write_some(descriptor: int, data: bytes) -> int:
    """Write what the other side takes; one that is slow and does not block is waited for, but not for long."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        select.select([], [descriptor], [], 1.0)
        return os.write(descriptor, data)
