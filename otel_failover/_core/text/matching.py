"""Error texts found in one another, and whether a text shows where it came from.

Pure, and linear in the texts. A message that several could have said by themselves (`STOCK`, too short, or nothing but
general clauses) says nothing of where it came from; some sentences (`KNOWN_WORDING`) only a provider's answer contains.

Texts are compared by their letters alone, so that a line may be broken anywhere, inside a word or a URL; where a text
may have been cut is found out before brackets and line breaks are dropped.
"""

from __future__ import annotations

import bisect
import functools
import itertools
from typing import TYPE_CHECKING, Final

from otel_failover._core.text.escapes import compiled
from otel_failover._core.text.normal_form import (
    ELLIPSIS,
    MINIMUM,
    QUOTE,
    TakenApart,
    dense_units,
    fingerprint,
    letters,
    normalise,
    start_of,
    take_apart,
    units,
    up_to,
    weights,
)
from otel_failover._core.text.wording import ANSWERS_WORDS, KNOWN_WORDING, STOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from typing import TypeVar

    Remembered = TypeVar("Remembered")

__all__ = [
    "KNOWN_WORDING",
    "MINIMUM",
    "STOCK",
    "fingerprint",
    "holds",
    "is_held",
    "is_issued",
    "is_long_enough",
    "is_status_line",
    "known_in",
    "normalise",
    "pieces",
    "quoted",
    "quoted_ids",
    "remembered",
    "says_enough",
    "start_keys",
    "units",
    "without",
]

_AMONG_WORDS: Final = 48
"""Units that the start of a message has where ordinary words go on behind it."""
_LONG: Final = 128
"""Characters that no stock phrase has."""
_REST: Final = 12
_REST_DENSE: Final = 45
"""Units that remain of a text without general clauses; the second in Han, kana or Hangul, which say more by less."""
_START: Final = 32
"""Units by whose fingerprint an earlier run's message is known where it is cut."""
_NEAR: Final = 14
"""Letters that make about the 16 units between the two kinds of starts that are remembered."""
_AHEAD: Final = 4 * _AMONG_WORDS
_PARTS: Final = 10
_WORDS: Final = 256
_TRIES: Final = 8
_CHANCE: Final = 3
"""Letters that may be alike by chance behind a cut."""
_LONGEST_WORD: Final = 32
_STATUS_LINE: Final = r"(?:http|error|status|code|#|-|\s)*"
"""What an SDK says where it has nothing but a status ("Error code: 502"), normalised: no text of the attempt's own."""
_ISSUED_ID: Final = r"req_[0-9A-Za-z]{16,64}"
"""How OpenAI and Anthropic write request ids; anything else may be the application's own correlation id."""
_QUOTED_ID: Final = r"['\"](?i:request[_-]?id)\\*['\"]\s*:\s*\\*['\"]([\w-]+)"
"""How an error's body, or its `repr`, names its request id; prose may name another one honestly."""


def quoted_ids(text: str) -> list[str]:
    """Return the request ids that a text names as an error's body does.

    Args:
        text: As it was said, not normalised.
    """
    return compiled(_QUOTED_ID).findall(text)


def is_issued(name: str) -> bool:
    """Whether a request id has the form of those that OpenAI and Anthropic issue.

    Args:
        name: The request id.
    """
    return compiled(_ISSUED_ID).fullmatch(name) is not None


def is_status_line(text: str) -> bool:
    """Whether a normalised text is what an SDK says where it has nothing but a status.

    Args:
        text: Normalised.
    """
    return compiled(_STATUS_LINE).fullmatch(text) is not None


# --- whether a text tells where it came from --------------------------------------------------------------------------


def is_long_enough(text: str) -> bool:
    """Whether a text is long enough to bind, and no stock phrase.

    Args:
        text: Normalised.
    """
    return units(text) >= MINIMUM and (len(text) > _LONG or letters(text) not in _rows(STOCK))


def says_enough(text: str, length: int | None = None, own: AbstractSet[str] = frozenset()) -> bool:
    """Whether a text, or the start of one, tells where it came from: by more than clauses that everybody says.

    Args:
        text: Normalised.
        length: Characters of the start.
        own: The reasons that own evidence gives. In scripts in which few characters say much, a text that names
            another reason, which only an answer can tell, needs no length.
    """
    from otel_failover._core.text import general  # late: needed where something may bind

    start = text if length is None else text[:length]
    if any(phrase in start for phrase in KNOWN_WORDING):
        return True
    if start.isascii() and general.has_words_of_its_own(start, _REST):
        return True
    rest = general.without_general_clauses(text, length)
    weight = units(rest)
    if weight < _REST or dense_units(rest) * 2 < weight or weight >= _REST_DENSE:
        return weight >= _REST
    bare = letters(start)
    return any(word in bare and own.isdisjoint(reasons) for word, reasons in ANSWERS_WORDS)


