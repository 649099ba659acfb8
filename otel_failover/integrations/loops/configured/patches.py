"""Configured loops: fallback loops in code that cannot be edited, named in the setting `loops`.

Wrapped are the two functions that a `Loop` names, where their modules hold them, once these are imported: nothing is
imported by us. The wrapper of the attempt goes on first, so that where both are one function the run is outermost.
"""

from __future__ import annotations

import inspect
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.config.checks import quoted
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.failsafe import guarded, logger, read, text_of
from otel_failover._core.text.gate import clean
from otel_failover.integrations import patching
from otel_failover.integrations.loops.configured.candidates import WHO, Source
from otel_failover.integrations.loops.configured.function import Function
from otel_failover.integrations.loops.configured.missing_module import absent
from otel_failover.integrations.loops.configured.paths import RESULT, Parameters, Path, UnresolvedError, instead, parse
from otel_failover.integrations.loops.configured.visits import AttemptVisit, RunVisit, wrapper
from otel_failover.integrations.patching import DISABLED, PATCHED, SKIPPED, WAITING, Library, Patch, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from otel_failover._core.config.loop import Loop

_PLACE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_WORD: Final = re.compile(r"(['\"]?)([^'\"]+)\1")
_COPIES: Final = 8


def put_on(loops: Iterable[Loop], disabled: frozenset[str], notify: Callable[[State], None]) -> list[State]:
    """Wrap configured loops, each now if its modules are imported, else when they are.

    Args:
        loops: From the settings.
        disabled: Names of loops, or libraries, that are switched off.
        notify: Called when a loop is wrapped, or found unusable, later.

    Returns:
        What became of each. A loop that cannot be understood is skipped, with the reason; the others stand.
    """
    states, seen = [], set()
    for loop in loops:
        places = (text_of(loop.run), text_of(loop.attempt))
        if places in seen:
            logger.warning("otel-failover: the loop %s is configured twice; the first stands", clean(places[0]))
            continue
        seen.add(places)
        states.append(_put_on(loop, disabled, notify))
    return states


def _put_on(loop: Loop, disabled: frozenset[str], notify: Callable[[State], None]) -> State:
    state = State(clean(text_of(loop.run))[:255], WAITING)
    if state.name in disabled:
        state.status, state.why = DISABLED, "switched off by disabled_libraries"
        return state
    try:
        library = _library(loop)
    except ValueError as problem:
        state.status, state.why = SKIPPED, clean(text_of(problem))
        return state

    def wrapped_late(state: State) -> None:
        if state.status == PATCHED:
            _warn_of_copies(state)
        notify(state)

    modules = dict.fromkeys(patch.module for patch in library.patches)
    state.why = next((why for module in modules if (why := absent(module)) is not None), None)
    patching.when_ready(library, state, wrapped_late)
    if state.status == WAITING and state.why is not None:
        logger.warning("otel-failover: %s waits for a module that is not there: %s", state.name, state.why)
    return state


# --- understanding a loop ---------------------------------------------------------------------------------------------


def _library(loop: Loop) -> Library:
    """Return what is to be wrapped; raises ValueError where the loop cannot be understood."""
    run_place = _place("run", loop.run)
    attempt_place = None if loop.attempt is None else _place("attempt", loop.attempt)
    paths = {field: _path(field, value) for field in (*WHO, "error") if (value := getattr(loop, field)) is not None}
    if paths and attempt_place is None:
        raise ValueError(f"{', '.join(paths)} cannot be read without an attempt: name the function that tries one")
    source = Source(paths, _operation(loop.operation), _listed(loop.chain), run_place == attempt_place)
    run = Function(loop.run, {"chain": _path("chain", loop.chain)} if isinstance(loop.chain, str) else {})
    attempt = Function(loop.run, paths)
    patches = [Patch(*run_place, wrapper(run, lambda *call: RunVisit(run, source, *call)), "one pass of the loop")]
    if attempt_place is not None:
        visit = wrapper(attempt, lambda *call: AttemptVisit(attempt, run, *call))
        patches.insert(0, Patch(*attempt_place, visit, "one try at one candidate"))
    return Library(loop.run, "", "", tuple(patches), lambda: next(_unfit(patches), None))


