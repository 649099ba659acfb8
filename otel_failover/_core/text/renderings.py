"""What printing, quoting and sending do to a text, undone: escapes of JSON, `repr`, HTML and URLs, and markup.

Pure, and linear in the text. Imported with the first text that has a sign of any of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_failover._core.text.escapes import compiled

if TYPE_CHECKING:
    import re

__all__ = ["joined", "undone"]

_PERCENT: Final = r"(?:%(?:25)*[0-9A-Fa-f]{2})+"
_PERCENTS: Final = r"%(?:25)*([0-9A-Fa-f]{2})"
_CODE_POINT: Final = r"\\{1,8}(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))"
_BYTES: Final = r"(?:\\{1,8}x[0-9a-fA-F]{2})+"
_SURROGATES: Final = r"[\ud800-\udbff][\udc00-\udfff]"
_ENTITY: Final = r"&(?:amp;)*(?:#([0-9]{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-zA-Z]{2,6}));"
_NAMED: Final = {
    "quot": '"', "apos": "'", "amp": "&", "lt": "<", "gt": ">", "nbsp": " ", "hellip": "…", "mdash": "\u2014",
    "ndash": "\u2013", "lsquo": "\u2018", "rsquo": "\u2019", "ldquo": "\u201c", "rdquo": "\u201d",
}  # fmt: skip
_CUT_ESCAPE: Final = (
    r"(?:%[0-9A-Fa-f]?|&[#a-zA-Z0-9]{0,8}|\\{1,8}(?:[uU][0-9a-fA-F]{0,7}|x[0-9a-fA-F]?)?)"
    r"""(?=[\s"'\\)\]}]{0,16}(?:$|…|\.\.\.))"""
)
"""Half an escape, where a text was cut inside it."""
_TAG: Final = (
    r"</?(?:a|b|body|blockquote|br|center|code|div|em|font|h[1-6]|head|hr|html|i|kbd|li|mark|ol|p|pre|s|small|span"
    r"|strong|sub|sup|table|td|th|title|tr|tt|u|ul)(?:\s[^<>]{0,256})?/?>"
)
_INDENT: Final = r"^[\s>|#*│┃]{1,64}"


def undone(text: str) -> str:
    """Return a text as it was before it was escaped or marked up; a tag becomes a line break.

    Args:
        text: Any text.
    """
    if "%" in text:
        text = compiled(_PERCENT).sub(_from_percents, text)
    if text.count("+") > 2:
        # A form's spaces. Inside a row without spaces only: a sum has few of them, and nobody escapes one word.
        text = " ".join([word.replace("+", " ") if word.count("+") > 2 else word for word in text.split(" ")])
    if "\\" in text:
        text = compiled(_CODE_POINT).sub(_from_code_point, text)
        text = compiled(_SURROGATES).sub(_from_surrogates, compiled(_BYTES).sub(_from_bytes, text))
    if "&" in text:
        text = compiled(_ENTITY).sub(_from_entity, text)
    if "%" in text or "&" in text or "\\" in text:
        text = compiled(_CUT_ESCAPE).sub("", text)
    if "\\" in text:
        text = text.replace("\\n", "\n").replace("\\r", "\n").replace("\\t", " ").replace("\\", "")
    if "<" in text:
        text = compiled(_TAG).sub("\n", text)
    return text


def joined(text: str) -> str:
    """Return a text with its lines joined where a word was broken: at a hyphen, or where a line is full.

    Between a letter and a digit no line is joined: more words begin there than are broken.

    Args:
        text: Any text; escapes are undone.
    """
    lines = undone(text).splitlines()
    longest = max(map(len, lines), default=0)
    parts: list[str] = []
    for at, line in enumerate(lines):
        bare = compiled(_INDENT).sub("", line)
        ahead = compiled(_INDENT).sub("", lines[at + 1]) if at + 1 < len(lines) else ""
        ends = line[-1:] + ahead[:1]
        is_full = len(line) == longest and not (ends.isalnum() and not ends.isalpha() and not ends.isdigit())
        parts.append(bare if is_full or line.endswith("-") else f"{bare}\n")
    return "".join(parts)


def _from_percents(found: re.Match[str]) -> str:
    """Return what bytes of a URL spell, or the text itself where they spell nothing; a last one may be cut."""
    raw = bytes(int(each, 16) for each in compiled(_PERCENTS).findall(found[0]))
    spelt = raw.decode("utf-8", "ignore")
    return spelt if len(raw) - len(spelt.encode("utf-8")) < 4 and spelt else found[0]


def _from_code_point(found: re.Match[str]) -> str:
    number = int(found[1] or found[2], 16)
    return chr(number) if number <= 0x10FFFF else found[0]


def _from_surrogates(found: re.Match[str]) -> str:
    return found[0].encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _from_bytes(found: re.Match[str]) -> str:
    """Return what the `repr` of bytes spells in UTF-8, or of a text in Latin-1."""
    raw = bytes.fromhex(found[0].replace("\\", "").replace("x", ""))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _from_entity(found: re.Match[str]) -> str:
    if found[3]:
        return _NAMED.get(found[3].lower(), " ")
    number = int(found[1]) if found[1] else int(found[2], 16)
    return chr(number) if number <= 0x10FFFF else " "
