"""google-adk: `FallbackModel`, from 2.9 on.

A run is one pass of `FallbackModel.generate_content_async`, streamed or not: both are an asynchronous generator. An
entry of its chain may be a name; `FallbackModel._delegate` makes a model of it, right before it is asked. That is where
a candidate is met: `generate_content_async` is wrapped on its class, and is an attempt only for the model that
`_delegate` has just given to the current pass, so that a wrapping model, or a subclass that calls `super()`, makes no
second one. Which pass that is stands in the OpenTelemetry context, under a key of our own.

Live sessions (`FallbackModel.connect`) speak over WebSockets, which are not seen: they are left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover._core.config import runtime
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs.run import Run
from otel_failover.integrations import patching
from otel_failover.integrations.loops.google_adk.candidates import candidate_of
from otel_failover.integrations.loops.shared.held_open import NOTHING
from otel_failover.integrations.loops.shared.library_run import MIDWAY, KeyedPass, asking, next_place
from otel_failover.integrations.loops.shared.wrappers import Tried, steps
from otel_failover.integrations.patching import Library, Patch

if TYPE_CHECKING:
    from otel_failover._core.runs.functions import Opened

_NAME: Final = "google_adk"
_METHOD: Final = "generate_content_async"
_PASS: Final = context_api.create_key("failover-google-adk")

# --- one pass ---------------------------------------------------------------------------------------------------------


class _Pass(KeyedPass):
    """One pass of a chain: its run, who stands in it, who is asked next.

    Args:
        model: The `FallbackModel`.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.entries = model, tuple(model.models)
        made = read(model, "_resolved")
        known = made if isinstance(made, dict) else {}
        chain = [candidate_of(each, known.get(each) if isinstance(each, str) else None) for each in self.entries]
        super().__init__(_PASS, Run("chat", chain, library=_NAME))
        self._next: tuple[Any, Any] | None = None
        self._raised: BaseException | None = None

    @guarded(fallback=None)
    def leave(self, problem: BaseException | None) -> None:
        """End the run; an error after the first response ends the loop on purpose."""
        if problem is not None and problem is self._raised and len(self.asked) < len(self.entries):
            self.run.stop(MIDWAY)
        self._raised = self._next = None
        super().leave(problem)

    def expect(self, entry: Any, delegate: Any) -> None:
        """Take note of who is asked next."""
        self._next = (entry, delegate)

    def attempt(self, delegate: Any) -> Tried | None:
        """Return the attempt at a model; None where it is not the one that is asked next."""
        if self._next is None or self._next[1] is not delegate:
            return None
        (entry, _), self._next = self._next, None
        index = next_place((place for place, each in enumerate(self.entries) if each is entry), self.asked)
        if index is None:
            return None
        return Tried(self.run.attempt_at(index, candidate_of(entry, delegate)), self._failed)

    def _failed(self, problem: Exception, began: bool) -> None:
        self._raised = problem if began else None


# --- what is wrapped --------------------------------------------------------------------------------------------------


@guarded(fallback=NOTHING)
def _pass_of(instance: Any, *_: Any) -> Opened:
    """Return a new pass of a `FallbackModel`."""
    return _Pass(instance) if runtime.current().active else NOTHING


def _delegate(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `FallbackModel._delegate`: the pass learns who is asked next, and the class is watched."""
    delegate = wrapped(*args, **kwargs)
    _met(instance, args[0] if args else kwargs.get("entry"), delegate)
    return delegate


@guarded(fallback=None)
def _met(instance: Any, entry: Any, delegate: Any) -> None:
    opened = asking(_Pass, _PASS)
    if opened is not None and opened.model is instance and _watch(type(delegate)):
        opened.expect(entry, delegate)


def _watch(kind: type) -> bool:
    owner = next((each for each in kind.__mro__ if _METHOD in vars(each)), None)
    return owner is not None and patching.also(_NAME, owner, _METHOD, _ASK)


@guarded(fallback=NOTHING)
def _attempt_at(instance: Any, *_: Any) -> Opened:
    """Return the attempt at the model that is asked next."""
    opened = asking(_Pass, _PASS)
    return (opened.attempt(instance) if opened is not None else None) or NOTHING


_ASK: Final = steps(_attempt_at)
"""Wraps `generate_content_async` of a candidate's class with an attempt, which lasts as long as its responses."""

_MODULE: Final = "google.adk.models._fallback_model"

GOOGLE_ADK: Final = Library(
    _NAME,
    "google-adk",
    ">=2.9,<3",
    (
        Patch(_MODULE, f"FallbackModel.{_METHOD}", steps(_pass_of), "one pass of the chain, the same from 2.9 to 2.13"),
        Patch(_MODULE, "FallbackModel._delegate", _delegate, "where the next candidate is known, by its place too"),
    ),
)
"""What is wrapped of google-adk."""
