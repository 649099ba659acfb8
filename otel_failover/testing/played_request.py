"""One request to a local provider: the answer that is played, and the log entry that says so."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from otel_failover.testing.answers import Answer
from otel_failover.testing.loopback import Ending, Head, Last, Pause
from otel_failover.testing.wire import anthropic as wire_anthropic
from otel_failover.testing.wire import bedrock as wire_bedrock
from otel_failover.testing.wire import cohere as wire_cohere
from otel_failover.testing.wire import dashscope as wire_dashscope
from otel_failover.testing.wire import gemini as wire_gemini
from otel_failover.testing.wire import ollama as wire_ollama
from otel_failover.testing.wire import openai as wire_openai
from otel_failover.testing.wire import tgi as wire_tgi
from otel_failover.testing.wire.common import Reply
from otel_failover.testing.wire.compatible import mistral as wire_mistral
from otel_failover.testing.wire.compatible import openrouter as wire_openrouter
from otel_failover.testing.wire.compatible import vllm as wire_vllm

if TYPE_CHECKING:
    from otel_failover.testing.answers import AnswerKind
    from otel_failover.testing.loopback import Request, Steps
    from otel_failover.testing.wire.common import Kind, Script, WireFormat

__all__ = ["FORMATS", "Exchange", "Ledger", "Served", "ServedEnding"]

ServedEnding = Literal["end", "error", "cut", "truncate", "hang", "dropped"]

FORMATS: dict[Kind, WireFormat] = {
    "openai": wire_openai,
    "anthropic": wire_anthropic,
    "gemini": wire_gemini,
    "bedrock": wire_bedrock,
    "mistral": wire_mistral,
    "cohere": wire_cohere,
    "ollama": wire_ollama,
    "tgi": wire_tgi,
    "vllm": wire_vllm,
    "openrouter": wire_openrouter,
    "dashscope": wire_dashscope,
}
_ECHO = "$echo"
_FRAMING = frozenset({"content-length", "transfer-encoding"})
_TEXT_LIMIT = 64 * 1024
_DEFAULT_MODEL = "local-model"
# Time for the client to read what was sent: on some systems a reset discards what still waits to be read.
_BEFORE_RESET = 0.01


@dataclass(frozen=True, slots=True)
class Served:
    """One request, and what the provider really did with it.

    Attributes:
        provider: The provider's kind.
        name: The provider's name.
        method: The request's method.
        path: The request's path, without its query.
        headers: The request's header fields, names lowercased.
        body: The request's body.
        started: When the request was complete, in seconds of the monotonic clock.
        kind: What was given: `hang` also stands for a delayed answer whose time never came, `ok` for a
            programmed stream nobody asked to stream, `stream` for a programmed `ok` that was.
        status: The status sent; None where nothing was.
        model: The model the request asked for.
        retry: Which retry of an SDK this is (`x-stainless-retry-count`; 0 is the first try); None for other
            clients.
        message: The error's text, in the envelope or in the stream.
        code: The provider's own code for the error: OpenAI's `code`, Anthropic's `type` (or the `error_code`
            in its details), Gemini's `status`, Bedrock's exception.
        request_id: The request id sent.
        response_id: The response id sent.
        response_model: The model the answer names.
        text_sent: The body of an error or a raw answer, or the data of a stream's error event, up to 64 KB.
        ending: How a stream ended; None while it runs and for all else. `dropped`: the connection went away
            first.
    """

    provider: Kind
    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    started: float
    kind: AnswerKind = "hang"
    status: int | None = None
    model: str | None = None
    retry: int | None = None
    message: str | None = None
    code: str | None = None
    request_id: str | None = None
    response_id: str | None = None
    response_model: str | None = None
    text_sent: str | None = None
    ending: ServedEnding | None = None


class Ledger:
    """The entries of one provider's log; written from the server's thread, read and cleared from any."""

    def __init__(self, kind: Kind, name: str) -> None:
        self.kind = kind
        self.name = name
        self.entries: list[Served] = []
        self._lock = threading.Lock()

    def record(self, entry: Served) -> None:
        """Add an entry."""
        with self._lock:
            self.entries.append(entry)

    def replace(self, old: Served, new: Served) -> None:
        """Put a fuller entry in an entry's place; one that was cleared stays cleared."""
        with self._lock:
            for index in range(len(self.entries) - 1, -1, -1):
                if self.entries[index] is old:
                    self.entries[index] = new
                    return

    def clear(self) -> None:
        """Empty the log."""
        with self._lock:
            self.entries.clear()


