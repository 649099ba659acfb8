"""`otel-failover doctor` says where telemetry goes: what is at work, else what the environment would make of it."""

from __future__ import annotations

import importlib.metadata
import json
import socket
import subprocess
import sys
import threading
from concurrent import futures
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover.cli.otlp_endpoints import answers_in
from tests.cli.collector import Collector
from tests.cli.command import ONE_LIBRARY, environment, found, run
from tests.cli.doctor.test_doctor import is_found_by_launcher, launcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

CONFIGURED = """
from opentelemetry.sdk._configuration import _initialize_components
_initialize_components()
"""
NONE = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
GRPC = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "none"}
HTTP = {**GRPC, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
NOWHERE = "127.0.0.1:9"


def has_distro() -> bool:
    return bool(importlib.metadata.entry_points(group="opentelemetry_distro"))


LOOK = """
import json
from dataclasses import asdict
from otel_failover.cli.doctor import telemetry
print(json.dumps(asdict(telemetry.look())))
"""


def seen(tmp_path: Path, given: dict[str, str] | None = None, before: str = "") -> dict[str, Any]:
    """What doctor sees of telemetry in a process of its own, without the rest of it."""
    command = [sys.executable, "-c", before + LOOK]
    done = subprocess.run(command, cwd=tmp_path, env=environment(given), capture_output=True, timeout=300, check=True)
    assert done.stderr == b""
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def told(exporter: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(exporter[name] for name in names)


@pytest.fixture
def listening() -> Iterator[str]:
    """A host and port where somebody listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


# --- what is at work --------------------------------------------------------------------------------------------------


def test_a_grpc_exporter_at_work_is_named_with_its_address(tmp_path: Path, listening: str) -> None:
    """The address as it is, without a path; user, password and query are not shown."""
    given = {**GRPC, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:secret@{listening}?token=secret"}
    document = seen(tmp_path, given, CONFIGURED)
    (traces,) = document["exporters"]
    assert told(traces, "signal", "kind", "reachable", "live") == ("traces", "otlp grpc", True, True)
    # The exporter of the oldest SDK does not keep whether it encrypts: `grpc` is no claim about that.
    assert traces["endpoint"] in (f"http://{listening}", f"grpc://{listening}")
    assert traces["name"] == "opentelemetry.exporter.otlp.proto.grpc.trace_exporter.OTLPSpanExporter"
    assert traces["source"] == "tracer provider"
    assert "secret" not in json.dumps(document)
    assert document["problems"] == []


def test_http_exporters_at_work_are_named_with_their_paths(tmp_path: Path) -> None:
    """Both signals, each with its own; a header with a key is never read."""
    with Collector() as collector:
        given = {**HTTP, "OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        given["OTEL_EXPORTER_OTLP_HEADERS"] = "authorization=Zq8vL2mN4xWc7RtYbH3k"
        code, document = found(tmp_path, given, before=CONFIGURED)
    assert [told(each, "signal", "kind", "endpoint", "reachable", "source") for each in document["exporters"]] == [
        ("traces", "otlp http", f"{collector.url}/v1/traces", True, "tracer provider"),
        ("metrics", "otlp http", f"{collector.url}/v1/metrics", True, "meter provider"),
    ]
    assert "Zq8vL2mN4xWc7RtYbH3k" not in json.dumps(document)
    assert (code, document["problems"]) == (0, [])


def test_a_console_exporter_has_no_address(tmp_path: Path) -> None:
    document = seen(tmp_path, {**NONE, "OTEL_TRACES_EXPORTER": "console"}, CONFIGURED)
    (traces,) = document["exporters"]
    assert told(traces, "kind", "endpoint", "reachable", "problem") == ("console", "", None, None)
    assert document["problems"] == []


CUSTOM = """
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

class Acme(SpanExporter):
    endpoint = "https://user:secret@127.0.0.1:9/spans?key=secret"

    def export(self, spans): ...

class Broken(SpanExporter):
    @property
    def endpoint(self):
        raise RuntimeError

    def export(self, spans): ...

class Sends(SpanProcessor):
    pass

provider, nested = TracerProvider(), SynchronousMultiSpanProcessor()
nested.add_span_processor(BatchSpanProcessor(Acme()))
nested.add_span_processor(BatchSpanProcessor(Broken()))
provider.add_span_processor(nested)
provider.add_span_processor(Sends())
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider(metric_readers=[InMemoryMetricReader()]))
"""


def test_classes_of_others_are_named(tmp_path: Path) -> None:
    """Exporters in processors within processors, one whose address raises, a processor that exports by itself."""
    document = seen(tmp_path, before=CUSTOM)
    assert [told(each, "signal", "kind", "name", "endpoint") for each in document["exporters"]] == [
        ("traces", "custom", "__main__.Acme", "https://127.0.0.1:9/spans"),
        ("traces", "custom", "__main__.Broken", ""),
        ("traces", "custom", "__main__.Sends", ""),
        ("metrics", "custom", document["exporters"][3]["name"], ""),
    ]
    assert document["exporters"][3]["name"].endswith(".InMemoryMetricReader")
    assert "secret" not in json.dumps(document)


def test_an_sdk_without_an_exporter_is_a_problem(tmp_path: Path) -> None:
    """Our own processor is none that exports; `none` for metrics alone is nobody's harm, and lists none."""
    code, document = found(tmp_path, NONE, before=CONFIGURED)
    assert (code, document["exporters"]) == (1, [])
    assert document["problems"] == [
        "no exporter is attached to the tracer provider: spans go nowhere (OTEL_TRACES_EXPORTER is none)"
    ]


def test_an_sdk_that_is_disabled_is_a_problem(tmp_path: Path, listening: str) -> None:
    """Its exporters are there and get nothing."""
    given = {**GRPC, "OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{listening}"}
    document = seen(tmp_path, given, CONFIGURED)
    assert document["exporters"] == []
    assert document["problems"] == ["OTEL_SDK_DISABLED is true: there are no spans and no metrics at all"]


def test_nobody_listening_is_a_problem_of_a_process_that_sends(tmp_path: Path) -> None:
    code, document = found(tmp_path, {**GRPC, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{NOWHERE}"}, before=CONFIGURED)
    assert code == 1
    (problem,) = document["problems"]
    assert problem.startswith(f"traces: nothing listens at {NOWHERE} (")
    assert told(document["exporters"][0], "reachable", "usable") == (False, True)


@pytest.mark.parametrize("kept", ["unix:///run/me:secret@collector.sock", "dns:///collector:4317?secret"])
def test_an_address_of_grpcs_own_is_not_tried(tmp_path: Path, kept: str) -> None:
    """It is shown as it is, without what may be a password."""
    document = seen(tmp_path, {**GRPC, "OTEL_EXPORTER_OTLP_ENDPOINT": kept})
    assert document["exporters"][0]["reachable"] is None
    assert "secret" not in json.dumps(document)


# --- the usual mistakes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["", CONFIGURED], ids=["environment", "at work"])
@pytest.mark.parametrize(
    ("given", "port", "said"),
    [
        (GRPC, 4318, "traces: OTLP over gRPC is sent to port 4318, where collectors listen for HTTP: "),
        (HTTP, 4317, "traces: OTLP over HTTP is sent to port 4317, where collectors listen for gRPC: "),
    ],
)
def test_the_other_protocols_port_is_a_problem(
    tmp_path: Path, given: dict[str, str], port: int, said: str, before: str
) -> None:
    """Whether or not somebody listens there, and before anything is sent."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    (problem,) = seen(tmp_path, {**given, **endpoint}, before)["problems"]
    assert problem.startswith(said)


@pytest.mark.parametrize(("given", "port"), [(GRPC, 4317), (HTTP, 4318)])
def test_a_protocols_own_port_is_none(tmp_path: Path, given: dict[str, str], port: int) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    document = seen(tmp_path, {**given, **endpoint})
    assert document["exporters"][0]["usable"]
    assert document["problems"] == []


@pytest.fixture(params=["grpc", "http"])
def peer(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Who listens, and where: a gRPC server, or one of HTTP/1, on ports that say nothing of it."""
    if request.param == "http":
        with Collector() as collector:
            yield "http", collector.url
        return
    grpc = pytest.importorskip("grpc")
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield "grpc", f"http://127.0.0.1:{port}"
    server.stop(None)


@pytest.mark.parametrize("before", ["", CONFIGURED], ids=["environment", "at work"])
@pytest.mark.parametrize("given", [GRPC, HTTP], ids=["gRPC", "HTTP"])
def test_who_answers_in_the_other_protocol_is_a_problem_and_in_its_own_none(
    tmp_path: Path, peer: tuple[str, str], given: dict[str, str], before: str
) -> None:
    spoken, url = peer
    document = seen(tmp_path, {**given, "OTEL_EXPORTER_OTLP_ENDPOINT": url}, before)
    exporter = document["exporters"][0]
    assert (exporter["reachable"], exporter["usable"]) == (True, (spoken == "grpc") is (given is GRPC))
    if exporter["usable"]:
        assert document["problems"] == []
        return
    (problem,) = document["problems"]
    place = url.removeprefix("http://")
    sent, answered = ("HTTP", "HTTP/2") if spoken == "grpc" else ("gRPC", "HTTP/1")
    assert problem.startswith(
        f"traces: OTLP over {sent} is sent to {place}, where somebody listens who answers in {answered}"
    )


@pytest.mark.parametrize("words", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x15\x03\x01\x00\x02\x02\x46"])
@pytest.mark.parametrize("asked_over_http2", [False, True])
def test_who_says_something_else_is_not_known(words: bytes, asked_over_http2: bool) -> None:
    """Nothing, until it closes; another protocol; an alert of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):  # it is asked in both ways
                connection, _ = server.accept()
                with connection:
                    connection.recv(1024)
                    connection.sendall(words)

        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        assert answers_in("127.0.0.1", port, asked_over_http2=asked_over_http2, patience=5) is None
        thread.join()
    assert answers_in("127.0.0.1", port, asked_over_http2=asked_over_http2, patience=5) is None, "nobody listens"


# --- as the environment says ------------------------------------------------------------------------------------------


def test_without_an_sdk_the_environment_is_read_as_the_sdk_would(tmp_path: Path, listening: str) -> None:
    """A process of its own has none by nature: a note, no problem; nor is a collector that runs elsewhere."""
    given = {**GRPC, "OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf"}
    given |= {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{listening}/"}
    code, document = found(tmp_path, given)
    assert [told(each, "signal", "kind", "endpoint", "source", "live") for each in document["exporters"]] == [
        ("traces", "otlp grpc", f"http://{listening}", "OTEL_EXPORTER_OTLP_ENDPOINT", False),
        ("metrics", "otlp http", f"http://{listening}/v1/metrics", "OTEL_EXPORTER_OTLP_ENDPOINT", False),
    ]
    assert (code, document["problems"]) == (0, [])
    assert any(note.startswith("no OpenTelemetry SDK is configured in this process") for note in document["notes"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"OTEL_METRICS_EXPORTER": "none"}, []),
        ({"OTEL_METRICS_EXPORTER": " None "}, []),
        ({"OTEL_METRICS_EXPORTER": ""}, []),
        ({"OTEL_METRICS_EXPORTER": "console"}, [("console", "", "OTEL_METRICS_EXPORTER")]),
        (
            {"OTEL_METRICS_EXPORTER": "otlp"},
            [("otlp grpc", "http://localhost:4317", "OTEL_METRICS_EXPORTER")],
        ),
        (
            {"OTEL_METRICS_EXPORTER": "otlp_proto_http, console"},
            [
                ("otlp http", "http://localhost:4318/v1/metrics", "OTEL_METRICS_EXPORTER"),
                ("console", "", "OTEL_METRICS_EXPORTER"),
            ],
        ),
        (
            {
                "OTEL_METRICS_EXPORTER": "otlp_proto_http",
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"https://me:key@{NOWHERE}/mine?key=key",
            },
            [("otlp http", f"https://{NOWHERE}/mine", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")],
        ),
        (
            {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE},
            [("otlp grpc", f"https://{NOWHERE}", "OTEL_EXPORTER_OTLP_ENDPOINT")],
        ),
        (
            {
                "OTEL_METRICS_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE,
                "OTEL_EXPORTER_OTLP_METRICS_INSECURE": "true",
            },
            [("otlp grpc", f"http://{NOWHERE}", "OTEL_EXPORTER_OTLP_ENDPOINT")],
        ),
    ],
)
def test_what_the_environment_would_have(
    tmp_path: Path, given: dict[str, str], expected: list[tuple[str, str, str]]
) -> None:
    """The rules of the SDK's configurator and of its exporters, for one signal."""
    document = seen(tmp_path, {"OTEL_TRACES_EXPORTER": "console", **given})
    exporters = [each for each in document["exporters"] if each["signal"] == "metrics"]
    assert [told(each, "kind", "endpoint", "source") for each in exporters] == expected
    assert document["problems"] == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "acme"},
            "traces: no exporter 'acme' is installed: the SDK would not be configured",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http"},
            "traces: OTEL_EXPORTER_OTLP_PROTOCOL is 'http'; the SDK takes grpc or http/protobuf and nothing else",
        ),
        (
            {**HTTP, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1"},
            "traces: OTEL_EXPORTER_OTLP_ENDPOINT names no host and port",
        ),
        ({"OTEL_TRACES_EXPORTER": "none"}, "OTEL_TRACES_EXPORTER is none: spans go nowhere"),
    ],
)
def test_what_would_never_work_is_a_problem(tmp_path: Path, given: dict[str, str], problem: str) -> None:
    assert seen(tmp_path, {"OTEL_METRICS_EXPORTER": "none", **given})["problems"] == [problem]


def test_text_says_whether_it_is_so_or_would_be(tmp_path: Path, listening: str) -> None:
    """One line an exporter, with its class or the variable, and whether somebody listens."""
    given = {**HTTP, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{listening}"}
    end = f"otlp http to http://{listening}/v1/traces"
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter"
    out = run("doctor", cwd=tmp_path, given=given, before=ONE_LIBRARY + CONFIGURED).stdout.decode()
    assert f"  traces  {end} ({name}) reachable" in out.splitlines()
    out = run("doctor", cwd=tmp_path, given=given, before=ONE_LIBRARY).stdout.decode()
    assert f"  traces  would be {end} (OTEL_EXPORTER_OTLP_ENDPOINT) reachable" in out.splitlines()


# --- under opentelemetry-instrument -----------------------------------------------------------------------------------

launched = pytest.mark.skipif(
    not is_found_by_launcher(), reason="opentelemetry-instrument or our entry point is not installed"
)


@launched
@pytest.mark.skipif(has_distro(), reason="opentelemetry-distro configures an SDK")
def test_opentelemetry_instrument_without_a_distro_is_a_problem(tmp_path: Path) -> None:
    """It turns instrumentations on, and no SDK; what the environment names is not said, as nothing reads it."""
    code, document = found(tmp_path, GRPC, start=(str(launcher()),), everything=True)
    assert (code, document["exporters"]) == (1, [])
    (problem,) = document["problems"]
    assert problem.startswith("started by opentelemetry-instrument, and no SDK is configured: spans go nowhere; ")
    assert problem.endswith("opentelemetry-distro is not installed")


@launched
@pytest.mark.skipif(not has_distro(), reason="opentelemetry-distro is not installed")
def test_opentelemetry_instrument_with_the_distro_exports_by_default(tmp_path: Path) -> None:
    """With nothing set it is OTLP over gRPC to this machine; metrics are left out here, as they would be sent."""
    given = {"OTEL_METRICS_EXPORTER": "none"}
    done = run("doctor", "--json", cwd=tmp_path, given=given, start=(str(launcher()),))
    (traces,) = json.loads(done.stdout)["exporters"]
    assert told(traces, "signal", "kind", "live") == ("traces", "otlp grpc", True)
    assert traces["endpoint"].endswith("//localhost:4317")
