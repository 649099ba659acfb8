"""The configurations of `examples/ops`, each loaded by the program it is for, and the way from a lying span to a pager.

Prometheus and Alertmanager come from Debian's packages: their tests are left out where these are not installed. The
collector and Jaeger are built, which takes ten minutes once: `nox -s ops` does that and walks the whole way; without it
(`FAILOVER_OPS`) what needs them is left out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest

from examples.ops.programs import HERE, find
from otel_failover._core.domain import attributes as names

if TYPE_CHECKING:
    from pathlib import Path

yaml: Any = pytest.importorskip("yaml")

RULES: Final = (HERE / "prometheus" / "rules.yml").read_text("utf-8")
ALERTS: Final = [rule for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"] if "alert" in rule]
DASHBOARD: Final = json.loads((HERE / "grafana" / "dashboard.json").read_text("utf-8"))
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SPAN_METRICS: Final = {"traces_span_metrics_calls_total", "traces_span_metrics_duration_milliseconds_bucket"}


def run(program: str, *arguments: str, cwd: Path | None = None, **settings: str) -> None:
    """Let a program say whether it takes a configuration; left out where it is not here."""
    path = find(program)
    if path is None:
        pytest.skip(f"needs {program}")
    done = subprocess.run(
        [path, *arguments], cwd=cwd, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def built(program: str) -> None:
    if not os.environ.get("FAILOVER_OPS"):
        pytest.skip(f"{program} is built by `nox -s ops`")


def test_prometheus_takes_its_configuration_and_rules() -> None:
    run("promtool", "check", "config", "prometheus.yml", cwd=HERE / "prometheus")


def test_alerts_fire_when_they_should_and_only_then() -> None:
    """Gaps, flaps, series that are born at 1, new pods."""
    run("promtool", "test", "rules", "rules.test.yml", cwd=HERE / "prometheus")


def test_alertmanager_takes_its_configuration() -> None:
    run("amtool", "check-config", str(HERE / "prometheus" / "alertmanager.yml"))


def test_the_collector_takes_its_configuration() -> None:
    built("collector")
    run("collector", "validate", f"--config={HERE}/collector/collector.yaml")


def test_the_collector_takes_that_of_the_first_tier() -> None:
    built("collector")
    run("collector", "validate", f"--config={HERE}/collector/first-tier.yaml")


def test_every_alert_has_a_severity_a_text_and_a_link_to_traces() -> None:
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert set(alert["annotations"]) == {"summary", "description", "traces"}
        assert "service={{ $labels.job }}" in alert["annotations"]["traces"]
        tested = (HERE / "prometheus" / "rules.test.yml").read_text("utf-8")
        assert f'alertname="{alert["alert"]}"' in tested


def test_the_text_of_a_mismatch_says_what_not_to_do(tmp_path: Path) -> None:
    """As it is paged, word for word."""
    series = 'failover_attribution_mismatches_total{job="checkout",instance="a",%s}'
    labels = {
        "failover_attribution_expected_provider": "anthropic",
        "failover_attribution_source_provider": "openai",
        "failover_attribution_rule": "stale_error",
    }
    test = {
        "rule_files": [str(HERE / "prometheus" / "rules.yml")],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {
                        "series": series % ",".join(f'{key}="{value}"' for key, value in labels.items()),
                        "values": "_x5 1x9",
                    }
                ],
                "alert_rule_test": [
                    {
                        "eval_time": "8m",
                        "alertname": "FailoverAttributionMismatch",
                        "exp_alerts": [
                            {
                                "exp_labels": {"job": "checkout", "severity": "page", **labels},
                                "exp_annotations": {
                                    "summary": "checkout: the error shown for anthropic is openai's",
                                    "description": "Do not top up, rotate keys or block anthropic on this text. Open a marker:"
                                    " its one event says what anthropic itself did, and its link leads to the span whose"
                                    " error it is. Then mend the loop that copies errors (rule stale_error).",
                                    "traces": "http://localhost:16686/search?service=checkout"
                                    "&operation=failover.attribution.mismatch&lookback=1h",
                                },
                            }
                        ],
                    }
                ],
            }
        ],
    }
    (tmp_path / "text.test.yml").write_text(yaml.safe_dump(test), "utf-8")
    run("promtool", "test", "rules", "text.test.yml", cwd=tmp_path)


def known() -> tuple[set[str], set[str]]:
    """Return the series and the labels that there are, as Prometheus has them."""
    counters = {names.METRIC_RUNS, names.METRIC_ATTEMPTS, names.METRIC_FINDINGS, names.METRIC_CHECKS}
    counters |= {names.METRIC_MISMATCHES, names.METRIC_INTERNAL_ERRORS}
    series = {f"{name.replace('.', '_')}_total" for name in counters}
    for histogram in (names.METRIC_ATTEMPT_DURATION, names.METRIC_RUN_DURATION):
        series |= {f"{histogram.replace('.', '_')}_seconds_{part}" for part in ("bucket", "sum", "count")}
    series |= {f"{names.METRIC_OPEN_AGE.replace('.', '_')}_seconds", *SPAN_METRICS}
    labels = {value.replace(".", "_") for key, value in vars(names).items() if key.isupper() and isinstance(value, str)}
    return series, labels


def asked(expression: str) -> set[str]:
    """Return the words of ours in an expression."""
    return set(re.findall(r"(?<![:\w])(?:failover|candidate|traces)_\w+", expression))


@pytest.mark.parametrize("where", ["rules", "dashboard"])
def test_what_is_asked_for_is_what_there_is(where: str) -> None:
    series, labels = known()
    expressions = [target["expr"] for panel in PANELS for target in panel["targets"]]
    if where == "rules":
        expressions = [rule["expr"] for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]]
    for expression in expressions:
        assert asked(expression) <= series | labels, expression


def test_the_dashboard_is_whole(tmp_path: Path) -> None:
    """Ids are unique, no panel lies on another, each asks the data source that is chosen, and Prometheus takes what it asks."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    rules = []
    for panel in PANELS:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            plain = target["expr"].replace("$__rate_interval", "5m").replace("$__range", "1h")
            rules.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": plain.replace('"$job"', '".+"')})
    (tmp_path / "dashboard.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8"
    )
    run("promtool", "check", "rules", "dashboard.yml", cwd=tmp_path)


