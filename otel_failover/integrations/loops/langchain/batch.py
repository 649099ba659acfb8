"""One batch of LangChain's: a run for each item, since each item is a request that several candidates may serve.

LangChain asks a candidate for all items at once, in threads or tasks, a sequence even step by step. Whose a call is
shows in its config: the id of the callback run it happens below, which leads up to the item's own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.config import runtime
from otel_failover._core.failsafe import guarded, read
from otel_failover.integrations import patching
from otel_failover.integrations.loops.langchain.run import Pass, run_above
from otel_failover.integrations.loops.shared.held_open import Openable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context

    from otel_failover._core.runs.attempt import Attempt

BATCH: Final = context_api.create_key("failover-langchain-batch")
ENDED_BY_ANOTHER: Final = "another item ended the batch"


class Batch(Openable):
    """One pass of a chain for several items.

    Args:
        chain: The runnables, in order.
        library: Whose loop it is.
        around: The context that each item is asked for in.
    """

    def __init__(self, chain: tuple[Any, ...], library: str, around: Sequence[Context]) -> None:
        self._chain, self._around = chain, around
        self._passes = [Pass(chain, library) for _ in around]
        self._item_of: dict[object, int] = {}
        self._attempts: dict[int, Attempt] = {}
        self.asked: Any = None
        self.run: Pass | None = None
        """That of the item whose error the batch has raised."""
        self._last: dict[int, BaseException] = {}

    # --- the whole batch ----------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def open_detached(self) -> None:
        """Open a run for each item, none of them current."""
        for opened, context in zip(self._passes, self._around, strict=True):
            with scope.attached(context):
                opened.open_detached()

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End each run that is still open, with its item's own last error.

        Args:
            problem: The exception that leaves the batch, if any.
        """
        failed = isinstance(problem, Exception)
        for item, opened in enumerate(self._passes):
            last = self._last.get(item)
            if failed and problem is not last and not opened.tried_all:
                opened.stop(ENDED_BY_ANOTHER)
            if failed and problem is last:
                self.run = self.run or opened
            opened.leave(last if last is not None and (failed or problem is None) else problem)

    @property
    def context(self) -> Context:
        """The context in which its calls are made."""
        return context_api.set_value(BATCH, self)

    # --- one candidate, asked for the items that are left -------------------------------------------------------------

    def round(self, runnable: Any, configs: Sequence[Any]) -> Round | None:
        """Return what asking a candidate for the items that are left is; None where this is no step of the loop.

        Args:
            runnable: The candidate.
            configs: One for each of them.
        """
        if self.asked is not None or not any(each is runnable for each in self._chain):
            return None
        runs = [run_above(config) for config in configs]
        if not self._item_of:
            self._item_of.update((run, item) for item, run in enumerate(runs))
        items = [item for run in runs if (item := self._item_of.get(run)) is not None]
        return Round(self, runnable, items) if len(items) == len(runs) else None

    def begin(self, runnable: Any, items: Sequence[int]) -> None:
        """Open an attempt for each item that a candidate is asked for."""
        self.asked = runnable
        for item in items:
            attempt = self._passes[item].next(runnable)
            if attempt is not None:
                self._attempts[item] = attempt
                attempt.open_detached()

    def settle(self, item: int, output: object) -> None:
        """End an attempt with what came of it; an item that was served is over."""
        problem = output if isinstance(output, BaseException) else None
        self.end(item, problem)
        if problem is not None:
            self._last[item] = problem
            return
        self._last.pop(item, None)
        self._passes[item].leave(None)

    def end(self, item: int, problem: BaseException | None) -> None:
        """End an attempt, unless it has ended."""
        attempt = self._attempts.pop(item, None)
        if attempt is not None:
            attempt.leave(problem)

    def pass_of(self, item: int) -> Pass:
        """Return an item's run."""
        return self._passes[item]

    # --- one call within ----------------------------------------------------------------------------------------------

    def note(self, run: object, parent: object) -> None:
        """Take note of a callback run below another: it is the same item's.

        Args:
            run: Its id.
            parent: The other's.
        """
        item = self._item_of.get(parent)
        if item is not None:
            self._item_of[run] = item

    def attempt_for(self, config: Any) -> tuple[int, Attempt] | None:
        """Return the item that a call with a config is made for, and its open attempt."""
        item = self._item_of.get(run_above(config))
        attempt = self._attempts.get(item) if item is not None else None
        return (item, attempt) if item is not None and attempt is not None else None


class Round(Openable):
    """One candidate, asked for the items that are left.

    Args:
        batch: The batch.
        runnable: The candidate.
        items: The items, in order.
    """

    def __init__(self, batch: Batch, runnable: Any, items: Sequence[int]) -> None:
        self._batch, self._runnable, self._items = batch, runnable, items

    @guarded(fallback=None)
    def open_detached(self) -> None:
        """Open an attempt for each item."""
        self._batch.begin(self._runnable, self._items)

    def told(self, outputs: Any) -> Any:
        """End the attempts with what LangChain was told of each: an answer, or an exception as a value.

        Args:
            outputs: One for each item; returned as they are.
        """
        self._settle(outputs)
        return outputs

    @guarded(fallback=None)
    def _settle(self, outputs: Sequence[Any]) -> None:
        for item, output in zip(self._items, outputs, strict=False):
            self._batch.settle(item, output)

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End the attempts that are still open, where the batch raised instead of telling of each."""
        self._batch.asked = None
        for item in self._items:
            self._batch.end(item, problem)


def watch_runs(library: str, *, asynchronous: bool) -> None:
    """Wrap what starts a callback run below another, which leads from a call up to its item.

    Args:
        library: The library's name, for `patching.also`.
        asynchronous: For `abatch`.
    """
    manager = sys.modules["langchain_core.callbacks.manager"]
    owner = manager.AsyncCallbackManager if asynchronous else manager.CallbackManager
    patching.also(library, owner, "on_chain_start", _astarted if asynchronous else _started)


@guarded(fallback=None)
def _note(started: Any) -> None:
    batch = batch_in()
    if batch is not None:
        batch.note(read(started, "run_id"), read(started, "parent_run_id"))


def _started(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap the start of a callback run."""
    started = wrapped(*args, **kwargs)
    _note(started)
    return started


async def _astarted(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap the start of a callback run, in an asynchronous batch."""
    started = await wrapped(*args, **kwargs)
    _note(started)
    return started


def batch_in() -> Batch | None:
    """Return the batch of the current context."""
    found = context_api.get_value(BATCH)
    return found if isinstance(found, Batch) and runtime.current().active else None


def contexts_of(configs: Any, count: int) -> list[Context]:
    """Return the context that each item is asked for in: inside an item of a batch around, its attempt's.

    Args:
        configs: One, one for each item, or None.
        count: How many items.
    """
    outer, here = batch_in(), context_api.get_current()
    if outer is None:
        return [here] * count
    each = configs if isinstance(configs, (list, tuple)) else [configs] * count
    found = (outer.attempt_for(config) for config in each)
    return [(one[1].context if one is not None else None) or here for one in found]
