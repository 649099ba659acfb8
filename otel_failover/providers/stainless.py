"""What the SDKs made by Stainless share: openai, anthropic.

Both have `_base_client.{Sync,Async}APIClient.request(cast_to, options, *, stream, stream_cls)`, one logical call with
all its retries inside, and `_streaming.{Stream,AsyncStream}` with `__stream__`, the generator that every way of making
a stream goes through, `.parse()` of a raw response included. Unchanged from openai 1.x to 3.x and anthropic 0.x to 2.x.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover import calls, wire
from otel_failover.bodies import ErrorBody, error_in
from otel_failover.calls import Asked, Call
from otel_failover.evidence import wordless
from otel_failover.failsafe import guarded, read
from otel_failover.patching import Library, Patch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping


class Adapter:
    """One SDK.

    Args:
        name: Of the SDK, its package and its distribution.
        provider: The provider behind its default base URL.
        default_endpoint: Scheme and host of that URL.
        operations: Path endings of inference calls, and their `gen_ai.operation.name`.
        supported: Versions.
        client: Name of its client's class; the asynchronous one has `Async` before it.
        own_spans: Tells whether the SDK makes the call's span by itself, given the client.
    """

    def __init__(
        self,
        name: str,
        provider: str,
        default_endpoint: str,
        operations: Mapping[str, str],
        supported: str,
        client: str,
        own_spans: Callable[[Any], bool] | None = None,
    ) -> None:
        self.name, self._provider, self._default, self._client = name, provider, default_endpoint, client
        self._operations, self._supported, self._own_spans = operations, supported, own_spans

    def library(self) -> Library:
        """Return what is wrapped, and why there."""
        base, client, streaming = (f"{self.name}.{module}" for module in ("_base_client", "_client", "_streaming"))
        one_call = "one logical call: its retries are inside, its exception has not left yet"
        in_front = "the same, where Logfire or OpenInference has put one of its own in front, which calls the base's"
        chunks = "every stream's chunks, however the stream was made"
        return Library(
            self.name,
            self.name,
            self._supported,
            (
                Patch(base, "SyncAPIClient.request", self._request, one_call),
                Patch(base, "AsyncAPIClient.request", self._arequest, one_call),
                Patch(client, f"{self._client}.request", self._request, in_front, shadow=True),
                Patch(client, f"Async{self._client}.request", self._arequest, in_front, shadow=True),
                Patch(streaming, "Stream.__stream__", _chunks, chunks),
                Patch(streaming, "AsyncStream.__stream__", _achunks, chunks),
            ),
        )

    # --- calls --------------------------------------------------------------------------------------------------------

    def _request(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `SyncAPIClient.request`: open, call, settle."""
        call = calls.begin(lambda: self._asked(instance, args, kwargs))
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as problem:
            if call is not None:
                call.raised(problem)
            raise
        _settle(call, result)
        return result

    async def _arequest(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `AsyncAPIClient.request`: open, call, settle."""
        call = calls.begin(lambda: self._asked(instance, args, kwargs))
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as problem:
            if call is not None:
                call.raised(problem)
            raise
        _settle(call, result)
        return result

    def _asked(self, client: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Asked | None:
        """Read what the SDK was asked, from `FinalRequestOptions` and the client."""
        options: Any = args[1] if len(args) > 1 else kwargs["options"]
        body = options.json_data
        model = body.get("model") if isinstance(body, dict) else None
        operation = self._operation(options.url) if options.method.upper() == "POST" else None
        endpoint = wire.endpoint_of(client.base_url)
        return Asked(
            sdk=self.name,
            operation=operation,
            model=model if isinstance(model, str) else "",
            endpoint=endpoint,
            is_default=endpoint == self._default,
            provider=self._provider,
            credential=self._credential(client),
            streamed=bool(kwargs.get("stream")),
            own_spans=calls.is_instrumented_elsewhere(self.name)
            or read(client, "_is_instrumented_by_logfire") is True
            or (self._own_spans is not None and self._own_spans(client)),
            retries=options.get_max_retries(client.max_retries),
        )

    def _operation(self, path: str) -> str | None:
        path = path.split("?", 1)[0].rstrip("/")
        for ending, name in self._operations.items():
            if path.endswith(ending):
                return name
        return None

    @staticmethod
    def _credential(client: Any) -> object:
        """Return the client's key, to tell two keys of one provider apart; compared in memory only."""
        return read(client, "api_key") or read(client, "auth_token")


@guarded(fallback=None)
def _settle(call: Call | None, result: object) -> None:
    """Settle a call with its result; a stream settles when it ends."""
    if call is None:
        return
    if call.asked.streamed:
        if hasattr(type(result), "__stream__"):
            call.stream_opened(result)
        else:
            _opened_raw(call, result)
    elif call.reads_later():
        call.unseen("body_not_seen")
    call.returned(result)


# --- streams ----------------------------------------------------------------------------------------------------------

_NOT_SEEN: Final = "stream_not_seen"


def _opened_raw(call: Call, result: object) -> None:
    """Keep a call open for the stream that a raw response may be parsed into; until then nobody sees its events."""
    call.unseen(_NOT_SEEN)
    response = read(result, "http_response")
    if response is not None and wire.streaming.get(response) is call:
        call.stream_opened(response)


def _chunks(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `Stream.__stream__`: hand its chunks on, one by one."""
    inner = wrapped(*args, **kwargs)
    call = _call_of(instance)
    return inner if call is None else _Watched(inner, call)


def _achunks(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `AsyncStream.__stream__`: hand its chunks on, one by one."""
    inner = wrapped(*args, **kwargs)
    call = _call_of(instance)
    return inner if call is None else _AsyncWatched(inner, call)


@guarded(fallback=None)
def _call_of(stream: Any) -> Call | None:
    """Return the open call whose response a stream reads."""
    call: Call | None = wire.streaming.get(read(stream, "response"))
    if call is None or call.done:
        return None
    if call.ledger is not None and call.ledger.unseen == _NOT_SEEN:
        call.ledger.unseen = None
    return call


class _Ear:
    """Listens to a stream's chunks: of all but the first, and those that may be errors, only the text is kept.

    Each kind of event has a class of its own in these SDKs, so the class tells which chunks are worth a look, and where
    their text is.
    """

    __slots__ = ("_call", "_keep")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._keep: Callable[[str], None] | None = None

    def hear(self, chunk: object) -> None:
        """Take note of a chunk; a text that is not where it should be is no text."""
        keep, text_in = self._keep, _kinds.get(type(chunk))
        if keep is None or text_in is None:
            self._listen(chunk)
            return
        try:
            text = text_in(chunk)
        except Exception:
            return
        if text:
            keep(text)

    def _listen(self, chunk: object) -> None:
        """Look at a chunk closely: the stream's first, the first of its class, and one that may be an error."""
        _learn(chunk)
        self._call.stream_chunk(chunk, _error_of(chunk))
        self._keep = self._call.keeper()

    def end(self, problem: BaseException | None) -> None:
        """Take note of the end."""
        self._keep = None
        self._call.stream_ended(problem)


_kinds: Final[dict[type, Callable[[Any], Any] | None]] = {}
"""Where the text of a class of chunks is; None for those that may be errors, as `ResponseErrorEvent`."""


def _learn(chunk: object) -> None:
    """Remember where the text of a class of chunks is; a few dozen classes exist."""
    kind = type(chunk)
    if kind in _kinds:
        return
    if "Error" in kind.__name__ or "Failed" in kind.__name__:
        _kinds[kind] = None
    elif read(chunk, "choices") is not None:
        _kinds[kind] = _of_choices
    else:
        _kinds[kind] = _of_delta if read(chunk, "delta") is not None else _of_nothing


def _of_choices(chunk: Any) -> Any:
    if not chunk.choices:
        return None
    delta = chunk.choices[0].delta
    return delta.content or wordless(delta)


def _of_delta(chunk: Any) -> Any:
    delta = chunk.delta
    return delta if type(delta) is str else getattr(delta, "text", None) or wordless(delta)


def _of_nothing(_: Any) -> Any:
    return None


class _Watched:
    """The generator behind a stream, with an ear on it: same chunks, same order, same errors."""

    def __init__(self, inner: Any, call: Call) -> None:
        self._inner, self._call, self._ear = inner, call, _Ear(call)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        call = self._call
        call.busy = True
        try:
            chunk = next(self._inner)
        except StopIteration:
            self._ear.end(None)
            raise
        except BaseException as problem:
            self._ear.end(problem)
            raise
        finally:
            call.busy = False
        self._ear.hear(chunk)
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _AsyncWatched:
    """The asynchronous generator behind a stream, with an ear on it."""

    def __init__(self, inner: Any, call: Call) -> None:
        self._inner, self._call, self._ear = inner, call, _Ear(call)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        call = self._call
        call.busy = True
        try:
            chunk = await self._inner.__anext__()
        except StopAsyncIteration:
            self._ear.end(None)
            raise
        except BaseException as problem:
            self._ear.end(problem)
            raise
        finally:
            call.busy = False
        self._ear.hear(chunk)
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@guarded(fallback=None)
def _error_of(chunk: object) -> ErrorBody | None:
    """Return the error that a chunk is: the Responses API's `error` and `response.failed` raise nothing."""
    if _kinds.get(type(chunk)) is not None:
        return None
    if read(chunk, "type") == "error":
        return error_in({"message": read(chunk, "message"), "code": read(chunk, "code")})
    failed = read(read(chunk, "response"), "error")
    return error_in({"message": read(failed, "message"), "code": read(failed, "code")})
