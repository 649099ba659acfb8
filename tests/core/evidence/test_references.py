"""Objects remembered by identity, and not kept alive."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from typing import Any, Final

import pytest

from otel_failover._core.evidence.references import IdentityMap, Reference


class Equal:
    """Equal to whatever is of its kind, and so without a hash."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal)

    __hash__ = None  # type: ignore[assignment]


class Hostile:
    """What must not be compared, hashed or asked whether it is true."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    def __hash__(self) -> int:
        raise RuntimeError("hashed")

    def __bool__(self) -> bool:
        raise RuntimeError("asked")


class LoopError(Exception):
    """An application's own; Python's own cannot be weakly referenced."""


def filled(*keys: object, most: int | None = None) -> IdentityMap[int]:
    """Return a map of each key's position."""
    made: IdentityMap[int] = IdentityMap(most)
    for position, key in enumerate(keys):
        assert made.set(key, position)
    return made


@pytest.mark.parametrize("kind", [Equal, Hostile, LoopError])
def test_the_very_object_is_found_and_no_other(kind: type[Any]) -> None:
    one, other, third = kind(), kind(), kind()
    held = filled(one, other)
    assert (held.get(one), held.get(other), held.get(third), len(held)) == (0, 1, None, 2)


def test_a_value_is_replaced() -> None:
    one = Equal()
    held = filled(one)
    assert held.set(one, 7)
    assert (held.get(one), len(held)) == (7, 1)


def test_an_object_goes_with_its_entry_and_the_entry_with_it() -> None:
    one, other = Equal(), Equal()
    held, alive = filled(one, other), weakref.ref(one)
    del one
    gc.collect()
    assert (alive(), len(held), held.get(other)) == (None, 1, 1)


def test_the_number_of_an_object_that_is_gone_proves_nothing() -> None:
    """Objects made one after the other get the same id again and again; none is taken for the one before."""
    held: IdentityMap[int] = IdentityMap()
    numbers: set[int] = set()
    again = 0
    for round_ in range(1_000):
        each = Equal()
        assert held.get(each) is None
        again += id(each) in numbers
        numbers.add(id(each))
        held.set(each, round_)
        assert held.get(each) == round_
        del each
    assert again, "no number was given twice, so this tested nothing"
    assert len(held) == 0


@pytest.mark.parametrize("key", [ValueError("x"), "text", 7, None, (), [1]], ids=repr)
def test_what_cannot_be_weakly_referenced_is_not_remembered(key: object) -> None:
    held: IdentityMap[int] = IdentityMap()
    assert not held.set(key, 1)
    assert (held.get(key), len(held)) == (None, 0)


def test_only_so_many() -> None:
    keys = [Equal() for _ in range(5)]
    held = filled(*keys, most=3)
    assert [held.get(key) for key in keys] == [None, None, 2, 3, 4]


def test_taking_out() -> None:
    one, other = Equal(), Equal()
    held = filled(one, other)
    assert (held.pop(one), held.pop(one), held.pop(Equal()), len(held)) == (0, None, None, 1)
    held.clear()
    assert len(held) == 0


def test_a_copy_is_another_object() -> None:
    one = LoopError("x")
    held = filled(one)
    assert [held.get(each) for each in (copy.copy(one), pickle.loads(pickle.dumps(one)))] == [None, None]


THREADS: Final = 4


def test_many_threads() -> None:
    """Nothing is lost or raised while keys come and go in several threads."""
    held: IdentityMap[object] = IdentityMap(64)
    wrong: list[object] = []

    def work() -> None:
        try:
            for _ in range(2_000):
                each = Equal()
                value = object()
                held.set(each, value)
                if held.get(each) not in (value, None):
                    wrong.append(each)
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            wrong.append(problem)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(held) <= 64


@pytest.mark.parametrize("hold", [True, False])
def test_a_reference_holds_until_it_is_released(hold: bool) -> None:
    one = Equal()
    reference, alive = Reference(one, hold=hold), weakref.ref(one)
    assert reference.is_(one)
    assert not reference.is_(Equal())
    del one
    gc.collect()
    assert (alive() is not None) == hold
    reference.release()
    gc.collect()
    assert alive() is None
    assert reference.target is None
    assert not reference.is_(None)


def test_a_builtin_exception_is_held_until_it_is_forgotten() -> None:
    """It cannot be referenced weakly; what may be released is only what was held for its content."""
    problem = ValueError("x")
    reference = Reference(problem)
    reference.release()
    assert (reference.weak, reference.is_(problem)) == (False, True)
    reference.forget()
    assert not reference.is_(problem)
