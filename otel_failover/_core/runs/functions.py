"""Calling a function inside a run or an attempt, whatever kind of function it is, and keeping its kind.

`failover_run` as a decorator, and what adapters wrap. A generator's run or attempt stays open until the generator ends,
and is current only while it works: nothing is current across a `yield`.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded
from otel_failover._core.spans import deferred

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from types import TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

    class Detached(Protocol):
        """What can be open without being current."""

        def open_detached(self) -> None:
            """Open it without making it current."""

        @property
        def context(self) -> Context | None:
            """The context in which its steps are made."""

        def leave(self, problem: BaseException | None) -> None:
            """End what `open_detached` opened."""

    class Opened(Detached, Protocol):
        """A run or an attempt, as it is held open here."""

        def __enter__(self) -> Self:
            """Open it and make it current."""

        def __exit__(
            self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
        ) -> None:
            """End it."""

        def stream_output(self) -> None:
            """Take note that something was handed on."""


_LAYERS: Final = 32
HOLDS_NO_LOCK: Final = True
"""What is closed below our frames can be ended at once: see `deferred`."""


def decorated(fresh: Callable[[], Opened], function: Any) -> Any:
    """Return a function whose every call is a run, of the same kind: what asks `inspect` about it gets the same answer.

    Args:
        fresh: Makes the run of one call.
        function: A function, coroutine function or generator function of either kind.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            opened = fresh()
            with opened:
                return await function(*args, **kwargs)

        return coroutine

    if inspect.isasyncgenfunction(function):
        return functools.wraps(function)(_async_generator(fresh, function))

    if inspect.isgeneratorfunction(function):
        return functools.wraps(function)(_generator(fresh, function))

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        opened = fresh()
        with opened:
            return function(*args, **kwargs)

    return plain


def is_decorated(function: Any) -> bool:
    """Whether each call of a function is a run already, by `failover_run` as a decorator.

    Args:
        function: A function or method, whatever else decorates it on top.
    """
    seen = 0
    while function is not None and seen < _LAYERS:
        if getattr(function, "__globals__", None) is globals():
            return True
        function, seen = getattr(function, "__wrapped__", None), seen + 1
    return False


def iterate(fresh: Callable[[], Opened], inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Return a generator whose every step is made inside a run or an attempt, opened at its first.

    Args:
        fresh: Makes the run or the attempt.
        inner: The host's generator.
    """
    made: Generator[Any, Any, Any] = _generator(fresh, lambda: inner)()
    return made


def aiterate(fresh: Callable[[], Opened], inner: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """Return an asynchronous generator whose every step is made inside a run or an attempt, opened at its first.

    Args:
        fresh: Makes the run or the attempt.
        inner: The host's asynchronous generator.
    """
    made: AsyncGenerator[Any, Any] = _async_generator(fresh, lambda: inner)()
    return made


class Managed:
    """An asynchronous context manager that is entered and left inside a run or an attempt, and used outside it.

    What the host's attaches while it is entered (a span of its own) stays current, as it would without us.

    Args:
        opened: The run or the attempt.
        inner: The host's context manager.
    """

    def __init__(self, opened: Detached, inner: Any) -> None:
        self._opened, self._inner = opened, inner
        self._kept: scope.Attachment | None = None

    async def __aenter__(self) -> Any:
        """Open, and enter the host's."""
        self._opened.open_detached()
        before, inside = context_api.get_current(), self._opened.context
        attachment = scope.Attachment(inside) if inside is not None else None
        try:
            result = await self._inner.__aenter__()
        except BaseException as problem:
            if attachment is not None:
                attachment.detach()
            self._opened.leave(problem)
            raise
        if attachment is not None and inside is not None:
            self._step_out(attachment, before, inside)
        return result

    @guarded(fallback=None)
    def _step_out(self, attachment: scope.Attachment, before: Context, inside: Context) -> None:
        """Stop being current; where the host has attached a context of its own by now, take ours out of it."""
        current = context_api.get_current()
        if current is inside:
            attachment.detach()
            return
        # Detaching now would put back what was current before us, and take the host's own context with it. So ours
        # stays attached until the host has left, and a context is attached on top that has theirs and not ours.
        self._kept = attachment
        ours = {key for key, value in inside.items() if value is not before.get(key)}
        theirs = {key: value for key, value in current.items() if key not in ours or value is not inside[key]}
        context_api.attach(context_api.Context({**{key: before[key] for key in ours if key in before}, **theirs}))

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> Any:
        """Leave the host's, and end."""
        try:
            with scope.attached(self._opened.context):
                swallowed = await self._inner.__aexit__(kind, problem, traceback)
        except BaseException as raised:
            self._opened.leave(raised)
            raise
        finally:
            if self._kept is not None:
                self._kept.detach()
        self._opened.leave(None if swallowed else problem)
        return swallowed


def _end(opened: Opened, problem: BaseException | None) -> None:
    """End what a generator held open."""
    if isinstance(problem, GeneratorExit):
        # Closed by its consumer, or collected; which of them cannot be seen from here, and the collector may have come
        # while this thread held a lock that the end of a span needs.
        deferred.end_when_safe(functools.partial(opened.leave, problem))
    else:
        opened.leave(problem)


def _generator(fresh: Callable[[], Opened], function: Any) -> Any:
    """Return a generator function; `yield from` hands everything through."""

    def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        # Opened at the first step, as the generator's own code starts then: one that is never iterated is no run.
        opened = fresh()
        opened.open_detached()
        try:
            result = yield from _Steps(function(*args, **kwargs), opened)
        except BaseException as problem:
            _end(opened, problem)
            raise
        opened.leave(None)
        return result

    return generator


class _Steps:
    """A generator whose every step is made with the run or the attempt current."""

    def __init__(self, inner: Generator[Any, Any, Any], opened: Opened) -> None:
        self._inner, self._opened = inner, opened

    def __iter__(self) -> _Steps:
        return self

    def __next__(self) -> Any:
        return self._step(next, self._inner)

    def send(self, value: Any) -> Any:
        """Send a value into the generator."""
        return self._step(self._inner.send, value)

    def throw(self, *problem: Any) -> Any:
        """Throw an exception into the generator."""
        return self._step(self._inner.throw, *problem)

    def close(self) -> None:
        """Close the generator."""
        with scope.attached(self._opened.context):
            self._inner.close()

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        with scope.attached(self._opened.context):
            chunk = step(*args)
        self._opened.stream_output()
        return chunk


def _async_generator(fresh: Callable[[], Opened], function: Any) -> Any:
    """Return an asynchronous generator function; there is no `yield from` here, so handing through is spelled out."""

    async def generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        opened, inner = fresh(), function(*args, **kwargs)
        opened.open_detached()
        # `step` is what the inner generator is resumed with: its next value, what the consumer sent, or the exception
        # that the consumer threw. The context is attached for the step only, in the task that drives it; a token that
        # was set in one task cannot be reset in another, and `aclose` may come from any.
        step = inner.__anext__
        try:
            while True:
                with scope.attached(opened.context):
                    chunk = await step()
                opened.stream_output()
                try:
                    sent = yield chunk
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as problem:
                    step = functools.partial(inner.athrow, problem)
                else:
                    step = functools.partial(inner.asend, sent)
        except StopAsyncIteration:
            opened.leave(None)
        except BaseException as problem:
            _end(opened, problem)
            raise

    return generator
