"""What SDKs render of an answer into their errors' texts: read for its facts, also where the text is cut.

Often the text is all that is left of an answer ("Error code: 404 - {'type': 'error', 'error': {'type': 'not_f…"), and
its message is too short to say whose it is. Pure, and linear in the texts.
"""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

import bisect
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from otel_failover._core.domain.endpoint import address_of, endpoint_of
from otel_failover._core.text import matching
from otel_failover._core.text.escapes import compiled
from otel_failover._core.text.normal_form import letters
from otel_failover._core.text.renderings import joined, undone

_LIMIT: Final = 16_384
_MOST: Final = 16
_HYPHENATED: Final = r"(?<=[A-Za-z_])-[ \t]{0,8}(?:\\n|\r?\n)[ \t]{0,64}(?=[A-Za-z_])"
_ANSI: Final = r"\x1b\[[0-9;]{0,16}[A-Za-z]"
_UNSEEN: Final = "[\u200b-\u200d\u2060\ufeff\xad]"
_BODY_WITHIN: Final = 120
"""Characters behind an SDK's words within which the body begins: pydantic-ai puts the model's name between them."""

_ENDS: Final = r"(?=\s*(?:…|\.{2,3}|[\[(]|$))"
_PREFIX: Final = (
    r"(?i:Error\s+code):\s+(?P<stainless>\d{3})(?!\d)(?P<dash>\s+-\s+(?=[{\[]))?"
    r"|(?<![\w.])(?P<google>[45]\d\d)\s+(?P<google_code>[A-Z]{4}[A-Z_]*)(?:(?P<google_end>\.\s+(?=[{\[]))|"
    + _ENDS
    + ")"
    r"|An\s+error\s+occurred\s+\((?P<aws_code>[A-Za-z_]+)(?:(?P<aws_end>\)\s+when\s+calling)|" + _ENDS + ")"
    r"|status_code:\s+(?P<named>\d{3}),\s+(?:model_name|body):"
    r"|API\s+error\s+occurred:\s+Status\s+(?P<mistral>\d{3})(?!\d)"
    r"|(?:Client|Server)\s+error\s+'(?P<httpx>\d{3})[^']{0,64}'\s+for\s+url\s+'(?P<url>[^'\s]*)"
    r"(?:'\s*For\s+more\s+information\s+check:\s+https://(?:developer\.mozilla\.org|httpstatuses\.com)/[\w/-]{1,64})?"
    r"|(?<!\d)(?P<requests>\d{3})\s+(?:Client|Server)\s+Error:[^\n]{0,128}?\s+for\s+url:\s+(?P<plain_url>\S+)"
    r"|(?P<bare>\{\s*['\"](?:type['\"]\s*:\s*['\"]error['\"]\s*,\s*['\"])?error['\"]\s*:\s*\{)"
)
"""What the SDKs of OpenAI, Anthropic and their kin say; google-genai; botocore; pydantic-ai and Cohere; Mistral; httpx;
requests; and an error's body by itself."""
_STATUSES: Final = ("stainless", "google", "named", "mistral", "httpx", "requests")
_CODE: Final = (
    r"['\"](?i:type|code|status|__type|reason|error_code)['\"]\s*:\s*['\"]"
    r"(?P<code>[A-Za-z][\w-]{0,63})(?:(?P<end>['\"])|" + _ENDS + ")"
)
_WORD: Final = r"[^\s{}\[\](),:;=|<>'\"`]+"
_MESSAGE: Final = r"""['"](?:message|Message)['"]\s*:\s*(?:'([^']{1,4096})'\s*[,}]|"([^"]{1,4096})"\s*[,}])"""
_WORDLESS: Final = (
    r"(?:\w{1,64}\[)?<?Future at 0x[0-9a-fA-F]{1,32}[^>]{0,128}>?\]?|(?:\w{1,64}\.){0,8}[A-Z]\w{0,64}(?:\(\))?"
)
_LONGEST_WORDLESS: Final = 256
_CLASS_ENDS: Final = ("Error", "Exception", "Failure")
_SAYS_WHY: Final = ("Timeout", "TimedOut", "Connect", "Cancel")
"""Class names with these in them do say something: what failed, on the way to no answer."""
_OF_LITELLM: Final = r"(?i)^(?:litellm\.\w+:? |\w+(?:error|exception):? )*\w+exception - "
_OF_A_CLASS: Final = r"(?:(?:\w+\.)+[A-Z]\w*|[A-Z]\w+(?:Error|Exception|Timeout))[:(]?"


