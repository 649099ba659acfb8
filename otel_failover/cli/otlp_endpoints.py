"""Where OpenTelemetry's exporters send to, as the environment says, and whether anybody listens there."""

from __future__ import annotations

import os
import socket
import threading
import urllib.request
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from otel_failover._core.text.gate import clean

TRACES: Final = "traces"
METRICS: Final = "metrics"
SIGNALS: Final = (TRACES, METRICS)
_BASE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PORTS: Final = {"http": 80, "https": 443}
_GRPC_PORT: Final = 4317
_PATIENCE: Final = 2.0
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How a client of HTTP/2 begins: its words, and settings, none."""
_FRAME: Final = 9
"""Bytes of a frame's head: three of its length, its type, flags, and four of its stream."""
_FIRST_FRAMES: Final = (4, 7)
"""What a server of HTTP/2 says first: its settings, or that it goes away. Both are about no stream."""
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


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
        parts = _parts(self.url)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return clean(f"{parts.scheme or 'http'}://{host}:{self.port}{parts.path.rstrip('/')}")

    @property
    def port(self) -> int:
        """The port, or the scheme's."""
        return _port_of(self.url)

    @property
    def host(self) -> str:
        """The host's name or address."""
        return _parts(self.url).hostname or ""

    @property
    def is_proxied(self) -> bool:
        """Whether the environment names a proxy on the way: whether somebody listens cannot be seen from here then."""
        if self.host in _LOOPBACK or not {"http", "https"} & urllib.request.getproxies().keys():
            return False
        return not urllib.request.proxy_bypass(self.host)

    def problem(self) -> str | None:
        """Return why nobody can be reached there, by a TCP connection; None if somebody listens."""
        return self.tried(_PATIENCE)[1]

    def tried(self, patience: float) -> tuple[bool | None, str | None]:
        """Return whether somebody listens there, by a TCP connection, and why not; None where that took too long.

        Args:
            patience: Seconds, at most, to find the host's addresses, and to try them.
        """
        if not self.host:
            return False, f"{self.source} names no host"
        found: list[str] = []
        trial = threading.Thread(target=self._try, args=(patience, found), daemon=True)
        trial.start()
        trial.join(patience)
        if not found:
            return None, f"no connection to {self.host}:{self.port} within {patience:g} s"
        return not found[0], found[0] or None

    def _try(self, patience: float, found: list[str]) -> None:
        """Add to a list why nobody can be reached, or an empty text; nothing where it takes too long."""
        try:
            socket.create_connection((self.host, self.port), timeout=patience).close()
            found.append("")
        except TimeoutError:
            return
        except OSError as problem:
            found.append(f"nothing listens at {self.host}:{self.port} ({problem.strerror or problem})")
        except Exception as problem:  # a name that is no name, a port that is none
            found.append(f"no connection to {self.host}:{self.port} can be tried ({type(problem).__name__})")

    @property
    def hint(self) -> str | None:
        """What is probably wrong with it; None if nothing is."""
        return "port 4317 is usually OTLP over gRPC; over HTTP it is 4318" if self.port == _GRPC_PORT else None


def answers_in(host: str, port: int, *, asked_over_http2: bool, patience: float) -> int | None:
    """Return which HTTP somebody answers in who is asked without encryption: 1, or 2, which gRPC is spoken over.

    Args:
        host: Name or address.
        port: Where it listens.
        asked_over_http2: Ask as a gRPC client first, else as one of HTTP/1.1; who does not understand that is asked in
            the other way.
        patience: Seconds, at most, for each step.

    Returns:
        None where that is not known: it says nothing in time, closes, or says something else.
    """
    name = f"[{host}]" if ":" in host else host
    old = f"GET / HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode()
    for words in (_PREFACE, old) if asked_over_http2 else (old, _PREFACE):
        heard = _heard(host, port, words, patience)
        if heard is None:
            break
        if heard.startswith(b"HTTP/1."):
            return 1
        if len(heard) == _FRAME and heard[3] in _FIRST_FRAMES and heard[5:] == bytes(4):
            return 2
    return None


def _heard(host: str, port: int, words: bytes, patience: float) -> bytes | None:
    """Return how somebody begins to answer, as far as it was heard; None who waits for more words, and would again."""
    heard = b""
    try:
        with socket.create_connection((host, port), timeout=patience) as connection:
            connection.sendall(words)
            while len(heard) < _FRAME and (piece := connection.recv(_FRAME - len(heard))):
                heard += piece
    except TimeoutError:
        return heard or None
    except (OSError, ValueError):  # one that resets the connection behind its answer, for one
        pass
    return heard


def _parts(url: str) -> SplitResult:
    """Return a URL's parts; none of one that cannot be read, as with half an IPv6 address."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _port_of(url: str) -> int:
    try:
        parts = _parts(url)
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
