"""Turns everything on and off: `FailoverInstrumentor`, as OpenTelemetry's instrumentors are."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core import failsafe
from otel_failover._core.config import runtime
from otel_failover._core.config.settings import Settings, load
from otel_failover._core.domain.verdicts import MISMATCH
from otel_failover._core.failsafe import guarded, logger, read
from otel_failover._core.spans.processor import attach
from otel_failover._core.text.gate import shown

if TYPE_CHECKING:
    from collections.abc import Collection

    from otel_failover.integrations.patching import State


class _Instrumentor:
    """What is used of OpenTelemetry's `BaseInstrumentor`, where its package is not there: one object, on and off once.

    `opentelemetry-instrumentation` pins the conventions, and so the API, to one release: as a dependency it would
    replace the versions of the service that we are installed into. Where it is there (a start without code needs it),
    its own class is used.
    """

    _instance: Any = None
    _is_on = False

    def __new__(cls) -> Any:
        if cls._instance is None:
            cls._instance = object.__new__(cls)
        return cls._instance

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether it is on."""
        return self._is_on

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return what has to be installed."""
        return ()

    def instrument(self, **kwargs: Any) -> None:
        """Turn it on."""
        if not self._is_on:
            self._instrument(**kwargs)
            self._is_on = True

    def uninstrument(self, **kwargs: Any) -> None:
        """Turn it off."""
        if self._is_on:
            self._uninstrument(**kwargs)
            self._is_on = False

    def _instrument(self, **kwargs: Any) -> None:
        raise NotImplementedError

    def _uninstrument(self, **kwargs: Any) -> None:
        raise NotImplementedError


Base: Any = _Instrumentor
with contextlib.suppress(ImportError):
    Base = importlib.import_module("opentelemetry.instrumentation.instrumentor").BaseInstrumentor


_SIGNALS: Final = (
    ("tracer_provider", "get_tracer"),
    ("meter_provider", "get_meter"),
    ("logger_provider", "get_logger"),
)
_first: Final[dict[str, Any]] = {}
"""What was passed to the `instrument()` that counts: the first that was passed anything."""
_OF_THE_BASE: Final = ("skip_dep_check", "raise_exception_on_conflict")
"""What OpenTelemetry's base class takes for itself."""


def states() -> tuple[State, ...]:
    """Return what became of each library at the last `instrument()`."""
    from otel_failover.integrations import adapters  # late: see `_turn_on`

    return adapters.states()


class FailoverInstrumentor(Base):  # type: ignore[misc]
    """Instruments provider SDKs and their transports, and attaches the checking processor.

    `FailoverInstrumentor().instrument(**settings)`: see `Settings` for the names; `tracer_provider`, `meter_provider`
    and `logger_provider` as everywhere in OpenTelemetry. Libraries that are not imported yet are patched when they are;
    none is imported by us.
    """

    configuration = Settings
    """Declarative configuration types its options through this dataclass."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: each library is patched if it is there and supported, and named if not."""
        return ()

    def instrument(self, **kwargs: Any) -> Any:
        """Turn it on, with the settings of the first call that has any; other ones of a later call are a WARNING.

        A start without code, `opentelemetry-instrument`, passes none: what the application passes then counts.

        Args:
            **kwargs: See `Settings`; and `tracer_provider`, `meter_provider` and `logger_provider`.
        """
        if not self.is_instrumented_by_opentelemetry:
            return super().instrument(**kwargs)
        # OpenTelemetry's base class would say that it is on already, which is no fault where nothing else is asked for.
        _again(_passed(kwargs))
        return None

    def _instrument(self, **kwargs: Any) -> None:
        _turn_on(kwargs)

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002 - the base class's signature
        _turn_off()


@guarded(fallback=None)
def _turn_on(given: dict[str, Any]) -> None:
    # The adapters, and what compares claims with evidence, are imported here and not with the package: many a process
    # imports it, for `Candidate` or a decorator, that never instruments anything.
    from otel_failover._core.attribution.history import history
    from otel_failover._core.runs import judgement
    from otel_failover.integrations import adapters

    judgement.preload()
    _first.update(_passed(given))
    settings = load(given)
    _configure(settings, given)
    history.clear()
    adapters.put_on(settings)


def _configure(settings: Settings, given: dict[str, Any]) -> None:
    """Make settings the ones in force, with the providers that were passed."""
    from otel_failover._core.runs.by_wire import opening  # late: see `_turn_on`

    failsafe.set_strict(settings.strict)
    active = runtime.Runtime(settings, *(_provider(given, name, method) for name, method in _SIGNALS))
    active.by_wire = opening.opened
    runtime.configure(active)
    attach(active)
    active.metrics.checks.born(MISMATCH)
    active.metrics.mismatches.add(0)


def _provider(given: dict[str, Any], name: str, method: str) -> Any:
    """Return a provider of OpenTelemetry's that was passed; None, which is the global one, where it is none."""
    found = given.get(name)
    if found is None or (callable(read(found, method)) and not inspect.isclass(found)):
        return found
    from otel_failover._core.config.checks import quoted  # late: only needed where something is wrong

    what = f"the class {found.__name__}" if inspect.isclass(found) else quoted(found)
    logger.warning(
        "otel-failover: %s is not usable: %s is given, allowed is an object with %s(); the global one is used",
        name,
        what,
        method,
    )
    return None


def _passed(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None and name not in _OF_THE_BASE}


@guarded(fallback=None)
def _again(given: dict[str, Any]) -> None:
    """Apply what a later `instrument()` was passed, where nothing was passed before; else say what is ignored."""
    before = runtime.current()
    settings = load({**_first, **given})
    others = [name for name, value in given.items() if not _stands(name, value, before, settings)]
    if not others:
        return
    if _first:
        logger.warning(
            "otel-failover: instrument() was called before, and the settings of that call stay; %s of this one %s "
            "ignored: pass all to one call, or set OTEL_FAILOVER_* in the environment, or call uninstrument() before",
            shown(", ".join(others)),
            "is" if len(others) == 1 else "are",
        )
        return
    from otel_failover.integrations import adapters  # late: see `_turn_on`

    _first.update(given)
    _configure(settings, given)
    adapters.change(settings, before.settings)
    logger.info(
        "otel-failover: instrument() was called again, after a start without settings: %s set", shown(", ".join(others))
    )


def _stands(name: str, value: Any, before: runtime.Runtime, settings: Settings) -> bool:
    """Whether what was passed is what is in force already; what is no setting has been told."""
    if any(name == signal for signal, _ in _SIGNALS):
        if value is _first.get(name):
            return True
        from opentelemetry import metrics, trace  # late: only where a provider is passed once more

        standing = {"tracer_provider": trace.get_tracer_provider, "meter_provider": metrics.get_meter_provider}
        return name not in _first and name in standing and value is standing[name]()
    return bool(getattr(before.settings, name, None) == getattr(settings, name, None))


@guarded(fallback=None)
def _turn_off() -> None:
    from otel_failover._core.attribution.history import history  # late: see `_turn_on`
    from otel_failover._core.evidence.orphans import outside
    from otel_failover.integrations import adapters

    if outside.watch is not None:
        outside.watch.close()
    adapters.take_off()
    _first.clear()
    failsafe.set_strict(False)
    runtime.turn_off()
    history.clear()
