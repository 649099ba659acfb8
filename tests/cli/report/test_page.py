"""The page as a file, and the command that writes it; what a person sees of it is looked at in a browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html.parser
import json
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover.cli.report.entries import entries_in
from otel_failover.cli.report.page import page
from tests.cli.command import run as command
from tests.cli.report.traces import incident, otlp, run

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "</script><script>alert(1)</script><!--\u2028$style ${script}&amp;\ud800'\""


class Parsed(html.parser.HTMLParser):
    """A page's elements, the texts in them, and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.attributes: list[tuple[str, str | None]] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside.append(tag)
        self.texts.setdefault(tag, []).append("")
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        self._inside.remove(tag)

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[self._inside[-1]][-1] += data


def parsed(**facts: Any) -> Parsed:
    views = [*incident(), run(9, run_id="x", description=facts.pop("description", ""))]
    return Parsed(page(entries_in(views), facts.pop("sources", ["spans.jsonl"]), **facts))


def test_nothing_in_the_data_becomes_markup() -> None:
    evil = parsed(description=EVIL, sources=[EVIL], problems=[EVIL])
    calm = parsed()
    assert {tag: len(texts) for tag, texts in evil.texts.items()} == {
        tag: len(texts) for tag, texts in calm.texts.items()
    }
    data = json.loads(evil.texts["script"][0])
    said = EVIL.replace("\ud800", "?")
    assert (data["sources"], data["problems"]) == ([said], [said])
    assert data["entries"][1]["message"] == said.replace("\u2028", " ")
    assert evil.texts["script"][1] == calm.texts["script"][1]


def test_one_script_and_one_style_may_run_and_nothing_be_fetched() -> None:
    found = parsed()
    (policy,) = [
        value or "" for name, value in found.attributes if name == "content" and "default-src" in (value or "")
    ]

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    style, script = digest(found.texts["style"][0]), digest(found.texts["script"][1])
    assert policy == f"default-src 'none'; style-src {style}; script-src {script}"
    assert not [name for name, _ in found.attributes if name in ("src", "href", "style") or name.startswith("on")]
    assert len(found.texts["script"]) == 2


def test_what_the_page_is_given_is_what_the_spans_say() -> None:
    first = json.loads(parsed().texts["script"][0])["entries"][0]
    assert [(row["who"], row["said"]) for row in first["rows"]] == [
        ("gcp.gemini/gemini-2.5-flash", "fallback"),
        ("openai/gpt-5.5", "error 429 billing"),
        ("anthropic/claude-opus-4-7", "error timeout"),
        ("gcp.gemini/gemini-2.5-flash", "success 200"),
    ]
    assert [row["claim"]["source"] for row in first["rows"] if "claim" in row] == ["openai/gpt-5.5"]


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_page_is_written_beside_the_file_it_is_of(tmp_path: Path) -> None:
    (tmp_path / "spans.otlp.jsonl.gz").write_bytes(gzip.compress(otlp(incident()).encode()))
    done = command("report", "spans.otlp.jsonl.gz", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"1 run, 1 mismatch in 5 spans: spans.html\n"
    assert "<title>Failover report: spans.otlp.jsonl.gz</title>" in (tmp_path / "spans.html").read_text("utf-8")


def test_what_cannot_be_read_is_told_and_the_rest_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f"{otlp(incident())}\nnonsense\n")
    done = command("report", "a.jsonl", "missing", "-o", "p.html", "--title", "Tuesday", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == [
        "otel-failover report: a.jsonl:2: it is no JSON (Expecting value)",
        "otel-failover report: missing: No such file or directory",
    ]
    text = (tmp_path / "p.html").read_text("utf-8")
    assert "<title>Tuesday</title>" in text
    assert "a.jsonl:2: it is no JSON" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["missing"], 2, "missing: No such file or directory"),
        (["a.jsonl", "-o", "no/such/place.html"], 1, "no/such/place.html cannot be written: No such file or directory"),
        ([], 2, "the following arguments are required: FILE"),
    ],
)
def test_nothing_is_written_where_it_cannot_be(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    (tmp_path / "a.jsonl").write_text(otlp(incident()))
    done = command("report", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr.decode()
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]
