"""`otel-failover watch`: the demo's trees for one's own service, live; of a command, or of whoever sends OTLP here."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.text.gate import clean
from otel_failover.cli.watch import process
from otel_failover.cli.watch.listener import HOST, Listener

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_failover.cli.watch.showing import Showing

NEEDS: Final = "otel-failover watch needs: pip install 'otel-failover[watch]'"
_NEEDED: Final = ("rich", "opentelemetry.proto.collector.trace.v1.trace_service_pb2")
_NEEDED_BY_COMMANDS: Final = ("opentelemetry.exporter.otlp.proto.http.trace_exporter",)
_PORT, _GRPC_PORT = 4318, 4317
_WORDS: Final = 120
_PORTS: Final = range(65_536)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.usage = "otel-failover watch [--port PORT] [--grpc-port PORT] [-- command [argument ...]]"
    parser.add_argument("--port", type=_port, help=f"where to listen for OTLP over HTTP (default: {_PORT}; a free one "
                        "with a command)")  # fmt: skip
    parser.add_argument("--grpc-port", type=_port, help=f"where to listen for OTLP over gRPC (default: {_GRPC_PORT}; "
                        "none with a command)")  # fmt: skip
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to start and watch; none: only listen")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) not in _PORTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Watch a command, or whoever sends OTLP here.

    Returns:
        The command's own exit code, 126 where it cannot be started, 127 where there is none; without one 0, at its end
        by a signal; 2 if a package is missing or a port is in use.
    """
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    problem = _missing((*_NEEDED, *(_NEEDED_BY_COMMANDS if words else ())))
    if problem is not None:
        return _failed(NEEDS, problem)
    from otel_failover.cli.live.terminal import Terminal
    from otel_failover.cli.watch.showing import Showing

    # With a command standard output is the command's own. Without one the pictures are what is asked for.
    terminal = Terminal(sys.stderr if words else sys.stdout)
    showing = Showing(terminal)
    with contextlib.ExitStack() as stack:
        # Before it is said that we listen: from then on a signal may come.
        asked = [] if words else stack.enter_context(_asked_to_end())
        try:
            port = _listen(stack, showing, options, is_alone=not words)
        except OSError as problem:
            return _failed(f"otel-failover watch cannot listen: {problem}", "another port: --port PORT")
        if not words:
            showing.until(lambda: bool(asked) or terminal.is_gone)
            _say_if_nothing_came(showing, port)
            return 0
        return _watch(words, showing, port)


def _missing(modules: Sequence[str]) -> str | None:
    """Return None if all modules can be imported; else why not, empty where one is simply not there."""
    name = ""
    try:
        for name in modules:
            importlib.import_module(name)
    except ImportError as problem:
        return "" if isinstance(problem, ModuleNotFoundError) else f"{name}: {problem}"
    return None


def _failed(*lines: str) -> int:
    for line in filter(None, lines):
        print(line, file=sys.stderr)
    return 2


def _listen(stack: contextlib.ExitStack, showing: Showing, options: argparse.Namespace, *, is_alone: bool) -> int:
    """Listen; return the port for HTTP."""
    port = options.port if options.port is not None else _PORT if is_alone else 0
    try:
        listener = Listener(showing, port)
    except OSError as problem:
        raise OSError(f"port {port} on {HOST}: {problem.strerror or problem}") from None
    stack.callback(listener.close)
    grpc_port = options.grpc_port if options.grpc_port is not None else _GRPC_PORT if is_alone else None
    if grpc_port is not None:
        from otel_failover.cli.watch.grpc_listener import GrpcListener

        try:
            server = GrpcListener(showing, grpc_port)
        except (ImportError, OSError) as problem:
            if options.grpc_port is not None:
                raise OSError(f"port {grpc_port} on {HOST}, for gRPC: {problem}") from None
            _note(f"no gRPC, only HTTP: {problem}")
        else:
            stack.callback(server.close)
            _note(f"listening for OTLP over gRPC at {HOST}:{server.port}")
    if is_alone or options.port is not None:
        _note(f"listening for OTLP over HTTP at http://{HOST}:{listener.port}")
    return listener.port


def _note(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(f"otel-failover watch: {text}", file=sys.stderr, flush=True)


# --- listening only ---------------------------------------------------------------------------------------------------


def _say_if_nothing_came(showing: Showing, port: int) -> None:
    if not showing.spans:
        _note(
            f"no spans came. A service sends them here with OTEL_EXPORTER_OTLP_ENDPOINT=http://{HOST}:{port} and "
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        )
    elif not showing.ours:
        _note(
            f"{showing.spans} spans came, none of otel-failover's: is it instrumented? `otel-failover doctor` says so"
        )


@contextlib.contextmanager
def _asked_to_end() -> Iterator[list[int]]:
    """Give a list that fills when a signal asks us to end."""
    asked: list[int] = []

    def note(number: int, frame: Any) -> None:  # noqa: ARG001 - a handler's signature
        asked.append(number)

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- a command --------------------------------------------------------------------------------------------------------


def _watch(words: list[str], showing: Showing, port: int) -> int:
    command = process.Command(words, process.environment(os.environ, port))
    with command.signals():
        try:
            command.start()
        except FileNotFoundError as problem:
            _note(str(problem))
            return process.NOT_FOUND
        except OSError as problem:
            _note(f"{words[0]} cannot be started: {problem.strerror or problem}")
            return process.NOT_STARTED
        showing.until(lambda: command.is_over)
    if not showing.ours:
        _note(_why_nothing(showing, words))
    return command.code


def _why_nothing(showing: Showing, words: list[str]) -> str:
    """Return why nothing was drawn, and what to do."""
    doctor = f"`otel-failover doctor -- {clean(shlex.join(words), (), _WORDS)}`"
    for problem in showing.problems:
        if "ModuleNotFoundError" in problem and "otel_failover" in problem:
            return f"no spans came: otel-failover is not installed for {problem.partition(': ')[0]}"
        return f"no spans came, {problem}"
    if not showing.watched:
        return "no spans came: the command started no Python that can be watched (`python -I`, `-E`, `-S` cannot)"
    if showing.spans:
        return f"{showing.spans} spans came, none of a provider's call: {doctor} says which are seen"
    sampler = os.environ.get("OTEL_TRACES_SAMPLER", "")
    if sampler not in ("", "always_on", "parentbased_always_on"):
        return f"no spans came: OTEL_TRACES_SAMPLER is {sampler[:60]}, which leaves traces out"
    return f"no spans came: no provider was called, or by a way that is not seen; {doctor} says which are"
