"""LangChain's fallback loop: one pass of a `RunnableWithFallbacks`.

A pass is `invoke`, `ainvoke`, `stream` or `astream`, or one item of a `batch`. LangChain walks over its runnables and
calls the method of the same name on each; what is wrapped there is that method, on the classes that are met. The error
that leaves in the end is the first candidate's (in a batch, the last one's): a report, and no evidence.
"""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from otel_failover import patching, runtime, scope
from otel_failover.decorating import aiterate, iterate
from otel_failover.failsafe import guarded
from otel_failover.loops.langchain_call import ItemCall
from otel_failover.loops.langchain_items import Batch, batch_in, contexts_of, watch_runs
from otel_failover.loops.langchain_pass import Chunks, Pass, attempt_in_pass, is_model, parts_of
from otel_failover.patching import Library, Patch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_failover.loops.langchain_items import Round

NAME: Final = "langchain_core"
_NOTHING: Final = nullcontext()


# --- one pass ---------------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _pass_of(instance: Any, name: str) -> Pass | None:
    """Return a new pass of a `RunnableWithFallbacks`, with its candidates' method wrapped; None while we are off."""
    if not runtime.current().active:
        return None
    chain = (instance.runnable, *instance.fallbacks)
    for runnable in chain:
        _watch(runnable, name)
    return Pass(chain, NAME)


def _watch(runnable: Any, name: str) -> None:
    """Wrap a method of a candidate's class, where it is defined."""
    owner = next((each for each in type(runnable).__mro__ if name in vars(each)), None)
    if owner is not None:
        patching.also(NAME, owner, name, _CANDIDATE[name])


