"""The form in which texts are compared, and how much a text weighs.

Pure, and linear in the text. Imported on every start: what only an unusual text needs is imported with it.
"""

from __future__ import annotations

import bisect
import functools
from typing import Final, NamedTuple

from otel_failover._core.text.escapes import compiled

__all__ = [
    "ELLIPSIS",
    "MINIMUM",
    "QUOTE",
    "TakenApart",
    "dense_units",
    "fingerprint",
    "is_spaceless",
    "letters",
    "normalise",
    "start_of",
    "take_apart",
    "units",
    "up_to",
    "weights",
]

MINIMUM: Final = 24
"""Units below which a message says nothing about where it came from."""

DROPPED: Final = "#"
QUOTE: Final = '"'
ELLIPSIS: Final = "…"
_LINE: Final = "\xb6"

_LIMIT: Final = 16_384
_MASK: Final = "redacted"
_STRUCTURE: Final = (
    "{}[]()|;<>*\r\n\u2028\u2029\uff08\uff09\u3010\u3011\uff5b\uff5d\uff3b\uff3d\uff1b\uff5c\u300a\u300b\u3008\u3009"
)
_SPACES: Final = ",:=%&\t\xa0\uff0c\uff1a\u3001\u3002\uff01\uff1f\uff1d\u3000\u30fb"
_QUOTES: Final = "'\"`\xab\xbb\u2018\u2019\u201c\u201d\u300c\u300d\u300e\u300f\uff02\uff07"
_SPACING: Final = str.maketrans(
    {**dict.fromkeys(_STRUCTURE + _SPACES, " "), **dict.fromkeys(_QUOTES, f" {QUOTE} ")},
)
_MARKING: Final = {
    **_SPACING,
    **{ord(sign): f" {_LINE if sign.isspace() else sign} " for sign in _STRUCTURE},
}
MARKS: Final = frozenset((*_STRUCTURE, _LINE, QUOTE, ELLIPSIS))
_ESCAPES: Final = r"[\\%&<]|\+[^+]*\+[^+]*\+"
_INVISIBLE: Final = "\xad\u200b\u200c\u200d\u2060\ufeff"
_ANSI: Final = r"\x1b\[[0-9;]{0,16}[A-Za-z]"
_TRUNCATED: Final = (
    r"(?i)[\[(<]\s?(?:[.…]{1,3}\s?)?(?:(?:\+?\d{1,9}\s?(?:more|chars?|characters|bytes|lines|truncated|omitted)"
    r"|truncated|cut|snip|snipped|omitted|shortened|clipped|abridged)[^\[\](){}<>]{0,40})[\])>]"
)
"""What is written where a text was cut, besides an ellipsis."""

