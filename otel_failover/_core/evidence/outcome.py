"""How an attempt ended, from its own evidence: outcome, reason, origin, status, message.

Pure reading of a `Ledger`: nothing here writes a span, and nothing a loop says comes in except that it would not take
the response.
"""

from __future__ import annotations

import asyncio
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import reasons
from otel_failover._core.domain.outcome import (
    ERROR,
    FROM_CANCEL,
    FROM_CLIENT,
    FROM_RESPONSE,
    FROM_TRANSPORT,
    PARTIAL,
    REJECTED,
    Outcome,
    Seen,
    own_evidence,
)
from otel_failover._core.evidence.call_error import causes_of

if TYPE_CHECKING:
    from otel_failover._core.evidence.exchange import Exchange, OpenCall
    from otel_failover._core.evidence.ledger import Ledger


_NOTHING: Final = Outcome()


def settle(ledger: Ledger, problem: BaseException | None, *, marked: bool, rejected: bool, output: bool) -> Outcome:
    """Return how an attempt ended.

    The wire comes first: where it shows a failure, that is the reason, whatever leaves the attempt. What the loop says
    only turns a good answer into one that was rejected.

    Args:
        ledger: Its own evidence.
        problem: The exception that leaves it, if any.
        marked: The loop said that it failed.
        rejected: The loop said that it would not take the response.
        output: Chunks of a stream were handed on.

    Returns:
        The facts, from own evidence only.
    """
    own = ledger.own
    last = own[-1] if own else None
    failure = _failure(ledger, last)
    if failure is None and problem is not None:
        failure = _without_answer(ledger, last, problem)
    if failure is not None:
        if failure.origin == FROM_CANCEL and problem is not None and _is_timeout(problem):
            failure = _caller_timeout(failure)
        return failure._replace(outcome=PARTIAL if output else ERROR)
    found = _good_answer(last)
    if problem is None and not marked and not rejected:
        return found
    answered = last is not None and not last.open
    if not answered and not (rejected and not marked):
        return found._replace(outcome=ERROR, reason=reasons.UNKNOWN)
    if ledger.answer.refused or (last is not None and not ledger.calls and last.look(refused=True)):
        why = reasons.CONTENT_POLICY
    else:
        why = reasons.EMPTY_RESPONSE if ledger.answer.empty else reasons.RESPONSE_REJECTED
    return found._replace(outcome=REJECTED, reason=why, origin=FROM_RESPONSE if answered else None)


def _good_answer(last: Exchange | None) -> Outcome:
    """Return the facts of a terminal request that was answered well, or of none."""
    return _NOTHING if last is None else Outcome(status=last.status, request_id=last.request_id)


def _failure(ledger: Ledger, last: Exchange | None) -> Outcome | None:
    """Return the failure that own evidence shows, None where it shows none; kept, since call and candidate both ask."""
    if last is not None and (not ledger.calls or ledger.last_failed is not None):
        last.look()  # no SDK's call has looked whether the answer is one; one that could not read it has raised
    ended = None if last is None else (last.stopped, last.refused)
    seen = (last, ended, ledger.last_failed, ledger.stream.error)
    if ledger.failure_seen[0] != seen:
        ledger.failure_seen = (seen, _found(ledger, last))
    found: Outcome | None = ledger.failure_seen[1]
    return found


def _found(ledger: Ledger, last: Exchange | None) -> Outcome | None:
    """Return the failure of the terminal request, or of a call that sent none."""
    if last is None:
        if ledger.stream.error is not None:
            return _in_stream(ledger, last)
        return _client_error(ledger) if ledger.last_failed is not None else None
    if last.failure is not None:  # timeout, reset, refused, cancelled, or never sent
        return Outcome(
            outcome=ERROR,
            reason=last.failure,
            origin=_origin(last.failure),
            status=last.begun,
            exception=_last_raised(ledger),
            timeout=last.timeout,
            timeout_configured=last.timeout_configured,
        )
    if last.is_error:
        body = last.body
        return Outcome(
            outcome=ERROR,
            reason=body.reason(last.status),
            origin=FROM_RESPONSE,
            status=last.status,
            code=body.code,
            message=body.message,
            relayed=body.relayed,
            exception=_last_raised(ledger),
            retry_after=last.retry_after if last.retry_after is not None else body.retry_after,
            request_id=last.request_id,
        )
    return _in_stream(ledger, last)


def _in_stream(ledger: Ledger, last: Exchange | None) -> Outcome | None:
    """Return a failure after a good status line: an error event, a cut stream, or a body the SDK could not read."""
    found, error = _good_answer(last), ledger.stream.error
    if error is not None:
        reason = error.reason(None)
        return found._replace(
            reason=reason if reason != reasons.UNKNOWN else reasons.PARTIAL_STREAM,
            origin=FROM_RESPONSE,
            code=error.code,
            message=error.message,
            relayed=error.relayed,
            exception=_last_raised(ledger),
            retry_after=error.retry_after,
        )
    if ledger.last_failed is None:
        return None
    reason, kind = ledger.last_failed.transport
    shown = reasons.PARTIAL_STREAM if reason == reasons.CONNECTION else reason
    return found._replace(reason=shown, origin=_origin(reason), timeout=kind, exception=_last_raised(ledger))


