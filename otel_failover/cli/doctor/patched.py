"""What became of each library, as the doctor sees it: imported where it only looks, as it is in a service itself."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_failover import instrumentor
from otel_failover._core.config import runtime
from otel_failover._core.config.checks import did_you_mean
from otel_failover._core.failsafe import text_of
from otel_failover.integrations.adapters import newness
from otel_failover.integrations.advice import advice
from otel_failover.integrations.libraries import libraries
from otel_failover.integrations.loops.configured import patches as configured
from otel_failover.integrations.patching import PATCHED, SKIPPED, WAITING, installed
from otel_failover.integrations.seams import is_there

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover._core.config.loop import Loop
    from otel_failover._core.config.settings import Settings
    from otel_failover.integrations.patching import Library

_NOT_FOUND: Final = "is found on sys.path"

_LACKING: Final = (PATCHED, SKIPPED)
NOTHING: Final = "nothing is patched"
"""How the problem begins that no library is."""


@dataclass(frozen=True, slots=True)
class Patched:
    """What became of one library.

    Args:
        name: As in the support table.
        status: `patched`, `waiting`, `missing`, `skipped`, `disabled`.
        version: What is installed.
        supported: What is supported.
        why: Why it is not patched, or not wholly; of a configured loop, which paths lead nowhere, too.
        note: That its version is newer than any that was tested.
        advice: What to do, where it is not patched, and which of its calls are seen all the same.
        imported: Whether the service has imported it; False where only its environment is looked at, too.
    """

    name: str
    status: str
    version: str | None
    supported: str
    why: str | None
    note: str | None = None
    advice: str | None = None
    imported: bool = False


def _imported(library: Library, *, skipped: bool) -> tuple[str, str | None]:
    """Import what a library's patches wait for; return its name, and why it cannot be imported."""
    if installed(library.distribution) is not None and not skipped:
        try:
            for patch in library.patches:
                if not patch.apart or is_there(patch.module):  # one apart is not in every release
                    importlib.import_module(patch.module)
        except Exception as problem:
            return library.name, f"cannot be imported: {type(problem).__name__}: {problem}"
    return library.name, None


def _imported_loop(loop: Loop) -> tuple[str, str | None]:
    """Import what a configured loop waits for, the user's own code; return its name, and why it cannot be imported."""
    try:
        for place in filter(None, (loop.run, loop.attempt)):
            importlib.import_module(place.partition(":")[0])
    except (Exception, SystemExit) as problem:
        return loop.run, f"cannot be imported: {type(problem).__name__}: {problem}"
    return loop.run, None


def look_at(before: frozenset[str], *, is_service: bool) -> Iterator[Patched]:
    """Import what is to be patched, but where this is the service itself, and yield what became of it.

    Args:
        before: Names of the modules that were imported before we looked.
        is_service: This process is the service itself.
    """
    known = {library.name: library for library in libraries()}
    loops = runtime.current().settings.loops
    failed: dict[str, str | None] = {}
    if not is_service:
        # Its version says that it is none of ours: to import it would tell nothing, and may take its time.
        skipped = {state.name for state in instrumentor.states() if state.status == SKIPPED}
        failed = dict(_imported(library, skipped=library.name in skipped) for library in known.values())
        waiting = {state.name for state in instrumentor.states() if state.status == WAITING}
        failed |= dict(_imported_loop(loop) for loop in loops if text_of(loop.run) in waiting)
    for state in instrumentor.states():
        library = known.get(state.name)
        why = _hinted(state.why) or failed.get(state.name)
        if state.status == PATCHED and library is None:
            mine = [loop for loop in loops if text_of(loop.run) == state.name]
            names = (name for loop in mine for name in configured.unknown_names(loop))
            why = "; ".join(filter(None, (state.why, *names))) or None
        yield Patched(
            state.name,
            state.status,
            state.version,
            state.supported,
            why,
            note=newness(state) if state.newer_than and state.status == PATCHED else None,
            advice=advice(library, state) if library is not None and state.why and state.status in _LACKING else None,
            imported=library is not None and not before.isdisjoint(patch.module for patch in library.patches),
        )


def _hinted(why: str | None) -> str | None:
    """Return why a loop waits, with what helps: a console script does not look in the directory where it is called."""
    if why is None or _NOT_FOUND not in why:
        return why
    if Path.cwd() in map(Path.absolute, map(Path, sys.path)):
        return f"{why}. Its module must be importable: name its directory in PYTHONPATH"
    return f"{why}. The current directory is not on it: PYTHONPATH=. otel-failover doctor looks there, too"


def is_anything_imported() -> bool:
    """Whether this process has imported anything by which a model can be asked."""
    return any(patch.module in sys.modules for library in libraries() for patch in library.patches)


def unknown(settings: Settings, libraries: tuple[Patched, ...]) -> Iterator[str]:
    """Yield what `disabled_libraries` names and nobody knows."""
    known = [library.name for library in libraries]
    for name in settings.disabled_libraries:
        if name not in known:
            yield f"disabled_libraries names {name}{did_you_mean(name, known)}; known are {', '.join(known)}"


def problems(libraries: tuple[Patched, ...], *, is_service: bool) -> Iterator[str]:
    """Yield what was left out against the user's will; a library that is only installed is not, nobody misses it."""
    for library in libraries:
        if _is_missed(library):
            yield _lacking(library)
    if not any(library.status == PATCHED for library in libraries):
        waiting = [library.name for library in libraries if library.status == WAITING]
        supported = ", ".join(f"{library.name} {library.supported}" for library in libraries if library.supported)
        idle = f": none of {', '.join(waiting)} was imported" if is_service and waiting else ""
        yield f"{NOTHING}{idle}; supported are {supported}"


def _is_missed(library: Patched) -> bool:
    if not library.supported:  # of a configured loop, whatever is wrong was asked for
        return bool(library.why) or library.status in (SKIPPED, WAITING)
    return library.imported and library.status in _LACKING and bool(library.why)


def _lacking(library: Patched) -> str:
    version = f" {library.version}" if library.version else ""
    advised = f"; {library.advice}" if library.advice else ""
    if library.status == PATCHED:
        part = f"{version} is patched in part, without " if library.supported else ": "
        return f"{library.name}{part}{library.why}{advised}"
    return f"{library.name}{version} is not patched: {library.why or 'its modules were not imported'}{advised}"


def notes(libraries: tuple[Patched, ...]) -> Iterator[str]:
    """Yield what is worth knowing of libraries that are no problem."""
    newer = [f"{library.name} {library.version}" for library in libraries if library.note and not library.why]
    if newer:
        yield f"newer than any that was tested, and patched since their seams look as they did: {', '.join(newer)}"
    for library in libraries:
        if not library.supported or library.imported:
            continue
        if library.status in _LACKING and library.why:
            yield f"{_lacking(library)}. Nothing is missed where the service does not import it"
        elif library.status == WAITING and library.why:
            yield f"{library.name} {library.version} {library.why}. Nothing is missed where the service does not use it"
