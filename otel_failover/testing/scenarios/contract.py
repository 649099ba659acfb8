"""What a loop has to be so that it can be tried: a function of candidates that returns text or raises."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from otel_failover.testing.wire.common import Kind

__all__ = ["Call", "NoSuchCallError", "Target", "load"]


@dataclass(frozen=True, slots=True)
class Target:
    """One candidate of the chain that a loop is given.

    Args:
        name: `first`, `second`, `third`: what the report calls it.
        provider: Whose wire format it speaks: `openai`, `anthropic` …
        model: To be asked for; each candidate's is another.
        base_url: What the provider's SDK takes as `base_url`; on this machine.
        api_key: To be sent to this candidate and to nobody else; it is made up.
        timeout: Seconds that the loop shall wait for it.
    """

    name: str
    provider: Kind
    model: str
    base_url: str
    api_key: str
    timeout: float

    def __repr__(self) -> str:
        return f"<Target {self.name}: {self.provider}/{self.model} at {self.base_url}>"


class Call(Protocol):
    """A loop that can be tried: asks the candidates in their order whatever it likes.

    It may be a function or anything that can be called, plain or `async`. A loop that streams puts the pieces together.
    """

    def __call__(self, candidates: Sequence[Target], /) -> str | Awaitable[str]:
        """Return the text of the answer that was taken; raise where no candidate gave one.

        Args:
            candidates: The chain, in order: two or three.
        """


class NoSuchCallError(ValueError):
    """What was named is no loop that can be tried; its text says why, and what would do."""


def load(named: str) -> Call:
    """Import a loop by its name.

    Args:
        named: `my.module:call`; behind the colon also `router.call`.

    Raises:
        NoSuchCallError: There is no such module or name in it; it cannot be called, or not with the candidates alone.
            What the module itself raises while it is imported stands in the text, and is the cause.
    """
    module_name, colon, path = named.partition(":")
    if not (module_name and colon and path):
        raise NoSuchCallError(f"{named!r} names no loop: write module:function, as in my.module:call")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as problem:
        missing = isinstance(problem, ModuleNotFoundError) and f"{module_name}.".startswith(f"{problem.name}.")
        why = "there is no such module here" if missing else f"importing it raised {type(problem).__name__}: {problem}"
        raise NoSuchCallError(f"{module_name!r} cannot be imported: {why}") from (None if missing else problem)
    for name in path.split("."):
        if not hasattr(found, name):
            there = [each for each in vars(found) if not each.startswith("_") and callable(getattr(found, each))]
            known = f"; it has {', '.join(sorted(there)[:12])}" if inspect.ismodule(found) and there else ""
            raise NoSuchCallError(f"{module_name!r} has no {path!r}{known}")
        found = getattr(found, name)
    if not callable(found):
        raise NoSuchCallError(f"{named} is no function but {type(found).__name__}")
    try:
        inspect.signature(found).bind(())
    except TypeError as problem:
        raise NoSuchCallError(f"{named} cannot be called with the candidates alone: {problem}") from None
    except ValueError:
        pass  # a builtin without a signature
    call: Call = found
    return call
