"""Plays a case to a loop: opens the candidates, calls it with a deadline, and notes what was to be seen.

Nothing is looked at but what any caller sees (what was returned or raised, what was printed and logged) and what the
candidates were really asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import io
import logging
import secrets
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_failover.testing.providers import LocalProvider
from otel_failover.testing.scenarios.cases import Place
from otel_failover.testing.scenarios.contract import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_failover.testing.played_request import Served
    from otel_failover.testing.scenarios.cases import Case
    from otel_failover.testing.scenarios.contract import Call
    from otel_failover.testing.wire.common import Kind

__all__ = ["NAMES", "Conditions", "Made", "Seen", "play"]

NAMES: Final = ("first", "second", "third")
_TREES: Final = ("alder", "birch", "cedar", "elder", "hazel", "holly", "larch", "maple", "rowan", "willow")
_FIRST: Final = 6
_GRACE: Final = 1.0
"""Seconds for a call to end that was cancelled, and for what was asked just now to reach a log."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for each case.

    Args:
        providers: Whose wire formats the candidates speak, in order; they begin anew where there are more candidates.
        timeout: Seconds that the loop is told to wait for a candidate.
        deadline: Seconds after which a call that has not come back counts as hung; six times as many for the first.
    """

    providers: tuple[Kind, ...] = ("openai", "anthropic", "openai")
    timeout: float = 1.0
    deadline: float = 10.0


@dataclass
class Made:
    """One call of a loop, and what became of it.

    Args:
        places: Of its candidates.
        returned: What it returned; None where it did not.
        raised: What it raised.
        hung: It had not come back at the deadline.
        began: When, in seconds of the monotonic clock.
        seconds: How long it took.
    """

    places: Sequence[Place]
    returned: Any = None
    raised: BaseException | None = None
    hung: bool = False
    began: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Seen:
    """What was to be seen of a case.

    Args:
        case: Which.
        targets: The candidates that the loop was given.
        calls: What became of its calls.
        asked: What each candidate was really asked, and answered.
        printed: What was printed or logged meanwhile.
        conditions: Under which it was played.
        is_async: The loop can be cancelled.
    """

    case: Case
    targets: Sequence[Target]
    calls: Sequence[Made]
    asked: Sequence[Sequence[Served]]
    printed: str
    conditions: Conditions
    is_async: bool


class _Lines(logging.Handler):
    """Keeps what the application's own loggers let through."""

    def __init__(self) -> None:
        super().__init__()
        self.written = io.StringIO()

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):
            self.written.write(self.format(record) + "\n")


def is_async(call: Any) -> bool:
    """Whether a loop is a function, or has a `__call__`, that is awaited."""
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004


def play(case: Case, call: Call, conditions: Conditions) -> Seen:
    """Play one case to a loop, in a thread of its own, which is left behind where the loop does not come back.

    Args:
        case: Which.
        call: The loop.
        conditions: Under which.
    """
    if case.is_first:
        conditions = dataclasses.replace(conditions, deadline=_FIRST * conditions.deadline)
    if case.needs == "async" and not is_async(call):
        return Seen(case, (), (), (), "", conditions, is_async=False)
    with contextlib.ExitStack() as stack:
        providers = [
            LocalProvider(conditions.providers[at % len(conditions.providers)], name=NAMES[at])
            for at in range(len(case.plans))
        ]
        for provider in providers:
            stack.enter_context(provider)
        targets = [_target(provider, conditions.timeout) for provider in providers]
        own = [providers] + [
            [stack.enter_context(LocalProvider(each.kind, name=each.name)) for each in providers]
            for _ in range(case.calls - 1 if case.together else 0)
        ]
        given = [targets, *([_target(each, conditions.timeout) for each in more] for more in own[1:])]
        printed = stack.enter_context(_overheard())
        made = [Made(_places(targets, index)) for index in range(case.calls)]
        if case.together:
            for each, theirs in zip(made, own, strict=True):
                _program(case, theirs, each.places)
            _run(call, list(zip(made, given, strict=True)), conditions, own)
        else:
            for each in made:
                _program(case, providers, each.places)
                _run(call, [(each, targets)], conditions, own[:1], cancels=case.expected == "cancelled")
        asked = [[entry for group in own for entry in list(group[at].log)] for at in range(len(providers))]
        return Seen(case, targets, made, asked, printed(), conditions, is_async(call))


