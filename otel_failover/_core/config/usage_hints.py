"""What people should know of how they use this, logged once.

A fallback loop that nobody declared, and that was inferred; calls outside any run that look like one and
are none that can be inferred (a failure, then a call to another candidate, ten times); a client that sends to
another endpoint than its candidate declares; a host that is nobody's; a call that has lost its run in a thread.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from otel_failover._core.domain.endpoint import is_loopback
from otel_failover._core.failsafe import logger
from otel_failover._core.text.gate import named, shown

TIMES: Final = 10
AT_ONCE: Final = 5.0
"""Seconds within which a loop goes on to its next candidate: where no span says that two calls belong together."""

_DECLARE: Final = (
    '`with failover_run("chat", chain=[...]):` around it, or, where it cannot be edited, '
    """OTEL_FAILOVER_LOOPS='[{"run": "package.module:function"}]'"""
)

_seen: Final = [0]
"""How often a failure was followed by a call to another candidate that is no inferred run."""
_inferred: Final = [False]


def inferred(model: str, before: str) -> None:
    """Say once that a run was inferred, and what a declared one would tell besides.

    Args:
        model: Of the candidate that was asked next, as requested.
        before: Of the one that had failed.
    """
    if _inferred[0]:
        return
    _inferred[0] = True
    logger.info(
        "otel-failover: a fallback loop that nobody declared was inferred: %s was asked what %s had failed at "
        "(failover.library=inferred). %s, tells more: who was left untried, the passes that the first candidate "
        "serves, what the loop itself says. infer_runs=off switches this off",
        shown(model),
        shown(before),
        _DECLARE,
    )


def follows(model: str, before: str) -> None:
    """Take note of a call that follows a failure at another candidate, and belongs to no run.

    Args:
        model: As requested.
        before: The same of the call that failed.
    """
    if _seen[0] >= TIMES:
        return
    _seen[0] += 1
    if _seen[0] == TIMES:
        logger.info(
            "otel-failover: calls to %s follow failures of %s at once, as in a fallback loop that nobody declared; %s, "
            "shows it as one run",
            shown(model),
            shown(before),
            _DECLARE,
        )


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
        named(declared),
        named(asked),
    )


# --- hosts that are nobody's ------------------------------------------------------------------------------------------

unknown_hosts: Final[dict[str, str]] = {}
"""Hosts of nobody that is known which were asked, and as what each was logged once; of loopback with the port."""


def unknown_host(host: str, exact: str) -> None:
    """Log once that a host is asked which is nobody's that is known.

    Args:
        host: Its name.
        exact: The same with the port: what tells servers of this machine apart.
    """
    if not host or host in unknown_hosts or len(unknown_hosts) >= TIMES:
        return
    name = unknown_hosts[host] = exact if is_loopback(host) else host
    logger.info("otel-failover: %s was asked, which is nobody's that is known: %s", named(name), _whose(named(name)))


def unknown_host_text(host: str) -> str:
    """Return that a host is nobody's, and the lines that say whose it is."""
    return f"{named(host)} was asked, which is nobody's that is known: {_whose(named(host))}"


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
    logger.warning("otel-failover: a model was asked in the thread %s, %s", shown(without_context[0]), _LOST)


def lost_context_text(thread: str) -> str:
    """Return that a call has lost its run, and what helps."""
    return f"a model was asked in the thread {shown(thread)}, {_LOST}"


_LOST: Final = (
    "which was started without a context, while a run was open that may be waiting for it: such calls belong to no "
    "run. opentelemetry-instrumentation-threading carries the context (opentelemetry-instrument turns it on), and so "
    "does contextvars.copy_context().run as what the thread runs"
)
