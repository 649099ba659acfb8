"""Where telemetry goes: what this process's providers export to, or what the environment would have them export to.

The SDK has no public way to ask a provider for its exporters, so its private names are read, each through
`failsafe.read`: what is not there counts as not seen. Of an exporter nothing is read but its class and where it sends.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry import metrics, trace

from otel_failover._core.failsafe import read
from otel_failover._core.spans.processor import AttributionProcessor
from otel_failover._core.text.gate import clean
from otel_failover.cli.doctor import exporters as exporting
from otel_failover.cli.doctor.exporters import CONSOLE, CUSTOM, GRPC, HTTP, Target
from otel_failover.cli.otlp_endpoints import METRICS, SIGNALS, TRACES, Endpoint, answers_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Trial = Callable[[str, int, str], tuple[bool | None, str | None, int | None]]

_PATIENCE: Final = 0.5
_DEEP: Final = 8
_OTLP: Final = re.compile(r"opentelemetry\.exporter\.otlp\.\w+\.(grpc|http)\b")
_SCHEMES: Final[dict[object, str]] = {True: "http", False: "https"}
_LAUNCHER: Final = "opentelemetry.instrumentation.auto_instrumentation"
_DISABLED: Final = "OTEL_SDK_DISABLED"
_NO_SDK: Final = (
    "no OpenTelemetry SDK is configured in this process: spans go nowhere. To see what a service sees: "
    "otel-failover doctor -- and the command that starts it, or opentelemetry-instrument otel-failover doctor (with "
    "opentelemetry-distro installed)"
)
_NOWHERE: Final = (
    "no OpenTelemetry SDK is configured in this process, and opentelemetry-instrument would configure none: spans go "
    "nowhere. Install opentelemetry-distro, or set a TracerProvider in the service's code and look at that: "
    "otel-failover doctor -- and the command that starts it"
)
_NONE_IN_IT: Final = (
    "no OpenTelemetry SDK is configured in this process: spans go nowhere. Set a TracerProvider with an exporter, or "
    "start it by opentelemetry-instrument (with opentelemetry-distro installed)"
)
_DROPS_ALL: Final = re.compile(r"AlwaysOffSampler|TraceIdRatioBased\{0(\.0*)?\}")
_DROPS_ROOTS: Final = re.compile(r"ParentBased\{root:(AlwaysOffSampler|TraceIdRatioBased\{0(\.0*)?\})")
_SAMPLER: Final = "OTEL_TRACES_SAMPLER"
_WRONG_PORT: Final = {
    (GRPC, 4318): "OTLP over gRPC is sent to port 4318, where collectors listen for HTTP: set the port 4317, or "
    "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    (HTTP, 4317): "OTLP over HTTP is sent to port 4317, where collectors listen for gRPC: set the port 4318, or "
    "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
}
_WRONG_PEER: Final = {
    (
        GRPC,
        1,
    ): "OTLP over gRPC is sent to {place}, where somebody listens who answers in HTTP/1: set the address where it "
    "listens for gRPC, mostly port 4317, or OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    (HTTP, 2): "OTLP over HTTP is sent to {place}, where somebody listens who answers in HTTP/2, as gRPC is: set the "
    "address where it listens for HTTP, mostly port 4318, or OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
}


@dataclass(frozen=True, slots=True)
class Exporter:
    """Where one signal is sent to.

    Args:
        signal: `traces` or `metrics`.
        endpoint: Scheme, host, port, path; empty where the exporter has none.
        source: The variable that says so; the provider, for an exporter that is at work.
        reachable: Whether somebody listens there; None where that is not known: not tried, or no answer in time.
        problem: What is wrong.
        kind: `otlp grpc`, `otlp http`, `console`, `custom`.
        name: The class of an exporter that is at work, else its name in the environment.
        live: Whether it is at work in this process; else the environment would have it.
        usable: Whether it can work as it is set.
    """

    signal: str
    endpoint: str
    source: str
    reachable: bool | None
    problem: str | None
    kind: str
    name: str
    live: bool
    usable: bool

    @property
    def is_bad(self) -> bool:
        """Whether nothing arrives, or could as somebody has set it; a service may run beside a collector of its own."""
        if self.live:
            return not self.usable or self.reachable is False
        return not self.usable and self.source.isupper()


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where telemetry goes, and what is wrong with that.

    Args:
        exporters: Of spans first.
        problems: Why it goes nowhere.
        notes: What is worth knowing.
    """

    exporters: tuple[Exporter, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def look(*, is_service: bool = False) -> Telemetry:
    """Return where telemetry goes, with a short try of each address.

    Args:
        is_service: This process is the service itself, and not one that only looks at its environment.
    """
    if _is_disabled():
        return Telemetry(problems=(f"{_DISABLED} is true: there are no spans and no metrics at all",))
    if hasattr(trace.get_tracer_provider(), "add_span_processor"):
        return _live()
    if is_service and _LAUNCHER not in sys.modules:
        return Telemetry(problems=(_NONE_IN_IT,))
    if _LAUNCHER in sys.modules:
        return Telemetry(problems=(_unconfigured(),))
    return _would_be()


def _is_disabled() -> bool:
    named = os.environ.get(_DISABLED, "").strip().lower() == "true"
    return named or read(trace.get_tracer_provider(), "_disabled") is True


def _unconfigured() -> str:
    why = "see what it has logged" if exporting.has_configurator() else "opentelemetry-distro is not installed"
    return f"started by opentelemetry-instrument, and no SDK is configured: spans go nowhere; {why}"


def _telemetry(found: list[Exporter], problems: list[str], notes: list[str]) -> Telemetry:
    for each in found:
        if each.problem is not None:
            (problems if each.is_bad else notes).append(f"{each.signal}: {each.problem}")
    return Telemetry(tuple(found), tuple(dict.fromkeys(problems)), tuple(dict.fromkeys(notes)))


# --- as the environment says ------------------------------------------------------------------------------------------


def _would_be() -> Telemetry:
    if exporting.has_config_file():
        return Telemetry(notes=(_NO_SDK, "a configuration file says where telemetry goes; it is not read here"))
    tried = _trial()
    found = [_exporter(target, tried, live=False) for signal in SIGNALS for target in exporting.targets(signal)]
    problems = ["OTEL_TRACES_EXPORTER is none: spans go nowhere"] if exporting.is_none(TRACES) else []
    notes = [_NO_SDK]
    named = os.environ.get(_SAMPLER, "").strip().lower()
    ratio = os.environ.get(f"{_SAMPLER}_ARG", "").strip()
    if named == "always_off" or (named == "traceidratio" and _is_zero(ratio)):
        problems.append(_dropping(f"{_SAMPLER} is {named}{f' with {ratio}' if ratio else ''}"))
    elif named == "parentbased_always_off" or (named == "parentbased_traceidratio" and _is_zero(ratio)):
        notes.append(_dropping_roots(f"{_SAMPLER} is {named}{f' with {ratio}' if ratio else ''}"))
    if not (problems or found or exporting.has_configurator()):
        return _telemetry(found, [_NOWHERE], notes[1:])
    return _telemetry(found, problems, notes)


def _is_zero(ratio: str) -> bool:
    try:
        return float(ratio) == 0
    except ValueError:
        return False


def _dropping(what: str) -> str:
    return (
        f"{what}: every span is dropped, so none is exported, and spans of others are not judged; metrics and the log "
        "go on. Record all, or a ratio above 0, and let a collector choose"
    )


def _dropping_roots(what: str) -> str:
    return (
        f"{what}: only what a caller has sampled already is recorded; a script, a worker or a request without such a "
        "parent has no spans"
    )


# --- what is at work --------------------------------------------------------------------------------------------------


def _live() -> Telemetry:
    provider, tried = _unwrapped(trace.get_tracer_provider()), _trial()
    root = read(provider, "_active_span_processor")
    targets = [*_span_targets(root), *_metric_targets(metrics.get_meter_provider())]
    found = [_exporter(target, tried, live=True) for target in targets]
    problems, notes = _sampling(provider)
    if root is None:
        return _telemetry(found, problems, [*notes, f"the exporters of {_named(provider)} cannot be seen"])
    if any(each.signal == TRACES for each in found):
        return _telemetry(found, problems, notes)
    why = " (OTEL_TRACES_EXPORTER is none)" if exporting.is_none(TRACES) else ""
    problems.append(f"no exporter is attached to the tracer provider: spans go nowhere{why}")
    return _telemetry(found, problems, notes)


def _sampling(provider: object) -> tuple[list[str], list[str]]:
    """Return what is wrong with a provider's sampler, and what is worth knowing: as it describes itself."""
    describe = read(read(provider, "sampler"), "get_description")
    try:
        described = str(describe()) if callable(describe) else ""
    except Exception:
        described = ""
    if _DROPS_ALL.match(described):
        return [_dropping(f"the sampler is {described}")], []
    return [], [_dropping_roots(f"the sampler is {described}")] if _DROPS_ROOTS.match(described) else []


def _unwrapped(provider: object) -> object:
    """Return the SDK's provider below one that stands in for it, as Logfire's does."""
    below = read(provider, "provider")
    has_own = read(provider, "_active_span_processor") is not None
    return provider if has_own or below is None else below


def _span_targets(processor: object, deep: int = 0) -> Iterator[Target]:
    """Yield the exporters of a span processor and of those below it; one that shows none may export by itself."""
    inner = read(processor, "_span_processors")
    below = list(inner) if isinstance(inner, (tuple, list)) else None
    exporter, wrapped = read(processor, "span_exporter"), read(processor, "processor")
    if below is None and exporter is None and wrapped is not None:
        below = [wrapped]
    if below is not None and deep < _DEEP:
        for each in below:
            yield from _span_targets(each, deep + 1)
    elif processor is not None and not isinstance(processor, AttributionProcessor):
        yield _target(TRACES, processor if exporter is None else exporter, "tracer provider")


def _metric_targets(provider: object) -> Iterator[Target]:
    """Yield the exporters of a meter provider's readers; one that is read from outside is its own."""
    readers = read(provider, "_metric_readers")
    if not isinstance(readers, (tuple, list)):
        readers = read(read(provider, "_sdk_config"), "metric_readers")  # in older releases
    for reader in list(readers) if isinstance(readers, (tuple, list, set, frozenset)) else []:
        exporter = read(reader, "_exporter")
        yield _target(METRICS, reader if exporter is None else exporter, "meter provider")


def _target(signal: str, outermost: object, source: str) -> Target:
    exporter = _innermost(outermost)
    kind = _kind(type(exporter))
    return Target(signal, kind, _url(exporter, kind), source, _named(exporter))


def _innermost(exporter: object) -> object:
    """Return what sends below exporters that only change what is sent."""
    for _ in range(_DEEP):
        below = read(exporter, "wrapped_exporter")
        if below is None:
            break
        exporter = below
    return exporter


def _kind(kind: type) -> str:
    for each in kind.__mro__:
        if found := _OTLP.match(each.__module__):
            return GRPC if found[1] == "grpc" else HTTP
        if each.__module__.startswith("opentelemetry.sdk.") and each.__qualname__.startswith("Console"):
            return CONSOLE
    return CUSTOM


def _url(exporter: object, kind: str) -> str:
    found = read(exporter, "_endpoint") or read(exporter, "endpoint")
    if not isinstance(found, str):
        return ""
    if kind == GRPC and "://" not in found:  # it keeps the host and port, and from some release on whether it encrypts
        return f"{_SCHEMES.get(read(exporter, '_insecure'), 'grpc')}://{found}"
    return found


def _named(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


# --- trying it --------------------------------------------------------------------------------------------------------


def _trial() -> Trial:
    """Return what tries an address: whether somebody listens, why not, and which HTTP is answered in; each but once."""

    @functools.cache
    def tried(host: str, port: int, kind: str) -> tuple[bool | None, str | None, int | None]:
        reachable, unheard = Endpoint("", f"//{_bracketed(host)}:{port}", "").tried(_PATIENCE)
        spoken = (
            answers_in(host, port, asked_over_http2=kind == GRPC, patience=_PATIENCE) if reachable and kind else None
        )
        return reachable, unheard, spoken

    return tried


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _exporter(target: Target, tried: Trial, *, live: bool) -> Exporter:
    endpoint = Endpoint(target.signal, target.url, target.source)
    reachable, unheard, spoken = None, None, None
    if target.has_address and endpoint.host and endpoint.port and not endpoint.is_proxied:
        plain = target.kind if target.kind in (GRPC, HTTP) and not target.url.startswith("https") else ""
        reachable, unheard, spoken = tried(endpoint.host, endpoint.port, plain)
    wrong = _wrong(target, endpoint, spoken)
    shown = endpoint.shown if target.has_address else clean(target.url.partition("?")[0].rpartition("@")[2])
    return Exporter(
        signal=target.signal,
        endpoint=shown,
        source=target.source,
        reachable=reachable,
        problem=wrong or unheard,
        kind=target.kind,
        name=target.name,
        live=live,
        usable=wrong is None,
    )


def _wrong(target: Target, endpoint: Endpoint, spoken: int | None) -> str | None:
    """Return what is wrong with where a signal is sent; what is answered there says more than the port's number."""
    if target.problem is not None:
        return target.problem
    if target.has_address and not (endpoint.host and endpoint.port):
        return f"{target.source} names no host and port"
    if spoken is None:
        return _WRONG_PORT.get((target.kind, endpoint.port))
    text = _WRONG_PEER.get((target.kind, spoken))
    return text and text.format(place=f"{_bracketed(endpoint.host)}:{endpoint.port}")
