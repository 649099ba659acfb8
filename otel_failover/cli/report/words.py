"""Entries in words: what became of a row, whose error it carries, and a whole entry as text for a chat message."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from otel_failover._core.domain import attributes as names
from otel_failover._core.domain.outcome import ERROR
from otel_failover._core.text.redaction import cut
from otel_failover.cli.report.entries import CALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover.cli.report.entries import Entry, Row

_STEPS: Final = (names.SPAN_CANDIDATE, names.SPAN_SKIP, CALL)
"""Kinds of rows that are a step of a loop, where they have an outcome."""
_SHORT: Final = 120


def message(entry: Entry) -> str:
    """Return an entry as text for a chat message."""
    return "\n".join(_lines(entry))


def said(row: Row) -> str:
    """Return what became of a row in a few words: `error 429 billing`."""
    outcome = row.outcome or (ERROR if row.failed else "")
    return " ".join(str(fact) for fact in (outcome, row.status, row.reason) if fact)


def carries(row: Row) -> str:
    """Return in a sentence whose error a row carries; empty where it carries none."""
    if row.claim is None:
        return ""
    claim = row.claim
    whose = "an answer's error, and was not answered" if not claim.source else f"{claim.source}'s error"
    own = f" Its own: {claim.own}." if claim.own else ""
    claimed = " ".join(filter(None, [claim.facts, f'"{cut(claim.message, _SHORT)}"' if claim.message else ""]))
    return f"{row.who or row.name} carries {whose}.{own}{f' Claimed: {claimed}' if claimed else ''}"


def _lines(entry: Entry) -> Iterator[str]:
    at = datetime.fromtimestamp(entry.start / 1e9, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    became = entry.outcome + (f", served by {entry.served}" if entry.served else "")
    where = " in ".join(filter(None, [entry.name, entry.service]))
    yield f"{where}: {became or 'no outcome'}, {entry.duration / 1e3:.1f} s, {at}"
    for number, row in enumerate((each for each in entry.rows if each.kind in _STEPS and each.outcome), 1):
        seconds = f", {row.duration / 1e3:.1f} s" if row.kind != names.SPAN_SKIP else ""
        yield f"{number}. {row.who or row.name}: {said(row)}{seconds}"
    yield from (f"! {carries(row)}" for row in entry.lies)
    yield from (f"- {each.rule}{f': {each.sentence}' if each.sentence else ''}" for each in entry.findings)
    yield f"trace {entry.trace_id}"