class Exchange:
    """One request and its answer: plays the answer, and notes each fact just before it goes out."""

    def __init__(self, ledger: Ledger, request: Request, answer: Answer) -> None:
        self._ledger = ledger
        self._request = request
        self._answer = answer
        self._format = FORMATS[ledger.kind]
        self._call = self._format.read_call(request)
        self._entry: Served | None = None
        self._started = time.monotonic()

    def play(self) -> Steps:
        """Give the answer; every kind leaves one entry in the log."""
        answer = self._answer
        if answer.delay:
            self._note(kind="hang")
            yield Pause(answer.delay)
        if answer.kind == "hang":
            self._note(kind="hang")
            yield Pause(answer.hang_seconds)
            return Ending.CLOSE
        if answer.kind == "reset":
            self._note(kind="reset")
            return Ending.RESET
        if answer.kind == "raw":
            return (yield from self._raw())
        if answer.kind == "error":
            return (yield from self._error(answer))
        if not self._call.operation:
            text = f"Invalid URL ({self._request.method} {self._request.path})"
            return (yield from self._error(Answer.error(404, text)))
        return (yield from self._success())

    def _raw(self) -> Steps:
        answer = self._answer
        fields = self._fields(answer.content_type, len(answer.body), {})
        request_id = fields.get(self._format.REQUEST_ID_HEADER)
        self._note(kind="raw", status=answer.status, request_id=request_id, text_sent=_text(answer.body))
        yield self._head(answer.status, fields, answer.body)
        return Ending.KEEP

    def _error(self, answer: Answer) -> Steps:
        fault = self._format.fault(answer)
        fields = self._fields("application/json", None, self._format.headers(answer))
        request_id = fields.get(self._format.REQUEST_ID_HEADER)
        body = json.dumps(self._format.envelope(fault, request_id)).encode()
        fields.setdefault("content-length", str(len(body)))
        self._note(
            kind="error",
            status=answer.status,
            message=fault.message,
            code=fault.code,
            request_id=request_id,
            text_sent=_text(body),
        )
        yield self._head(answer.status, fields, body)
        return Ending.KEEP

    def _success(self) -> Steps:
        answer, call = self._answer, self._call
        response_id = answer.response_id or self._format.new_response_id(call)
        reply = Reply(answer.chunks, answer.model or call.model or _DEFAULT_MODEL, response_id, answer.withheld)
        if call.streamed:
            return (yield from self._stream(reply))
        body = json.dumps(self._format.whole(call, reply)).encode()
        fields = self._fields("application/json", len(body), self._format.headers(answer))
        self._note_success("ok", fields, reply)
        yield self._head(answer.status, fields, body)
        return Ending.KEEP

    def _stream(self, reply: Reply) -> Steps:
        answer = self._answer
        script = self._format.script(self._call, reply, self._format.fault(answer))
        own = {"cache-control": "no-cache", "transfer-encoding": "chunked"}
        content_type = script.content_type or self._format.STREAM_TYPE
        fields = self._fields(content_type, None, {**self._format.headers(answer), **own})
        self._note_success("stream", fields, reply)
        try:
            yield self._head(answer.status, fields, script.opening)
            for delta in script.deltas:
                yield delta
                if answer.drip:
                    yield Pause(answer.drip)
            return (yield from self._end_stream(script))
        except GeneratorExit:
            if self._entry is not None and self._entry.ending is None:
                self._note(ending="dropped")
            raise

    def _end_stream(self, script: Script) -> Steps:
        then = self._answer.then
        if then == "end":
            self._note(ending="end")
            yield Last(script.closing)
            return Ending.KEEP
        if then in ("error", "failed"):
            fault = self._format.fault(self._answer)
            event = script.error if then == "error" else script.failed
            self._note(ending="error", message=fault.message, code=fault.code, text_sent=_text(event))
            yield Last(event)
            return Ending.KEEP
        if then == "cut":
            self._note(ending="cut")
            yield Pause(_BEFORE_RESET)
            return Ending.RESET
        if then == "truncate":
            self._note(ending="truncate")
            return Ending.CLOSE
        self._note(ending="hang")
        yield Pause(self._answer.hang_seconds)
        return Ending.CLOSE

    def _head(self, status: int, fields: dict[str, str], body: bytes) -> Head:
        """Return the head with the first of the body; a length that was programmed may be a lie, and goes out so."""
        is_framed = _FRAMING.isdisjoint(name for name, _ in self._answer.headers)
        return Head(status, fields, body, is_framed)

    def _fields(self, content_type: str, length: int | None, own: dict[str, str]) -> dict[str, str]:
        """Return the header fields: the provider's own (none for a gateway), then the programmed ones."""
        fields = {"content-type": content_type}
        if length is not None:
            fields["content-length"] = str(length)
        fields.update(own)
        request_id = self._answer.request_id or (self._format.new_request_id() if own else None)
        if request_id is not None:
            fields[self._format.REQUEST_ID_HEADER] = request_id
        for name, value in self._answer.headers:
            sent = self._echo(name) if value == _ECHO else value
            if sent is not None:
                fields[name] = sent
        return fields

    def _echo(self, name: str) -> str | None:
        """Return the request's own field of that name, or its request id, as some gateways send it back."""
        received = self._request.headers
        candidates = (name, "x-client-request-id", "x-request-id")
        return next((received[candidate] for candidate in candidates if candidate in received), None)

    def _note_success(self, kind: AnswerKind, fields: dict[str, str], reply: Reply) -> None:
        # Only what the document carries is noted: a count of tokens names neither a response nor a model.
        named = self._call.names_model
        if named is None:
            named = reply.response_id is not None or self._call.operation in ("embeddings", "models")
        self._note(
            kind=kind,
            status=self._answer.status,
            request_id=fields.get(self._format.REQUEST_ID_HEADER),
            response_id=reply.response_id,
            response_model=reply.model if named else None,
        )

    def _note(self, **facts: Any) -> None:
        """Make the log's entry, or exchange it for one that knows more."""
        if self._entry is not None:
            entry = dataclasses.replace(self._entry, **facts)
            self._ledger.replace(self._entry, entry)
        else:
            entry = self._first_entry(facts)
            self._ledger.record(entry)
        self._entry = entry

    def _first_entry(self, facts: dict[str, Any]) -> Served:
        request = self._request
        retry = request.headers.get("x-stainless-retry-count", "")
        return Served(
            provider=self._ledger.kind,
            name=self._ledger.name,
            method=request.method,
            path=request.path,
            headers=request.headers,
            body=request.body,
            started=self._started,
            model=self._call.model,
            retry=int(retry) if retry.isdecimal() else None,
            **facts,
        )


def _text(body: bytes) -> str:
    """Return the text of what was sent, as far as it is one, within the limit."""
    return body[:_TEXT_LIMIT].decode("utf-8", "replace")
