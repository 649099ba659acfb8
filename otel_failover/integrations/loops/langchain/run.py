"""One pass of a chain of LangChain's runnables: its run, and how far its stream got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_failover._core.failsafe import guarded
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.langchain.candidates import candidate_of
from otel_failover.integrations.loops.shared.library_run import MIDWAY, LibraryRun, run_between_attempts
from otel_failover.integrations.loops.shared.wrappers import OpenDuringGenerator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_failover._core.runs.attempt import Attempt


class LangChainRun(LibraryRun):
    """One pass of a chain.

    Args:
        runnables: The chain, in order.
        library: Whose loop it is.
    """

    def __init__(self, runnables: Iterable[Any], library: str) -> None:
        entries = tuple(runnables)
        super().__init__(Run("chat", tuple(map(candidate_of, entries)), library=library), entries)

    def attempt(self, runnable: Any) -> Attempt | None:
        """Return the attempt at a runnable; None where it does not stand in the chain, or the run is over."""
        if not self.goes_on:
            return None
        place = self.next_place(self.places_of(runnable))
        if place is None:
            return None
        self.began = False
        return self.run.attempt_at(place)

    def explain(self, problem: BaseException | None) -> None:
        """Record `stop` once output began: LangChain tries nobody else then, and cannot."""
        if self.began and isinstance(problem, Exception) and self.has_untried:
            self.run.stop(MIDWAY)


class OpenDuringOutput(OpenDuringGenerator):
    """An attempt for as long as its candidate's generator lasts, which shows its run that output began."""

    def __init__(self, run: LangChainRun, attempt: Attempt) -> None:
        super().__init__(attempt)
        self._run = run

    def stream_output(self) -> None:
        """Called for each chunk that was handed on."""
        self._run.began = True
        super().stream_output()


@guarded(fallback=None)
def attempt_in_run(runnable: Any) -> tuple[LangChainRun, Attempt] | None:
    """Return the current run and the attempt that a call is: of a runnable of its chain, outside any attempt of it."""
    run = run_between_attempts(LangChainRun)
    attempt = run.attempt(runnable) if run is not None else None
    return (run, attempt) if run is not None and attempt is not None else None
