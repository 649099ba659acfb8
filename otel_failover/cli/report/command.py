"""`otel-failover report FILE`: a page for an incident review, of traces in files; no backend is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_failover._core.text.redaction import cut

if TYPE_CHECKING:
    import argparse

    from otel_failover.cli.report.entries import Entries

_MOST_PROBLEMS: Final = 20
_LONG: Final = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="OTLP JSON (the demo's file, a collector's file exporter's) or Jaeger's JSON, gzipped or not; - is stdin",
    )
    parser.add_argument("--out", "-o", metavar="PAGE", help="where it is written (default: named as the first file)")
    parser.add_argument("--title", help="of the page (default: names the files)")


def run(options: argparse.Namespace) -> int:
    """Write the page.

    Returns:
        0; 1 if the page could not be written; 2 if something could not be read: the page has the rest, and says so.
    """
    from otel_failover.cli.report.entries import entries_in
    from otel_failover.cli.report.page import page
    from otel_failover.cli.report.reading import STDIN, read

    reading = read(options.files)
    for problem in reading.problems[:_MOST_PROBLEMS]:
        print(f"otel-failover report: {cut(problem, _LONG)}", file=sys.stderr)
    if len(reading.problems) > _MOST_PROBLEMS:
        print(f"otel-failover report: and {len(reading.problems) - _MOST_PROBLEMS} more", file=sys.stderr)
    if not reading.spans and reading.problems:
        return 2
    entries = entries_in(reading.spans)
    names = ["standard input" if path == STDIN else Path(path).name for path in options.files]
    out = Path(options.out or _beside(options.files[0]))
    try:
        out.write_text(page(entries, names, reading.problems, options.title or ""), encoding="utf-8")
    except OSError as problem:
        print(f"otel-failover report: {out} cannot be written: {problem.strerror or problem}", file=sys.stderr)
        return 1
    print(f"{_counted(entries)}: {out}")
    return 2 if reading.problems else 0


def _beside(path: str) -> str:
    name = path if path != "-" else "traces"
    for ending in (".gz", ".jsonl", ".json", ".otlp"):
        name = name.removesuffix(ending)
    return f"{name}.html"


def _counted(entries: Entries) -> str:
    runs = sum(each.kind == "run" for each in entries.found)
    lies = sum(len(each.lies) for each in entries.found)
    others = len(entries.found) - runs
    parts = [_many(runs, "run"), _many(others, "call") + " outside any" if others else "", _many(lies, "mismatch")]
    return f"{', '.join(filter(None, parts))} in {_many(entries.spans, 'span')}"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 'es' if what.endswith('h') else 's'}"
