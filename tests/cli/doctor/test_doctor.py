"""`otel-failover doctor`: says what is patched, what is not and why, and leaves the process as it was."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry._logs import LoggerProvider, NoOpLogger
from opentelemetry.sdk._logs import LoggerProvider as SDKLoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from otel_failover import FailoverInstrumentor
from otel_failover.cli import main
from otel_failover.cli.doctor import exporters, patched, telemetry
from otel_failover.integrations import adapters
from otel_failover.integrations.libraries import libraries
from tests.cli.collector import Collector
from tests.cli.command import ONE_LIBRARY, ROOT, found, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_failover.integrations.patching import Library


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No exporter and no setting in the environment; nothing is left on."""
    for name in ("", "TRACES_", "METRICS_"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT", raising=False)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    yield
    assert not FailoverInstrumentor().is_instrumented_by_opentelemetry


def test_keys_are_stable(tmp_path: Path) -> None:
    """What scripts rely on."""
    code, document = found(tmp_path, everything=True)
    assert code == 0
    assert list(document) == [
        "ok", "version", "python", "versions", "active", "libraries", "provider", "exporters", "settings", "changed",
        "genai_instrumentations", "problems", "notes",
    ]  # fmt: skip
    keys = ["name", "status", "version", "supported", "why", "note", "advice", "imported"]
    assert list(document["libraries"][0]) == keys
    assert list(document["provider"]) == ["kind", "sdk", "processor", "hook"]
    statuses = {library["name"]: library["status"] for library in document["libraries"]}
    assert statuses["openai"] == statuses["anthropic"] == "patched"
    assert set(statuses.values()) <= {"patched", "missing"}
    assert document["problems"] == []


def test_text_says_the_same_to_people(tmp_path: Path) -> None:
    """Aligned, one fact a line, and the result last."""
    done = run("doctor", cwd=tmp_path, given={"OTEL_TRACES_EXPORTER": "console"}, before=ONE_LIBRARY)
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0
    assert lines[-1] == "ok"
    for title in ("versions", "libraries", "tracing", "exporters", "settings", "notes"):
        assert title in lines
    assert any(line.split()[:1] == ["httpx"] and line.endswith("patched") for line in lines)
    assert "  checking processor  not attached" in lines
    assert all(line == line.rstrip() for line in lines)


def test_it_needs_no_extra(tmp_path: Path) -> None:
    """Neither rich, nor SDKs, nor exporters; without a library to patch the result is bad."""
    sdks = ("openai", "anthropic", "google.genai", "httpx", "httpx2", "aiohttp", "requests", "urllib3", "botocore")
    hidden = ("rich", *sdks, "opentelemetry.exporter")
    before = f"import sys; sys.modules.update(dict.fromkeys({hidden!r}))"
    code, document = found(tmp_path, before=before, everything=True)
    assert code == 1
    assert all("cannot be imported" in library["why"] for library in document["libraries"] if library["version"])
    assert any(text.startswith("nothing is patched") for text in document["problems"])


def test_settings_in_force_and_bad_ones(tmp_path: Path) -> None:
    """A bad value and an unknown name are told once each, and are a bad result; they stop nothing."""
    given = {
        "OTEL_FAILOVER_CALL_SPANS": "on",
        "OTEL_FAILOVER_LOG_INTERVAL": "soon",
        "OTEL_FAILOVER_DISABLED_RULE": "stale_error",
    }
    code, document = found(tmp_path, given)
    assert (code, document["ok"]) == (1, False)
    assert document["settings"]["call_spans"] == "on"
    assert document["changed"] == ["call_spans"]
    told = document["problems"] + document["notes"]
    assert len([text for text in told if "OTEL_FAILOVER_LOG_INTERVAL is not usable" in text]) == 1
    unknown = "there is no setting OTEL_FAILOVER_DISABLED_RULE; did you mean OTEL_FAILOVER_DISABLED_RULES?"
    assert told.count(unknown) == 1
    assert len(document["problems"]) == 2


def test_a_library_that_is_not_known_cannot_be_switched_off(tmp_path: Path) -> None:
    code, document = found(tmp_path, {"OTEL_FAILOVER_DISABLED_LIBRARIES": "openia"})
    (problem,) = document["problems"]
    assert code == 1
    assert problem.startswith("disabled_libraries names openia; did you mean openai?; known are ")
    assert not any("disabled_libraries" in note for note in document["notes"])


def test_what_is_switched_off_is_no_problem(tmp_path: Path) -> None:
    """It was the user's will."""
    code, document = found(tmp_path, {"OTEL_FAILOVER_DISABLED_LIBRARIES": "openai"})
    (openai,) = [library for library in document["libraries"] if library["name"] == "openai"]
    assert (code, openai["status"]) == (0, "disabled")


def test_configured_loops_are_named_with_their_state_and_reason(tmp_path: Path) -> None:
    """What is configured is imported and looked at as a library is; what cannot be found is a problem."""
    (tmp_path / "acme_here.py").write_text("def route(): ...\n")
    (tmp_path / "acme_broken.py").write_text("raise SystemExit('not configured')\n")
    runs = ("acme_here:route", "acme_here:rout", "acme_nowhere:route", "acme_broken:route", "acme_here")
    given = {"OTEL_FAILOVER_LOOPS": json.dumps([{"run": run} for run in runs])}
    code, document = found(tmp_path, given, before=f"import sys; sys.path.insert(0, {str(tmp_path)!r})")
    assert code == 1
    loops = {each["name"]: (each["status"], each["why"]) for each in document["libraries"] if "acme" in each["name"]}
    assert loops["acme_here:route"] == ("patched", None)
    assert loops["acme_here:rout"] == ("skipped", "acme_here has no 'rout'; did you mean route?")
    assert loops["acme_nowhere:route"][0] == "waiting"
    assert "no module 'acme_nowhere' is found on sys.path" in loops["acme_nowhere:route"][1]
    assert loops["acme_broken:route"] == ("waiting", "cannot be imported: SystemExit: not configured")
    assert loops["acme_here"][0] == "skipped"
    assert len(document["problems"]) == 4
    assert not any("acme" in note for note in document["notes"])


ROUTER = """
class Router:
    def route(self, models): ...
    def _ask(self, vendor, *, model): ...
"""


def test_a_path_that_starts_at_no_parameter_is_told(tmp_path: Path) -> None:
    """In the words of its first call, and as a problem: the loop is patched, and would know nobody's name."""
    (tmp_path / "acme_router.py").write_text(ROUTER)
    loop = {"run": "acme_router:Router.route", "attempt": "acme_router:Router._ask", "chain": "modles"}
    wrong = loop | {"provider": "slf.vendor", "model": "model", "error": "result.error", "profile": "'blue'"}
    code, document = found(tmp_path, {"OTEL_FAILOVER_LOOPS": json.dumps([wrong])})
    (state,) = [each for each in document["libraries"] if each["name"] == loop["run"]]
    why = (
        "provider: 'slf.vendor' leads nowhere: Router._ask has no 'slf'; did you mean self?; "
        "chain: 'modles' leads nowhere: Router.route has no 'modles'; did you mean models?"
    )
    assert (code, state["status"], state["why"]) == (1, "patched", why)
    assert document["problems"] == [f"acme_router:Router.route: {why}"]


@pytest.mark.parametrize("path", ["self.vendor", "vendor", "model[0]", "result.who", "'openai'"])
def test_a_path_that_may_be_right_is_not_told(tmp_path: Path, path: str) -> None:
    """What stands in the host's objects shows only when it is called."""
    (tmp_path / "acme_router.py").write_text(ROUTER)
    loop = {"run": "acme_router:Router.route", "attempt": "acme_router:Router._ask", "provider": path}
    code, document = found(tmp_path, {"OTEL_FAILOVER_LOOPS": json.dumps([loop])})
    assert (code, document["problems"]) == (0, [])


def test_a_loop_in_the_current_directory_is_found_as_the_hint_says(tmp_path: Path) -> None:
    """A console script does not look in the current directory; with PYTHONPATH=. it does."""
    (tmp_path / "acme_here.py").write_text("def route(): ...\n")
    given = {"OTEL_FAILOVER_LOOPS": '[{"run": "acme_here:route"}]'}
    as_script = "import sys; sys.path.remove('')"
    code, document = found(tmp_path, given, before=as_script)
    assert code == 1
    assert "The current directory is not on it: PYTHONPATH=. otel-failover doctor" in document["problems"][0]
    code, document = found(tmp_path, given | {"PYTHONPATH": os.pathsep.join([str(ROOT), "."])}, before=as_script)
    assert (code, document["problems"]) == (0, [])


def test_a_key_in_a_literal_of_a_configured_loop_is_not_shown(tmp_path: Path) -> None:
    loop = {"run": "acme:route", "attempt": "acme:ask", "profile": "'sk-proj-Zq8vL2mN4xWc7RtYbH3k'"}
    _, document = found(tmp_path, {"OTEL_FAILOVER_LOOPS": json.dumps([loop])})
    assert document["settings"]["loops"][0]["run"] == "acme:route"
    assert "Zq8vL2mN4xWc7RtYbH3k" not in json.dumps(document)


def test_text_of_a_configured_loop(tmp_path: Path) -> None:
    (tmp_path / "acme_here.py").write_text("def route(): ...\n")
    given = {"OTEL_FAILOVER_LOOPS": '[{"run": "acme_here:route"}]'}
    before = f"{ONE_LIBRARY}; import sys; sys.path.insert(0, {str(tmp_path)!r})"
    done = run("doctor", cwd=tmp_path, given=given, before=before)
    lines = [" ".join(line.split()) for line in done.stdout.decode().splitlines()]
    assert "acme_here:route patched" in lines
    assert "loops acme_here:route (set)" in lines


def of_a_version(monkeypatch: pytest.MonkeyPatch, supported: str) -> None:
    library = next(each for each in libraries() if each.name == "openai")
    odd: tuple[Library, ...] = (library._replace(supported=supported),)
    for module in (adapters, patched):
        monkeypatch.setattr(module, "libraries", lambda: odd)


def test_an_unsupported_library_that_is_imported_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is used, and nobody asked for it to be left out: what to do, and what is still seen."""
    importlib.import_module("openai")
    of_a_version(monkeypatch, "<0.1")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "is not patched: version" in out
    assert "is outside <0.1; install 'openai<0.1', or a newer otel-failover; its calls are still seen by wire" in out
    assert out.endswith("not ok\n")


TOO_OLD = """
import importlib.metadata
real = importlib.metadata.version
importlib.metadata.version = lambda name: "0.1" if name == "openai" else real(name)
"""


def test_an_unsupported_library_that_is_only_installed_is_none(tmp_path: Path) -> None:
    """It is not imported to be looked at, either."""
    code, document = found(tmp_path, before=f"{TOO_OLD}\nimport sys; sys.modules['openai'] = None")
    (state,) = [each for each in document["libraries"] if each["name"] == "openai"]
    assert (code, state["status"], state["imported"], document["problems"]) == (0, "skipped", False, [])
    (note,) = [note for note in document["notes"] if note.startswith("openai")]
    assert "openai 0.1 is not patched: version 0.1 is outside >=1.66; install 'openai>=1.66'" in note
    assert note.endswith("Nothing is missed where the service does not import it")


@pytest.mark.parametrize("imported", [True, False])
@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("skipped", "version 0.1 is outside >=1"),
        ("skipped", "acme:Router.route is not there in version 9"),
        ("patched", "arun: acme:Router.arun is a plain function, where a coroutine function was in version 9"),
    ],
)
def test_what_is_not_patched_is_a_problem_where_it_is_imported_and_a_note_where_not(
    status: str, why: str, imported: bool
) -> None:
    lacking = patched.Patched("acme", status, "9", ">=1", why, advice="install 'acme<=8'", imported=imported)
    well = patched.Patched("openai", "patched", "3.57.0", ">=1.66", None, imported=True)
    told = {True: list(patched.problems((lacking, well), is_service=True)), False: list(patched.notes((lacking, well)))}
    assert told[not imported] == []
    (line,) = told[imported]
    assert line.startswith(
        f"acme 9 is {'not patched: ' if status == 'skipped' else 'patched in part, without '}{why}; install"
    )
    assert line.endswith("Nothing is missed where the service does not import it") is not imported


@pytest.mark.parametrize(
    ("given", "is_bad"),
    [
        ({"OTEL_TRACES_SAMPLER": "always_off"}, True),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, True),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}, False),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, False),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_on"}, False),
        ({}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_live", [False, True], ids=["as the environment says", "at work"])
def test_a_sampler_that_drops_all_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], is_bad: bool, is_live: bool
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    if is_live:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
        monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: provider)
    document = telemetry.look()
    assert any("every span is dropped" in problem for problem in document.problems) is is_bad
    told = any("only what a caller has sampled" in note for note in document.notes)
    assert told is (given.get("OTEL_TRACES_SAMPLER") == "parentbased_always_off")


def test_without_an_sdk_and_anything_that_would_configure_one_the_result_is_bad(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Telemetry goes nowhere. A distribution, or an exporter that the environment names, would have it go somewhere."""
    monkeypatch.delenv("OTEL_TRACES_EXPORTER")
    monkeypatch.setattr(exporters, "has_configurator", lambda: False)
    monkeypatch.setattr(exporters, "has_distro", lambda: False)
    (problem,) = telemetry.look().problems
    assert problem.startswith("no OpenTelemetry SDK is configured in this process")
    monkeypatch.setattr(exporters, "has_configurator", lambda: True)
    assert telemetry.look().problems == ()
    (problem,) = telemetry.look(is_service=True).problems
    assert problem.startswith("no OpenTelemetry SDK is configured in this process")


def test_a_host_that_is_nobodys_is_told_with_the_line_to_write(tmp_path: Path) -> None:
    given = {"OPENAI_BASE_URL": "https://llm.acme.example/v1", "ANTHROPIC_BASE_URL": "https://api.anthropic.com"}
    _, document = found(tmp_path, given)
    (note,) = [note for note in document["notes"] if "nobody's" in note]
    assert """OTEL_FAILOVER_PROVIDER_ALIASES='{"llm.acme.example": "openai"}'""" in note
    assert "OTEL_FAILOVER_GATEWAYS=llm.acme.example" in note
    _, document = found(tmp_path, given | {"OTEL_FAILOVER_GATEWAYS": "llm.acme.example"})
    assert not [note for note in document["notes"] if "nobody's" in note]
    _, document = found(tmp_path, {"OLLAMA_HOST": "127.0.0.1:11434"})
    (note,) = [note for note in document["notes"] if "nobody's" in note]
    assert """OTEL_FAILOVER_PROVIDER_ALIASES='{"127.0.0.1:11434": "ollama"}'""" in note, "of this machine with the port"


def test_a_framework_whose_loop_is_not_known_is_told(tmp_path: Path) -> None:
    """With the line that makes its passes runs; once that is written, no more."""
    metadata = tmp_path / "browser_use-0.13.14.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: browser-use\nVersion: 0.13.14\n")
    given = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    _, document = found(tmp_path, given)
    (note,) = [note for note in document["notes"] if "browser-use" in note]
    loops = note.partition("OTEL_FAILOVER_LOOPS='")[2].rstrip("'")
    assert json.loads(loops) == [{"run": "browser_use.agent.service:Agent.get_model_output"}]
    _, document = found(tmp_path, given | {"OTEL_FAILOVER_LOOPS": loops})
    assert not [note for note in document["notes"] if note.startswith("browser-use")]


