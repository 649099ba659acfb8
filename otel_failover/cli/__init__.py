"""The `otel-failover` command."""

from __future__ import annotations

import argparse
import contextlib
import sys

from otel_failover.version import __version__


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code: 0 if all is well, 1 if not, 2 if the command cannot run as it was called.
    """
    _survive_odd_terminals()
    options = _parser().parse_args(argv)
    try:
        code: int = options.run(options)
    except BrokenPipeError:
        # The reader, `head` or a pager, has seen enough; Python would complain once more at exit.
        with contextlib.suppress(OSError):
            sys.stdout.close()
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    from otel_failover.cli.demo import command as demo
    from otel_failover.cli.doctor import command as doctor
    from otel_failover.cli.report import command as report
    from otel_failover.cli.watch import command as watch

    parser = argparse.ArgumentParser(
        prog="otel-failover", description="OpenTelemetry that tells the truth about failover between LLM providers."
    )
    parser.add_argument("--version", action="version", version=f"otel-failover {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, module, summary in (
        ("demo", demo, "play a failover that blames the wrong provider, and show what is told about it"),
        ("doctor", doctor, "say what is installed, what is patched, and where telemetry goes"),
        ("report", report, "make one HTML page of a file of traces, for an incident review; it needs no backend"),
        ("watch", watch, "draw each run of your own service as it ends, of a command or of what sends OTLP here"),
    ):
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _survive_odd_terminals() -> None:
    """Print a question mark where a terminal has no sign for a provider's character, in place of an exception."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
