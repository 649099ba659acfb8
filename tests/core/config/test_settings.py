"""Settings come in three ways, and a bad one never stops a service."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from otel_failover import FailoverInstrumentor, Loop, instrumentor
from otel_failover._core import failsafe
from otel_failover._core.config import runtime
from otel_failover._core.config.settings import PREFIX, Settings, load
from otel_failover.integrations.patching import PATCHED
from tests.support.process import in_a_process

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, tuple[Any, str]] = {
    "loops": ([Loop(run="acme.router:Router.route", provider="'openai'")], ""),
    "on_mismatch": ("correct", "correct"),
    "call_spans": ("off", "off"),
    "disabled_libraries": (["httpx", "openai"], "httpx, openai"),
    "disabled_rules": (["stale_error"], '["stale_error"]'),
    "enabled_rules": (["text_error"], "text_error"),
    "ignore": (["my.scope"], "my.scope"),
    "infer_runs": ("off", "off"),
    "infer_within": (2.5, "2.5"),
    "provider_aliases": ({"my-proxy": "openai"}, '{"my-proxy": "openai"}'),
    "gateways": (["gateway.example"], "gateway.example"),
    "error_text": ("none", "none"),
    "redact": (["tenant-[0-9]+"], "tenant-[0-9]+"),
    "stale_after": (1.5, "1.5"),
    "max_requests": (3, "3"),
    "starved_below": (0.0, "0"),
    "log_interval": (5.0, "5"),
    "strict": (True, "true"),
}
BAD: dict[str, list[tuple[Any, str]]] = {
    "loops": [(5, "a list of Loop"), ("acme.router:Router.route", "a list of Loop"), ([5], "a Loop or a map of run")],
    "on_mismatch": [("fix", "annotate"), (True, "annotate")],
    "call_spans": [("sometimes", "auto"), (7, "auto")],
    "disabled_libraries": [(5, "list"), ([1], "list"), ({"a": 1}, "list")],
    "enabled_rules": [(["text_eror"], "did you mean text_error?"), (["nothing"], "off by default: text_error")],
    "disabled_rules": [(["stale_eror"], "stale_error"), ("nothing", "rules")],
    "ignore": [(1.5, "list")],
    "infer_runs": [("sometimes", "one of on, off"), (7, "on, off")],
    "infer_within": [("long", "seconds"), (-1, "seconds")],
    "provider_aliases": [("openai", "map"), ({"a": 1}, "map"), ([], "map")],
    "gateways": [(object(), "an object is given, allowed is a list"), (["https://"], "hosts")],
    "error_text": [("all", "redacted")],
    "redact": [("(", "regular expressions"), (["a", "*"], "regular expressions"), (3, "list")],
    "stale_after": [(True, "True is given, allowed is seconds"), (False, "seconds")],
    "max_requests": [
        (-2, "-2 is given, allowed is a whole number, 0 or more; kept 0"),
        (1.5, "a whole number"),
        (True, "a whole number"),
        ("many", "a whole number"),
    ],
    "starved_below": [(True, "seconds")],
    "log_interval": [("soon", "seconds"), (-1, "seconds"), ("nan", "seconds"), ("inf", "seconds"), ([], "seconds")],
    "strict": [("maybe", "true or false"), (2, "true or false")],
}


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_the_tables_of_this_test_cover_every_setting() -> None:
    """A new setting is a new row."""
    names = {field.name for field in dataclasses.fields(Settings)}
    assert set(GOOD) == names
    assert set(BAD) == names


@pytest.mark.parametrize("name", GOOD)
def test_the_same_value_comes_in_both_ways(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    value, text = GOOD[name]
    file = tmp_path / "value"
    if name == "loops":
        text = json.dumps([dataclasses.asdict(loop) for loop in value])
    file.write_text(json.dumps(value) if isinstance(value, (list, dict)) and name != "loops" else text)
    variable = PREFIX + name.upper()
    for settings in (load({name: value}, {}), load({}, {variable: text}), load({}, {variable: f"@{file}"})):
        assert getattr(settings, name) == value
        assert settings == dataclasses.replace(Settings(), **{name: value})
    assert not _warnings(caplog)


@pytest.mark.parametrize(("given", "word"), [(True, "on"), (False, "off")])
def test_a_switch_is_understood_as_yaml_reads_it(given: bool, word: str) -> None:
    """`infer_runs: off` is a truth value there."""
    assert load({"infer_runs": given}, {}).infer_runs == word


def test_an_argument_wins_over_the_environment() -> None:
    environment = {"OTEL_FAILOVER_CALL_SPANS": "on", "OTEL_FAILOVER_ERROR_TEXT": "none"}
    settings = load({"call_spans": "off", "error_text": None}, environment)
    assert (settings.call_spans, settings.error_text) == ("off", "none")


@pytest.mark.parametrize(("name", "value", "allowed"), [(n, *row) for n, rows in BAD.items() for row in rows], ids=repr)
def test_a_bad_argument_is_named_with_what_is_allowed_and_the_default_kept(
    name: str, value: Any, allowed: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert load({name: value}, {}) == Settings()
    (warning,) = _warnings(caplog)
    assert name in warning
    assert allowed in warning


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        ("OTEL_FAILOVER_PROVIDER_ALIASES", "{nonsense", "JSON"),
        ("OTEL_FAILOVER_PROVIDER_ALIASES", "[1]", "map"),
        ("OTEL_FAILOVER_DISABLED_RULES", '["stale"', "JSON"),
        ("OTEL_FAILOVER_IGNORE", "@/nowhere/at/all", "No such file"),
        ("OTEL_FAILOVER_IGNORE", "@/", ""),
        ("OTEL_FAILOVER_LOG_INTERVAL", "1 minute", "seconds"),
        ("OTEL_FAILOVER_STRICT", "perhaps", "true or false"),
    ],
)
def test_a_bad_variable_is_named_with_what_is_allowed_and_the_default_kept(
    variable: str, text: str, allowed: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert load({}, {variable: text}) == Settings()
    (warning,) = _warnings(caplog)
    assert variable in warning
    assert allowed in warning


def test_a_file_that_is_no_text_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "value"
    file.write_bytes(b"\xff\xfe\x80")
    assert load({}, {"OTEL_FAILOVER_IGNORE": f"@{file}"}) == Settings()
    assert len(_warnings(caplog)) == 1


# --- what a message says ----------------------------------------------------------------------------------------------

KEY = "sk-proj-Zk3vN8q1Lm5Tt7Xw2Yb9Rc4D"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("error_text", "all", "'all' is given, allowed is one of redacted, none; kept 'redacted'"),
        ("log_interval", [], "[] is given, allowed is seconds, 0 or more; kept 60.0"),
        pytest.param("log_interval", 10**5_000, "", id="too long a number to be written"),
        ("provider_aliases", {"a": 1}, "{'a': 1} is given, allowed is a map of names to names; kept {}"),
        ("ignore", [object()], "a list is given, allowed is a list of names"),
        ("call_spans", f"on {KEY}", "'on [redacted]' is given"),
        ("call_spans", "on, " * 100, f"'{'on, ' * 14}on… is given"),
    ],
)
def test_a_bad_value_is_quoted_redacted_and_cut(
    name: str, value: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert load({name: value}, {}) == Settings()
    (warning,) = _warnings(caplog)
    assert f"otel-failover: {name} is not usable: {said}" in warning


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["fine", "(tenant-4711"], "(number 2 of 2: missing ), unterminated subpattern at position 0)"),
        ("(?P=tenant-4711)", "(number 1 of 1: bad character in group name at position 4)"),
        (r"tenant-4711\y", "(number 1 of 1: bad escape at position 11)"),
        ({"tenant-4711"}, ""),
        ("@tenant-4711", ""),
    ],
    ids=str,
)
def test_what_must_not_leave_is_never_quoted(value: Any, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """A pattern of `redact` may be the text itself; those that were set before are not repeated either."""
    environment = {"OTEL_FAILOVER_REDACT": "tenant-0815"}
    if isinstance(value, str):
        load({}, {"OTEL_FAILOVER_REDACT": value})
    load({"redact": value if isinstance(value, list) else [value, 5]}, environment)
    assert said in _warnings(caplog)[0]
    assert not [line for line in _warnings(caplog) if "4711" in line or "0815" in line]
    assert "kept the 1 set before" in _warnings(caplog)[-1]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nofile.json", "is not usable: the file 'nofile.json' cannot be read (No such file or directory); kept []"),
        ("\0", "cannot be read (that is no path)"),
        (f"{KEY}", "the file '[redacted]' cannot be read"),
    ],
    ids=ascii,
)
def test_a_file_that_cannot_be_read_is_named(path: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    assert load({}, {"OTEL_FAILOVER_LOOPS": f"@{path}"}) == Settings()
    (warning,) = _warnings(caplog)
    assert "OTEL_FAILOVER_LOOPS" in warning
    assert said in warning
    assert "allowed" not in warning


@pytest.mark.parametrize(
    ("given", "environment", "said"),
    [
        ({"nonsense": 1}, {}, "there is no setting nonsense; there are loops, on_mismatch, call_spans"),
        (
            {},
            {"OTEL_FAILOVER_NONSENSE": "1"},
            "there is no setting OTEL_FAILOVER_NONSENSE; there are OTEL_FAILOVER_* with LOOPS, ON_MISMATCH",
        ),
    ],
)
def test_an_unknown_name_that_is_near_none_is_told_with_all(
    given: dict[str, Any], environment: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    load(given, environment)
    (warning,) = _warnings(caplog)
    assert said in warning
    assert "did you mean" not in warning


def test_a_provider_that_is_nearly_a_known_one_is_told_and_used(caplog: pytest.LogCaptureFixture) -> None:
    """Words of the user's own are allowed: only what looks like a typing error is told."""
    aliases = {"a": "opnai", "b": "corp", "c": "Gemini", "d": "anthropic"}
    assert load({"provider_aliases": aliases}, {}).provider_aliases == aliases
    (warning,) = _warnings(caplog)
    assert "provider_aliases: 'opnai' is no known provider; did you mean openai?; it is used as it is" in warning


