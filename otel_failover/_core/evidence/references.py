"""Foreign objects, remembered by identity without being kept alive.

Weakly, since an exception that is kept keeps its traceback, and that the frames of a whole request with all that is in
them; and since nothing of ours may decide how long an object of the host's lives. By identity, since equality is the
host's code: it may be true for two errors of different requests, it may raise, and what is compared so (results,
pydantic models) often has no hash.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Reference:
    """One foreign object, remembered without keeping it alive where that is possible.

    Args:
        thing: The object. Builtin exceptions cannot be weakly referenced; they are held until `release`.
        hold: Keep it alive until `release`.

    Attributes:
        held: The object, where it is kept alive; to let go of it altogether, None is put there.
        weak: It can be remembered without keeping it alive.
    """

    __slots__ = ("_weak", "held", "weak")

    def __init__(self, thing: object, *, hold: bool = False) -> None:
        self.held: object | None = thing if hold else None
        try:
            self._weak: weakref.ref[Any] | None = weakref.ref(thing)
            self.weak = True
        except TypeError:
            self._weak, self.held, self.weak = None, thing, False

    @property
    def target(self) -> Any:
        """The object, or None where it is gone."""
        return self._weak() if self._weak is not None else self.held

    def release(self) -> None:
        """Let go of an object that was held for its content."""
        if self._weak is not None:
            self.held = None

    def forget(self) -> None:
        """Let go of the object altogether."""
        self.held = None

    def is_(self, thing: object) -> bool:
        """Whether this is the very object."""
        return thing is not None and thing is (self._weak() if self._weak is not None else self.held)


class IdentityMap(Generic[T]):
    """Maps objects to values by identity, and keeps none of the objects alive.

    The key is the object's id, which alone proves nothing: the next object may be given the number of one that is gone.
    So each entry has a weak reference as well, and counts only while that leads to the very object that is asked for.
    An entry goes with its object.

    Values are held as they are: one that leads back to its key keeps that alive.

    Args:
        most: So many entries at most: the oldest goes; None for any number.
    """

    __slots__ = ("_entries", "_forget", "_most")

    def __init__(self, most: int | None = None) -> None:
        entries: OrderedDict[int, tuple[_Key, T]] = OrderedDict()

        def forget(gone: _Key) -> None:
            # By then the number may be another object's.
            if (held := entries.get(gone.number)) is not None and held[0] is gone:
                entries.pop(gone.number, None)

        self._entries, self._forget, self._most = entries, forget, most

    def get(self, key: object) -> T | None:
        """Return an object's value, None where there is none."""
        held = self._entries.get(id(key))
        return held[1] if held is not None and held[0]() is key else None

    def set(self, key: object, value: T) -> bool:
        """Give an object a value, in place of the one it had.

        Returns:
            Whether that is remembered: an object that cannot be weakly referenced, as a builtin exception, is not.
        """
        try:
            reference = _Key(key, self._forget)
        except TypeError:
            return False
        reference.number = id(key)
        self._entries[reference.number] = (reference, value)
        if self._most is not None and len(self._entries) > self._most:
            self._entries.popitem(last=False)
        return True

    def pop(self, key: object) -> T | None:
        """Forget an object; return the value that it had."""
        found = self.get(key)
        if found is not None:
            self._entries.pop(id(key), None)
        return found

    def clear(self) -> None:
        """Forget all objects."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


class _Key(weakref.ref[Any]):
    """A weak reference that knows its object's id still when the object is gone."""

    __slots__ = ("number",)
    number: int
