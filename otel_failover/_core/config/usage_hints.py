"""What people should know of how they use this, logged once.

Three things: a fallback loop that nobody declared, and that was inferred; calls outside any run that look like one and
are none that can be inferred (a failure, then a call to another candidate, ten times); and a client that sends to
another endpoint than its candidate declares.
"""

from __future__ import annotations

from typing import Final

from otel_failover._core.failsafe import logger

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
        model,
        before,
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
            model,
            before,
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
        declared,
        asked,
    )
