"""litellm's proxy, started by `opentelemetry-instrument` without a line of code: each request is a run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("litellm")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("apscheduler")
pytest.importorskip("soundfile")
pytest.importorskip("opentelemetry.distro")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.process import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGES = [{"role": "user", "content": "Hello?"}]
KEY = "sk-of-this-test-9071"
REQUESTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "chat": ("chat/completions", {"messages": MESSAGES}, "chat"),
    "chat stream": ("chat/completions", {"messages": MESSAGES, "stream": True}, "chat"),
    "responses": ("responses", {"input": "Hello?"}, "chat"),
    "responses stream": ("responses", {"input": "Hello?", "stream": True}, "chat"),
    "messages": ("messages", {"messages": MESSAGES, "max_tokens": 9}, "chat"),
    "messages stream": ("messages", {"messages": MESSAGES, "max_tokens": 9, "stream": True}, "chat"),
    "embeddings": ("embeddings", {"input": "Hello?"}, "embeddings"),
    "completions": ("completions", {"prompt": "Hello?"}, "text_completion"),
}
"""By name: the path below `/v1`, what is asked, and the run's operation."""


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LITELLM_"))}


class Collector:
    """Takes spans by OTLP on loopback."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, dict[str, str]]] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = ExportTraceServiceRequest()
                sent.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
                scopes = [scope for each in sent.resource_spans for scope in each.scope_spans]
                for span in (span for scope in scopes for span in scope.spans):
                    spans.append((span.name, {each.key: each.value.string_value for each in span.attributes}))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, beginning: str) -> tuple[str, dict[str, str]]:
        """Return the span whose name begins so, once it has come."""
        for _ in range(300):
            found = [each for each in self.spans if each[0].startswith(beginning)]
            if found:
                (only,) = found
                return only
            time.sleep(0.1)
        raise TimeoutError(beginning)


class Proxy:
    """The proxy in a process of its own, over two providers: group `a` falls back to `b`."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.first, self.second = (stack.enter_context(LocalProvider("openai")) for _ in "ab")
        self.collector = Collector()
        stack.callback(self.collector.server.shutdown)
        models = [("a", "openai/gpt-4o", self.first), ("b", "openai/gpt-4o-mini", self.second)]
        given = [
            {"model": model, "api_base": each.base_url, "api_key": "sk-local", "max_retries": 0}
            for _, model, each in models
        ]
        config = folder / "config.yaml"
        config.write_text(
            json.dumps(
                {
                    "model_list": [
                        {"model_name": group, "litellm_params": params}
                        for (group, *_), params in zip(models, given, strict=True)
                    ],
                    "router_settings": {"num_retries": 0, "disable_cooldowns": True, "fallbacks": [{"a": ["b"]}]},
                    "general_settings": {"master_key": KEY},
                }
            )
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = folder / "log"
        command = [str(Path(sys.executable).parent / "opentelemetry-instrument"), sys.executable, "-m", "uvicorn"]
        process = subprocess.Popen(
            [*command, "litellm.proxy.proxy_server:app", "--port", str(self.port), "--log-level", "warning"],
            env={**_inherited(), **self._environment(config)},
            stdout=stack.enter_context(self.log.open("w")),
            stderr=subprocess.STDOUT,
        )
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        self._wait_until_it_answers(process)

    def _environment(self, config: Path) -> dict[str, str]:
        return {
            "CONFIG_FILE_PATH": str(config),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.collector.server.server_port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "PYTHONPATH": str(ROOT),
        }

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        for _ in range(120):
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/liveliness", timeout=2).read()
                return
            assert process.poll() is None, self.log.read_text()
            time.sleep(1)
        raise TimeoutError(self.log.read_text())

    def ask(self, path: str, body: dict[str, Any]) -> bytes:
        """Return what the proxy answers."""
        headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/{path}", json.dumps({"model": "a", **body}).encode(), headers
        )
        answer: bytes = urllib.request.urlopen(request, timeout=30).read()
        return answer


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with ExitStack() as stack:
        yield Proxy(stack, tmp_path_factory.mktemp("proxy"))


@pytest.mark.parametrize("name", REQUESTS)
def test_each_request_is_a_run(proxy: Proxy, name: str) -> None:
    path, body, operation = REQUESTS[name]
    proxy.collector.spans.clear()
    proxy.first.program(*[Answer.openai_quota()] * 3)
    proxy.second.program(Answer.stream(["fi", "ne"]) if "stream" in name else Answer.ok("fine"))
    assert proxy.ask(path, body)
    _, run = proxy.collector.wait(f"failover {operation}")
    assert (run["failover.outcome"], run["failover.library"]) == ("fallback", "litellm")
    tried = [span for title, span in proxy.collector.spans if title.startswith("candidate ")]
    assert [
        (span["candidate.model"], span["candidate.outcome"], span["failover.attribution.verdict"]) for span in tried
    ] == [("gpt-4o", "error", "verified"), ("gpt-4o-mini", "success", "verified")]
    assert tried[0]["failover.reason.code"] == "billing"
    proxy.first.clear()
    proxy.second.clear()
