"""One claim about an error, as it was made."""

from __future__ import annotations

from typing import Any, NamedTuple

from otel_failover._core.domain import reasons


class Said(NamedTuple):
    """One claim as it was made, before it is held against anything.

    Args:
        type: Class name, or `error.type` as a span has it.
        texts: Messages, unredacted: never exported as they are.
        status: HTTP status.
        codes: Structured codes.
        request_ids: Request ids.
        word: The loop's own word for the reason.
        structured: A provider's structured body is part of it.
        thing: The exception or error object.
        members: The exceptions of a group.
        response_id: The response id that a success names.
        conflict: The provider that the same span names for its error.
    """

    type: str | None = None
    texts: tuple[str, ...] = ()
    status: int | None = None
    codes: frozenset[str] = frozenset()
    request_ids: frozenset[str] = frozenset()
    word: str | None = None
    structured: bool = False
    thing: Any = None
    members: tuple[BaseException, ...] = ()
    response_id: str | None = None
    conflict: str | None = None

    @property
    def reason(self) -> str | None:
        """The claimed reason in our vocabulary, where we know the word."""
        return reasons.neutral(self.word)
