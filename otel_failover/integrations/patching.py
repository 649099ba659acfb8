"""Putting wrappers on and taking our own off, wherever they stand.

A wrapper is taken off by its own handle, never "the outermost one": somebody else's may be on top by then. SDKs keep
bound methods that were wrapped, so every wrapper also asks whether we are still active.

Nothing is imported for the sake of wrapping it: a library that is not imported yet is wrapped when it is, by an import
hook. An exception that left such a hook would break the host's own `import`, so none does.

In one file: what is put on is taken off by the handles that the same state keeps. `seams` says how places have to look.
"""

from __future__ import annotations

import copy
import importlib.metadata
import sys
import threading
import weakref
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import wrapt
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from otel_failover._core.failsafe import guarded, logger, note, strict, text_of
from otel_failover._core.text.gate import clean
from otel_failover.integrations.seams import fault_of, is_gone, is_there

if TYPE_CHECKING:
    from collections.abc import Callable

PATCHED: Final = "patched"
SKIPPED: Final = "skipped"
WAITING: Final = "waiting"
MISSING: Final = "missing"
DISABLED: Final = "disabled"


class Patch(NamedTuple):
    """One place to wrap.

    Args:
        module: The module that has to be imported first.
        name: Dotted name within it: `Client.send`.
        wrapper: A wrapt wrapper `(wrapped, instance, args, kwargs)`.
        why: What is wrapped, and why there.
        since: The first version that has the place; in older ones it is not looked for.
        apart: The module may never be imported: the library does not wait for it, and it is wrapped when it is.
        shadow: A method that its class inherits. It is wrapped only where the class has one of its own by then: another
            instrumentation, on before us, has put that in front of what is inherited, and calls past our wrapper there.
        kind: What the place gives, where that is a generator; see `seams`. Else the wrapper's own kind says it.
        takes: The parameters that the wrapper reads, as in a signature: `model, _, options, *, stream`; see `seams`.
        group: Places that are wrapped together or not at all, beside the library's others, which go on without them.
            Empty: without this place none is wrapped.
        unless: A module that has taken over from this place: where the library has it, the place is not looked for.
    """

    module: str
    name: str
    wrapper: Callable[..., Any]
    why: str
    since: str = ""
    apart: bool = False
    shadow: bool = False
    kind: str = ""
    takes: str = ""
    group: str = ""
    unless: str = ""


class Library(NamedTuple):
    """What an adapter wraps of one library.

    Args:
        name: As in `disabled_libraries` and in the support table.
        distribution: On PyPI.
        supported: Versions that are patched.
        patches: The places; all of a group must be there, else none of it is wrapped. Each module apart counts by
            itself.
        unfit: Returns why the places cannot be wrapped, or None, where there is more to say than that one is not there.
        tested: The newest version that the tests have seen. In a newer one the shape of each place is looked at before
            it is wrapped. Empty: all that are supported have been tested.
    """

    name: str
    distribution: str
    supported: str
    patches: tuple[Patch, ...]
    unfit: Callable[[], str | None] | None = None
    tested: str = ""


class State:
    """What became of one library.

    Args:
        name: As in the support table.
        status: `patched`, `waiting` (installed, not imported yet), `missing`, `skipped`, `disabled`.
        version: What is installed; None for what is no distribution.
        why: Why it was skipped, or what it waits for; of one that is patched, which of its places are left out.
        supported: Versions that are supported.

    Attributes:
        newer_than: The newest version that was tested, where this one is newer; else empty.
        imported: Whether the host has imported what is to be patched.
        is_on: It is patched.
    """

    def __init__(
        self, name: str, status: str, version: str | None = None, why: str | None = None, supported: str = ""
    ) -> None:
        self.name, self.version, self.why, self.supported = name, version, why, supported
        self.status = status
        self.newer_than, self.imported = "", False
        self.handles: list[tuple[object, str, Any]] = []
        self.late: weakref.WeakKeyDictionary[type, dict[str, weakref.ref[Any]]] = weakref.WeakKeyDictionary()

    @property
    def status(self) -> str:
        """What became of it."""
        return self._status

    @status.setter
    def status(self, status: str) -> None:
        self._status, self.is_on = status, status == PATCHED


