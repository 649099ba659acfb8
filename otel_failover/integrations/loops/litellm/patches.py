"""litellm's own loops: `Router`, and `completion` / `acompletion` with `fallbacks=[...]`.

A run is the outermost hop of `Router.async_function_with_fallbacks`, which calls itself for each group that it falls
back to and stands below the synchronous methods too; or one pass of `async_completion_with_fallbacks`. An attempt is
one call of `litellm.acompletion` or its like that such a loop makes, retries in a group each of their own; the same
functions called by anybody else are left alone. A group that fails though none was made was passed over.

litellm's callbacks write on whatever span is current: a run is never current, and what logs a call is run in the
context that it would see without us. Synchronous loops inside a running event loop work in a thread without a context:
it is carried there.
"""

from __future__ import annotations

import inspect
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded, text_of
from otel_failover.integrations import patching
from otel_failover.integrations.loops.litellm import native_core, streams
from otel_failover.integrations.loops.litellm.candidates import chain_of, chain_of_models
from otel_failover.integrations.loops.litellm.run import (
    NAME,
    RUN,
    LitellmRun,
    SynchronousCall,
    current,
    is_trying,
    noted_in_call,
)
from otel_failover.integrations.loops.shared.held_open import NOTHING, OpenPastCall
from otel_failover.integrations.loops.shared.wrappers import (
    OpenDuringCall,
    aaround_result,
    around_result,
    opened_by,
)
from otel_failover.integrations.patching import Library, Patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context

    from otel_failover.integrations.loops.shared.held_open import HeldOpen

_OPERATIONS: Final = {
    "_completion": "chat",
    "_acompletion": "chat",
    "_embedding": "embeddings",
    "_aembedding": "embeddings",
    "_atext_completion": "text_completion",
    "_image_generation": "generate_content",
    "_aimage_generation": "generate_content",
}
"""What the router's own functions ask for; a loop over any other is none of ours."""
_GENERIC: Final = {"aresponses": "chat", "anthropic_messages": "chat"}
"""The same, of litellm's functions that it asks by one and the same function of its own."""

# --- runs -------------------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _run_of(router: Any, _: tuple[Any, ...], kwargs: Mapping[str, Any]) -> HeldOpen:
    """Return a new run for the outermost hop of a router, which the router's stream keeps open."""
    generic = kwargs.get("original_generic_function")
    known, function = (_OPERATIONS, kwargs.get("original_function")) if generic is None else (_GENERIC, generic)
    operation = known.get(getattr(function, "__name__", ""))
    around = current()
    if operation is None:
        return NOTHING
    if around is not None and kwargs.get("fallback_depth") and not is_trying(around):
        return NOTHING
    run = LitellmRun(operation, text_of(kwargs.get("model")), chain_of(router, kwargs), router)
    return OpenPastCall(run, partial(streams.drive, run))


