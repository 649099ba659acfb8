"""Measured numbers: medians and quartiles of paired rounds."""

from __future__ import annotations

import gc
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

clock: Final = time.process_time
"""CPU time of all threads: what other jobs do on the machine is not charged, what our exporter's thread does is."""


@dataclass(frozen=True)
class Figure:
    """A median between its quartiles.

    Args:
        median: The middle of all rounds.
        low: First quartile.
        high: Third quartile.
    """

    median: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def figure(values: Iterable[float]) -> Figure:
    """Return the figure of some rounds.

    Args:
        values: One number per round, one at least.
    """
    kept = list(values)
    if len(kept) < 2:
        return Figure(kept[0], kept[0], kept[0])
    low, middle, high = statistics.quantiles(kept, n=4, method="inclusive")
    return Figure(middle, low, high)


def paired(
    one: Sequence[float], other: Sequence[float], combine: Callable[[float, float], float] = float.__sub__
) -> Figure:
    """Return the figure of two columns, combined round by round.

    Args:
        one: A number per round.
        other: Another one of the same rounds.
        combine: Their difference by default.
    """
    return figure(combine(first, second) for first, second in zip(one, other, strict=True))


def timed(task: Callable[[], object], calls: int) -> float:
    """Return the microseconds of one call, the mean of so many.

    Args:
        task: What to call.
        calls: How often.
    """
    started = clock()
    for _ in range(calls):
        task()
    return (clock() - started) / calls * 1e6


def alternate(tasks: Mapping[str, Callable[[], object]], rounds: int, calls: int) -> dict[str, list[float]]:
    """Measure tasks that need no putting on, in rounds of shuffled order.

    Args:
        tasks: What to call, by name.
        rounds: How many.
        calls: Of each task in each round.

    Returns:
        Microseconds per call, one number per round.
    """
    found: dict[str, list[float]] = {name: [] for name in tasks}
    order = list(tasks)
    for task in tasks.values():
        timed(task, max(3, calls // 10))
    settle()
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            found[name].append(timed(tasks[name], calls))
    return found


def settle() -> None:
    """Collect what lies about, and leave it out of later collections, which are charged to whoever runs then."""
    gc.collect()
    gc.freeze()