Sides: TypeAlias = tuple[str, str]  # what stands in front of a text, and behind it


class Rendering(NamedTuple):
    """What an SDK made of one answer.

    Args:
        text: As it stands in the claim, escapes undone.
        status: That it tells.
        codes: Structured codes, as they are spelled.
        cut_code: The start of a code in which the text breaks off; empty where it does not.
        message: The body's message, normalised; empty where there is none, or it is cut.
        address: Host and port that were asked: only httpx and requests say that.
        structured: It has a body.
        request_ids: That the body names.
    """

    text: str
    status: int | None = None
    codes: frozenset[str] = frozenset()
    cut_code: str = ""
    message: str = ""
    address: tuple[str, int] | None = None
    structured: bool = False
    request_ids: frozenset[str] = frozenset()


def read(text: str) -> list[Rendering]:
    """Return what SDKs have rendered of answers into a text, in order.

    Args:
        text: As it was said.
    """
    # A hyphen at a line's end may be the text's own, or have been put there where a word was broken: both are read.
    unbroken = compiled(_HYPHENATED).sub("", text) if "-" in text else text
    return _read(_plain(text)) if unbroken == text else [*_read(_plain(text)), *_read(_plain(unbroken))]


def _read(plain: str) -> list[Rendering]:
    return [_rendering(plain, start, prefix_end, end, found) for start, prefix_end, end, found in _regions(plain)]


def _plain(text: str) -> str:
    """Return a text without escapes and broken lines, so that quotes are quotes, and codes are whole."""
    text = text[:_LIMIT]
    if any(sign in text for sign in "&%+\\\n"):
        text = joined(text).replace("\n", " ")
    return text if text.isascii() else compiled(_UNSEEN).sub("", text)


def _regions(text: str) -> Iterator[tuple[int, int, int, dict[str, str | None]]]:
    """Yield where each rendering starts, where its SDK's words end, where it ends, and what those words say."""
    found = list(compiled(_PREFIX).finditer(text))[:_MOST]
    until = 0
    for number, prefix in enumerate(found):
        start, end = prefix.span()
        if start < until:
            continue  # a body, and the one that an SDK's words have brought already
        facts = prefix.groupdict()
        if facts["bare"]:
            until = _body_end(text, start)
        else:
            later = next((each.start() for each in found[number + 1 :] if not each["bare"]), len(text))
            body = _body_start(text, end, later, facts)
            until = end if body == -1 else min(later, _body_end(text, body))
        yield start, end, until, facts


def _body_start(text: str, end: int, later: int, facts: dict[str, str | None]) -> int:
    """Return where the body begins behind an SDK's words; -1 where there is none."""
    if facts["dash"] or facts["google_end"]:
        return end
    if facts["named"] or facts["mistral"]:
        return text.find("{", end, min(later, end + _BODY_WITHIN))
    return -1


def _body_end(text: str, start: int) -> int:
    """Return where the brackets that open at a place are closed; the text's end where they are not."""
    depth = 0
    for found in compiled(r"[{}\[\]]").finditer(text, start):
        depth += 1 if found[0] in "{[" else -1
        if depth == 0:
            return found.end()
    return len(text)


