"""What a streamed answer says of itself, read from the chunks as they pass.

A stream has thousands of events, and the host spends little on each: the first few are taken apart, for the answer's id
and whether output has begun, those that hint at an error, and at the end the last few. The rest is kept as it came, the
last 16 KB of it, and is gone with the stream.
"""

from __future__ import annotations

import json
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.evidence.answers.success import looks_like_error
from otel_failover._core.evidence.dialects import documents, paths
from otel_failover._core.evidence.dialects.answer import Answer, Usage
from otel_failover._core.evidence.dialects.framing import EXCEPTION, Frames, Lines, Objects
from otel_failover._core.failsafe import guarded
from otel_failover._core.text.escapes import compiled, from_base64

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_failover._core.evidence.dialects.framing import Framing
    from otel_failover._core.evidence.error_body import ErrorBody

_FIRST: Final = 64
"""Events at the start that are taken apart until output has begun; a model may think aloud for longer."""
_NAMED_BY: Final = 4
"""Events by which an answer has said its id and model, if it ever does before its end."""
_LAST: Final = 8
_TAIL: Final = 16_384
_OUTPUT: Final = r'"(?:content|text|response|result|delta|partial_json|arguments|generated_text)"\s*:\s*"[^"]'
_DONE: Final = b"[DONE]"
_TEXT: Final = 4_096
_OF_LINES: Final = ("event-stream", "ndjson", "jsonl", "json-lines", "jsonlines", "stream+json", "json-seq")
_UNPACKED: Final = 1_048_576
"""Bytes that one piece of a compressed body is unpacked to at a time."""
_ANY_FRAME: Final = zlib.MAX_WBITS | 32
"""Gzip's or zlib's, whichever it is."""
_GZIP: Final = b"\x1f\x8b"
_NO_MARK: Final = frozenset({paths.GEMINI, paths.INTERACTIONS, paths.REPLICATE, paths.LM_STUDIO})
"""Dialects without a mark of the end: that none came says nothing."""
_WITHIN_FRAMES: Final = frozenset({paths.CONVERSE, paths.INVOKE})
_JSON_LINES: Final = frozenset({paths.OLLAMA, paths.COHERE_1})


