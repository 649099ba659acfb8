"""One configured function: its kind, its parameters, and what is read of its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_failover._core.failsafe import guarded, logger, text_of
from otel_failover._core.runs.functions import is_decorated
from otel_failover._core.text.gate import clean
from otel_failover.integrations.loops.configured.function_kinds import PLAIN, kind_of
from otel_failover.integrations.loops.configured.paths import RESULT, Parameters, Path, UnresolvedError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Function:
    """One configured function, and what is read of its calls.

    Args:
        loop: The loop's name: its run's path.
        paths: By field.
    """

    def __init__(self, loop: str, paths: Mapping[str, Path]) -> None:
        self.loop, self.paths = loop, paths
        self.kind = ""
        self.decorated = False
        self._parameters: Parameters | None = None
        self._warned_of: set[str] = set()

    @guarded(fallback=PLAIN)
    def meet(self, wrapped: Any) -> str:
        """Look at the function at its first call; return its kind."""
        self._parameters = Parameters(wrapped)
        self.decorated = is_decorated(wrapped)
        self.kind = kind_of(wrapped)
        return self.kind

    def read(
        self,
        field: str,
        given: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: object = None,
        passed: list[Any] | None = None,
    ) -> Any:
        """Return what stands at a field's path in one call; None where it leads nowhere, which is logged once.

        Args:
            field: `provider`, `error` …
            given: Positional arguments, the object of a method among them.
            kwargs: Keyword arguments.
            result: What was returned.
            passed: Takes up what the path passes.
        """
        path = self.paths.get(field)
        if path is None or not path.root:
            return path.literal if path is not None else None
        try:
            if path.root == RESULT or self._parameters is None:
                return path.follow(result)
            return path.follow(self._parameters.value(path.root, given, kwargs), passed)
        except UnresolvedError as problem:
            self.warn(field, f"{path.text!r} leads nowhere: ", problem)
            return None

    def warn(self, field: str, what: str, problem: object) -> None:
        """Log once what is wrong with a field.

        Args:
            field: Of the loop: `chain`, `model` …
            what: The beginning of the sentence.
            problem: Its end.
        """
        if field not in self._warned_of:
            self._warned_of.add(field)
            shown = clean(f"{self.loop}: {what}{text_of(problem)[:1000]}")
            logger.warning("otel-failover: %s of %s", field, shown)
