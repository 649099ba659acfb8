"""Functions replaced by ones that always say the same: what a table of cases does not notice, it does not test."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType


def mutants(module: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield functions of a module, by name, with what stands in for each: a yes, a no, nothing found, nothing yielded.

    Args:
        module: Whose functions have annotations.
    """
    for name, function in vars(module).items():
        if inspect.isfunction(inspect.unwrap(function)) and function.__module__ == module.__name__:
            for value in _instead(str(function.__annotations__.get("return", ""))):
                yield name, _always(value)


def _always(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: iter(value) if value == () else value


def _instead(kind: str) -> tuple[Any, ...]:
    """Return what a function of such a return type may say whatever it is asked."""
    if kind == "bool":
        return False, True
    if kind.startswith(("Iterator", "Iterable", "list", "tuple", "Sequence")):
        return ((),)
    return ("",) if kind == "str" else (None,) if kind.endswith("| None") else ()