def unknown_names(loop: Loop) -> Iterator[str]:
    """Yield the paths of a loop that start at no parameter of their function, as its calls would log it.

    Args:
        loop: One that is patched: its modules are imported, its paths can be read.
    """
    from pkgutil import resolve_name

    fields = {field: (loop.attempt, getattr(loop, field)) for field in (*WHO, "error")}
    for field, (place, text) in {**fields, "chain": (loop.run, loop.chain)}.items():
        path = _path(field, text) if isinstance(text, str) else None
        if path is None or place is None or path.root in ("", RESULT):
            continue
        try:
            Parameters(resolve_name(place.strip())).declared(path.root)
        except UnresolvedError as problem:
            yield clean(f"{field}: {path.text!r} leads nowhere: {problem}")


def _place(field: str, value: Any) -> tuple[str, str]:
    if not isinstance(value, str) or not _PLACE.fullmatch(value.strip()):
        raise ValueError(
            f"{field}: {quoted(value)} names no function; allowed is module:function or module:Class.method"
        )
    module, _, name = value.strip().partition(":")
    return module, name


def _path(field: str, value: Any) -> Path:
    if not isinstance(value, str):
        raise ValueError(f"{field}: {quoted(value)} is no path; a path is a text")  # noqa: TRY004 - reported as a bad value
    try:
        path = parse(value)
    except ValueError as problem:
        raise ValueError(f"{field}: {problem}") from None
    if path.root == RESULT and field in ("chain", "endpoint", "profile"):
        raise ValueError(f"{field}: {value!r} starts at {RESULT!r} in column 1, and is needed before the call")
    return path


def _operation(value: Any) -> str:
    word = _WORD.fullmatch(text_of(value).strip())
    if word is None:
        raise ValueError(f"operation: {quoted(value)} is no word; allowed is a word, as chat")
    return word[2]


def _listed(value: Any) -> tuple[Any, ...] | None:
    """Return a chain that is configured as a list."""
    if value is None or isinstance(value, str):
        return None
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, (str, Candidate, dict)) for each in value):
        raise ValueError(
            f"chain: {quoted(value)} is no chain; allowed is a path, or a list of texts like openai/gpt-5.5"
        )
    return tuple(value)


# --- finding it -------------------------------------------------------------------------------------------------------


def _unfit(patches: list[Patch]) -> Iterator[str]:
    """Yield why places cannot be wrapped: what was sought where, and the nearest that is there."""
    for patch in patches:
        found: Any = sys.modules.get(patch.module)
        parts = patch.name.split(".")
        for at, part in enumerate(parts):
            inner = read(found, part)
            if inner is None:
                near = _renamed(found, parts, at)
                yield f"{patch.module} has no {patch.name!r}{near}"
                return
            found = inner
        if inspect.isclass(found) or not callable(found):
            what = "a class" if inspect.isclass(found) else f"a {type(found).__name__}"
            yield f"{patch.module}:{patch.name} is {what}; name a function or a method"


def _renamed(place: Any, parts: list[str], at: int) -> str:
    names = {".".join([*parts[:at], name, *parts[at + 1 :]]): name for name in dir(place) if not name.startswith("__")}
    callables = [full for full, name in names.items() if callable(read(place, name))]
    return instead(".".join(parts), "it has", callables)


@guarded(fallback=None)
def _warn_of_copies(state: State) -> None:
    """Warn of functions that were imported by name before they were wrapped: calls through such a copy are not seen."""
    for module, name, handle in state.handles:
        if "." in name:
            continue
        found = _copies(read(module, "__name__"), handle)
        if found:
            more = " and others" if len(found) > _COPIES else ""
            logger.warning(
                "otel-failover: %s%s was imported by name from %s before it was wrapped: calls through it are not "
                "seen; instrument before it is imported",
                ", ".join(found[:_COPIES]),
                more,
                text_of(read(module, "__name__")),
            )


def _copies(home: object, handle: Any) -> list[str]:
    """Return globals of other modules that are still the function below a wrapper."""
    original = handle.__wrapped__
    found = []
    for module_name, module in list(sys.modules.items()):
        if module_name == home or not hasattr(type(module), "__dict__"):
            continue
        try:
            held = list(vars(module).items())
        except TypeError:
            continue
        found += [f"{module_name}.{name}" for name, value in held if _is_copy(value, original, handle)]
    return found


def _is_copy(value: Any, original: Any, handle: Any) -> bool:
    """Whether something is the function itself, or a wrapper of ours around it that has been taken off."""
    if value is original:
        return True
    return type(value) is patching.Wrapper and value is not handle and value.__wrapped__ is original
