"""LangChain's fallback loop: one pass of a `RunnableWithFallbacks`.

A run is one `invoke`, `ainvoke`, `stream` or `astream`, or one item of a `batch`. LangChain walks over its runnables
and calls the method of the same name on each; what is wrapped there is that method, on the classes that are met. The
error that leaves in the end is the first candidate's (in a batch, the last one's): a report, and no evidence.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded
from otel_failover.integrations.loops.langchain.batch import Batch, OpenDuringItem, batch_in, contexts_of, watch_runs
from otel_failover.integrations.loops.langchain.candidates import is_model, parts_of
from otel_failover.integrations.loops.langchain.run import LangChainRun, OpenDuringOutput, attempt_in_run
from otel_failover.integrations.loops.shared.held_open import NOTHING, HeldOpen
from otel_failover.integrations.loops.shared.methods import wrap_where_defined
from otel_failover.integrations.loops.shared.wrappers import (
    aaround,
    aaround_result,
    around,
    around_result,
    steps,
)
from otel_failover.integrations.patching import Library, Patch
from otel_failover.integrations.seams import ASYNC_GENERATOR, GENERATOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

NAME: Final = "langchain_core"


# --- one pass ---------------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _run_of(name: str, instance: Any, *_: Any) -> HeldOpen:
    """Return a new run of a `RunnableWithFallbacks`, with its candidates' method wrapped."""
    chain = (instance.runnable, *instance.fallbacks)
    for runnable in chain:
        _watch(runnable, name)
    return LangChainRun(chain, NAME)


def _watch(runnable: Any, name: str) -> None:
    wrap_where_defined(NAME, type(runnable), name, _CANDIDATE[name])


# --- one candidate ----------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _call(instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Return what a call of a runnable happens in: an attempt of the run, or of the item of a batch it is made for."""
    found = attempt_in_run(instance)
    if found is not None:
        return found[1]
    batch = batch_in()
    if batch is None:
        return NOTHING
    one = batch.attempt_for(_config_in(args, kwargs))
    current = scope.attempt_in()
    if one is None or (current is not None and current.is_within(one[1])):
        return NOTHING
    return OpenDuringItem(batch, instance, *one)


@guarded(fallback=NOTHING)
def _chunks_of(instance: Any, *_: Any) -> HeldOpen:
    """Return the attempt of the run that lasts as long as a runnable's chunks."""
    found = attempt_in_run(instance)
    return OpenDuringOutput(*found) if found is not None else NOTHING


# --- one batch --------------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _batch_of(name: str, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> HeldOpen:
    """Return a new batch, a run for each item, with what keeps its items apart wrapped."""
    inputs = args[0] if args else kwargs["inputs"]
    if not inputs:
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
def _round_of(instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> HeldOpen:
    """Return what a candidate's batch is: its round in the loop, where it is a step of one."""
    batch = batch_in()
    return (batch.round(instance, _config_in(args, kwargs)) if batch is not None else None) or NOTHING


_CANDIDATE: Final[dict[str, Callable[..., Any]]] = {
    "invoke": around(_call),
    "ainvoke": aaround(_call),
    "stream": steps(_chunks_of),
    "astream": steps(_chunks_of),
    "batch": around_result(_round_of),
    "abatch": aaround_result(_round_of),
}
"""What is wrapped of a candidate's class, by the method that the loop calls: the one of the same name as its own."""

_MODULE: Final = "langchain_core.runnables.fallbacks"
_CLASS: Final = "RunnableWithFallbacks"

LANGCHAIN_CORE: Final = Library(
    NAME,
    "langchain-core",
    ">=0.3",
    (
        Patch(
            _MODULE,
            f"{_CLASS}.invoke",
            around(partial(_run_of, "invoke")),
            "one pass of the chain, the same since 0.3",
            group="invoke",
        ),
        Patch(
            _MODULE,
            f"{_CLASS}.ainvoke",
            aaround(partial(_run_of, "ainvoke")),
            "one pass of the chain, asynchronous",
            group="ainvoke",
        ),
        Patch(
            _MODULE,
            f"{_CLASS}.stream",
            steps(partial(_run_of, "stream")),
            "one pass of the chain, streamed; `transform` comes by here",
            kind=GENERATOR,
            group="stream",
        ),
        Patch(
            _MODULE,
            f"{_CLASS}.astream",
            steps(partial(_run_of, "astream")),
            "the same, asynchronous",
            kind=ASYNC_GENERATOR,
            group="astream",
        ),
        Patch(
            _MODULE,
            f"{_CLASS}.batch",
            around(partial(_batch_of, "batch")),
            "one pass of the chain for several items; errors are values",
            takes="inputs, config",
            group="batch",
        ),
        Patch(
            _MODULE,
            f"{_CLASS}.abatch",
            aaround(partial(_batch_of, "abatch")),
            "the same, asynchronous",
            takes="inputs, config",
            group="abatch",
        ),
    ),
)
