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
    CANCELLED,
    ERROR,
    FROM_CANCEL,
    FROM_CLIENT,
    FROM_RESPONSE,
    FROM_TRANSPORT,
    PARTIAL,
    REJECTED,
    Outcome,
    Seen,
    answered,
    own_evidence,
)
from otel_failover._core.evidence.call_error import CALLER, causes_of, host_class

if TYPE_CHECKING:
    from otel_failover._core.evidence.exchange import Exchange, OpenCall
    from otel_failover._core.evidence.ledger import Ledger


_NOTHING: Final = Outcome()


def settle(
    ledger: Ledger,
    problem: BaseException | None,
    *,
    marked: bool,
    rejected: bool,
    output: bool,
    word: str | None = None,
) -> Outcome:
    """Return how an attempt ended.

    The wire comes first: where it shows a failure, that is the reason, whatever leaves the attempt. What the loop says
    only turns a good answer into one that was rejected.

    Args:
        ledger: Its own evidence.
        problem: The exception that leaves it, if any.
        marked: The loop said that it failed.
        rejected: The loop said that it would not take the response.
        output: Chunks of a stream were handed on.
        word: The loop's own reason, in our vocabulary: it tells a deadline from a user who hangs up, where the evidence
            is that a request was cancelled.

    Returns:
        The facts, from own evidence only.
    """
    own = ledger.own
    last = own[-1] if own else None
    if problem is None and word is None and not marked and not rejected:
        plain = _plain_answer(ledger, last)
        if plain is not None:
            return plain
    failure, bug = _failure(ledger, last), None
    if failure is None and problem is not None:
        failure, bug = _without_answer(ledger, last, problem), host_class(problem)
    if failure is not None:
        if failure.origin == FROM_CANCEL:
            if word != reasons.TIMEOUT and _is_hung_up(ledger, last, problem, word):
                return failure._replace(outcome=PARTIAL if output else CANCELLED)
            failure = _caller_timeout(failure)
        bug = bug if failure.reason != reasons.TIMEOUT else None
        return failure._replace(outcome=PARTIAL if output else ERROR, host_exception=bug)
    if word == reasons.TIMEOUT and last is not None and last.open and not ledger.open_streams:
        return _caller_timeout(Outcome(outcome=PARTIAL if output else ERROR))
    found = _good_answer(last)
    if problem is None and not marked and not rejected:
        return found
    was_answered = last is not None and not last.open
    if not was_answered and not (rejected and not marked):
        return found._replace(outcome=ERROR, reason=reasons.UNKNOWN, host_exception=bug)
    if ledger.answer.refused or (last is not None and not ledger.calls and last.look(refused=True)):
        why = reasons.CONTENT_POLICY
    else:
        why = reasons.EMPTY_RESPONSE if ledger.answer.empty else reasons.RESPONSE_REJECTED
    origin = FROM_RESPONSE if was_answered else None
    return found._replace(outcome=REJECTED, reason=why, origin=origin, host_exception=bug)


def _plain_answer(ledger: Ledger, last: Exchange | None) -> Outcome | None:
    """Return the facts of a request that was answered well, where nothing is in doubt.

    By far the commonest end: the SDK's last call has returned, and neither its request nor a stream has failed.
    Whatever else there is, `_failure` finds out.
    """
    if last is None or not ledger.calls or ledger.last_failed is not None or last.failure is not None or last.is_error:
        return None
    stream = ledger.stream
    broken = stream.error is not None or stream.cut is not None or stream.unfinished
    return None if broken else Outcome(status=last.status, request_id=last.request_id)


def _good_answer(last: Exchange | None) -> Outcome:
    """Return the facts of a terminal request that was answered well, or of none."""
    return _NOTHING if last is None else Outcome(status=last.status, request_id=last.request_id)


def _failure(ledger: Ledger, last: Exchange | None) -> Outcome | None:
    """Return the failure that own evidence shows, None where it shows none; kept, since call and candidate both ask."""
    if last is not None and not last.is_error and (not ledger.calls or ledger.last_failed is not None):
        last.look()  # no SDK's call has looked whether the answer is one; one that could not read it has raised
    ended = None if last is None else (last.stopped, last.refused)
    seen = (last, ended, ledger.last_failed, ledger.stream.error, ledger.stream.cut, ledger.stream.unfinished)
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
            killed_by="caller_timeout" if last.timeout == CALLER else None,
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
            relayed=body.relayed if body.inner is not None else "",
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
    if ledger.stream.cut is not None and ledger.stream.cut[0] is last:
        return found._replace(reason=reasons.CANCELLED, origin=FROM_CANCEL)
    if ledger.last_failed is None:
        if not ledger.stream.unfinished:
            return None
        return found._replace(reason=reasons.PARTIAL_STREAM, origin=FROM_TRANSPORT)
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


