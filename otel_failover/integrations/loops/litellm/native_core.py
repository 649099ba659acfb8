"""litellm 1.110 and newer: native code decides what a router does next, and Python makes each step.

There is no recursion. One call of an endpoint is one pass of `RustCore._drive`, or `_call_sync`; each hop of it is told
as an event, and a group in which nobody was asked has been passed over. An attempt is what the host's `invoke` gives: a
function of litellm's own, looked up at each step. Where a stream fails before its output began, the router goes on
asking while the host reads, in the context of that step: the run is kept open by what the endpoint has returned.

The module is imported with the first router that is built. It is never imported by us.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.failsafe import guarded, read, text_of
from otel_failover.integrations.loops.litellm import streams
from otel_failover.integrations.loops.litellm.candidates import chain_of
from otel_failover.integrations.loops.litellm.run import LitellmRun, current
from otel_failover.integrations.loops.shared.held_open import NOTHING, OpenPastCall

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_failover.integrations.loops.shared.held_open import HeldOpen

_OPERATIONS: Final = {
    "chat": "chat",
    "text": "text_completion",
    "embedding": "embeddings",
    "image": "generate_content",
}
"""By the kind of a plan, what its endpoint asks for."""
_GENERIC: Final = {
    "aresponses": "chat",
    "aanthropic_messages": "chat",
    "anthropic_messages": "chat",
}
"""By the name of an endpoint, where all the others are of one kind; what is no inference is none of ours."""
_REASONS: Final = {
    "no_healthy_deployments": "cooldown",
    "unknown_model": "not_configured",
    "unsupported_params": "unsupported",
    "endpoint_not_supported": "unsupported",
    "over_budget": "budget",
    "not_authorized": "not_allowed",
}
"""Why nobody of a group was asked, in our words; any other word of the router's stands as it is."""
_LEFT: Final = ("falling_back", "fallback", "fallback_done", "fallbacks_failed")
"""Events by which the router has left a hop, whatever became of it."""

_runs: Final[weakref.WeakKeyDictionary[Any, LitellmRun]] = weakref.WeakKeyDictionary()
"""The run of a driver: a synchronous router checks in a thread without a context whom it may ask."""


@guarded(fallback=NOTHING)
def run_of(core: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> HeldOpen:
    """Return a new run for one call of an endpoint, which its stream keeps open.

    Args:
        core: The router's core: its settings and deployments are read from it.
        args: Plan and request.
        kwargs: The same, by name.
    """
    plan, request = (
        args[place] if len(args) > place else kwargs[name] for place, name in enumerate(("plan", "request"))
    )
    operation = None if plan.single_attempt else _OPERATIONS.get(plan.kind)
    if plan.kind == "generic":
        operation = _GENERIC.get(plan.endpoint)
    if operation is None:
        return NOTHING
    run = LitellmRun(operation, text_of(request.get("model")), chain_of(core, request), core)
    run.begin_hop(text_of(request.get("model")))
    return OpenPastCall(run, partial(streams.drive, run))


def events(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `_Driver.take_events`, by which all that native code has decided is told."""
    result = wrapped(*args, **kwargs)
    run = current()
    if run is not None:
        _note(run, instance, args[0] if args else kwargs.get("events"))
    return result


@guarded(fallback=None)
def _note(run: LitellmRun, driver: Any, told: Any) -> None:
    for event in told or ():
        kind = event.get("kind")
        if kind == "pick_failed":
            run.pick_failed(_reason(event.get("error_kind")))
        elif kind in _LEFT:
            problem: Any = read(driver, "last_error")
            run.leave_hop(problem)
            _runs[driver] = run
        if kind == "fallback":
            again = event.get("from") == event.get("to")
            run.begin_hop(text_of(event.get("to") or event.get("unroutable")), event.get("order"), again=again)
            if "unroutable" in event:
                run.pick_failed(_REASONS["unknown_model"])


def _reason(word: object) -> str:
    said = text_of(word)
    return _REASONS.get(said, said)


async def allowed(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `_Driver.allow_fallback`: whom it refuses is passed over, without any event."""
    answer = await wrapped(*args, **kwargs)
    if answer is False:
        _note_refused(instance, args[0] if args else kwargs.get("target"))
    return answer


@guarded(fallback=None)
def _note_refused(driver: Any, target: object) -> None:
    run = current() or _runs.get(driver)
    if run is not None and run.goes_on:
        told = dict(_refused_by(driver))
        run.refused(text_of(target), _reason(told.get(text_of(target)) or "not_authorized"))


@guarded(fallback=())
def _refused_by(driver: Any) -> Iterator[tuple[str, str]]:
    """Yield whom a driver has refused, and why."""
    return ((each.target, each.reason.value) for each in driver._walk.targets().skipped)
