"""Bodies that the host reads, listened to: same pieces, same order, same errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any

from otel_failover._core.evidence import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_failover._core.runs.by_wire.call import WireCall


def listened(inner: Any, body: Any, *, is_decoded: bool = False) -> Any:
    """Return an iterator over the pieces of a body, with an ear on it where a call by wire waits for them.

    Args:
        inner: The library's own iterator.
        body: The object whose pieces they are.
        is_decoded: The library decodes each piece before we have it.
    """
    call: WireCall | None = wire.bodies.get(body) if wire.bodies else None
    if call is None or call.done or call.busy:
        return inner
    call.touched(is_decoded=is_decoded)
    return _AsyncPieces(inner, call) if hasattr(inner, "__anext__") else _Pieces(inner, call)


def piece_of(body: Any, read: Callable[[], bytes], wanted: int | None, *, is_decoded: bool = False) -> bytes:
    """Return what one reading of a body gives, with an ear on it where a call by wire waits for that.

    Args:
        body: The object that is read.
        read: Reads; another reading stands around it where an iterator of the same body is at work.
        wanted: Bytes that the host wants; None for all that are left.
        is_decoded: The library decodes each piece before we have it.
    """
    call: WireCall | None = wire.bodies.get(body) if wire.bodies else None
    if call is None or call.done or call.busy:
        return read()
    call.touched(is_decoded=is_decoded)
    call.busy = True
    try:
        piece = read()
    except BaseException as problem:
        call.body_ended(problem)
        raise
    finally:
        call.busy = False
    call.hear(piece)
    if wanted is None or (wanted and not piece):
        call.body_ended(None)
    return piece


class _Pieces(Generator[Any, Any, Any]):
    """The generator behind a body; a generator itself, for a host that looks."""

    def __init__(self, inner: Any, call: WireCall) -> None:
        self._inner, self._call = inner, call
        self._is_closed = False

    def __next__(self) -> Any:
        call = self._call
        call.busy = True
        try:
            piece = next(self._inner)
        except StopIteration:
            if not self._is_closed:
                call.body_ended(None)
            raise
        except BaseException as problem:
            call.body_ended(problem)
            raise
        finally:
            call.busy = False
        call.hear(piece)
        return piece

    def send(self, value: Any) -> Any:
        return next(self) if value is None else self._inner.send(value)

    def throw(self, *problem: Any) -> Any:
        return self._inner.throw(*problem)

    def close(self) -> Any:
        self._is_closed = True  # that no piece is left says nothing of the body any more
        return self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _AsyncPieces(AsyncGenerator[Any, Any]):
    """The asynchronous generator behind a body; one itself, for a host that looks."""

    def __init__(self, inner: Any, call: WireCall) -> None:
        self._inner, self._call = inner, call
        self._is_closed = False

    async def __anext__(self) -> Any:
        call = self._call
        call.busy = True
        try:
            piece = await self._inner.__anext__()
        except StopAsyncIteration:
            if not self._is_closed:
                call.body_ended(None)
            raise
        except BaseException as problem:
            call.body_ended(problem)
            raise
        finally:
            call.busy = False
        call.hear(piece)
        return piece

    def asend(self, value: Any) -> Any:
        return self.__anext__() if value is None else self._inner.asend(value)

    def athrow(self, *problem: Any) -> Any:
        return self._inner.athrow(*problem)

    def aclose(self) -> Any:
        self._is_closed = True
        return self._inner.aclose()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