_HAN: Final = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA: Final = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HANGUL: Final = "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"
_OTHERS_WITHOUT_SPACES: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Burmese, Khmer."""
_DENSE: Final = f"[{_HAN}]|[{_HANGUL}]|[{_KANA}]"
_SPACELESS: Final = f"[{_HAN}{_KANA}{_HANGUL}{_OTHERS_WITHOUT_SPACES}]+"
_NO_LETTERS: Final = r"[\W_]+"
_PUNCTUATION: Final = r"[^\w\s]+|_+"
_ASCII_SIGNS: Final = bytes([32, *(code for code in range(128) if not chr(code).isalnum() and code != 32)])
_DENSE_FROM: Final = "\u1100"
_WEIGHTS: Final = ((f"[{_HAN}]", 3.0), (f"[{_HANGUL}]", 2.0), (f"[{_KANA}]", 1.7))


@functools.lru_cache(maxsize=128)
def normalise(text: str) -> str:
    """Return a text in the form in which texts are compared.

    Escapes are undone, structure and case folded, and every word with a digit in it (ids, counts, keys, dates, model
    versions) becomes one sign, as does our own mask, so that one message is the same in a body, in a `repr` and in a
    log line. Where a script has no spaces, a number is a word by itself.

    Args:
        text: Any text; what stands after 16,384 characters is not looked at.

    Returns:
        Words separated by single spaces; quotes, ellipses and dropped words are words of their own.
    """
    return _words(_readable(text).translate(_SPACING))


def marked(text: str) -> str:
    """Return the same with a sign for each bracket, line break, `|`, `;` and tag: a text may have been cut there.

    Args:
        text: Any text. One that has been normalised has no such places any more.
    """
    return _words(_readable(text).translate(_MARKING))


class TakenApart(NamedTuple):
    """A text, and where in its row of letters it may have been cut.

    Args:
        normal: Its normal form.
        letters: Its letters in a row.
        cuts: Places in that row at which the text ends or an ellipsis stands.
        marks: Places at which those, a quote, a bracket, a line break or the like stand, in order, and which do.
        drops: Places at which a word was dropped.
        words: Where each word starts, and where it ends.
    """

    normal: str
    letters: str
    cuts: frozenset[int]
    marks: dict[int, str]
    drops: frozenset[int]
    words: dict[int, int]


@functools.lru_cache(maxsize=32)
def take_apart(text: str) -> TakenApart:
    """Take a text apart.

    Args:
        text: As it was said; one that has been normalised has no brackets or line breaks any more.
    """
    row: list[str] = []
    marks: dict[int, str] = {}
    cuts, drops, words, at = set(), set(), {}, 0
    for word in marked(text).split(" "):
        bare = word if word.isalpha() else letters(word)
        if bare:
            row.append(bare)
            words[at] = at + len(bare)
            at += len(bare)
        elif word in MARKS:
            marks[at] = marks.get(at, "") + word
            if word == ELLIPSIS:
                cuts.add(at)
        elif word:
            drops.add(at)
    marks.setdefault(at, ELLIPSIS)
    return TakenApart(normalise(text), "".join(row), frozenset((*cuts, at)), marks, frozenset(drops), words)


def _readable(text: str) -> str:
    """Undo what printing did to a text."""
    if len(text) > _LIMIT:
        text = text[:_LIMIT]
    if "\\" in text or "%" in text or "&" in text or "<" in text or text.count("+") > 2:
        from otel_failover._core.text.renderings import undone  # late: few texts need it

        text = undone(text)
    if "[" in text or "(" in text or "<" in text:
        text = compiled(_TRUNCATED).sub(ELLIPSIS, text)
    if "\x1b" in text:
        text = compiled(_ANSI).sub(" ", text)
    if not text.isascii():
        if any(sign in text for sign in _INVISIBLE):
            text = compiled(f"[{_INVISIBLE}]").sub("", text)
        text = compiled(_SPACELESS).sub(r" \g<0> ", text)
    if "..." in text or ELLIPSIS in text:
        text = text.replace("...", ELLIPSIS).replace(ELLIPSIS, f" {ELLIPSIS} ")
    return text


def _words(text: str) -> str:
    words = text.casefold().split()
    return " ".join([word if (word.isalpha() and word != _MASK) or _is_word(word) else DROPPED for word in words])


def _is_word(word: str) -> bool:
    """Whether a word stays: neither an id (anything with a digit) nor our own mask."""
    return word != _MASK and not any(map(str.isdigit, word))


@functools.lru_cache(maxsize=128)
def fingerprint(message: str) -> str:
    """Return 16 hex digits of SHA-256 over a normalised message: joins the same error across spans and services."""
    import hashlib

    return hashlib.sha256(message.encode("utf-8", "replace")).hexdigest()[:16]


def letters(text: str) -> str:
    """Return only the letters of a normalised text: they are the same wherever its lines were broken.

    Args:
        text: Normalised.
    """
    if text.isascii():
        return text.encode("ascii").translate(None, _ASCII_SIGNS).decode("ascii")
    return compiled(_NO_LETTERS).sub("", text)


def units(text: str) -> float:
    """Return how much a normalised text weighs.

    A Han character says as much as 3 of Latin, Hangul as 2, kana as 1.7 (measured against parallel texts); any other
    letter and each space between words is 1, punctuation and what was dropped 0.

    Args:
        text: Normalised.
    """
    if text.isascii():
        return len(b" ".join(text.encode("ascii").translate(None, _ASCII_SIGNS[1:]).split()))
    plain = " ".join(compiled(_PUNCTUATION).sub("", text).split())
    return len(plain) + sum((weight - 1) * len(compiled(script).findall(plain)) for script, weight in _WEIGHTS)


def dense_units(text: str) -> float:
    """Return the share of `units` that Han, Hangul and kana have.

    Args:
        text: Normalised.
    """
    return 0.0 if text.isascii() else sum(w * len(compiled(script).findall(text)) for script, w in _WEIGHTS)


def is_spaceless(text: str) -> bool:
    """Whether a text has a script whose sentences have few spaces, or none.

    Args:
        text: Any text.
    """
    return not text.isascii() and compiled(_SPACELESS).search(text) is not None


def weights(text: str) -> list[float]:
    """Return for each letter of a normalised text how many units there are up to it.

    Args:
        text: Normalised.
    """
    heavy, gap, found = 0.0, 0, []
    for sign in text:
        if sign.isalnum():
            heavy += gap + (1 if sign < _DENSE_FROM else _weight(sign))
            gap = 0
            found.append(heavy)
        elif sign == " ":
            gap = 1 if found else 0
    return found


@functools.lru_cache(maxsize=1024)
def _weight(sign: str) -> float:
    return next((weight for script, weight in _WEIGHTS if compiled(script).match(sign)), 1.0)


def start_of(text: str, weight: int) -> str | None:
    """Return the first units of a normalised text; None where it has fewer.

    Args:
        text: Normalised.
        weight: Units.
    """
    looked = text[: 4 * weight]
    heavy = weights(looked)
    if heavy and heavy[-1] < weight < len(text) - len(looked):
        looked, heavy = text, weights(text)
    count = bisect.bisect_left(heavy, weight) + 1
    return up_to(looked, count) if count <= len(heavy) else None


def up_to(text: str, count: int) -> str:
    """Return the start of a normalised text that has so many letters.

    Args:
        text: Normalised.
        count: Letters.
    """
    end = 0
    for end, sign in enumerate(text):
        if not count:
            return text[:end]
        count -= sign.isalnum()
    return text
