"""One call within a batch of LangChain's: made in the attempt of the item it is for.

A batch gives its errors as values where it is asked to. A summary finds the run of one by the call that it came
through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_failover.integrations.loops.shared.held_open import Current

if TYPE_CHECKING:
    from types import TracebackType

    from otel_failover._core.runs.attempt import Attempt
    from otel_failover._core.runs.run import Run
    from otel_failover.integrations.loops.langchain.batch import Batch


class ItemCall(Current):
    """A call that is made for one item; where it is the candidate's own, the attempt ends with it.

    Args:
        batch: The batch.
        runnable: What is called.
        item: For which item.
        attempt: The item's attempt, open aside.
    """

    def __init__(self, batch: Batch, runnable: Any, item: int, attempt: Attempt) -> None:
        super().__init__(attempt)
        self._batch, self._runnable, self._item = batch, runnable, item
        self.run: Run = batch.pass_of(item)

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, problem, traceback)
        if self._runnable is self._batch.asked:
            self._batch.end(self._item, problem)
