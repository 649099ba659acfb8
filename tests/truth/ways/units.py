"""What a text must weigh to say where it came from: the contract's rule, worked out without the code under test.

A Han character counts three units, a Hangul one two, kana 1.7, any other letter, digit or space one, punctuation none.
A text binds from 24 units on, if 12 are left without what anybody may say (45 in Han, kana or Hangul, but for words that
only an answer can tell). Where it is a matter of taste what a general clause is, the rule says `EITHER`: neither
verdict is held against anybody.
"""

from __future__ import annotations

import enum
import functools
import re
import unicodedata
from typing import Final

WHOLE: Final = 24
"""Units from which a text binds, and a start of one that visibly breaks off."""
BEFORE_WORDS: Final = 48
"""Units from which a start binds before ordinary words."""
STARTS: Final = 32
"""Units by which the start of an earlier run's text is known."""
LEFT: Final = 12
LEFT_WITHOUT_SPACES: Final = 45
DOUBT: Final = 2.0
"""How far the remainder must be from the border for the rule to say more than `EITHER`."""


class Binding(enum.Enum):
    """Whether a text shows where it came from."""

    MUST = "must"
    EITHER = "either"
    CANNOT = "cannot"


GENERAL: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # English
        r"(?:please )?(?:re)?try(?: your request| the request| it)?(?: again)?(?: later| shortly| soon| in a moment)",
        r"(?:is|are|was|were)?(?: (?:currently|temporarily|now))* ?\b(?:busy|unavailable|overloaded|failed|timed out)\b",
        r"(?:please )?contact (?:the|your|an)? ?(?:system )?administrator",
        r"\b(?:the|this|a|please|service|server|system|request|model)\b",
        # Chinese
        r"请?您?(?:稍后|稍候|稍等)(?:片刻)?(?:再|重)?(?:次|新)?(?:尝试|重试|试)?(?:请求)?",
        r"(?:当前|目前|暂时|系统|服务器?|模型)?(?:繁忙|不可用|过载|负载过高|失败|超时)",
        r"请?(?:及时)?联系(?:系统)?(?:管理员|客服)",
        # Japanese
        r"しばらく(?:して|待って)(?:から)?(?:、)?(?:もう一度|再度)?(?:再試行|お試し|試)?(?:して)?(?:ください)?",
        r"(?:現在)?(?:混み合って(?:います|いる)|利用できません|失敗しました|タイムアウトしました)",
        r"管理者に(?:お問い合わせ|連絡|ご連絡)(?:して)?(?:ください)?",
        # Korean
        r"잠시 후(?:에)? 다시 (?:시도|이용)해 ?(?:주세요|주십시오)",
        r"(?:현재 )?(?:사용할 수 없습니다|과부하 상태입니다|실패했습니다|시간이 초과되었습니다)",
        r"관리자에게 문의(?:해 주세요|하세요|하십시오)?",
        # German
        r"(?:bitte )?versuchen sie es (?:bitte )?später(?: (?:erneut|noch einmal|wieder))?",
        r"(?:ist|sind|war)? ?(?:derzeit|zurzeit|momentan)? ?(?:überlastet|ausgelastet|nicht verfügbar|fehlgeschlagen)",
        r"(?:bitte )?wenden sie sich an (?:den|ihren) administrator",
    )
)
ANSWER_ONLY: Final = ("余额", "欠费", "额度", "令牌", "レート制限", "クォータ", "한도")
"""What the contract names as words that only an answer can tell."""
STOCK: Final = (
    "connection error",
    "request timed out",
    "internal server error",
    "service unavailable",
    "server disconnected without sending a response",
    "the service is temporarily unavailable please try again later",
    "too many requests",
)
"""Some of what an SDK, a transport or a runtime makes up without an answer."""


@functools.cache
def script_of(character: str) -> str:
    """Return the script of a character, as far as it matters here."""
    name = unicodedata.name(character, "")
    return next((script for script in ("CJK", "HANGUL", "HIRAGANA", "KATAKANA") if name.startswith(script)), "")


@functools.lru_cache(4096)
def units(text: str, *, strictly: bool = False) -> float:
    """Return the length of a text in units; words with a digit in them are ids and counts, and weigh nothing.

    Args:
        text: To be weighed.
        strictly: Take for one word all that stands between spaces: `messages[0].content` then weighs nothing.
    """
    found = text.split() if strictly else re.findall(r"[^\W_]+", text)
    kept = (word for word in found if script_of(word[0]) or not any(map(str.isdigit, word)))
    return sum(map(_weight, " ".join(kept)))


@functools.cache
def _weight(character: str) -> float:
    script = script_of(character)
    if script:
        return {"CJK": 3.0, "HANGUL": 2.0}.get(script, 1.7)
    return 1.0 if character.isalnum() or character == " " else 0.0


@functools.lru_cache(4096)
def remainder(text: str, length: int | None = None) -> float:
    """Return what a text, or the start of one, weighs without general clauses, one that is cut included.

    Args:
        text: The whole of it.
        length: Characters of the start.
    """
    kept = bytearray(b"1" * len(text))
    for pattern in GENERAL:
        for found in pattern.finditer(text):
            kept[found.start() : found.end()] = b"0" * (found.end() - found.start())
    return units(
        " ".join("".join(c if k == ord("1") else " " for c, k in zip(text[:length], kept, strict=False)).split())
    )


@functools.lru_cache(4096)
def bare(text: str) -> str:
    """Return the letters of a text, in small, with single spaces: enough to see whether one stands in another."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


@functools.lru_cache(4096)
def binding(text: str, length: int | None = None, *, least: int = WHOLE, own_reason: bool = False) -> Binding:
    """Return whether a text, or the start of one, binds.

    Args:
        text: A provider's message.
        length: Characters of it that are left.
        least: Units that they must have: more before ordinary words.
        own_reason: Whether own evidence gives the reason that the text names, too: then no word of it is a proof.
    """
    start = text[:length]
    known = bare(start)
    if any(stock.startswith(known) or known == stock for stock in STOCK):
        return Binding.CANNOT
    weight, strict = units(start), units(start, strictly=True)
    spaceless = any(map(script_of, start))
    if strict < least + 3:
        return Binding.CANNOT if weight < least - 3 else Binding.EITHER
    if spaceless and not own_reason and any(word in start for word in ANSWER_ONLY):
        return Binding.MUST
    enough, left = LEFT_WITHOUT_SPACES if spaceless else LEFT, remainder(text, length)
    if left < enough:
        return Binding.CANNOT if left < enough / DOUBT else Binding.EITHER
    return Binding.MUST if left >= enough * DOUBT else Binding.EITHER
