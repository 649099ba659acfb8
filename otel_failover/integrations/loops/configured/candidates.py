"""Who the candidates of a configured loop are, as its paths and its own objects say."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.failsafe import read, text_of
from otel_failover.integrations.loops.configured.paths import RESULT, Path, UnresolvedError

if TYPE_CHECKING:
    from otel_failover.integrations.loops.configured.function import Function

WHO: Final = ("provider", "model", "endpoint", "profile")
"""What a candidate is known by."""


class Source:
    """How a loop says who its candidates are.

    Args:
        paths: Of the attempt, by field.
        operation: What is asked for.
        chain: Where it is configured as a list.
        recurses: Whether the run function is the attempt function too.
    """

    def __init__(
        self, paths: Mapping[str, Path], operation: str, chain: tuple[Any, ...] | None, recurses: bool
    ) -> None:
        self._paths, self.operation, self._chain, self.recurses = paths, operation, chain, recurses

    def entries(self, function: Function, given: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
        """Return the chain of one run as the host has it; None where it is not known."""
        if self._chain is not None:
            return self._chain
        found = function.read("chain", given, kwargs)
        if found is None or isinstance(found, (str, Candidate)):
            return None if found is None else (found,)
        try:
            if iter(found) is found:
                function.warn("chain", "", "an iterator, which can be read only once; a list is needed")
                return None
            return tuple(found)
        except Exception as problem:
            function.warn("chain", "it cannot be read as a list: ", type(problem).__name__)
            return None

    def candidate(self, entry: Any) -> Candidate:
        """Return an entry of a chain as a Candidate: the host's objects are read as the attempt's would be."""
        if isinstance(entry, (str, Candidate)):
            return identity.parse(entry)
        if isinstance(entry, (tuple, list)) and len(entry) > 1:
            return Candidate(*(text_or_none(each) or "" for each in entry[:2]))
        found = {field: self._of(entry, field) for field in WHO}
        if not found["provider"] and not found["model"]:
            return identity.parse(entry)
        return candidate_of(found)

    def _of(self, entry: Any, field: str) -> Any:
        path = self._paths.get(field)
        if path is not None and not path.root:
            return path.literal
        for ending in path.endings() if path is not None and path.root != RESULT else ():
            with contextlib.suppress(UnresolvedError):
                return ending.follow(entry)
        found = entry.get(field) if isinstance(entry, Mapping) else read(entry, field)
        return found if isinstance(found, (str, Enum)) else None


def text_or_none(value: Any) -> str | None:
    """Return a host's word as text; None where there is none."""
    if isinstance(value, Enum) and not isinstance(value, str):
        value = value.value
    return None if value is None else text_of(value)[:1000] or None


def candidate_of(found: Mapping[str, Any]) -> Candidate:
    """Return a Candidate of what was read, by field."""
    words = {field: text_or_none(found.get(field)) for field in WHO}
    return Candidate(words["provider"] or "", words["model"] or "", words["endpoint"], words["profile"])
