"""Paths: where a configured loop finds a provider, a model, an error in the host's own objects.

    path    = literal | name step*
    literal = "'" text "'" | '"' text '"'
    step    = "." name | "[" integer "]" | "[" literal "]"

Parsed once; read once per call. No calls and no dunder attributes, so that reading runs no code but properties of the
host's, and reaches nothing that the host's own expression would not.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.config.checks import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RESULT: Final = "result"
"""The name that stands for what the function returned."""

ALLOWED: Final = "a parameter's name or 'result', then .name, [0] or [\"key\"]; or a literal in quotes"
_NAME: Final = re.compile(r"[^\W\d]\w*")
_INDEX: Final = re.compile(r"\[(-?\d+)\]")
_LITERAL: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_SHOWN: Final = 8
_LOOKED_AT: Final = 256


class PathError(ValueError):
    """A path that cannot be understood; the text says what is wrong, and in which column."""


class UnresolvedError(LookupError):
    """A path that leads nowhere.

    Args:
        there: Where it was, or a parameter's function.
        key: What was sought there.
        held: Names what is there instead; worked out only where it is logged.
        raised: What reading it raised, if that was not simply that it is not there.
    """

    def __init__(
        self, there: str, key: object, held: Callable[[], tuple[str, Iterable[str]]], raised: str = ""
    ) -> None:
        super().__init__(there, key)
        self._there, self._key, self._held, self._raised = there, key, held, raised

    def __str__(self) -> str:
        if self._raised:
            return f"reading {self._key!r} of {self._there} raised {self._raised}"
        return f"{self._there} has no {self._key!r}{instead(self._key, *self._held())}"


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path. Made by `parse`.

    Args:
        text: As it was written.
        root: The parameter where it starts; empty for a literal.
        steps: From there: attributes, and indices or keys.
        literal: The text of a literal.
    """

    text: str
    root: str
    steps: tuple[tuple[bool, Any], ...] = ()
    literal: str = ""

    def follow(self, start: object, passed: list[Any] | None = None) -> Any:
        """Return what the path leads to from where it starts.

        Args:
            start: The value of the parameter.
            passed: Takes up what the path passes.

        Raises:
            UnresolvedError: Where a step is not there, or reading it raises.
        """
        found: Any = start
        key, is_attribute = None, False
        try:
            for is_attribute, key in self.steps:
                if passed is not None:
                    passed.append(found)
                found = getattr(found, key) if is_attribute else found[key]
        except Exception as problem:
            absent = isinstance(problem, (AttributeError, LookupError, TypeError))
            held = partial(_held, found, is_attribute=is_attribute)
            raise UnresolvedError(type(found).__name__, key, held, "" if absent else type(problem).__name__) from None
        return found

    def endings(self) -> Iterator[Path]:
        """Yield the path as it may start at something that it passes, the longest first."""
        for at in range(len(self.steps)):
            yield Path(self.text, self.root, self.steps[at:])


def parse(text: str) -> Path:
    """Return a path.

    Args:
        text: As configured: `self.vendor`, `kwargs["model"]`, `'openai'`.

    Raises:
        PathError: Where it cannot be understood.
    """
    stripped = text.strip()
    literal = _LITERAL.fullmatch(stripped)
    if literal:
        return Path(text, "", literal=literal[1] or literal[2] or "")
    root = _NAME.match(stripped)
    if root is None:
        raise _wrong(stripped, 0, "a name was expected")
    _forbid_dunder(stripped, root[0], 0)
    steps, at = [], root.end()
    while at < len(stripped):
        step, at = _step(stripped, at)
        steps.append(step)
    return Path(text, root[0], tuple(steps))


def _step(text: str, at: int) -> tuple[tuple[bool, Any], int]:
    """Return the step that starts at a place, and where it ends."""
    if text[at] == ".":
        name = _NAME.match(text, at + 1)
        if name is None:
            raise _wrong(text, at + 1, "a name was expected")
        _forbid_dunder(text, name[0], at + 1)
        return (True, name[0]), name.end()
    if text[at] == "[":
        index = _INDEX.match(text, at)
        if index:
            return (False, int(index[1])), index.end()
        key = _LITERAL.match(text, at + 1)
        if key is None or text[key.end() : key.end() + 1] != "]":
            raise _wrong(text, at, 'an index or a key was expected, as [0] or ["key"]')
        return (False, key[1] if key[1] is not None else key[2]), key.end() + 1
    raise _wrong(text, at, "no call can be made" if text[at] == "(" else f"{text[at]!r} was not expected")


def _forbid_dunder(text: str, name: str, at: int) -> None:
    if name.startswith("__"):
        raise _wrong(text, at, f"{name} is private to Python")


def _wrong(text: str, at: int, what: str) -> PathError:
    return PathError(f"{what} in column {at + 1} of {text!r}; a path is {ALLOWED}")


def _held(there: object, *, is_attribute: bool) -> tuple[str, list[str]]:
    """Return what is there instead, with the word for it: names only, never values."""
    try:
        if is_attribute:
            return "it has", [name for name in dir(there) if not name.startswith("_")]
        if isinstance(there, Mapping):
            return "it has", [key for key in islice(there, _LOOKED_AT) if isinstance(key, str)]
        return "its length is", [str(len(there))] if isinstance(there, Sequence) else []
    except Exception:
        return "it has", []


def instead(word: object, label: str, known: Iterable[str]) -> str:
    """Return the nearest of some names as the end of a sentence, else some of them; empty where there are none.

    Args:
        word: What was sought.
        label: What is said before a list: `it has`.
        known: What is there.
    """
    names = list(known)
    near = did_you_mean(str(word), names)
    more = ", …" if len(names) > _SHOWN else ""
    return near or (f"; {label} {', '.join(sorted(names)[:_SHOWN])}{more}" if names else "")


class Parameters:
    """The parameters of a function, as a path may start at one of them.

    Args:
        function: The function, or the method bound to its object.
    """

    def __init__(self, function: Any) -> None:
        bare = getattr(function, "__func__", function)
        self._name = getattr(function, "__qualname__", "the function")
        try:
            declared = list(inspect.signature(bare).parameters.values())
        except (TypeError, ValueError):
            declared = []
        self._known = {each.name: (at, each) for at, each in enumerate(declared)}
        by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        self._named = frozenset(each.name for each in declared if each.kind in by_name)

    def value(self, name: str, given: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a parameter's value in one call, its default where none is given.

        Args:
            name: Of the parameter.
            given: Positional arguments, the object of a method among them.
            kwargs: Keyword arguments.

        Raises:
            UnresolvedError: Where the function has no such parameter, or the call gives no value.
        """
        at, parameter = self.declared(name)
        if parameter.kind is parameter.VAR_KEYWORD:
            return {key: value for key, value in kwargs.items() if key not in self._named}
        if parameter.kind is parameter.VAR_POSITIONAL:
            return given[at:]
        if parameter.kind is not parameter.KEYWORD_ONLY and at < len(given):
            return given[at]
        if parameter.kind is not parameter.POSITIONAL_ONLY and name in kwargs:
            return kwargs[name]
        if parameter.default is parameter.empty:
            raise UnresolvedError(f"this call of {self._name}", name, lambda: ("", ()))
        return parameter.default

    def declared(self, name: str) -> tuple[int, inspect.Parameter]:
        """Return where a parameter stands, and the parameter.

        Args:
            name: Of the parameter.

        Raises:
            UnresolvedError: Where the function has no such parameter.
        """
        if name not in self._known:
            raise UnresolvedError(self._name, name, lambda: ("its parameters are", self._known))
        return self._known[name]
