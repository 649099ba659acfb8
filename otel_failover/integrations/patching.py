"""Putting wrappers on and taking our own off, wherever they stand.

A wrapper is taken off by its own handle, never "the outermost one": somebody else's may be on top by then. SDKs keep
bound methods that were wrapped, so every wrapper also asks whether we are still active.

Nothing is imported for the sake of wrapping it: a library that is not imported yet is wrapped when it is, by an import
hook. An exception that left such a hook would break the host's own `import`, so none does.
"""

from __future__ import annotations

import copy
import importlib.metadata
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import wrapt
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from otel_failover._core.failsafe import guarded, logger, note, strict
from otel_failover.integrations.places import fits, has_module

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
        first: Its first parameters, besides `self`: a place that has others has become something else.
        unless: A module that has taken over from this place: where the library has it, the place is not looked for.
        part: What is not seen where the place is not there. A part stands or falls by itself, and all of it together.
    """

    module: str
    name: str
    wrapper: Callable[..., Any]
    why: str
    since: str = ""
    apart: bool = False
    shadow: bool = False
    first: tuple[str, ...] = ()
    unless: str = ""
    part: str = ""


class Library(NamedTuple):
    """What an adapter wraps of one library.

    Args:
        name: As in `disabled_libraries` and in the support table.
        distribution: On PyPI.
        supported: Versions that are tested, both ends.
        patches: The places: all of them must be there, else none is wrapped. A module apart or a part counts by itself.
        unfit: Returns why the places cannot be wrapped, or None, where there is more to say than that one is not there.
    """

    name: str
    distribution: str
    supported: str
    patches: tuple[Patch, ...]
    unfit: Callable[[], str | None] | None = None


class State:
    """What became of one library.

    Args:
        name: As in the support table.
        status: `patched`, `waiting` (installed, not imported yet), `missing`, `skipped`, `disabled`.
        version: What is installed; None for what is no distribution.
        why: Why it was skipped, or what it waits for.
        supported: Versions that are supported.
    """

    def __init__(
        self, name: str, status: str, version: str | None = None, why: str | None = None, supported: str = ""
    ) -> None:
        self.name, self.status, self.version, self.why, self.supported = name, status, version, why, supported
        self.unseen: str | None = None
        """Which part of it is not seen though the rest is patched, and why."""
        self.handles: list[tuple[object, str, Any]] = []
        self.late: weakref.WeakKeyDictionary[type, dict[str, weakref.ref[Any]]] = weakref.WeakKeyDictionary()


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
    elif version is not None:
        state.status = WAITING
        there = tuple(patch for patch in library.patches if _reaches(version, patch.since))
        when_ready(library._replace(patches=there), state, notify)
    return state


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

    def hook(module: Any) -> None:
        # Runs inside the host's `import` statement, which an exception from here would break; and under the import
        # lock, so it wraps and does nothing else. All modules have to be there first: a library of which only a part
        # were wrapped would show calls without their requests, and every verdict would be drawn from half of the
        # evidence. In strict mode, our own tests', it does raise.
        try:
            ready.add(module.__name__)
            if state.status == WAITING and ready.issuperset(modules):
                _wrap_all(needed, state)
                notify(state)
        except Exception as problem:
            note(f"patching.{library.name}", problem)
            if strict():
                raise

    for module in modules:
        wrapt.register_post_import_hook(hook, module)
    for module in dict.fromkeys(patch.module for patch in library.patches if patch.apart):
        there = tuple(patch for patch in library.patches if patch.apart and patch.module == module)
        _when_imported(library._replace(patches=there), state)


def _when_imported(library: Library, state: State) -> None:
    """Wrap the places of one module apart, once it is imported; they work while the library is patched."""

    def hook(module: Any) -> None:  # noqa: ARG001 - the hook's signature
        try:
            if state.status in (WAITING, PATCHED):
                _wrap_apart(library, state)
        except Exception as problem:
            note(f"patching.{library.name}", problem)
            if strict():
                raise

    wrapt.register_post_import_hook(hook, library.patches[0].module)


def _wrap_apart(library: Library, state: State) -> None:
    problem = _missing(library, state)
    if problem is None:
        _put_all_on(library, state)
        return
    logger.warning("otel-failover: %s is patched but for one module: %s", library.name, problem)
    _note_unseen(state, library.patches[0].part, problem)


def _wrap_all(library: Library, state: State) -> None:
    """Wrap every place, or none: a half patched library would give half an evidence.

    A part stands by itself: what is not seen then is told, and the rest is as good as ever.
    """
    wanted = [patch for patch in library.patches if not (patch.unless and has_module(patch.unless))]
    library = library._replace(patches=tuple(patch for patch in wanted if not patch.part))
    state.why = library.unfit() if library.unfit is not None else _missing(library, state)
    if state.why is not None:
        state.status = SKIPPED
        return
    for part in dict.fromkeys(patch.part for patch in wanted if patch.part):
        of_it = library._replace(patches=tuple(patch for patch in wanted if patch.part == part))
        if (lacking := _missing(of_it, state)) is None:
            library = library._replace(patches=library.patches + of_it.patches)
        else:
            _note_unseen(state, part, lacking)
    try:
        _put_all_on(library, state)
    except Exception as problem:
        take_off(state)
        state.status, state.why = SKIPPED, f"{problem!r} while wrapping"
        raise
    state.status = PATCHED
    _patched[library.name] = state


def _note_unseen(state: State, part: str, problem: str) -> None:
    if part:
        state.unseen = f"{part} are not seen: {problem}"


def _missing(library: Library, state: State) -> str | None:
    missing = [f"{each.module}:{each.name}" for each in library.patches if not fits(each.module, each.name, each.first)]
    return f"{', '.join(missing)} is not there in version {state.version}" if missing else None


def _put_all_on(library: Library, state: State) -> None:
    for patch in library.patches:
        if patch.shadow and not _is_shadowed(patch):
            continue
        handle = wrapt.wrap_object(
            sys.modules[patch.module], patch.name, Wrapper, (patch.wrapper, lambda: state.status == PATCHED)
        )
        state.handles.append((sys.modules[patch.module], patch.name, handle))


def _is_shadowed(patch: Patch) -> bool:
    """Whether a class has a method of its own where it inherits one by itself."""
    place, attribute = _place(sys.modules[patch.module], patch.name)
    return attribute in vars(place)


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
            handle = wrapt.wrap_object(owner, name, Wrapper, (wrapper, lambda: state.status == PATCHED))
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
            logger.debug("otel-failover: %s stays wrapped and passes through: %s", name, problem)
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
