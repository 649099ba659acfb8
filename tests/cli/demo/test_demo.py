"""`otel-failover demo`: the same verdicts everywhere, a file that others read, and an exit code that tells."""

from __future__ import annotations

import ast
import base64
import contextlib
import inspect
import json
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_failover import Loop, cli
from otel_failover.cli import otlp_endpoints as endpoints
from otel_failover.cli.demo import command as demo
from otel_failover.cli.demo import router as borrowed
from otel_failover.cli.demo import scenarios
from otel_failover.cli.demo.scenarios import (
    INCIDENT,
    INCIDENT_CONFIGURED,
    INCIDENT_PYDANTIC_AI,
    NOBODY_PYDANTIC_AI,
    SCENARIOS,
    Deviation,
)
from otel_failover.cli.demo.stage import SERVICE, Stage
from otel_failover.cli.demo.tables import is_true
from tests.cli.collector import Collector
from tests.cli.command import run

if TYPE_CHECKING:
    from pathlib import Path

PLAYABLE = [scenario for scenario in SCENARIOS if scenarios.lacking(scenario) is None]
THEFTS = sum(expected.verdict == "mismatch" for scenario in PLAYABLE for expected in scenario.expected)
CANDIDATES = sum(len(scenario.members) for scenario in PLAYABLE)
needs_pydantic_ai = pytest.mark.skipif(len(PLAYABLE) < len(SCENARIOS), reason="pydantic-ai or google-genai is missing")

NOBODY = "http://127.0.0.1:9"
HOSTILE = {
    "OPENAI_API_KEY": "sk-proj-hostile000000000000000000000000Qw7zR2pX",
    "OPENAI_BASE_URL": NOBODY,
    "OPENAI_ORG_ID": "org-hostile",
    "OPENAI_LOG": "debug",
    "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer hostile",
    "ANTHROPIC_API_KEY": "sk-ant-hostile000000000000000000000000Kt5vB9mN",
    "ANTHROPIC_AUTH_TOKEN": "hostile",
    "ANTHROPIC_BASE_URL": NOBODY,
    "ANTHROPIC_CUSTOM_HEADERS": "x-api-key: hostile",
    "ANTHROPIC_OPEN_TELEMETRY": "false",
    "ANTHROPIC_LOG": "debug",
    "GOOGLE_API_KEY": "AIzaHostile000000000000000000000000Lp3wY8s",
    "GEMINI_API_KEY": "AIzaHostile000000000000000000000000Vd6jR1q",
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
    "GOOGLE_CLOUD_PROJECT": "hostile",
    "GOOGLE_GEMINI_BASE_URL": NOBODY,
    "HTTP_PROXY": NOBODY,
    "HTTPS_PROXY": NOBODY,
    "ALL_PROXY": NOBODY,
    "http_proxy": NOBODY,
    "all_proxy": NOBODY,
    "OTEL_SDK_DISABLED": "true",
    "OTEL_TRACES_SAMPLER": "always_off",
    "OTEL_ATTRIBUTE_COUNT_LIMIT": "2",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "2",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "3",
    "OTEL_SERVICE_NAME": "hostile",
    "OTEL_RESOURCE_ATTRIBUTES": "service.name=hostile",
    "OTEL_FAILOVER_DISABLED_RULES": "stale_error",
    "OTEL_FAILOVER_DISABLED_LIBRARIES": "openai,httpx,httpx2",
    "OTEL_FAILOVER_ERROR_TEXT": "none",
    "OTEL_FAILOVER_CALL_SPANS": "off",
}


def spans_of(path: Path) -> list[dict[str, Any]]:
    return [
        span
        for line in path.read_text(encoding="utf-8").splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def facts(span: dict[str, Any]) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in span["attributes"]}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes, int]:
    """The demo, run once where every variable is set against it."""
    place = tmp_path_factory.mktemp("hostile")
    done = run("demo", cwd=place, given=HOSTILE)
    return place / demo.FILE, done.stdout, done.stderr, done.returncode


