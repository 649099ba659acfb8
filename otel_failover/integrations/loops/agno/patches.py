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
from otel_failover._core.config import runtime
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.summary.find_run import remember
from otel_failover.integrations.loops.agno.run import NAME, Pass, watched
from otel_failover.integrations.loops.shared.held_open import NOTHING, is_steps
from otel_failover.integrations.loops.shared.library_run import asking
from otel_failover.integrations.loops.shared.wrappers import aaround, around, driven
from otel_failover.integrations.patching import Library, Patch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context

    from otel_failover._core.runs.attempt import Attempt
    from otel_failover._core.runs.functions import Opened

_RECOVERS: Final = ("recover_from_overflow", "on_context_overflow")
"""What newer releases of agno hand over to shrink a request, by the names it has had."""

# --- one pass ---------------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _pass_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Opened:
    """Return a new pass for an agent or team that has fallback models."""
    model = args[0] if args else kwargs["model"]
    config = args[1] if len(args) > 1 else kwargs.get("fallback_config")
    if not runtime.current().active or not read(config, "has_fallbacks"):
        return NOTHING
    lists: list[Any] = [read(config, name) for name in ("on_error", "on_rate_limit", "on_context_overflow")]
    opened = Pass(model, [list(each) for each in lists if each], kwargs.get("run_response"))
    _remember(kwargs.get("run_response"), opened)
    return opened


@guarded(fallback=None)
def _remember(output: object, opened: Pass) -> None:
    """Let a summary find the pass by the agent's output, which is all that an agent returns of an error."""
    if output is not None:
        remember(output, opened)


def _with_recovery_aside(opened: Opened, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments in which what shrinks a request works where we are now: it may ask a model of its own."""
    given = next((name for name in _RECOVERS if callable(kwargs.get(name))), None)
    if opened is NOTHING or given is None:
        return kwargs
    return {**kwargs, given: _aside(kwargs[given], context_api.get_current())}


def _aside(recover: Callable[[], Any], outside: Context) -> Callable[[], Any]:
    def recovered() -> Any:
        with scope.attached(outside):
            result = recover()
        return _awaited(result, outside) if inspect.isawaitable(result) else result

    return recovered


async def _awaited(result: Any, outside: Context) -> Any:
    with scope.attached(outside):
        return await result


def _run(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `call_model_with_fallback` with a run."""
    opened = _pass_of(args, kwargs)
    given = _with_recovery_aside(opened, kwargs)
    with opened:
        return wrapped(*args, **given)


async def _arun(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `acall_model_with_fallback` with a run."""
    opened = _pass_of(args, kwargs)
    given = _with_recovery_aside(opened, kwargs)
    with opened:
        return await wrapped(*args, **given)


def _run_stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap `call_model_stream_with_fallback`, of either kind, with a run, which begins with the first event."""
    opened = _pass_of(args, kwargs)
    return driven(opened, wrapped(*args, **_with_recovery_aside(opened, kwargs)))


def _choose(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap what chooses the fallback models for an error, and take note of its choice."""
    chosen = wrapped(*args, **kwargs)
    _note_choice(chosen)
    return chosen


@guarded(fallback=None)
def _note_choice(chosen: Any) -> None:
    run = scope.run_in()
    if isinstance(run, Pass) and chosen:
        run.chose(chosen)


# --- one candidate ----------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _attempt_at(model: object) -> Attempt | None:
    """Return the attempt that a call is: at a model of the current pass, outside any attempt of it."""
    opened = asking(Pass)
    return opened.attempt_of(model) if opened is not None else None


def _asked(instance: Any, *_: Any) -> Opened:
    return _attempt_at(instance) or NOTHING


def _stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `Model.response_stream`, of either kind, with an attempt, which lasts as long as the stream."""
    events = wrapped(*args, **kwargs)
    attempt = _attempt_at(instance) if is_steps(events) else None
    return events if attempt is None else watched(events, attempt)


def _where_used() -> tuple[Patch, ...]:
    """Return the places where agents and teams have the loops by name."""
    whole = (("call_model_with_fallback", _run), ("acall_model_with_fallback", _arun))
    streamed = (("call_model_stream_with_fallback", _run_stream), ("acall_model_stream_with_fallback", _run_stream))
    return tuple(
        Patch(f"agno.{owner}.{module}", name, wrapper, "one pass of the chain, imported by name", apart=True)
        for owner in ("agent", "team")
        for module, functions in (("_run", whole), ("_response", streamed))
        for name, wrapper in functions
    )


_BASE: Final = "agno.models.base"

AGNO: Final = Library(
    NAME,
    "agno",
    ">=2.6,<4",
    (
        Patch(
            _BASE,
            "Model.response",
            around(_asked),
            "one model, tools and retries inside; no class of agno overrides it",
        ),
        Patch(_BASE, "Model.aresponse", aaround(_asked), "the same, asynchronous"),
        Patch(_BASE, "Model.response_stream", _stream, "the same, streamed"),
        Patch(_BASE, "Model.aresponse_stream", _stream, "the same, streamed asynchronously"),
        Patch("agno.models.fallback", "get_fallback_models", _choose, "which models are for an error", apart=True),
        *_where_used(),
    ),
)
