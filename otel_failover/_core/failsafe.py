"""Never hurt the host: telemetry may fail, the application may not notice.

What runs inside `guarded` catches `Exception`, counts it by site, logs it once per site with its traceback, and goes
on. With `OTEL_FAILOVER_STRICT=1` it is re-raised, so that our own test suite fails on our own bugs. `BaseException`
(cancellation, KeyboardInterrupt) always passes. The host's own call never stands inside.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections import Counter
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")

logger = logging.getLogger("otel_failover")

failures: Counter[str] = Counter()
"""Failures of our own, by site, since the process started; read by the metric `failover.internal.errors`."""


_asked_for_strict = [False]


def set_strict(value: bool) -> None:
    """Raise our own errors, or stop raising them; what the setting `strict` does."""
    _asked_for_strict[0] = value


def strict() -> bool:
    """Whether our own errors are raised: only when asked for by name, never by noticing a test runner."""
    return _asked_for_strict[0] or os.environ.get("OTEL_FAILOVER_STRICT", "").strip().lower() in ("1", "true")


def note(site: str, problem: BaseException) -> None:
    """Count a failure of our own, and log the first of each site.

    Args:
        site: The function that failed, as `module.name`.
        problem: What it raised.
    """
    failures[site] += 1
    if failures[site] == 1:
        # With its traceback: a failure of ours that nobody can find will be there for good. What it says may quote
        # anybody, and so may what it was raised from: that passes the gate, and the chain stays here.
        with contextlib.suppress(Exception):  # a filter of the host's may raise, here of all places
            told = ToldError(f"{type(problem).__name__}: {_said_by(problem)}").with_traceback(problem.__traceback__)
            logger.warning("otel-failover failed in %s and goes on without it", site, exc_info=told)


def _said_by(problem: BaseException) -> str:
    """Return what a failure says, without credentials; nothing where it is the gate that fails."""
    try:
        return _gate[0](text_of(problem))
    except Exception:
        return _nothing("")


class ToldError(Exception):
    """A failure of our own, as it is logged: its class, its place, and what it says, without credentials."""


def _nothing(_: str) -> str:
    return "…"


_gate: list[Callable[[str], str]] = [_nothing]


def tell_through(gate: Callable[[str], str]) -> None:
    """Set what takes credentials out of what a failure says; until then nothing of that is told.

    Args:
        gate: It stands above this module.
    """
    _gate[0] = gate


def reached(site: str, most: str) -> None:
    """Count that a bound of ours was reached, so that something is not looked at; say so once.

    Args:
        site: What has the bound, as `module.name`.
        most: How many of what are kept track of.
    """
    failures[site] += 1
    if failures[site] == 1:
        with contextlib.suppress(Exception):  # as above
            logger.warning("otel-failover keeps track of at most %s; the oldest of more go unjudged", most)


def survived(site: str, problem: Exception) -> None:
    """Go on after a failure of our own: for the few places where what comes next has to come, whatever failed before.

    To be called where the exception is caught. In strict mode it is raised on.

    Args:
        site: The function that failed, as `module.name`.
        problem: What it raised.
    """
    note(site, problem)
    if strict():
        raise problem


def guarded(fallback: D) -> Callable[[Callable[P, R]], Callable[P, R | D]]:
    """Make a function of ours unable to raise into the host.

    Args:
        fallback: What is returned when the function fails.

    Returns:
        A decorator. The decorated function re-raises only in strict mode.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R | D]:
        site = f"{function.__module__.removeprefix('otel_failover.')}.{function.__qualname__}"

        @functools.wraps(function)
        def safe(*args: P.args, **kwargs: P.kwargs) -> R | D:
            try:
                return function(*args, **kwargs)
            except Exception as problem:
                # Never BaseException: a cancellation or a Ctrl-C that arrives while our code is at work is the host's,
                # and must reach it.
                note(site, problem)
                if strict():
                    raise
                return fallback

        return safe

    return decorate


def read(thing: object, name: str) -> object:
    """Return an attribute of a foreign object, or None whatever its getter raises.

    `httpx` errors raise RuntimeError from `.request` when it was never set; any property of an application's own
    exception may do worse.
    """
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def exportable(text: str) -> str:
    """Return a text that UTF-8 can carry: a lone surrogate would make the exporter drop its whole batch."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def text_of(thing: object) -> str:
    """Return `str(thing)`, or a placeholder where its `__str__` raises."""
    try:
        return thing if type(thing) is str else str(thing)
    except Exception:
        return f"<{type(thing).__name__}: text unavailable>"
