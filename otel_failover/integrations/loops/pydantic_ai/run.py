"""One pass of a chain of pydantic-ai's models: its run, who stands in it, who was asked, and what is handed over.

A pass is found by the OpenTelemetry context, under a key of its own: its run is never current.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.endpoint import endpoint_of
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.shared.declared_candidate import owner_of
from otel_failover.integrations.loops.shared.library_run import MIDWAY, KeyedPass, next_place
from otel_failover.integrations.loops.shared.streamed_answer import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context

    from otel_failover._core.runs.attempt import Attempt

NAME: Final = "pydantic_ai"
PASS: Final = context_api.create_key("failover-pydantic-ai")


class Pass(KeyedPass):
    """One pass of a chain.

    Args:
        entries: The models, or names of models, in order.
        step: The `ModelRequestContext` of an agent's step; None for a pass of a `FallbackModel`.
    """

    def __init__(self, entries: tuple[Any, ...], step: object = None) -> None:
        self.entries, self.step = entries, step
        super().__init__(PASS, Run("chat", tuple(map(candidate_of, entries)), library=NAME))
        self._raised: BaseException | None = None
        self._began = False
        self._answers: list[Answer] = []
        self._around: Attempt | None = None
        self._host: object = None

    def open_detached(self) -> None:
        """Open the run without making it current."""
        outer = context_api.get_value(PASS)
        self._host = context_api.get_current().get(scope.SPAN)
        if isinstance(outer, Pass) and (around := scope.attempt_of(outer.run)) is not None:
            self._around, self._host = around, outer._host
        super().open_detached()

    @property
    def context(self) -> Context:
        """The host's own context, by which this pass is found.

        A loop inside a candidate sees the span that would be current without us, where that is ours.
        """
        current = context_api.get_current()
        values: dict[str, object] = {**current, PASS: self}
        if self._around is not None and self._around.owns(current.get(scope.SPAN)):
            values[scope.SPAN] = self._host
        return context_api.Context(values)

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End the run, once what was handed over in it has ended too.

        Args:
            problem: The exception that leaves it, if any.
        """
        self.goes_on = False
        if problem is None and any(not answer.over for answer in self._answers):
            return
        if self._began and isinstance(self._raised, Exception):
            # An agent whose stream has failed cancels what had opened it: that is no cancellation of the user's.
            problem = self._raised
        if isinstance(problem, Exception):
            # Cancelled, and yet an error leaves: the last candidate ran into a deadline of the loop's own.
            self.run.step()
        if len(self.asked) < len(self.entries):
            self._say_why(problem)
        self._raised = None
        self._answers.clear()
        super().leave(problem)

    def _say_why(self, problem: BaseException | None) -> None:
        """Say why the loop ends with candidates left, where it has no choice; an error it does not know is a bypass."""
        if self._began and isinstance(problem, Exception) and problem is self._raised:
            self.run.stop(MIDWAY)

    def attempt(self, model: Any) -> Attempt | None:
        """Return the attempt at a model; None where it does not stand in the chain of a `FallbackModel`."""
        index = next_place(self._places(model), self.asked)
        if index is None:
            return self.run.attempt(candidate_of(model)) if self.step is not None else None
        self._raised, self._began = None, False
        return self.run.attempt_at(index)

    def _places(self, model: Any) -> Iterator[int]:
        """Yield where a model stands: by object, below what an agent wraps it in, or by the name it was given by."""
        name = read(self.step, "model_id")
        while model is not None:
            yield from (i for i, entry in enumerate(self.entries) if entry is model)
            model = read(model, "wrapped") if self.step is not None else None
        yield from (i for i, entry in enumerate(self.entries) if isinstance(entry, str) and entry == name)

    def failed(self, problem: BaseException, began: bool) -> None:
        """Remember what the latest candidate raised, until the pass is left: leaving as it is, it ends the loop.

        Args:
            problem: The error.
            began: Whether output had begun by then.
        """
        self._raised, self._began = problem, began

    def hold(self, attempt: Attempt) -> Answer:
        """Return an attempt that lasts as long as the stream that it will hand over."""
        answer = Answer(attempt, self._ended)
        self._answers.append(answer)
        return answer

    def _ended(self, problem: BaseException | None, began: bool) -> None:
        if problem is not None:
            self.failed(problem, began)
        if not self.goes_on:
            self.leave(problem)


def candidate_of(model: Any) -> Candidate:
    """Return who a model is: a known host's provider before pydantic-ai's word, which names the SDK's for gateways."""
    if isinstance(model, str):
        system, _, name = model.rpartition(":")
        return Candidate(system.removesuffix("-chat").removesuffix("-responses"), name)
    word, said, url = (read(model, each) for each in ("model_name", "system", "base_url"))
    name, system = (each if isinstance(each, str) else "" for each in (word, said))
    if system.startswith("fallback:"):
        return Candidate("fallback", name)
    endpoint = endpoint_of(url) if isinstance(url, str) and url else None
    return Candidate(owner_of(endpoint) or system, name, endpoint)
