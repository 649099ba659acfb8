"""One call by wire: a request that is a whole call, whose answer is looked at while the host reads it.

How it ends, once:

| the answer | the call ends |
|---|---|
| none: the library raised | with what it raised |
| is there when the library returns | then |
| is read later | with the last byte, or with what broke the reading off; by `close`, or the collector |
| tells an error in the midst | then: nothing is answered behind it |
| can be read on, though its reader was cancelled | where it is closed or dropped, or the loop goes on without it |
| is an error whose body is read later | likewise; at the latest with the host's next step, if nobody has read it |

What passes is looked at and not kept, but for an error's body and a short answer that is no stream.
"""

from __future__ import annotations

import time
import weakref
import zlib
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.evidence import wire
from otel_failover._core.evidence.answers.content import WORDLESS
from otel_failover._core.evidence.error_body import content_of
from otel_failover._core.failsafe import guarded, note, read, strict, text_of
from otel_failover._core.runs.call import Call, where_now
from otel_failover._core.spans import deferred

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_failover._core.domain.asked import Asked
    from otel_failover._core.evidence.dialects.answer import Answer
    from otel_failover._core.evidence.dialects.stream import AnswerStream
    from otel_failover._core.evidence.exchange import Exchange
    from otel_failover._core.evidence.ledger import Ledger
    from otel_failover._core.evidence.wire import Body

_ERROR: Final = 400
_WHOLE: Final = 1_048_576
"""Bytes of an answer that are decoded; a longer one says nothing of itself."""
_SHOWN: Final = 65_536
"""Bytes of an error's body that are kept; one more shows that it is longer."""
_PIECE: Final = 2_048
_MARK: Final = 40
"""Bytes at a piece's end in which the mark of an answer's end would stand."""
_FRAMED: Final = ("event-stream", "ndjson", "stream+json", "eventstream", "jsonl")
"""What a content type has in it whose body is a stream of events."""


