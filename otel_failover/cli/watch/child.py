"""What happens in the Python of a watched command: it is instrumented, and its spans are sent to whoever watches.

As `opentelemetry-instrument` does it, by OpenTelemetry's own machinery where that is installed: the configurator of a
distribution or the SDK's, then all instrumentations. What the environment says of exporters is kept; the spans go to
the watcher besides.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
import sys
import threading
import time
from dataclasses import astuple
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT: Final = "FAILOVER_WATCH_PORT"
"""Variable of the environment: the port on loopback where the watcher listens. No setting, so of no setting's name."""
_DELAY: Final = 200
"""Milliseconds between two sends."""
_PATIENCE: Final = 2
_PAUSE: Final = 1.0
"""Seconds between two looks at what is open."""
_START: Final = str(Path(__file__).parent / "start")


def begin() -> None:
    """Instrument this process, and send its spans to the watcher.

    Raises:
        Exception: Whatever keeps it from being watched.
    """
    with _without_us_in_children():
        _instrument()
    port = int(os.environ[PORT])
    _send_to(port)
    _tell_what_is_open(port)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: _tell_what_is_open(port))


@contextlib.contextmanager
def _without_us_in_children() -> Iterator[None]:
    """Let processes that are started while the SDK is set up be none of ours: each would start further ones."""
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in before.split(os.pathsep) if path != _START)
    try:
        yield
    finally:
        os.environ["PYTHONPATH"] = before


def _instrument() -> None:
    if not entry_points(group="opentelemetry_configurator"):
        _configure_sdk()
    try:
        from opentelemetry.instrumentation import auto_instrumentation
    except ImportError:
        from otel_failover.instrumentor import FailoverInstrumentor

        FailoverInstrumentor().instrument()
    else:
        theirs = str(Path(auto_instrumentation.__file__).parent)
        if hasattr(auto_instrumentation, "initialize"):
            auto_instrumentation.initialize()
        else:  # before 0.52b0 importing their `sitecustomize` is what does it, and it takes itself off PYTHONPATH
            os.environ["PYTHONPATH"] = os.pathsep.join([theirs, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
            importlib.import_module(f"{auto_instrumentation.__name__}.sitecustomize")
        # Where `opentelemetry-instrument` starts the command, its own `sitecustomize` would do all of it once more.
        sys.path[:] = [path for path in sys.path if path != theirs]


def _configure_sdk() -> None:
    """Configure the SDK by the environment, where no distribution does."""
    from opentelemetry.sdk import _configuration

    configurator: Any = _configuration._OTelSDKConfigurator  # noqa: SLF001 - what each distribution's is made of
    configurator().configure()


def _send_to(port: int) -> None:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

    provider: Any = trace.get_tracer_provider()
    if not hasattr(provider, "add_span_processor"):
        raise TypeError(f"no SDK is configured: the tracer provider is a {type(provider).__name__}")
    exporter: SpanExporter = OTLPSpanExporter(
        endpoint=f"http://127.0.0.1:{port}/v1/traces", headers={}, timeout=_PATIENCE
    )
    session: Any = getattr(exporter, "_session", None)
    if hasattr(session, "trust_env"):
        session.trust_env = False  # no proxy stands between this machine and itself
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_DELAY))


def _tell_what_is_open(port: int) -> None:
    """Say each second what is open in this process: a span comes when it has ended, and of what hangs none does."""
    threading.Thread(target=_look, args=(port,), name="otel-failover-watch", daemon=True).start()


def _look(port: int) -> None:
    from otel_failover.cli.live.exporter import open_attempts

    said = False
    while True:
        time.sleep(_PAUSE)
        with contextlib.suppress(Exception):  # the watcher may be gone, and then there is nobody to say it to
            found = open_attempts()
            if found or said:
                _post(port, json.dumps([os.getpid(), [list(astuple(each)) for each in found]]))
            said = bool(found)


def _post(port: int, text: str) -> None:
    """Send by a socket of our own: libraries for HTTP are instrumented here."""
    body = text.encode("utf-8", "replace")
    head = "POST /open HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", port), _PATIENCE) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        connection.recv(4096)
