"""The reference: every table is compared with the code, both ways."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest
from packaging.specifiers import SpecifierSet

import otel_failover
from otel_failover.testing.providers import Answer
from tests.docs import package
from tests.docs.incident import played
from tests.docs.pages import PAGES, README, page, plain, words
from tests.support.hosts import stand

if TYPE_CHECKING:
    from pathlib import Path

    from tests.docs.pages import Page
    from tests.support.spans import Telemetry

SPANS: Final = page("reference/spans")
RULES: Final = page("reference/rules")
SETTINGS: Final = page("reference/settings")
SUPPORT: Final = page("reference/support")
SUPPORTED: Final = SUPPORT.tables()[0][1:]
"""The libraries that are patched; the table below it is of SDKs that are not."""
METRICS: Final = page("reference/metrics")
OPERATIONS: Final = page("operations")
SUMMARY: Final = page("summary")
BESIDE_SDKS: Final = {"aiohttp", "httpx", "httpx2", "openai", "pydantic", "requests", "urllib3"}
"""What is asked for besides the SDKs, where those are tested that have no adapter."""


# --- spans ------------------------------------------------------------------------------------------------------------


def about(where: Page, name: str) -> list[str]:
    """Return the code words that a page's tables have about a name."""
    (row,) = [row for row in where.rows() if plain(row[0]) == name]
    return words(" ".join(row[1:]))


def test_every_attribute_is_in_the_tables_and_none_besides() -> None:
    named = [plain(row[0]) for row in SPANS.rows("Attributes")]
    assert len(named) == len(set(named))
    assert set(named) == package.ATTRIBUTES


@pytest.mark.parametrize("attribute", package.VALUES)
def test_the_values_of_an_attribute_are_those_of_the_code(attribute: str) -> None:
    assert about(SPANS, attribute) == list(package.VALUES[attribute])


@pytest.mark.parametrize("attribute", ["failover.evidence_gap", "failover.killed_by", "failover.timeout.kind"])
def test_the_values_of_other_attributes_stand_in_the_code(attribute: str) -> None:
    assert set(about(SPANS, attribute)) <= package.literals()


def test_the_spans_of_the_tree_are_those_of_the_code() -> None:
    (tree,) = SPANS.blocks("text")
    named = {line.lstrip("│├└─ ").split()[0] for line in tree.splitlines()}
    assert named - {"<operation>"} == package.SPANS


# --- rules, findings, reasons -----------------------------------------------------------------------------------------


def test_the_rules_are_those_of_the_code_in_their_order() -> None:
    table = {plain(row[0]): row[-1] for row in RULES.rows() if len(row) == 3}
    assert tuple(table) == package.RULES
    assert {rule for rule, verdict in table.items() if verdict == "inconsistent"} == package.INCONSISTENT
    assert set(table.values()) == {"inconsistent", "mismatch"}


def test_the_reasons_for_unverified_are_those_of_the_code() -> None:
    assert tuple(plain(row[0]) for row in RULES.rows() if len(row) == 2) == package.UNVERIFIED


def test_the_findings_are_those_of_the_code_in_their_order() -> None:
    assert tuple(plain(row[0]) for row in page("reference/findings").rows()) == package.FINDINGS


def test_the_reasons_are_those_of_the_code() -> None:
    named = [plain(row[0]) for row in page("reference/reasons").rows()]
    assert len(named) == len(set(named))
    assert set(named) == package.REASONS


# --- settings ---------------------------------------------------------------------------------------------------------


def test_the_settings_are_those_of_the_code_with_their_defaults() -> None:
    table = [(plain(row[0]), plain(row[1]), json.loads(plain(row[2]))) for row in SETTINGS.rows()]
    assert table == package.SETTINGS


