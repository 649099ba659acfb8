"""The response that an exception carries, also where its library keeps it in no attribute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from otel_failover._core.failsafe import read
from otel_failover._core.references import IdentityMap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_failover._core.evidence.exchange import Exchange


_carried: Final[IdentityMap[object]] = IdentityMap()


def carry(problem: BaseException, response: object) -> None:
    """Remember which HTTP response an exception was made of, where it carries only a copy of its facts.

    Args:
        problem: What an SDK raised, as botocore's `ClientError`; one that cannot be remembered weakly is not.
        response: That it was made of; kept while the exception lives, as other SDKs' exceptions keep theirs.
    """
    _carried.set(problem, response)


def response_of(thing: object) -> object:
    """Return the HTTP response that an SDK's exception carries, under any of its names, or was made of."""
    for name in ("response", "raw_response", "http_response"):
        found = read(thing, name)
        if found is not None and not isinstance(found, (str, bytes, Mapping)):
            return found
    return _carried.get(thing)


def is_of_the_wire(exchanges: Iterable[Exchange], problem: BaseException) -> bool:
    """Whether an exception was made of an answer, or of a transport error, of one of these sends.

    Args:
        exchanges: An attempt's sends, those to somebody else's host included.
        problem: What left its SDK's call.
    """
    response, cause = response_of(problem), read(problem, "__cause__")
    made_in = None if read(problem, "__suppress_context__") else read(problem, "__context__")
    for exchange in exchanges:
        if exchange.response is not None and exchange.response.is_(response):
            return True
        if exchange.failure is not None:
            raised = exchange.problem
            if raised is None or any(raised.is_(each) for each in (problem, cause, made_in)):
                return True
    return False
