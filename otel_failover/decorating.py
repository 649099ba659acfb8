"""`failover_run` as a decorator: each call is a run of its own, and the function keeps its kind.

A generator's run stays open until the generator ends, and is current only while it works.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from otel_failover import scope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from otel_failover.run import Run


def decorated(fresh: Callable[[], Run], function: Any) -> Any:
    """Return a function whose every call is a run, of the same kind: what asks `inspect` about it gets the same answer.

    Args:
        fresh: Makes the run of one call.
        function: A function, coroutine function or generator function of either kind.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with fresh():
                return await function(*args, **kwargs)

        return coroutine

    if inspect.isasyncgenfunction(function):
        return functools.wraps(function)(_async_generator(fresh, function))

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            run = fresh()
            run.open_aside()
            try:
                result = yield from _Steps(function(*args, **kwargs), run)
            except BaseException as problem:
                run.leave(problem)
                raise
            run.leave(None)
            return result

        return generator

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        with fresh():
            return function(*args, **kwargs)

    return plain


class _Steps:
    """A generator whose every step is made with the run current; `yield from` hands everything through."""

    def __init__(self, inner: Generator[Any, Any, Any], run: Run) -> None:
        self._inner, self._run = inner, run

    def __iter__(self) -> _Steps:
        return self

    def __next__(self) -> Any:
        with scope.attached(self._run.context):
            return next(self._inner)

    def send(self, value: Any) -> Any:
        """Send a value into the generator."""
        with scope.attached(self._run.context):
            return self._inner.send(value)

    def throw(self, *problem: Any) -> Any:
        """Throw an exception into the generator."""
        with scope.attached(self._run.context):
            return self._inner.throw(*problem)

    def close(self) -> None:
        """Close the generator."""
        with scope.attached(self._run.context):
            self._inner.close()


def _async_generator(fresh: Callable[[], Run], function: Any) -> Any:
    """Return an asynchronous generator function; there is no `yield from` here, so handing through is spelled out."""

    async def generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        run, inner = fresh(), function(*args, **kwargs)
        run.open_aside()
        step = inner.__anext__
        try:
            while True:
                with scope.attached(run.context):
                    chunk = await step()
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
            run.leave(None)
        except BaseException as problem:
            run.leave(problem)
            raise

    return generator