def _rendering(text: str, start: int, prefix_end: int, end: int, facts: dict[str, str | None]) -> Rendering:
    body = text[start if facts["bare"] else prefix_end : end]
    codes: set[str] = set()
    cut_code = ""
    told = [(facts[name], facts[ending]) for name, ending in _PREFIX_CODES if facts[name]]
    if "{" in body:
        told += [(found["code"], found["end"]) for found in compiled(_CODE).finditer(body)]
    for code, is_whole in told:
        if code and is_whole:
            codes.add(code)
        elif code:
            cut_code = code
    status = next((int(number) for name in _STATUSES if (number := facts[name])), None)
    message = compiled(_MESSAGE).search(body)
    url = facts["url"] or facts["plain_url"]
    endpoint = endpoint_of(url) if url else None
    return Rendering(
        text[start:end],
        status,
        frozenset(codes - {"error"}),
        cut_code,
        matching.normalise(message[1] or message[2]) if message else "",
        address_of(endpoint) if endpoint else None,
        structured="{" in body,
        request_ids=frozenset(matching.quoted_ids(body)),
    )


_PREFIX_CODES: Final = (("google_code", "google_end"), ("aws_code", "aws_end"))


# --- what are no words of a loop's own --------------------------------------------------------------------------------


def is_wordless(text: str) -> bool:
    """Whether a text says nothing by itself: it is empty, the name of a class, or the `repr` of a future.

    Args:
        text: An exception's, as it is.
    """
    text = text.strip()
    if not text or len(text) > _LONGEST_WORDLESS:
        return not text
    if compiled(_WORDLESS).fullmatch(text) is None:
        return False
    if "Future at " in text:
        return True
    name = text.removesuffix("()")
    return name.endswith(_CLASS_ENDS) and name not in _CLASS_ENDS and not any(word in name for word in _SAYS_WHY)


def without_prefix(message: str) -> str:
    """Return a message without what litellm puts before it: it says the same before everybody's.

    Args:
        message: As it was sent, or normalised.
    """
    return compiled(_OF_LITELLM).sub("", message, count=1) if "xception - " in message else message


def around(text: str, portion: str) -> tuple[str, str] | None:
    """Return what stands in front of and behind somebody's text, without the SDK's words that bring it.

    Args:
        text: As it was said.
        portion: Of it, normalised.

    Returns:
        Both in small letters, with their digits; None where the portion is not found.
    """
    # A line's end may part two words, or one: the text is read both ways.
    unwrapped = compiled(_UNSEEN).sub("", undone(text[:_LIMIT]))
    found = _around(compiled(_ANSI).sub(" ", unwrapped), portion)
    if found is not None or "\n" not in unwrapped:
        return found
    return _around(compiled(_ANSI).sub(" ", _plain(text)), portion)


def _around(plain: str, portion: str) -> "Sides | None":
    for start, _, end, _ in _regions(plain):
        if matching.holds(matching.normalise(plain[start:end]), portion):
            return _without_classes(plain[:start]), plain[end:].casefold()
    sought, row = letters(portion), ""
    words: list[tuple[int, int, int]] = []
    for word in compiled(_WORD).finditer(plain):
        folded = letters(word[0].casefold())
        if folded and not any(map(str.isdigit, folded)):
            words.append((len(row), *word.span()))
            row += folded
    begin = row.find(sought) if sought else -1
    if begin == -1:
        return None
    first = words[bisect.bisect_right(words, begin, key=_in_row) - 1]
    last = words[bisect.bisect_left(words, begin + len(sought), key=_in_row) - 1]
    return _without_classes(plain[: first[1]]), plain[last[2] :].casefold()


def _in_row(word: tuple[int, int, int]) -> int:
    return word[0]


def _without_classes(text: str) -> str:
    """Return a text in small letters without class names: "openai.RateLimitError:" is an SDK's word, no loop's."""
    return " ".join(word for word in text.split() if not compiled(_OF_A_CLASS).fullmatch(word)).casefold()
