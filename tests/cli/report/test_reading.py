"""What can be read of a file, and what is said of the rest."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from otel_failover.cli.drawing.span_view import EventView, SpanView
from otel_failover.cli.report.reading import read
from tests.cli.report.traces import candidate, incident, jaeger, otlp, run

if TYPE_CHECKING:
    from pathlib import Path

FINDING = EventView("failover.finding.retry_storm", {"failover.finding.candidates": ("a/m", "b/m")})
SPANS = [
    *incident(),
    run(9, run_id="other", events=(FINDING,), attributes={"failover.findings": ("retry_storm",)}),
    candidate(10, 9, "a/m", description="[429, 1]", run_id="other"),
]
LINES = f"{otlp(SPANS[:3])}\n\n{otlp(SPANS[3:])}\n"
FORMATS = {
    "lines": LINES,
    "one document": json.dumps(json.loads(otlp(SPANS)), indent=1),
    "a list": json.dumps([json.loads(otlp(SPANS[:3])), json.loads(otlp(SPANS[3:]))], indent=1),
    "Jaeger's UI": json.dumps(jaeger(SPANS), indent=2),
    "Jaeger's UI, on one line": json.dumps(jaeger(SPANS)),
    "one trace of Jaeger's": json.dumps(jaeger(SPANS)["data"][0]),
    "Jaeger's API, version 3": json.dumps({"result": json.loads(otlp(SPANS))}),
}


def by_id(spans: list[SpanView]) -> dict[str, SpanView]:
    return {each.span_id: each for each in spans}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_read(tmp_path: Path, name: str, packed: bool) -> None:
    content = FORMATS[name].encode()
    (tmp_path / "spans").write_bytes(gzip.compress(content) if packed else content)
    found = read([str(tmp_path / "spans")])
    assert found.problems == []
    if "Jaeger's UI" not in name and "trace of" not in name:
        assert by_id(found.spans) == by_id(SPANS)
        return
    for each in SPANS:  # microseconds are what it has, and services are without a name or with theirs
        there = by_id(found.spans)[each.span_id]
        assert (there.name, there.parent_id, there.scope, there.status) == (
            each.name,
            each.parent_id,
            each.scope,
            each.status,
        )
        assert (there.description, there.service, there.events) == (each.description, each.service, each.events)
        assert {key: value for key, value in there.attributes.items() if key != "error"} == dict(each.attributes)
        assert (there.start, there.end) == (each.start // 1000 * 1000, each.end // 1000 * 1000)


def test_a_corrupt_line_costs_that_line(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    others = [b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": 7}]}]}]}', b'{"resourceSpans": 3}', b"null",
              b'{"a": 1}', b"\xff\xfe", b"[" * 100_000, b'{"resourceMetrics": []}', b'{"resourceLogs": []}']  # fmt: skip
    first, second = (line.encode() for line in LINES.split("\n\n"))
    path.write_bytes(b"\n".join([first, b'{"resourceSpans": [{"sco', *others, second]))
    found = read([str(path)])
    assert by_id(found.spans) == by_id(SPANS)
    told = [problem.removeprefix(f"{path}:") for problem in found.problems]
    assert [each.partition(":")[0] for each in told] == ["2", "3", "4", "5", "6", "7", "8"]
    assert told[0].startswith("2: it is no JSON (Unterminated string")
    assert told[3] == "5: it is neither OTLP nor Jaeger's JSON"
    assert all(len(each) < 200 for each in told)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        (b"", "it is empty"),
        (b"\n \n", "it is empty"),
        (b"\x1f\x8bnonsense", "gzip"),
        (gzip.compress(LINES.encode())[:-20], "end-of-stream"),
    ],
)
def test_a_file_that_holds_nothing_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "spans"
    if content is not None:
        path.write_bytes(content)
    found = read([str(path)])
    assert found.spans == []
    (problem,) = found.problems
    assert problem.startswith(f"{path}: ")
    if said != "gzip":
        assert said in problem


def test_several_files_are_one(tmp_path: Path) -> None:
    for number, line in enumerate(LINES.split("\n\n")):
        (tmp_path / str(number)).write_text(line)
    found = read([str(tmp_path / "0"), str(tmp_path / "missing"), str(tmp_path / "1")])
    assert (by_id(found.spans), len(found.problems)) == (by_id(SPANS), 1)