def test_the_images_are_those_whose_configurations_these_are() -> None:
    """No registry of images is reached by CI: services, files and addresses are compared."""
    composed = yaml.safe_load((HERE / "compose.yaml").read_text("utf-8"))
    for service in composed["services"].values():
        assert re.fullmatch(r"[\w./-]+:[\w.-]+", service["image"])
        for volume in service.get("volumes", ()):
            assert (HERE / volume.split(":")[0]).exists(), volume
    addresses = set(re.findall(r"\b(jaeger|prometheus|alertmanager|collector|pager):\d+", _all_text()))
    assert addresses <= set(composed["services"])


def _all_text() -> str:
    folders = (
        "collector/collector.yaml",
        "jaeger/jaeger.yaml",
        "prometheus/prometheus.yml",
        "grafana/datasources.yaml",
    )
    return "\n".join((HERE / each).read_text("utf-8") for each in (*folders, "prometheus/alertmanager.yml"))


def test_links_of_jaeger_lead_from_attributes_that_there_are() -> None:
    wire = {value for key, value in vars(names).items() if key.isupper() and isinstance(value, str)}
    patterns = json.loads((HERE / "jaeger" / "ui.json").read_text("utf-8"))["linkPatterns"]
    assert {each["key"] for each in patterns} == {names.SOURCE_SPAN_ID, names.SKIP_CAUSE_SPAN_ID, names.RUN_ID}
    assert {each["key"] for each in patterns} <= wire


def test_tempo_is_asked_for_what_there_is() -> None:
    """No Tempo is run: the names in its queries are compared."""
    wire = {value for key, value in vars(names).items() if key.isupper() and isinstance(value, str)}
    queries = (HERE / "tempo" / "queries.traceql").read_text("utf-8")
    assert {each.rstrip(".") for each in re.findall(r"span\.((?:failover|candidate)[\w.]+)", queries)} <= wire
    assert set(re.findall(r'name = "([^"]+)"', queries)) == {names.SPAN_MISMATCH, names.SPAN_HUNG}
