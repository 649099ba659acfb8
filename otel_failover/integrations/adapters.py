"""Puts all adapters on and takes them off, and keeps what became of each.

Silence is how instrumentation dies: what was patched, what waits for its import, what was skipped and why is logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_failover._core.failsafe import logger
from otel_failover._core.text.gate import shown
from otel_failover.integrations import patching
from otel_failover.integrations.libraries import libraries
from otel_failover.integrations.patching import MISSING, PATCHED, SKIPPED, WAITING, State
from otel_failover.version import __version__

if TYPE_CHECKING:
    from otel_failover._core.config.settings import Settings

_states: list[State] = []


def states() -> tuple[State, ...]:
    """Return what became of each library at the last `instrument()`."""
    return tuple(_states)


def put_on(settings: Settings) -> None:
    """Patch each library that is there and supported, and the loops that are only configured; log what became of it.

    Args:
        settings: Which libraries are switched off, and which loops are configured.
    """
    disabled = frozenset(settings.disabled_libraries)
    _states[:] = [patching.put_on(library, disabled, _log_late) for library in libraries()]
    _states.extend(_configured(settings, disabled))
    _log_unknown(disabled)
    _log_states()


def change(settings: Settings, before: Settings) -> None:
    """Bring what is patched into line with other settings; what is patched under both stays as it is.

    The host may hold a wrapper by name (`from litellm import completion`), which would be dead once it is taken off.

    Args:
        settings: Which libraries are switched off, and which loops are configured.
        before: The same, as it was.
    """
    disabled, was = frozenset(settings.disabled_libraries), frozenset(before.disabled_libraries)
    known = libraries()
    for place, library in enumerate(known):
        if library.name in disabled ^ was:
            patching.take_off(_states[place])
            _states[place] = patching.put_on(library, disabled, _log_late)
    if settings.loops != before.loops or disabled != was:
        for state in _states[len(known) :]:
            patching.take_off(state)
        _states[len(known) :] = _configured(settings, disabled)
    _log_unknown(disabled)


def take_off() -> None:
    """Take every patch off again."""
    for state in _states:
        patching.take_off(state)
    _states.clear()


def _configured(settings: Settings, disabled: frozenset[str]) -> list[State]:
    """Put on the loops that are only configured."""
    if not settings.loops:
        return []
    from otel_failover.integrations.loops.configured import patches as configured

    return configured.put_on(settings.loops, disabled, _log_late)


def _log_unknown(disabled: frozenset[str]) -> None:
    unknown = disabled - {state.name for state in _states}
    if unknown:
        known = ", ".join(state.name for state in _states)
        named = shown(", ".join(sorted(unknown)))
        logger.warning("otel-failover: disabled_libraries names %s; known are %s", named, known)


def _log_states() -> None:
    """Log what was patched, what waits for its import, what was skipped and why: nobody misses a silent plugin."""
    parts = [describe(state) for state in _states if state.status != MISSING]
    logger.info("otel-failover %s: %s", __version__, "; ".join(parts) or "no supported library is installed")
    for state in _states:
        _warn_of(state)
    if not any(state.status in (PATCHED, WAITING) for state in _states):
        looked = ", ".join(f"{state.name} {state.supported}" for state in _states if state.supported)
        logger.warning("otel-failover: nothing was patched; looked for %s", looked)


def _warn_of(state: State) -> None:
    """Log what is not patched, or not wholly, and what to do; not of a library that is only installed."""
    if state.status == SKIPPED and (state.imported or state.version is None):
        logger.warning("otel-failover: %s is not patched: %s%s", state.name, state.why, _advised(state))
    elif state.status == PATCHED and state.why:
        logger.warning("otel-failover: %s is patched in part, without %s%s", state.name, state.why, _advised(state))


def _advised(state: State) -> str:
    from otel_failover.integrations.advice import advice  # late: only needed where something is not patched

    library = next((each for each in libraries() if each.name == state.name), None)
    return "" if library is None else f"; {advice(library, state)}"


def _log_late(state: State) -> None:
    """Log what became of a library that was imported after `instrument()`."""
    if state in _states:
        logger.info("otel-failover: %s", describe(state))
        _warn_of(state)


def named(state: State) -> str:
    """Return a library's name and version."""
    return f"{state.name} {state.version}" if state.version else state.name


def describe(state: State) -> str:
    """Return one library's state in words: "openai 3.52.0 patched"."""
    waits = " (patched when imported)" if state.status == WAITING else ""
    newer = f" ({newness(state)})" if state.newer_than and state.status == PATCHED else ""
    why = f": {state.why}" if state.why else ""
    return f"{named(state)} {state.status}{waits}{newer}{why}"


def newness(state: State) -> str:
    """Return in words that a version is newer than any that was tested."""
    looks = "" if state.why else "; its seams look as they did"
    return f"newer than {state.newer_than}, the newest tested{looks}"
