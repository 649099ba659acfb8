"""One pass of a chain of pydantic-ai's models: its run, who was asked, and which streams are handed over.

The run is never current, since pydantic-ai asks which span is: its `PydanticAIRun` is found in the host's own context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.pydantic_ai.candidates import candidate_of
from otel_failover.integrations.loops.shared.library_run import LibraryRun
from otel_failover.integrations.loops.shared.streamed_answer import OpenDuringStream

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_failover._core.runs.attempt import Attempt

NAME: Final = "pydantic_ai"
RUN: Final = context_api.create_key("failover-pydantic-ai")


class PydanticAIRun(LibraryRun):
    """One pass of a chain.

    Args:
        entries: The models, or names of models, in order.
        step: The `ModelRequestContext` of an agent's step; None for a pass of a `FallbackModel`.
    """

    def __init__(self, entries: tuple[Any, ...], step: object = None) -> None:
        super().__init__(Run("chat", tuple(map(candidate_of, entries)), library=NAME), entries, RUN)
        self.step = step
        self._streams: list[OpenDuringStream] = []
        self._around: Attempt | None = None
        self._host: object = None

    def open_detached(self) -> None:
        """Open the run, and remember which span is the host's."""
        outer = context_api.get_value(RUN)
        self._host = context_api.get_current().get(scope.SPAN)
        if isinstance(outer, PydanticAIRun) and (around := scope.attempt_of(outer.run)) is not None:
            self._around, self._host = around, outer._host
        super().open_detached()

    @property
    def context(self) -> Context:
        """The host's own context, with this in it.

        In a loop inside a candidate, the span that is current may be ours, the outer attempt's. pydantic-ai would write
        its winner there, so the inner loop sees the span that would be current without us.
        """
        current = context_api.get_current()
        values: dict[str, object] = {**current, RUN: self}
        if self._around is not None and self._around.owns(current.get(scope.SPAN)):
            values[scope.SPAN] = self._host
        return context_api.Context(values)

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End the run, once the streams that were handed over in it have ended too.

        Args:
            problem: The exception that leaves it, if any.
        """
        self.goes_on = False
        if problem is None and any(not each.over for each in self._streams):
            return
        if self.began and isinstance(self.raised, Exception):
            # An agent whose stream has failed cancels what had opened it: that is no cancellation of the user's.
            problem = self.raised
        if isinstance(problem, Exception):
            # Cancelled, and yet an error leaves: the last candidate ran into a deadline of the loop's own.
            self.run.step()
        self._streams.clear()
        super().leave(problem)

    def attempt(self, model: Any) -> Attempt | None:
        """Return the attempt at a model; None where it does not stand in the chain of a `FallbackModel`."""
        index = self.next_place(self.places_of(model))
        if index is None:
            return self.run.attempt(candidate_of(model)) if self.step is not None else None
        self.raised, self.began = None, False
        return self.run.attempt_at(index)

    def places_of(self, candidate: Any) -> list[int]:
        """Return where a model stands: by object, below what an agent wraps it in, or by the name it was given by."""
        name, found, model = read(self.step, "model_id"), [], candidate
        while model is not None:
            found += super().places_of(model)
            model = read(model, "wrapped") if self.step is not None else None
        return found + [i for i, entry in enumerate(self.entries) if isinstance(entry, str) and entry == name]

    def hold(self, attempt: Attempt) -> OpenDuringStream:
        """Return an attempt that lasts as long as the stream that it will hand over."""
        opened = OpenDuringStream(attempt, self._ended)
        self._streams.append(opened)
        return opened

    def _ended(self, problem: BaseException | None, began: bool) -> None:
        if problem is not None:
            self.failed(problem, began)
        if not self.goes_on:
            self.leave(problem)