def _is_hung_up(ledger: Ledger, last: Exchange | None, problem: BaseException | None, word: str | None) -> bool:
    """Whether a request that was cancelled, in an attempt that is left otherwise, was given up by the user.

    Whoever cancels a call inside an attempt and goes on had set it a deadline: `wait_for`, `timeout` and the scopes of
    anyio and trio take their cancellation back. It is the user where nobody took it back (seen from Python 3.11 on),
    where the loop says so, and at Ctrl-C.
    """
    if problem is not None and _is_timeout(problem):
        return False
    if word == reasons.CANCELLED or is_cancelling():
        return True
    if last is not None and last.problem is not None:
        return isinstance(last.problem.target, _BY_USER)
    return ledger.stream.cut is not None and issubclass(ledger.stream.cut[1], _BY_USER)


_BY_USER: Final = (KeyboardInterrupt, SystemExit)


def _caller_timeout(failure: Outcome) -> Outcome:
    """Return the end of a request that was given up because the caller's clock ran out, and not the client's."""
    return failure._replace(reason=reasons.TIMEOUT, origin=FROM_TRANSPORT, timeout=CALLER, killed_by="caller_timeout")


def _is_timeout(problem: BaseException) -> bool:
    """Whether an exception, or what it was raised from, is a timeout by its class.

    That of `asyncio.timeout`, `wait_for`, `concurrent.futures`, anyio.
    """
    links = islice(causes_of(problem, raised_from=True), 2)
    return any("Timeout" in cls.__name__ for link in links for cls in type(link).__mro__)


def _last_raised(ledger: Ledger) -> tuple[str, str] | None:
    last = ledger.last_failed
    return (last.type_name, last.text) if last is not None else None


def of_call(ledger: Ledger, call: OpenCall, since: float) -> tuple[Outcome, list[Exchange]]:
    """Return how one call of an attempt failed, and what it sent: not what others did.

    Args:
        ledger: The attempt's evidence.
        call: The SDK's, which has just raised.
        since: When it began, in seconds of the monotonic clock.
    """
    everything = ledger.own
    one = len(everything) == 1 and everything[0].call is call
    own = everything[:] if one else [each for each in everything if each.call is call]
    own = own or [each for each in everything if each.call is None and each.started >= since]
    failure = _failure(ledger, own[-1] if own else None)
    settled = failure if failure is not None else Outcome(outcome=ERROR, reason=reasons.UNKNOWN)
    return settled, own


def seen(ledger: Ledger, own: list[Exchange] | None = None, since: float | None = None) -> Seen:
    """Return what was seen of an attempt, or of one of its calls, on the wire, as far as a sentence speaks of it.

    Args:
        ledger: The attempt's evidence.
        own: What the call sent; None for the attempt.
        since: When the call began, in seconds of the monotonic clock; None for the attempt.
    """
    until = (ledger.stopped if since is None else None) or time.monotonic()
    since = ledger.started if since is None else since
    own = ledger.own if own is None else own
    last = own[-1] if own else None
    return Seen(
        seconds=until - since,
        waited=(last.stopped or until) - own[0].started if last is not None else 0.0,
        sent=len(own),
        status=last.heard_status if last is not None else None,
        earlier=tuple(each.heard_status for each in own[:-1] if each.heard_status is not None),
        output=ledger.heard,
        elsewhere=len(ledger.exchanges) + len(ledger.to_others) > len(own),
        sure=bool(own) or (ledger.last_failed is not None and ledger.state[1] not in _UNSURE),
    )


_UNSURE: Final = ("orphan", "stream_not_seen", "other_endpoint")
"""Gaps in which a request to the candidate may have passed by unseen."""


def sentence(ledger: Ledger, settled: Outcome) -> str:
    """Return the own evidence in a few words, for the marker and the log."""
    if settled.status is not None and settled.origin == FROM_RESPONSE:
        return answered(settled, settled.status)  # by far the commonest
    return own_evidence(settled, seen(ledger))


def is_cancelling() -> bool:
    """Whether the running task was cancelled and nobody took it back, unlike a timeout's cancellation (Python 3.11)."""
    try:
        task: Any = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and hasattr(task, "cancelling") and task.cancelling() > 0
