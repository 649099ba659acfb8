"""Which exporters the SDK would make of the environment: the rules of its configurator, and of its OTLP exporters."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from otel_failover.cli.otlp_endpoints import with_scheme

if TYPE_CHECKING:
    from collections.abc import Iterator

GRPC: Final = "otlp grpc"
HTTP: Final = "otlp http"
CONSOLE: Final = "console"
CUSTOM: Final = "custom"
_KINDS: Final = {"grpc": GRPC, "http/protobuf": HTTP}
_OTLP: Final = {"otlp_proto_grpc": GRPC, "otlp_proto_http": HTTP}
_COMPONENTS: Final = {kind: name for name, kind in _OTLP.items()}
_DEFAULTS: Final = {GRPC: "http://localhost:4317", HTTP: "http://localhost:4318"}
_DISTRO: Final = "the default of opentelemetry-distro"


@dataclass(frozen=True, slots=True)
class Target:
    """Where an exporter sends one signal to, before anybody has looked whether it can.

    Args:
        signal: `traces` or `metrics`.
        kind: `otlp grpc`, `otlp http`, `console`, `custom`.
        url: As the exporter has it; empty where it has none.
        source: What says so.
        name: The exporter's class, or its name in the environment.
        problem: Why it cannot be made.
    """

    signal: str
    kind: str
    url: str
    source: str
    name: str
    problem: str | None = None

    @property
    def has_address(self) -> bool:
        """Whether its URL names a host and a port that can be tried, rather than a socket or a name of its own."""
        return self.url.startswith(("http://", "https://", "grpc://"))


def has_distro() -> bool:
    """Whether a distribution is there that names exporters where the environment names none."""
    return any(each.name == "distro" for each in entry_points(group="opentelemetry_distro"))


def has_configurator() -> bool:
    """Whether something is installed by which `opentelemetry-instrument` configures an SDK."""
    return bool(entry_points(group="opentelemetry_configurator"))


def has_config_file() -> bool:
    """Whether the SDK would be configured by a file, which makes the SDK ignore the variables."""
    return any(os.environ.get(name) for name in ("OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"))


def is_none(signal: str) -> bool:
    """Whether the environment says that a signal is not exported."""
    return os.environ.get(_variable(signal), "").strip().lower() == "none"


def targets(signal: str) -> Iterator[Target]:
    """Yield where a signal would go.

    Where the environment names no exporter, an address in it is still one that a service's own exporter may read.

    Args:
        signal: `traces` or `metrics`.
    """
    variable = _variable(signal)
    named = os.environ.get(variable)
    if named is None and has_distro():
        named, variable = "otlp", _DISTRO
    if named is None:
        kind = _KINDS.get(_protocol(signal)[0], HTTP)
        url, source = _address(signal, kind)
        if source:
            yield Target(signal, GRPC if not _protocol(signal)[0] and ":4317" in url else kind, url, source, "otlp")
        return
    if named.strip().lower() not in ("", "none"):
        yield from (_target(signal, name.strip(), variable) for name in named.split(","))


def _target(signal: str, name: str, variable: str) -> Target:
    protocol, said_by = _protocol(signal)
    if name == "otlp" and protocol and protocol not in _KINDS:
        problem = f"{said_by} is {protocol!r}; the SDK takes {' or '.join(_KINDS)} and nothing else"
        return Target(signal, "otlp", "", said_by, name, problem)
    kind = _KINDS.get(protocol, GRPC) if name == "otlp" else _OTLP.get(name, CONSOLE if name == "console" else CUSTOM)
    component = _COMPONENTS.get(kind, name)
    if not entry_points(group=f"opentelemetry_{signal}_exporter", name=component):
        problem = f"no exporter {component!r} is installed: the SDK would not be configured"
        return Target(signal, kind, "", variable, name, problem)
    if kind not in _DEFAULTS:
        return Target(signal, kind, "", variable, name)
    url, source = _address(signal, kind)
    return Target(signal, kind, url, source or variable, name)


def _variable(signal: str) -> str:
    return f"OTEL_{signal.upper()}_EXPORTER"


def _protocol(signal: str) -> tuple[str, str]:
    """Return the protocol that the environment names, and the variable that does."""
    return _first(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def _first(*variables: str) -> tuple[str, str]:
    return next(((value, name) for name in variables if (value := os.environ.get(name, "").strip())), ("", ""))


def _address(signal: str, kind: str) -> tuple[str, str]:
    """Return where an OTLP exporter sends, and the variable that says so: HTTP adds a path to the common one."""
    own, common = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
    value, source = _first(own, common)
    url = value or _DEFAULTS[kind]
    if kind == GRPC:
        return _with_grpc_scheme(signal, url), source
    url = with_scheme(url)
    return url if source == own else f"{url}/v1/{signal}", source


def _with_grpc_scheme(signal: str, url: str) -> str:
    """Return a URL with the scheme that says whether it is encrypted; without one, the exporter encrypts."""
    scheme, _, rest = url.rpartition("://")
    insecure, _ = _first(f"OTEL_EXPORTER_OTLP_{signal.upper()}_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE")
    if scheme not in ("", "http", "https") or scheme == "https":
        return url
    plain = insecure.lower() == "true" if insecure else scheme == "http"
    return f"{'http' if plain else 'https'}://{rest}"