class WireCall(Call):
    """A request that asks a model, and that no SDK's call claims.

    Args:
        asked: What the request asks.
        dialect: In which it asks.
        is_read_later: The library hands the answer back before its body is read.

    Attributes:
        wire: The request.
        where: Thread and task that sent it.
    """

    __slots__ = (
        "_dialect", "_encoding", "_held", "_interrupted_by", "_is_read_later", "_kind", "_number", "_reader",
        "ended_at", "said", "where", "wire",
    )  # fmt: skip

    def __init__(self, asked: Asked, dialect: str, *, is_read_later: bool) -> None:
        super().__init__(asked)
        self._dialect, self._is_read_later = dialect, is_read_later
        self._kind = self._encoding = ""
        self._number = 0
        self._reader: AnswerStream | None = None
        self._held: bytearray | None = None
        self._interrupted_by: type[BaseException] | None = None
        self.wire: Exchange | None = None
        self.said: Answer | None = None
        self.ended_at: int | None = None
        self.where = where_now()

    @property
    def is_the_attempt(self) -> bool:
        """Whether it is an attempt by itself."""
        return self._is_the_attempt

    # --- the answer came ----------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def came(self, response: Any, body_of: Callable[[Any], Body]) -> None:
        """Take note that the library has handed back an answer; settle, where its body is there.

        Args:
            response: The library's own.
            body_of: Returns what the host reads the body from.
        """
        exchange, ledger = self.wire, self.ledger
        if exchange is None or ledger is None:
            return
        self.refused = exchange.status is not None and exchange.status >= _ERROR
        content, self._kind = content_of(response), _header(response, "content-type")
        if not self._is_read_later or isinstance(content, bytes):
            self._came_whole(content)
            return
        body = body_of(response)
        if body.source is None:
            self._came_whole(b"")
            return
        self._encoding = "" if body.is_decoded else _header(response, "content-encoding").strip().lower()
        if self.refused:
            self._held = bytearray()
            if exchange.response is not None:
                exchange.response.release()  # its connection is the host's to give back, unread as it is
            self._finalizer = weakref.finalize(body.holder, deferred.end_when_safe, self.left_unread)
            self._finalizer.atexit = False
            wire.unread[self] = None
            self._stop_clock()
        else:
            self._listen()
            self.stream_opened(body.holder)
        ledger.stream.untouched = True
        self._number = wire.bodies.add(body.source, body.holder, self)
        self.leave()
        if self._is_the_attempt and self.attempt is not None:
            self.attempt.release()

    def _came_whole(self, content: object) -> None:
        answer: Answer | None = None
        if not self.refused and isinstance(content, bytes) and len(content) <= _WHOLE:
            if self._is_framed():
                self._listen()
                if self._reader is not None:
                    self._reader.feed(content)
                    self._take(is_whole=True)
                answer = self.said
            else:
                answer = self._answer_in(content)
        self.returned(answer)

    def _is_framed(self) -> bool:
        kind = self._kind
        return any(each in kind for each in _FRAMED) or (self.asked.streamed and "json" not in kind)

    def _listen(self) -> None:
        """Choose how the body is looked at: as a stream of events, or as one document at its end."""
        from otel_failover._core.evidence.dialects.stream import AnswerStream  # late: see `opening`

        if self.asked.streamed or self._is_framed():
            self._reader = AnswerStream(self._dialect, self._kind, self._encoding)
        else:
            self._held = bytearray()

    def _answer_in(self, content: bytes) -> Answer:
        from otel_failover._core.evidence.dialects.whole_body import answer_in  # late: see `opening`

        return answer_in(self._dialect, content)

    def _look_at(self, answer: Any, ledger: Ledger) -> None:
        """Take note of what an answer says of itself."""
        if answer is None:
            return
        if answer.model:
            ledger.answer.model = answer.model
        ledger.answer.refused = answer.refused
        if answer.empty is not None:
            ledger.answer.empty = answer.empty
        if answer.error is not None:
            self.refused = True
            if self._reader is None and self.wire is not None:
                self.wire.refused_with(answer.error)
            else:
                ledger.stream.error = answer.error

    # --- while the host reads -----------------------------------------------------------------------------------------

    @property
    def is_untouched(self) -> bool:
        """Whether the host has not begun to read."""
        return self.ledger is not None and self.ledger.stream.untouched

    def touched(self, *, is_decoded: bool = False) -> None:
        """Take note that the host begins to read.

        Args:
            is_decoded: The library decodes each piece before we have it.
        """
        if self._interrupted_by is not None:
            self._reads_on()
        if self.ledger is None or not self.ledger.stream.untouched:
            return
        self.ledger.stream.untouched = False
        if is_decoded and self._encoding:
            self._encoding = ""
            if self._reader is not None:
                self._listen()

    def hear(self, chunk: bytes) -> None:
        """Look at a piece of the body as it passes; the hottest place here, of which nothing may reach the host."""
        if self.done:
            return
        try:
            reader = self._reader
            if reader is None:
                held = self._held
                if held is not None and len(held) <= (_SHOWN if self.refused else _WHOLE):
                    held += chunk
                return
            reader.feed(chunk)
            if reader.has_output and self.ledger is not None:
                self._keep(chunk, self.ledger)
            if reader.error is not None:
                # Nothing is answered behind it. An SDK may raise for it and leave the body open (groq), so that an
                # attempt around would be over before it is closed.
                self.stream_ended()
            elif _ends(chunk) and reader.has_ended:
                # Nor here: who stops reading at the mark may keep the response, and never close it (litellm to 1.107).
                self._take(is_whole=True)
                self.stream_ended()
        except Exception as problem:
            note("runs.by_wire.call.WireCall.hear", problem)
            if strict():
                raise

    def _keep(self, chunk: bytes, ledger: Ledger) -> None:
        """Keep what was handed on, so that a claim may be looked for in it; never what cannot be read."""
        ledger.saw_chunk(WORDLESS if self._encoding else bytes(chunk[:_PIECE]).decode("utf-8", "replace"))

    @guarded(fallback=None)
    def interrupted(self, by: BaseException) -> None:
        """One reading was broken off from outside, and the body was not: the host may read on, as behind a deadline.

        Args:
            by: What was thrown into it. Only its class is kept: its frames hold what is to be collected.
        """
        if self.done or self.ledger is None:
            return
        self._interrupted_by = type(by)
        wire.unread[self] = None
        self._stop_clock()

    @property
    def is_interrupted(self) -> bool:
        """Whether the last reading was broken off, and no other has followed."""
        return self._interrupted_by is not None

    @property
    def is_ours(self) -> bool:
        """Whether the thread and the task that have sent it are the ones that run now."""
        return self.where == where_now()

    def _reads_on(self) -> None:
        self._interrupted_by = self.ended_at = None
        wire.unread.pop(self, None)
        if self._is_the_attempt and self.attempt is not None:
            self.attempt.restart_clock()

    @guarded(fallback=None)
    def body_ended(self, problem: BaseException | None) -> None:
        """The body was read to its end, or what was being read broke off.

        Args:
            problem: What broke it off; None at its end.
        """
        if self.done or self.ledger is None:
            return
        if self._interrupted_by is not None:
            self._reads_on()  # all of it came, or it broke off by itself: what is left of the reading is no matter
        if self.refused and self._reader is None:
            if problem is None and self.wire is not None:
                self._error_was_read(self.wire)
            self.left_unread()
            return
        if problem is None:
            self._take(is_whole=True)
        self.stream_ended(problem)

    def _error_was_read(self, exchange: Exchange) -> None:
        content = _decoded(bytes(self._held or b""), self._encoding)
        if content is not None:
            exchange.read_as(content)
        self._stop_clock()

    def stream_ended(self, problem: BaseException | None = None) -> None:
        """The body ended, broke off, was closed or dropped; nothing is made of what was never asked for."""
        if self.done:
            return
        if self.refused and self._reader is None and not self.streaming:
            self.left_unread()
            return
        by = self._interrupted_by
        if problem is None and by is not None:
            problem = by.__new__(by)
        if self.said is None:
            self._take(is_whole=False)
        super().stream_ended(problem)

    @guarded(fallback=None)
    def _take(self, *, is_whole: bool) -> None:
        """Take over what the answer has said of itself so far.

        Args:
            is_whole: It was read to its end: an end that lacks the dialect's own mark is a stream that was cut.
        """
        ledger, reader = self.ledger, self._reader
        if ledger is None:
            return
        if reader is None:
            content = _decoded(bytes(self._held or b""), self._encoding)
            if not content or len(content) > _WHOLE:
                return
            self.said = self._answer_in(content)
        else:
            reader.finish()
            self.said = reader.answer
            ledger.stream.begun = ledger.stream.begun or reader.has_output
        answer = self.said
        if not is_whole:
            answer.empty = None
        self._look_at(answer, ledger)
        if answer.id:
            ledger.answer.response_ids += (answer.id,)
        if reader is not None and is_whole and reader.has_ended is False and answer.error is None:
            ledger.stream.unfinished, self.refused = True, True

    def _settle(self, problem: BaseException | None, response_id: str | None, result: object) -> None:
        wire.bodies.forget(self._number, self)
        wire.unread.pop(self, None)
        super()._settle(problem, response_id, result)

    # --- an error that nobody reads -----------------------------------------------------------------------------------

    @guarded(fallback=None)
    def left_unread(self) -> None:
        """The host goes on, or has read the error: settle with what is known of it."""
        wire.unread.pop(self, None)
        if self._interrupted_by is not None and self.streaming:
            self.stream_ended()
            return
        if self._finalizer is not None:
            self._finalizer.detach()
        if not self.done:
            self._settle(None, None, None)

    def _stop_clock(self) -> None:
        self.ended_at = time.time_ns()
        if self._is_the_attempt and self.attempt is not None:
            self.attempt.stop_clock()


def _ends(chunk: bytes) -> bool:
    """Whether a piece seems to end with the mark behind which its dialect has nothing; the answer's reader is asked.

    A mark that stands elsewhere, or is split, is noticed with the end of the body.
    """
    end = chunk[-_MARK:]
    return b"[DONE]" in end or b"message_stop" in end


def _header(response: Any, name: str) -> str:
    headers: Any = read(response, "headers")
    found = headers.get(name) if headers is not None else None
    return text_of(found) if found is not None else ""


def _decoded(content: bytes, encoding: str) -> bytes | None:
    """Return a body that passed as it came, decoded; None where it cannot be."""
    if encoding in ("", "identity"):
        return content
    if encoding not in ("gzip", "deflate"):
        return None
    try:
        return zlib.decompressobj(47).decompress(content, _WHOLE)
    except zlib.error:
        return None
