"""Foreign objects, remembered by identity without being kept alive."""

from __future__ import annotations

import weakref
from typing import Any


class Reference:
    """One foreign object, remembered without keeping it alive where that is possible.

    Args:
        thing: The object. Builtin exceptions cannot be weakly referenced; they are held until `release`.
        hold: Keep it alive until `release`.
    """

    __slots__ = ("_strong", "_weak")

    def __init__(self, thing: object, *, hold: bool = False) -> None:
        self._strong: object | None = thing if hold else None
        try:
            self._weak: weakref.ref[Any] | None = weakref.ref(thing)
        except TypeError:
            self._weak, self._strong = None, thing

    @property
    def target(self) -> Any:
        """The object, or None where it is gone."""
        return self._weak() if self._weak is not None else self._strong

    def release(self) -> None:
        """Let go of an object that was held for its content."""
        if self._weak is not None:
            self._strong = None

    def forget(self) -> None:
        """Let go of the object altogether."""
        self._strong = None

    @property
    def weak(self) -> bool:
        """Whether the object can be remembered without keeping it alive."""
        return self._weak is not None

    def is_(self, thing: object) -> bool:
        """Whether this is the very object."""
        return thing is not None and self.target is thing
