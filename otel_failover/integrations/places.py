"""Looking at a library whether it is still what an adapter knows, whatever its version says."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import sys
from typing import Any


def has_module(module: str) -> bool:
    """Whether a library that is imported has a module; neither that nor its package is imported for it.

    Args:
        module: Its full name.
    """
    package, _, name = module.rpartition(".")
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    within = found.submodule_search_locations if found is not None else None
    return bool(within) and importlib.machinery.PathFinder.find_spec(f"{package}.{name}", within) is not None


def fits(module: str, name: str, first: tuple[str, ...]) -> bool:
    """Whether a place is there, and takes what it is known to take.

    Args:
        module: The full name of its module, which is imported.
        name: Its dotted name within that.
        first: Its first parameters by name, besides `self`; empty where they do not matter.
    """
    place: Any = sys.modules.get(module)
    for part in name.split("."):
        place = getattr(place, part, None)
    if not place or not first:
        return bool(place)
    try:
        named = [each for each in inspect.signature(place).parameters if each != "self"]
    except (TypeError, ValueError):
        return True
    return tuple(named[: len(first)]) == first
