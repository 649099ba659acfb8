"""What a stream says where no SDK reads it: its events, as they pass to litellm's own parser.

litellm reads most providers' streams itself, by an iterator whose `chunk_parser` is handed each event as it was
decoded. That is where an error event is seen. What litellm makes of it is no evidence: its exceptions bear statuses
that nobody sent, and requests that were never made. Of those around it only one whose request or response is the
attempt's own, an HTTP library's, tells how the stream broke.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.evidence.error_body import error_in
from otel_failover._core.failsafe import guarded, read
from otel_failover.integrations.loops.litellm.run import NAME
from otel_failover.integrations.loops.shared.methods import wrap_where_defined

if TYPE_CHECKING:
    from otel_failover._core.evidence.ledger import Ledger

_LINKS: Final = 8
_PARSER: Final = "chunk_parser"
_ledgers: Final[weakref.WeakKeyDictionary[Any, Ledger]] = weakref.WeakKeyDictionary()


@guarded(fallback=False)
def watch(result: Any, ledger: Ledger) -> bool:
    """Let an attempt see the events of its stream.

    Args:
        result: litellm's `CustomStreamWrapper`; it has no iterator before its request is sent.
        ledger: Of the attempt.

    Returns:
        Whether they are seen.
    """
    iterator = read(result, "completion_stream")
    if not wrap_where_defined(NAME, type(iterator), _PARSER, _parse):
        return False
    _ledgers[iterator] = ledger
    return True


def _parse(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `chunk_parser` of an iterator's class: one event, as it was decoded."""
    _see(instance, args[0] if args else kwargs.get("chunk"))
    return wrapped(*args, **kwargs)


@guarded(fallback=None)
def _see(iterator: Any, event: object) -> None:
    ledger = _ledgers.get(iterator)
    if ledger is not None and isinstance(event, Mapping) and (event.get("type") == "error" or event.get("error")):
        ledger.stream.error = error_in(event)


@guarded(fallback=None)
def ended(ledger: Ledger, problem: BaseException | None, *, watched: bool) -> None:
    """Take the end of a stream into the evidence, where no SDK does.

    Args:
        ledger: Of the attempt.
        problem: What came out of the stream, if anything.
        watched: Its events were seen.
    """
    own = ledger.own
    if ledger.calls or not own:
        return
    if own[-1].stream and not watched:
        ledger.unseen = "stream_not_seen"
    bound = _bound(ledger, problem)
    if bound is not None:
        ledger.call_raised(bound)


def _bound(ledger: Ledger, problem: BaseException | None) -> BaseException | None:
    """Return the exception around a failure whose request or response is the attempt's own."""
    link: object = problem
    for _ in range(_LINKS):
        if not isinstance(link, BaseException):
            return None
        request, response = read(link, "request"), read(link, "response")
        if (request is not None and ledger.by_request(request)) or (
            response is not None and ledger.by_response(response)
        ):
            return link
        link = read(link, "__cause__") or read(link, "__context__")
    return None
