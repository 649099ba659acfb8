"""Other ways to read a text than as it stands: across its line breaks, without what is between letters, decoded.

A key that was wrapped, spaced out, joined by signs of no width, or encoded is in none of its words. Each reading comes
with where its characters stand in the text, so that what is found in it can be masked there.

Pure, linear in the text, and raises for no string.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from otel_failover._core.text.escapes import Span, compiled, from_base64

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["decoded", "folded", "places_of_letters", "squeezed", "unbroken"]

# --- across breaks ----------------------------------------------------------------------------------------------------

_NO_WIDTH: Final = "\u00ad\u034f\u061c\u115f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
_BREAK: Final = (
    rf"[{_NO_WIDTH}]+"
    r"""|(?<=[\w+/=.-])["']?[ \t]{0,8}\\?(?:\r\n|[\n\r\u2028\u2029\x0b\x0c])[\s>|#*+\u2502]{0,64}["']?(?=[\w+/=.-])"""
    r"""|(?<=[\w+/=.-])["'][ \t]{0,8}\+?[ \t]{0,8}["'](?=[\w+/=.-])"""
    r"|<wbr ?/?>|&shy;|\x1b\[[0-9;]{0,16}m"
)
"""What may stand in the middle of a key that was wrapped, quoted line by line, joined of several texts, or coloured."""
_UNSEEN: Final = rf"[{_NO_WIDTH}]+|<wbr ?/?>|&shy;|\x1b\[[0-9;]*m"
"""Of these, what no line ends with."""


def unbroken(text: str) -> tuple[str, list[int], list[int]] | None:
    """Read a text across its line breaks.

    Args:
        text: Its escapes are undone.

    Returns:
        The text without them; for each of its characters and its end where that starts in the original; and at which
        of its characters a line began, in order. None where there is nothing of the kind.
    """
    parts: list[str] = []
    starts: list[int] = []
    breaks: list[int] = []
    end = 0
    for found in compiled(_BREAK).finditer(text):
        parts.append(text[end : found.start()])
        starts.extend(range(end, found.start()))
        if not compiled(_UNSEEN).fullmatch(found[0]):
            breaks.append(len(starts))
        end = found.end()
    if not end:
        return None
    starts.extend(range(end, len(text) + 1))
    return "".join((*parts, text[end:])), starts, breaks


# --- letters and digits alone -----------------------------------------------------------------------------------------

_BETWEEN: Final = r"[\W_]+"
_COLOURS: Final = r"\x1b\[[0-9;]{0,16}m"


def folded(text: str) -> str:
    """Return a text with each character in its plainest form, such that positions stay the same.

    Args:
        text: Any text.
    """
    if text.isascii():
        return text
    return "".join([each if each.isascii() else _plainest(each) for each in text])


def _plainest(char: str) -> str:
    found = unicodedata.normalize("NFKC", char)
    return found if len(found) == 1 else found[:1] if found.isascii() and found.isalnum() else char


def squeezed(text: str) -> str:
    """Return the letters and digits of a text, with nothing between them.

    Args:
        text: `folded`.
    """
    return compiled(_BETWEEN).sub("", _colourless(text))


def _colourless(text: str) -> str:
    """Blank what colours a terminal, whose digits would stand between letters."""
    return compiled(_COLOURS).sub(lambda found: " " * len(found[0]), text) if "\x1b" in text else text


def places_of_letters(text: str) -> list[int]:
    """Return where each character of `squeezed` stands.

    Args:
        text: As it was squeezed.
    """
    return [found.start() for found in re.finditer(r"[^\W_]", _colourless(text))]


# --- decoded ----------------------------------------------------------------------------------------------------------

_BASE64: Final = r"[A-Za-z0-9+/_-]{16,}(?:\s{1,4}[A-Za-z0-9+/_-]{16,})*={0,2}"
_HEX: Final = (
    r"(?<![0-9A-Za-z])(?:0x|\\x)?[0-9A-Fa-f]{2}(?:[\s:,;.-]{0,3}(?:0x|\\x)?[0-9A-Fa-f]{2}){11,}(?![0-9A-Za-z])"
)
_NUMBERS: Final = r"(?<!\d)(?:1?\d{2}(?:\D{1,3}(?=\d)|(?!\d))){10,}"
_BASE32: Final = r"(?<![A-Za-z0-9])[A-Z2-7]{24,}={0,6}"
_QUOTED: Final = r"(?:=[0-9A-F]{2}){8,}"
_OCTAL: Final = r"(?:\\[0-7]{3}){8,}"
_ANY: Final = f"{_BASE64}|{_HEX}|{_NUMBERS}|{_QUOTED}|{_OCTAL}"
_LONGEST: Final = 16_384
_MANY: Final = 64


def decoded(text: str, deep: int = 2) -> Iterator[tuple[str, Span]]:
    """Yield what runs of base64, base32, hexadecimal or decimal numbers spell, where it may be a text, and their place.

    Args:
        text: Any text.
        deep: How many encodings within encodings are undone.
    """
    if compiled(_ANY).search(text) is None:
        return
    for pattern, decode in (
        (_HEX, _from_hex), (_BASE64, _from_base64), (_NUMBERS, _from_numbers), (_BASE32, _from_base32),
        (_QUOTED, _from_quoted), (_OCTAL, _from_octal),
    ):  # fmt: skip
        for number, found in enumerate(compiled(pattern).finditer(text)):
            if number >= _MANY:
                break
            for spelt in decode(found[0][:_LONGEST]):
                yield spelt, found.span()
                if deep > 1:
                    for again, _ in decoded(spelt, deep - 1):
                        yield again, found.span()


def _texts(data: bytes) -> Iterator[str]:
    """Yield the text that bytes are; nothing where they are none."""
    plain = data.replace(b"\x00", b"") if b"\x00" in data else data  # UTF-16 of ASCII
    if len(plain) < 6:
        return
    odd = len(plain.translate(None, _PRINTABLE))
    if odd * 8 <= len(plain):
        yield plain.decode("latin-1")


_PRINTABLE: Final = bytes((9, 10, 13, *range(32, 127)))


def _from_base64(run: str) -> Iterator[str]:
    plain = "".join(run.split())
    for start in range(4):
        yield from _texts(from_base64(plain[start:]))


def _from_hex(run: str) -> Iterator[str]:
    digits = re.sub(r"0[xX]|[^0-9a-fA-F]", "", run)
    for start in range(2):
        piece = digits[start:]
        yield from _texts(bytes.fromhex(piece[: len(piece) & ~1]))


def _from_numbers(run: str) -> Iterator[str]:
    yield from _texts(bytes(number for number in map(int, re.findall(r"\d+", run)) if number < 256))


def _from_base32(run: str) -> Iterator[str]:
    plain = run.rstrip("=")
    for start in range(8):
        piece = plain[start:]
        piece = piece[: len(piece) - len(piece) % 8]
        yield from _texts(base64.b32decode(piece)) if piece else ()


def _from_quoted(run: str) -> Iterator[str]:
    yield re.sub(r"=([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), run)


def _from_octal(run: str) -> Iterator[str]:
    yield from _texts(bytes(int(each, 8) & 255 for each in re.findall(r"[0-7]{3}", run)))