def test_of_an_alias_host_and_port_count_and_two_of_one_server_are_told(caplog: pytest.LogCaptureFixture) -> None:
    aliases = {"http://llm.example:8000/v1": "vllm", "127.0.0.1:1": "Gemini", "my:proxy": "groq", "a.example:2": "x"}
    known = {"llm.example:8000": "vllm", "127.0.0.1:1": "Gemini", "my:proxy": "groq", "a.example:2": "x"}
    assert load({"provider_aliases": aliases}, {}).provider_aliases == known
    several = {"localhost:11434": "ollama", "localhost:8000": "vllm", "localhost": "lm_studio"}
    assert load({"provider_aliases": several}, {}).provider_aliases == several
    assert _warnings(caplog) == []
    given = {"localhost:8000": "ollama", "http://LOCALHOST:8000/v1": "vllm"}
    assert load({"provider_aliases": given}, {}).provider_aliases == {"localhost:8000": "vllm"}
    (warning,) = _warnings(caplog)
    assert "the host 'localhost:8000' is given to 'ollama' and to 'vllm'; the last counts" in warning


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("https://llm.corp.example/v1", "llm.corp.example"),
        ("https://llm.corp.example:443/v1", "llm.corp.example"),
        ("http://user:secret@LLM.corp.example:8080", "llm.corp.example:8080"),
        ("llm.corp.example:8080", "llm.corp.example:8080"),
        ("llm.corp.example", "llm.corp.example"),
        ("::1", "::1"),
        ("http://[::1]/v1", "::1"),
        ("http://[::1]:8000/v1", "[::1]:8000"),
    ],
)
def test_of_a_url_the_host_is_taken_and_a_port_that_tells_servers_apart(
    given: str, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert load({"gateways": [given]}, {}).gateways == [host]
    if "://" in given:
        assert load({"provider_aliases": {given: "openai"}}, {}).provider_aliases == {host: "openai"}
    assert not _warnings(caplog)


def test_a_rule_that_is_on_is_told_as_such_and_the_others_are_enabled(caplog: pytest.LogCaptureFixture) -> None:
    assert load({"enabled_rules": ["stale_error", "text_error"]}, {}).enabled_rules == ["text_error"]
    (warning,) = _warnings(caplog)
    assert "enabled_rules: stale_error is on already; off by default, and so to be enabled, is text_error" in warning


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_an_empty_variable_is_an_unset_one(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Specification, "Environment Variable Specification": an empty value is the same as none."""
    assert load({}, {PREFIX + name.upper(): ""}) == load({}, {PREFIX + name.upper(): " "}) == Settings()
    assert not _warnings(caplog)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("redact", "a{99999999999999999999}", id="OverflowError of re"),
        pytest.param("redact", "(" * 5_000 + ")" * 5_000, id="RecursionError of re"),
        pytest.param("log_interval", 10**400, id="OverflowError of float"),
    ],
)
def test_a_value_that_breaks_its_own_check_keeps_the_default(
    name: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert load({name: value}, {}) == Settings()
    assert name in _warnings(caplog)[0]


@pytest.mark.parametrize(
    ("given", "environment", "near"),
    [({"call_span": "on"}, {}, "call_spans"), ({}, {"OTEL_FAILOVER_CALL_SPAN": "on"}, "OTEL_FAILOVER_CALL_SPANS")],
)
def test_an_unknown_name_is_told_with_the_nearest_one(
    given: dict[str, Any], environment: dict[str, str], near: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(given, environment) == Settings()
    (warning,) = _warnings(caplog)
    assert near in warning


@pytest.mark.parametrize("name", ["tracer_provider", "meter_provider", "logger_provider", "skip_dep_check"])
def test_what_everybody_passes_to_instrument_is_no_unknown_setting(name: str, caplog: pytest.LogCaptureFixture) -> None:
    load({name: object()}, {})
    assert not _warnings(caplog)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (5, "loops[1] is not usable: 5 is given; allowed is a Loop or a map of run, attempt"),
        ({"runs": "acme:route"}, "loops[1] is not usable: it has no 'run'"),
    ],
)
def test_a_loop_that_cannot_be_read_is_told_and_the_others_kept(
    given: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load({"loops": [{"run": "acme:route", "model": "'m'"}, given, Loop(run="acme:other")]}, {})
    assert settings.loops == [Loop(run="acme:route", model="'m'"), Loop(run="acme:other")]
    assert said in _warnings(caplog)[0]


def test_an_unknown_field_of_a_loop_is_told_with_the_nearest_and_the_loop_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = load({}, {"OTEL_FAILOVER_LOOPS": '[{"run": "acme:route", "atempt": "acme:ask", "model": null}]'})
    assert settings.loops == [Loop(run="acme:route")]
    (warning,) = _warnings(caplog)
    assert "loops[0] has an unknown atempt; did you mean attempt?; allowed are run, attempt" in warning


def test_one_loop_needs_no_list(caplog: pytest.LogCaptureFixture) -> None:
    assert load({"loops": {"run": "acme:route"}}, {}).loops == load({"loops": Loop(run="acme:route")}, {}).loops
    assert not _warnings(caplog)


def test_strict_raises_our_own_errors_and_stops_with_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_FAILOVER_STRICT")
    FailoverInstrumentor().instrument(tracer_provider=TracerProvider(), strict=True)
    assert failsafe.strict()
    FailoverInstrumentor().uninstrument()
    assert not failsafe.strict()


# --- what comes from OpenTelemetry, and a second call -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"tracer_provider": "no"},
            "tracer_provider is not usable: 'no' is given, allowed is an object with get_tracer()",
        ),
        ({"tracer_provider": TracerProvider}, "tracer_provider is not usable: the class TracerProvider is given"),
        (
            {"meter_provider": object()},
            "meter_provider is not usable: an object is given, allowed is an object with get_m",
        ),
        ({"meter_provider": TracerProvider()}, "meter_provider is not usable: a TracerProvider is given"),
    ],
    ids=str,
)
def test_a_provider_that_is_none_is_told_and_the_global_one_used(
    given: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    importlib.import_module("httpx")  # which is patched then
    FailoverInstrumentor().instrument(**given)
    try:
        assert runtime.current().provider is None
        assert any(state.status == PATCHED for state in instrumentor.states())
    finally:
        FailoverInstrumentor().uninstrument()
    (warning,) = [line for line in _warnings(caplog) if "is not usable" in line]
    assert said in warning
    assert "the global one is used" in warning


_TWICE = """
    import sys
    HIDDEN
    from opentelemetry.sdk.trace import TracerProvider
    from otel_failover import FailoverInstrumentor
    from otel_failover._core.config import runtime
    provider = TracerProvider()
    FailoverInstrumentor().instrument(tracer_provider=provider, log_interval=5)
    same = {"tracer_provider": provider}, {"log_interval": 5.0}, {"call_spans": "auto", "ignore": None}, {"gateways": []}
    for each in ({}, *same, {"skip_dep_check": True}):
        FailoverInstrumentor().instrument(**each)
    print("THEN")
    FailoverInstrumentor().instrument(tracer_provider=TracerProvider(), log_interval=6, error_text="none")
    print("STANDS", runtime.current().settings.log_interval, runtime.current().provider is provider)
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(log_interval=6, tracer_provider=provider)
    print("NOW", runtime.current().settings.log_interval)
"""


_NO_BASE = """[sys.modules.pop(each) for each in [*sys.modules] if each.startswith("otel_failover")]
    sys.modules["opentelemetry.instrumentation"] = sys.modules["opentelemetry.instrumentation.instrumentor"] = None"""
BASES = pytest.mark.parametrize("hidden", ["", _NO_BASE], ids=["OpenTelemetry's base class", "without it"])


@BASES
def test_a_second_call_with_other_settings_is_told_and_the_first_stays(hidden: str) -> None:
    """OpenTelemetry's own base class would say only that it is on already, whatever is asked for."""
    if not hidden:
        pytest.importorskip("opentelemetry.instrumentation.instrumentor")
    printed = in_a_process(_TWICE.replace("HIDDEN", hidden))
    before, _, after = printed.partition("THEN")
    assert "WARNING" not in before
    assert after.count("WARNING") == 1
    assert "the settings of that call stay; tracer_provider, log_interval, error_text of this one are ignored" in after
    assert "STANDS 5.0 True" in after
    assert "NOW 6.0" in after


_AFTER_A_START_WITHOUT_CODE = """
    import sys
    HIDDEN
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    trace.set_tracer_provider(TracerProvider())
    from otel_failover import FailoverInstrumentor, instrumentor
    from otel_failover._core.config import runtime
    import httpx
    FailoverInstrumentor().instrument(skip_dep_check=True)
    send = vars(httpx.Client)["send"]
    for same in ({}, {"call_spans": "auto"}, {"tracer_provider": trace.get_tracer_provider()}):
        FailoverInstrumentor().instrument(**same)
    print("THEN")
    provider = TracerProvider()
    loops = [{"run": "colorsys:rgb_to_hsv"}]
    for _ in range(2):
        FailoverInstrumentor().instrument(
            error_text="none", loops=loops, disabled_libraries=["requests"], tracer_provider=provider
        )
    settings = runtime.current().settings
    print("NOW", settings.error_text, runtime.current().provider is provider, vars(httpx.Client)["send"] is send)
    states = {state.name: state.status for state in instrumentor.states()}
    print("STATES", states["httpx"], states["requests"], "colorsys:rgb_to_hsv" in states)
    FailoverInstrumentor().instrument(error_text="redacted")
    print("STILL", runtime.current().settings.error_text)
    FailoverInstrumentor().uninstrument()
    print("OFF", type(vars(httpx.Client)["send"]).__name__)
"""


@BASES
def test_settings_of_the_first_call_that_has_any_count(hidden: str) -> None:
    """`opentelemetry-instrument` passes none. What is patched stays so: the host may hold it by name."""
    printed = in_a_process(_AFTER_A_START_WITHOUT_CODE.replace("HIDDEN", hidden), OTEL_FAILOVER_LOG_INTERVAL="7")
    before, _, after = printed.partition("THEN")
    assert "WARNING" not in before
    assert (
        "LOG otel_failover INFO otel-failover: instrument() was called again, after a start without settings" in after
    )
    assert "error_text, loops, disabled_libraries, tracer_provider set" in after
    assert "NOW none True True" in after
    assert "STATES patched disabled True" in after
    assert after.count("WARNING") == 1
    assert "error_text of this one is ignored" in after
    assert "STILL none" in after
    assert "OFF function" in after


def test_the_dataclass_is_offered_to_declarative_configuration_with_types_it_converts() -> None:
    """Lists, not tuples, and a default for each: the converter of the SDK leaves dicts in tuples."""
    assert FailoverInstrumentor.configuration is Settings
    for field in dataclasses.fields(Settings):
        assert field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        assert "tuple" not in str(field.type)


_DECLARED = """
file_format: "1.0"
tracer_provider:
  processors:
    - simple: {exporter: {console: {}}}
instrumentation/development:
  python:
    otel_failover:
      call_spans: "off"
      disabled_libraries: [httpx2]
      provider_aliases: {my-proxy: openai}
      log_interval: 5
      loops:
        - {run: "acme.router:Router.route", chain: [openai/gpt-5.5], odd: 1}
      LINE
"""


@pytest.mark.skipif(
    importlib.util.find_spec("opentelemetry.configuration") is None, reason="needs opentelemetry-configuration"
)
@pytest.mark.parametrize(("line", "expected"), [("strict: true", "True"), ("strict: perhaps", "False")])
def test_declarative_configuration_comes_in_too(line: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "otel.yaml"
    file.write_text(_DECLARED.replace("LINE", line))
    printed = in_a_process(
        """
        from opentelemetry.instrumentation.auto_instrumentation import initialize
        initialize()
        from otel_failover._core.config import runtime
        found = runtime.current().settings
        names = "call_spans disabled_libraries provider_aliases log_interval strict"
        print("SETTINGS", *(getattr(found, name) for name in names.split()))
        print("LOOPS", [(type(each).__name__, each.run, each.chain) for each in found.loops])
        """,
        OTEL_CONFIG_FILE=str(file),
    )
    assert f"SETTINGS off ['httpx2'] {{'my-proxy': 'openai'}} 5.0 {expected}" in printed
    assert "LOOPS [('Loop', 'acme.router:Router.route', ['openai/gpt-5.5'])]" in printed
