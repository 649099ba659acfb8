"""What looks at calls outside any run, once one of them has failed.

Set as `outside.watch` while a failure, or a run that may go on, is remembered; until then, and again once all are
forgotten, a call pays one comparison.
"""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry import context as context_api

from otel_failover._core import context as scope
from otel_failover._core.config import runtime, usage_hints
from otel_failover._core.context import is_suppressed
from otel_failover._core.domain.reasons import AUTH, PERMISSION
from otel_failover._core.evidence.orphans import outside
from otel_failover._core.failsafe import guarded
from otel_failover._core.runs.inferred import askers
from otel_failover._core.runs.inferred.memory import Memory, Streak
from otel_failover._core.runs.inferred.run import Failed, InferredRun
from otel_failover._core.runs.question import question_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from opentelemetry.context import Context

    from otel_failover._core.config.runtime import Runtime
    from otel_failover._core.domain.asked import Asked
    from otel_failover._core.findings.attempt_record import AttemptRecord
    from otel_failover._core.runs.attempt import Attempt
    from otel_failover._core.runs.inferred.askers import Place
    from otel_failover._core.runs.inferred.memory import Identity, Verdict
    from otel_failover._core.runs.question import Question

    class CallOutside(Protocol):
        """A call outside any run, as far as it matters here.

        Attributes:
            asked: What the SDK was asked.
            provider: Whom that is.
            parent: The span that was current when it opened; None where there was none.
            known: What was found out about it when it opened, while a failure was remembered; None else.
        """

        asked: Asked
        provider: str
        parent: Any
        known: Known | None


QUESTIONS: Final = frozenset({"chat", "text_completion", "generate_content"})
"""Operations that ask a model something; an embedding of the same text asks nothing."""


class Known:
    """What is known of a call while failures are remembered.

    Attributes:
        place: Where it is made.
        question: What it asks; None where that cannot be told.
        who: Whom.
        repeats: Failures of the same question at the same candidate that it follows.
    """

    __slots__ = ("place", "question", "repeats", "who")

    def __init__(self, place: Place, question: Question | None, who: Identity, repeats: list[Streak]) -> None:
        self.place, self.question, self.who, self.repeats = place, question, who, repeats


