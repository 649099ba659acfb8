"""One pass of a library's loop: the run that records it, what its adapter remembers, and how the adapter finds it.

A `LibraryRun` always has a `Run`, and never is one. Where the run may be current, as it is by default, its `LibraryRun`
stands beside it in the OpenTelemetry context, and counts only while no other run is current inside it. A library that
asks which span is current, and writes there, must not find ours: then the run is never made current, and its
`LibraryRun` is found in the host's own context by a key of the adapter's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.config import runtime
from otel_failover._core.failsafe import guarded
from otel_failover.integrations.loops.shared.held_open import HeldOpen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.context import Context

    from otel_failover._core.runs.run import Run

MIDWAY: Final = "it failed after output began"
"""Why a loop that has handed something on asks nobody else."""

_CURRENT: Final = context_api.create_key("failover-library-run")


class LibraryRun(HeldOpen):
    """One pass of a library's loop.

    Args:
        run: Its run.
        entries: The library's own objects in its chain, in order; empty where they are not known beforehand.
        key: The adapter's own key, where the run must not be current.
    """

    def __init__(self, run: Run, entries: Sequence[Any] = (), key: str = _CURRENT) -> None:
        self.run, self.entries, self._key = run, tuple(entries), key
        self._inside: Context | None = None
        self.goes_on = True
        self.asked: set[int] = set()
        self.raised: BaseException | None = None
        self.began = False

    # --- its life -----------------------------------------------------------------------------------------------------

    def open_detached(self) -> None:
        """Open the run."""
        self.run.open_detached()

    @property
    def context(self) -> Context | None:
        """The run's context, or the host's own where the run is never current, with this in it."""
        if self._key != _CURRENT:
            return context_api.set_value(self._key, self)
        if self._inside is not None:
            return self._inside
        inside = self.run.context
        made = None if inside is None else context_api.set_value(_CURRENT, self, inside)
        if self.goes_on:
            # Asked for at each step of a generator. Let go of when the run is left: it holds this, and this holds it.
            self._inside = made
        return made

    def leave(self, problem: BaseException | None) -> None:
        """End the run.

        Args:
            problem: The exception that leaves it, if any.
        """
        self.goes_on = False
        self._explain(problem)
        self.raised = self._inside = None
        self.run.leave(problem)

    @guarded(fallback=None)
    def _explain(self, problem: BaseException | None) -> None:
        self.explain(problem)

    def explain(self, problem: BaseException | None) -> None:
        """Record why candidates are left, where the loop has no choice; any other reason of its own is a bypass.

        What has handed on a part of its answer cannot ask somebody else: so it is, unless an adapter knows better.

        Args:
            problem: The exception that leaves the run, if any.
        """
        if self.broke_off(problem) and self.has_untried:
            self.run.stop(MIDWAY)

    # --- its candidates -----------------------------------------------------------------------------------------------

    @property
    def has_untried(self) -> bool:
        """Whether somebody of the chain was not asked."""
        return len(self.asked) < len(self.entries)

    def next_place(self, places: Iterable[int]) -> int | None:
        """Return where somebody stands who is asked now, and count that place as asked.

        One object may stand in a chain twice. Then the first place counts that was not asked yet; once all were, the
        last one, since a library may ask somebody again.

        Args:
            places: Where they stand in the chain, in order.

        Returns:
            The place; None where there is none.
        """
        found = list(places)
        if not found:
            return None
        place = next((each for each in found if each not in self.asked), found[-1])
        self.asked.add(place)
        return place

    def places_of(self, candidate: object) -> list[int]:
        """Return where an object of the library's stands in the chain; objects are compared by identity.

        Args:
            candidate: The object.
        """
        return [place for place, each in enumerate(self.entries) if each is candidate]

    def failed(self, problem: BaseException, began: bool) -> None:
        """Remember the latest candidate's error, until the run is left: if that error leaves it, it has ended the loop.

        Args:
            problem: The error.
            began: Whether output had begun by then.
        """
        self.raised, self.began = problem, began

    def broke_off(self, problem: BaseException | None) -> bool:
        """Whether an exception is the latest candidate's own, raised after its output had begun."""
        return self.began and isinstance(problem, Exception) and problem is self.raised


R = TypeVar("R", bound=LibraryRun)


def run_in_context(kind: type[R], key: str = _CURRENT) -> R | None:
    """Return an adapter's run in this context, whether it goes on or not.

    Args:
        kind: The adapter's kind of run.
        key: The adapter's own key, if it has one.
    """
    found = context_api.get_value(key)
    if not isinstance(found, kind) or (key == _CURRENT and scope.run_in() is not found.run):
        return None
    return found


def current_run(kind: type[R], key: str = _CURRENT) -> R | None:
    """Return an adapter's run in this context, while it goes on and while we are active.

    Args:
        kind: The adapter's kind of run.
        key: The adapter's own key, if it has one.
    """
    found = run_in_context(kind, key)
    return found if found is not None and found.goes_on and runtime.current().active else None


def run_between_attempts(kind: type[R], key: str = _CURRENT) -> R | None:
    """Return an adapter's run in this context, outside any attempt of it: what is asked here is its next candidate.

    Inside an attempt, a model that wraps another, or a method that calls `super()`, asks the same candidate on.

    Args:
        kind: The adapter's kind of run.
        key: The adapter's own key, if it has one.
    """
    found = current_run(kind, key)
    return None if found is None or scope.attempt_of(found.run) is not None else found