def _target(provider: LocalProvider, timeout: float) -> Target:
    name = provider.name
    start = "sk-ant-" if provider.kind == "anthropic" else "sk-"
    key = f"{start}{name}-{secrets.token_hex(16)}"
    return Target(name, provider.kind, f"{name}-model", provider.base_url, key, timeout)


def _places(targets: Sequence[Target], call: int) -> list[Place]:
    trees = _TREES[call * len(targets) :]
    return [Place(each.name, f"{tree}-{secrets.token_hex(3)}", each.api_key) for each, tree in zip(targets, trees)]  # noqa: B905


def _program(case: Case, providers: Sequence[LocalProvider], places: Sequence[Place]) -> None:
    for provider, place, plan in zip(providers, places, case.plans, strict=True):
        if plan is None:
            provider.close()
        else:
            provider.program(plan(place))


@contextlib.contextmanager
def _overheard() -> Iterator[Any]:
    """Listen to what is printed and logged; it is printed all the same, once the case is over."""
    lines, out = _Lines(), io.StringIO()
    logging.getLogger().addHandler(lines)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            yield lambda: out.getvalue() + lines.written.getvalue()
    finally:
        logging.getLogger().removeHandler(lines)
        sys.stdout.write(out.getvalue())


def _run(
    call: Call,
    calls: Sequence[tuple[Made, Sequence[Target]]],
    conditions: Conditions,
    providers: Sequence[Sequence[LocalProvider]],
    *,
    cancels: bool = False,
) -> None:
    """Make calls, together where there are several, and wait for them until the deadline."""
    started = [_Thread(call, made, targets, conditions.deadline) for made, targets in calls]
    for each in started:
        each.start()
    if cancels:
        _wait_for(lambda: bool(providers[0][0].log), conditions.timeout)
        started[0].cancel()
    for each in started:
        each.join(max(0.0, each.made.began + conditions.deadline + _GRACE - time.monotonic()))
        each.settle()


def _wait_for(condition: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)


class _Thread(threading.Thread):
    """One call of a loop, whether it is awaited or not."""

    def __init__(self, call: Call, made: Made, targets: Sequence[Target], deadline: float) -> None:
        super().__init__(name="a loop that is tried", daemon=True)
        self.made = made
        self._call: Any = call
        self._targets, self._deadline = targets, deadline
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_done = False
        self._now = Made(made.places)
        made.began = time.monotonic()

    def run(self) -> None:
        now = self._now
        try:
            now.returned = asyncio.run(self._awaited()) if is_async(self._call) else self._plain()
        except BaseException as problem:  # a call may raise what it likes, SystemExit too
            now.raised = problem
        now.seconds = time.monotonic() - self.made.began
        self._is_done = True

    def _plain(self) -> Any:
        returned = self._call(list(self._targets))
        return asyncio.run(_await(returned)) if inspect.isawaitable(returned) else returned

    async def _awaited(self) -> Any:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.ensure_future(_await(self._call(list(self._targets))))
        done, _ = await asyncio.wait({self._task}, timeout=self._deadline)
        if not done:
            self._now.hung = True
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_GRACE / 2)
            return None
        return self._task.result()

    def cancel(self) -> None:
        """Cancel the call, as its caller would."""
        if self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)

    def settle(self) -> None:
        """Take in what has become of it by now; what comes later is not looked at."""
        made, now = self.made, self._now
        made.hung = now.hung or not self._is_done
        made.seconds = now.seconds or time.monotonic() - made.began
        if not made.hung:
            made.returned, made.raised = now.returned, now.raised


async def _await(awaitable: Any) -> Any:
    return await awaitable
