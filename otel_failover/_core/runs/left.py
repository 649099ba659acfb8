"""Which runs an exception has left by a `with`, while it lives: for runs that stand in no frame by a name."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otel_failover._core.runs.run import Run

_MOST: Final = 256
_RUNS: Final = 4
_left: Final[OrderedDict[int, tuple[weakref.ref[BaseException], list[Run]]]] = OrderedDict()
"""By the exception's id, with a weak reference that proves it: exceptions need not have a hash."""


def note(problem: BaseException, run: Run) -> None:
    """Remember that an exception leaves a run; one that cannot be remembered weakly is not.

    Args:
        problem: The exception.
        run: The run.
    """
    key = id(problem)
    known = _left.get(key)
    if known is not None and known[0]() is problem:
        known[1].append(run)
        del known[1][:-_RUNS]
        return
    try:
        _left[key] = (weakref.ref(problem, lambda reference: _forget(key, reference)), [run])
    except TypeError:
        return
    if len(_left) > _MOST:
        _left.popitem(last=False)


def runs_left_by(problem: BaseException) -> list[Run]:
    """Return the runs that an exception has left, as far as they are remembered.

    Args:
        problem: The exception.
    """
    known = _left.get(id(problem))
    return list(known[1]) if known is not None and known[0]() is problem else []


def _forget(key: int, reference: weakref.ref[BaseException]) -> None:
    if key in _left and _left[key][0] is reference:
        del _left[key]
