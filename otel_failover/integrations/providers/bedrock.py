"""Bedrock by botocore 1.35 to 1.44: `Converse` and `InvokeModel`, whole and streamed.

One logical call is one `BaseClient._make_api_call` of a `bedrock-runtime` client, its retries inside; all other
services pass untouched. A streamed answer is read from an `EventStream`, an invoked model's from a `StreamingBody`: the
call stays open until that ends, fails, is closed or is dropped. `ClientError` carries a copy of the facts instead of
the response; it is bound to the response with its request id. Guardrails, token counts and asynchronous invocations
are no inference. aiobotocore does not pass here: its calls are seen by wire.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from otel_failover._core.domain.asked import Asked
from otel_failover._core.domain.endpoint import base_of, endpoint_of
from otel_failover._core.evidence import call_error
from otel_failover._core.evidence.error_body import error_in
from otel_failover._core.failsafe import guarded, read, text_of
from otel_failover._core.runs import call as calls
from otel_failover.integrations.patching import Library, Patch
from otel_failover.integrations.providers import other_instrumentations
from otel_failover.integrations.providers.bedrock_shapes import Answer, document_in, document_of, shown, text_in
from otel_failover.integrations.seams import GENERATOR

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

    from otel_failover._core.runs.call import Call

_SDK: Final = "bedrock"
_SERVICE: Final = "bedrock-runtime"
_OPERATIONS: Final = frozenset({"Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream"})
_READ_LATER: Final = _OPERATIONS - {"Converse"}
_AWS_HOSTS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn")
_RETRIES: Final = {"legacy": 4, "standard": 2, "adaptive": 2}
_KEPT: Final = 65_536
_END: Final[Any] = object()

_reading: Final[weakref.WeakKeyDictionary[Any, Call]] = weakref.WeakKeyDictionary()
"""Calls by the stream or body that the host reads their answer from."""


# --- what was asked ---------------------------------------------------------------------------------------------------


def _asked(client: Any, operation_name: str, api_params: Any) -> Asked | None:
    """Read what a client was asked; None where it is no Bedrock client."""
    if client.meta.service_model.service_name != _SERVICE:
        return None
    endpoint = endpoint_of(client.meta.endpoint_url) or ""
    model = api_params.get("modelId") if isinstance(api_params, Mapping) else None
    model = model if isinstance(model, str) else ""
    return Asked(
        sdk=_SDK,
        operation=_operation(operation_name, model),
        model=model,
        endpoint=endpoint,
        is_default=(urlsplit(endpoint).hostname or "").endswith(_AWS_HOSTS),
        provider="aws.bedrock",
        credential=_credential(client),
        streamed=operation_name in _READ_LATER,
        own_spans=other_instrumentations.is_instrumented_by_others(_SDK),
        retries=_retries(client.meta.config),
        body=api_params,
        base=base_of(text_of(client.meta.endpoint_url)),
        told="aws.bedrock",
    )


def _operation(name: str, model: str) -> str | None:
    """Return what is asked for: an invoked model may be of any kind, and its name tells which."""
    if name not in _OPERATIONS:
        return None
    if name.startswith("Invoke"):
        from otel_failover._core.evidence.dialects.models import (
            answers_nobody,
            makes_media,
        )  # late: for the import budget

        if "embed" in model:
            return "embeddings" if name == "InvokeModel" else "chat"
        if answers_nobody(model):
            return None
        if makes_media(model):
            return "generate_content"
    return "chat"


def _credential(client: Any) -> object:
    """Return the access key's id, to keep two accounts apart; compared in memory only.

    Read past the properties: asking for it may send a request for fresh credentials.
    """
    held = read(read(read(client, "_request_signer"), "_credentials"), "__dict__")
    return (held.get("_access_key") or held.get("access_key")) if isinstance(held, dict) else None


def _retries(config: Any) -> int | None:
    """Return how often the client tries again, as botocore has worked it out of its configuration."""
    given = read(config, "retries")
    if not isinstance(given, Mapping):
        return None
    total = given.get("total_max_attempts")
    return max(0, total - 1) if isinstance(total, int) else _RETRIES.get(str(given.get("mode")))


# --- calls ------------------------------------------------------------------------------------------------------------


def api_call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `BaseClient._make_api_call(operation_name, api_params)`: open, call, settle."""
    with calls.opened(lambda: _asked(instance, *args, **kwargs)) as call, _Binding(call):
        result = wrapped(*args, **kwargs)
        _settle(call, result)
    return result


