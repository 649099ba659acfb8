"""One pass of a library's loop: where an adapter finds it in the context, and who of its chain is asked next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.config import runtime
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.shared.held_open import Openable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.context import Context

MIDWAY: Final = "it failed after output began"
"""Why a loop that has handed something on asks nobody else."""


class Passing(Protocol):
    """One pass of a library's loop."""

    @property
    def run(self) -> Run:
        """Its run."""

    @property
    def goes_on(self) -> bool:
        """Whether it may still ask somebody."""


P = TypeVar("P", bound="Passing | Run")


def pass_in(kind: type[P], key: str = scope.RUN) -> P | None:
    """Return an adapter's pass in this context, while it goes on and while we are active.

    Args:
        kind: The adapter's kind of pass; where it is a run, the current run is sought.
        key: Where else it stands.
    """
    found = context_api.get_value(key)
    return found if isinstance(found, kind) and found.goes_on and runtime.current().active else None


def asking(kind: type[P], key: str = scope.RUN) -> P | None:
    """Return an adapter's pass in this context, outside any attempt of it: what is asked here is its candidate.

    Inside an attempt, a model that wraps another or calls `super()` asks the same candidate on.

    Args:
        kind: The adapter's kind of pass.
        key: Where it stands.
    """
    found = pass_in(kind, key)
    if found is None or scope.attempt_of(found if isinstance(found, Run) else found.run) is not None:
        return None
    return found


class KeyedPass(Openable):
    """One pass of a loop, found in the context by a key of the adapter's own.

    Args:
        key: The key.
        run: Its run.
    """

    def __init__(self, key: str, run: Run) -> None:
        self._key, self.run, self.goes_on = key, run, True
        self.asked: set[int] = set()

    def open_detached(self) -> None:
        """Open the run."""
        self.run.open_detached()

    @property
    def context(self) -> Context | None:
        """The run's context, by which this pass is found."""
        inside = self.run.context
        return None if inside is None else context_api.set_value(self._key, self, inside)

    def leave(self, problem: BaseException | None) -> None:
        """End the run.

        Args:
            problem: The exception that leaves it, if any.
        """
        self.goes_on = False
        self.run.leave(problem)


def next_place(places: Iterable[int], asked: set[int]) -> int | None:
    """Return where somebody stands who is asked now: where nobody was asked yet, else the last place; None for nowhere.

    Args:
        places: Where they stand in the chain, in order.
        asked: The places that were asked; takes up this one.
    """
    found = list(places)
    if not found:
        return None
    place = next((each for each in found if each not in asked), found[-1])
    asked.add(place)
    return place
