"""Error texts, made comparable and found in one another, and whether a text shows where it came from.

Pure, and linear in the texts. A message that several could have said by themselves (`STOCK`, or too short) says nothing
of where it came from; some sentences (`KNOWN_WORDING`) only a provider's answer contains.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from otel_failover._core.text.escapes import compiled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MINIMUM: Final = 24
"""Characters of normalised text below which a message says nothing about where it came from."""

_LIMIT: Final = 16_384
_PARTS: Final = 10
_QUOTE: Final = '"'
_ELLIPSIS: Final = "…"
_DROPPED: Final = "#"
_SPACING: Final = str.maketrans(
    {
        **dict.fromkeys("{}[](),:;=|<>\t\r\n\xa0", " "),
        **dict.fromkeys("'\"`\u2018\u2019\u201c\u201d", f" {_QUOTE} "),
    }
)
_STATUS_LINE: Final = r"(?:http|error|status|code|#|-|\s)*"
"""What an SDK says where it has nothing but a status ("Error code: 502"), normalised: no text of the attempt's own."""
_ISSUED_ID: Final = r"req_[0-9A-Za-z]{16,64}"
"""How OpenAI and Anthropic write request ids; anything else may be the application's own correlation id."""
_QUOTED_ID: Final = r"['\"](?i:request[_-]?id)\\*['\"]\s*:\s*\\*['\"]([\w-]+)"
"""How an error's body, or its `repr`, names its request id; prose may name another one honestly."""
_CODE_POINT: Final = r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))"
_ANSI: Final = r"\x1b\[[0-9;]{0,16}[A-Za-z]"


@functools.lru_cache(maxsize=128)
def normalise(text: str) -> str:
    """Return a text in the form in which texts are compared.

    Escapes are undone, structure and case folded, and every word with a digit in it (ids, counts, keys, dates, model
    versions) becomes one sign, as does our own mask, so that one message is the same in a body, in a `repr` and in a
    log line.

    Args:
        text: Any text; what stands after 16,384 characters is not looked at.

    Returns:
        Words separated by single spaces; quotes, ellipses and dropped words are words of their own.
    """
    if len(text) > _LIMIT:
        text = text[:_LIMIT]
    if "\\" in text:
        text = _unescaped(text)
    if "\x1b" in text:
        text = compiled(_ANSI).sub(" ", text)
    if "..." in text or _ELLIPSIS in text:
        text = text.replace("...", _ELLIPSIS).replace(_ELLIPSIS, f" {_ELLIPSIS} ")
    words = text.translate(_SPACING).casefold().split()
    return " ".join([word if word.isalpha() or _is_word(word) else _DROPPED for word in words])


def _unescaped(text: str) -> str:
    """Undo the escapes of JSON and of `repr`."""
    if "\\u" in text or "\\x" in text:
        text = compiled(_CODE_POINT).sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    return text.replace("\\n", " ").replace("\\r", " ").replace("\\t", " ").replace("\\", "")


def _is_word(word: str) -> bool:
    """Whether a word stays: neither an id (anything with a digit) nor our own mask."""
    return word != "redacted" and not any(map(str.isdigit, word))


@functools.lru_cache(maxsize=128)
def fingerprint(message: str) -> str:
    """Return 16 hex digits of SHA-256 over a normalised message: joins the same error across spans and services."""
    import hashlib

    return hashlib.sha256(message.encode("utf-8", "replace")).hexdigest()[:16]


STOCK: Final = frozenset(
    {
        "connection error.",
        "request timed out.",
        "request timed out or interrupted. this could be due to a network timeout dropped connection or request",
        "the read operation timed out",
        "the write operation timed out",
        "the connection operation timed out",
        "the request was cancelled before it completed",
        "server disconnected without sending a response.",
        "server disconnected",
        "peer closed connection without sending complete message body incomplete chunked read",
        "peer closed connection without sending complete message body received # bytes expected #",
        "all connection attempts failed",
        "connection refused",
        "errno # connection refused",
        "connection reset by peer",
        "errno # connection reset by peer",
        "errno # name or service not known",
        "errno # temporary failure in name resolution",
        "nodename nor servname provided or not known",
        "cannot connect to host",
        "connection timeout to host",
        "ssl certificate_verify_failed certificate verify failed",
        "event loop is closed",
        "session is closed",
        "cannot send a request as the client has been closed.",
        "the operation was aborted",
        "operation was canceled",
        "deadline exceeded",
        "stream closed",
        "stream ended without finish_reason",
        "an error occurred during streaming",
        "an error occurred while processing your request",
        "internal server error",
        "service unavailable",
        "service temporarily unavailable",
        "the service is temporarily unavailable. please try again later.",
        "bad gateway",
        "gateway timeout",
        "too many requests",
        "unauthorized",
        "forbidden",
        "not found",
        "llm request failed.",
        "all models failed",
        "no response",
    }
)
"""Texts that an SDK, a transport or a runtime makes up without an answer: everybody says them, they bind nothing.

Both tables stand here as `normalise` leaves them, which a test holds: this module is imported on every start."""

