"""What people should know of how they use this, said once.

Calls outside any run that look like a fallback (a failure followed by a call to another candidate under one parent
span, ten times): the log says how to name it. A client that sends elsewhere than its candidate declares.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import get_current_span

from otel_failover._core.failsafe import logger

if TYPE_CHECKING:
    from otel_failover._core.runs.call import Call

TIMES: Final = 10

_failed: weakref.WeakKeyDictionary[Any, tuple[str, str]] = weakref.WeakKeyDictionary()
_seen = [0]


def call_outside(call: Call) -> None:
    """Take note of a call outside any run."""
    if _seen[0] >= TIMES:
        return
    parent = get_current_span()
    if not parent.is_recording():
        return
    call.parent = weakref.ref(parent)
    before = _failed.pop(parent, None)
    if before is None or before == (call.endpoint, call.model):
        return
    _seen[0] += 1
    if _seen[0] == TIMES:
        logger.info(
            "otel-failover: calls to %s follow failures of %s under one span, as in a fallback loop that nobody "
            'declared; `with failover_run("chat", chain=[...]):` around it shows it as one run',
            call.model,
            before[1],
        )


def call_failed(call: Call) -> None:
    """Take note that a call outside any run failed."""
    parent = call.parent() if call.parent is not None else None
    if parent is not None and _seen[0] < TIMES:
        _failed[parent] = (call.endpoint, call.model)


_elsewhere: Final[set[tuple[str | None, str]]] = set()


def sent_elsewhere(declared: str | None, asked: str) -> None:
    """Say once that a candidate's client sends to another endpoint than the candidate declares.

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