@pytest.mark.parametrize("name", ["on_mismatch", "call_spans", "error_text", "strict"])
def test_what_a_setting_allows_is_taken_and_nothing_else(name: str, caplog: pytest.LogCaptureFixture) -> None:
    (row,) = [row for row in SETTINGS.rows() if plain(row[0]) == name]
    for word in words(row[3]):
        package.loaded({}, {plain(row[1]): word})
    assert not caplog.records
    package.loaded({}, {plain(row[1]): "perhaps"})
    (record,) = caplog.records
    said = record.getMessage()
    assert all(word in said for word in words(row[3]) if word.isalpha() and name != "strict")


def test_the_example_of_a_structured_setting_is_taken() -> None:
    (row,) = [row for row in SETTINGS.rows() if plain(row[0]) == "provider_aliases"]
    assert package.loaded({}, {plain(row[1]): words(row[3])[-1]}).provider_aliases


@pytest.mark.parametrize("name", [name for name, each in PAGES.items() if "OTEL_FAILOVER_" in each.text])
def test_every_variable_that_a_document_names_is_one(name: str) -> None:
    known = {variable for _, variable, _ in package.SETTINGS}
    assert set(re.findall(r"OTEL_FAILOVER_\w*[A-Z]", PAGES[name].text)) <= known


def test_declarative_configuration_as_it_stands_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    yaml: Any = pytest.importorskip("yaml")
    (block,) = SETTINGS.blocks("yaml")
    given = yaml.safe_load(block)["instrumentation/development"]["python"]["otel_failover"]
    loaded = package.loaded(given, {})
    assert not caplog.records
    assert (loaded.error_text, loaded.gateways) == ("none", ["llm.internal.example"])
    assert [loop.run for loop in loaded.loops] == ["acme.router:Router.route"]


# --- metrics, alerts, log lines ---------------------------------------------------------------------------------------


def test_the_metrics_are_those_that_are_made(telemetry: Telemetry) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(stand("openai", Answer.openai_quota()))
        second = stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.1))
        played(first, second)
        read = {}
        held = otel_failover.failover_run("chat", chain=[first.candidate])
        with held, held.attempt(first.candidate):
            data = telemetry.reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                labels = {str(key) for point in metric.data.data_points for key in (point.attributes or {})}
                read[metric.name] = (metric.unit, labels)
    table = {plain(row[0]): (plain(row[2]), set(words(row[3]))) for row in METRICS.rows()}
    assert set(table) == package.METRICS
    for name in package.METRICS - {"failover.internal.errors"}:
        assert read[name] == table[name], name
    assert table["failover.internal.errors"] == ("{error}", {"failover.site"})


def test_the_names_in_prometheus_are_the_translated_ones() -> None:
    unit = {"s": "_seconds"}
    for name, translated, given, _ in METRICS.rows():
        made = plain(name).replace(".", "_") + unit.get(plain(given), "_total")
        assert plain(translated) == made


@pytest.mark.parametrize(
    "name", [name for name, each in PAGES.items() if re.search(r"\bfailover_\w+_total", each.text)]
)
def test_an_alert_asks_for_series_and_labels_that_there_are(name: str) -> None:
    series = {plain(row[1]) for row in METRICS.rows()}
    labels = {label.replace(".", "_") for row in METRICS.rows() for label in words(row[3])}
    asked = set(re.findall(r"\bfailover_(?!run\b)\w+", PAGES[name].text))
    assert asked <= series | labels
    assert {word for word in asked if word.endswith(("_total", "_seconds"))} <= series


