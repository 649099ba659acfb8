"""One pass of a loop of litellm's: its run, who stands in its chain, and what is passed over.

The run is never current, since litellm's own callbacks ask which span is: its `LitellmRun` is found in the host's own
context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.failsafe import guarded, text_of
from otel_failover._core.runs.run import Run
from otel_failover.integrations.loops.litellm.candidates import (
    candidate_of,
    candidates_of,
    deployments_of,
    id_of,
    label_of,
)
from otel_failover.integrations.loops.shared.held_open import HeldOpen
from otel_failover.integrations.loops.shared.library_run import MIDWAY, LibraryRun, current_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context

    from otel_failover._core.runs.attempt import Attempt

NAME: Final = "litellm"
RUN: Final = context_api.create_key("failover-litellm")
_SYNC: Final = context_api.create_key("failover-litellm-sync")


class _Hop:
    """A model group that a router has gone on to.

    Args:
        group: The group.
        order: Which of its deployments may be asked, where the router goes by their order.
        again: The router comes from the same group: who was asked there is not meant again.
        tried: How many attempts had been made before.
    """

    __slots__ = ("again", "group", "order", "reason", "tried")

    def __init__(self, group: str, order: object, tried: int, *, again: bool) -> None:
        self.group, self.order, self.tried, self.again = group, order, tried, again
        self.reason = ""


class LitellmRun(LibraryRun):
    """One pass of a loop.

    Args:
        operation: What is asked for.
        name: The model group, or the first model.
        chain: The candidates in order; None where the loop's choice is not known beforehand.
        router: The `Router`; None for `completion(fallbacks=[...])`.
    """

    def __init__(self, operation: str, name: str, chain: list[Candidate] | None, router: Any = None) -> None:
        super().__init__(Run(operation, chain, library=NAME, name=name), key=RUN)
        self.router, self.tried = router, 0
        self._declared = chain or []
        self._attempted: list[Candidate] = []
        self._hop: _Hop | None = None
        self._refused: set[str] = set()
        self._outside = context_api.get_current()

    def open_detached(self) -> None:
        """Open the run, and remember the context that it is opened in."""
        self._outside = context_api.get_current()
        super().open_detached()

    def leave(self, problem: BaseException | None) -> None:
        """End the run; the group that it was at may have failed before anybody was asked."""
        if isinstance(problem, Exception):
            self.leave_hop(problem)
        super().leave(problem)

    def explain(self, problem: BaseException | None) -> None:
        """Record `stop` once a stream has failed after its output began: nobody else is asked then."""
        if self.began and isinstance(problem, Exception):
            self.run.stop(MIDWAY)

    def stream_failed(self, *, began: bool) -> None:
        """Called when a stream failed, maybe after the run was left.

        Args:
            began: Whether its output had begun.
        """
        self.began = began
        if began and not self.goes_on:
            self.run.stop(MIDWAY)

    def attempt(self, asked: Mapping[str, Any]) -> Attempt:
        """Return the next attempt.

        Args:
            asked: The arguments of `litellm.acompletion` and its like.
        """
        self.tried += 1
        self.began = False
        candidate = candidate_of(asked, self._profile(asked))
        self._attempted.append(candidate)
        index = next((at for at, each in enumerate(self._declared) if each.is_like(candidate)), -1)
        if index >= 0 and candidate not in self._declared:
            return self.run.attempt_at(index, candidate)
        return self.run.attempt(candidate)

    def _profile(self, asked: Mapping[str, Any]) -> str | None:
        """Return the label of the deployment that a router has chosen."""
        info, metadata = (asked.get(each) or {} for each in ("model_info", "metadata"))
        group = metadata.get("model_group") or (asked.get("litellm_metadata") or {}).get("model_group")
        if self.router is None or not isinstance(group, str):
            return None
        ids = [id_of(each) for each in deployments_of(self.router, group)]
        return label_of(group, ids, info.get("id"))

    # --- who is passed over -------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def passed_over(self, group: object, problem: Exception) -> None:
        """Record a skip: a group failed though nobody was asked.

        Args:
            group: The model group.
            problem: What the router says of it: no provider's error, whatever status it bears.
        """
        self._skip(text_of(group), candidates_of(self.router, text_of(group)), _reason(problem))

    def begin_hop(self, group: str, order: object = None, *, again: bool = False) -> None:
        """Take note that the router goes on to a group, where it tells so.

        Args:
            group: The model group.
            order: Which of its deployments may be asked; None for all.
            again: It comes from the same group.
        """
        self._hop = _Hop(group, order, self.tried, again=again)

    def pick_failed(self, reason: str) -> None:
        """Take note that the router has found nobody to ask; it may yet look again.

        Args:
            reason: Why.
        """
        if self._hop is not None:
            self._hop.reason = reason

    @guarded(fallback=None)
    def leave_hop(self, problem: BaseException | None) -> None:
        """Record a skip where the router leaves a group in which nobody was asked.

        Args:
            problem: What it says of it.
        """
        hop, self._hop = self._hop, None
        if hop is None or hop.tried != self.tried:
            return
        reason = hop.reason or (_reason(problem) if isinstance(problem, Exception) else "")
        found = candidates_of(self.router, hop.group, hop.order)
        if hop.again:
            found = [each for each in found if each not in self._attempted]
        self._skip(hop.group, found, reason)

    @guarded(fallback=None)
    def refused(self, group: str, reason: str) -> None:
        """Record a skip, once: a check forbids the router to ask a group.

        Args:
            group: The model group.
            reason: Why.
        """
        if group not in self._refused:
            self._refused.add(group)
            self._skip(group, candidates_of(self.router, group), reason)

    def _skip(self, group: str, found: list[Candidate], reason: str) -> None:
        for candidate in found or [Candidate("", group)]:
            self.run.skip(candidate, reason)

    def outside(self) -> Context:
        """Return the current context as it would be without us: for what asks which span is current."""
        current, attempt = context_api.get_current(), scope.attempt_in()
        keys = [RUN, scope.ATTEMPT, scope.RUN, scope.CALL]
        if attempt is not None and attempt.owns(current.get(scope.SPAN)):
            keys.append(scope.SPAN)
        return context_api.Context({**current, **{key: self._outside.get(key) for key in keys}})


class SynchronousCall(HeldOpen):
    """A synchronous call that asks several models: what it raises in the end passes through no frame of its run.

    litellm makes a loop of its own there, in a thread where one is running already, and raises the error anew.
    """

    run: Run | None = None
    """The run that it made: `summarize()` finds it here."""

    @property
    def context(self) -> Context:
        """The host's own context, by which the run finds this."""
        return context_api.set_value(_SYNC, self)


def noted_in_call(run: LitellmRun) -> LitellmRun:
    """Let the synchronous call that a run is made in, if any, know that run.

    Args:
        run: The run; returned as it is.
    """
    found = context_api.get_value(_SYNC)
    if isinstance(found, SynchronousCall) and found.run is None:
        found.run = run.run
    return run


def current() -> LitellmRun | None:
    """Return the run of this context, while it goes on."""
    return current_run(LitellmRun, RUN)


def is_trying(run: LitellmRun) -> bool:
    """Whether a candidate of a run is being asked: what happens then is its own, and no step of the run."""
    attempt = scope.attempt_of(run.run)
    return attempt is not None and attempt.live


def _reason(problem: Exception) -> str:
    kind, text = type(problem).__name__, text_of(problem)
    if "crossed budget" in text:
        return "budget"
    if kind in ("RouterRateLimitError", "RouterRateLimitErrorBasic"):
        return "cooldown"
    return "not_configured" if "no healthy deployments" in text else kind
