"""Which requests are calls by wire, and how one is opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core import context as scope
from otel_failover._core.config import runtime
from otel_failover._core.context import is_suppressed
from otel_failover._core.domain.asked import Asked
from otel_failover._core.domain.endpoint import host_of, names_of
from otel_failover._core.domain.providers import provider_of_host
from otel_failover._core.evidence import headers as header_facts
from otel_failover._core.evidence.error_body import content_of
from otel_failover._core.evidence.exchange import Exchange
from otel_failover._core.evidence.ledger import current_ledger
from otel_failover._core.evidence.orphans import orphans
from otel_failover._core.failsafe import guarded, read, text_of
from otel_failover._core.runs.by_wire import other_spans
from otel_failover._core.runs.by_wire.call import WireCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    from otel_failover._core.evidence.ledger import Ledger


@guarded(fallback=None)
def opened(
    endpoint: str, request: Callable[[], object], current: Context, *, stream: bool, later: bool
) -> Exchange | None:
    """Open the call that a POST is, where it asks a model.

    Args:
        endpoint: Scheme, host and port it goes to.
        request: Makes what is remembered of it.
        current: The context in which it is sent; no open SDK call there claims it.
        stream: The host asked the library for a body that it reads later.
        later: It reads it later anyway.

    Returns:
        The request, as the ledger of the call's attempt has it; None where it is no call.
    """
    from otel_failover._core.evidence.dialects.paths import is_inference_path  # late: for the import budget

    host = host_of(endpoint)
    sent = request()
    path, query = _target(read(sent, "url"))
    if not is_inference_path(host, path):
        return None
    ledger = current_ledger(current)
    if ledger is None and is_suppressed(current):
        return None
    found = _read(sent, endpoint, host, path, query, current, ledger)
    if found is None:
        return None
    asked, dialect = found
    call = WireCall(asked, dialect, is_read_later=stream or later)
    try:
        call.open()
        if call.ledger is None:
            return None
        exchange = call.wire = Exchange(sent, endpoint, "POST", stream=stream or (later and asked.streamed))
        call.ledger.add(exchange, call)
        _note_repetition(call, sent)
        if call.ledger.rootless:
            orphans.add(exchange)
    except BaseException:
        call.leave()
        raise
    return exchange


@guarded(fallback=None)
def _note_repetition(call: WireCall, sent: object) -> None:
    """Take note of a call that is the one before once more: an SDK's own retry is no call of the loop's.

    SDKs made by Stainless count their retries in a header; of others, a request that is sent again as it was is one.
    """
    attempt, ledger, asked = call.attempt, call.ledger, call.asked
    if attempt is None or ledger is None:
        return
    bare = attempt.run is not None and call.is_the_attempt
    place: Any = attempt.run if bare else ledger
    # aiohttp's body is not encoded yet, which takes its time for a long one.
    document: Any = read(sent, "document")
    content = content_of(sent) if document is None or _is_short(document) else None
    body = hash(content) if isinstance(content, bytes) and len(content) <= _HASHED else None
    who = (asked.endpoint, asked.base, asked.model, asked.credential)
    before, place.last_sent = read(place, "last_sent"), (who, body)
    headers: Any = read(sent, "headers")
    counted = text_of(headers.get("x-stainless-retry-count") or "") if headers is not None else ""
    if not isinstance(before, tuple) or before[0] != who:
        return
    if int(counted) > 0 if counted.isdecimal() else (body is not None and before[1] == body):
        if bare:
            attempt.repeats = True
        else:
            ledger.calls -= 1


_HASHED: Final = 65_536


def _is_short(document: object) -> bool:
    """Whether a body that is not encoded yet will be short enough to be compared whole.

    Args:
        document: As the library will encode it.
    """
    waiting, left = [document], _HASHED
    while waiting and left > 0:
        each: Any = waiting.pop()
        left -= 1
        if isinstance(each, str):
            left -= len(each)
        elif isinstance(each, Mapping):
            waiting += each.values()
        elif isinstance(each, (list, tuple)):
            waiting += each
    return left > 0


def _read(
    sent: object, endpoint: str, host: str, path: str, query: str, current: Context, ledger: Ledger | None
) -> tuple[Asked, str] | None:
    """Return what a request asks, and in which dialect; None where it asks no model."""
    from otel_failover._core.evidence.dialects.inference import inference_in  # late: few requests come here

    headers: Any = read(sent, "headers")
    if type(headers) is dict:
        headers = {text_of(name).lower(): value for name, value in headers.items()}
    document: Any = read(sent, "document")
    content = content_of(sent) if document is None else sketch(document)
    is_named = _is_named(endpoint, current, ledger)
    found = inference_in(
        host,
        path,
        query,
        headers if headers is not None else {},
        content if isinstance(content, bytes) else None,
        is_known=is_named or endpoint in runtime.endpoints or provider_of_host(host) is not None,
        is_named=is_named,
    )
    if found is None:
        return None
    asked = Asked(
        sdk="",
        operation=found.operation,
        model=found.model,
        endpoint=endpoint,
        is_default=False,
        provider="",
        credential=header_facts.credential_of(headers, read(sent, "url")),
        streamed=found.streamed,
        own_spans=other_spans.makes_one(current, provider_of_host(host)),
        body=document if document is not None else found.body if found.body is not None else content,
        base=found.base,
    )
    return asked, found.dialect


def _is_named(endpoint: str, current: Context, ledger: Ledger | None) -> bool:
    """Whether the user has named a host: an alias, a gateway, a member of the chain."""
    active = runtime.current()
    names = names_of(endpoint)
    if any(name in active.aliases or name in active.gateways for name in names) or (
        ledger is not None and ledger.endpoint == endpoint
    ):
        return True
    run = scope.run_in(current)
    return run is not None and endpoint in run.chain.endpoints


def sketch(document: object) -> bytes:
    """Return the outline of a body that is not encoded yet: which keys it has, and the short ones of its values.

    Args:
        document: As the library will encode it: to do that for a long one takes its time.
    """
    return json.dumps(_outline(document, 3), default=str).encode()


def _outline(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value[:_SHORT]
    if isinstance(value, Mapping):
        return {str(key): _outline(each, depth - 1) for key, each in value.items()} if depth else {}
    if isinstance(value, (list, tuple)):
        return [_outline(each, depth - 1) for each in value[-_FEW:]] if depth else []
    return value if value is None or isinstance(value, (bool, int, float)) else text_of(value)[:_SHORT]


_SHORT: Final = 512
_FEW: Final = 32


def _target(url: Any) -> tuple[str, str]:
    """Return the path of a URL, as it is sent, and its query."""
    raw = read(url, "raw_path")
    if isinstance(raw, bytes):
        path, _, query = raw.decode("latin-1").partition("?")
        return path, query
    before, separator, rest = text_of(url).partition("#")[0].partition("://")
    path, _, query = (rest if separator else before).partition("?")
    return (path[path.find("/") :] if "/" in path else "/") if separator else path, query
