"""pydantic-ai: `FallbackModel`, and from 2.64 on the capability `ModelFallback`.

A run is one pass of `FallbackModel.request` or `.request_stream`, or one step of an agent that has `ModelFallback`. It
is never current: pydantic-ai finds its own `chat` span by asking what is current, writes the winner there, and puts its
attempt spans below it. Which run a candidate is asked in stands in the OpenTelemetry context, under a key of our own.

`FallbackModel` has no method that asks one candidate. It calls `model.request`, so that is wrapped on the classes of
the models in a chain when they are first met, and does something only for a model of the current run, called outside
any attempt of it: a wrapping model, or a subclass that calls `super()`, opens no second one. `ModelFallback` asks
through `_agent_graph.model_request`, one call for each candidate, continuations inside.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded, read
from otel_failover.integrations import patching
from otel_failover.integrations.loops.pydantic_ai.run import NAME, RUN, PydanticAIRun
from otel_failover.integrations.loops.shared.held_open import NOTHING, HeldOpen
from otel_failover.integrations.loops.shared.library_run import run_between_attempts
from otel_failover.integrations.loops.shared.methods import class_that_defines, wrap_where_defined
from otel_failover.integrations.loops.shared.streamed_answer import awaited, hand_over, listen
from otel_failover.integrations.loops.shared.wrappers import OpenDuringCall, aaround, around_manager
from otel_failover.integrations.patching import Library, Patch
from otel_failover.integrations.seams import ASYNC_MANAGER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from otel_failover._core.runs.attempt import Attempt

# --- what is wrapped when it is met -----------------------------------------------------------------------------------


def _watch(model: Any) -> bool:
    """Wrap what a chain calls on a model, where its class defines it; False where an object has a method of its own."""
    if not {"request", "request_stream"}.isdisjoint(getattr(model, "__dict__", ())):
        return False
    return _wrap_on(type(model), "request", _ASK) and _wrap_on(type(model), "request_stream", _ask_stream)


def _wrap_on(kind: type, name: str, wrapper: Any) -> bool:
    owner = class_that_defines(kind, name)
    if owner is None or (owner.__module__, owner.__name__) == ("pydantic_ai.models", "Model"):
        # The base's own raises, and is compared by identity to see whether a model can stream: it is left as it is.
        return name != "request"
    return wrap_where_defined(NAME, kind, name, wrapper)


# --- FallbackModel ----------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _run_of(instance: Any, *_: Any) -> HeldOpen:
    """Return a new run of a `FallbackModel`; `NOTHING` where a candidate's calls cannot be seen."""
    models = tuple(instance.models)
    if not all(map(_watch, models)):
        return NOTHING
    _watch_handlers(instance)
    return PydanticAIRun(models)


def _watch_handlers(instance: Any) -> None:
    """Wrap what asks the handlers of `fallback_on`: they may ask models of the chain themselves, to judge an answer."""
    predicates = type(read(instance, "_predicates"))
    places = [(predicates, "should_fallback"), *((each, "_should_fallback") for each in type(instance).__mro__)]
    for owner, name in places:
        if inspect.iscoroutinefunction(vars(owner).get(name)):
            patching.also(NAME, owner, name, _judge)