def test_a_hostile_environment_changes_nothing(hostile: tuple[Path, bytes, bytes, int]) -> None:
    """Keys, base URLs, proxies, samplers, limits and settings of a shell have no say."""
    _, out, err, code = hostile
    text = out.decode()
    assert (code, err) == (0, b""), text
    assert f"All {CANDIDATES} verdicts are as expected" in text
    assert len(re.findall("carries openai's error", text)) == 2
    assert len(re.findall("carries the team-a key's error", text)) == 1
    assert f"Traces: {demo.FILE}" in text
    assert "Sent" not in text


def test_no_key_is_shown_or_written(hostile: tuple[Path, bytes, bytes, int]) -> None:
    """Neither the clients' keys nor those of the environment, in no byte."""
    path, out, err, _ = hostile
    everything = out + err + path.read_bytes()
    for key in [*scenarios.KEYS.values(), *(value for name, value in HOSTILE.items() if name.endswith("_API_KEY"))]:
        assert key.encode() not in everything
        assert key[-8:].encode() not in everything


def test_the_output_is_plain_where_it_is_piped(hostile: tuple[Path, bytes, bytes, int]) -> None:
    """No colours, and no line beyond 80 columns."""
    text = hostile[1].decode()
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_file_is_otlp_json_lines(hostile: tuple[Path, bytes, bytes, int]) -> None:
    """One ExportTraceServiceRequest a line, one line a scenario; protobuf's own reader takes it."""
    lines = hostile[0].read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(PLAYABLE)
    for line in lines:
        request = ParseDict(with_base64_ids(json.loads(line)), ExportTraceServiceRequest())
        (resource,) = request.resource_spans
        attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
        assert attributes["service.name"] == SERVICE
        assert attributes["service.instance.id"]
        assert len({span.trace_id for scope in resource.scope_spans for span in scope.spans}) == 1


def with_base64_ids(node: Any) -> Any:
    """Return OTLP's JSON as protobuf's: ids are base64 there."""
    if isinstance(node, list):
        return [with_base64_ids(each) for each in node]
    if not isinstance(node, dict):
        return node
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        name: base64.b64encode(bytes.fromhex(value)).decode() if name in ids else with_base64_ids(value)
        for name, value in node.items()
    }


def test_every_span_in_the_file_is_encoded_as_otlp_says(hostile: tuple[Path, bytes, bytes, int]) -> None:
    """Ids in hex, times as strings, enums as numbers."""
    spans = spans_of(hostile[0])
    assert len(spans) == len(PLAYABLE) + 2 * CANDIDATES + THEFTS
    for span in spans:
        assert re.fullmatch("[0-9a-f]{32}", span["traceId"])
        assert re.fullmatch("[0-9a-f]{16}", span["spanId"])
        assert re.fullmatch("[0-9a-f]{16}", span["parentSpanId"]) if "parentSpanId" in span else True
        assert isinstance(span["startTimeUnixNano"], str)
        assert int(span["endTimeUnixNano"]) >= int(span["startTimeUnixNano"])
        assert isinstance(span["kind"], int)
    assert sum("parentSpanId" not in span for span in spans) == len(PLAYABLE)


def test_the_file_holds_the_mismatches(hostile: tuple[Path, bytes, bytes, int]) -> None:
    """A marker below each candidate that was blamed, with a real boolean, and the one whose error it is."""
    spans = spans_of(hostile[0])
    markers = [span for span in spans if span["name"] == "failover.attribution.mismatch"]
    assert len(markers) == THEFTS == 3
    for marker in markers:
        (offender,) = [span for span in spans if span["spanId"] == marker["parentSpanId"]]
        (source,) = [
            span
            for span in spans
            if span["spanId"] == facts(marker)["failover.attribution.source.span_id"]["stringValue"]
        ]
        assert marker["status"]["code"] == 2
        assert (
            facts(marker)["failover.attribution.mismatch"]
            == facts(offender)["failover.attribution.mismatch"]
            == {"boolValue": True}
        )
        assert facts(source)["candidate.index"] == {"intValue": "0"}
        assert "http.response.status_code" not in facts(offender)


