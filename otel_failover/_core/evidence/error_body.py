"""What an error body says, in the envelopes that providers use.

We never call `read()`: a body is looked at only where the host has read it. Reading would take a stream from the host,
block its event loop, or keep a connection busy. So some bodies are never seen, and those longer than 64 KB not whole;
either makes the evidence partial, since what was not seen may have said anything.
"""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

import contextlib
import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

from otel_failover._core.domain import reasons
from otel_failover._core.evidence.answers.content import is_empty
from otel_failover._core.evidence.headers import AWS_ERROR, aws_error, of_answer
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.text.matching import holds, normalise

_WHOLE: Final = 65_536
"""Bytes of an error body that are parsed and kept."""
_SEARCHED: Final = 1_048_576
"""Bytes of any body that are searched for a text; a longer one may hold it."""
_MESSAGE: Final = 4_096
_FOREVER: Final = 31_536_000
"""Seconds: no provider asks to wait for a year; what says so is no wait."""
_PIECE: Final = 16_384
_STEP: Final = 12_288
"""Pieces overlap by a quarter, so that a message of up to 4,096 characters stands whole in one of them."""


class ErrorBody(NamedTuple):
    """One error as a provider sent it.

    Args:
        message: The provider's own sentence: `error.message`, else the body's text, at most 4,096 characters.
        code: The structured code that says most (`insufficient_quota`, `overloaded_error`, `RESOURCE_EXHAUSTED`).
        codes: Every structured code of the body, and of what it relays.
        text: The body as text, at most 64 KB.
        whole: Whether all of it was seen.
        retry_after: Seconds to wait, where the body says it (Google's `RetryInfo`).
        words: What decides the reason: codes and numbers, those that say most first.
        stated: A status that the body states, which may not be the answer's own: an error under a 200.
        note: Sentences that are no message, such as a `title`.
        inner: What a gateway relays.
        earlier: What others said to the gateway before.
    """

    message: str = ""
    code: str | None = None
    codes: frozenset[str] = frozenset()
    text: str = ""
    whole: bool = False
    retry_after: float | None = None
    words: tuple[str, ...] = ()
    stated: int | None = None
    note: str = ""
    inner: Any = None
    earlier: tuple[str, ...] = ()

    def reason(self, status: int | None) -> str:
        """Return why this is an error: the one place that decides it for a body, whole or an event of a stream.

        Of nested errors the outer one decides; the inner where that says as good as nothing, or only that the request
        was refused.

        Args:
            status: Of the response; a good one where the error stands under it.
        """
        failed = status is not None and status >= _ERROR
        said = f"{self.message} {self.note}" if self.note else self.message
        reason = reasons.from_answer(status if failed else self.stated, self.words, said)
        if reason in _SAYS_NOTHING and failed and self.stated not in (None, status):
            reason = reasons.from_answer(self.stated, self.words, said)
        if self.inner is None:
            return reason
        inner: str = self.inner.reason(None)
        if reason in _SAYS_NOTHING:
            return reason if inner == reasons.UNKNOWN else inner
        return inner if reason in _REFUSED and inner in _SAYS_WHY else reason

    @property
    def messages(self) -> tuple[str, ...]:
        """Every sentence of it that somebody else may repeat."""
        if self.inner is None and not self.earlier:
            return (self.message,)
        inner = (self.inner.message,) if self.inner is not None else ()
        return (self.message, *inner, *self.earlier)

    @property
    def statuses(self) -> frozenset[int]:
        """The statuses that it states, its own and what it relays."""
        inner = self.inner.stated if self.inner is not None else None
        return frozenset(status for status in (self.stated, inner) if status is not None)

    @property
    def relayed(self) -> str:
        """What a gateway's upstream said, where the gateway's own sentence does not hold it."""
        said: str = self.inner.message if self.inner is not None else ""
        return "" if said in self.message else said


_ERROR: Final = 400
_SAYS_NOTHING: Final = frozenset({reasons.SERVER_ERROR, reasons.UNKNOWN})
_REFUSED: Final = frozenset({reasons.INVALID_REQUEST, reasons.PERMISSION})
_SAYS_WHY: Final = frozenset(
    {reasons.CONTEXT_OVERFLOW, reasons.CONTENT_POLICY, reasons.MODEL_NOT_FOUND, reasons.BILLING, reasons.AUTH}
)


def content_of(message: object) -> object:
    """Return the body that the host has read or sent, without reading it.

    It is httpx's `content` and aiohttp's `_body`. For requests and botocore `content` would read, and `_content` holds
    what was read; what they send is their requests' `body`.
    """
    held = read(message, "__dict__")
    kept = held.get("_content", message) if isinstance(held, dict) else message
    content = read(message, "content") if kept is message else kept
    if isinstance(content, bytes):
        return content
    body = read(message, "_body") or read(message, "body")
    return body.encode("utf-8", "replace") if isinstance(body, str) else body


