"""The way from a lying span to a pager and back to the trace, through the real programs.

`nox -s ops` builds them and walks it; without that (`FAILOVER_OPS`) it is left out. A service with the incident's bug, 1 %
sampling, a hang three times as long as a decision waits.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.parse
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import pytest

from examples.ops.programs import Stack, fetch, free_port, wait_for
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    not os.environ.get("FAILOVER_OPS"), reason="`nox -s ops` builds the collector and Jaeger, and walks the whole way"
)
WAIT: Final = 2
"""Seconds until the collector decides whether it keeps a trace."""
GOOD, INCIDENTS = 200, 3
MARKER: Final = "failover.attribution.mismatch"


def hurried(rules: str) -> str:
    """Return the rules with windows of seconds: an alert that resolves in ten minutes is not waited for."""
    rules = re.sub(r"offset 10m", "offset 20s", rules)
    rules = re.sub(r"\[10m\]", "[20s]", rules)
    rules = re.sub(r"\[5m\]", "[10s]", rules)
    return re.sub(r"(?m)^groups:", "groups:", rules)


class Pages:
    """What Alertmanager has sent."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []

    def of(self, name: str, status: str) -> list[dict[str, Any]]:
        """Return the alerts of one name that were sent as firing, or as resolved."""
        return [each for each in self.alerts if each["labels"]["alertname"] == name and each["status"] == status]


@contextmanager
def pager(pages: Pages, port: int) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            pages.alerts += json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


class Service:
    """The service, told what to do line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, kind: str, times: int) -> list[str]:
        """Let it serve some requests; return their traces."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{kind} {times}\n")
        self._process.stdin.flush()
        traces = []
        for line in self._process.stdout:
            if (told := json.loads(line))["kind"] == "done":
                break
            traces.append(told["trace"])
        assert len(traces) == times
        return traces


