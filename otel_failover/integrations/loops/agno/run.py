"""One pass of agno's fallback models: its run, who stands in it, and the streams that its candidates give."""

from __future__ import annotations

import inspect
import weakref
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import candidate as identity
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs.functions import aiterate, iterate
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.shared import declared
from otel_failover.integrations.loops.shared.library_run import next_place
from otel_failover.integrations.loops.shared.wrappers import Tried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover._core.domain.candidate import Candidate
    from otel_failover._core.runs.attempt import Attempt

NAME: Final = "agno"
_OUTPUT: Final = "AssistantResponse"
_WORDS: Final = {
    "AwsBedrock": "aws.bedrock",
    "AzureFoundry": "azure.ai.inference",
    "CerebrasOpenAI": "cerebras",
    "IBM": "ibm.watsonx.ai",
    "LMStudio": "lm_studio",
}
"""Providers that agno spells otherwise than anybody else does."""


class Pass(Run):
    """One pass of a chain.

    Args:
        model: The one that is asked first.
        lists: The fallback models, by the errors they are for.
        result: What the agent or team will return; it says from the beginning which model answered. Not kept alive.
    """

    def __init__(self, model: Any, lists: list[list[Any]], result: Any = None) -> None:
        self._result = weakref.ref(result) if result is not None else None
        self._entries = _merged(model, lists)
        self._asked: set[int] = set()
        self._chosen: set[int] | None = None
        super().__init__("chat", tuple(candidate_of(entry[0]) for entry in self._entries), library=NAME)

    def attempt_of(self, model: object) -> Attempt | None:
        """Return the attempt at a model; None where it does not stand in the chain.

        Args:
            model: The object that is asked.
        """
        index = next_place(self._places_of(model), self._asked)
        return None if index is None else self.attempt_at(index)

    def _places_of(self, model: object) -> Iterator[int]:
        yield from (i for i, entry in enumerate(self._entries) if any(each is model for each in entry))

    def chose(self, models: list[Any]) -> None:
        """Take note of the list that agno has chosen for the first error.

        Args:
            models: Its models.
        """
        self._chosen = {place for model in models for place in self._places_of(model)}

    def leave(self, problem: BaseException | None) -> None:
        """End the run; say so where it fails with candidates left that are not for the error.

        Args:
            problem: The exception that leaves it, if any.
        """
        self._say_why(problem)
        self._say_booked()
        super().leave(problem)

    @guarded(fallback=None)
    def _say_why(self, problem: BaseException | None) -> None:
        left = len(self._asked) < len(self._entries)
        if isinstance(problem, Exception) and self._chosen is not None and self._chosen <= self._asked and left:
            self.stop("no other fallback model is for this error")

    @guarded(fallback=None)
    def _say_booked(self) -> None:
        """Take note of whom the result names; agno writes it before anybody is asked, and never again."""
        result = self._result() if self._result is not None else None
        said: tuple[object, object] = (read(result, "model"), read(result, "model_provider"))
        if all(isinstance(each, str) for each in said):
            self.book(i for i, entry in enumerate(self._entries) if any(_booked_as(each) == said for each in entry))


def _booked_as(model: Any) -> tuple[object, object]:
    """Return how an agent's or a team's result names a model."""
    return read(model, "id"), read(model, "provider")


def _merged(model: Any, lists: list[list[Any]]) -> list[list[Any]]:
    """Return the chain, each place with the objects that stand for it: one model may be in several lists, as copies."""
    entries = [[model]]
    for models in lists:
        taken: set[int] = set()
        for each in models:
            same = (i for i in range(1, len(entries)) if i not in taken and _are_same(entries[i][0], each))
            place = next(same, len(entries))
            if place == len(entries):
                entries.append([])
            entries[place].append(each)
            taken.add(place)
    return entries


def _are_same(one: Any, other: Any) -> bool:
    """Whether two objects are one candidate; keys are compared, and go nowhere."""
    return candidate_of(one) == candidate_of(other) and read(one, "api_key") == read(other, "api_key")


def candidate_of(model: Any) -> Candidate:
    """Return who a model is.

    Args:
        model: A model, or its name like `openai:gpt-5.5`.
    """
    if isinstance(model, str):
        return identity.parse(model)
    word, name, called = (read(model, each) for each in ("provider", "name", "id"))
    said = word if isinstance(word, str) else ""
    if name == "OpenAILike":
        # Its provider is what it has inherited from agno's class for OpenAI.
        said = ""
    elif said == f"{name} ({called})":
        said = str(name)
    return declared.candidate(_WORDS.get(said, said), called, model)


class _Listened(Tried):
    """An attempt that hears of its output from the stream's events: agno's first ones come before any request."""

    def stream_output(self) -> None:
        """Do nothing: a step is not output yet."""


class _Watched:
    """A generator of either kind whose events are looked at; else it is the host's."""

    def __init__(self, events: Any, attempt: Attempt) -> None:
        self._events, self._attempt = events, attempt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._events, name)

    def __iter__(self) -> _Watched:
        return self

    def __next__(self) -> Any:
        return self._seen(next(self._events))

    async def __anext__(self) -> Any:
        return self._seen(await self._events.__anext__())

    async def asend(self, value: Any) -> Any:
        """Take the next event, as an asynchronous generator does."""
        return self._seen(await self._events.asend(value))

    def _seen(self, event: Any) -> Any:
        if read(event, "event") == _OUTPUT:
            self._attempt.stream_output()
        return event


def watched(events: Any, attempt: Attempt) -> Any:
    """Return a stream's generator, which works inside an attempt and tells it when output begins.

    Args:
        events: agno's generator of events.
        attempt: The attempt.
    """
    opened = _Listened(attempt)
    seen: Any = _Watched(events, attempt)
    return aiterate(lambda: opened, seen) if inspect.isasyncgen(events) else iterate(lambda: opened, seen)