def read_error(response: object, headers: dict[bytes, str] | None = None) -> ErrorBody:
    """Read the error out of a response whose body the host has read.

    Args:
        response: Of `httpx`, `httpx2`, `aiohttp`, `requests` or `botocore`.
        headers: Those that matter, as `of_answer` gives them, where they have been read.

    Returns:
        The error; `whole` is False where the body was not read, or not all of it was looked at.
    """
    content = content_of(response)
    if not isinstance(content, bytes):
        return ErrorBody()
    headers = headers if headers is not None else of_answer(read(response, "headers"))
    found, named = _read_text(content), aws_error(headers) if AWS_ERROR in headers else None
    if named is None:
        return found
    return found._replace(code=found.code or named, codes=found.codes | {named}, words=(*found.words, named))


def _read_text(content: bytes) -> ErrorBody:
    whole = len(content) <= _WHOLE
    text = content[:_WHOLE].decode("utf-8", "replace")
    try:
        found = error_in(json.loads(text)) if whole else None
    except (ValueError, RecursionError):
        found = None
    if found is None:
        return ErrorBody(message=text[:_MESSAGE].strip(), text=text, whole=whole)
    return found._replace(message=found.message or text[:_MESSAGE].strip(), text=text, whole=whole)


def error_in(body: Any) -> ErrorBody | None:
    """Find the error in a decoded body or stream event.

    Args:
        body: Anything JSON can be: OpenAI's `{"error": {"message", "type", "code"}}`, Anthropic's
            `{"type": "error", "error": {"type", "message"}}`, Google's `{"error": {"code", "message", "status"}}` (also
            in a list), `{"message": …}`, `{"detail": …}`, botocore's `{"Error": {"Code", "Message"}}`.

    Returns:
        The error, or None where there is none to be found.
    """
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, Mapping):
        return None
    space = "code"
    error = body.get("error") or body.get("errors") or body.get("detail") or body.get("Error") or body
    if isinstance(error, list) and error:
        error, space = error[0], "errors"
    if isinstance(error, str):
        error = {**body, "message": error}
    if not isinstance(error, Mapping):
        return None
    message = error.get("message") or error.get("msg") or body.get("message") or error.get("Message")
    details = error.get("details")
    finer = None
    if details is not None:
        finer = details.get("error_code") if isinstance(details, Mapping) else _detail(details, "reason")
    words = [error.get("code"), error.get("status"), finer, error.get("type"), body.get("code"), error.get("Code")]
    codes = [word for word in words if isinstance(word, str) and word and word != "error"]
    wait = _span_of(_detail(details, "retryDelay")) if details is not None else None
    if isinstance(message, str) and _is_usual(body, error, message, codes):
        shown = message[:_MESSAGE]
        return ErrorBody(shown, codes[0] if codes else None, frozenset(codes), shown, True, wait, tuple(codes))
    return _unusual(body, error, space, message if isinstance(message, str) else "", codes, wait)


_USUAL: Final = frozenset({"message", "type", "param", "code"})
_ENVELOPE: Final = frozenset({"error", "type"})


def _is_usual(body: Mapping[str, Any], error: Mapping[str, Any], message: str, codes: list[str]) -> bool:
    """Whether an error has the common form, OpenAI's or Anthropic's: all that it says has been read."""
    if not error.keys() <= _USUAL or "{" in message or (error is not body and not body.keys() <= _ENVELOPE):
        return False
    return all(map(str.isidentifier, codes)) and not isinstance(error.get("code"), int)


def _unusual(
    body: Mapping[str, Any], error: Mapping[str, Any], space: str, message: str, said: list[str], wait: float | None
) -> ErrorBody | None:
    """Read an error of any other form; what a gateway relays, one level down."""
    from otel_failover._core.evidence.answers import envelopes  # late: most errors need none of it

    more = envelopes.unusual(body, error, space)
    codes = [code for code in said if envelopes.is_code(code) and not envelopes.is_status(code)]
    message = (message or more.message)[:_MESSAGE]
    if not message and not codes and not more.words and not more.numbers and more.stated is None:
        return None
    relayed = envelopes.decoded(more.relayed) if more.relayed else envelopes.body_in(message)
    inner = _inner(relayed) if relayed else None
    earlier = [each for each in map(_inner, map(envelopes.decoded, more.earlier)) if each is not None]
    plain = [word for word in more.words if "/" not in word]
    found = [number.partition("/")[2] for number in more.numbers]
    every = {*codes, *plain, *found}.union(*(each.codes for each in [inner, *earlier] if each is not None))
    waits = (wait, _seconds(str(more.wait), 1) if more.wait is not None else None, inner and inner.retry_after)
    shown = next((code for code in (*codes, *plain) if not code.isdecimal()), next(iter((*codes, *found)), None))
    return ErrorBody(
        message,
        shown,
        frozenset(every),
        message,
        True,
        next((each for each in waits if each is not None), None),
        (*more.words, *codes, *more.numbers),
        more.stated,
        more.note,
        inner,
        tuple(each.message for each in earlier if each.message),
    )


