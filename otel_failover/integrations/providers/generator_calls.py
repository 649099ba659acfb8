"""Wrappers for SDKs whose calls are plain functions and whose streams are plain generators: google-genai.

A generator sends nothing before its first step, so a stream's call begins where the generator is made, and is current
at each step: the request goes out in the first one. What the host gets is a generator again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs import call as calls
from otel_failover._core.spans import deferred

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Mapping

    from opentelemetry.context import Context

    from otel_failover._core.domain.asked import Asked
    from otel_failover._core.evidence.error_body import ErrorBody
    from otel_failover._core.runs.call import Call

Reader: TypeAlias = "Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Asked]"
"""Reads what was asked from a method's instance, arguments and keyword arguments."""

HOLDS_NO_LOCK: Final = True
"""A stream that is closed below our frames can be ended at once: see `deferred`."""

_NOT_STARTED: Final = "stream_not_started"
_END: Final[Any] = object()


class Usage(NamedTuple):
    """Tokens, under the names that the core reads."""

    input_tokens: object
    output_tokens: object


class Shown(NamedTuple):
    """A response or a chunk, under the names that the core reads."""

    id: object
    model: object = None
    usage: Usage | None = None
    text: str = ""
    candidates: object = None
    prompt_feedback: object = None


class Wrappers:
    """Wrappers of one SDK.

    Args:
        show: Shows a response or a chunk to the core.
        event_error: Returns the error event of a stream that an exception states, None where it states none.
    """

    def __init__(self, show: Callable[[Any], Shown], event_error: Callable[[BaseException], ErrorBody | None]) -> None:
        self._show, self._event_error = show, event_error

    def call(self, reader: Reader) -> Any:
        """Return a wrapper for a function."""

        def around(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            """Open, call, settle."""
            with calls.opened(lambda: reader(instance, args, kwargs)) as call:
                result = wrapped(*args, **kwargs)
                call.returned(self.shown(result))
            return result

        return around

    def acall(self, reader: Reader) -> Any:
        """Return a wrapper for a coroutine function."""

        async def around(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            """Open, call, settle."""
            with calls.opened(lambda: reader(instance, args, kwargs)) as call:
                result = await wrapped(*args, **kwargs)
                call.returned(self.shown(result))
            return result

        return around

    def stream(self, reader: Reader) -> Any:
        """Return a wrapper for a function that returns a generator."""

        def around(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            """Open; the call settles when the generator ends."""
            with calls.opened(lambda: reader(instance, args, kwargs)._replace(streamed=True)) as call:
                context = context_api.get_current()
                inner = wrapped(*args, **kwargs)
                return _kept(inner, call, context, self._steps)

        return around

    def astream(self, reader: Reader) -> Any:
        """Return a wrapper for a coroutine function that returns an asynchronous generator."""

        async def around(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            """Open; the call settles when the generator ends. Some releases send the request before they return it."""
            with calls.opened(lambda: reader(instance, args, kwargs)._replace(streamed=True)) as call:
                context = context_api.get_current()
                with _Busy(call):
                    inner = await wrapped(*args, **kwargs)
                return _kept(inner, call, context, self._asteps)

        return around

    @guarded(fallback=None)
    def shown(self, response: Any) -> Shown | None:
        """Show a response or a chunk to the core."""
        return self._show(response)

    @guarded(fallback=None)
    def _failed(self, call: Call, problem: BaseException) -> None:
        """Settle with what broke the stream off."""
        error = self._event_error(problem)
        if error is not None:
            call.stream_chunk(None, error)
        call.stream_ended(problem)

    @staticmethod
    def _heard(call: Call, shown: Shown | None) -> None:
        """Take note of a chunk; one without a text may say why there is none."""
        call.stream_chunk(shown)
        if shown is not None and not shown.text:
            call.stream_doubted(shown)

    def _steps(self, inner: Iterable[Any], call: Call, context: Context) -> Generator[Any, Any, Any]:
        """Hand the chunks on, one by one; nothing is current while the host has one.

        What is below need not be a generator: another instrumentation may have put an object of its own around it.
        """
        chunks = iter(inner)
        try:
            while True:
                with _Step(call, context):
                    chunk = next(chunks, _END)
                if chunk is _END:
                    break
                self._heard(call, self.shown(chunk))
                yield chunk
        except GeneratorExit:
            # Closed or collected between two chunks. The SDK's own is closed first, as the host's `close` would have
            # done. Ours may be collected anywhere, even inside a lock that ending a span needs, so that the end waits
            # for a safe moment where there is none. A consumer that stops early is no failure of the provider's.
            if hasattr(chunks, "close"):
                chunks.close()
            deferred.end_when_safe(call.stream_ended)
            raise
        except BaseException as problem:
            self._failed(call, problem)
            raise
        call.stream_ended()

    async def _asteps(self, inner: AsyncIterable[Any], call: Call, context: Context) -> AsyncGenerator[Any, Any]:
        """Hand the chunks on, one by one; nothing is current while the host has one."""
        chunks = aiter(inner)
        try:
            while True:
                with _Step(call, context):
                    chunk = await anext(chunks, _END)
                if chunk is _END:
                    break
                self._heard(call, self.shown(chunk))
                yield chunk
        except GeneratorExit:
            # As in `_steps`.
            if hasattr(chunks, "aclose"):
                await chunks.aclose()
            deferred.end_when_safe(call.stream_ended)
            raise
        except BaseException as problem:
            self._failed(call, problem)
            raise
        call.stream_ended()


@guarded(fallback=None)
def _look_alike(steps: Any, inner: Any) -> None:
    steps.__name__, steps.__qualname__ = read(inner, "__name__"), read(inner, "__qualname__")


def _kept(inner: Any, call: Call, context: Context, driven: Callable[[Any, Call, Context], Any]) -> Any:
    """Return our generator, named as the SDK's own, until whose end the call stays open; the SDK's where no call is."""
    if call.ledger is None:
        return inner
    steps = driven(inner, call, context)
    _look_alike(steps, inner)
    call.stream_opened(steps)
    if not call.reads_later():
        call.unseen(_NOT_STARTED)
    call.returned(steps)
    return steps


class _Busy:
    """The SDK is at work: a response that it closes by itself is no end of the stream."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._call.busy = True

    def __exit__(self, *_: object) -> None:
        self._call.busy = False


class _Step(_Busy):
    """One step of a stream: its call is current, and at work."""

    __slots__ = ("_attachment", "_context")

    def __init__(self, call: Call, context: Context) -> None:
        super().__init__(call)
        self._context = context

    def __enter__(self) -> None:
        super().__enter__()
        ledger = self._call.ledger
        if ledger is not None and ledger.unseen == _NOT_STARTED:
            ledger.unseen = None
        self._attachment = scope.Attachment(self._context)

    def __exit__(self, *_: object) -> None:
        self._attachment.detach()
        super().__exit__()