@contextmanager
def service(stack: Stack) -> Iterator[Service]:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("otlp"), "HANG": str(3 * WAIT), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "examples.ops.service"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **settings}, cwd=ROOT,
    ) as process:  # fmt: skip
        yield Service(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages()


@pytest.fixture(scope="module")
def stack(pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    port = free_port()
    waits = {"DECISION_WAIT": f"{WAIT}s", "DECISION_WAIT_AFTER_ROOT": "1s"}
    started = Stack(tmp_path_factory.mktemp("ops"), waits, hurried, "1s", f"127.0.0.1:{port}")
    with pager(pages, port):
        try:
            started.start()
            yield started
        finally:
            started.stop_all()


def trace_in_jaeger(stack: Stack, trace_id: str) -> list[dict[str, Any]]:
    """Return the spans of a trace; empty where Jaeger has none."""
    try:
        data = fetch(f"{stack.url('jaeger')}/api/traces/{trace_id}")["data"]
    except OSError:
        return []
    return data[0]["spans"] if data else []


def tags(span: dict[str, Any]) -> dict[str, Any]:
    """Return a span's attributes as Jaeger has them."""
    return {each["key"]: each["value"] for each in span["tags"]}


def asked(stack: Stack, query: str) -> list[dict[str, Any]]:
    """Return what Prometheus answers."""
    found = fetch(f"{stack.url('prometheus')}/api/v1/query?query={urllib.parse.quote(query)}")
    return list(found["data"]["result"])


def test_the_way_from_a_lying_span_to_a_pager_and_back(stack: Stack, pages: Pages) -> None:
    with service(stack) as told:
        good = told.do("good", GOOD)
        lying = told.do("incident", INCIDENTS)
        every_incident_is_kept_whole(stack, lying)
        hardly_any_good_one_is_kept(stack, good)
        it_is_counted_once(stack, lying)
        it_reaches_the_pager_with_a_link_that_opens_it(stack, pages, lying)
        wait_for("the end of the alert", lambda: pages.of("FailoverAttributionMismatch", "resolved"), 90)
        paged = len(pages.alerts)
        stack.stop("collector")
        time.sleep(2)
        stack.start_collector()
        wait_for("the series again", lambda: asked(stack, "failover_attribution_mismatches_total > 0"))
        time.sleep(25)  # longer than the hurried windows: what was counted before is no news
        assert [each for each in pages.alerts[paged:] if each["status"] == "firing"] == []


def whole(stack: Stack, trace_id: str) -> list[Any]:
    """Return a trace's spans once the service's own, the last to end, is among them."""
    spans = trace_in_jaeger(stack, trace_id)
    return spans if any(each["operationName"] == "POST /answer" for each in spans) else []


def every_incident_is_kept_whole(stack: Stack, lying: list[str]) -> None:
    """Names, statuses, attributes, events: all that a person looks for stands in Jaeger, though 1 % is sampled."""
    for trace_id in lying:
        spans = wait_for(
            f"trace {trace_id}",
            partial(whole, stack, trace_id),
        )
        by_name = {span["operationName"]: span for span in spans}
        assert {
            "POST /answer",
            "failover chat",
            "candidate openai",
            "candidate anthropic",
            "candidate groq",
            MARKER,
        } <= set(by_name)
        statuses = {name: tags(span).get("otel.status_code", "UNSET") for name, span in by_name.items()}
        assert statuses["failover chat"] == statuses["candidate groq"] == "UNSET"
        assert statuses["candidate openai"] == statuses["candidate anthropic"] == statuses[MARKER] == "ERROR"
        assert tags(by_name["candidate anthropic"])["failover.reason.code"] == "timeout"
        marker = by_name[MARKER]
        assert tags(marker)["failover.attribution.source.span_id"] == by_name["candidate openai"]["spanID"]
        assert tags(marker)["failover.attribution.expected.provider"] == "anthropic"
        (event,) = marker["logs"]
        said = {each["key"]: each["value"] for each in event["fields"]}["event"]
        assert said.startswith("anthropic/claude-opus-4-7 carries openai's error. Its own: no response in ")
        assert by_name["failover chat"]["logs"]
        for span in spans:
            assert not span.get("warnings"), span
            assert span["duration"] > 0, span
            for log in span["logs"]:
                assert span["startTime"] <= log["timestamp"] < span["startTime"] + span["duration"], span
    found = fetch(f"{stack.url('jaeger')}/api/traces?service=checkout&operation={MARKER}&lookback=1h&limit=50")["data"]
    assert {each["traceID"] for each in found} == set(lying)


def hardly_any_good_one_is_kept(stack: Stack, good: list[str]) -> None:
    kept = [each for each in good if trace_in_jaeger(stack, each)]
    assert len(kept) < GOOD / 10


def it_is_counted_once(stack: Stack, lying: list[str]) -> None:
    """By the service, in which nothing is sampled; and by the collector, by the markers' name, before it samples."""
    query = "sum by (failover_attribution_source_provider, failover_attribution_expected_provider) (%s) > 0"
    markers = f'traces_span_metrics_calls_total{{span_name="{MARKER}"}}'
    for counter in ("failover_attribution_mismatches_total", markers):
        (found,) = wait_for(counter, partial(asked, stack, f"{query % counter} >= {INCIDENTS}"))
        assert found["value"][1] == str(INCIDENTS), counter
        assert found["metric"] == {
            "failover_attribution_source_provider": "openai",
            "failover_attribution_expected_provider": "anthropic",
        }
    wait_for("durations for the Monitor tab", lambda: asked(stack, "traces_span_metrics_duration_milliseconds_bucket"))
    now = time.time()
    at = f"{stack.url('prometheus')}/api/v1/query_exemplars?query=failover_attribution_mismatches_total"
    found = fetch(f"{at}&start={now - 600:.0f}&end={now + 60:.0f}")["data"]
    exemplars = {each["labels"]["trace_id"] for series in found for each in series["exemplars"]}
    assert exemplars
    assert exemplars <= set(lying)


def it_reaches_the_pager_with_a_link_that_opens_it(stack: Stack, pages: Pages, lying: list[str]) -> None:
    (page, *_) = wait_for("a page", lambda: pages.of("FailoverAttributionMismatch", "firing"))
    assert page["annotations"]["summary"] == "checkout: the error shown for anthropic is openai's"
    assert page["annotations"]["description"].startswith("Do not top up, rotate keys or block anthropic on this text.")
    link = page["annotations"]["traces"].replace("http://localhost:16686/search", f"{stack.url('jaeger')}/api/traces")
    assert {each["traceID"] for each in fetch(link)["data"]} == set(lying)
    wait_for("the page about money, which is true", lambda: pages.of("FailoverBilling", "firing"))
    assert {each["labels"]["candidate_provider"] for each in pages.of("FailoverBilling", "firing")} == {"openai"}


OTHERS: Final[dict[str, tuple[dict[str, str], bool]]] = {
    "another's error by its own key": ({"gen_ai.provider.name": "anthropic", "error.llm_provider": "openai"}, True),
    "litellm's key": ({"gen_ai.system": "openai", "litellm.provider.error.llm_provider": "gemini"}, True),
    "a class that only another's SDK raises": ({"gen_ai.provider.name": "openai", "error.type": "anthropic.RateLimitError"}, True),
    "by the host that was asked": ({"server.address": "api.anthropic.com", "error.llm_provider": "openai"}, True),
    "its own error": ({"gen_ai.provider.name": "openai", "error.llm_provider": "openai"}, False),
    "another spelling of the same": ({"gen_ai.provider.name": "gcp.gemini", "error.llm_provider": "gemini"}, False),
    "a cloud that hosts the other": ({"gen_ai.provider.name": "aws.bedrock", "error.llm_provider": "anthropic"}, False),
    "OpenAI's SDK asks everybody": ({"gen_ai.provider.name": "groq", "error.type": "openai.RateLimitError"}, False),
    "no provider of the error": ({"gen_ai.provider.name": "openai", "error.type": "timeout"}, False),
    "a marker": (
        {"candidate.provider": "anthropic", "failover.attribution.source.provider": "openai", MARKER: "kept"},
        False,
    ),
    "judged in its own process": (
        {"gen_ai.provider.name": "anthropic", "error.llm_provider": "openai", "failover.attribution.verdict": "unverified"},
        False,
    ),
}  # fmt: skip
"""Spans of services that nothing checks, and whether their own keys show a mismatch."""


def test_spans_of_other_languages_are_flagged_by_what_their_keys_alone_show(stack: Stack) -> None:
    begun = time.time_ns()
    spans = {
        name: {
            "traceId": os.urandom(16).hex(), "spanId": os.urandom(8).hex(), "name": name, "kind": 3,
            "startTimeUnixNano": str(begun), "endTimeUnixNano": str(begun + 10_000_000), "status": {"code": 2},
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
        }
        for name, (attributes, _) in OTHERS.items()
    }  # fmt: skip
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "node-service"}}]}
    fetch(
        f"{stack.url('otlp')}/v1/traces",
        resourceSpans=[{"resource": resource, "scopeSpans": [{"scope": {}, "spans": list(spans.values())}]}],
    )
    for name, (_, flagged) in OTHERS.items():
        (span,) = wait_for(name, partial(trace_in_jaeger, stack, str(spans[name]["traceId"])))
        assert (tags(span).get(MARKER) is True) is flagged, name
        sent = OTHERS[name][0]
        assert {key: value for key, value in tags(span).items() if key in sent} == sent, name
        assert not [key for key in tags(span) if key.startswith("tmp.")]
    flagged_spans = 'traces_span_metrics_calls_total{failover_attribution_mismatch="true",failover_attribution_rule=""}'
    wait_for("what was flagged", lambda: asked(stack, f"sum({flagged_spans}) == 4"), 30)
