"""Run the service with providers on this machine: `python -m examples.fastapi_chat`; open the address it prints."""

from __future__ import annotations

import argparse
import logging

import uvicorn
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from examples.fastapi_chat.app import create_app
from examples.fastapi_chat.stand_ins import stand_ins
from otel_failover import FailoverInstrumentor


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.fastapi_chat", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--spans", action="store_true", help="print the spans")
    options = parser.parse_args()
    logging.basicConfig(format="%(levelname)s:     %(message)s")
    provider = TracerProvider()
    if options.spans:
        provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    FailoverInstrumentor().instrument(tracer_provider=provider)
    with stand_ins() as chains:
        print(f"http://127.0.0.1:{options.port}")
        uvicorn.run(create_app(chains), host="127.0.0.1", port=options.port, log_level="warning")
    provider.shutdown()


if __name__ == "__main__":
    main()
