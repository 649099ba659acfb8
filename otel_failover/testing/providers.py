"""Local providers: HTTP servers on loopback that answer in the wire formats of OpenAI, Anthropic and Gemini.

They are the one thing this project fakes. The SDKs that talk to them are real, and so are the connections: a
provider that shall break off a stream resets the socket. Nothing here imports an SDK or OpenTelemetry.

    with LocalProvider("openai", Answer.openai_quota(), Answer.ok("Hello")) as provider:
        client = OpenAI(base_url=provider.base_url, api_key="any")
        ...
        assert [served.status for served in provider.log] == [429, 200]

The log is what a trace is compared with: it records what each provider really answered, not what it was
programmed to.
"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from otel_failover.testing import wire_anthropic, wire_gemini, wire_openai
from otel_failover.testing.answers import Answer, AnswerKind
from otel_failover.testing.loopback import (
    Ending,
    LoopbackServer,
    Pause,
    Request,
    Steps,
    http_chunk,
    http_head,
)
from otel_failover.testing.wire_formats import Kind, Reply, Script, WireFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self, Unpack

__all__ = ["Answer", "Kind", "LocalProvider", "LocalProviders", "Served", "ServedEnding"]

ServedEnding = Literal["end", "error", "cut", "truncate", "hang", "dropped"]

_FORMATS: dict[Kind, WireFormat] = {
    "openai": wire_openai,
    "anthropic": wire_anthropic,
    "gemini": wire_gemini,
}
_ECHO = "$echo"
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
            in its details), Gemini's `status`.
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


class LocalProvider:
    """One candidate's endpoint, on a port of its own.

    Args:
        kind: Whose wire format it speaks.
        answers: Given in order, one a request. When they are used up, `default` is given, or the last one
            again, or (with none at all) `Answer.ok()`. A success on a path the provider does not have becomes
            its 404.
        name: What the log calls it; the kind, unless given.
        default: See `answers`.

    Attributes:
        log: What was answered, in the order the requests came in. An entry is there before the client can
            have read a byte of the answer; a stream's is exchanged for a fuller one when it ends.
    """

    def __init__(
        self,
        kind: Kind,
        *answers: Answer,
        name: str | None = None,
        default: Answer | None = None,
    ) -> None:
        if kind not in _FORMATS:
            raise ValueError(f"no wire format is called {kind!r}; there are {', '.join(_FORMATS)}")
        self.kind: Kind = kind
        self.name = name or kind
        self.log: list[Served] = []
        self._default = default
        self._lock = threading.Lock()
        self._server = LoopbackServer(self._handle)
        self.program(*answers)

    @property
    def endpoint(self) -> str:
        """The root of the server; raises RuntimeError before the first start."""
        if self._server.port is None:
            raise RuntimeError(
                f"local provider {self.name!r} has no address yet: call start() or use it in a with statement"
            )
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def base_url(self) -> str:
        """What the provider's SDK takes as `base_url`."""
        return self.endpoint + _FORMATS[self.kind].BASE_PATH

    def program(self, *answers: Answer) -> None:
        """Replace the answers not given yet."""
        with self._lock:
            self._queue = deque(answers)
            self._last: Answer | None = None

    def clear(self) -> None:
        """Empty the log; answers under way still finish, unrecorded."""
        with self._lock:
            self.log.clear()

    def start(self) -> Self:
        """Listen, on the same port as before after a `close`; returns the provider."""
        self._server.start(f"local-provider-{self.name}")
        return self

    def close(self) -> None:
        """Refuse new connections and drop the open ones, hanging ones too."""
        self._server.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalProvider {self.name!r} ({self.kind}), {len(self.log)} served>"

    def _handle(self, request: Request) -> Steps:
        return _Exchange(self, request, self._next_answer()).play()

    def _next_answer(self) -> Answer:
        with self._lock:
            if self._queue:
                self._last = self._queue.popleft()
                return self._last
            return self._default or self._last or Answer.ok()

    def _record(self, entry: Served) -> None:
        with self._lock:
            self.log.append(entry)

    def _exchange(self, old: Served, new: Served) -> None:
        """Put a fuller entry in an entry's place; one that was cleared stays cleared."""
        with self._lock:
            for index in range(len(self.log) - 1, -1, -1):
                if self.log[index] is old:
                    self.log[index] = new
                    return


