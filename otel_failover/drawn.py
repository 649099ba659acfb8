"""Finds what looks drawn by lot: the keys of formats that nobody told us of.

Letters and digits in a long irregular row, or in a shorter one behind a sign of assignment. Request ids look the same;
a name or a prefix that makes it one ("request id", "req_") keeps it readable, as do UUIDs, and hexadecimal numbers that
nothing is assigned to.

Pure, linear in the text, and raises for no string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover.escapes import Span, compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HINT", "drawn_spans", "switches"]

# After a digit: that it stands beside a letter, and in a row. Every row of twelve letters and digits has such a digit if
# it has both. Digits are rare, so that prose is passed over quickly.
HINT: Final = r"(?:(?=[A-Za-z])|(?<=[A-Za-z][0-9]))(?:(?<=[A-Za-z0-9]{6})|(?=[A-Za-z0-9]{6}))"

_SHORT: Final = 14  # the shortest row, where something is assigned
_LONG: Final = 16
_MANY: Final = 9  # switches that no name of a model or a deployment has
_AROUND: Final = 48  # characters before a row that may name it

_HINT: Final = f"[0-9]{HINT}"
_ROW: Final = r"(?a)[\w+~-]*"
_RUN: Final = r"[A-Za-z0-9]+"
_SWITCH: Final = r"(?=[0-9][A-Za-z]|[A-Za-z][0-9]|[a-z][A-Z])"
_HEX: Final = r"[0-9a-f]+|[0-9A-F]+|[a-z]{1,8}-[0-9a-f]{8,17}"
_SMALL: Final = r"[^A-Z]+|[^a-z]+"
# UUIDs, and what traces are called by W3C and by AWS.
_UNIQUE: Final = (
    r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?<!\w)(?:[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}|1-[0-9a-f]{8}-[0-9a-f]{24})(?!\w)"
)
_ASSIGNED: Final = r"""(?:=>?|:|\|\||,)[\s"'`=]{0,5}$"""

# More of the same value, cut by a dot, a slash or its padding: what follows, and (backwards) what goes before. An
# ordinary word of a path ("v1/chat") is none, nor is a name before "=", where no digit is in it.
_AFTER: Final = (
    r"(?a)(?:[\w+~=-]|[.\\]+(?=[\w+~=-])|/(?!(?:[a-z_-]{2,20}|[A-Z][a-z]{1,20}|v?\d{1,2})(?![\w+~=-])))*"
)
_BEFORE: Final = (
    r"(?a)(?:(?:[.\\]|/(?!(?:[a-z_-]{2,20}|[a-z]{1,20}[A-Z]|\d{1,2}v?)(?![\w+~-])))[\w+~-]+"
    r"|={1,2}(?=[A-Za-z_-]{0,20}\d)[\w+~-]+|[:|%]\d{5,20}(?!\w))*"
)

_THINGS: Final = (  # that have ids
    "account|activity|app|application|asst|batch|call|chatcmpl|cluster|cmpl|container|conv|conversation|deployment|embd|endpoint"
    "|event|evt|file|ft|ftjob|gen|generation|instance|item|job|message|model|msg|msgbatch|node|object|org|organization"
    "|pod|principal|proj|project|region|req|request|resource|resp|response|run|span|srvtoolu|step|subscription|task"
    "|tenant|thread|tool|toolu|trace|user|vs|workspace|wrkspc"
)
_ID_START: Final = rf"(?i)(?:(?:{_THINGS}|fc|fp|rs|ws)[_-]|cmpl)"
_ID_NAME: Final = (
    r"(?:(?<![A-Za-z])(?i:ids?(?:-2)?|ray|ref(?:erence)?|sha|sha-?\d+|md5|hash|digest|checksum|etag|cursor|parent|version"
    r"|b3|trace-?(?:parent|state|context)"
    rf"|ref [ab]|{_THINGS})|(?i:{_THINGS}|operation|correlation)_?(?i:id)|[a-z]I[dD])"
    r"""["'`\])]{0,2}\s{0,2}(?:=?:|=>?|is|was)?\s{0,2}(?:W/)?\\?["'`(\[<{]{0,2}$"""
)
_ID_PATH: Final = r"(?:^|[^:/])/[A-Za-z_-]{2,30}s/$|/[\w.-]{1,40}:$"  # /predictions/..., owner/model:...


def drawn_spans(text: str) -> Iterator[Span]:
    """Finds rows that look drawn, each with what dots and slashes join to it."""
    end = taken = 0
    for hint in compiled(_HINT).finditer(text):
        at = hint.start()
        if at < end:
            continue
        start = at - _length(_ROW, text[end:at][::-1])
        stop = at + _length(_ROW, text, at)
        if _is_drawn(text, start, stop):
            stop += _length(_AFTER, text, stop)
            yield start - _length(_BEFORE, text[taken:start][::-1]), stop
            taken = stop
        end = stop


def switches(text: str) -> int:
    """Counts where letters turn to digits and back, and small letters to capitals: often in keys, seldom in names."""
    return len(compiled(_SWITCH).findall(text))


def _length(pattern: str, text: str, start: int = 0) -> int:
    """Returns how much of the text, from a place on, a pattern takes that matches anything."""
    match = compiled(pattern).match(text, start)
    return match.end() - start if match else 0


def _is_drawn(text: str, start: int, stop: int) -> bool:
    """Judges a row by its length, its irregularity, and by what makes it an id."""
    length = stop - start
    if length < _SHORT or compiled(_ID_START).match(text, start) or compiled(_UNIQUE).search(text, start, stop):
        return False
    row = text[start:stop]
    longest = max((len(run) for run in compiled(_RUN).findall(row) if not run.isalpha()), default=0)
    turns = switches(row)
    often = turns * (5 if compiled(_SMALL).fullmatch(row) else 6) >= length
    if (longest < _SHORT // 2 and turns < _MANY) or not often or _is_named(text, start, stop):
        return False
    if compiled(_ASSIGNED).search(text[max(0, start - _AROUND) : start]):
        return True
    return length >= _LONG and (longest >= _SHORT - 4 or turns >= _MANY) and compiled(_HEX).fullmatch(row) is None


def _is_named(text: str, start: int, stop: int) -> bool:
    """Tells whether what goes before makes it an id, or it is the first part of a host's name."""
    before = text[max(0, start - _AROUND) : start]
    if before.endswith("//") and text[stop : stop + 1] in {".", ":"}:
        return True
    return any(compiled(pattern).search(before) for pattern in (_ID_NAME, _ID_PATH))
