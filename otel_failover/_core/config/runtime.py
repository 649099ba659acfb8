"""The active settings, tracer and instruments, in the one place where everything looks for them.

`instrument()` puts a configured runtime in. Until then a default one serves, so that `failover_run` works by itself;
after `uninstrument()` one that is switched off: wrappers that the host still holds ask it, and do nothing.
"""

from __future__ import annotations

import os
import random
import re
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider

from otel_failover._core.config.logs import Logs
from otel_failover._core.config.metrics import metrics_of
from otel_failover._core.config.settings import Settings, load
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import providers
from otel_failover._core.text.gate import LONG, Clean, clean, forget, use
from otel_failover.version import __version__

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider


_MOST: Final = 1_024


class Runtime:
    """Settings, tracer, instruments, and the attempts that are open now.

    It is made anew by each `instrument()`, and a run keeps the one it began with.

    Args:
        settings: Valid settings.
        tracer_provider: None: the global one, whenever it is set.
        meter_provider: None: the global one.
        logger_provider: None: the global one, whenever it is set.
        not_instrumented: `instrument()` was not called, which the first run logs.
    """

    def __init__(
        self,
        settings: Settings,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: Any = None,
        *,
        not_instrumented: bool = False,
    ) -> None:
        self.settings = settings
        self.logs = Logs(settings.log_interval, not_instrumented=not_instrumented)
        self.provider, self.logger_provider = tracer_provider, logger_provider
        self.reads_records = False
        self.active = True
        # A dict for its order and its keys: an attempt puts itself in and takes itself out without a lock.
        self.open_attempts: dict[Any, None] = {}
        # `spans.processor.attach` sets it: the watch over silent attempts makes spans, and stands above this room.
        self.on_stale: Callable[[Any, float], None] = _ignore
        # `instrument()` sets it: opens the call that a request is which no SDK's call claims, and stands above as well.
        self.by_wire: Callable[..., Any] = _claim_nothing
        self.order = 0
        self.tracer: Tracer = trace.get_tracer(names.SCOPE, __version__, tracer_provider=tracer_provider)
        self.metrics = metrics_of(meter_provider)
        self.metrics.open_ages = self._open_ages
        self.gateways = frozenset(settings.gateways)
        self.disabled_rules = frozenset(settings.disabled_rules)
        self.aliases = {word.lower(): providers.canonical(value) for word, value in settings.provider_aliases.items()}
        providers.admit(settings.provider_aliases)
        self.patterns = tuple(re.compile(pattern) for pattern in settings.redact)
        self.attached_to: weakref.ref[Any] | None = None

    # --- texts --------------------------------------------------------------------------------------------------------

    def redacted(self, text: str, secrets: Sequence[str] = (), limit: int = LONG) -> Clean:
        """Return a text without secrets, cut to a length: through the gate, by the user's patterns too."""
        return clean(text, tuple(secrets), limit, self.patterns)

    def next_order(self) -> int:
        """Return a number larger than any before: which of two incidents is the later."""
        self.order += 1
        return self.order

    def _open_ages(self) -> Iterable[tuple[str, float]]:
        """Return the age of the oldest open attempt of each provider; those that are silent too long are looked at.

        Metrics are read every minute or so: that is often enough to notice a hung candidate, and needs no thread.
        """
        sweep()
        now = time.monotonic()
        oldest: dict[str, float] = {}
        for attempt in tuple(self.open_attempts):
            provider = providers.metric_value(attempt.provider)
            oldest[provider] = max(oldest.get(provider, 0.0), now - attempt.started)
            if now - attempt.started > self.settings.stale_after:
                self.on_stale(attempt, now)
        return oldest.items()


def _ignore(attempt: Any, now: float) -> None:
    """Do nothing about an attempt that is silent for too long."""


def _claim_nothing(endpoint: str, request: Callable[[], object], current: Any, *, stream: bool, later: bool) -> None:
    """Leave a request to whoever records it: it is no call by itself."""


endpoints: Final[dict[str, None]] = {}
"""Endpoints that candidates have had, at most 1,024: where a request without an attempt is worth remembering."""


def remember_endpoint(endpoint: str | None) -> None:
    """Remember a candidate's endpoint."""
    if endpoint is not None and endpoint not in endpoints:
        if len(endpoints) >= _MOST:
            endpoints.pop(next(iter(endpoints)), None)
        endpoints[endpoint] = None


sweeps: Final[list[Callable[[], None]]] = []
"""What looks for runs that have been silent for too long; never raises. Set once there may be any."""


def sweep() -> None:
    """Look for runs that have been silent for too long: metrics are read, or spans flushed."""
    for each in sweeps:
        each()


_runtime: Runtime | None = None


def current() -> Runtime:
    """Return the active runtime, made with the environment's settings where `instrument()` was not called."""
    global _runtime  # noqa: PLW0603 - the one module-level state: what instrument() configured
    if _runtime is None:
        _runtime = Runtime(load({}), not_instrumented=not _is_switched_off())
    return _runtime


def known() -> Runtime | None:
    """Return the active runtime where there is one, for who must not make one by asking."""
    return _runtime


def _is_switched_off() -> bool:
    """Whether OpenTelemetry's own switches say that nothing is to be instrumented."""
    disabled = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").replace(" ", "").split(",")
    off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return off or bool({"otel_failover", "*"} & set(disabled))


def turn_off() -> None:
    """Switch everything off, as `uninstrument()` does: wrappers that are still held, the processor, `failover_run`."""
    off = Runtime(load({}), trace.NoOpTracerProvider(), NoOpMeterProvider())
    off.active = False
    forget()
    configure(off)


def configure(runtime: Runtime | None) -> None:
    """Put a runtime in place, or take it out."""
    global _runtime  # noqa: PLW0603 - the one module-level state: what instrument() configured
    _runtime = runtime
    use(runtime.patterns if runtime is not None else ())


def new_run_id() -> str:
    """Return 32 hex digits; not a secret, so the fast generator will do."""
    return f"{random.getrandbits(128):032x}"