@functools.lru_cache(maxsize=4)
def _rows(sentences: frozenset[str] | tuple[str, ...]) -> dict[str, str]:
    """Return the sentences of a table by their letters."""
    return {letters(sentence): sentence for sentence in sentences}


def known_in(text: str) -> list[str]:
    """Return the sentences in a text that only a provider's answer contains.

    Args:
        text: Normalised.
    """
    bare = letters(text)
    return [sentence for known, sentence in _rows(KNOWN_WORDING).items() if known in bare]


# --- one text in another ----------------------------------------------------------------------------------------------


def quoted(message: str, text: str, own: AbstractSet[str] = frozenset()) -> str | None:
    """Return the part of a message that a text repeats, normalised, or None.

    A part binds from 24 units on, from the message's start, where the text breaks off behind it: its end, an ellipsis,
    a quote, a bracket, `|`, `;`, a line break or markup (a word cut in two may stand before that); before ordinary
    words, from 48 on. Stock phrases and general clauses bind nothing.

    Args:
        message: Another attempt's, as it was sent or normalised.
        text: As it was said.
        own: The reasons that own evidence gives.
    """
    known = take_apart(message)
    if not is_long_enough(known.normal):
        return None
    length = _repeated(known, take_apart(text))
    if not length and ("\n" in text or "\\" in text or "<" in text):
        from otel_failover._core.text.renderings import joined  # late: few texts are wrapped

        length = _repeated(known, take_apart(joined(text)))
    if not length or not says_enough(known.normal, length, own):
        return None
    return known.normal[:length].rstrip()


def _repeated(known: TakenApart, said: TakenApart) -> int:
    """Return how many characters of a message's normal form a text repeats and breaks off behind; 0 where none."""
    if known.letters in said.letters:
        return len(known.normal)
    start = start_of(known.normal, MINIMUM)
    head = letters(start or "")
    at, best = said.letters.find(head) if head else -1, 0
    for _ in range(_TRIES):
        if at == -1:
            break
        best = max(best, _broken_off(known, said, at))
        at = said.letters.find(head, at + 1)
    return best


def _broken_off(known: TakenApart, said: TakenApart, at: int) -> int:
    """Return the characters of a message that stand at a place in a text, 0 where they bind nothing."""
    shared = _shared(known.letters, said.letters, at)
    # What follows a cut may begin as the message goes on: by a few letters, or by a word that is only partly the same.
    for length in (*range(shared, max(0, shared - _CHANCE) - 1, -1), _word_start(said, at + shared) - at):
        end = at + length
        # Where the message has the same bracket or quote itself, one in the text is no sign that it was cut.
        cut = end in said.cuts or (end in said.marks and not known.marks.get(length, "").startswith(said.marks[end]))
        if cut or (length in known.drops and said.words.get(end) in said.marks):
            return _enough(known, length, MINIMUM)
    return _enough(known, shared, _AMONG_WORDS)


def _word_start(said: TakenApart, place: int) -> int:
    """Return where the word begins that a place in a text is inside of; the place itself where that is no word's."""
    starts = range(place - 1, max(0, place - _LONGEST_WORD), -1)
    return next((start for start in starts if said.words.get(start, 0) > place), place)


def _enough(known: TakenApart, length: int, weight: int) -> int:
    """Return how many characters of its normal form hold so many of a message's letters, 0 where they are too light."""
    start = up_to(known.normal, length).rstrip(f" {QUOTE}{ELLIPSIS}")
    if units(start) < weight or any(stock.startswith(letters(start)) for stock in _rows(STOCK)):
        return 0
    return len(start)


def _shared(message: str, text: str, at: int) -> int:
    """Return the length of the run that both have in common: halved, since slices are compared at once."""
    low, high = 0, min(len(message), len(text) - at)
    while low < high:
        middle = (low + high + 1) // 2
        if text.startswith(message[low:middle], at + low):
            low = middle
        else:
            high = middle - 1
    return low


def holds(text: str, portion: str) -> bool:
    """Whether a text holds a part of a message, wherever its lines are broken.

    Args:
        text: Normalised.
        portion: Normalised.
    """
    if portion in text:
        return True
    bare = letters(portion)
    return bool(bare) and bare in letters(text)


