"""The documents say what the code does: every Python block runs, every table is compared, every command is run by CI."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anthropic
import openai
import pytest
from packaging.specifiers import SpecifierSet

import otel_failover
from otel_failover import Candidate
from otel_failover._core.attribution import rules as attribution
from otel_failover._core.config import settings
from otel_failover._core.domain import outcome, reasons, verdicts
from otel_failover._core.runs import run
from otel_failover.integrations.libraries import libraries
from otel_failover.testing.providers import Answer
from tests.core.domain.test_attributes import METRICS, ON_SPANS
from tests.support.hosts import LoopError, stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.hosts import Stand
    from tests.support.spans import Telemetry

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS: Final = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PROMPT: Final[Any] = [{"role": "user", "content": "Hello?"}]


# --- tables -----------------------------------------------------------------------------------------------------------


def section(title: str) -> str:
    """Return the text between a heading and the next one of its level or above."""
    (level,) = re.findall(rf"^(#+) {title}$", README, re.MULTILINE)
    following = re.split(rf"^#+ {title}$", README, maxsplit=1, flags=re.MULTILINE)[1]
    return re.split(rf"^#{{1,{len(level)}}} ", following, maxsplit=1, flags=re.MULTILINE)[0]


def rows(title: str) -> list[list[str]]:
    """Return the cells of all rows of a section's tables, heads left out."""
    found = re.findall(r"^\|(.+)\|$", section(title), re.MULTILINE)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in found]
    return [row for row in cells if row[0].startswith("`")]


def plain(cell: str) -> str:
    """Return a cell's only code word."""
    (word,) = words(cell)
    return word


def words(cell: str) -> list[str]:
    """Return the code words of a cell."""
    found: list[str] = re.findall(r"`([^`]+)`", cell)
    return found


def about(title: str, name: str) -> list[str]:
    """Return the code words that a table has about a name."""
    (row,) = [row for row in rows(title) if plain(row[0]) == name]
    return words(" ".join(row[1:]))


def test_every_attribute_is_in_the_tables_and_none_besides() -> None:
    named = [plain(row[0]) for row in rows("Attributes")]
    assert len(named) == len(set(named))
    assert set(named) == ON_SPANS | {"http.response.status_code", "error.type"}


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        (
            "candidate.outcome",
            (
                outcome.SUCCESS,
                outcome.ERROR,
                outcome.REJECTED,
                outcome.PARTIAL,
                outcome.CANCELLED,
                outcome.SKIPPED,
            ),
        ),
        (
            "failover.outcome",
            (outcome.PRIMARY, outcome.FALLBACK, outcome.EXHAUSTED, outcome.STOPPED, outcome.CANCELLED),
        ),
        (
            "failover.error.origin",
            (outcome.FROM_RESPONSE, outcome.FROM_TRANSPORT, outcome.FROM_CLIENT, outcome.FROM_CANCEL),
        ),
        ("failover.attribution.verdict", tuple(verdicts.SEVERITY)),
        (
            "failover.attribution.bound_by",
            (
                verdicts.OBJECT,
                verdicts.RESPONSE,
                verdicts.REQUEST_ID,
                verdicts.TEXT,
                verdicts.FACTS,
            ),
        ),
    ],
)
def test_the_values_of_an_attribute_are_those_of_the_code(attribute: str, values: tuple[str, ...]) -> None:
    assert about("Attributes", attribute) == list(values)


@pytest.mark.parametrize(
    "attribute",
    ["failover.evidence_gap", "failover.killed_by", "failover.timeout.kind"],
)
def test_the_values_of_other_attributes_stand_in_the_code(attribute: str) -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path(otel_failover.__file__).parent.rglob("*.py"))
    for value in about("Attributes", attribute):
        assert f'"{value}"' in source


def test_the_rules_are_those_of_the_code_in_their_order() -> None:
    table = {plain(row[0]): row[-1] for row in rows("Rules") if len(row) == 3}
    assert tuple(table) == verdicts.RULES
    inconsistent = re.findall(r"Verdict\(INCONSISTENT, (\w+)", inspect.getsource(attribution))
    expected = {getattr(attribution, name) for name in inconsistent}
    assert {rule for rule, verdict in table.items() if verdict == "inconsistent"} == expected
    assert set(table.values()) == {"inconsistent", "mismatch"}


def test_the_reasons_for_unverified_are_those_of_the_code() -> None:
    assert [plain(row[0]) for row in rows("Rules") if len(row) == 2] == [
        verdicts.REPORT,
        verdicts.EVIDENCE_INCOMPLETE,
        verdicts.NOTHING_SENT,
        verdicts.NOTHING_BOUND,
    ]


def test_the_findings_are_those_of_the_code_in_their_order() -> None:
    assert tuple(plain(row[0]) for row in rows("Findings")) == verdicts.FINDINGS


def test_the_reasons_are_those_of_the_code() -> None:
    named = [plain(row[0]) for row in rows("Reasons")]
    assert len(named) == len(set(named))
    assert set(named) == reasons.REASONS