async def _hop(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `Router.async_function_with_fallbacks`, one hop of a router; the first is its loop.

    A router that was built before us has its own hold of what it is to ask.
    """
    opened = opened_by(_run_of, instance, args, kwargs)
    asks = kwargs.get("original_generic_function")
    if opened is not NOTHING and asks is not None and not isinstance(asks, patching.Wrapper):
        kwargs = {**kwargs, "original_generic_function": patching.Wrapper(asks, _aask)}
    with opened:
        return opened.returned(await wrapped(*args, **kwargs))


@guarded(fallback=NOTHING)
def _run_over_models(_: Any, __: tuple[Any, ...], kwargs: Mapping[str, Any]) -> HeldOpen:
    """Return a new run for `completion(fallbacks=[...])`."""
    run = noted_in_call(LitellmRun("chat", text_of(kwargs.get("model")), chain_of_models(kwargs)))
    return OpenPastCall(run, partial(streams.drive, run))


async def _group(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `Router.async_function_with_retries`, one model group: failing before anybody was asked, it is a skip."""
    run, group = current(), kwargs.get("model")
    tried = run.tried if run is not None else 0
    try:
        return await wrapped(*args, **kwargs)
    except Exception as problem:
        if run is not None and run.router is not None and run.tried == tried:
            run.passed_over(group, problem)
        raise


# --- attempts ---------------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _attempt_of(function: Any, args: Any, kwargs: Any) -> HeldOpen:
    """Return the attempt that a call is, where a run makes it; the router may yet refuse what it answers."""
    run = current()
    if run is None or is_trying(run):
        return NOTHING
    asked = {**dict(zip(inspect.signature(function).parameters, args, strict=False)), **kwargs} if args else kwargs
    attempt = run.attempt(asked)
    return streams.OpenPastStream(run, attempt) if kwargs.get("stream") else OpenDuringCall(attempt)


async def _aask(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `litellm.acompletion` with an attempt, which a stream keeps open."""
    opened = _attempt_of(wrapped, args, kwargs)
    with opened:
        return opened.returned(await wrapped(*args, **kwargs))


def _ask(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `litellm.completion` likewise; outside a loop, it may be the synchronous way into one."""
    attempt = _attempt_of(wrapped, args, kwargs)
    opened = SynchronousCall() if attempt is NOTHING else attempt
    with opened:
        return opened.returned(wrapped(*args, **kwargs))


# --- contexts ---------------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _outside() -> Context | None:
    """Return the context as it would be without us; None where it is."""
    run = context_api.get_value(RUN)
    return run.outside() if isinstance(run, LitellmRun) else None


def _log(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap what logs a call: its callbacks write on the span that is current, which must not be ours."""
    with scope.attached(_outside()):
        return wrapped(*args, **kwargs)


async def _alog(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap what logs a call, likewise."""
    with scope.attached(_outside()):
        return await wrapped(*args, **kwargs)


def _in_thread(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `run_async_function`, which works in a thread where a loop is running: carry the context there."""
    function = args[0] if args else kwargs["async_function"]
    around = context_api.get_current()

    async def carried(*given: Any, **named: Any) -> Any:
        with scope.attached(around):
            return await function(*given, **named)

    if args:
        return wrapped(carried, *args[1:], **kwargs)
    return wrapped(**{**kwargs, "async_function": carried})


@guarded(fallback=None)
def _carry(module: Any) -> None:
    """Wrap the copy of `run_async_function` that a router's module has; which module that is depends on the version."""
    if module is not None and hasattr(module, "run_async_function"):
        patching.also(NAME, module, "run_async_function", _in_thread)


def _hop_sync(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `Router.function_with_fallbacks`, below which the context may be lost."""
    _carry(sys.modules.get(wrapped.__module__))
    return wrapped(*args, **kwargs)


_MODELS: Final = aaround_result(_run_over_models)
_FALLBACK: Final = "litellm.litellm_core_utils.fallback_utils"
_STREAM: Final = "litellm.litellm_core_utils.streaming_handler"
_LOGGING: Final = "litellm.litellm_core_utils.litellm_logging"
_ASKED: Final = "what its loops call for one candidate, found there at each call"
_LOGS: Final = "what runs the callbacks for one call"

_CORE: Final = "litellm.router_rust.core"
_DRIVE: Final = aaround_result(native_core.run_of)
_CALL: Final = around_result(native_core.run_of)
_ASYNCHRONOUS: Final = (
    "acompletion",
    "aembedding",
    "atext_completion",
    "aimage_generation",
    "aresponses",
    "anthropic_messages",
)
_SYNCHRONOUS: Final = ("completion", "embedding", "image_generation")


def _router(name: str, wrapper: Any, why: str) -> Patch:
    """Return a place of the router that is written in Python, before litellm 1.110."""
    return Patch("litellm.router", f"Router.{name}", wrapper, why, unless=_CORE, group="routers")


def _core(name: str, wrapper: Any, why: str, takes: str) -> Patch:
    """Return a place of the router whose core is native, from litellm 1.110."""
    return Patch(_CORE, name, wrapper, why, apart=True, takes=takes, group="routers")


LITELLM: Final = Library(
    NAME,
    "litellm",
    ">=1.70",
    (
        _router("async_function_with_fallbacks", _hop, "one hop of a router; the first is its loop"),
        _router("async_function_with_retries", _group, "one model group, retries inside it"),
        _router("function_with_fallbacks", _hop_sync, "the synchronous way into the same loop"),
        Patch(_FALLBACK, "async_completion_with_fallbacks", _MODELS, "the loop of completion(fallbacks=)"),
        Patch("litellm.main", "async_completion_with_fallbacks", _MODELS, "acompletion's copy of it, taken by name"),
        Patch(_FALLBACK, "run_async_function", _in_thread, "its copy, for completion(fallbacks=)"),
        *(Patch("litellm", name, _aask, _ASKED) for name in _ASYNCHRONOUS),
        *(Patch("litellm", name, _ask, _ASKED) for name in _SYNCHRONOUS),
        Patch(_STREAM, "CustomStreamWrapper.__anext__", streams.anext_chunk, "one chunk of an answer"),
        Patch(_STREAM, "CustomStreamWrapper.__next__", streams.next_chunk, "the same"),
        Patch(_STREAM, "CustomStreamWrapper.fetch_stream", streams.afetch, "sends the request of a lazy stream"),
        Patch(_STREAM, "CustomStreamWrapper.fetch_sync_stream", streams.fetch, "the same"),
        Patch(_LOGGING, "Logging.success_handler", _log, _LOGS),
        Patch(_LOGGING, "Logging.failure_handler", _log, _LOGS),
        Patch(_LOGGING, "Logging.async_success_handler", _alog, _LOGS),
        Patch(_LOGGING, "Logging.async_failure_handler", _alog, _LOGS),
        _core("RustCore._drive", _DRIVE, "one call of a router", "plan, request"),
        _core("RustCore._call_sync", _CALL, "the same, synchronous", "plan, request"),
        _core("_Driver.take_events", native_core.events, "tells what native code has decided", "events"),
        _core("_Driver.allow_fallback", native_core.allowed, "whether a group may be asked", "target"),
    ),
)
