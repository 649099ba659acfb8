"""Entries as one HTML page that needs nothing else: no server, no network, no other file.

The data stand in the page as JSON, the script draws what is looked at. Nothing in the data can become markup: the
script sets texts only, and a content security policy lets this one script and this one style run, and nothing be
fetched.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from dataclasses import fields
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from otel_failover.cli.report.words import carries, message, said
from otel_failover.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_failover.cli.report.entries import Entries, Entry, Row


def page(entries: Entries, sources: Sequence[str], problems: Sequence[str] = (), title: str = "") -> str:
    """Return the page.

    Args:
        entries: What it shows.
        sources: Names of the files that were read.
        problems: What could not be read.
        title: Of the page; made of the files' names by default.
    """
    data = {
        "entries": [_of_entry(each) for each in entries.found],
        "sources": [*sources],
        "problems": [*problems],
        "spans": entries.spans,
        "calm": entries.calm,
        "version": __version__,
    }
    style, script = _asset("report.css"), _asset("report.js")
    return Template(_asset("report.html")).substitute(
        title=html.escape(title or f"Failover report: {', '.join(sources)}"),
        style=style,
        script=script,
        data=_embedded(data),
        policy=f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}",
    )


def _asset(name: str) -> str:
    return files("otel_failover.cli.report").joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _embedded(data: Any) -> str:
    """Return JSON that may stand in a script element: no tag can begin in it, and no line end of JavaScript's."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for sign in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode("utf-8", "replace").decode("utf-8")


def _of_entry(entry: Entry) -> dict[str, Any]:
    found = _filled(entry)
    found["rows"] = [_of_row(row) for row in entry.rows]
    found["findings"] = [_filled(each) for each in entry.findings]
    found["start"] = entry.start / 1e6
    found["chat"] = message(entry)
    return found


def _of_row(row: Row) -> dict[str, Any]:
    found = _filled(row)
    found["said"] = said(row)
    found["start"], found["duration"] = round(row.start, 3), round(row.duration, 3)
    if row.claim is not None:
        found["claim"] = {**_filled(row.claim), "sentence": carries(row)}
    return found


def _filled(record: Any) -> dict[str, Any]:
    """Return the fields of a record that say something."""
    return {
        each.name: value for each in fields(record) if (value := getattr(record, each.name)) not in ("", 0, None, ())
    }
