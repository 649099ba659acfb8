"""Where OpenTelemetry's exporters send to, as the environment says, and whether anybody listens there."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

TRACES: Final = "traces"
METRICS: Final = "metrics"
SIGNALS: Final = (TRACES, METRICS)
_BASE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PORTS: Final = {"http": 80, "https": 443}
_GRPC_PORT: Final = 4317
_PATIENCE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one signal goes.

    Args:
        signal: `traces` or `metrics`.
        url: The whole URL, as an HTTP exporter takes it.
        source: The variable or option that says so.
        below_base: Whether it was named for both signals at once.
    """

    signal: str
    url: str
    source: str
    below_base: bool = False

    @property
    def shown(self) -> str:
        """The URL without user, password and query: nobody's credentials are printed."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        return f"{parts.scheme or 'http'}://{host}:{self.port}{parts.path.rstrip('/')}"

    @property
    def port(self) -> int:
        """The port, or the scheme's."""
        return _port_of(self.url)

    @property
    def host(self) -> str:
        """The host's name or address."""
        return urlsplit(self.url).hostname or ""

    def problem(self) -> str | None:
        """Return why nobody can be reached there, by a TCP connection; None if somebody listens."""
        if not self.host:
            return f"{self.source} names no host"
        try:
            socket.create_connection((self.host, self.port), timeout=_PATIENCE).close()
        except TimeoutError:
            return f"no connection to {self.host}:{self.port} within {_PATIENCE:.0f} s"
        except OSError as problem:
            return f"nothing listens at {self.host}:{self.port} ({problem.strerror or problem})"
        return None

    @property
    def hint(self) -> str | None:
        """What is probably wrong with it; None if nothing is."""
        return "port 4317 is usually OTLP over gRPC; over HTTP it is 4318" if self.port == _GRPC_PORT else None


def _port_of(url: str) -> int:
    try:
        parts = urlsplit(url)
        return parts.port or _PORTS.get(parts.scheme, 80)
    except ValueError:
        return 0


def below(base: str, source: str) -> list[Endpoint]:
    """Return the endpoints of both signals below a base URL such as `http://localhost:4318`."""
    base = with_scheme(base)
    for signal in SIGNALS:
        base = base.removesuffix(f"/v1/{signal}")
    return [Endpoint(signal, f"{base.rstrip('/')}/v1/{signal}", source, below_base=True) for signal in SIGNALS]


def with_scheme(url: str) -> str:
    """Return a URL that has a scheme: gRPC exporters take `host:4317`, too."""
    return url.strip().rstrip("/") if "://" in url else f"http://{url.strip().rstrip('/')}"


def configured() -> list[Endpoint]:
    """Return the endpoints that the environment names, one per signal; a signal's own variable is a whole URL."""
    base = os.environ.get(_BASE, "").strip()
    found = {each.signal: each for each in below(base, _BASE)} if base else {}
    for signal in SIGNALS:
        variable = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
        if url := os.environ.get(variable, "").strip():
            found[signal] = Endpoint(signal, with_scheme(url), variable)
    return list(found.values())
