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
from otel_failover._core.config import runtime
from otel_failover._core.failsafe import guarded, text_of
from otel_failover.integrations import patching
from otel_failover.integrations.loops.litellm import streams
from otel_failover.integrations.loops.litellm.candidates import chain_of, chain_of_models
from otel_failover.integrations.loops.litellm.run import NAME, PASS, Pass, Sync, current, is_trying
from otel_failover.integrations.loops.shared.held_open import NOTHING, Kept
from otel_failover.integrations.loops.shared.wrappers import Answering
from otel_failover.integrations.patching import Library, Patch

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_failover.integrations.loops.shared.held_open import Openable

_OPERATIONS: Final = {
    "_completion": "chat",
    "_acompletion": "chat",
    "_embedding": "embeddings",
    "_aembedding": "embeddings",
}
"""What the router's own functions ask for; a loop over any other is none of ours."""

# --- runs -------------------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _pass_of(router: Any, kwargs: dict[str, Any]) -> Pass | None:
    """Return a new pass for the outermost hop of a router; None for one inside it."""
    operation = _OPERATIONS.get(getattr(kwargs.get("original_function"), "__name__", ""))
    around = current()
    if operation is None or not runtime.current().active:
        return None
    if around is not None and kwargs.get("fallback_depth") and not is_trying(around):
        return None
    return Pass(operation, text_of(kwargs.get("model")), chain_of(router, kwargs), router)


@guarded(fallback=None)
def _pass_over_models(kwargs: dict[str, Any]) -> Pass | None:
    """Return a new pass for `completion(fallbacks=[...])`."""
    if not runtime.current().active:
        return None
    return Sync.note(Pass("chat", text_of(kwargs.get("model")), chain_of_models(kwargs)))


async def _run(opened: Pass | None, wrapped: Any, args: Any, kwargs: Any) -> Any:
    """Call a loop inside its run, which a router's stream keeps open."""
    if opened is None:
        return await wrapped(*args, **kwargs)
    with Kept(opened, partial(streams.drive, opened)) as kept:
        return kept.told(await wrapped(*args, **kwargs))


async def _hop(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `Router.async_function_with_fallbacks` with a run, where it is the first hop."""
    return await _run(_pass_of(instance, kwargs), wrapped, args, kwargs)


async def _models(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `async_completion_with_fallbacks` with a run."""
    return await _run(_pass_over_models(kwargs), wrapped, args, kwargs)


async def _group(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `Router.async_function_with_retries`, one model group: failing before anybody was asked, it is a skip."""
    opened, group = current(), kwargs.get("model")
    tried = opened.tried if opened is not None else 0
    try:
        return await wrapped(*args, **kwargs)
    except Exception as problem:
        if opened is not None and opened.router is not None and opened.tried == tried:
            opened.passed_over(group, problem)
        raise


# --- attempts ---------------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _attempt_of(function: Any, args: Any, kwargs: Any) -> Openable:
    """Return the attempt that a call is, where a pass makes it; the router may yet refuse what it answers."""
    opened = current()
    if opened is None or is_trying(opened):
        return NOTHING
    asked = {**dict(zip(inspect.signature(function).parameters, args, strict=False)), **kwargs} if args else kwargs
    attempt = opened.attempt(asked)
    return Kept(attempt, partial(streams.hold, opened, attempt)) if kwargs.get("stream") else Answering(attempt)


async def _aask(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `litellm.acompletion` with an attempt, which a stream keeps open."""
    with _attempt_of(wrapped, args, kwargs) as opened:
        return opened.told(await wrapped(*args, **kwargs))


def _ask(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `litellm.completion` likewise; outside a loop, it may be the synchronous way into one."""
    found = _attempt_of(wrapped, args, kwargs)
    opened = Sync() if found is NOTHING else found
    with opened:
        return opened.told(wrapped(*args, **kwargs))


# --- contexts ---------------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _outside() -> Context | None:
    """Return the context as it would be without us; None where it is."""
    opened = context_api.get_value(PASS)
    return opened.outside() if isinstance(opened, Pass) else None


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


_ROUTER: Final = "litellm.router"
_FALLBACK: Final = "litellm.litellm_core_utils.fallback_utils"
_STREAM: Final = "litellm.litellm_core_utils.streaming_handler"
_LOGGING: Final = "litellm.litellm_core_utils.litellm_logging"
_ASKED: Final = "what its loops call for one candidate, found there at each call"
_LOGS: Final = "what runs the callbacks for one call"

LITELLM: Final = Library(
    NAME,
    "litellm",
    ">=1.70,<1.110",
    (
        Patch(_ROUTER, "Router.async_function_with_fallbacks", _hop, "one hop of a router; the first is its loop"),
        Patch(_ROUTER, "Router.async_function_with_retries", _group, "one model group, retries inside it"),
        Patch(_ROUTER, "Router.function_with_fallbacks", _hop_sync, "the synchronous way into the same loop"),
        Patch(_FALLBACK, "async_completion_with_fallbacks", _models, "the loop of completion(fallbacks=)"),
        Patch("litellm.main", "async_completion_with_fallbacks", _models, "acompletion's copy of it, taken by name"),
        Patch(_FALLBACK, "run_async_function", _in_thread, "its copy, for completion(fallbacks=)"),
        Patch("litellm", "acompletion", _aask, _ASKED),
        Patch("litellm", "completion", _ask, _ASKED),
        Patch("litellm", "aembedding", _aask, _ASKED),
        Patch("litellm", "embedding", _ask, _ASKED),
        Patch(_STREAM, "CustomStreamWrapper.__anext__", streams.anext_chunk, "one chunk of an answer"),
        Patch(_STREAM, "CustomStreamWrapper.__next__", streams.next_chunk, "the same"),
        Patch(_STREAM, "CustomStreamWrapper.fetch_stream", streams.afetch, "sends the request of a lazy stream"),
        Patch(_STREAM, "CustomStreamWrapper.fetch_sync_stream", streams.fetch, "the same"),
        Patch(_LOGGING, "Logging.success_handler", _log, _LOGS),
        Patch(_LOGGING, "Logging.failure_handler", _log, _LOGS),
        Patch(_LOGGING, "Logging.async_success_handler", _alog, _LOGS),
        Patch(_LOGGING, "Logging.async_failure_handler", _alog, _LOGS),
    ),
)
