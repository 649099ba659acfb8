"""By what an error is carried on: exceptions and their attributes, wrappers, groups, mappings, spans. The other table.

Each row says, of an error as a loop holds it, what the loop raises, passes on or writes on a span.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import StatusCode

from tests.support.hosts import LoopError
from tests.truth.ways.texts import BROAD, KNOWN_CODES, Told, expected, said
from tests.truth.ways.units import Binding

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, Tracer

    from otel_failover import Attempt

HAS_GROUPS: Final = sys.version_info >= (3, 11)
HAS_TENACITY: Final = importlib.util.find_spec("tenacity") is not None


class WordlessError(Exception):
    """A loop's own wrapper, which says nothing itself."""


@dataclass(frozen=True)
class Held:
    """What a loop has in hand inside an attempt.

    Args:
        attempt: That is open.
        tracer: Of the application.
        error: Which the loop tells.
        own: The candidate's own error; None where it answered well.
    """

    attempt: Attempt
    tracer: Tracer
    error: Told
    own: Told | None

    @property
    def problem(self) -> Any:
        return self.error.problem

    @property
    def shown(self) -> str:
        return self.error.shown

    @property
    def message(self) -> str:
        return self.error.message


@dataclass(frozen=True)
class Channel:
    """One way in which an error is carried.

    Args:
        id: Of the row.
        act: Raises, fails or writes.
        by: What of the error is in it: `object` (or its response, or its request id: whatever it says), `message` (the
            sentence alone), `shown` (the SDK's rendering), `code`, `status` (which shows nothing alone).
        on_span: Whether a span of the application's is judged, and not the attempt.
        own_is_verified: Whether the candidate's own error, carried so, is verified.
        mixed: Whether it is the own object with another's words: inconsistent, no mismatch.
    """

    id: str
    act: Callable[[Held], None]
    by: frozenset[str]
    on_span: bool = False
    own_is_verified: bool = True
    mixed: bool = False
    needs: frozenset[str] = field(default_factory=frozenset)


def must(channel: Channel, told: Told, own_texts: tuple[str, ...], own_statuses: frozenset[int | None]) -> Binding:
    """Return whether an error that is carried so shows whose it is.

    Args:
        channel: By which it is carried.
        told: Whose it is.
        own_texts: All that the judged candidate sent or received.
        own_statuses: Of its answers.
    """
    found = {Binding.CANNOT}
    if "object" in channel.by:
        found.add(Binding.MUST)
    if "message" in channel.by:
        found.add(expected(told, said(told.message), own_texts))
    if "shown" in channel.by:
        found.add(expected(told, said(told.shown, rendered=True), own_texts))
    if "code" in channel.by and told.code and told.code not in " ".join(own_texts):
        found.add(_by_code(channel, told, own_statuses))
    if "cause" in channel.by and told.status not in own_statuses:
        found.add(Binding.MUST)
    return next(each for each in (Binding.MUST, Binding.EITHER, Binding.CANNOT) if each in found)


def _by_code(channel: Channel, told: Told, own_statuses: frozenset[int | None]) -> Binding:
    """Whether a code in a field of its own shows whose it is: it may be the loop's own word, where the status is own."""
    if told.code not in KNOWN_CODES or told.code in BROAD or "status" not in channel.by:
        return Binding.EITHER
    return Binding.MUST if told.status not in own_statuses or told.code in _BILLING else Binding.EITHER


_BILLING: Final = ("insufficient_quota", "insufficient_balance_error")
"""What nobody says of a rate limit."""


# --- raised -----------------------------------------------------------------------------------------------------------


def _raise(problem: BaseException) -> None:
    raise problem


def _raise_from(problem: BaseException, cause: BaseException | None) -> None:
    raise problem from cause


def _in_context(held: Held) -> None:
    try:
        raise held.own.problem if held.own and held.own.problem else ValueError("no choices")
    except Exception:  # noqa: BLE001 - the loop goes on
        raise LoopError(held.shown)  # noqa: B904 - the context is the point


def _retried(problem: BaseException) -> None:
    """Raise what the library `tenacity` makes of an error that came each time."""
    import tenacity

    @tenacity.retry(stop=tenacity.stop_after_attempt(2), wait=tenacity.wait_none())
    def ask() -> None:
        raise problem

    ask()


def _group(*members: BaseException) -> BaseException:
    group: BaseException = ExceptionGroup("all of them failed", members)  # type: ignore[type-var]  # noqa: F821
    return group