def test_the_series_of_the_shortest_alert_is_there_before_the_first_mismatch(telemetry: Telemetry) -> None:
    """`increase()` never sees one that is born at 1."""
    (alert,) = README.blocks("promql")
    assert [alert] == OPERATIONS.blocks("promql")
    assert 'failover_attribution_checks_total{failover_attribution_verdict="mismatch"}' in alert
    checks = telemetry.metric("failover.attribution.checks")
    assert checks == {(("failover.attribution.verdict", "mismatch"),): 0}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_prometheus_takes_the_rules_as_they_stand(tmp_path: Path) -> None:
    (rules,) = [block for block in OPERATIONS.blocks("yaml") if block.startswith("groups:")]
    (tmp_path / "rules.yml").write_text(rules, encoding="utf-8")
    done = subprocess.run(["promtool", "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_the_log_lines_are_those_of_the_code() -> None:
    table = [(row[0], plain(row[1]).removesuffix("…")) for row in OPERATIONS.tables("Log lines")[0][1:]]
    unmatched = {
        (level, text)
        for level, text in package.log_lines()
        if (level, _longest(text, [line for at, line in table if at == level])) not in table
    }
    assert not unmatched
    used = {(at, _longest(text, [line for level, line in table if level == at])) for at, text in package.log_lines()}
    assert set(table) == used


def _longest(text: str, beginnings: list[str]) -> str:
    """Return the beginning that tells most of a text; empty where none fits."""
    return max((each for each in beginnings if text.startswith(each)), key=len, default="")


# --- support ----------------------------------------------------------------------------------------------------------


def test_the_support_table_is_that_of_the_code() -> None:
    table = [(plain(row[0]), plain(row[1])) for row in SUPPORTED]
    assert len(table) == len(set(table))
    assert dict(table) == {name: each.supported for name, each in package.LIBRARIES.items()}


@pytest.mark.parametrize("name", package.LIBRARIES)
def test_the_oldest_supported_release_of_each_library_is_tested_by_ci(name: str) -> None:
    (row,) = [row for row in SUPPORTED if plain(row[0]) == name]
    library, tested = package.LIBRARIES[name], row[2].split(", ")
    assert set(SpecifierSet(library.supported).filter(tested)) == set(tested)
    assert (library.distribution, tested[0]) in package.pinned()
    assert tested[-1] == library.tested


def test_the_sdks_that_are_seen_by_wire_are_those_that_ci_asks() -> None:
    (table,) = SUPPORT.tables("Calls by wire")
    named = [(words(row[0])[0], row[1].split(", ")[0]) for row in table[1:-1]]
    oldest, newest = package.BY_WIRE
    asked = {re.split(r"[\[=<>]", each)[0] for each in (*oldest.installed.split(), *newest.installed.split())}
    assert set(words(table[-1][0])) == {"httpx", "httpx2", "requests", "aiohttp"}
    assert {name for name, _ in named} == asked - BESIDE_SDKS
    assert {pin for pin in package.pinned() if pin[0] in dict(named)} == {
        (name, first) for name, first in named if f"{name}==" in oldest.installed
    }


def test_the_readme_has_one_line_for_each_library() -> None:
    table = README.rows("What it works with")
    named = [name for row in table for name in words(row[0])]
    assert sorted(named) == sorted(package.LIBRARIES)
    for row in table:
        for versions in words(row[1]):
            assert versions == package.LIBRARIES[plain(row[0])].supported


def test_the_page_of_libraries_has_each_that_has_a_loop() -> None:
    loops = [plain(row[0]) for row in README.rows("What it works with") if re.match(r"the (loops?|fallback) ", row[2])]
    assert [plain(row[0]) for row in page("loops/library").rows()] == loops
    seen = {plain(row[0]): row[3] for row in SUPPORTED}
    for where in (README.rows("What it works with"), page("loops/library").rows()):
        for name in loops:
            (row,) = [row for row in where if name in words(row[0])]
            for word in words(row[-1]):
                assert word.removeprefix(".") in seen[name] or word == "with_fallbacks", (name, word)


# --- summaries --------------------------------------------------------------------------------------------------------


def test_the_keys_of_a_summary_are_those_of_the_code() -> None:
    table = SUMMARY.tables()[0]
    assert [plain(row[0]) for row in table[1:]] == package.SUMMARY_KEYS
    (outcomes,) = [row[1] for row in table if "outcome" in words(row[0])]
    assert words(outcomes) == list(package.SUMMARY_OUTCOMES)


def test_the_titles_are_those_of_the_code() -> None:
    assert {reason: row[1] for row in SUMMARY.rows("Titles") for reason in words(row[0])} == package.TITLES
