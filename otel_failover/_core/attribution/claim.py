"""One claim about an error, as it was made."""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

from typing import Any, NamedTuple

from otel_failover._core.domain import reasons


class Claim(NamedTuple):
    """What a span, an exception or a loop says about an error, before it is held against anything.

    Copied out of foreign objects once, since libraries write into exceptions later on (litellm adds other candidates'
    texts to `.message`). Whose the objects are is no part of it: that is found out by identity, as `Bonds`.

    Args:
        type: Class name, or `error.type` as a span has it.
        texts: Messages, unredacted: never exported as they are.
        status: HTTP status.
        codes: Structured codes.
        request_ids: Request ids.
        word: The loop's own word for the reason.
        structured: A provider's structured body is part of it.
        thing: The exception or error object.
        members: The exceptions of a group; of several errors in a list, the texts of those that are none.
        response_id: The response id that a success names.
        conflict: The provider that the same span names for its error, where that cannot be the span's own.
        is_unread: Something was said of which nothing could be read.
    """

    type: str | None = None
    texts: tuple[str, ...] = ()
    status: int | None = None
    codes: frozenset[str] = frozenset()
    request_ids: frozenset[str] = frozenset()
    word: str | None = None
    structured: bool = False
    thing: Any = None
    members: tuple[BaseException | str, ...] = ()
    response_id: str | None = None
    conflict: str | None = None
    is_unread: bool = False

    @property
    def reason(self) -> str | None:
        """The claimed reason in our vocabulary, where we know the word."""
        return reasons.neutral(self.word)


def http_status(value: object) -> int | None:
    """Return an HTTP status, or None: enums and numeric texts are statuses too, booleans and other codes are not.

    Args:
        value: A number, an `HTTPStatus`, the text `"429"`, or anything else.
    """
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
        return int(value)
    return None
