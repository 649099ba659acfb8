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


# Percent escapes (of percent escapes), what JSON and Python put a backslash before, up to two levels deep, and the
# quotes of HTML. The bounds keep a long row of backslashes linear.
_ESCAPE: Final = (
    r"""%(?:25)*([0-9A-Fa-f]{2})|\\{1,4}(?:(?:u00|x)([0-9A-Fa-f]{2})|(["'/\\nrt]))"""
    r"""|&(?:amp;)?(quot|apos|amp|\#34|\#39|\#x27);"""
)
_MEANT: Final = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "quot": '"',
    "#34": '"',
    "apos": "'",
    "#39": "'",
    "#x27": "'",
    "amp": "&",
}


def unescaped(text: str) -> tuple[str, list[int]]:
    """Undo escapes.

    Returns:
        The text without them, and for each of its characters (and its end) where that starts in the original.
        A byte above 127 becomes the Latin-1 character of its number.
    """
    parts: list[str] = []
    starts: list[int] = []
    end = 0
    for escape in compiled(_ESCAPE).finditer(text):
        code = escape[1] or escape[2]
        sign = escape[3] or escape[4]
        parts += (text[end : escape.start()], chr(int(code, 16)) if code else _MEANT.get(sign, sign))
        starts.extend(range(end, escape.start() + 1))
        end = escape.end()
    starts.extend(range(end, len(text) + 1))
    return "".join((*parts, text[end:])), starts


def from_base64(value: str) -> bytes:
    """Decode base64 of either alphabet, leniently; b"" if that cannot be done."""
    standard = value.rstrip("=").replace("-", "+").replace("_", "/")
    whole = len(standard) - (len(standard) % 4 == 1)
    try:
        return base64.b64decode(standard[:whole] + "=" * (-whole % 4))
    except ValueError:
        return b""
