"""Modules as they were when they were imported: what is said once per process is said again."""

from __future__ import annotations

import importlib.util
from collections import Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

if TYPE_CHECKING:
    from types import ModuleType

    import pytest

_KEPT = (set, list, dict, deque, Counter, OrderedDict, defaultdict, WeakKeyDictionary, WeakSet, WeakValueDictionary)


def as_imported(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a module forget, for one test, what it keeps in sets, lists and tables of its own.

    Args:
        module: Is executed once more, beside itself; what it keeps then is put in the place of what it keeps now.
        monkeypatch: Puts all of it back.
    """
    spec = importlib.util.find_spec(module.__name__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    for name, value in vars(again).items():
        if not name.startswith("__") and type(value) in _KEPT:
            monkeypatch.setattr(module, name, value)