class Watch:
    """Remembers failures outside any run, and infers runs of them.

    Attributes:
        memory: What is remembered.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.memory = Memory(math.inf)
        self._runtime: Runtime | None = None
        self._has_run = False

    # --- a call opens -------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def attempt_of(self, call: CallOutside, provider: str) -> Attempt | None:
        """Return the attempt of an inferred run that a call is, open and current; None where it stands alone.

        Args:
            call: That opens.
            provider: Whom it asks.
        """
        current = context_api.get_current()
        if not self._is_mine() or not _asks(call.asked) or is_suppressed(current):
            return None
        if not current and _may_be_declared(call.asked.endpoint):
            return None
        asker, begun = askers.current(), time.monotonic()
        me = weakref.ref(asker)
        place, who = askers.place_of(call.parent, asker), identity(call.asked, provider)
        question = self._question(call.asked)
        # Nothing of the SDK's or of logging is called under the lock: an exporter may take its time.
        with self._lock:
            self.memory.sweep(begun)
            found = self.memory.asked(place.where, me, question, who, begun)
            call.known = Known(place._replace(span=None), question, who, found.repeats)
            at_once = begun - usage_hints.AT_ONCE if place.span is None else 0.0
            before = self.memory.follows(place.where, who, at_once)
            run = found.run
            if found.opens and question is not None:
                run = InferredRun(call.asked.operation or "chat", question, place, me, self._left)
                run.who.update(streak.who for streak in found.opens)
                run.questions.update(each.question for each in found.opens if each.question is not None)
                self.memory.add(run)
            if run is not None and question is not None:
                run.is_claimed = True
                run.questions.add(question)
            over = self._over()
        for each in over:
            each.left_alone()
        if run is None:
            if before is not None:
                usage_hints.follows(call.asked.model, _model_of(before))
            return None
        return self._taken(run, found, call.asked, who, me, current)

    def _taken(
        self,
        run: InferredRun,
        found: Verdict,
        asked: Asked,
        who: Hashable,
        me: weakref.ref[Any],
        current: Context,
    ) -> Attempt:
        """Return the next attempt of a run; one that begins with this call is opened before."""
        try:
            if found.opens:
                self._open(run, found, asked, current)
            if found.is_again:
                run.doubt("another candidate was asked again after an answer")
            return run.next_attempt(asked, who, me)
        finally:
            run.is_claimed = False

    def _open(self, run: InferredRun, found: Verdict, asked: Asked, current: Context) -> None:
        if not self._has_run:
            # Now and not with the module: what is registered later runs earlier, and this must precede the end of the
            # provider, which has been made by now.
            self._has_run = True
            atexit.register(self.close)
        failures = sorted((each for streak in found.opens for each in streak.failures), key=lambda each: each.began)
        run.begin(failures, current)
        usage_hints.inferred(asked.model, failures[-1].asked.model)

    def _question(self, asked: Asked) -> Question | None:
        active = self._runtime
        if active is None or active.settings.infer_runs == "off":
            return None
        return question_of(asked.body, asked.model)

    # --- a call ends --------------------------------------------------------------------------------------------------

    @guarded(fallback=None)
    def failed(self, call: CallOutside, attempt: Attempt) -> None:
        """Remember a call outside any run that failed or was cancelled.

        Args:
            call: That has ended.
            attempt: That it was.
        """
        kept, attempt.kept = attempt.kept, None
        current = context_api.get_current()
        if kept is None or not _asks(call.asked) or is_suppressed(current):
            return
        if attempt.ledger.rootless and _may_be_declared(call.asked.endpoint):
            return
        self._begin_with(runtime.current())
        asker = askers.current()
        me, known, asked = weakref.ref(asker), call.known, call.asked
        if known is None:
            who = identity(asked, attempt.provider)
            known = Known(askers.place_of(call.parent, asker)._replace(span=None), self._question(asked), who, [])
        record, source, ended = kept
        bare = asked._replace(credential=askers.hashed(asked.credential), body=None)
        span = attempt.span_context
        if not span.is_valid and call.parent is not None:
            span = call.parent.get_span_context()
        failure = Failed(bare, attempt.started, ended, record, source, span, known.place, weakref.ref(attempt))
        with self._lock:
            where = known.place.where if isinstance(known.place.where, int) else weakref.ref(askers.root_of(asker))
            found = Streak(where, me, known.question, known.who, is_unauthorised=_is_unauthorised(record))
            found.failures = [each for before in known.repeats for each in before.failures]
            found.failures = [*found.failures[-_REPEATS:], failure]
            self.memory.failed(found)
            outside.watch = self
        call.known = None

    @guarded(fallback=None)
    def answered(self, call: CallOutside, attempt: Attempt) -> None:
        """Take note of the answer to a call, while failures are remembered.

        Args:
            call: That has ended, outside any run or in one.
            attempt: That it was, or was part of.
        """
        current = context_api.get_current()
        if not self._is_mine() or not _asks(call.asked) or is_suppressed(current):
            return
        asker, known = askers.current(), call.known
        if known is None:
            span = call.parent if call.parent is not None else current.get(scope.SPAN)
            who = identity(call.asked, attempt.provider)
            known = Known(askers.place_of(span, asker), self._question(call.asked), who, [])
        if known.question is None:
            return
        with self._lock:
            self.memory.answered(known.place.where, known.question, known.who)
            others = [run for run in self.memory.asking(known.place.where, known.question) if run is not attempt.run]
            over = self._over()
        for run in others:
            if attempt.run is None or isinstance(attempt.run, InferredRun):
                run.answered_beside(math.inf)
            else:
                run.doubt("a declared run was answered the same question")
        for run in over:
            run.left_alone()

    # --- runs end -----------------------------------------------------------------------------------------------------

    def _left(self, run: InferredRun) -> None:
        with self._lock:
            self.memory.remove(run)
            if self.memory.is_empty:
                outside.watch = None

    @guarded(fallback=None)
    def sweep(self) -> None:
        """Forget what is too old, and leave runs that have been silent for too long."""
        with self._lock:
            self.memory.sweep(time.monotonic())
            over = self._over()
        for run in over:
            run.left_alone()

    @guarded(fallback=None)
    def close(self) -> None:
        """Leave all runs and forget everything: the process ends, or we are switched off."""
        with self._lock:
            runs = self.memory.clear()
            outside.watch = None
        for run in runs:
            run.left_alone()

    def after_fork(self) -> None:
        """Forget everything in a forked child: its parent goes on with it."""
        self._lock = threading.RLock()
        for run in self.memory.clear():
            run.abandon()
        self.memory = Memory(math.inf)
        self._runtime = outside.watch = None

    # --- awake and asleep ---------------------------------------------------------------------------------------------

    def _is_mine(self) -> bool:
        """Whether what is remembered was remembered under the settings that are in force."""
        if self._runtime is runtime.current():
            return True
        self.close()
        return False

    def _begin_with(self, active: Runtime) -> None:
        if self._runtime is not active:
            self.close()
            self._runtime = active
            self.memory = Memory(active.settings.infer_within)
        if not runtime.sweeps:
            runtime.sweeps.append(self.sweep)

    def _over(self) -> list[InferredRun]:
        """Return the runs that are to be left, and fall asleep where nothing is remembered."""
        if self.memory.is_empty:
            outside.watch = None
        return self.memory.over()


_REPEATS: Final = 63
"""Of a candidate that is asked again and again, so many failures are kept besides the last."""


def _may_be_declared(endpoint: str) -> bool:
    """Whether a call in a thread without context may be part of an attempt that somebody has declared elsewhere.

    That attempt takes it for its own where it meets what the call raised or returned.

    Args:
        endpoint: It is asked at.
    """
    for attempt in tuple(runtime.current().open_attempts):
        run = attempt.run
        if run is not None and not isinstance(run, InferredRun) and attempt.ledger.endpoint in (None, endpoint):
            return True
    return False


def _is_unauthorised(record: AttemptRecord) -> bool:
    """Whether a call was refused for its credential."""
    return record.reason in (AUTH, PERMISSION)


def _asks(asked: Asked) -> bool:
    return asked.operation in QUESTIONS


def identity(asked: Asked, provider: str) -> Identity:
    """Return whom a call asks: provider, model, base URL and a hash of the credential.

    Args:
        asked: What the SDK was asked.
        provider: Whom that is.
    """
    return (provider, asked.model, asked.endpoint, asked.base, askers.hashed(asked.credential))


def _model_of(who: Hashable) -> str:
    return str(who[1]) if isinstance(who, tuple) else ""


watch: Final = Watch()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=watch.after_fork)