def test_exporters_are_tried(tmp_path: Path) -> None:
    """Reachable or not, and never with a password."""
    given = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    with Collector() as collector:
        given["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url.replace("//", "//user:secret@")
        given["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] = "http://127.0.0.1:9/v1/metrics"
        code, document = found(tmp_path, given)
    traces, metrics = document["exporters"]
    assert (traces["reachable"], traces["endpoint"]) == (True, f"{collector.url}/v1/traces")
    assert (metrics["reachable"], metrics["source"]) == (False, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    assert collector.got == {}
    assert "secret" not in json.dumps(document)
    assert code == 0


def test_switches_of_opentelemetry_are_told(tmp_path: Path) -> None:
    """A whole SDK that is off, and an instrumentation that is left out."""
    code, document = found(
        tmp_path, {"OTEL_SDK_DISABLED": "true", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask, otel_failover"}
    )
    assert code == 1
    assert document["problems"] == ["OTEL_SDK_DISABLED is true: there are no spans and no metrics at all"]
    assert "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names otel_failover" in " ".join(document["notes"])


def test_an_instrumentation_that_is_on_stays_on(capsys: pytest.CaptureFixture[str]) -> None:
    """To look is not to touch."""
    FailoverInstrumentor().instrument()
    try:
        assert main(["doctor", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["active"] is True
        assert FailoverInstrumentor().is_instrumented_by_opentelemetry
        assert adapters.states()
    finally:
        FailoverInstrumentor().uninstrument()


class Plain(LoggerProvider):
    """A logger provider of somebody's own, to which no processor can be added."""

    def get_logger(self, *args: Any, **kwargs: Any) -> NoOpLogger:
        return NoOpLogger("plain")


@pytest.mark.parametrize(("provider", "told"), [(Plain, True), (SDKLoggerProvider, False), (None, False)])
def test_a_logger_provider_without_processors_is_told(
    provider: type[LoggerProvider] | None,
    told: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if provider is not None:
        monkeypatch.setattr("opentelemetry._logs.get_logger_provider", provider)
    main(["doctor", "--json"])
    notes = " ".join(json.loads(capsys.readouterr().out)["notes"])
    assert ("exceptions in the logs signal are not checked" in notes) is told


def launcher() -> str | None:
    beside = Path(sys.executable).with_name("opentelemetry-instrument")
    return str(beside) if beside.exists() else shutil.which("opentelemetry-instrument")


def is_found_by_launcher() -> bool:
    """Whether opentelemetry-instrument is there, and this package is installed so that it finds it."""
    ours = importlib.metadata.entry_points(group="opentelemetry_instrumentor", name="otel_failover")
    return launcher() is not None and bool(tuple(ours))


@pytest.mark.skipif(not is_found_by_launcher(), reason="opentelemetry-instrument or our entry point is not installed")
def test_under_opentelemetry_instrument_it_sees_the_real_thing(tmp_path: Path) -> None:
    """The instrumentation is on already, and the processor attached to the provider that counts; it exports nothing."""
    given = {
        "OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider",
        # With the distribution installed, telemetry would be sent to a collector that is not there.
        **{f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")},
    }
    code, document = found(tmp_path, given, start=(str(launcher()),), everything=True)
    assert code == 1
    assert document["exporters"] == []
    assert document["problems"] == [
        "no exporter is attached to the tracer provider: spans go nowhere (OTEL_TRACES_EXPORTER is none)"
    ]
    assert document["active"] is True
    assert document["provider"]["sdk"] is True
    assert document["provider"]["processor"] is True