KNOWN_WORDING: Final = (
    "you exceeded your current quota please check your plan and billing details",
    "incorrect api key provided",
    "on tokens per min tpm limit",
    "on requests per min rpm limit",
    "does not exist or you do not have access to it",
    'this model " s maximum context length is',
    "your credit balance is too low to access the anthropic api",
    'this request would exceed your organization " s rate limit',
    "this request would exceed the rate limit for your organization",
    "number of request tokens has exceeded your",
    "invalid x-api-key",
    "resource has been exhausted e.g. check quota",
    "api key not valid. please pass a valid api key.",
    "is not found for api version",
    "the model is overloaded. please try again later.",
    "this model is currently experiencing high demand",
    "too many tokens please wait before trying again",
    "the security token included in the request is invalid",
    'you didn " t provide an api key',
    "your account is not active please check your billing details",
    "the server had an error while processing your request",
    "the response was filtered due to the prompt triggering",
    "exceeded token rate limit of your current",
)
"""Sentences that only a provider's answer contains; disjoint from `STOCK`, which a test keeps so."""


def quotes_id(name: str, text: str) -> bool:
    """Whether a text names a request id as an error's body does.

    Args:
        name: The request id.
        text: As it was said, not normalised.
    """
    return name in quoted_ids(text)


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


def quoted(message: str, text: str) -> str | None:
    """Return the part of a normalised message that a normalised text repeats, or None.

    A part binds from 24 characters on, from the message's start, where the text breaks off behind it: its end, an
    ellipsis or a quote (a word cut in two may stand before that). Stock phrases bind nothing.
    """
    if len(message) < MINIMUM or message in STOCK:
        return None
    if message in text:
        return message
    whole = message.rstrip("!. ")
    if len(whole) >= MINIMUM and whole in text:
        return whole
    head = message[:MINIMUM]
    start = text.find(head)
    while start != -1:
        length = _shared(message, text, start)
        if _breaks_off(message, text, length, start + length) and not _is_stock_start(message[:length]):
            return message[:length].rstrip()
        start = text.find(head, start + 1)
    return None


def _shared(message: str, text: str, start: int) -> int:
    """Length of the run that both have in common."""
    most = min(len(message), len(text) - start)
    return next((i for i in range(MINIMUM, most) if message[i] != text[start + i]), most)


def _breaks_off(message: str, text: str, length: int, at: int) -> bool:
    """Whether a text ends where it stops repeating a message: by its end, an ellipsis or a quote.

    The stump of a word that was dropped from the message as a whole ("gpt-" of "gpt-5.5") may stand before that.
    """
    words = text[at:].split(" ", 2)
    if words[0] not in ("", _ELLIPSIS, _QUOTE):
        if message[length:].split(" ", 1)[0] != _DROPPED:
            return False
        words = words[1:]
    words = [word for word in words if word]
    return not words or words[0] in (_ELLIPSIS, _QUOTE)


def _is_stock_start(portion: str) -> bool:
    return any(stock.startswith(portion.rstrip()) for stock in STOCK)


def pieces(text: str) -> Iterator[str]:
    """Yield the parts of a claim that may be a whole message: all of it, and what stands behind or between quotes."""
    seen: set[str] = set()
    parts = text.split(f" {_QUOTE} ")[:_PARTS]
    between = (f" {_QUOTE} ".join(parts[i:j]) for i in range(len(parts)) for j in range(len(parts), i, -1))
    for part in (text, text.rsplit(" - ", 1)[-1], text.split(" - ", 1)[-1], *between):
        piece = part.strip(f"{_QUOTE}{_ELLIPSIS} ")
        if len(piece) >= MINIMUM and piece not in STOCK and piece not in seen:
            seen.add(piece)
            yield piece


def is_held(text: str, held: Iterable[str]) -> bool:
    """Whether a text stands in an own one, or wraps one so long that it cannot be chance."""
    return any(text in mine or (len(mine) >= MINIMUM and mine in text) for mine in held)
