"""Text as it reads without its escapes, and in small letters: what every search for a credential starts from.

Pure, linear in the text, and raises for no string.
"""

from __future__ import annotations

import base64
import functools
import re
from typing import Final, TypeAlias

__all__ = ["Span", "compiled", "from_base64", "lowered", "unescaped"]

Span: TypeAlias = tuple[int, int]  # where something starts and ends in a text


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern when it is first needed: to compile all of them takes longer than an import may."""
    return re.compile(pattern)


def lowered(text: str) -> str:
    """Make ASCII letters small, so that positions stay the same; others may grow, or depend on their neighbours."""
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


# Percent escapes (of percent escapes), what JSON, JavaScript and Python put a backslash before, up to two levels deep,
# and what HTML writes by name or number. The bounds keep a long row of backslashes linear.
_ESCAPE: Final = (
    r"""%(?:25)*([0-9A-Fa-f]{2})"""
    r"""|\\{1,4}(?:u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,5})\}|U000([0-9A-Fa-f]{5})|x([0-9A-Fa-f]{2})|(["'/\\nrt]))"""
    r"""|&(?:amp;)*(?:\#[xX]0{0,6}([0-9A-Fa-f]{1,4})|\#0{0,6}([0-9]{1,4})|(quot|apos|amp|lt|gt|shy|nbsp));"""
)
_MEANT: Final = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "quot": '"',
    "apos": "'",
    "amp": "&",
    "lt": "<",
    "gt": ">",
    "shy": "\u00ad",
    "nbsp": " ",
}


def unescaped(text: str) -> tuple[str, list[int]]:
    """Undo escapes.

    Returns:
        The text without them, and for each of its characters (and its end) where that starts in the original.
        A byte above 127 becomes the Latin-1 character of its number, each half of a surrogate pair its own.
    """
    parts: list[str] = []
    starts: list[int] = []
    end = 0
    for escape in compiled(_ESCAPE).finditer(text):
        parts += (text[end : escape.start()], _meant(escape))
        starts.extend(range(end, escape.start() + 1))
        end = escape.end()
    starts.extend(range(end, len(text) + 1))
    return "".join((*parts, text[end:])), starts


def _meant(escape: re.Match[str]) -> str:
    """Return the one character that an escape stands for."""
    kind, said = escape.lastindex or 0, escape[escape.lastindex or 0]
    if kind == _DECIMAL:
        return chr(int(said))
    return _MEANT.get(said, said) if kind in _SIGNS else chr(int(said, 16))


_DECIMAL: Final = 8
_SIGNS: Final = (6, 9)


def from_base64(value: str) -> bytes:
    """Decode base64 of either alphabet, leniently; b"" if that cannot be done."""
    standard = value.rstrip("=").replace("-", "+").replace("_", "/")
    whole = len(standard) - (len(standard) % 4 == 1)
    try:
        return base64.b64decode(standard[:whole] + "=" * (-whole % 4))
    except ValueError:
        return b""