def _invoke(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `RunnableWithFallbacks.invoke` with a run."""
    opened = _pass_of(instance, "invoke")
    if opened is None:
        return wrapped(*args, **kwargs)
    with opened:
        return wrapped(*args, **kwargs)


async def _ainvoke(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `RunnableWithFallbacks.ainvoke` with a run."""
    opened = _pass_of(instance, "ainvoke")
    if opened is None:
        return await wrapped(*args, **kwargs)
    with opened:
        return await wrapped(*args, **kwargs)


def _stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `RunnableWithFallbacks.stream` with a run, which lasts until the stream ends or is dropped."""
    opened = _pass_of(instance, "stream")
    chunks = wrapped(*args, **kwargs)
    return chunks if opened is None else iterate(lambda: opened, chunks)


def _astream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `RunnableWithFallbacks.astream` with a run, which lasts until the stream ends or is dropped."""
    opened = _pass_of(instance, "astream")
    chunks = wrapped(*args, **kwargs)
    return chunks if opened is None else aiterate(lambda: opened, chunks)


# --- one candidate ----------------------------------------------------------------------------------------------------


@guarded(fallback=_NOTHING)
def _call(instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Return what a call of a runnable happens in: an attempt of the pass, or of the item of a batch it is made for."""
    found = attempt_in_pass(instance)
    if found is not None:
        return found[1]
    batch = batch_in()
    if batch is None:
        return _NOTHING
    one = batch.attempt_for(_config_in(args, kwargs))
    current = scope.attempt_in()
    if one is None or one[1] is current or (current is not None and one[1]._order in current._around):
        return _NOTHING
    return ItemCall(batch, instance, *one)


def _ask(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `invoke` of a runnable's class with an attempt, or with the item's in a batch."""
    opened = _call(instance, args, kwargs)
    with opened:
        return wrapped(*args, **kwargs)


async def _aask(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `ainvoke` of a runnable's class with an attempt, or with the item's in a batch."""
    opened = _call(instance, args, kwargs)
    with opened:
        return await wrapped(*args, **kwargs)


@guarded(fallback=None)
def _chunks_of(instance: Any) -> Chunks | None:
    found = attempt_in_pass(instance)
    return Chunks(*found) if found is not None else None


def _ask_stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `stream` of a runnable's class with an attempt, which lasts as long as its chunks."""
    chunks = wrapped(*args, **kwargs)
    opened = _chunks_of(instance) if inspect.isgenerator(chunks) else None
    return chunks if opened is None else iterate(lambda: opened, chunks)


def _ask_astream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `astream` of a runnable's class with an attempt, which lasts as long as its chunks."""
    chunks = wrapped(*args, **kwargs)
    opened = _chunks_of(instance) if inspect.isasyncgen(chunks) else None
    return chunks if opened is None else aiterate(lambda: opened, chunks)


# --- one batch --------------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _batch_of(instance: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Batch | None:
    """Return a new batch, with what tells its items apart wrapped; None where there is nothing to ask for."""
    inputs = args[0] if args else kwargs["inputs"]
    if not runtime.current().active or not inputs:
        return None
    chain = (instance.runnable, *instance.fallbacks)
    for runnable in chain:
        _watch(runnable, name)
        _watch_calls(runnable, "ainvoke" if name == "abatch" else "invoke")
    watch_runs(NAME, asynchronous=name == "abatch")
    return Batch(chain, NAME, contexts_of(_config_in(args, kwargs), len(inputs)))


def _config_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return args[1] if len(args) > 1 else kwargs.get("config")


def _watch_calls(runnable: Any, name: str, depth: int = 8) -> None:
    """Wrap what a batch calls for each item, on a runnable and on what it is made of."""
    _watch(runnable, name)
    if depth and not is_model(runnable):
        for part, _ in parts_of(runnable):
            _watch_calls(part, name, depth - 1)


def _batch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `RunnableWithFallbacks.batch` with a run for each item."""
    opened = _batch_of(instance, "batch", args, kwargs)
    if opened is None:
        return wrapped(*args, **kwargs)
    with opened, opened.current():
        return wrapped(*args, **kwargs)


async def _abatch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `RunnableWithFallbacks.abatch` with a run for each item."""
    opened = _batch_of(instance, "abatch", args, kwargs)
    if opened is None:
        return await wrapped(*args, **kwargs)
    with opened, opened.current():
        return await wrapped(*args, **kwargs)


@guarded(fallback=None)
def _round_of(instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Round | None:
    """Return what a candidate's batch is: its round in the loop, or None where it is no step of one."""
    batch = batch_in()
    return batch.round(instance, _config_in(args, kwargs)) if batch is not None else None


def _ask_batch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `batch` of a runnable's class with an attempt for each item."""
    opened = _round_of(instance, args, kwargs)
    if opened is None:
        return wrapped(*args, **kwargs)
    with opened:
        return opened.told(wrapped(*args, **kwargs))


async def _ask_abatch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `abatch` of a runnable's class with an attempt for each item."""
    opened = _round_of(instance, args, kwargs)
    if opened is None:
        return await wrapped(*args, **kwargs)
    with opened:
        return opened.told(await wrapped(*args, **kwargs))


_CANDIDATE: Final[dict[str, Callable[..., Any]]] = {
    "invoke": _ask,
    "ainvoke": _aask,
    "stream": _ask_stream,
    "astream": _ask_astream,
    "batch": _ask_batch,
    "abatch": _ask_abatch,
}
_MODULE: Final = "langchain_core.runnables.fallbacks"
_CLASS: Final = "RunnableWithFallbacks"

LANGCHAIN_CORE: Final = Library(
    NAME,
    "langchain-core",
    ">=0.3,<2",
    (
        Patch(_MODULE, f"{_CLASS}.invoke", _invoke, "one pass of the chain, the same since 0.3"),
        Patch(_MODULE, f"{_CLASS}.ainvoke", _ainvoke, "one pass of the chain, asynchronous"),
        Patch(_MODULE, f"{_CLASS}.stream", _stream, "one pass of the chain, streamed; `transform` comes by here"),
        Patch(_MODULE, f"{_CLASS}.astream", _astream, "the same, asynchronous"),
        Patch(_MODULE, f"{_CLASS}.batch", _batch, "one pass of the chain for several items; errors are values"),
        Patch(_MODULE, f"{_CLASS}.abatch", _abatch, "the same, asynchronous"),
    ),
)
