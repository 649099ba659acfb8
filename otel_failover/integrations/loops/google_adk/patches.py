"""google-adk: `FallbackModel`, from 2.9 on.

A run is one pass of `FallbackModel.generate_content_async`, streamed or not: both are an asynchronous generator. An
entry of its chain may be a name; `FallbackModel._delegate` makes a model of it, right before it is asked. That is where
a candidate is met: `generate_content_async` is wrapped on its class, and is an attempt only for the model that
`_delegate` has just given to the current run, so that a wrapping model, or a subclass that calls `super()`, makes no
second one.

Live sessions (`FallbackModel.connect`) speak over WebSockets, which are not seen: they are left alone.
"""

from __future__ import annotations

from typing import Any, Final

from otel_failover._core.failsafe import guarded
from otel_failover.integrations.loops.google_adk.run import NAME, AdkRun
from otel_failover.integrations.loops.shared.held_open import NOTHING, HeldOpen
from otel_failover.integrations.loops.shared.library_run import run_between_attempts
from otel_failover.integrations.loops.shared.methods import wrap_where_defined
from otel_failover.integrations.loops.shared.wrappers import steps
from otel_failover.integrations.patching import Library, Patch
from otel_failover.integrations.seams import ASYNC_GENERATOR

_METHOD: Final = "generate_content_async"

# --- what is wrapped --------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _run_of(instance: Any, *_: Any) -> HeldOpen:
    """Return a new run of a `FallbackModel`."""
    return AdkRun(instance)


def _delegate(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `FallbackModel._delegate`: the run learns who is asked next, and that model's class is wrapped."""
    delegate = wrapped(*args, **kwargs)
    _expect(instance, args[0] if args else kwargs.get("entry"), delegate)
    return delegate


@guarded(fallback=None)
def _expect(instance: Any, entry: Any, delegate: Any) -> None:
    run = run_between_attempts(AdkRun)
    if run is not None and run.model is instance and wrap_where_defined(NAME, type(delegate), _METHOD, _ASK):
        run.expect(entry, delegate)


@guarded(fallback=NOTHING)
def _attempt_at(instance: Any, *_: Any) -> HeldOpen:
    """Return the attempt at the model that is asked next."""
    run = run_between_attempts(AdkRun)
    return (run.attempt(instance) if run is not None else None) or NOTHING


_ASK: Final = steps(_attempt_at)
"""Wraps `generate_content_async` of a candidate's class with an attempt, which lasts as long as its responses."""

_MODULE: Final = "google.adk.models._fallback_model"

GOOGLE_ADK: Final = Library(
    NAME,
    "google-adk",
    ">=2.9",
    (
        Patch(
            _MODULE,
            f"FallbackModel.{_METHOD}",
            steps(_run_of),
            "one pass of the chain, the same from 2.9 to 2.13",
            kind=ASYNC_GENERATOR,
        ),
        Patch(
            _MODULE,
            "FallbackModel._delegate",
            _delegate,
            "where the next candidate is known, by its place too",
            takes="entry",
        ),
    ),
)
"""What is wrapped of google-adk."""
