"""`otel-failover doctor`: what is installed, what is patched, where telemetry goes. Needs no extra."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from otel_failover.cli.doctor.examination import examine
from otel_failover.cli.doctor.report import report

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON, with stable keys")


def run(options: argparse.Namespace) -> int:
    """Look at this process, and say what was found.

    Returns:
        0 if something is patched, nothing was left out against the user's will, every setting is usable, and
        telemetry can go somewhere; else 1.
    """
    found = examine()
    print(json.dumps(found.as_dict(), indent=2) if options.json else report(found))
    return 0 if found.healthy else 1