def _inner(relayed: Any) -> ErrorBody | None:
    """Return the error that a gateway relays; what that relays in turn is not read."""
    found = None if isinstance(relayed, str) else error_in(relayed)
    if found is not None:
        return found._replace(inner=None, earlier=())
    return ErrorBody(relayed[:_MESSAGE], text=relayed[:_MESSAGE], whole=True) if isinstance(relayed, str) else None


def _detail(details: Any, name: str) -> Any:
    """Return a field of Google's typed details: `ErrorInfo` has a `reason`, `RetryInfo` a `retryDelay`."""
    found = details if isinstance(details, list) else ()
    return next((each[name] for each in found if isinstance(each, Mapping) and each.get(name)), None)


def _span_of(delay: object) -> float | None:
    """Return the seconds of a protobuf Duration as JSON spells it: `10s`, `0.5s`."""
    return _seconds(delay[:-1], 1) if isinstance(delay, str) and delay.endswith("s") else None


class Success(NamedTuple):
    """What an answer under a good status was found to be.

    Args:
        error: The error that it is.
        refused: It was withheld, for what it or the prompt holds.
        empty: It holds neither a text nor a tool call; None where that is not known.
        seen: Its content was there to be looked at.
    """

    error: ErrorBody | None = None
    refused: bool = False
    empty: bool | None = None
    seen: bool = False


def look_closer(answer: object, response: object, *, refused: bool = False) -> Success:
    """Look at an answer that is not the common one: it may be an error, or a refusal.

    Args:
        answer: The SDK's own object, or a chunk of a stream; None where no SDK made one.
        response: That it was made of: its content, where the host has read it, says more than the object.
        refused: The loop would not take it, so that it is decoded also where nothing in it looks like an error.
    """
    from otel_failover._core.evidence.answers import success  # late: most answers are the common one

    content = content_of(response) if response is not None else None
    document = success.document(content, doubtful=refused)
    seen = document if document is not None else answer
    body = success.error_in(seen)
    if body is None:
        withheld = success.is_refusal(answer if answer is not None else document)
        empty = is_empty(answer) if answer is not None else None
        return Success(None, withheld, True if withheld and empty is None else empty, isinstance(content, bytes))
    found = error_in(body) or ErrorBody(whole=True)
    text = content[:_WHOLE].decode("utf-8", "replace") if isinstance(content, bytes) else found.text
    return Success(
        found._replace(message=found.message or text[:_MESSAGE].strip(), text=text, whole=True), False, True, True
    )


def text_holds(message: object, text: str, *, request: bool = False) -> bool | None:
    """Whether a normalised text stands in an HTTP message's body; None where the body cannot be seen.

    Args:
        message: A request or response of an HTTP library, None where it is gone.
        text: Normalised text.
        request: Whether it is a request. One that is gone, or was streamed, cannot have been quoted from.
    """
    content = content_of(message)
    if not isinstance(content, bytes):
        return False if request or message is None else None
    if len(content) > _SEARCHED:
        return None
    raw = content.decode("utf-8", "replace")
    return any(holds(normalise(piece), text) for piece in pieces(_decoded(raw)))


def body_text(message: object) -> str:
    """Return the body of an HTTP message as text, at most 64 KB; empty where it cannot be seen.

    Args:
        message: A response of an HTTP library, None where it is gone.
    """
    content = content_of(message)
    return content[:_WHOLE].decode("utf-8", "replace") if isinstance(content, bytes) else ""


def _decoded(raw: str) -> str:
    """Undo the escapes of JSON beyond ASCII."""
    if "\\u" in raw:
        with contextlib.suppress(ValueError, RecursionError):
            return json.dumps(json.loads(raw), ensure_ascii=False)
    return raw


def pieces(text: str) -> list[str]:
    """Cut a long text into overlapping pieces: comparing looks at 16,384 characters at a time."""
    return [text] if len(text) <= _PIECE else [text[start : start + _PIECE] for start in range(0, len(text), _STEP)]


def seconds_asked(headers: Mapping[bytes, str]) -> float | None:
    """Return the seconds that a provider asks us to wait, from `retry-after-ms` or `retry-after`.

    Args:
        headers: Of the response, names in lower case.
    """
    if b"retry-after" not in headers and b"retry-after-ms" not in headers:
        return None
    asked = headers.get(b"retry-after")
    found = _seconds(headers.get(b"retry-after-ms"), 1000)
    if found is None:
        found = _seconds(asked, 1)
    if found is None and asked is not None:
        found = _until(asked, headers.get(b"date"))
    return found


def _seconds(text: str | None, unit: int) -> float | None:
    """Return a plain number of seconds; what is no wait, or never ends, is none."""
    try:
        seconds = float(text) / unit if text is not None else -1.0
    except ValueError:
        return None
    return seconds if 0 <= seconds < _FOREVER else None


def _until(date: str, now: object) -> float | None:
    """Return the seconds between an HTTP date and the response's own `Date`."""
    try:
        return max(0.0, (parsedate_to_datetime(date) - parsedate_to_datetime(text_of(now))).total_seconds())
    except (TypeError, ValueError):
        return None
