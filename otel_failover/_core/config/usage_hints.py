"""What people should know of how they use this, logged once.

Two things: calls outside any run that look like a fallback loop nobody declared (a failure, then a call to another
candidate under the same span, ten times), and a client that sends to another endpoint than its candidate declares.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import get_current_span

from otel_failover._core.failsafe import logger

if TYPE_CHECKING:
    from opentelemetry.trace import Span

TIMES: Final = 10

_failed: Final[weakref.WeakKeyDictionary[Any, tuple[str, str, str]]] = weakref.WeakKeyDictionary()
"""The last call that failed under each span: its endpoint, model and path; gone with the span."""
_seen: Final = [0]
"""How often a failure was followed by a call to another candidate."""


def call_outside(endpoint: str, model: str, base: str = "") -> weakref.ref[Span] | None:
    """Take note of a call outside any run.

    Args:
        endpoint: Where it goes.
        model: As requested.
        base: Path of the base URL, which is not logged.

    Returns:
        The span that it is made under, for `call_failed`; None where there is none, or enough has been seen.
    """
    if _seen[0] >= TIMES:
        return None
    parent = get_current_span()
    if not parent.is_recording():
        return None
    before = _failed.pop(parent, None)
    if before is not None and before != (endpoint, model, base):
        _seen[0] += 1
        if _seen[0] == TIMES:
            logger.info(
                "otel-failover: calls to %s follow failures of %s under one span, as in a fallback loop that nobody "
                'declared; `with failover_run("chat", chain=[...]):` around it shows it as one run',
                model,
                before[1],
            )
    return weakref.ref(parent)


def call_failed(parent: weakref.ref[Span] | None, endpoint: str, model: str, base: str = "") -> None:
    """Take note that a call outside any run failed.

    Args:
        parent: What `call_outside` returned for it.
        endpoint: Where it went.
        model: As requested.
        base: Path of the base URL.
    """
    span = parent() if parent is not None else None
    if span is not None and _seen[0] < TIMES:
        _failed[span] = (endpoint, model, base)


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