_RAISED: Final = {
    "object": (lambda held: _raise(held.problem), "object"),
    "new": (lambda held: _raise_from(LoopError(held.shown), None), "shown"),
    "new-message": (lambda held: _raise_from(LoopError(held.message), None), "message"),
    "new-from-own": (
        lambda held: _raise_from(LoopError(held.shown), held.own.problem if held.own is not None else None),
        "shown",
    ),
    "new-from-it": (lambda held: _raise_from(LoopError(held.shown), held.problem), "shown"),
    "new-in-context": (_in_context, "shown"),
    "words-from-it": (lambda held: _raise_from(LoopError("gave up on this one"), held.problem), "nothing"),
    "status-from-it": (
        lambda held: _raise_from(LoopError("gave up on this one", status_code=held.error.status), held.problem),
        "cause",
    ),
    "wordless-from-it": (lambda held: _raise_from(WordlessError(), held.problem), "object"),
    "wordless-from-new": (lambda held: _raise_from(WordlessError(), LoopError(held.shown)), "shown"),
    "arguments": (lambda held: _raise(RuntimeError("candidate failed", held.shown)), "shown"),
    "attribute-message": (lambda held: _raise(_with(LoopError("candidate failed"), message=held.message)), "message"),
    "attribute-body": (lambda held: _raise(_with(LoopError("candidate failed"), body=dict(held.error.body))),
                       "message code"),
    "attribute-reason": (lambda held: _raise(_with(LoopError("no"), reason=held.message)), "message"),
    "attribute-status": (lambda held: _raise(LoopError("candidate failed", status_code=held.error.status)), "status"),
    "attribute-code": (lambda held: _raise(LoopError("candidate failed", code=held.error.code)), "code"),
    "attribute-status-and-code": (
        lambda held: _raise(LoopError("candidate failed", status_code=held.error.status, code=held.error.code)),
        "code status",
    ),
    "attribute-type": (lambda held: _raise(_with(LoopError("candidate failed"), type=held.error.code)), "code"),
    "attribute-response": (
        lambda held: _raise(LoopError("candidate failed", response=held.problem.response)), "object needs-answer"),
    "attribute-request-id": (
        lambda held: _raise(LoopError("candidate failed", request_id=held.error.request_id)), "object needs-answer"),
    "quoted-request-id": (
        lambda held: _raise(LoopError(f"candidate failed: {{'request_id': '{held.error.request_id}'}}")),
        "object needs-answer"),
    "request-id-in-prose": (
        lambda held: _raise(LoopError(f"candidate failed, see request {held.error.request_id}")), "nothing"),
    "retry-error": (lambda held: _retried(held.problem), "object"),
    "retry-error-new": (lambda held: _retried(LoopError(held.shown)), "shown"),
    "retry-error-chained": (lambda held: _raise_from(LoopError(held.shown), _caught(lambda: _retried(held.problem))),
                            "shown"),
}  # fmt: skip
_GROUPED: Final = {
    "group": (lambda held: _raise(_group(held.problem)), "object"),
    "group-of-new": (lambda held: _raise(_group(LoopError(held.shown))), "shown"),
    "group-in-group": (lambda held: _raise(_group(_group(held.problem))), "object"),
    "group-beside-a-word": (lambda held: _raise(_group(ValueError("no choices"), LoopError(held.shown))), "shown"),
}
_GROUP_REPORTS: Final = {
    "group-of-both": lambda held, own: _raise(_group(held.problem, own.problem)),
    "group-of-both-backwards": lambda held, own: _raise(_group(own.problem, held.problem)),
    "group-of-new-both": lambda held, own: _raise(_group(LoopError(held.shown), LoopError(own.shown))),
    "group-in-group-of-both": lambda held, own: _raise(_group(held.problem, _group(own.problem))),
}


def _with(problem: Exception, **attributes: Any) -> Exception:
    problem.__dict__.update(attributes)
    return problem


def _caught(act: Callable[[], None]) -> BaseException | None:
    try:
        act()
    except Exception as problem:  # noqa: BLE001 - that is what is wanted
        return problem
    return None


# --- passed on --------------------------------------------------------------------------------------------------------

