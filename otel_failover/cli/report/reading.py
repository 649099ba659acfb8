"""Files of traces, as spans: OTLP JSON, a request a line or one document, and Jaeger's JSON; plain or gzipped.

What cannot be read costs the line that it stands in, and is told with file and line; the rest is read.
"""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.text.redaction import cut
from otel_failover.cli.drawing import span_view
from otel_failover.cli.report import jaeger
from otel_failover.cli.watch.payload import is_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover.cli.drawing.span_view import SpanView

STDIN: Final = "-"
_GZIP: Final = b"\x1f\x8b"
_OTHER_SIGNALS: Final = ("resourceLogs", "resourceMetrics", "resourceProfiles")
"""What a collector's file exporter may write into the same file: no traces, and no fault."""
_LONG: Final = 80


class UnreadableError(ValueError):
    """A document that holds no traces; its text says why."""


@dataclass(slots=True)
class Reading:
    """What was read.

    Args:
        spans: In the order of the files; a span that stands in them twice is here twice.
        problems: What could not be read: `file:line: why`, or `file: why`.
    """

    spans: list[SpanView] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read(paths: list[str]) -> Reading:
    """Read files of traces.

    Args:
        paths: Of the files; `-` is standard input.
    """
    found = Reading()
    for path in paths:
        name = "standard input" if path == STDIN else path
        try:
            content = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
            text = _unpacked(content)
        except (OSError, EOFError, zlib.error) as problem:
            found.problems.append(f"{name}: {getattr(problem, 'strerror', None) or problem}")
            continue
        _read_text(text, name, found)
    return found


def _unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content.startswith(_GZIP) else content


def _read_text(text: bytes, name: str, found: Reading) -> None:
    if not text.strip():
        found.problems.append(f"{name}: it is empty")
        return
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    whole = _whole(text) if not _is_json(lines[0][1]) else None
    if whole is not None:
        _take(whole, name, found)
        return
    for number, line in lines:
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as problem:
            found.problems.append(f"{name}:{number}: it is no JSON ({_said(problem)})")
            continue
        _take(document, f"{name}:{number}", found)


def _whole(text: bytes) -> Any:
    """Return what a file of one document says, which may stand on many lines; None where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _said(problem: Exception) -> str:
    return cut(str(problem).partition(": line")[0], _LONG)


def _take(document: Any, place: str, found: Reading) -> None:
    """Take the spans of a document in."""
    try:
        views = list(spans_of(document))
        if not all(map(is_text, views)):
            raise UnreadableError("names and texts in it are no texts")  # noqa: TRY301
    except UnreadableError as problem:
        found.problems.append(f"{place}: {problem}")
    except (Exception, RecursionError) as problem:
        found.problems.append(f"{place}: its spans cannot be read ({type(problem).__name__}: {_said(problem)})")
    else:
        found.spans += views


def spans_of(document: Any) -> Iterator[SpanView]:
    """Yield the spans of a document.

    Args:
        document: An ExportTraceServiceRequest, what Jaeger's UI saves or its query API answers, or a list of these.

    Raises:
        UnreadableError: It is none of them.
    """
    if isinstance(document, list):
        for each in document:
            yield from spans_of(each)
    elif not isinstance(document, dict):
        raise UnreadableError("it is neither OTLP nor Jaeger's JSON")
    elif "resourceSpans" in document:
        yield from span_view.from_otlp(document)
    elif isinstance(document.get("result"), dict):  # Jaeger's query API, version 3
        yield from spans_of(document["result"])
    elif jaeger.is_trace(document):
        yield from jaeger.spans_of(document)
    elif isinstance(document.get("data"), list):
        yield from spans_of(document["data"])
    elif not any(signal in document for signal in _OTHER_SIGNALS):
        raise UnreadableError("it is neither OTLP nor Jaeger's JSON: neither resourceSpans nor data stands in it")