class AnswerStream:
    """Reads a streamed answer while the host does, from the raw chunks; keeps none of them.

    Args:
        dialect: Of the request, as `inference_in` names it.
        content_type: Of the answer: it says how events are framed.
        encoding: `content-encoding` of the answer; what cannot be decoded is given up.

    Attributes:
        error: That the stream told instead of an answer, or in the midst of it; known as soon as it has passed.
        has_output: Output has begun; also where nothing can be read, and something came.
        gave_up: What passes cannot be read: neither an error nor the end would be noticed.
    """

    __slots__ = (
        "_answer", "_dialect", "_done", "_framing", "_heard", "_is_read", "_kept", "_last", "_looked", "_unpacker",
        "error", "gave_up", "has_output",
    )  # fmt: skip

    def __init__(self, dialect: str, content_type: str, encoding: str) -> None:
        self._dialect, self._answer = dialect, Answer()
        self.error: ErrorBody | None = None
        self.has_output = self.gave_up = self._done = self._last = False
        self._is_read = True
        self._looked = 0
        self._kept: deque[bytes] = deque()
        self._heard = 0
        self._framing: Framing = _framing_of(dialect, content_type.lower())
        packed = encoding.strip().lower()
        self._unpacker = zlib.decompressobj(_ANY_FRAME) if packed in ("gzip", "x-gzip", "deflate") else None
        if packed not in ("", "identity") and self._unpacker is None:
            self.gave_up = True

    @property
    def answer(self) -> Answer:
        """The answer, as far as it is known."""
        self.finish()
        return self._answer

    @property
    def has_ended(self) -> bool | None:
        """Whether the dialect's own mark of the end came; None where it has none, or it cannot be read."""
        self.finish()
        if self.gave_up:
            return None
        return self._last or (None if self._dialect in _NO_MARK else False)

    def feed(self, chunk: bytes) -> None:
        """Look at a chunk; never raises.

        Args:
            chunk: As it came, before any decompression.
        """
        if self.gave_up:
            self.has_output = self.has_output or bool(chunk)
        elif chunk and not self._feed(chunk):
            # What could be read until now stays; what follows cannot be.
            self.gave_up = self.has_output = True
            self._kept.clear()

    @guarded(fallback=False)
    def _feed(self, chunk: bytes) -> bool:
        try:
            for piece in (chunk,) if self._unpacker is None else self._unpacked(chunk):
                whole = self._framing.whole(piece)
                if whole:
                    self._hear(whole)
        except (ValueError, zlib.error):
            return False
        self._is_read = False
        return True

    def _unpacked(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what a chunk of a compressed body holds; a body may be compressed in several members."""
        while chunk and self._unpacker is not None:
            yield self._unpacker.decompress(chunk, _UNPACKED)
            chunk = self._unpacker.unconsumed_tail
            if self._unpacker.eof:
                rest = self._unpacker.unused_data
                chunk = rest if rest.startswith(_GZIP) else b""
                self._unpacker = zlib.decompressobj(_ANY_FRAME) if chunk else self._unpacker

    def _hear(self, whole: bytes) -> None:
        self._look_at(whole)
        if len(whole) > _TAIL:
            whole = self._framing.tail(whole, _TAIL)
        kept = self._kept
        kept.append(whole)
        self._heard += len(whole)
        while self._heard - len(kept[0]) >= _TAIL:
            self._heard -= len(kept.popleft())

    def _look_at(self, whole: bytes) -> None:
        if self._looked < _FIRST:
            self._look_at_first(whole)
        elif not self.has_output:
            self.has_output = self._shows_output(whole)
        if self.error is None and (b"error" in whole or b"base_resp" in whole or b"xception" in whole):
            self._look_for_error(whole)

    # --- events -------------------------------------------------------------------------------------------------------

    def _look_at_first(self, whole: bytes) -> None:
        for kind, data in self._framing.events(whole):
            if self._looked >= _FIRST:
                if self.has_output:
                    return
                self.has_output = self._shows_output(data)
                continue
            event = self._document(kind, data)
            self._looked += 1
            if event is not None:
                documents.note(self._answer, event)
                self.has_output = self.has_output or documents.has_output(event)
            if self.has_output and self._looked >= _NAMED_BY:
                self._looked = _FIRST

    @staticmethod
    def _shows_output(content: bytes) -> bool:
        return compiled(_OUTPUT).search(content.decode("latin-1")) is not None

    def _look_for_error(self, whole: bytes) -> None:
        """Take apart what may be an error: a model may write the word in every other event."""
        for kind, data in self._framing.events(whole):
            if "rror" in kind or kind.startswith(EXCEPTION) or looks_like_error(data):
                event = self._document(kind, data)
                if event is not None:
                    documents.judge(self._answer, event, is_whole=False)
        self.error = self._answer.error

    @guarded(fallback=None)
    def finish(self) -> None:
        """Look at the last events, at the end of the body; may be called at any time, and more than once."""
        if self._is_read or self.gave_up:
            return
        self._is_read = True
        framing = self._framing
        left = framing.left()
        if left:
            self._look_at(left)
        kept = framing.tail(b"".join((*self._kept, left)), _TAIL)
        events = list(framing.events(kept))[-_LAST:]
        self._look_at_last(events)
        self.error = self._answer.error
        if isinstance(framing, Objects) and self._dialect != paths.GEMINI and events and framing.is_closed:
            self._last = True  # no stream, though one was asked for
        if self.has_output:
            self._answer.empty = False
        elif self._answer.refused or self.error is not None:
            self._answer.empty = True

    def _look_at_last(self, events: list[tuple[str, bytes]]) -> None:
        """Take the last events apart, from the end on, until the answer has said why it ended and what it cost."""
        answer, end = self._answer, Answer()
        for kind, data in reversed(events):
            self._last = self._last or data == _DONE
            event = self._document(kind, data)
            if event is None or not documents.judge(answer, event, is_whole=False):
                continue
            documents.note(end, event, is_first=False)
            self._last = self._last or documents.is_last(event)
            if self._last and end.finish is not None and end.usage.output_tokens is not None:
                break
        answer.id, answer.model = answer.id or end.id, answer.model or end.model
        answer.finish = end.finish or answer.finish
        for name in Usage.__slots__:
            found = getattr(end.usage, name)
            if found is not None:
                setattr(answer.usage, name, found)

    def _document(self, kind: str, data: bytes) -> Mapping[str, Any] | None:
        """Return an event, decoded; None where it says nothing."""
        try:
            found: Any = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, list):
            found = next((each for each in found if isinstance(each, dict)), None)
        if kind.startswith(EXCEPTION):
            said = found.get("message") or found.get("Message") if isinstance(found, dict) else None
            return {"type": "error", "code": kind.removeprefix(EXCEPTION), "message": said or ""}
        if isinstance(self._framing, Frames):
            return _in_frame(kind, found)
        if isinstance(found, dict):
            return {**found, "type": kind} if kind and "type" not in found else found
        text = data[:_TEXT].decode("utf-8", "replace")
        if kind in ("error", "output"):  # Replicate's are texts
            return {"type": kind, "message" if kind == "error" else "text": text}
        return {"type": kind} if kind == "done" else None


def _framing_of(dialect: str, content_type: str) -> Framing:
    """Return how the events of an answer are framed: as it says, else as its dialect has them."""
    if "amazon.eventstream" in content_type:
        return Frames()
    if any(sign in content_type for sign in _OF_LINES):
        return Lines()
    if "json" in content_type:
        return Lines() if dialect in _JSON_LINES else Objects()
    return Frames() if dialect in _WITHIN_FRAMES else Objects() if dialect == paths.GEMINI else Lines()


def _in_frame(kind: str, found: object) -> Mapping[str, Any] | None:
    """Return the event of a frame: Converse's under its type, an invoked model's as that wrote it."""
    if not isinstance(found, dict):
        return None
    packed = found.get("bytes")
    if not isinstance(packed, str):
        return {kind: found}
    try:
        inner = json.loads(from_base64(packed))
    except (ValueError, RecursionError):
        return None
    return inner if isinstance(inner, dict) else None
