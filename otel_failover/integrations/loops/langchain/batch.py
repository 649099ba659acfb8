"""One batch of LangChain's: a run for each item, since each item is a request that several candidates may serve.

LangChain asks a candidate for all items at once, in threads or tasks, a sequence even step by step. Whose a call is
shows in its config: the id of the callback run it happens below, which leads up to the item's own.

A batch gives its errors as values where it is asked to. `summarize()` finds the run of one by the call that it came
through: that call's frame holds an `OpenDuringItem`, which knows its item's run.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded, read
from otel_failover.integrations import patching
from otel_failover.integrations.loops.langchain.run import LangChainRun
from otel_failover.integrations.loops.shared.held_open import CurrentAgain, HeldOpen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context

    from otel_failover._core.runs.attempt import Attempt

BATCH: Final = context_api.create_key("failover-langchain-batch")
ENDED_BY_ANOTHER: Final = "another item ended the batch"


class Batch(HeldOpen):
    """One pass of a chain for several items.

    Args:
        chain: The runnables, in order.
        library: Whose loop it is.
        around: The context that each item is asked for in.
    """

    def __init__(self, chain: tuple[Any, ...], library: str, around: Sequence[Context]) -> None:
        self._chain, self._around = chain, around
        self._runs = [LangChainRun(chain, library) for _ in around]
        self._item_of: dict[object, int] = {}
        self._attempts: dict[int, Attempt] = {}
        self.asked: Any = None
        self.run: LangChainRun | None = None
        """That of the item whose error the batch has raised: `summarize()` finds it here."""
        self._last: dict[int, BaseException] = {}

    # --- the whole batch ----------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def open_detached(self) -> None:
        """Open a run for each item, none of them current."""
        for run, context in zip(self._runs, self._around, strict=True):
            with scope.attached(context):
                run.open_detached()

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End each run that is still open, with its item's own last error.

        Args:
            problem: The exception that leaves the batch, if any.
        """
        failed = isinstance(problem, Exception)
        for item, run in enumerate(self._runs):
            last = self._last.get(item)
            if failed and problem is not last and run.has_untried:
                run.run.stop(ENDED_BY_ANOTHER)
            if failed and problem is last:
                self.run = self.run or run
            run.leave(last if last is not None and (failed or problem is None) else problem)

    @property
    def context(self) -> Context:
        """The context in which its calls are made."""
        return context_api.set_value(BATCH, self)

    # --- one candidate, asked for the items that are left -------------------------------------------------------------

    def round(self, runnable: Any, configs: Sequence[Any]) -> OpenDuringRound | None:
        """Return the attempts that one candidate's batch is, for the items that are left; None where it is no step.

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
        return OpenDuringRound(self, runnable, items) if len(items) == len(runs) else None

    def begin(self, runnable: Any, items: Sequence[int]) -> None:
        """Open an attempt for each item that a candidate is asked for."""
        self.asked = runnable
        for item in items:
            attempt = self._runs[item].attempt(runnable)
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
        self._runs[item].leave(None)

    def end(self, item: int, problem: BaseException | None) -> None:
        """End an attempt, unless it has ended."""
        attempt = self._attempts.pop(item, None)
        if attempt is not None:
            attempt.leave(problem)

    def run_of(self, item: int) -> LangChainRun:
        """Return an item's run."""
        return self._runs[item]

    # --- one call within ----------------------------------------------------------------------------------------------

    def note(self, run: object, parent: object) -> None:
        """Remember a callback run below another: it is the same item's.

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


class OpenDuringRound(HeldOpen):
    """One candidate, asked for the items that are left: an attempt for each, for as long as that call lasts.

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

    def returned(self, result: Any) -> Any:
        """End the attempts with what came of each item: an answer, or an exception as a value.

        Args:
            result: One for each item; returned as it is.
        """
        self._settle(result)
        return result

    @guarded(fallback=None)
    def _settle(self, outputs: Sequence[Any]) -> None:
        for item, output in zip(self._items, outputs, strict=False):
            self._batch.settle(item, output)

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End the attempts that are still open, where the batch raised instead of answering for each."""
        self._batch.asked = None
        for item in self._items:
            self._batch.end(item, problem)


class OpenDuringItem(CurrentAgain):
    """A call that is made for one item; where it is the candidate's own, the attempt ends with it.

    Args:
        batch: The batch.
        runnable: What is called.
        item: For which item.
        attempt: The item's attempt, open without being current.
    """

    def __init__(self, batch: Batch, runnable: Any, item: int, attempt: Attempt) -> None:
        super().__init__(attempt)
        self._batch, self._runnable, self._item = batch, runnable, item
        self.run = batch.run_of(item)

    def leave(self, problem: BaseException | None) -> None:
        """End the attempt, where the call was the candidate's own."""
        if self._runnable is self._batch.asked:
            self._batch.end(self._item, problem)


# --- callback runs, which lead from a call up to its item -------------------------------------------------------------


def run_above(config: Any) -> object:
    """Return the id of the callback run that a call happens below.

    Args:
        config: The call's; where it names none, the one that is current counts.
    """
    current = getattr(sys.modules.get("langchain_core.runnables.config"), "var_child_runnable_config", None)
    for each in (config, current.get() if current is not None else None):
        found = read(each.get("callbacks"), "parent_run_id") if isinstance(each, dict) else None
        if found is not None:
            return found
    return None


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
    return found if isinstance(found, Batch) else None


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
