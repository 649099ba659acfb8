"""What is known of an answer: id, model, how it ended, tokens; and whether it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_failover._core.evidence.error_body import ErrorBody


class Usage:
    """Tokens of an answer, under the names that SDKs' objects have.

    Args:
        input_tokens: Of the request; None where the answer does not say.
        output_tokens: Of the answer, thoughts included; None where it does not say.
    """

    __slots__ = ("input_tokens", "output_tokens")

    def __init__(self, input_tokens: int | None = None, output_tokens: int | None = None) -> None:
        self.input_tokens, self.output_tokens = input_tokens, output_tokens


class Answer:
    """What an answer says of itself; `id`, `model` and `usage` are read as an SDK's object is.

    Attributes:
        id: As the answer names itself; None where it does not.
        model: That it names; None where it names none.
        finish: Why it ended, in the dialect's own word; None where it does not say.
        usage: Tokens.
        empty: It holds neither a text nor a tool call; None where that is not known.
        refused: It was withheld, for what it or the prompt holds.
        error: That it is instead; None where it is an answer.
    """

    __slots__ = ("empty", "error", "finish", "id", "model", "refused", "usage")

    def __init__(self) -> None:
        self.id: str | None = None
        self.model: str | None = None
        self.finish: str | None = None
        self.usage = Usage()
        self.empty: bool | None = None
        self.refused = False
        self.error: ErrorBody | None = None
