"""Finds what looks random: keys of formats that we do not know.

Letters and digits in a long irregular row, or in a shorter one behind a sign of assignment. Request ids look the same;
a name or a prefix that makes it one ("request id", "req_") keeps it readable, as do UUIDs, and hexadecimal numbers that
nothing is assigned to.

Pure, linear in the text, and raises for no string.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from otel_failover._core.text.escapes import Span, compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HINT", "random_spans", "switches"]

# After a digit: that it stands beside a letter, and in a row. Every row of twelve letters and digits has such a digit
# if it has both. Digits are rare, so that prose is passed over quickly.
HINT: Final = r"(?:(?=[A-Za-z])|(?<=[A-Za-z][0-9]))(?:(?<=[A-Za-z0-9]{6})|(?=[A-Za-z0-9]{6}))"

_SHORT: Final = 14  # the shortest row, where something is assigned
_LONG: Final = 16
_MANY: Final = 9  # switches that no name of a model or a deployment has
_UUID: Final = 36
_AROUND: Final = 48  # characters before a row that may name it

_HINT: Final = f"[0-9]{HINT}"
_ROW: Final = r"(?a)[\w+~-]*"  # forwards and backwards; matches anything
_RUN: Final = r"[A-Za-z0-9]+"
_SWITCH: Final = r"(?=[0-9][A-Za-z]|[A-Za-z][0-9]|[a-z][A-Z])"
_HEX: Final = r"[0-9a-f]+|[0-9A-F]+|[a-z]{1,8}-[0-9a-f]{8,17}"
# UUIDs, and what traces are called by W3C and by AWS.
_UNIQUE: Final = (
    r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?<!\w)(?:[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}|1-[0-9a-f]{8}-[0-9a-f]{24})(?!\w)"
)
_TIME: Final = r"[0-9]{8}T[0-9]{6,12}Z?"

# More of the same value, cut by a dot, a slash or its padding: what follows, and (backwards) what goes before. An
# ordinary word of a path ("v1/chat") is none, nor is a name before "=", where no digit is in it.
_AFTER: Final = r"(?a)(?:[\w+~=-]|[.\\]+(?=[\w+~=-])|/(?!(?:[a-z_-]{2,20}|[A-Z][a-z]{1,20}|v?\d{1,2})(?![\w+~=-])))*"
_BEFORE: Final = (
    r"(?a)(?:(?:[.\\]|/(?!(?:[a-z_-]{2,20}|[a-z]{1,20}[A-Z]|\d{1,2}v?)(?![\w+~-])))[\w+~-]+"
    r"|={1,2}(?=[A-Za-z_-]{0,20}\d)[\w+~-]+|[:|%]\d{5,20}(?!\w))*"
)

# Backwards, too: a sign of assignment, a name ("X-Request-Id: ", "Ref A: "), a place in a path (/predictions/...,
# owner/model:...) or the start of a host.
_ASSIGNED: Final = r"""[\s"'`=]{0,5}(?:>?=|:|\|\||,)"""
_NAME: Final = (
    r"""(?a)["'`(\[<{]{0,2}\\?(?:/W)?\s{0,2}(?::=?|>?=|si|saw)?\s{0,2}["'`\])]{0,2}"""
    r"([\w-]{1,40})(\s[fF][eE][rR](?!\w))?"
)
_PATH: Final = r"(?a)/s[A-Za-z_-]{1,29}/(?![:/])|:[\w.-]{1,40}/"
_PARTS: Final = r"(?a)[\W_]\d*|(?<=[a-z])(?=I[dD])"

_THINGS: Final = frozenset(  # that have ids
    """
    account activity app application asst batch call chatcmpl cluster cmpl container conv conversation correlation
    deployment embd endpoint event evt file ft ftjob gen generation instance item job message model msg msgbatch node
    object operation org organization pod principal proj project region req request resource resp response run span
    srvtoolu step subscription task tenant thread tool toolu trace user vs workspace wrkspc
    """.split()  # noqa: SIM905 - lines of words, not a column
)
_STARTS: Final = _THINGS | {"fc", "fp", "rs", "ws"}
_NAMES: Final = _THINGS | {
    *(
        "b3",
        "checksum",
        "cursor",
        "digest",
        "etag",
        "hash",
        "id",
        "ids",
        "md5",
        "parent",
        "ray",
        "ref",
        "reference",
        "sha",
    ),
    *("sha1", "sha256", "sha384", "sha512", "traceparent", "tracestate", "context", "version"),
}


def random_spans(text: str, start: int = 0) -> Iterator[Span]:
    """Find rows that look random, each with what dots and slashes join to it.

    Args:
        text: To look in.
        start: Before it, no digit is followed by a `HINT`.
    """
    end = taken = 0
    hints = compiled(_HINT)
    while hint := hints.search(text, max(start, end)):
        first = hint.start() - _length(_ROW, text[end : hint.start()][::-1])
        end = hint.end() + _length(_ROW, text, hint.end())
        if end - first >= _SHORT and _looks_random(text, first, end):
            end += _length(_AFTER, text, end)
            yield first - _length(_BEFORE, text[taken:first][::-1]), end
            taken = end


def switches(text: str) -> int:
    """Count where letters turn to digits and back, and small letters to capitals: often in keys, seldom in names."""
    return len(compiled(_SWITCH).findall(text))


def _length(pattern: str, text: str, start: int = 0) -> int:
    """Return how much of the text, from a place on, a pattern takes that matches anything."""
    match = compiled(pattern).match(text, start)
    return match.end() - start if match else 0


def _looks_random(text: str, start: int, stop: int) -> bool:
    """Judge a row by what makes it an id, by its length, and by its irregularity."""
    row = text[start:stop]
    dashes = row.count("-")
    if (dashes == 4 and len(row) == _UUID) or row[:_LONG].replace("_", "-").partition("-")[0].lower() in _STARTS:
        return False
    before = text[max(0, start - _AROUND) : start][::-1]
    if _is_named(before) or (before.startswith("//") and text[stop : stop + 1] in {".", ":"}):
        return False
    turns, assigned = switches(row), compiled(_ASSIGNED).match(before) is not None
    longest = max((len(run) for run in compiled(_RUN).findall(row) if not run.isalpha()), default=0)
    rate = 9 if assigned else 6 if row.islower() or row.isupper() else 7
    if turns * rate < len(row) or (longest < _SHORT // 2 and turns < _MANY):
        return False
    if (dashes > 1 and compiled(_UNIQUE).search(row)) or compiled(_TIME).fullmatch(row):
        return False
    if assigned:
        return True
    return len(row) >= _LONG and (longest >= _SHORT - 4 or turns >= _MANY) and compiled(_HEX).fullmatch(row) is None


def _is_named(before: str) -> bool:
    """Whether what goes before, read backwards, makes it an id."""
    name = compiled(_NAME).match(before)
    return (name is not None and (name[2] is not None or _is_ids(name[1]))) or compiled(_PATH).match(before) is not None


@lru_cache(maxsize=256)
def _is_ids(name: str) -> bool:
    """Whether a name, written backwards, is one that ids have; the same few come again and again."""
    parts = [part.lower() for part in compiled(_PARTS).split(name[::-1]) if part]
    last = parts[-1] if parts else ""
    return last in _NAMES or (last.endswith("id") and last[:-2] in _THINGS)
