"""What a streamed answer says of itself, read from the chunks as they pass."""

from __future__ import annotations

from otel_failover._core.evidence.dialects.answer import Answer


class AnswerStream:
    """Reads a streamed answer while the host does, from the raw chunks; keeps none of them.

    Args:
        dialect: Of the request, as `inference_in` names it.
        content_type: Of the answer: it says how events are framed.
        encoding: `content-encoding` of the answer; what cannot be decoded is given up.

    Attributes:
        answer: As far as it is known.
        has_output: Output has begun.
        has_ended: The dialect's own mark of the end came; None where it has none, or it cannot be read.
        gave_up: What passes cannot be read: neither an error nor the end would be noticed.
    """

    __slots__ = ("answer", "gave_up", "has_ended", "has_output")

    def __init__(self, dialect: str, content_type: str, encoding: str) -> None:
        del dialect, content_type, encoding  # not looked at yet
        self.answer = Answer()
        self.has_output = False
        self.has_ended: bool | None = None
        self.gave_up = True

    def feed(self, chunk: bytes) -> None:
        """Look at a chunk; never raises.

        Args:
            chunk: As it came, before any decompression.
        """
        self.has_output = self.has_output or bool(chunk)

    def finish(self) -> None:
        """Look at what is left, at the end of the body; may be called more than once."""
