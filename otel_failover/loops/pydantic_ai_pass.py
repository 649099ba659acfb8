"""One pass of a chain of pydantic-ai's models: its run, who stands in it, who was asked, and what is handed over.

A pass is found by the OpenTelemetry context, under a key of its own: its run is never current.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover import identity, runtime, scope
from otel_failover.failsafe import guarded, read
from otel_failover.identity import Candidate
from otel_failover.loops.handing import Answer
from otel_failover.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context

    from otel_failover.attempt import Attempt

NAME: Final = "pydantic_ai"
PASS: Final = context_api.create_key("failover-pydantic-ai")


class Pass:
    """One pass of a chain.

    Args:
        entries: The models, or names of models, in order.
        step: The `ModelRequestContext` of an agent's step; None for a pass of a `FallbackModel`.
    """

    def __init__(self, entries: tuple[Any, ...], step: object = None) -> None:
        self.entries, self.step = entries, step
        self.run = Run("chat", tuple(map(candidate_of, entries)), library=NAME)
        self.over = False
        self._tried: set[int] = set()
        self._raised: BaseException | None = None
        self._began = False
        self._answers: list[Answer] = []
        self._inner: object = None
        self._host: object = None

    def open_aside(self) -> None:
        """Open the run without making it current."""
        self._inner, self._host = _spans_around()
        self.run.open_aside()

    @property
    def context(self) -> Context:
        """The host's own context, by which this pass is found.

        A loop inside a candidate sees the span that would be current without us, where that is ours.
        """
        current = context_api.get_current()
        values: dict[str, object] = {**current, PASS: self}
        if self._inner is not None and _span_in(current) is self._inner:
            values[scope.SPAN] = self._host
        return context_api.Context(values)

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End the run, once what was handed over in it has ended too.

        Args:
            problem: The exception that leaves it, if any.
        """
        self.over = True
        if problem is None and any(not answer.over for answer in self._answers):
            return
        if self._began and isinstance(self._raised, Exception):
            # An agent whose stream has failed cancels what had opened it: that is no cancellation of the user's.
            problem = self._raised
        if isinstance(problem, Exception):
            # Cancelled, and yet an error leaves: the last candidate ran into a deadline of the loop's own.
            self.run._next_step(None)
        if len(self._tried) < len(self.entries):
            self._say_why(problem)
        self._raised = None
        self._answers.clear()
        self.run.leave(problem)

    def _say_why(self, problem: BaseException | None) -> None:
        """Say why the loop ends with candidates left, where it has no choice; an error it does not know is a bypass."""
        if self._began and isinstance(problem, Exception) and problem is self._raised:
            self.run.stop("it failed after output began")

    def attempt(self, model: Any) -> Attempt | None:
        """Return the attempt at a model; None where it does not stand in the chain of a `FallbackModel`."""
        places = list(self._places(model))
        if not places:
            return self.run.attempt(candidate_of(model)) if self.step is not None else None
        index = next((place for place in places if place not in self._tried), places[-1])
        self._tried.add(index)
        self._raised, self._began = None, False
        return self.run.attempt_at(index)

    def _places(self, model: Any) -> Iterator[int]:
        """Yield where a model stands: by object, below what an agent wraps it in, or by the name it was given by."""
        name = read(self.step, "model_id")
        while model is not None:
            yield from (i for i, entry in enumerate(self.entries) if entry is model)
            model = read(model, "wrapped") if self.step is not None else None
        yield from (i for i, entry in enumerate(self.entries) if isinstance(entry, str) and entry == name)

    def failed(self, problem: BaseException) -> None:
        """Remember what the latest candidate raised, until the pass is left: leaving as it is, it ends the loop."""
        self._raised = problem

    def hold(self, attempt: Attempt) -> Answer:
        """Return an attempt that lasts as long as the stream that it will hand over."""
        answer = Answer(attempt, self._ended)
        self._answers.append(answer)
        return answer

    def _ended(self, problem: BaseException | None, began: bool) -> None:
        if problem is not None:
            self._raised, self._began = problem, began
        if self.over:
            self.leave(problem)


def _span_in(context: Context) -> object:
    return context.get(scope.SPAN)


def _spans_around() -> tuple[object, object]:
    """Return the span of the candidate that a pass happens inside of, and the one that is current without us."""
    outer, around = context_api.get_value(PASS), scope.attempt_in()
    if not isinstance(outer, Pass) or around is None or around._run is not outer.run:
        return None, _span_in(context_api.get_current())
    return around._own.span, outer._host


def candidate_of(model: Any) -> Candidate:
    """Return who a model is: a known host's provider before pydantic-ai's word, which names the SDK's for gateways."""
    if isinstance(model, str):
        system, _, name = model.rpartition(":")
        return Candidate(system.removesuffix("-chat").removesuffix("-responses"), name)
    word, said, url = (read(model, each) for each in ("model_name", "system", "base_url"))
    name, system = (each if isinstance(each, str) else "" for each in (word, said))
    if system.startswith("fallback:"):
        return Candidate("fallback", name)
    endpoint = identity.endpoint_of(url) if isinstance(url, str) and url else None
    host = identity.host_of(endpoint) if endpoint else ""
    active = runtime.current()
    known = active.provider_alias(host) or (None if host in active.gateways else identity.provider_of_host(host))
    return Candidate(known or system, name, endpoint)