class _Exchange:
    """One request and its answer: plays the answer, and notes each fact just before it goes out."""

    def __init__(self, provider: LocalProvider, request: Request, answer: Answer) -> None:
        self._provider = provider
        self._request = request
        self._answer = answer
        self._format = _FORMATS[provider.kind]
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
        yield http_head(answer.status, fields) + answer.body
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
        yield http_head(answer.status, fields) + body
        return Ending.KEEP

    def _success(self) -> Steps:
        answer, call = self._answer, self._call
        response_id = answer.response_id or self._format.new_response_id(call)
        reply = Reply(answer.chunks, answer.model or call.model or _DEFAULT_MODEL, response_id)
        if call.streamed:
            return (yield from self._stream(reply))
        body = json.dumps(self._format.whole(call, reply)).encode()
        fields = self._fields("application/json", len(body), self._format.headers(answer))
        self._note_success("ok", fields, reply)
        yield http_head(answer.status, fields) + body
        return Ending.KEEP

    def _stream(self, reply: Reply) -> Steps:
        answer = self._answer
        script = self._format.script(self._call, reply, self._format.fault(answer))
        own = {"cache-control": "no-cache", "transfer-encoding": "chunked"}
        fields = self._fields(
            "text/event-stream; charset=utf-8", None, {**self._format.headers(answer), **own}
        )
        self._note_success("stream", fields, reply)
        try:
            yield http_head(answer.status, fields) + (http_chunk(script.opening) if script.opening else b"")
            for delta in script.deltas:
                yield http_chunk(delta)
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
            yield http_chunk(script.closing) + http_chunk(b"")
            return Ending.KEEP
        if then in ("error", "failed"):
            fault = self._format.fault(self._answer)
            event = script.error if then == "error" else script.failed
            self._note(ending="error", message=fault.message, code=fault.code, text_sent=_text(event))
            yield http_chunk(event) + http_chunk(b"")
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
            self._provider._exchange(self._entry, entry)
        else:
            entry = self._first_entry(facts)
            self._provider._record(entry)
        self._entry = entry

    def _first_entry(self, facts: dict[str, Any]) -> Served:
        request = self._request
        retry = request.headers.get("x-stainless-retry-count", "")
        return Served(
            provider=self._provider.kind,
            name=self._provider.name,
            method=request.method,
            path=request.path,
            headers=request.headers,
            body=request.body,
            started=self._started,
            model=self._call.model,
            retry=int(retry) if retry.isdecimal() else None,
            **facts,
        )


class LocalProviders:
    """Several local providers, started and closed together.

    They are given as they are, or by keyword as what `LocalProvider` takes, under the name the keyword gives:

        with LocalProviders(
            primary=("openai", Answer.openai_quota()),
            backup=("anthropic", Answer.ok()),
        ) as providers:
            providers.primary.base_url, providers[1].base_url, providers["backup"].log

    Raises ValueError when two have the same name.
    """

    def __init__(
        self,
        *providers: LocalProvider | Iterable[LocalProvider],
        **named: tuple[Kind, Unpack[tuple[Answer, ...]]],
    ) -> None:
        given: list[LocalProvider] = []
        for provider in providers:
            given.extend([provider] if isinstance(provider, LocalProvider) else provider)
        given.extend(LocalProvider(kind, *answers, name=name) for name, (kind, *answers) in named.items())
        self._providers: dict[str, LocalProvider] = {}
        for provider in given:
            if provider.name in self._providers:
                raise ValueError(f"two local providers are called {provider.name!r}; give one another name=")
            self._providers[provider.name] = provider
        self._stack = ExitStack()

    @property
    def log(self) -> list[Served]:
        """What all of them answered, by the time the requests came in; a new list each time."""
        return sorted(
            (entry for provider in self for entry in list(provider.log)), key=lambda entry: entry.started
        )

    def clear(self) -> None:
        """Empty every log."""
        for provider in self:
            provider.clear()

    def start(self) -> Self:
        """Start all, or none: if one cannot, those already started are closed again."""
        with ExitStack() as stack:
            for provider in self:
                stack.enter_context(provider)
            self._stack = stack.pop_all()
        return self

    def close(self) -> None:
        """Close all."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[LocalProvider]:
        return iter(list(self._providers.values()))

    def __len__(self) -> int:
        return len(self._providers)

    def __getitem__(self, key: int | str) -> LocalProvider:
        return self._providers[key] if isinstance(key, str) else list(self)[key]

    def __getattr__(self, name: str) -> LocalProvider:
        try:
            return self.__dict__["_providers"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"no local provider is called {name!r}") from None


def _text(body: bytes) -> str:
    """Return the text of what was sent, as far as it is one, within the limit."""
    return body[:_TEXT_LIMIT].decode("utf-8", "replace")