_FAILED: Final = {
    "fail-object": (lambda held: held.attempt.fail(held.problem), "object"),
    "fail-new": (lambda held: held.attempt.fail(LoopError(held.shown)), "shown"),
    "fail-shown": (lambda held: held.attempt.fail(held.shown), "shown"),
    "fail-sentence": (lambda held: held.attempt.fail(held.message), "message"),
    "fail-message": (lambda held: held.attempt.fail({"message": held.message}), "message"),
    "fail-error": (lambda held: held.attempt.fail({"error": held.message}), "message"),
    "fail-reason": (lambda held: held.attempt.fail({"reason": held.message}), "message"),
    "fail-detail": (lambda held: held.attempt.fail({"detail": [{"msg": held.message}]}), "message"),
    "fail-body": (lambda held: held.attempt.fail(dict(held.error.body)), "message code"),
    "fail-status-and-code": (
        lambda held: held.attempt.fail({"status": held.error.status, "code": held.error.code}),
        "code status",
    ),
    "fail-status-and-message": (
        lambda held: held.attempt.fail({"status": held.error.status, "message": held.shown}),
        "shown status",
    ),
    "fail-namespace": (lambda held: held.attempt.fail(SimpleNamespace(message=held.message)), "message"),
    "fail-errors": (lambda held: held.attempt.fail({"errors": [held.shown]}), "shown"),
    "fail-errors-mappings": (lambda held: held.attempt.fail({"errors": [{"message": held.message}]}), "message"),
    "fail-errors-second": (lambda held: held.attempt.fail({"errors": ["no choices", held.shown]}), "shown"),
    "fail-errors-objects": (lambda held: held.attempt.fail({"errors": [held.problem]}), "object"),
    "fail-list": (lambda held: held.attempt.fail([held.shown]), "shown"),
    "fail-list-of-objects": (lambda held: held.attempt.fail([held.problem]), "object"),
    "reject-shown": (lambda held: held.attempt.reject(held.shown), "shown"),
}
_FAIL_REPORTS: Final = {
    "joined": lambda held, own: _raise(LoopError(f"{held.shown}; {own.shown}")),
    "joined-backwards": lambda held, own: _raise(LoopError(f"{own.shown}; {held.shown}")),
    "joined-from-own": lambda held, own: _raise_from(LoopError(f"{held.shown}; {own.shown}"), own.problem),
    "joined-messages": lambda held, own: _raise(LoopError(f"{held.message}; {own.message}")),
    "joined-as-list": lambda held, own: _raise(LoopError(str([held.shown, own.shown]))),
    "joined-lines": lambda held, own: _raise(LoopError(f"- {held.shown}\n- {own.shown}")),
    "joined-and-failed": lambda held, own: held.attempt.fail(f"{held.shown}; {own.shown}"),
    "fail-errors-both": lambda held, own: held.attempt.fail({"errors": [held.shown, own.shown]}),
    "fail-errors-both-mappings": lambda held, own: held.attempt.fail(
        {"errors": [{"message": held.message}, {"message": own.message}]}
    ),
    "fail-errors-both-objects": lambda held, own: held.attempt.fail({"errors": [held.problem, own.problem]}),
    "fail-list-both": lambda held, own: held.attempt.fail([held.problem, own.problem]),
    "fail-by-provider": lambda held, own: held.attempt.fail({held.error.provider: held.shown, own.provider: own.shown}),
}

# --- written on a span ------------------------------------------------------------------------------------------------


def _on_span(write: Callable[[Span, Held], None]) -> Callable[[Held], None]:
    def act(held: Held) -> None:
        with held.tracer.start_as_current_span("application") as span:
            write(span, held)

    return act


def _status(span: Span, held: Held) -> None:
    span.set_status(StatusCode.ERROR, held.shown)


def _event(span: Span, held: Held) -> None:
    span.set_status(StatusCode.ERROR)
    span.add_event("exception", {"exception.type": "RateLimitError", "exception.message": held.shown})


def _recorded(span: Span, held: Held) -> None:
    span.set_status(StatusCode.ERROR)
    span.record_exception(held.problem)


def _attribute(key: str) -> Callable[[Span, Held], None]:
    return lambda span, held: span.set_attribute(key, held.message)


def _code(span: Span, held: Held) -> None:
    span.set_attributes({"error.type": str(held.error.code), "http.response.status_code": held.error.status or 0})


_WRITTEN: Final = {
    "span-status": (_status, "shown"),
    "span-event": (_event, "shown"),
    "span-recorded": (_recorded, "shown"),
    "span-error.message": (_attribute("error.message"), "message"),
    "span-error.description": (_attribute("error.description"), "message"),
    "span-code": (_code, "code status"),
}

# --- the table --------------------------------------------------------------------------------------------------------


def _own_with_their(**what: str) -> Callable[[Held], None]:
    def act(held: Held) -> None:
        assert held.own is not None
        mine: Any = held.own.problem
        for name, value in what.items():
            setattr(mine, name, getattr(held, value) if value != "body" else held.problem.body)
        raise mine

    return act


def _row(name: str, act: Any, by: str, *, on_span: bool = False) -> Channel:
    facts = frozenset(by.split())
    # Where words of the loop's own stand beside it, it is a matter of taste what that makes of it.
    unsaid = {"words-from-it", "request-id-in-prose", "group-beside-a-word", "span-code", "quoted-request-id"}
    return Channel(
        name,
        _on_span(act) if on_span else act,
        facts,
        on_span,
        name not in unsaid
        and not name.startswith("attribute")
        and not facts & {"nothing", "status", "cause"}
        and "second" not in name,
        needs=frozenset(each for each in facts if each.startswith("needs")),
    )


CHANNELS: Final = [
    *(
        _row(name, *row)
        for name, row in (*_RAISED.items(), *(_GROUPED.items() if HAS_GROUPS else ()))
        if HAS_TENACITY or "retry" not in name
    ),
    *(_row(name, *row) for name, row in _FAILED.items()),
    *(_row(name, *row, on_span=True) for name, row in _WRITTEN.items()),
    Channel("own-with-their-message", _own_with_their(message="message"), frozenset({"message"}), mixed=True),
    Channel("own-with-their-body", _own_with_their(body="body"), frozenset({"message"}), mixed=True),
]
REPORTS: Final[dict[str, Callable[[Held, Told], None]]] = {
    **_FAIL_REPORTS,
    **(_GROUP_REPORTS if HAS_GROUPS else {}),
}
"""Who tells both errors, another's and the candidate's own: none of them is a theft."""
