"""What is remembered of calls outside any run, and what a call makes of it: a run, a part of one, or nothing.

Pure: who asks, where and when is given. Kept are hashes, times and what an attempt is reduced to; no exception, no
client, no answer and no text.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_failover._core.runs.inferred.askers import is_over

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Hashable, Iterable
    from typing import TypeAlias

    from otel_failover._core.runs.question import Question

    Identity: TypeAlias = tuple[Hashable, ...]
    """Whom a call asks; the last part is of the credential."""

    class Failure(Protocol):
        """A call that failed or was cancelled, as far as it matters here.

        Attributes:
            began: In seconds of the monotonic clock.
            ended: The same.
        """

        began: float
        ended: float

    class OpenRun(Protocol):
        """An inferred run, as far as it matters here.

        Attributes:
            asker: Who made its latest call.
            who: Whom its calls have asked.
            last_end: When its latest attempt ended, in seconds of the monotonic clock.
        """

        asker: weakref.ref[Any]
        who: set[Hashable]
        last_end: float

        @property
        def where(self) -> Hashable:
            """Where its calls are made."""

        def asks(self, question: Question) -> bool:
            """Whether its calls ask a question."""

        @property
        def is_served(self) -> bool:
            """Whether one of its candidates has served it."""

        @property
        def is_busy(self) -> bool:
            """Whether one of its attempts is under way."""


MOST: Final = 256
"""So many failures, answers and runs are remembered, of each the latest."""


class Streak:
    """Failures of one question at one candidate, one after the other: a call, and its retries.

    Attributes:
        where: Where they were made.
        asker: Who made the last of them.
        question: What was asked; None where that cannot be told, so that nothing is inferred from it.
        who: Whom.
        but_for_its_key: Whom, whatever the credential, where it was the credential that the last of them was refused
            for: a token that was fetched anew asks nobody else. None where it was not.
        failures: In order.
        told: That another candidate was asked after it has been taken note of.
    """

    __slots__ = ("asker", "but_for_its_key", "failures", "question", "told", "where", "who")

    def __init__(
        self,
        where: Hashable,
        asker: weakref.ref[Any],
        question: Question | None,
        who: Identity,
        *,
        is_unauthorised: bool = False,
    ) -> None:
        self.where, self.asker, self.question, self.who = where, asker, question, who
        self.but_for_its_key = who[:-1] if is_unauthorised else None
        self.failures: list[Any] = []
        self.told = False

    def is_at(self, who: Identity) -> bool:
        """Whether a candidate is the one that has failed, with another key perhaps where that was refused.

        Args:
            who: It.
        """
        return self.who == who or (self.but_for_its_key is not None and self.but_for_its_key == who[:-1])

    @property
    def ended(self) -> float:
        """When the last of them ended, in seconds of the monotonic clock."""
        last: Failure = self.failures[-1]
        return last.ended


class Verdict:
    """What a call is, by what is remembered: an attempt of a run, the one that opens a run, or a call alone.

    Attributes:
        run: The run that it belongs to.
        is_again: That run has been answered before.
        opens: The failures that it follows as another candidate's; a run begins with them.
        repeats: The failures that it follows at the same candidate; they go on if it fails, and are over if not.
    """

    __slots__ = ("is_again", "opens", "repeats", "run")

    def __init__(
        self,
        run: Any = None,
        opens: Iterable[Streak] = (),
        repeats: Iterable[Streak] = (),
        *,
        is_again: bool = False,
    ) -> None:
        self.run, self.opens, self.repeats, self.is_again = run, list(opens), list(repeats), is_again


_ALONE: Final = Verdict()


class Memory:
    """Failures outside any run, answers since, and the runs that were inferred and may go on.

    Args:
        within: Seconds after which a failure is forgotten, and a run that is silent has ended.
    """

    def __init__(self, within: float) -> None:
        self.within = within
        self._order: OrderedDict[Streak, None] = OrderedDict()
        self._streaks: dict[Hashable, list[Streak]] = {}
        self._runs: OrderedDict[Any, None] = OrderedDict()
        self._answers: deque[tuple[Hashable, Question, Hashable]] = deque(maxlen=MOST)
        self._over: list[Any] = []

    @property
    def is_empty(self) -> bool:
        """Whether neither a failure nor a run is remembered: then nothing needs to be looked at."""
        return not self._order and not self._runs

    @property
    def streaks(self) -> list[Streak]:
        """The failures that are remembered, in the order of the last of each."""
        return list(self._order)

    @property
    def runs(self) -> list[Any]:
        """The runs that may go on."""
        return list(self._runs)

    # --- what happens -------------------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Forget failures that are too old, and leave runs that have been silent for as long.

        Args:
            now: In seconds of the monotonic clock.
        """
        while self._order and (first := next(iter(self._order))).ended < now - self.within:
            self._forget(first)
        for run in [each for each in self._runs if each.last_end < now - self.within and not each.is_busy]:
            self._end(run)
        if self.is_empty:
            self._answers.clear()

    def over(self) -> list[Any]:
        """Return the runs that have turned out to be over since it was asked last: they are to be left."""
        found, self._over = self._over, []
        return found

    def asked(
        self, where: Hashable, asker: weakref.ref[Any], question: Question | None, who: Identity, now: float
    ) -> Verdict:
        """Return what a call is that begins now, and take the failures out that it follows: each is used once.

        Args:
            where: It is made.
            asker: Who makes it.
            question: What is asked.
            who: Whom.
            now: In seconds of the monotonic clock.
        """
        if question is None:
            return _ALONE
        runs = [each for each in self._runs if each.where == where and each.asks(question)]
        streaks = [
            each
            for each in self._streaks.get(where, ())
            if each.question is not None and each.question.is_like(question) and each.ended <= now
        ]
        if not runs and not streaks:
            return _ALONE
        found = self._chosen(runs, streaks, asker, who)
        if found.opens and self._is_answered(where, question, {who, *(each.who for each in found.opens)}):
            return _ALONE
        for streak in (*found.opens, *found.repeats):
            self._forget(streak)
        return found

    def failed(self, streak: Streak) -> None:
        """Remember a failure, the last of its streak.

        Args:
            streak: Of it.
        """
        streak.told = False
        self._order[streak] = None
        self._streaks.setdefault(streak.where, []).append(streak)
        while len(self._order) > MOST:
            self._forget(next(iter(self._order)))

    def answered(self, where: Hashable, question: Question, who: Hashable) -> None:
        """Take note of an answer.

        Args:
            where: It was asked for.
            question: What was asked.
            who: Has answered.
        """
        self._answers.append((where, question, who))

    def asking(self, where: Hashable, question: Question) -> list[Any]:
        """Return the runs that ask a question.

        Args:
            where: They are.
            question: It.
        """
        return [each for each in self._runs if each.where == where and each.asks(question)]

    def follows(self, where: Hashable, who: Identity, since: float) -> Hashable | None:
        """Return whose failure a call to another candidate follows, whatever it asks; told of each failure once.

        Args:
            where: It is made.
            who: Is asked.
            since: Failures before are none that it follows, in seconds of the monotonic clock.
        """
        for streak in reversed(self._streaks.get(where, ())):
            if not streak.told:
                streak.told = True
                return streak.who if not streak.is_at(who) and streak.ended > since else None
        return None

    def add(self, run: Any) -> None:
        """Remember a run that may go on."""
        self._runs[run] = None
        while len(self._runs) > MOST:
            self._end(next(iter(self._runs)))

    def remove(self, run: Any) -> None:
        """Forget a run that has been left."""
        self._runs.pop(run, None)

    def clear(self) -> list[Any]:
        """Forget everything; return the runs that might have gone on."""
        found = [*self._runs, *self.over()]
        for each in (self._order, self._streaks, self._runs, self._answers):
            each.clear()
        return found

    # --- what that makes of it ----------------------------------------------------------------------------------------

    def _chosen(self, runs: list[OpenRun], streaks: list[Streak], asker: weakref.ref[Any], who: Identity) -> Verdict:
        """Return what a call is, by what asks the same in the same place: its own task's first, then what is over."""
        steps: tuple[Callable[[], Verdict | None], ...] = (
            lambda: _joined([run for run in runs if run.asker == asker and not run.is_served]),
            lambda: _opened([streak for streak in streaks if streak.asker == asker], who),
            lambda: self._asked_again([run for run in runs if run.asker == asker and run.is_served], who),
            lambda: _joined([run for run in runs if not run.is_served and is_over(run.asker)]),
            lambda: _opened([streak for streak in streaks if is_over(streak.asker)][:1], who),
            lambda: self._asked_again([run for run in runs if run.is_served and is_over(run.asker)], who),
        )
        return next((found for step in steps if (found := step()) is not None), _ALONE)

    def _asked_again(self, runs: list[OpenRun], who: Hashable) -> Verdict | None:
        """Ask again after an answer: at a candidate of the run that has ended it; at another one it is doubtful."""
        for run in runs:
            if run.is_busy:
                return _ALONE
            if who not in run.who:
                return Verdict(run, is_again=True)
            self._end(run)
        return None

    def _end(self, run: Any) -> None:
        self._runs.pop(run, None)
        self._over.append(run)

    def _is_answered(self, where: Hashable, question: Question, but: set[Hashable]) -> bool:
        """Whether a question was answered by somebody else than these."""
        return any(there == where and who not in but and asked.is_like(question) for there, asked, who in self._answers)

    def _forget(self, streak: Streak) -> None:
        self._order.pop(streak, None)
        here = self._streaks.get(streak.where)
        if here is not None:
            if streak in here:
                here.remove(streak)
            if not here:
                del self._streaks[streak.where]


def _joined(runs: list[OpenRun]) -> Verdict | None:
    """Join a run that nobody has served yet and none of whose attempts is under way: a hedge does not join."""
    idle = [run for run in runs if not run.is_busy]
    return Verdict(idle[0]) if idle else None


def _opened(streaks: list[Streak], who: Identity) -> Verdict | None:
    """Open a run where another candidate has failed; at the same one alone it is a retry."""
    if not streaks:
        return None
    latest = streaks[-1].question
    if len(streaks) > 1 and latest is not None:
        # In another dialect a question may be like two that are none: it is the one that was asked last.
        streaks = [each for each in streaks if each.question is not None and each.question.is_like(latest)]
    if all(streak.is_at(who) for streak in streaks):
        return Verdict(repeats=streaks)
    return Verdict(opens=streaks)
