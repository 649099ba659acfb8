"""agno: fallback models of agents and teams, from 2.6 on.

A run is one call of `call_model_with_fallback` or of its three siblings, made for an agent or team that has fallback
models. Agents and teams import them by name, so they are wrapped where they are used, in modules that are imported only
when agents, teams or streams first are. A candidate is asked through `response`, `aresponse` or their streams, which
`agno.models.base.Model` alone defines: agno's own retries and its turns with tools happen inside one attempt. What
agno does to shrink a request that was too long belongs to no candidate.

Which fallback models are asked depends on the first error: `on_error`, `on_rate_limit`, `on_context_overflow`. All of
them are the chain, the same model in two lists once. A run that fails with the chosen list used up has stopped for want
of others; an error for which agno has no list is a bypass.

When all have failed, agno raises the first one's error: the run's report. Whoever answers, the result of an agent or
team names the first one: a finding.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.summary.find_run import remember
from otel_failover.integrations.loops.agno.events import watched
from otel_failover.integrations.loops.agno.run import NAME, AgnoRun
from otel_failover.integrations.loops.shared.held_open import NOTHING, HeldOpen, is_steps
from otel_failover.integrations.loops.shared.library_run import current_run, run_between_attempts
from otel_failover.integrations.loops.shared.wrappers import aaround, around, driven, opened_by
from otel_failover.integrations.patching import Library, Patch
from otel_failover.integrations.seams import ASYNC_GENERATOR, GENERATOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from opentelemetry.context import Context

    from otel_failover._core.runs.attempt import Attempt

_RECOVERS: Final = ("recover_from_overflow", "on_context_overflow")
"""What newer releases of agno hand over to shrink a request, by the names it has had."""

# --- one pass ---------------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _run_of(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> HeldOpen:
    """Return a new run for an agent or team that has fallback models."""
    model = args[0] if args else kwargs["model"]
    config = args[1] if len(args) > 1 else kwargs.get("fallback_config")
    if not read(config, "has_fallbacks"):
        return NOTHING
    lists: list[Any] = [read(config, name) for name in ("on_error", "on_rate_limit", "on_context_overflow")]
    run = AgnoRun(model, [list(each) for each in lists if each], kwargs.get("run_response"))
    _remember(kwargs.get("run_response"), run)
    return run


@guarded(fallback=None)
def _remember(output: object, run: AgnoRun) -> None:
    """Let `summarize()` find the run by the agent's output, which is all that an agent returns of an error."""
    if output is not None:
        remember(output, run.run)


def _with_recovery_outside(opened: object, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return arguments in which what shrinks a request works where we are now, outside the run.

    It may ask a model of its own, maybe one of the chain's: that is no candidate's turn.
    """
    given = next((name for name in _RECOVERS if callable(kwargs.get(name))), None)
    if opened is NOTHING or given is None:
        return args, kwargs
    return args, {**kwargs, given: _outside(kwargs[given], context_api.get_current())}


def _outside(recover: Callable[[], Any], context: Context) -> Callable[[], Any]:
    def recovered() -> Any:
        with scope.attached(context):
            result = recover()
        return _awaited(result, context) if inspect.isawaitable(result) else result

    return recovered


async def _awaited(result: Any, context: Context) -> Any:
    with scope.attached(context):
        return await result


def _run_stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `call_model_stream_with_fallback`, of either kind, with a run, which begins with the first event."""
    opened = opened_by(_run_of, instance, args, kwargs)
    args, kwargs = _with_recovery_outside(opened, args, kwargs)
    return driven(opened, wrapped(*args, **kwargs))


def _choose(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap what chooses the fallback models for an error, and take note of its choice."""
    chosen = wrapped(*args, **kwargs)
    _note_choice(chosen)
    return chosen


@guarded(fallback=None)
def _note_choice(chosen: Any) -> None:
    run = current_run(AgnoRun)
    if run is not None and chosen:
        run.chose(chosen)


# --- one candidate ----------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _attempt_at(model: object) -> Attempt | None:
    """Return the attempt that a call is: at a model of the current run, outside any attempt of it."""
    run = run_between_attempts(AgnoRun)
    return run.attempt(model) if run is not None else None


def _attempt_of(instance: Any, *_: Any) -> AbstractContextManager[Any]:
    return _attempt_at(instance) or NOTHING


def _stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `Model.response_stream`, of either kind, with an attempt, which lasts as long as the stream."""
    events = wrapped(*args, **kwargs)
    attempt = _attempt_at(instance) if is_steps(events) else None
    return events if attempt is None else watched(events, attempt)


def _where_used() -> tuple[Patch, ...]:
    """Return the places where agents and teams have the loops by name."""
    run, arun = (each(_run_of, _with_recovery_outside) for each in (around, aaround))
    whole = (("call_model_with_fallback", run, ""), ("acall_model_with_fallback", arun, ""))
    streamed = (
        ("call_model_stream_with_fallback", _run_stream, GENERATOR),
        ("acall_model_stream_with_fallback", _run_stream, ASYNC_GENERATOR),
    )
    why, takes = "one pass of the chain, imported by name", "model, fallback_config, *, run_response"
    return tuple(
        Patch(f"agno.{owner}.{module}", name, wrapper, why, apart=True, kind=kind, takes=takes)
        for owner in ("agent", "team")
        for module, functions in (("_run", whole), ("_response", streamed))
        for name, wrapper, kind in functions
    )


_BASE: Final = "agno.models.base"

AGNO: Final = Library(
    NAME,
    "agno",
    ">=2.6",
    (
        Patch(
            _BASE,
            "Model.response",
            around(_attempt_of),
            "one model, tools and retries inside; no class of agno overrides it",
        ),
        Patch(_BASE, "Model.aresponse", aaround(_attempt_of), "the same, asynchronous"),
        Patch(_BASE, "Model.response_stream", _stream, "the same, streamed", kind=GENERATOR),
        Patch(_BASE, "Model.aresponse_stream", _stream, "the same, streamed asynchronously", kind=ASYNC_GENERATOR),
        Patch("agno.models.fallback", "get_fallback_models", _choose, "which models are for an error", apart=True),
        *_where_used(),
    ),
)
