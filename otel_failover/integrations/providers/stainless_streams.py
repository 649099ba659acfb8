"""Streams of the SDKs made by Stainless: what passes through `__stream__`, chunk by chunk.

Every way of making a stream goes through that generator, `.parse()` of a raw response included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.evidence import wire
from otel_failover._core.evidence.error_body import ErrorBody, error_in
from otel_failover._core.evidence.response_content import wordless
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
        """Keep a chunk's text; one that is not where it should be is no text."""
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
        """Called at the end of the stream, with what broke it off, if anything."""
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
