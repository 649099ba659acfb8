"""One pass of agno's fallback models: its run, and who stands in it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.failsafe import read
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.agno.candidates import candidate_of, merged, named_in_result
from otel_failover.integrations.loops.shared.library_run import LibraryRun

if TYPE_CHECKING:
    from otel_failover._core.runs.attempt import Attempt

NAME: Final = "agno"


class AgnoRun(LibraryRun):
    """One pass of a chain.

    Args:
        model: The one that is asked first.
        lists: The fallback models, by the errors they are for.
        result: What the agent or team will return; it says from the beginning which model answered. Not kept alive.
    """

    def __init__(self, model: Any, lists: list[list[Any]], result: Any = None) -> None:
        entries = merged(model, lists)
        super().__init__(Run("chat", tuple(candidate_of(each[0]) for each in entries), library=NAME), entries)
        self._result = weakref.ref(result) if result is not None else None
        self._chosen: set[int] | None = None

    def attempt(self, model: object) -> Attempt | None:
        """Return the attempt at a model; None where it does not stand in the chain.

        Args:
            model: The object that is asked.
        """
        index = self.next_place(self.places_of(model))
        return None if index is None else self.run.attempt_at(index)

    def places_of(self, candidate: object) -> list[int]:
        """Return where a model stands: several objects may stand for one place."""
        return [i for i, entry in enumerate(self.entries) if any(each is candidate for each in entry)]

    def chose(self, models: list[Any]) -> None:
        """Remember the list that agno has chosen for the first error.

        Args:
            models: Its models.
        """
        self._chosen = {place for model in models for place in self.places_of(model)}

    def explain(self, problem: BaseException | None) -> None:
        """Record `stop` where it fails with the chosen list used up: what is left is not for that error."""
        used_up = self._chosen is not None and self._chosen <= self.asked
        if isinstance(problem, Exception) and used_up and self.has_untried:
            self.run.stop("no other fallback model is for this error")
        self._book()

    def _book(self) -> None:
        """Record whom the result names; agno writes it before anybody is asked, and never again."""
        result = self._result() if self._result is not None else None
        said: tuple[object, object] = (read(result, "model"), read(result, "model_provider"))
        if all(isinstance(each, str) for each in said):
            named = (any(named_in_result(each) == said for each in entry) for entry in self.entries)
            self.run.book(i for i, is_named in enumerate(named) if is_named)
