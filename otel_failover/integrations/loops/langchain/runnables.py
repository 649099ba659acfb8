"""LangChain's fallback loop: one pass of a `RunnableWithFallbacks`.

A pass is `invoke`, `ainvoke`, `stream` or `astream`, or one item of a `batch`. LangChain walks over its runnables and
calls the method of the same name on each; what is wrapped there is that method, on the classes that are met. The error
that leaves in the end is the first candidate's (in a batch, the last one's): a report, and no evidence.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core import context as scope
from otel_failover._core.config import runtime
from otel_failover._core.failsafe import guarded
from otel_failover.integrations import patching
from otel_failover.integrations.loops.langchain.batch import Batch, batch_in, contexts_of, watch_runs
from otel_failover.integrations.loops.langchain.item_call import ItemCall
from otel_failover.integrations.loops.langchain.run import Chunks, Pass, attempt_in_pass, is_model, parts_of
from otel_failover.integrations.loops.shared.held_open import NOTHING
from otel_failover.integrations.loops.shared.wrappers import aaround, around, steps
from otel_failover.integrations.patching import Library, Patch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from otel_failover._core.runs.functions import Opened
    from otel_failover.integrations.loops.shared.held_open import Openable

NAME: Final = "langchain_core"


# --- one pass ---------------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _pass_of(name: str, instance: Any, *_: Any) -> Opened:
    """Return a new pass of a `RunnableWithFallbacks`, with its candidates' method wrapped."""
    if not runtime.current().active:
        return NOTHING
    chain = (instance.runnable, *instance.fallbacks)
    for runnable in chain:
        _watch(runnable, name)
    return Pass(chain, NAME)


def _watch(runnable: Any, name: str) -> None:
    """Wrap a method of a candidate's class, where it is defined."""
    owner = next((each for each in type(runnable).__mro__ if name in vars(each)), None)
    if owner is not None:
        patching.also(NAME, owner, name, _CANDIDATE[name])


# --- one candidate ----------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _call(instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Return what a call of a runnable happens in: an attempt of the pass, or of the item of a batch it is made for."""
    found = attempt_in_pass(instance)
    if found is not None:
        return found[1]
    batch = batch_in()
    if batch is None:
        return NOTHING
    one = batch.attempt_for(_config_in(args, kwargs))
    current = scope.attempt_in()
    if one is None or (current is not None and current.is_within(one[1])):
        return NOTHING
    return ItemCall(batch, instance, *one)


@guarded(fallback=NOTHING)
def _chunks_of(instance: Any, *_: Any) -> Opened:
    """Return the attempt of the pass that lasts as long as a runnable's chunks."""
    found = attempt_in_pass(instance)
    return Chunks(*found) if found is not None else NOTHING


# --- one batch --------------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _batch_of(name: str, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Openable:
    """Return a new batch, a run for each item, with what tells its items apart wrapped."""
    inputs = args[0] if args else kwargs["inputs"]
    if not runtime.current().active or not inputs:
        return NOTHING
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


@guarded(fallback=NOTHING)
def _round_of(instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Openable:
    """Return what a candidate's batch is: its round in the loop, where it is a step of one."""
    batch = batch_in()
    return (batch.round(instance, _config_in(args, kwargs)) if batch is not None else None) or NOTHING


def _ask_batch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `batch` of a runnable's class with an attempt for each item."""
    with _round_of(instance, args, kwargs) as opened:
        return opened.told(wrapped(*args, **kwargs))


async def _ask_abatch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `abatch` of a runnable's class with an attempt for each item."""
    with _round_of(instance, args, kwargs) as opened:
        return opened.told(await wrapped(*args, **kwargs))


_CANDIDATE: Final[dict[str, Callable[..., Any]]] = {
    "invoke": around(_call),
    "ainvoke": aaround(_call),
    "stream": steps(_chunks_of),
    "astream": steps(_chunks_of),
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
        Patch(
            _MODULE,
            f"{_CLASS}.invoke",
            around(partial(_pass_of, "invoke")),
            "one pass of the chain, the same since 0.3",
        ),
        Patch(
            _MODULE, f"{_CLASS}.ainvoke", aaround(partial(_pass_of, "ainvoke")), "one pass of the chain, asynchronous"
        ),
        Patch(
            _MODULE,
            f"{_CLASS}.stream",
            steps(partial(_pass_of, "stream")),
            "one pass of the chain, streamed; `transform` comes by here",
        ),
        Patch(_MODULE, f"{_CLASS}.astream", steps(partial(_pass_of, "astream")), "the same, asynchronous"),
        Patch(
            _MODULE,
            f"{_CLASS}.batch",
            around(partial(_batch_of, "batch")),
            "one pass of the chain for several items; errors are values",
        ),
        Patch(_MODULE, f"{_CLASS}.abatch", aaround(partial(_batch_of, "abatch")), "the same, asynchronous"),
    ),
)
