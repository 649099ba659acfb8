"""What only the cycle collector frees: objects of ours that hold one another."""

from __future__ import annotations

import gc
from types import BuiltinMethodType, CellType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_CONTAINERS: Final = (list, dict, tuple, set, frozenset, CellType, FunctionType, MethodType, BuiltinMethodType)


def rings(task: Callable[[], object]) -> list[list[str]]:
    """Return the cycles of our objects that a task leaves to the collector, each by the names of its classes.

    A cycle counts that closes through objects of ours and plain containers alone. One that goes through the host's own
    (an exception that its own frame keeps) is the host's, whatever of ours hangs on it.

    Args:
        task: Is done once before, so that what is made once is there.
    """
    task()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        task()
        gc.collect()
        return _rings(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def is_ours(thing: object) -> bool:
    """Whether an object is of a class of the package, its providers for tests left out."""
    module = type(thing).__module__
    return f"{module}.".startswith("otel_failover.") and not module.startswith("otel_failover.testing")


def _rings(garbage: list[Any]) -> list[list[str]]:
    nodes = {id(each): each for each in garbage if is_ours(each) or isinstance(each, _CONTAINERS)}
    next_to = {
        number: [id(other) for other in gc.get_referents(each) if id(other) in nodes] for number, each in nodes.items()
    }
    # Whatever cannot be on a cycle is taken away, again and again: what nothing leads to, and what leads to nothing.
    while True:
        led_to = {other for others in next_to.values() for other in others}
        left = {
            number: [other for other in others if other in next_to]
            for number, others in next_to.items()
            if number in led_to and any(other in next_to for other in others)
        }
        done, next_to = len(left) == len(next_to), left
        if done:
            break
    found = []
    for start in next_to:
        seen: set[int] = set()
        ahead = list(next_to[start])
        while ahead:
            number = ahead.pop()
            if number not in seen:
                seen.add(number)
                ahead += next_to[number]
        if start in seen and is_ours(nodes[start]):
            found.append(sorted({type(nodes[each]).__qualname__ for each in seen if is_ours(nodes[each])}))
    return found