def test_the_settings_are_those_of_the_code_with_their_defaults() -> None:
    given = settings.Settings()
    assert [(plain(row[0]), plain(row[1]), json.loads(plain(row[2]))) for row in rows("Settings")] == [
        (each.name, settings.PREFIX + each.name.upper(), getattr(given, each.name)) for each in fields(given)
    ]


@pytest.mark.parametrize("name", ["call_spans", "error_text", "strict"])
def test_what_a_setting_allows_is_taken_and_nothing_else(name: str, caplog: pytest.LogCaptureFixture) -> None:
    (row,) = [row for row in rows("Settings") if plain(row[0]) == name]
    for word in words(row[3]):
        settings.load({}, {plain(row[1]): word})
    assert not caplog.records
    settings.load({}, {plain(row[1]): "perhaps"})
    (record,) = caplog.records
    said = record.getMessage()
    assert all(word in said for word in words(row[3]) if word.isalpha() and name != "strict")


def test_the_example_of_a_structured_setting_is_taken() -> None:
    (row,) = [row for row in rows("Settings") if plain(row[0]) == "provider_aliases"]
    assert settings.load({}, {plain(row[1]): words(row[3])[-1]}).provider_aliases


def test_the_support_table_is_that_of_the_code() -> None:
    assert [(plain(row[0]), plain(row[1])) for row in rows("Support")] == [
        (each.name, each.supported) for each in sorted(libraries(), key=lambda each: _order(each.name))
    ]


def test_the_oldest_supported_release_of_each_library_is_tested_by_ci() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    tested = {plain(row[0]): row[2].split(", ") for row in rows("Support")}
    for each in libraries():
        oldest, newest = tested[each.name][0], tested[each.name][-1]
        assert {oldest, newest} <= set(SpecifierSet(each.supported).filter([oldest, newest])), each.name
        assert re.search(rf"\b{each.distribution}(\[[\w,]+\])?=={re.escape(oldest)}(?![\w.])", script), each.name


def _order(name: str) -> int:
    table = [plain(row[0]) for row in rows("Support")]
    return table.index(name) if name in table else len(table)


def test_the_public_names_are_those_of_the_package() -> None:
    documented = {plain(row[0]): row[1] for row in rows("The public names")}
    assert sorted(documented) == sorted(otel_failover.__all__)
    for name in ("Run", "Attempt"):
        for method in re.findall(r"`\.(\w+)", documented[name]):
            assert hasattr(getattr(otel_failover, name), method)


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
    table = {plain(row[0]): (plain(row[2]), set(words(row[3]))) for row in rows("Metrics")}
    assert set(table) == METRICS
    for name in METRICS - {"failover.internal.errors"}:
        assert read[name] == table[name], name
    assert table["failover.internal.errors"] == ("{error}", {"failover.site"})


def played(first: Stand, second: Stand) -> None:
    """Play the incident."""
    with otel_failover.failover_run("chat", chain=[first.candidate, second.candidate]) as pass_:
        with pytest.raises(openai.RateLimitError) as stale, pass_.attempt(first.candidate):
            first.ask()
        with pytest.raises(LoopError), pass_.attempt(second.candidate):
            with pytest.raises(anthropic.APITimeoutError):
                second.ask()
            raise LoopError(str(stale.value))


def test_the_names_in_prometheus_are_the_translated_ones() -> None:
    unit = {"s": "_seconds"}
    for name, translated, given, _ in rows("Metrics"):
        made = plain(name).replace(".", "_") + unit.get(plain(given), "_total")
        assert plain(translated) == made
    known = {plain(row[1]) for row in rows("Metrics")}
    assert set(re.findall(r"\bfailover_\w+?_total", section("Operations"))) <= known
    labels = {label.replace(".", "_") for row in rows("Metrics") for label in words(row[3])}
    used = re.findall(r"\bfailover_attribution_\w+", section("Operations"))
    assert {word for word in used if not word.endswith("_total")} <= labels


# --- code -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def namespace(telemetry: Telemetry) -> Iterator[dict[str, Any]]:
    """What the README's blocks take for granted: two clients, and an application's own helpers."""
    with ExitStack() as stack:
        first = stack.enter_context(stand("openai", Answer.openai_quota()))
        second = stack.enter_context(stand("anthropic", Answer.ok("served")))
        stands = {"openai": first, "anthropic": second}

        async def ask_async(candidate: Candidate, prompt: str) -> str:
            return text_of(await stands[candidate.provider].aask())

        def chunks_of(candidate: Candidate, prompt: str) -> list[str]:
            return text_of(stands[candidate.provider].ask()).split()

        yield {
            "__name__": "readme",
            "openai_client": first.client,
            "anthropic_client": second.client,
            "ask": lambda candidate, prompt: text_of(stands[candidate.provider].ask()),
            "ask_async": ask_async,
            "chunks_of": chunks_of,
            "out_of_time": lambda: False,
            "is_cooling": lambda candidate: candidate.profile == "team-b",
        }


