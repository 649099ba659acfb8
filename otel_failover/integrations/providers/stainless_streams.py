"""Streams of the SDKs made by Stainless: what passes through `__stream__`, chunk by chunk.

Every way of making a stream goes through that generator, `.parse()` of a raw response included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.evidence import wire
from otel_failover._core.evidence.answers.content import wordless
from otel_failover._core.evidence.error_body import ErrorBody, error_in
from otel_failover._core.failsafe import guarded, read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from otel_failover._core.runs.call import Call

_NOT_SEEN: Final = "stream_not_seen"


def opened_raw(call: Call, result: object) -> None:
    """Keep a call open for the stream that a raw response may be parsed into; until then nobody sees its events."""
    call.unseen(_NOT_SEEN)
    response = read(result, "http_response")
    if response is not None and wire.streaming.get(response) is call:
        call.stream_opened(response)


def chunks(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `Stream.__stream__`: hand its chunks on, one by one."""
    inner = wrapped(*args, **kwargs)
    call = _call_of(instance)
    return inner if call is None else _Watched(inner, call)


def achunks(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
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

    This is the hottest place of the package: a stream has thousands of chunks, and the SDK spends little on each. So
    nothing here is guarded by `failsafe`, whose wrapper would cost more than what it guards.

    Each kind of event has a class of its own in these SDKs, so the class shows which chunks are worth a look, and where
    their text is.
    """

    __slots__ = ("_call", "_keep")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._keep: Callable[[str], None] | None = None

    def hear(self, chunk: object) -> None:
        """Keep a chunk's text; where that is not where it should be, the chunk may be no answer."""
        keep, text_in = self._keep, _kinds.get(type(chunk))
        if keep is None or text_in is None:
            self._listen(chunk)
            return
        try:
            text = text_in(chunk)
        except Exception:
            self._call.stream_doubted(chunk)
            return
        if text:
            keep(text)

    def _listen(self, chunk: object) -> None:
        """Look at a chunk closely: the stream's first, the first of its class, and one that may be an error."""
        _learn(chunk)
        error = _error_of(chunk)
        self._call.stream_chunk(chunk, error)
        if error is None and _is_odd(chunk):
            self._call.stream_doubted(chunk)
        self._keep = self._call.keeper()

    def end(self, problem: BaseException | None) -> None:
        """Called at the end of the stream, with what broke it off, if anything."""
        self._keep = None
        self._call.stream_ended(problem)


_kinds: Final[dict[type, Callable[[Any], Any] | None]] = {}
"""Where the text of a class of chunks is; None for those that may be errors, as `ResponseErrorEvent`."""

_LOOKED_AT: Final = ("Error", "Failed", "Incomplete")
_USUAL: Final = frozenset({None, "stop", "length", "tool_calls", "function_call", "end_turn", "max_tokens", "tool_use"})
"""How a stream ends, or a part of it, that was neither withheld nor broken off."""


class _OddError(Exception):
    """A chunk is not as usual: it may be an error, or say that the rest is withheld."""


def _learn(chunk: object) -> None:
    """Remember where the text of a class of chunks is; a few dozen classes exist."""
    kind = type(chunk)
    if kind in _kinds:
        return
    delta = read(chunk, "delta")
    if any(part in kind.__name__ for part in _LOOKED_AT):
        _kinds[kind] = None
    elif "choices" in (read(kind, "model_fields") or read(kind, "__fields__") or ()):  # type: ignore[operator]
        _kinds[kind] = _of_texts if kind.__name__ == "Completion" else _of_choices
    elif read(delta, "stop_reason") is not None:
        _kinds[kind] = _of_stop
    else:
        _kinds[kind] = _of_delta if delta is not None else _of_nothing


@guarded(fallback=False)
def _is_odd(chunk: object) -> bool:
    """Whether the first chunk of a class, or of a stream, is not as usual."""
    kind = _kinds.get(type(chunk))
    if kind is None:
        return True
    if kind is _of_stop:
        return read(read(chunk, "delta"), "stop_reason") not in _USUAL
    if kind is _of_choices or kind is _of_texts:
        choices = read(chunk, "choices")
        return not isinstance(choices, list) or not choices or read(choices[0], "finish_reason") not in _USUAL
    return False


def _of_choices(chunk: Any) -> Any:
    choices = chunk.choices
    if choices:
        delta = choices[0].delta
        if delta.content:
            return delta.content
        if choices[0].finish_reason in _USUAL:
            return wordless(delta)
    elif chunk.usage is not None:  # the last one
        return None
    raise _OddError


def _of_texts(chunk: Any) -> Any:
    """Return the text of a completion's chunk, which has no `delta`."""
    choice = chunk.choices[0]
    if not choice.text and choice.finish_reason not in _USUAL:
        raise _OddError
    return choice.text


def _of_delta(chunk: Any) -> Any:
    delta = chunk.delta
    return delta if type(delta) is str else getattr(delta, "text", None) or wordless(delta)


def _of_stop(chunk: Any) -> Any:
    """Return no text: Anthropic's `message_delta` says how the message ended."""
    if chunk.delta.stop_reason not in _USUAL:
        raise _OddError


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
