"""Finds the run that an exception left, by the frames it passed through: never what is current, or was last.

A run that our own code holds open (a decorated function, an adapter) is found in our own frames of the traceback, by
the name of the local variable that holds it: see `_HELD_AS`. One that people hold open by `with failover_run(...)`
stands in their frame, under a name or under none. There it counts only where this very exception left it, which the run
remembers by the code and the instruction: the same frame may have run a dozen requests since.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from otel_failover._core.evidence.references import IdentityMap
from otel_failover._core.failsafe import read
from otel_failover._core.runs.attempt import Attempt
from otel_failover._core.runs.run import Run, runs_left_by

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

_OURS: Final = "otel_failover."
_HELD_AS: Final = ("opened", "run")
"""Local variables under which every wrapper of ours holds what it has opened."""
_OPENER: Final = "failover_run"
"""A frame of the host's is searched for runs only where its code names this."""
_STEPS: Final = ("__next__", "__anext__")
_ATTEMPT_AS: Final = ("attempt", "_attempt")
_FRAMES: Final = 512
_CAUSES: Final = 8
_NESTED: Final = 3


def run_of(problem: BaseException) -> Run | None:
    """Return the outermost run that an exception left, or that one it was raised from did.

    `__context__` is not followed: Python fills it with whatever was being handled, which may be another request's
    failure, or this one's that has nothing to do with the exception at hand.

    Args:
        problem: The exception.

    Returns:
        The run; None where the traceback is gone, passes through none, or through runs of several requests.
    """
    seen: list[object] = []
    link: object = problem
    while isinstance(link, BaseException) and len(seen) < _CAUSES and not any(link is each for each in seen):
        found = _outermost(list(islice(_runs_left(link), _FRAMES)))
        if found is not None:
            return found
        seen.append(link)
        link = read(link, "__cause__")
    return None


def remember(result: object, run: Run) -> None:
    """Let the run be found by what a framework will return, where it makes the error a value.

    Args:
        result: The object, which nothing of the run's may keep alive; compared by identity, and held weakly.
        run: The last run that was made for it.
    """
    _runs_by_result.set(result, run)


def run_of_result(result: object) -> Run | None:
    """Return the run that was remembered for what a framework returned.

    Args:
        result: What a framework has returned.
    """
    return _runs_by_result.get(result)


_runs_by_result: Final[IdentityMap[Run]] = IdentityMap()
"""Runs by what frameworks return instead of raising; by identity, since such results have no hash."""


def _runs_left(problem: BaseException) -> Iterator[Run]:
    """Yield the runs in the frames of a traceback, from the outermost on."""
    unnamed = runs_left_by(problem)[::-1]
    for entry in _entries(problem):
        frame = entry.tb_frame
        module = frame.f_globals.get("__name__")
        if isinstance(module, str) and module.startswith(_OURS):
            yield from _held_open(frame)
            continue
        place = (frame.f_code, entry.tb_lasti)
        named = _runs_in(frame) if _OPENER in frame.f_code.co_names else []
        yield from (run for run in named if run.left_in == place)
        yield from (run for run in unnamed if run.left_in == place and not any(run is each for each in named))


def _entries(problem: BaseException) -> Iterator[TracebackType]:
    entry = problem.__traceback__
    for _ in range(_FRAMES):
        if entry is None:
            return
        yield entry
        entry = entry.tb_next


def _runs_in(frame: FrameType) -> list[Run]:
    return [value for value in tuple(frame.f_locals.values()) if isinstance(value, Run)]


def _held_open(frame: FrameType) -> Iterator[Run]:
    """Yield the run that a frame of ours holds open, once it has been left."""
    values = frame.f_locals
    held = [values.get(name) for name in _HELD_AS]
    held.append(read(values.get("self"), "_opened"))
    runs = [run for value in held if (run := _run_in(value)) is not None]
    if frame.f_code.co_name in _STEPS:
        # A stream that outlived its loop: what it raised is the run's failure unless somebody else served it.
        listeners = (read(values.get("self"), "_listener"), values.get("call"))
        runs += [run for each in listeners if (run := _run_of_listener(each)) is not None and run.served is None]
    yield from (run for run in runs if run.is_left)
    inferred = _inferred_of(read(values.get("call"), "attempt"))
    if inferred is not None and inferred.served is None:
        yield inferred  # nobody says when such a loop is over


def _inferred_of(attempt: object) -> Run | None:
    """Return the inferred run that a call belongs to, or has turned out to."""
    if not isinstance(attempt, Attempt):
        return None
    run = attempt.run if attempt.inferred_in is None else attempt.inferred_in()
    return run if isinstance(run, Run) and run.is_inferred else None


def _run_in(value: object, depth: int = _NESTED) -> Run | None:
    """Return a run, that of an adapter's `LibraryRun`, or that of what holds one of them.

    An attempt is left out though it has a run: what an attempt raises is one candidate's failure, not yet the run's.
    """
    if isinstance(value, Run):
        return value
    return None if isinstance(value, Attempt) or value is None or not depth else _run_in(read(value, "run"), depth - 1)


def _run_of_listener(listener: object) -> Run | None:
    """Return the run of what listens to a stream: an attempt, what holds one, or a call in one."""
    attempt = listener
    for name in _ATTEMPT_AS:
        attempt = attempt if isinstance(attempt, Attempt) else read(listener, name)
    return attempt.run if isinstance(attempt, Attempt) and isinstance(attempt.run, Run) else None


def _outermost(runs: list[Run]) -> Run | None:
    """Return the outermost of some runs that tried anybody, unless one of them belongs to another request.

    One exception object may have been raised by several requests (a constant, a cached failure); its traceback then
    holds the frames of all, and none of their runs may be shown for another's. A run around a framework's loop, with
    nothing of its own in it, knows no candidate: the loop's run inside is meant.
    """
    if not runs:
        return None
    first = runs[0]
    if not all(each is first or _is_in(each, first) or _was_before(each, first) for each in runs):
        return None
    return next((each for each in runs if each.has_tried), first)


def _is_in(inner: Run, outer: Run) -> bool:
    """Whether a run happened inside another."""
    around = inner.around
    while around is not None:
        run = around.run
        if run is outer:
            return True
        around = run.around if isinstance(run, Run) else None
    return _has_parent(inner, outer)


def _has_parent(inner: Run, outer: Run) -> bool:
    """Whether two runs are of one trace, the inner one within the time of the outer: a thread, or a lost context."""
    if inner.left_at is None or outer.left_at is None:
        return False
    within = outer.started <= inner.started and inner.left_at <= outer.left_at
    return inner.trace_id != 0 and inner.trace_id == outer.trace_id and within


def _was_before(earlier: Run, later: Run) -> bool:
    """Whether a run was over before another began: the exception was kept, and raised again."""
    return earlier.left_at is not None and earlier.left_at <= later.started
