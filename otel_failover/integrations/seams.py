"""Whether a place still looks as a wrapper needs it: that it is there, what kind of function it is, what it takes.

Looked at in releases that are newer than any that was tested, before anything is wrapped: a method that became a
coroutine, or lost a parameter, is found here and not at the host's first call. What another instrumentation has put on
top is looked through where it lets itself be; where not, nothing can be told, and the place counts as it is.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

GENERATOR: Final = "generator"
ASYNC_GENERATOR: Final = "asynchronous generator"
ASYNC_MANAGER: Final = "asynchronous context manager"
_COROUTINE: Final = "coroutine function"
_FUNCTION: Final = "plain function"

_DEEP: Final = 32
_VARIABLE: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

_MAY_BE: Final = {
    _COROUTINE: {_COROUTINE},
    _FUNCTION: {_FUNCTION},
    # A plain function may return what it has from another one.
    GENERATOR: {GENERATOR, _FUNCTION},
    ASYNC_GENERATOR: {ASYNC_GENERATOR, _FUNCTION},
    ASYNC_MANAGER: {ASYNC_MANAGER, _FUNCTION},
}
"""What a place may be, by what its wrapper needs."""


def fault_of(place: Any, kind: str, takes: str, wrapper: Callable[..., Any], module: str) -> str | None:
    """Say what is wrong with the shape of a place that is there; None where nothing is, or nothing can be told.

    Args:
        place: What stands there, as it is looked up.
        kind: `GENERATOR`, `ASYNC_GENERATOR` or `ASYNC_MANAGER`; empty: a coroutine function where the wrapper is one,
            else a plain function.
        takes: The parameters that the wrapper reads, as they stand in a signature without the object: those it reads by
            position in their order, `_` for one that it does not, and after `*` those that it reads by name only.
        wrapper: What is to be put on.
        module: Where the place is: what comes from another package was put there by somebody else, most likely.
    """
    if inspect.isclass(place) or not callable(place):
        return "is a class" if callable(place) else "is no function"
    found, function = _own(place, module)
    if function is None:
        return None
    needed = kind or (_COROUTINE if inspect.iscoroutinefunction(wrapper) else _FUNCTION)
    if found not in _MAY_BE[needed]:
        return f"is {_article(found)}, where {_article(needed)} was"
    lost = list(_lost(function, takes))
    return f"takes no {', '.join(lost)} there" if lost else None


def _article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def _own(place: Any, module: str) -> tuple[str, Any]:
    """Return the outermost function in a place that is the library's own, and its kind.

    Where none is, the outermost; none where that passes on whatever it is given.
    """
    package = module.partition(".")[0]
    # By its type: the wrappers of wrapt say of themselves that they are what they wrap.
    functions = [layer for layer in _layers(place) if type(layer) is FunctionType]
    for function in functions:
        owner = str(function.__globals__.get("__name__"))
        if owner == "contextlib":
            return (ASYNC_MANAGER if _kind(inspect.unwrap(function)) == ASYNC_GENERATOR else _FUNCTION), function
        if owner.partition(".")[0] == package:
            return _kind(function), function
    if not functions or all(each.kind in _VARIABLE for each in inspect.signature(functions[0]).parameters.values()):
        return "", None
    return _kind(functions[0]), functions[0]


def _layers(place: Any) -> Iterator[Any]:
    """Yield what stands in a place, and below it what that wraps."""
    for _ in range(_DEEP):
        yield place
        place = getattr(place, "__wrapped__", None)
        if place is None:
            return


def _kind(function: Any) -> str:
    for kind, is_one in (
        (_COROUTINE, inspect.iscoroutinefunction),
        (ASYNC_GENERATOR, inspect.isasyncgenfunction),
        (GENERATOR, inspect.isgeneratorfunction),
    ):
        if is_one(function):
            return kind
    return _FUNCTION


def _lost(function: Any, takes: str) -> Iterable[str]:
    """Yield the parameters that a wrapper reads and a function does not take, or not in that place."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # made in C
        return
    parameters = parameters[1:] if parameters and parameters[0].name in ("self", "cls") else parameters
    kinds = {each.kind for each in parameters}
    takes_more, takes_any = inspect.Parameter.VAR_POSITIONAL in kinds, inspect.Parameter.VAR_KEYWORD in kinds
    by_place = [each.name for each in parameters if each.kind <= inspect.Parameter.POSITIONAL_OR_KEYWORD]
    by_name = {each.name for each in parameters if each.kind not in _VARIABLE}
    positional, _, named = (part.strip(" ,") for part in takes.partition("*"))
    for place, name in enumerate(filter(None, positional.split(", "))):
        there = by_place[place : place + 1]
        if name != "_" and there != [name] and not (takes_more and not there):
            yield f"{name!r} as its {_nth(place)} parameter" if name in by_name or there else repr(name)
    for name in filter(None, named.split(", ")):
        if name not in by_name and not takes_any:
            yield repr(name)


def _nth(place: int) -> str:
    return ("first", "second", "third", "fourth", "fifth", "sixth")[place] if place < 6 else f"{place + 1}th"


def is_there(module: str) -> bool:
    """Whether a library that is imported has a module; neither that nor its package is imported for it.

    Args:
        module: Its full name; empty for none.
    """
    package = module.rpartition(".")[0]
    try:
        found = importlib.util.find_spec(package or module) if module else None
    except Exception:
        return False
    if not package:
        return found is not None
    within = found.submodule_search_locations if found is not None else None
    return bool(within) and importlib.machinery.PathFinder.find_spec(module, within) is not None


def is_gone(module: str, parent: str) -> bool:
    """Whether a module below a package that is imported cannot be imported; nothing is.

    Args:
        module: Its full name.
        parent: A package above it, which is imported.
    """
    nearest = f"{parent}.{module.removeprefix(parent + '.').partition('.')[0]}"
    if nearest in sys.modules:
        return False
    try:
        return importlib.util.find_spec(nearest) is None
    except Exception:
        return False
