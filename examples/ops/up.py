"""Collector, Jaeger, Prometheus and Alertmanager in one command, with a service that has the incident's bug.

`python -m examples.ops.up` builds or finds them, starts them with the configurations of this folder, plays good
requests and three incidents, and says where to look; Ctrl-C ends all. `--build` only builds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from examples.ops.programs import BUILT, NAMES, Stack, build, find, free_port

DEBIAN: Final = "apt-get install prometheus prometheus-alertmanager"


class Pager(BaseHTTPRequestHandler):
    """Prints what Alertmanager sends."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        print(f"\nan alert: {body[:600]}", flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m examples.ops.up", description=__doc__)
    parser.add_argument("--build", action="store_true", help="build the collector and Jaeger, and start nothing")
    asked = parser.parse_args()
    for program in BUILT:
        if find(program) is None:
            print(f"building {program}; that takes minutes, once", flush=True)
            build(program)
    lacking = [program for program in NAMES if find(program) is None]
    if asked.build or lacking:
        print(f"not here: {', '.join(lacking)}; try: {DEBIAN}" if lacking else "all is here")
        return int(bool(lacking) and not asked.build)
    port = free_port()
    pager = ThreadingHTTPServer(("127.0.0.1", port), Pager)
    threading.Thread(target=pager.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), {"DECISION_WAIT": "10s"}, scrape="5s", pager=f"127.0.0.1:{port}")
        try:
            stack.start()
            with suppress(KeyboardInterrupt):
                show(stack)
        finally:
            stack.stop_all()
            pager.shutdown()
    return 0


def show(stack: Stack) -> None:
    """Play the service, and say where to look."""
    settings = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("otlp")}
    with subprocess.Popen(
        [sys.executable, "-m", "examples.ops.service"], stdin=subprocess.PIPE, env=settings
    ) as service:
        if service.stdin is None:
            return
        service.stdin.write(b"good 100\nincident 3\n")
        service.stdin.flush()
        marker = "service=checkout&operation=failover.attribution.mismatch&lookback=1h"
        print(f"Jaeger        {stack.url('jaeger')}/search?{marker}")
        print(f"              {stack.url('jaeger')}/api/traces?{marker}  (where it was built without its pages)")
        print(f"Prometheus    {stack.url('prometheus')}/alerts")
        print(f"Alertmanager  {stack.url('alertmanager')}")
        print(f"send OTLP to  {stack.url('otlp')}\nCtrl-C ends all", flush=True)
        service.wait()


if __name__ == "__main__":
    sys.exit(main())