class BoundWrapper(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]  # not generic before wrapt 2
    """A wrapped method as it is looked up: copied and pickled as the plain one is."""

    def __copy__(self) -> BoundWrapper:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        owner = self._self_instance
        return self if owner is None else getattr(copy.deepcopy(owner, memo), self.__name__)

    def __reduce__(self) -> Any:
        owner = self._self_instance
        return _reduced(self) if owner is None else (getattr, (owner, self.__name__))

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()


class Wrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # not generic before wrapt 2
    """A wrapt wrapper that can be copied and pickled as the function below it can."""

    __bound_function_wrapper__ = BoundWrapper

    def __copy__(self) -> Wrapper:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Wrapper:
        return self

    def __reduce__(self) -> Any:
        return _reduced(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()


def _reduced(wrapper: Any) -> Any:
    """Pickle by name, with nothing but the standard library needed to read it."""
    import pkgutil

    return pkgutil.resolve_name, (f"{wrapper.__module__}:{wrapper.__qualname__}",)


def installed(distribution: str) -> str | None:
    """Return the installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    except Exception:
        return "unknown"


def put_on(library: Library, disabled: frozenset[str], notify: Callable[[State], None]) -> State:
    """Wrap a library now if it is imported, else when it is.

    Args:
        library: What to wrap.
        disabled: Libraries that are switched off.
        notify: Called when a library is wrapped, or found unusable, later.

    Returns:
        What became of it. Nothing is raised, and a library that is not there is not imported.
    """
    version = installed(library.distribution)
    state = State(library.name, MISSING, version, supported=library.supported)
    if library.name in disabled:
        state.status, state.why = DISABLED, "switched off by disabled_libraries"
    elif version is not None and (problem := _unsupported(version, library.supported)):
        state.status, state.why = SKIPPED, problem
        _note_import(library, state, notify)
    elif version is not None:
        state.status = WAITING
        if library.tested and not _reaches(library.tested, version):
            state.newer_than = library.tested
        there = tuple(patch for patch in library.patches if _reaches(version, patch.since))
        when_ready(library._replace(patches=there), state, notify)
    return state


def _note_import(library: Library, state: State, notify: Callable[[State], None]) -> None:
    """Take note when the host imports what would have been patched: until then, nothing is missed."""

    def hook(_: Any) -> None:
        if not state.imported:
            state.imported = True
            notify(state)

    for module in dict.fromkeys(patch.module for patch in library.patches if not patch.apart):
        _after_import(module, library, hook)


def _after_import(module: str, library: Library, hook: Callable[[Any], None]) -> None:
    """Have a hook called with a module once it is imported, now if it is.

    It runs inside the host's `import` statement, which an exception from here would break: it breaks none but in strict
    mode, our own tests'.
    """

    def safe(imported: Any) -> None:
        try:
            hook(imported)
        except Exception as problem:
            note(f"patching.{library.name}", problem)
            if strict():
                raise

    wrapt.register_post_import_hook(safe, module)


def _unsupported(version: str, supported: str) -> str | None:
    try:
        fits = SpecifierSet(supported).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return f"version {version} cannot be read"
    return None if fits else f"version {version} is outside {supported}"


def _reaches(version: str, since: str) -> bool:
    try:
        return not since or Version(version) >= Version(since)
    except InvalidVersion:
        return True


def when_ready(library: Library, state: State, notify: Callable[[State], None]) -> None:
    """Wrap once the last of the library's modules is imported; several modules may have to come first.

    Args:
        library: What to wrap.
        state: Waiting; what becomes of it is noted here.
        notify: Called when it is wrapped, or found unusable.
    """
    needed = library._replace(patches=tuple(patch for patch in library.patches if not patch.apart))
    modules = list(dict.fromkeys(patch.module for patch in needed.patches))
    ready: set[str] = set()

    def ready_with(*names: str) -> None:
        # Under the import lock, so it wraps and does nothing else. All modules have to be there first: a library of
        # which only a part were wrapped would show calls without their requests, and every verdict would be drawn from
        # half of the evidence.
        ready.update(names)
        if state.status == WAITING and ready.issuperset(modules):
            _wrap_all(needed, state)
            notify(state)

    def look_below(package: Any) -> None:
        # A module that a newer release no longer has is never imported: the library would wait for it for good.
        below = [each for each in modules if each.startswith(f"{package.__name__}.")]
        ready_with(*(each for each in below if is_gone(each, package.__name__)))

    for module in modules:
        _after_import(module, library, lambda module: ready_with(module.__name__))
    for package in _above(modules) if state.newer_than else ():
        _after_import(package, library, look_below)
    for module in dict.fromkeys(patch.module for patch in library.patches if patch.apart):
        there = tuple(patch for patch in library.patches if patch.apart and patch.module == module)
        _when_imported(library._replace(patches=there), state)


def _above(modules: list[str]) -> list[str]:
    """Return the packages in which modules stand, the outermost first."""
    parts = (module.split(".") for module in modules)
    return list(dict.fromkeys(".".join(each[:deep]) for each in parts for deep in range(1, len(each))))


def _when_imported(library: Library, state: State) -> None:
    """Wrap the places of one module apart, once it is imported; they work while the library is patched."""

    def hook(_: Any) -> None:
        if state.status in (WAITING, PATCHED):
            _wrap_apart(library, state)

    _after_import(library.patches[0].module, library, hook)


def _wrap_apart(library: Library, state: State) -> None:
    faults = _faults(library, state)
    _put_all_on(_without(library, faults), state)
    if faults:
        problem = _told(faults, state)
        state.why = "; ".join(filter(None, (state.why, problem)))
        logger.warning("otel-failover: %s is patched but for one module: %s", library.name, problem)


def _wrap_all(library: Library, state: State) -> None:
    """Wrap every place of a group, or none: a half patched library would give half an evidence."""
    state.imported = True
    library = library._replace(patches=tuple(each for each in library.patches if not is_there(each.unless)))
    unfit = library.unfit() if library.unfit is not None else None
    faults = {"": [unfit]} if unfit is not None else {} if library.unfit is not None else _faults(library, state)
    whole = _without(library, faults)
    state.why = (unfit or _told(faults, state)) if faults else None
    if "" in faults or not whole.patches:
        state.status = SKIPPED
        return
    library = whole
    try:
        _put_all_on(library, state)
    except Exception as problem:
        take_off(state)
        state.status, state.why = SKIPPED, f"{clean(repr(problem))} while wrapping"
        raise
    state.status = PATCHED
    _patched[library.name] = state


def _faults(library: Library, state: State) -> dict[str, list[str]]:
    """Return what is wrong with the places of a library, by their group."""
    faults: dict[str, list[str]] = {}
    for patch in library.patches:
        found, problem = _resolve(patch), None
        if found is None:
            problem = "is not there"
        elif state.newer_than:
            problem = fault_of(found, patch.kind, patch.takes, patch.wrapper, patch.module)
        if problem is not None:
            faults.setdefault(patch.group, []).append(f"{patch.module}:{patch.name} {problem}")
    return faults


def _without(library: Library, faults: dict[str, list[str]]) -> Library:
    """Return a library with the groups alone in which nothing is wrong; with none, where all hang on what is."""
    there = tuple(patch for patch in library.patches if patch.group not in faults)
    return library._replace(patches=() if "" in faults else there)


def _told(faults: dict[str, list[str]], state: State) -> str:
    """Say what is wrong, and with the groups that are left out which they are."""
    parts = [", ".join(each) if not group else f"{group}: {', '.join(each)}" for group, each in faults.items()]
    return f"{'; '.join(parts)} in version {state.version}"


_IS_ON: Final = attrgetter("is_on")
"""Asked at each call of the host's that is wrapped, so it is no function of ours."""


def _put_all_on(library: Library, state: State) -> None:
    for patch in library.patches:
        if patch.shadow and not _is_shadowed(patch):
            continue
        handle = wrapt.wrap_object(
            sys.modules[patch.module], patch.name, Wrapper, (patch.wrapper, partial(_IS_ON, state))
        )
        state.handles.append((sys.modules[patch.module], patch.name, handle))


def _is_shadowed(patch: Patch) -> bool:
    """Whether a class has a method of its own where it inherits one by itself."""
    place, attribute = _place(sys.modules[patch.module], patch.name)
    return attribute in vars(place)


def _resolve(patch: Patch) -> object | None:
    found: object | None = sys.modules.get(patch.module)
    for part in patch.name.split("."):
        found = getattr(found, part, None)
    return found


_patched: Final[dict[str, State]] = {}
_lock: Final = threading.RLock()


def also(library: str, owner: type, name: str, wrapper: Callable[..., Any]) -> bool:
    """Wrap one more method of a library that is patched, on a class that was met while the library worked.

    Done once for each class and method, again where the host has put something else there; taken off with the rest.
    The class is not kept alive.

    Args:
        library: The library's name.
        owner: The class that defines the method, not one that inherits it.
        name: The method's name.
        wrapper: A wrapt wrapper `(wrapped, instance, args, kwargs)`.

    Returns:
        Whether it is wrapped now.
    """
    state = _patched.get(library)
    if state is None or state.status != PATCHED:
        return False
    # Two threads may meet a class at once: it would be wrapped twice. The handle is kept weakly, as the class is: the
    # host's own class keeps both, and with it everything is gone. The host may also have put a function of its own in
    # the place meanwhile, as test suites do, in which case our wrapper is no longer there and has to be put on again.
    with _lock:
        known = state.late.setdefault(owner, {})
        if name not in known or not _is_worn(vars(owner).get(name), known[name]()):
            handle = wrapt.wrap_object(owner, name, Wrapper, (wrapper, partial(_IS_ON, state)))
            known[name] = weakref.ref(handle)
    return True


def _is_worn(outermost: object, handle: object) -> bool:
    """Whether a wrapper stands somewhere in what a class has under a name."""
    while outermost is not None and outermost is not handle:
        outermost = getattr(outermost, "__wrapped__", None)
    return outermost is not None


def take_off(state: State) -> None:
    """Take our wrappers off, and nobody else's.

    A wrapper that another one covers is left in place where wrapt cannot splice it out (before 2.4, or under a plain
    closure): it passes everything through while we are not active.
    """
    for owner, worn in list(state.late.items()):
        for name, handle in worn.items():
            _unwrap(owner, name, handle())
    state.late.clear()
    for module, name, handle in reversed(state.handles):
        _unwrap(module, name, handle)
    state.handles.clear()
    if _patched.get(state.name) is state:
        del _patched[state.name]
    if state.status in (PATCHED, WAITING):
        state.status = DISABLED


@guarded(fallback=None)
def _unwrap(module: object, name: str, handle: Any) -> None:
    unwrap_object = getattr(wrapt, "unwrap_object", None)
    if unwrap_object is not None:
        try:
            unwrap_object(module, name, handle, missing_ok=True)
        except Exception as problem:
            logger.debug("otel-failover: %s stays wrapped and passes through: %s", name, clean(text_of(problem)))
        _unwrap_behind(module, name, handle)
        return
    place, attribute = _place(module, name)
    if vars(place).get(attribute) is handle:
        inherited = getattr(place, "__mro__", ())[1:]
        below = next((vars(each)[attribute] for each in inherited if attribute in vars(each)), None)
        if below is handle.__wrapped__:
            delattr(place, attribute)
        else:
            setattr(place, attribute, handle.__wrapped__)


def _place(module: object, name: str) -> tuple[Any, str]:
    place: Any = module
    *path, attribute = name.split(".")
    for part in path:
        place = getattr(place, part)
    return place, attribute


def _unwrap_behind(module: object, name: str, handle: Any) -> None:
    """Unwrap what a facade keeps in another class: litellm's `Router` hands on what is set on it, from 1.109."""
    place, attribute = _place(module, name)
    worn: Any = getattr(getattr(place, attribute, None), "_self_parent", None)
    if attribute not in vars(place) and worn is handle:
        setattr(place, attribute, handle.__wrapped__)