# --- other terminals --------------------------------------------------------------------------------------------------

FEWER = "import sys; sys.modules.update(dict.fromkeys(('google.genai', 'pydantic_ai')))"
"""Runs before a demo that is to be over sooner, without the acts that need these."""


@pytest.mark.parametrize(
    "given",
    [
        {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "40"},
        {"FORCE_COLOR": "1", "COLUMNS": "140"},
    ],
)
def test_other_terminals_are_served_too(given: dict[str, str], tmp_path: Path) -> None:
    """ASCII only, dumb and narrow, coloured and wide."""
    done = run("demo", cwd=tmp_path, given=given, before="" if "PYTHONUTF8" in given else FEWER)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii() is ("PYTHONIOENCODING" in given)
    assert (b"\x1b" in done.stdout) is ("FORCE_COLOR" in given)
    lines = re.sub("\x1b\\[[0-9;]*m", "", done.stdout.decode()).splitlines()
    assert max(map(len, lines)) <= int(given.get("COLUMNS", 80))


def test_the_picture_needs_nothing_from_outside(quick: Path) -> None:
    """The SVG loads no fonts, and shows the mismatch."""
    assert cli.main(["demo", "--svg", "demo.svg"]) == 0
    picture = (quick / "demo.svg").read_text(encoding="utf-8")
    assert "stale_error" in picture
    assert "font-face" not in picture
    assert "src:" not in picture


# --- what each act takes ----------------------------------------------------------------------------------------------