def without(text: str, portion: str) -> str:
    """Return a text without a part of a message.

    Args:
        text: Normalised.
        portion: Normalised.
    """
    if portion in text:
        return text.replace(portion, " ")
    bare, row = letters(portion), letters(text)
    start = row.find(bare) if bare else -1
    if start == -1:
        return text
    places = [at for at, sign in enumerate(text) if letters(sign)]
    return f"{text[: places[start]]} {text[places[start + len(bare) - 1] + 1 :]}"


def is_held(text: str, held: Sequence[str]) -> bool:
    """Whether a text stands in an own one, or wraps one so long that it cannot be chance.

    Args:
        text: As it was said.
        held: Own texts, normalised.
    """
    said = normalise(text)
    if _stands_in(said, held):
        return True
    if "\n" not in text and "\\" not in text:
        return False
    from otel_failover._core.text.renderings import joined  # late: few texts are wrapped

    return _stands_in(normalise(joined(text)), held)


def _stands_in(text: str, held: Iterable[str]) -> bool:
    return any(holds(mine, text) or (units(mine) >= MINIMUM and holds(text, mine)) for mine in held)


# --- what an earlier run said -----------------------------------------------------------------------------------------


def pieces(text: str) -> Iterator[str]:
    """Yield the parts of a claim that may be a whole message: all of it, and what stands behind or between quotes."""
    seen: set[str] = set()
    parts = text.split(f" {QUOTE} ")[:_PARTS]
    between = (f" {QUOTE} ".join(parts[i:j]) for i in range(len(parts)) for j in range(len(parts), i, -1))
    for part in (text, text.rsplit(" - ", 1)[-1], text.split(" - ", 1)[-1], *between):
        piece = part.strip(f"{QUOTE}{ELLIPSIS} ")
        if piece not in seen and is_long_enough(piece):
            seen.add(piece)
            yield piece


def start_keys(message: str) -> tuple[str, ...]:
    """Return by what the start of a message is known in later runs: fingerprints of its first 32 and 48 units.

    Of this process only, since they are asked for by the dozen; nobody reads a text out of them.

    Args:
        message: Normalised.
    """
    ahead = message[:_AHEAD]
    if not ahead.isascii():
        row, heavy = letters(ahead), weights(ahead)
        ends = [bisect.bisect_left(heavy, weight) + 1 for weight in (_START, _AMONG_WORDS)]
        return tuple(_key(row[:end]) for end in ends if end <= len(row))
    row, keys, weight = "", [], _START
    left = weight + 1  # units until the next start ends; the first word has no space before it
    for word in ahead.split():  # by words: this is on the way of every failure
        bare = word if word.isalpha() else letters(word)
        if not bare:
            continue
        left -= 1
        while len(bare) >= left:
            keys.append(_key(row + bare[: left or 1]))
            if weight == _AMONG_WORDS:
                return tuple(keys)
            left, weight = left + _AMONG_WORDS - _START, _AMONG_WORDS
        row, left = row + bare, left - len(bare)
    return tuple(keys)


def _key(row: str) -> str:
    return f"~{hash(row):x}"


def remembered(text: str, history: Callable[[str], Remembered | None]) -> Iterator[tuple[Remembered, str]]:
    """Yield what is known of earlier messages that a claim repeats, whole or their start, and the part that it repeats.

    Args:
        text: As it was said.
        history: Finds an earlier error by fingerprint.
    """
    for piece in pieces(normalise(text)):
        if (found := history(fingerprint(piece))) is not None:
            yield found, piece
    said = take_apart(text)
    for start, end in _starts(said):
        if (found := history(_key(said.letters[start:end]))) is not None:
            yield found, up_to(said.normal, end)[len(up_to(said.normal, start)) :].strip()


def _starts(said: TakenApart) -> Iterator[tuple[int, int]]:
    """Yield from where to where, among its letters, a claim may have the start of a message.

    As with texts of the same run: a short one only where the claim breaks off soon after it.
    """
    heavy, marks = weights(said.normal), tuple(said.marks)
    for start in itertools.islice(said.words, _WORDS):
        before = heavy[start - 1] + 1 if start else 0
        end = bisect.bisect_left(heavy, before + _START, start) + 1
        if end > len(heavy):
            return
        if marks[bisect.bisect_left(marks, end)] - end <= _NEAR:
            yield start, end
        end = bisect.bisect_left(heavy, before + _AMONG_WORDS, start) + 1
        if end <= len(heavy):
            yield start, end