def text_of(reply: Any) -> str:
    anthropics = isinstance(reply, anthropic.types.Message)
    content: Any = reply.content[0].text if anthropics else reply.choices[0].message.content
    return str(content)


@pytest.fixture
def documented(namespace: dict[str, Any]) -> dict[str, Any]:
    """Run all blocks, in the order in which they stand."""
    for block in BLOCKS:
        exec(compile(block, str(ROOT / "README.md"), "exec"), namespace)
    return namespace


USES: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "answer": lambda given: given["answer"]("Hello?"),
    "answer_by_hand": lambda given: given["answer_by_hand"]("Hello?"),
    "stream_by_hand": lambda given: " ".join(given["stream_by_hand"]("Hello?")),
    "answer_or_nothing": lambda given: asyncio.run(given["answer_or_nothing"]("Hello?")),
}


@pytest.mark.parametrize("name", USES)
def test_what_the_readme_defines_works(telemetry: Telemetry, documented: dict[str, Any], name: str) -> None:
    assert USES[name](documented) == "served"
    assert telemetry.run["failover.outcome"] == "fallback"
    assert telemetry.run["failover.chain"][0] == "openai/gpt-5.5"
    assert telemetry.run["candidate.provider"] == "anthropic"
    assert {span.verdict for span in telemetry.candidates} == {("verified", None)}


def test_a_loop_by_hand_skips_stops_and_reports_each_candidates_own_error(
    telemetry: Telemetry, documented: dict[str, Any]
) -> None:
    documented["answer_by_hand"]("Hello?")
    (skipped,) = telemetry.starting("skip ")
    assert skipped["failover.skip.reason"] == "cooldown"
    telemetry.clear()
    times = iter([False, True])
    documented["out_of_time"] = lambda: next(times)
    with pytest.raises(RuntimeError, match=r"^openai: You exceeded your current quota"):
        documented["answer_by_hand"]("Hello?")
    assert telemetry.run["failover.stop.reason"] == "deadline"


def test_the_readmes_own_test_passes(telemetry: Telemetry, documented: dict[str, Any]) -> None:
    documented["test_the_loop_goes_on_after_a_quota_error"]()
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["error", "success"]


def test_a_problem_tells_which_model_failed_and_why(telemetry: Telemetry, documented: dict[str, Any]) -> None:
    with stand("openai", Answer.openai_quota()) as only, pytest.raises(openai.RateLimitError) as caught:
        with run.failover_run("chat", chain=[only.candidate]) as opened, opened.attempt(only.candidate):
            only.ask()
    problem = documented["problem_of"](caught.value)
    assert problem["candidates"][0]["title"] == "quota/rate limit exhausted"
    assert "You exceeded" not in json.dumps(problem)


def test_no_block_of_code_is_left_out() -> None:
    defined = re.findall(r"^(?:async )?def (\w+)", "".join(BLOCKS), re.MULTILINE)
    assert sorted(defined) == sorted([*USES, "test_the_loop_goes_on_after_a_quota_error", "problem_of"])
    assert README.count("```") == 2 * len(re.findall(r"^```(?:python|sh|text|yaml)$", README, re.MULTILINE))


EXAMPLES: Final = {
    "three_lines.py": ["candidate openai error billing verified", "failover chat fallback", "Hello from the second."],
    "loop_by_hand.py": [
        "failed: mistral_ai: no response from mistral_ai within 0.5 s",
        "skip openai skipped",
        "Hello from the fourth.",
    ],
    "streaming.py": ["candidate openai partial server_error verified", "one two three"],
}


def test_every_example_is_tested() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} - {"__init__.py"} == set(EXAMPLES)
    for path in (ROOT / "examples").glob("*/__init__.py"):
        assert (ROOT / "tests" / "examples" / f"test_{path.parent.name}.py").exists()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_as_it_stands(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)],
        env={**clean_environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = "partial_delivered: openai/gpt-5.5 broke off after output had been handed on"
    assert told in done.stderr if name == "streaming.py" else done.stderr == ""
    for line in EXAMPLES[name]:
        assert line in done.stdout.splitlines()


def clean_environment() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OPENAI_", "ANTHROPIC_"))
    }


# --- commands, links, versions ----------------------------------------------------------------------------------------


def test_the_two_commands_are_run_by_ci_as_they_stand() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    demo, tests = (block.strip() for block in COMMANDS[:2])
    assert demo.endswith("otel-failover demo")
    assert tests.endswith("python -m pytest")
    assert demo in script
    assert tests in script


def test_installing_for_no_code_is_one_command() -> None:
    (lines,) = [block.splitlines() for block in COMMANDS if "opentelemetry-distro" in block]
    assert [line for line in lines if line.startswith("pip install")] == [lines[0]]
    assert "otel-failover[otlp]" in lines[0]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_what_is_linked_to_is_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("https://"):
            assert (ROOT / target).exists(), target


def test_the_changelogs_newest_version_is_the_packages() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (version, day), *_ = re.findall(r"^## \[(\d[^]]*)\] - (\S+)$", text, re.MULTILINE)
    assert version == otel_failover.__version__
    assert date.fromisoformat(day)