def test_the_configured_act_shows_the_line_that_it_took(
    quick: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is written in a program: Python reads it back as the same loop."""
    monkeypatch.setattr(demo, "SCENARIOS", (INCIDENT_CONFIGURED,))
    assert cli.main(["demo"]) == 0
    (line,) = re.findall(r"^loops=(\[Loop\(.*?\)\])", capsys.readouterr().out, re.MULTILINE | re.DOTALL)
    assert eval(line, {"Loop": Loop}) == [INCIDENT_CONFIGURED.loop]
    assert (quick / demo.FILE).exists()


@needs_pydantic_ai
@pytest.mark.usefixtures("quick")
def test_the_exception_is_shown_beside_what_each_candidate_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log's one line, and the trace that says who and why."""
    monkeypatch.setattr(demo, "SCENARIOS", (NOBODY_PYDANTIC_AI,))
    assert cli.main(["demo"]) == 0
    out = unwrapped(capsys)
    assert "The exception says: “All models from FallbackModel failed (2 sub-exceptions)”" in out
    assert "2 of 2 failed: openai model_not_found, anthropic rate_limit" in out


@pytest.mark.parametrize(("package", "left_out"), [("pydantic_ai", 2), ("google.genai", 1)])
def test_an_act_whose_library_is_missing_is_left_out(package: str, left_out: int, tmp_path: Path) -> None:
    """With the command to type; the others are played, and all is well."""
    done = run("demo", cwd=tmp_path, before=f"import sys; sys.modules[{package!r}] = None")
    out = " ".join(done.stdout.decode().split())
    assert (done.returncode, done.stderr) == (0, b"")
    assert out.count("Left out: ") >= left_out
    assert out.count(": pip install 'otel-failover[demo]'") == out.count("Left out: ")
    assert "5. The incident in a router" in out


# --- sending ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The demo in this process, with the incident only, in a directory of its own."""
    monkeypatch.setattr(demo, "SCENARIOS", (INCIDENT,))
    monkeypatch.chdir(tmp_path)
    for name in (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        *(f"OTEL_EXPORTER_OTLP_{s.upper()}_ENDPOINT" for s in endpoints.SIGNALS),
    ):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
def test_traces_and_metrics_are_sent_where_the_option_says(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A base URL, with or without a slash; one that names a signal is understood."""
    with Collector() as collector:
        assert cli.main(["demo", "--otlp", collector.url + path]) == 0
    assert sorted(collector.got) == ["/v1/metrics", "/v1/traces"]
    traces = ExportTraceServiceRequest.FromString(collector.got["/v1/traces"][0])
    spans = [span for resource in traces.resource_spans for scope in resource.scope_spans for span in scope.spans]
    assert [span.name for span in spans].count("failover.attribution.mismatch") == 1
    metrics = ExportMetricsServiceRequest.FromString(collector.got["/v1/metrics"][0])
    counted = {
        m.name for resource in metrics.resource_metrics for scope in resource.scope_metrics for m in scope.metrics
    }
    assert {"failover.attribution.mismatches", "failover.attribution.checks", "failover.runs"} <= counted
    assert f"Sent traces to {collector.url}/v1/traces" in unwrapped(capsys)


@pytest.mark.usefixtures("quick")
def test_the_environments_endpoint_and_headers_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signal's own variable is a whole URL; a proxy does not stand before a collector on this machine."""
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/somewhere")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=me")
        monkeypatch.setenv("HTTP_PROXY", NOBODY)
        assert cli.main(["demo"]) == 0
    assert list(collector.got) == ["/somewhere"]
    assert collector.headers[0]["x-tenant"] == "me"
    assert "Sent metrics" not in unwrapped(capsys)


def test_an_unreachable_collector_is_told_and_hides_nothing(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The result and the file are there; the exit code says that sending failed."""
    assert cli.main(["demo", "--otlp", NOBODY]) == 1
    out = unwrapped(capsys)
    assert "verdicts are as expected" in out
    assert f"traces not sent to {NOBODY}/v1/traces (--otlp): nothing listens at 127.0.0.1:9" in out
    assert (quick / demo.FILE).exists()


@pytest.mark.usefixtures("quick")
def test_a_collector_that_refuses_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """With what the exporter has to say about it."""
    with Collector(400) as collector:
        assert cli.main(["demo", "--otlp", collector.url]) == 1
    out = unwrapped(capsys)
    assert "traces not sent" in out
    assert "400" in out


@pytest.mark.usefixtures("quick")
def test_a_store_that_takes_traces_only_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    """Jaeger answers 404 to metrics: told, and no failure, unless metrics were asked for by themselves."""
    with Collector(unknown=("/v1/metrics",)) as store:
        assert cli.main(["demo", "--otlp", store.url]) == 0
    out = unwrapped(capsys)
    assert f"Sent traces to {store.url}/v1/traces" in out
    assert f"No metrics sent: {store.url}/v1/metrics takes none (404)" in out


@pytest.mark.usefixtures("quick")
def test_metrics_asked_for_by_themselves_have_to_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole URL that answers 404 is a wrong URL."""
    with Collector(unknown=("/v1/metrics",)) as store:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{store.url}/v1/metrics")
        assert cli.main(["demo"]) == 1


@pytest.mark.usefixtures("quick")
def test_a_file_that_cannot_be_written_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """By name and reason."""
    assert cli.main(["demo", "--out", "no/such/place"]) == 1
    assert "no/such/place could not be written: No such file or directory" in unwrapped(capsys)


def unwrapped(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


# --- exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_a_wrong_verdict_is_named_with_its_span(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which span, what was expected, what was found."""
    honest = replace(INCIDENT, expected=(*INCIDENT.expected[:1], replace(INCIDENT.expected[1], verdict="verified"),
                                         *INCIDENT.expected[2:]))  # fmt: skip
    monkeypatch.setattr(demo, "SCENARIOS", (honest,))
    assert cli.main(["demo"]) == 1
    out = unwrapped(capsys)
    assert (
        "incident: candidate anthropic (candidate 1 (anthropic)): failover.attribution.verdict: "
        "expected verified, got mismatch"
    ) in out
    assert "as expected" not in out


@pytest.mark.usefixtures("quick")
def test_a_failure_of_our_own_is_a_failure_of_the_demo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An instrumentation that broke on the way may not look green."""
    failures = {"site": 1}
    monkeypatch.setattr(demo, "failures", failures)
    real = Stage.metrics

    def breaking(stage: Stage) -> Any:
        failures["site"] += 1
        return real(stage)

    monkeypatch.setattr(Stage, "metrics", breaking)
    assert cli.main(["demo"]) == 1
    assert "otel-failover itself failed 1 times" in unwrapped(capsys)


@pytest.mark.parametrize("package", ["rich", "openai", "anthropic", "opentelemetry.exporter.otlp.proto.http"])
def test_a_missing_extra_is_answered_with_the_command_to_type(package: str, tmp_path: Path) -> None:
    """One line, exit code 2, and nothing of a traceback."""
    done = run("demo", cwd=tmp_path, before=f"import sys; sys.modules[{package!r}] = None")
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.decode().splitlines() == ["otel-failover demo needs: pip install 'otel-failover[demo]'"]


def test_an_extra_that_does_not_import_says_why(tmp_path: Path) -> None:
    """A package that is there but broken is another trouble than one that is missing."""
    (tmp_path / "rich.py").write_text("raise ImportError('rich is broken')")
    done = run("demo", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[1:] == ["rich: rich is broken"]


# --- scenarios --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", PLAYABLE, ids=lambda scenario: scenario.name)
def test_each_scenario_tells_what_it_says(scenario: scenarios.Scenario) -> None:
    """Spans as expected; a mismatch exactly where the provider's own log contradicts the loop."""
    with Stage() as stage:
        act = stage.play(scenario)
    assert [str(deviation) for deviation in act.deviations] == []
    played = act.played
    lies = {report.index for report in played.reports if not is_true(report, played.served[report.index])}
    assert lies == {at for at, expected in enumerate(scenario.expected) if expected.verdict == "mismatch"}
    assert played.reply == (None if scenario.outcome == "exhausted" else "Hello from the third.")


@needs_pydantic_ai
def test_what_a_fallback_model_says_of_its_candidates() -> None:
    """Nothing where somebody serves; where nobody does, each stands in a group whose own text names none."""
    with Stage() as stage:
        served, failed = (stage.play(each).played for each in (INCIDENT_PYDANTIC_AI, NOBODY_PYDANTIC_AI))
    assert [report.index for report in served.reports] == [2]
    assert served.raised is None
    assert [report.status for report in failed.reports] == [404, 429]
    assert failed.raised == "All models from FallbackModel failed (2 sub-exceptions)"


def test_the_router_that_is_only_configured_knows_nothing_of_us() -> None:
    """It imports what any package may."""
    tree = ast.parse(inspect.getsource(borrowed))
    imported = {each.module for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    assert imported == {"__future__", "dataclasses", "typing", "collections.abc"}
    assert not [each for each in ast.walk(tree) if isinstance(each, ast.Import)]


def test_of_a_router_that_nobody_named_the_run_is_only_inferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of configuration is all that it takes to declare it, and it does take it."""
    monkeypatch.setattr(scenarios, "LOOPS", ())
    with Stage() as stage:
        act = stage.play(INCIDENT_CONFIGURED)
    assert act.deviations[0] == Deviation("failover chat", "failover.library", "configured", "inferred")
    assert act.played.reply == "Hello from the third."


def test_a_span_that_is_not_there_is_a_deviation() -> None:
    """Nothing exported is not nothing wrong."""
    with Stage() as stage:
        played = stage.play(INCIDENT).played
    missing = scenarios.deviations(played, [])
    assert missing[0] == Deviation("the run", "spans", 1, 0)
    assert len(missing) == 4
    assert str(missing[1]) == "candidate 0 (openai): spans: expected 1, got 0"


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens inside; what is named stays."""
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    before = dict(os.environ)
    with contextlib.suppress(ZeroDivisionError), scenarios.own_environment("OTEL_SERVICE_NAME"):
        assert "OPENAI_API_KEY" not in os.environ
        assert os.environ["OTEL_SERVICE_NAME"] == "mine"
        _ = 1 / 0
    assert dict(os.environ) == before
