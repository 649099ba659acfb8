"""`otel-failover doctor`: what is installed, what is patched, where telemetry goes. Needs no extra."""

from __future__ import annotations

import argparse
import json

from otel_failover.cli.doctor.examination import examine
from otel_failover.cli.doctor.report import report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.usage = "otel-failover doctor [--json] [-- command [argument ...]]"
    parser.add_argument("--json", action="store_true", help="print JSON, with stable keys")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, help="what starts the service: it is run, and looked at when it ends"
    )


def run(options: argparse.Namespace) -> int:
    """Look at this process, or at a service that is started for it, and say what was found.

    Returns:
        0 if something is patched, nothing was left out against the user's will, every setting is usable, and
        telemetry can go somewhere; else 1.
    """
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    if words:
        from otel_failover.cli.doctor import service

        return service.run(words, as_json=options.json)
    found = examine()
    print(json.dumps(found.as_dict(), indent=2) if options.json else report(found))
    return 0 if found.healthy else 1