def _origin(reason: str) -> str:
    """Return where a failure without an answer comes from."""
    return {reasons.CANCELLED: FROM_CANCEL, reasons.CLIENT_ERROR: FROM_CLIENT}.get(reason, FROM_TRANSPORT)


def _client_error(ledger: Ledger) -> Outcome:
    """Return the failure of a provider call that raised before anything was sent: this process said it, no provider."""
    if ledger.asks_other_endpoint:
        return Outcome(outcome=ERROR, reason=reasons.UNKNOWN, exception=_last_raised(ledger))
    return Outcome(outcome=ERROR, reason=reasons.CLIENT_ERROR, origin=FROM_CLIENT, exception=_last_raised(ledger))


def _without_answer(ledger: Ledger, last: Exchange | None, problem: BaseException) -> Outcome | None:
    """Return what an exception is where own evidence shows neither an answer nor a failure: only as far as that goes.

    A request that is still under way has not failed; but where a timeout leaves the attempt, the caller gave it up.
    """
    if last is not None:
        return _caller_timeout(Outcome(outcome=ERROR)) if last.open and _is_timeout(problem) else None
    if ledger.calls and not ledger.asks_other_endpoint:
        return Outcome(outcome=ERROR, reason=reasons.CLIENT_ERROR, origin=FROM_CLIENT)
    return Outcome(outcome=ERROR, reason=reasons.TIMEOUT if _is_timeout(problem) else reasons.UNKNOWN)


def _caller_timeout(failure: Outcome) -> Outcome:
    """Return the end of a request that was given up because the caller's clock ran out, and not the client's."""
    return failure._replace(reason=reasons.TIMEOUT, origin=FROM_TRANSPORT, timeout="caller", killed_by="caller_timeout")


def _is_timeout(problem: BaseException) -> bool:
    """Whether an exception, or what it was raised from, is a timeout by its class.

    That of `asyncio.timeout`, `wait_for`, `concurrent.futures`, anyio.
    """
    links = islice(causes_of(problem, raised_from=True), 2)
    return any("Timeout" in cls.__name__ for link in links for cls in type(link).__mro__)


def _last_raised(ledger: Ledger) -> tuple[str, str] | None:
    last = ledger.last_failed
    return (last.type_name, last.text) if last is not None else None


def of_call(ledger: Ledger, call: OpenCall, since: float) -> tuple[Outcome, Seen]:
    """Return how one call of an attempt failed, and what was seen of it: by its own sends, not by those of others.

    Args:
        ledger: The attempt's evidence.
        call: The SDK's, which has just raised.
        since: When it began, in seconds of the monotonic clock.
    """
    everything = ledger.own
    own = [each for each in everything if each.call is call]
    own = own or [each for each in everything if each.call is None and each.started >= since]
    failure = _failure(ledger, own[-1] if own else None)
    settled = failure if failure is not None else Outcome(outcome=ERROR, reason=reasons.UNKNOWN)
    return settled, _seen(ledger, own, since, time.monotonic())


def seen(ledger: Ledger) -> Seen:
    """Return what was seen of an attempt on the wire, as far as a sentence speaks of it."""
    return _seen(ledger, ledger.own, ledger.started, ledger.stopped or time.monotonic())


def _seen(ledger: Ledger, own: list[Exchange], since: float, until: float) -> Seen:
    last = own[-1] if own else None
    return Seen(
        seconds=until - since,
        waited=(last.stopped or until) - own[0].started if last is not None else 0.0,
        sent=len(own),
        status=last.heard_status if last is not None else None,
        earlier=tuple(each.heard_status for each in own[:-1] if each.heard_status is not None),
        output=ledger.heard,
        elsewhere=len(ledger.exchanges) + len(ledger.to_others) > len(own),
        sure=bool(own) or (ledger.calls > 0 and ledger.state[1] not in _UNSURE),
    )


_UNSURE: Final = ("orphan", "stream_not_seen", "other_endpoint")
"""Gaps in which a request to the candidate may have passed by unseen."""


def sentence(ledger: Ledger, settled: Outcome) -> str:
    """Return the own evidence in a few words, for the marker and the log."""
    return own_evidence(settled, seen(ledger))


def is_cancelling() -> bool:
    """Whether the running task was cancelled and nobody took it back, unlike a timeout's cancellation (Python 3.11)."""
    try:
        task: Any = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and hasattr(task, "cancelling") and task.cancelling() > 0
