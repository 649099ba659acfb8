"""The documents as a whole: every link leads somewhere, every page is found, and the README is short."""

from __future__ import annotations

import posixpath
import re
from datetime import date
from typing import TYPE_CHECKING, Final

import pytest

import otel_failover
from tests.docs import package
from tests.docs.pages import DOCS, PAGES, README, ROOT, SITE, plain, words

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION: Final = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
QUESTIONS: Final = [
    "Who really failed?",
    "My loop is not in the table?",
    "What does it cost?",
    "How do I alert?",
    "Where do my prompts go?",
    "How do I test my own loop?",
]
"""What the README answers, each under a heading that says so."""
LANGUAGES: Final = {"python", "sh", "yaml", "promql", "text"}
"""All blocks of the first four are run or compared; those of the last are in `TEXTS`."""
TEXTS: Final = {
    "README.md": 2,  # what no code prints; the annotated trace
    "docs/quickstart.md": 1,  # what no code prints
    "docs/loops/inferred.md": 1,  # the tree
    "docs/reference/spans.md": 1,  # the tree
    "docs/contributing/architecture.md": 1,  # the layout
    "docs/try-your-loop.md": 1,  # what is said of a case
}
"""How many blocks of plain text a page has, all of them compared with what there is."""
COMPARED: Final = {
    "README.md": {"library"},
    "docs/contributing/add-a-loop.md": {"the framework's function"},
    "docs/contributing/architecture.md": {"question"},
    "docs/contributing/words.md": {"old", "word"},
    "docs/cost.md": {"case", "counted", "figure", "what"},
    "docs/loops/configured.md": {"name"},
    "docs/loops/library.md": {"library"},
    "docs/operations.md": {"level"},
    "docs/reference/api.md": {"name", "member", "field", "command"},
    "docs/reference/findings.md": {"finding"},
    "docs/reference/metrics.md": {"metric"},
    "docs/reference/reasons.md": {"reason"},
    "docs/reference/rules.md": {"rule"},
    "docs/reference/settings.md": {"setting"},
    "docs/reference/spans.md": {"attribute", "provider"},
    "docs/reference/support.md": {"library", "SDK"},
    "docs/summary.md": {"key", "reason"},
    "docs/testing.md": {"kind", "answer", "attribute"},
    "docs/try-your-loop.md": {"field", "option", "verdict", "case"},
}
"""Tables that are compared with the code, by the first cell of their head."""
PROSE: Final = {
    "CONTRIBUTING.md": {"what"},  # its commands are checked as all that stand in a sentence
    "docs/beside-other-telemetry.md": {"whose span"},
    "docs/contributing/words.md": {"old word"},
    "docs/index.md": {"you want to", "question"},
    "docs/loops/inferred.md": {"framework"},
    "docs/privacy.md": {"what"},
    "docs/promises.md": {"level"},
    "docs/reference/rules.md": {"where a span stands"},
    "docs/watch.md": {"what"},
    "docs/why.md": {"from the root of the repository"},  # the same
    "examples/fastapi_chat/README.md": {"channel"},
    "examples/fix_your_loop/README.md": {"from the root of the repository"},
    "examples/ops/README.md": {"file"},
}
"""Tables that are sentences in columns: nothing in the code to hold them against but for their links and words."""


def test_the_readme_is_read_in_one_look() -> None:
    assert len(README.text.splitlines()) <= 200


def test_the_readme_answers_each_question_under_a_heading_of_its_own() -> None:
    assert [each for each in re.findall(r"^## (.+)$", README.prose, re.MULTILINE) if each.endswith("?")] == QUESTIONS


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_of_the_readme_takes_thirty_seconds(question: str) -> None:
    """At 250 words a minute; blocks of code and links' targets are not read aloud."""
    answer = re.sub(r"\]\([^)]+\)", "]", README.section(question))
    assert 10 < len(re.findall(r"\w[\w'.-]*", answer)) <= 125


def test_every_page_is_in_the_navigation_once() -> None:
    named = re.findall(r"^ +- .+: ([\w/-]+\.md)$", CONFIGURATION.split("\nnav:\n")[1], re.MULTILINE)
    assert sorted(named) == sorted(page.removeprefix("docs/") for page in SITE)


@pytest.mark.parametrize("name", PAGES)
def test_what_is_linked_to_is_there(name: str) -> None:
    for link in PAGES[name].links:
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) if target else name
        assert (ROOT / path).exists(), link
        if anchor:
            assert anchor in PAGES[path].anchors, link
        if name in SITE:
            assert path.startswith("docs/"), f"{link} is not part of the site"


@pytest.mark.parametrize("name", PAGES)
def test_a_link_that_leaves_is_to_a_document_that_stays(name: str) -> None:
    """No page depends on a host but for the two standards that the changelog names."""
    outside = [link for link in PAGES[name].links if "://" in link]
    assert all(link.startswith(("https://keepachangelog.com/", "https://semver.org/")) for link in outside)


def test_every_block_of_code_is_of_a_kind_that_is_tested() -> None:
    for name, each in PAGES.items():
        assert set(each.languages) <= LANGUAGES, name
        assert each.text.count("```") == 2 * len(each.languages), name
    texts = {name: len(each.blocks("text")) for name, each in PAGES.items() if each.blocks("text")}
    assert texts == TEXTS


def test_every_table_is_compared_or_known_to_be_prose() -> None:
    for name, each in PAGES.items():
        heads = {table[0][0] for table in each.tables()}
        assert heads == COMPARED.get(name, set()) | PROSE.get(name, set()), name


def test_the_changelogs_newest_version_is_the_packages() -> None:
    (version, day), *_ = re.findall(r"^## \[(\d[^]]*)\] - (\S+)$", PAGES["CHANGELOG.md"].text, re.MULTILINE)
    assert version == otel_failover.__version__
    assert date.fromisoformat(day)


def test_the_deprecation_policy_is_three_sentences() -> None:
    text = " ".join(SITE["docs/reference/api.md"].section("What is public").split())
    policy = text.partition("**Deprecation.** ")[2]
    assert len(re.findall(r"\.(?: |$)", policy)) == 3


def test_the_providers_that_a_page_names_are_spelled_as_the_code_does() -> None:
    spans = SITE["docs/reference/spans.md"]
    (sentence,) = re.findall(r"Provider values are OpenTelemetry's \(([^)]+)\)", spans.prose)
    assert set(words(sentence)) <= package.PROVIDERS
    table = {plain(row[0]): words(row[1]) for row in spans.rows("Providers")}
    assert list(table) == sorted(package.PROVIDERS)
    for provider, hosts in table.items():
        theirs = [host for host, known in package.HOSTS.items() if known == provider]
        assert [host for host in hosts if host in theirs or host.startswith("*")] == theirs
    gateways = words(spans.section("Providers").partition("A gateway")[2].partition("Whose a call is")[0])
    assert set(gateways) - {"gateways"} == package.GATEWAYS


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="needs mkdocs-material")
    commands, config = (pytest.importorskip(f"mkdocs.{name}") for name in ("commands.build", "config"))
    commands.build(config.load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path)))
    built = {path.relative_to(tmp_path).with_suffix(".md").as_posix() for path in tmp_path.rglob("*.html")}
    assert built - {"404.md"} == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    pages = "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html"))
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//[^"]+"', pages), (
        "fetched from elsewhere"
    )
