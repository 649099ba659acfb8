"""Streams: an attempt ends when its stream does, and holds nothing current while the consumer has a chunk.

One shape for both kinds: an iterator that asks the inner one, notifies its listener, and finishes once, whatever
happens.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded
from otel_failover._core.spans import deferred

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from opentelemetry.context import Context

    class Listener(Protocol):
        """Whoever is notified of what becomes of a stream."""

        def stream_context(self) -> Context | None:
            """Return the context in which the next chunk is made."""

        def stream_output(self) -> None:
            """Take note that a chunk was handed on."""

        def stream_ended(self, problem: BaseException | None = None) -> None:
            """Take note of the end, once."""


class _Ending:
    """Notifies the listener of the end, once.

    Apart from the stream, because the stream's finalizer holds it: a finalizer that held the stream would keep it alive
    for ever.
    """

    __slots__ = ("_listener", "done")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.done = False

    def __call__(self, problem: BaseException | None = None) -> None:
        if not self.done:
            self.done = True
            self._listener.stream_ended(problem)


class _Chunks:
    """What both kinds share: the inner iterator, the listener and the end."""

    def __init__(self, inner: Any, listener: Listener) -> None:
        self._inner, self._listener = inner, listener
        self._ending = _Ending(listener)
        # A consumer may break out of its loop and drop the stream without closing it; no exception, no StopIteration
        # and no `close` is seen then, only the collector. At exit nothing is ended: exporters are shut down by then.
        weakref.finalize(self, deferred.end_when_safe, self._ending).atexit = False

    @guarded(fallback=None)
    def _attach(self) -> scope.Attachment | None:
        context = self._listener.stream_context()
        return scope.Attachment(context) if context is not None else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Chunks(_Chunks):
    """A synchronous stream whose chunks are made inside the attempt."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """Return the next chunk; the attempt is current only while it is made.

        Nothing may be current while the consumer has the chunk: what it does then (another call, a span of its own) is
        no part of this attempt, and it may hand the stream to another thread or task between two chunks.
        """
        attachment = self._attach()
        try:
            chunk = next(self._inner)
        except StopIteration:
            self._ending()
            raise
        except BaseException as problem:
            self._ending(problem)
            raise
        finally:
            if attachment is not None:
                attachment.detach()
        self._listener.stream_output()
        return chunk

    def close(self) -> None:
        """Close the inner iterator, if it can be closed, and end the attempt."""
        try:
            if hasattr(self._inner, "close"):
                self._inner.close()
        finally:
            self._ending()


class AsyncChunks(_Chunks):
    """An asynchronous stream whose chunks are made inside the attempt."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        """Return the next chunk; the attempt is current only while it is made."""
        attachment = self._attach()
        try:
            chunk = await self._inner.__anext__()
        except StopAsyncIteration:
            self._ending()
            raise
        except BaseException as problem:
            self._ending(problem)
            raise
        finally:
            if attachment is not None:
                attachment.detach()
        self._listener.stream_output()
        return chunk

    async def aclose(self) -> None:
        """Close the inner iterator, if it can be closed, and end the attempt."""
        try:
            if hasattr(self._inner, "aclose"):
                await self._inner.aclose()
        finally:
            self._ending()


def wrap_chunks(chunks: Any, listener: Listener) -> Any:
    """Return an iterator over chunks that notifies a listener.

    Args:
        chunks: An iterator or iterable, of either kind.
        listener: Who is notified.

    Returns:
        An iterator of the same kind; what cannot be iterated over comes back as it is.
    """
    if hasattr(chunks, "__aiter__"):
        return AsyncChunks(chunks.__aiter__(), listener)
    try:
        inner = iter(chunks)
    except TypeError:
        listener.stream_ended()
        return chunks
    return Chunks(inner, listener)
