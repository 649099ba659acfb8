"""What people should know of how they use this, logged once.

Two things: calls outside any run that look like a fallback loop nobody declared (a failure, then a call to another
candidate under the same span, ten times; where there is no span, by the same task or thread and at once), and a client
that sends to another endpoint than its candidate declares.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import get_current_span

from otel_failover._core.failsafe import logger

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES: Final = 10
AT_ONCE: Final = 5.0
"""Seconds within which a loop goes on to its next candidate: where no span says that two calls belong together."""

_failed: Final[weakref.WeakKeyDictionary[Any, tuple[str, str, str, float]]] = weakref.WeakKeyDictionary()
"""The last call that failed in each place: its endpoint, model, path and time; gone with the span, task or thread."""
_seen: Final = [0]
"""How often a failure was followed by a call to another candidate."""


def call_outside(endpoint: str, model: str, base: str = "") -> Callable[[], Any] | None:
    """Take note of a call outside any run.

    Args:
        endpoint: Where it goes.
        model: As requested.
        base: Path of the base URL, which is not logged.

    Returns:
        What gives the place where it is made, for `call_failed`: the span that it is made under, else the task or the
        thread. None where enough has been seen.
    """
    if _seen[0] >= TIMES:
        return None
    parent = get_current_span()
    place: Callable[[], Any] = weakref.ref(parent) if parent.is_recording() else _here
    # While no call fails, nobody is asked which task or thread this is.
    before = _failed.pop(place(), None) if _failed else None
    if before is not None and before[:3] != (endpoint, model, base) and _belongs(before[3], place):
        _seen[0] += 1
        if _seen[0] == TIMES:
            logger.info(
                "otel-failover: calls to %s follow failures of %s at once, as in a fallback loop that nobody declared; "
                '`with failover_run("chat", chain=[...]):` around it shows it as one run; so does, without a change of '
                """code, OTEL_FAILOVER_LOOPS='[{"run": "your.module:your_function"}]'""",
                model,
                before[1],
            )
    return place


def _belongs(failed_at: float, place: Callable[[], Any]) -> bool:
    """Whether a call belongs to a failure in the same place: a thread may serve one request after the other."""
    return place is not _here or time.monotonic() - failed_at < AT_ONCE


def _here() -> Any:
    """Return the task that runs, else the thread."""
    for module, where in (("asyncio", "asyncio"), ("trio", "trio.lowlevel")):
        if module in sys.modules:
            try:
                task = sys.modules[where].current_task()
            except Exception:  # noqa: S112 - no loop runs here, which is an exception in both
                continue
            if task is not None:
                return task
    return threading.current_thread()


def call_failed(place: Callable[[], Any] | None, endpoint: str, model: str, base: str = "") -> None:
    """Take note that a call outside any run failed.

    Args:
        place: What `call_outside` returned for it.
        endpoint: Where it went.
        model: As requested.
        base: Path of the base URL.
    """
    where = place() if place is not None else None
    if where is not None and _seen[0] < TIMES:
        _failed[where] = (endpoint, model, base, time.monotonic())


_elsewhere: Final[set[tuple[str | None, str]]] = set()


def sent_elsewhere(declared: str | None, asked: str) -> None:
    """Log once that a candidate's client sends to another endpoint than the candidate declares.

    Args:
        declared: The candidate's endpoint; None where only its provider is known.
        asked: Where its client sends.
    """
    if declared is None or (declared, asked) in _elsewhere or len(_elsewhere) >= TIMES:
        return
    _elsewhere.add((declared, asked))
    logger.warning(
        "otel-failover: a candidate declares the endpoint %s, and its client asks %s; what is answered there is taken "
        "for the candidate's only where the error that leaves the attempt was made of it",
        declared,
        asked,
    )


# --- hosts that are nobody's ------------------------------------------------------------------------------------------

unknown_hosts: Final[dict[str, None]] = {}
"""Hosts of nobody that is known which were asked: each was logged once."""


def unknown_host(host: str) -> None:
    """Log once that a host is asked which is nobody's that is known.

    Args:
        host: Its name.
    """
    if not host or host in unknown_hosts or len(unknown_hosts) >= TIMES:
        return
    unknown_hosts[host] = None
    logger.info("otel-failover: %s was asked, which is nobody's that is known: %s", host, _whose(host))


def unknown_host_text(host: str) -> str:
    """Return that a host is nobody's, and the lines that say whose it is."""
    return f"{host} was asked, which is nobody's that is known: {_whose(host)}"


def _whose(host: str) -> str:
    return (
        f"""metrics have 'other'. OTEL_FAILOVER_PROVIDER_ALIASES='{{"{host}": "openai"}}' says whose it is, with the """
        f"provider's name; where it relays for several, OTEL_FAILOVER_GATEWAYS={host}"
    )


# --- threads without a context ----------------------------------------------------------------------------------------

without_context: Final[list[str]] = []
"""The thread in which a call was made without its run's context, where that was noticed and logged."""
_rootless: Final[list[tuple[float, str]]] = []


def rootless_call(*, run_is_open: bool) -> None:
    """Take note of a call outside any run by whom nothing at all was current, as in a thread without a context.

    Args:
        run_is_open: Some attempt of a run is open just now, which may be waiting for it.
    """
    thread = threading.current_thread()
    if without_context or thread is threading.main_thread():
        return
    _rootless[:] = [(time.monotonic(), thread.name)]
    if run_is_open:
        _lost_context()


def run_unserved(seconds: float) -> None:
    """Take note that nobody is known to have served a run: a call without a context, made meanwhile, may have been its.

    Args:
        seconds: Its length.
    """
    if _rootless and not without_context and time.monotonic() - _rootless[0][0] <= seconds:
        _lost_context()


def _lost_context() -> None:
    without_context.append(_rootless[0][1])
    logger.warning("otel-failover: a model was asked in the thread %s, %s", without_context[0], _LOST)


def lost_context_text(thread: str) -> str:
    """Return that a call has lost its run, and what helps."""
    return f"a model was asked in the thread {thread}, {_LOST}"


_LOST: Final = (
    "which was started without a context, while a run was open that may be waiting for it: such calls belong to no "
    "run. opentelemetry-instrumentation-threading carries the context (opentelemetry-instrument turns it on), and so "
    "does contextvars.copy_context().run as what the thread runs"
)
