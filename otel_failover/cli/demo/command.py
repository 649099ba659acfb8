"""`otel-failover demo`: the incident, played with real SDKs against local providers; no key, no internet."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_failover._core.failsafe import failures
from otel_failover.cli import otlp_endpoints as endpoints
from otel_failover.cli.demo.scenarios import SCENARIOS, lacking, own_environment

if TYPE_CHECKING:
    import argparse

FILE: Final = "otel-failover-demo.otlp.jsonl"
INSTALL: Final = "pip install 'otel-failover[demo]'"
NEEDS: Final = f"otel-failover demo needs: {INSTALL}"
_NEEDED: Final = ("rich", "openai", "anthropic", "opentelemetry.exporter.otlp.proto.http")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--otlp", metavar="URL", help="send traces and metrics there as well, over OTLP/HTTP: http://localhost:4318"
    )
    parser.add_argument(
        "--out", metavar="FILE", default=FILE, help="where the traces are written (default: %(default)s)"
    )
    parser.add_argument("--svg", metavar="FILE", help="draw the first trace into an SVG file as well")


def run(options: argparse.Namespace) -> int:
    """Run the demo.

    Returns:
        0 if every verdict is the expected one and all that was asked for was written and sent, else 1; 2 if a package
        is missing.
    """
    problem = _missing()
    if problem is not None:
        print(NEEDS, file=sys.stderr)
        if problem:
            print(problem, file=sys.stderr)
        return 2
    return _perform(options)


def _missing() -> str | None:
    """Return None if all of the demo's packages can be imported; else why not, empty where one is simply not there."""
    name = ""
    try:
        with own_environment():
            for name in _NEEDED:
                importlib.import_module(name)
    except ModuleNotFoundError as problem:
        return "" if problem.name and name.startswith(problem.name) else str(problem)
    except ImportError as problem:
        return f"{name}: {problem}"
    return None


def _perform(options: argparse.Namespace) -> int:
    from otel_failover.cli.demo.otlp import send
    from otel_failover.cli.demo.screens import Programme
    from otel_failover.cli.demo.stage import Stage

    targets = endpoints.below(options.otlp, "--otlp") if options.otlp else endpoints.configured()
    programme, acts, failed = Programme(), [], sum(failures.values())
    programme.opening()
    with Stage() as stage:
        for scenario in SCENARIOS:
            module = lacking(scenario)
            if module is not None:
                programme.left_out(scenario, module, INSTALL)
                continue
            acts.append(stage.play(scenario))
            programme.act(len(acts), acts[-1])
        data = stage.metrics()
    programme.metrics(data)
    good = [programme.judged(acts, sum(failures.values()) - failed)]
    good += [programme.written(options.out, _written(options.out, "".join(f"{act.line}\n" for act in acts)))]
    good += [programme.sent(send(target, stage.spans, data)) for target in targets]
    if options.svg:
        good.append(programme.drawn(options.svg, _written(options.svg, programme.svg(acts[0]))))
    return 0 if all(good) else 1


def _written(path: str, text: str) -> str | None:
    """Write a file; return None, or why it could not be written."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as problem:
        return problem.strerror or str(problem)
    return None
