"""One pass of google-adk's `FallbackModel`: its run, and who is asked next."""

from __future__ import annotations

from typing import Any, Final

from otel_failover._core.failsafe import read
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.google_adk.candidates import candidate_of
from otel_failover.integrations.loops.shared.library_run import LibraryRun
from otel_failover.integrations.loops.shared.wrappers import OpenDuringGenerator

NAME: Final = "google_adk"


class AdkRun(LibraryRun):
    """One pass of a chain.

    Args:
        model: The `FallbackModel`.
    """

    def __init__(self, model: Any) -> None:
        entries = tuple(model.models)
        made = read(model, "_resolved")
        known = made if isinstance(made, dict) else {}
        chain = [candidate_of(each, known.get(each) if isinstance(each, str) else None) for each in entries]
        super().__init__(Run("chat", chain, library=NAME), entries)
        self.model = model
        self._next: tuple[Any, Any] | None = None

    def expect(self, entry: Any, delegate: Any) -> None:
        """Remember who is asked next.

        Args:
            entry: As it stands in the chain: a model, or a name.
            delegate: The model that was made of it.
        """
        self._next = (entry, delegate)

    def attempt(self, delegate: Any) -> OpenDuringGenerator | None:
        """Return the attempt at a model; None where it is not the one that is asked next."""
        if self._next is None or self._next[1] is not delegate:
            return None
        (entry, _), self._next = self._next, None
        index = self.next_place(self.places_of(entry))
        if index is None:
            return None
        # An error after the first response ends the loop on purpose: `LibraryRun.explain` records that.
        return OpenDuringGenerator(self.run.attempt_at(index, candidate_of(entry, delegate)), self.failed)
