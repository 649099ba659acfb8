"""What happens in a call of a configured function: a run, or the next attempt of its loop's run.

An attempt belongs to its own loop's run only, so that loops may share an attempt function, and one that is entered by
another door makes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_failover._core import context as scope
from otel_failover._core.config import runtime
from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain.providers import PROVIDERS
from otel_failover._core.failsafe import guarded
from otel_failover.integrations.loops.configured.candidates import WHO, Source, candidate_of
from otel_failover.integrations.loops.configured.function_kinds import call
from otel_failover.integrations.loops.configured.paths import RESULT
from otel_failover.integrations.loops.configured.run import ConfiguredRun
from otel_failover.integrations.loops.shared.held_open import NOTHING
from otel_failover.integrations.loops.shared.library_run import run_in_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_failover._core.domain.candidate import Candidate
    from otel_failover._core.runs.attempt import Attempt
    from otel_failover._core.runs.functions import Opened
    from otel_failover.integrations.loops.configured.function import Function

HOLDS_NO_LOCK: Final = True
"""What is closed below our frames can be ended at once: see `deferred`."""


class RunVisit:
    """One call of a loop's run function.

    Args:
        function: What is called.
        source: Where the loop's candidates are found.
        given: Positional arguments, the object of a method among them.
        kwargs: Keyword arguments.
    """

    __slots__ = ("_function", "_given", "_kwargs", "_source")

    def __init__(self, function: Function, source: Source, given: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._function, self._source, self._given, self._kwargs = function, source, given, kwargs

    @guarded(fallback=NOTHING)
    def open(self) -> Opened:
        """Make a run, unless the call belongs to one that goes on."""
        if self._function.decorated or self._goes_on():
            return NOTHING
        entries = self._source.entries(self._function, self._given, self._kwargs)
        members = None if entries is None else [self._source.candidate(entry) for entry in entries]
        return ConfiguredRun(self._function.loop, self._source.operation, entries, members)

    def _goes_on(self) -> bool:
        """Whether the loop calls itself: no attempt between, or one and the same function tries and goes on."""
        run = run_in_context(ConfiguredRun)
        if run is None or run.context is None or run.loop != self._function.loop:
            return False
        return self._source.recurses or not _inside_attempt()

    def returned(self, result: Any) -> None:
        """Do nothing: what a run returns says nothing of its candidates."""


class AttemptVisit:
    """One call of a loop's attempt function.

    Args:
        function: What is called.
        run: The loop's run function.
        given: Positional arguments, the object of a method among them.
        kwargs: Keyword arguments.
    """

    __slots__ = ("_attempt", "_function", "_given", "_kwargs", "_run")

    def __init__(self, function: Function, run: Function, given: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._function, self._run, self._given, self._kwargs = function, run, given, kwargs
        self._attempt: Attempt | None = None

    @guarded(fallback=NOTHING)
    def open(self) -> Opened:
        """Make the next attempt of the loop's run; nothing where the function was entered by another door."""
        run = scope.run_in()
        if run is None or run.context is None:
            return NOTHING
        known = run_in_context(ConfiguredRun)
        if known is not None and known.loop == self._function.loop:
            passed: list[Any] = []
            self._attempt = known.attempt(self._candidate(known, passed), passed)
        elif known is None and self._run.decorated and not _inside_attempt():
            self._attempt = run.attempt(self._candidate(None, []))
        return self._attempt if self._attempt is not None else NOTHING

    def _candidate(self, known: ConfiguredRun | None, passed: list[Any]) -> Candidate:
        """Return who is tried; a model like `openai/gpt-5.5` says the provider too where no path does."""
        early = [field for field, path in self._function.paths.items() if field in WHO and path.root != RESULT]
        found = {field: self._read(field, None, passed) for field in early}
        if not found.get("provider") and isinstance(found.get("model"), str):
            parsed = identity.parse(found["model"])
            if parsed.provider in PROVIDERS or (known is not None and known.knows(parsed)):
                found |= {"provider": parsed.provider, "model": parsed.model}
        return candidate_of(found)

    def _read(self, field: str, result: object, passed: list[Any] | None = None) -> Any:
        return self._function.read(field, self._given, self._kwargs, result, passed)

    @guarded(fallback=None)
    def returned(self, result: Any) -> None:
        """Take from the result who answered, where that was not known, and the error it carries."""
        if self._attempt is None:
            return
        late = [field for field, path in self._function.paths.items() if field in WHO and path.root == RESULT]
        found = {field: self._read(field, result) for field in late}
        if any(found.values()):
            self._attempt.learn(candidate_of(found))
        error = self._read("error", result)
        if error:
            self._attempt.fail(error)


def _inside_attempt() -> bool:
    attempt = scope.attempt_in()
    return attempt is not None and attempt.live


def wrapper(function: Function, visit: Callable[[tuple[Any, ...], dict[str, Any]], Any]) -> Callable[..., Any]:
    """Return what wraps a configured function.

    Args:
        function: Its record.
        visit: Makes the visit of one call, of its positional and keyword arguments.
    """

    def wrap(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if not runtime.current().active:
            return wrapped(*args, **kwargs)
        given = args if instance is None else (instance, *args)
        return call(function.kind or function.meet(wrapped), visit(given, kwargs), wrapped, args, kwargs)

    return wrap
