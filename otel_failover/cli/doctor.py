"""`otel-failover doctor`: arguments."""

from __future__ import annotations
import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare."""


def run(options: argparse.Namespace) -> int:
    """Run."""
    return 0
