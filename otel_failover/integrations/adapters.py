"""Puts all adapters on and takes them off, and keeps what became of each.

Silence is how instrumentation dies: what was patched, what waits for its import, what was skipped and why is logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_failover._core.failsafe import logger
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
    unknown = disabled - {state.name for state in _states}
    if unknown:
        known = ", ".join(state.name for state in _states)
        logger.warning("otel-failover: disabled_libraries names %s; known are %s", ", ".join(sorted(unknown)), known)
    _log_states()


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


def _log_states() -> None:
    """Log what was patched, what waits for its import, what was skipped and why: nobody misses a silent plugin."""
    parts = [describe(state) for state in _states if state.status != MISSING]
    logger.info("otel-failover %s: %s", __version__, "; ".join(parts) or "no supported library is installed")
    for state in _states:
        if state.status == SKIPPED:
            logger.warning("otel-failover: %s is not patched: %s", state.name, state.why)
    if not any(state.status in (PATCHED, WAITING) for state in _states):
        looked = ", ".join(f"{state.name} {state.supported}" for state in _states if state.supported)
        logger.warning("otel-failover: nothing was patched; looked for %s", looked)


def _log_late(state: State) -> None:
    """Log what became of a library that was imported after `instrument()`."""
    if state in _states:
        level = logger.warning if state.status == SKIPPED or state.unseen else logger.info
        level("otel-failover: %s", describe(state))


def describe(state: State) -> str:
    """Return one library's state in words: "openai 3.52.0 patched"."""
    version = f" {state.version}" if state.version else ""
    waits = " (patched when imported)" if state.status == WAITING else ""
    why = f": {state.why}" if state.why and state.status != PATCHED else ""
    but = f", but {state.unseen}" if state.unseen else ""
    return f"{state.name}{version} {state.status}{waits}{why}{but}"