async def _judge(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap the handlers of `fallback_on`: what they ask is no candidate of the run."""
    with scope.attached(context_api.set_value(RUN, None)):
        return await wrapped(*args, **kwargs)


# --- one candidate ----------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _attempt_at(model: Any, step: object = None) -> tuple[PydanticAIRun, Attempt] | None:
    """Return the attempt that a call is: at a model of the current run, outside any attempt of it."""
    run = run_between_attempts(PydanticAIRun, RUN)
    attempt = run.attempt(model) if run is not None and run.step is step else None
    return (run, attempt) if run is not None and attempt is not None else None


def _during_call(found: tuple[PydanticAIRun, Attempt] | None) -> AbstractContextManager[Any]:
    """Return what a call happens in: a response handler or a hook may yet refuse what it answers."""
    return NOTHING if found is None else OpenDuringCall(found[1], found[0].failed)


def _attempt_of(instance: Any, *_: Any) -> AbstractContextManager[Any]:
    """Return the attempt that `request` of a model's class is."""
    return _during_call(_attempt_at(instance))


_ASK: Final = aaround(_attempt_of)


def _ask_stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `request_stream` of a model's class with an attempt, which lasts as long as its stream."""
    return _hand(_attempt_at(instance), wrapped(*args, **kwargs))


def _hand(found: tuple[PydanticAIRun, Attempt] | None, managed: Any) -> Any:
    return managed if found is None else hand_over(found[0].hold(found[1]), managed, _listen)


def _listen(response: object) -> None:
    """Wrap what reads a streamed response, where its class defines it: an error that comes out is the candidate's."""
    for name, wrapper in (("__aiter__", listen), ("prime", awaited)):
        wrap_where_defined(NAME, type(response), name, wrapper)


# --- ModelFallback ----------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _run_of_step(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> HeldOpen:
    """Return a new run for a step of an agent that has `ModelFallback`: the step's model, then the capability's."""
    step = kwargs.get("request_context") or args[2]
    found: list[Any] = []
    (kwargs.get("ctx") or args[0]).deps.root_capability.apply(found.append)
    given = next((each.models for each in found if type(each).__name__ == "ModelFallback"), None)
    if given is None:
        return NOTHING
    others = (each for each in given if each is not step.model and (not isinstance(each, str) or each != step.model_id))
    return PydanticAIRun((step.model, *others), step)


@guarded(fallback=None)
def _attempt_at_step(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[PydanticAIRun, Attempt] | None:
    return _attempt_at(args[0] if args else kwargs["model"], kwargs["request_context"])


def _attempt_of_step(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Return the attempt that asking an agent step's model is."""
    return _during_call(_attempt_at_step(args, kwargs))


def _model_request_stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's
    """Wrap what streams from an agent step's model with an attempt."""
    return _hand(_attempt_at_step(args, kwargs), wrapped(*args, **kwargs))


_FALLBACK: Final = "pydantic_ai.models.fallback"
_GRAPH: Final = "pydantic_ai._agent_graph"
_MODEL: Final = "FallbackModel"
_CAPABILITY: Final = "ModelFallback"

PYDANTIC_AI: Final = Library(
    NAME,
    "pydantic-ai-slim",
    ">=1",
    (
        Patch(
            _FALLBACK,
            "FallbackModel.request",
            aaround(_run_of),
            "one pass of the chain, unchanged since 1.0",
            group=_MODEL,
        ),
        Patch(
            _FALLBACK,
            "FallbackModel.request_stream",
            around_manager(_run_of),
            "one pass of the chain, streamed",
            kind=ASYNC_MANAGER,
            group=_MODEL,
        ),
        Patch(
            _GRAPH,
            "ModelRequestNode._request_attempts",
            aaround(_run_of_step),
            "one step's loop over models",
            "2.64",
            takes="ctx, _, request_context",
            group=_CAPABILITY,
        ),
        Patch(
            _GRAPH,
            "ModelRequestNode._open_stream",
            aaround(_run_of_step),
            "one step's loop until a stream is open",
            "2.64",
            takes="ctx, _, request_context",
            group=_CAPABILITY,
        ),
        Patch(
            _GRAPH,
            "model_request",
            aaround(_attempt_of_step),
            "one model of that loop, continuations inside",
            "2.64",
            takes="model, *, request_context",
            group=_CAPABILITY,
        ),
        Patch(
            _GRAPH,
            "model_request_stream",
            _model_request_stream,
            "the same, streamed",
            "2.64",
            kind=ASYNC_MANAGER,
            takes="model, *, request_context",
            group=_CAPABILITY,
        ),
    ),
)