class _Binding:
    """Binds a `ClientError` to the response that it was made of, before the call settles with it.

    It carries a copy of the facts and no object of the wire; the call's last response has its request id.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        """Wait for an exception."""

    @guarded(fallback=None)
    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        said = read(problem, "response")
        issued = said.get("ResponseMetadata", {}).get("RequestId") if isinstance(said, Mapping) else None
        own = self._call.ledger.own if self._call.ledger is not None and issued else []
        if problem is not None and own and own[-1].request_id == issued and own[-1].response is not None:
            call_error.carry(problem, own[-1].response.target)


def _settle(call: Call, result: Any) -> None:
    """Settle a call with its answer; one that the host reads later settles when it has."""
    if call.asked.streamed:
        _watch(call, result)
    call.returned(_answer(result) if call.inference and not call.asked.streamed else None)


@guarded(fallback=None)
def _answer(result: Any) -> Answer | None:
    return shown(result)


@guarded(fallback=None)
def _watch(call: Call, result: Any) -> None:
    """Keep a call open whose answer the host reads later."""
    stream = _stream_in(result)
    if stream is None:
        call.unseen("stream_not_seen")
    else:
        call.stream_opened(stream)
        _reading[stream] = call


def _stream_in(result: Mapping[str, Any]) -> Any:
    """Return botocore's own stream or body: another instrumentation may have put an object of its own around it."""
    found: Any = result.get("stream", result.get("body"))
    while (inner := getattr(found, "__wrapped__", None)) is not None:
        found = inner
    return found if hasattr(found, "_raw_stream") else None


# --- streams ----------------------------------------------------------------------------------------------------------


def events(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `EventStream.__iter__`: hand its events on, one by one."""
    inner = wrapped(*args, **kwargs)
    call = _reading.get(instance) if _reading else None
    if call is None or call.done:
        return inner
    steps = _listened(inner, call)
    _look_alike(steps, inner)
    return steps


@guarded(fallback=None)
def _look_alike(steps: Any, inner: Any) -> None:
    """Name our generator as botocore's own."""
    if hasattr(inner, "__qualname__"):
        steps.__name__, steps.__qualname__ = inner.__name__, inner.__qualname__


def _listened(inner: Any, call: Call) -> Generator[Any, Any, None]:
    """Hand the events on.

    A host that stops early may ask the same stream for another iterator later, and read on. So a generator of ours that
    is closed does not end the call: the stream does, when it is read to its end, closed or collected.
    """
    try:
        while (event := _step(inner, call)) is not _END:
            _hear(call, event)
            yield event
    except GeneratorExit:
        if hasattr(inner, "close"):
            inner.close()
        raise
    call.stream_ended()


def _step(inner: Any, call: Call) -> Any:
    """Take one event; what breaks the stream off settles the call."""
    call.busy = True
    try:
        return next(inner, _END)
    except BaseException as problem:
        _failed(call, problem)
        raise
    finally:
        call.busy = False


@guarded(fallback=None)
def _hear(call: Call, event: Mapping[str, Any]) -> None:
    text = text_in(event)
    call.stream_chunk(text)
    if not text and (said := document_in(event)) is not None:
        call.stream_doubted(said)


@guarded(fallback=None)
def _failed(call: Call, problem: BaseException) -> None:
    """Settle with what broke the stream off: `EventStreamError` states the exception event that it was made of."""
    said = read(problem, "response")
    if isinstance(said, Mapping):
        call.stream_chunk(None, error_in(said))
    call.stream_ended(problem)


def body(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `StreamingBody.read(amt=None)`: the answer of an invoked model, once the host has read it."""
    call = _reading.get(instance) if _reading else None
    if call is None or call.done:
        return wrapped(*args, **kwargs)
    call.busy = True
    try:
        piece = wrapped(*args, **kwargs)
    except BaseException as problem:
        call.stream_ended(problem)
        raise
    finally:
        call.busy = False
    _has_read(call, piece, args[0] if args else kwargs.get("amt"))
    return piece


@guarded(fallback=None)
def _has_read(call: Call, piece: bytes, wanted: int | None) -> None:
    call.stream_chunk(piece[:_KEPT].decode("utf-8", "replace"))
    if (said := document_of(piece)) is not None:
        call.stream_doubted(said)
    if wanted is None or not piece:
        call.stream_ended()


def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `close` of a stream or body: a consumer that stops early."""
    try:
        return wrapped(*args, **kwargs)
    finally:
        call = _reading.get(instance) if _reading else None
        if call is not None:
            call.response_closed()


_CLOSED: Final = "the end of a stream that is closed early"
_CALL: Final = "one logical call: its retries are inside"
_EVENTS: Final = "every event of a streamed answer"
_BODY: Final = "every way of reading an invoked model's answer"

BEDROCK: Final = Library(
    _SDK,
    "botocore",
    ">=1.35",
    (
        Patch("botocore.client", "BaseClient._make_api_call", api_call, _CALL, takes="operation_name, api_params"),
        Patch("botocore.eventstream", "EventStream.__iter__", events, _EVENTS, kind=GENERATOR),
        Patch("botocore.eventstream", "EventStream.close", close, _CLOSED),
        Patch("botocore.response", "StreamingBody.read", body, _BODY, takes="amt"),
        Patch("botocore.response", "StreamingBody.close", close, _CLOSED),
    ),
)
"""What is wrapped of botocore for Bedrock."""
