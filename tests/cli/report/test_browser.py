"""The page as a person sees and uses it, in a real browser: with a mouse, with the keyboard alone, dark, and on paper."""

from __future__ import annotations

import base64
import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover.cli.drawing.span_view import EventView
from otel_failover.cli.report.entries import entries_in
from otel_failover.cli.report.page import page
from tests.cli.report.traces import candidate, incident, run
from tests.support.browser import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

FINDING = EventView(
    "failover.finding.retry_storm", {"failover.finding.rule": "retry_storm", "failover.finding.sentence": "5"}
)
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened(size="1300,900") as found:
        yield found


@pytest.fixture
def at(browser: Any, tmp_path: Path) -> Any:
    """The page, open: an incident, a run that nobody answered, and one that its first candidate served."""
    views = [
        *incident(),
        *(replace(each, trace_id=f"{2:032x}", start=each.start + 10**9, end=each.end + 2 * 10**9) for each in (
            run(11, run_id="b", outcome="exhausted", description=EVIL, events=(FINDING,)),
            candidate(12, 11, "mistral_ai/large", run_id="b", failover__reason__code="timeout"))),
        *(replace(each, trace_id=f"{3:032x}", start=each.start + 2 * 10**9, end=each.end + 2 * 10**9) for each in (
            run(21, run_id="c", outcome="primary"), candidate(22, 21, "openai/gpt-5.5", "success", run_id="c"))),
    ]  # fmt: skip
    path = tmp_path / "page.html"
    path.write_text(page(entries_in(views), ["spans.jsonl"], ["spans.jsonl:7: it is no JSON"]), encoding="utf-8")
    browser.get(path.as_uri())
    return browser


def seen(page: Any) -> list[str]:
    """The outcomes of the entries that are shown."""
    return [item.find_element("css selector", ".head > :last-child > :first-child").text
            for item in page.find_elements("css selector", ".incident") if item.is_displayed()]  # fmt: skip


def keys(page: Any, *pressed: str) -> None:
    actions = importlib.import_module("selenium.webdriver.common.action_chains").ActionChains(page)
    actions.send_keys(*pressed).perform()


@pytest.mark.slow
def test_what_somebody_was_paged_for_is_open_with_claim_and_evidence(at: Any) -> None:
    (detail,) = at.find_elements("css selector", ".detail")
    claim = detail.find_element("css selector", ".claim").text
    assert "carries openai/gpt-5.5's error (stale_error, bound by text)" in claim
    assert "429 quota “You exceeded your current quota" in claim
    assert "own evidence\nno response in 123.0 s (timeout)" in claim
    detail.find_element("css selector", ".claim button").click()
    assert "candidate openai/gpt-5.5" in at.find_element("css selector", ".pointed").text
    assert "3 runs, 1 mismatch" in at.find_element("id", "summary").text
    assert at.find_element("id", "problems").text == "not read: spans.jsonl:7: it is no JSON"
    keep(at, "report")


@pytest.mark.slow
def test_foreign_texts_are_texts(at: Any) -> None:
    for head in at.find_elements("css selector", ".head")[1:]:
        head.click()
    assert EVIL in at.find_element("id", "incidents").text
    assert at.title.startswith("Failover report")
    assert at.get_log("browser") == []  # no error of ours, and nothing that the policy had to stop


@pytest.mark.slow
def test_each_filter_leaves_what_fits(at: Any) -> None:
    ui = importlib.import_module("selenium.webdriver.support.ui")
    assert seen(at) == ["fallback", "exhausted", "primary"]
    for name, choice, left in (
        ("provider", "mistral_ai", ["exhausted"]),
        ("provider", "openai", ["fallback", "primary"]),
        ("outcome", "primary", ["primary"]),
        ("rule", "stale_error", ["fallback"]),
        ("rule", "retry_storm", ["exhausted"]),
    ):
        ui.Select(at.find_element("id", name)).select_by_value(choice)
        assert seen(at) == left, (name, choice)
        at.find_element("css selector", "button[type=reset]").click()
        ui.WebDriverWait(at, 5).until(lambda page: len(seen(page)) == 3)
    at.find_element("id", "lies").click()
    assert seen(at) == ["fallback"]
    at.find_element("id", "text").send_keys("nobody has said this")
    assert seen(at) == []
    assert at.find_element("id", "none").text == "Nothing fits these filters."


@pytest.mark.slow
def test_it_works_by_the_keyboard_alone(at: Any) -> None:
    ui = importlib.import_module("selenium.webdriver.support.ui")
    keys(at, "/", "mistral")
    assert seen(at) == ["exhausted"]
    key = importlib.import_module("selenium.webdriver.common.keys").Keys
    keys(at, key.ESCAPE)
    ui.WebDriverWait(at, 5).until(lambda page: len(seen(page)) == 3)
    keys(at, "j", "j")
    assert "exhausted" in at.switch_to.active_element.text
    keys(at, key.ENTER)
    assert at.switch_to.active_element.get_attribute("aria-expanded") == "true"
    keys(at, "k", "c")
    copied = at.find_elements("css selector", "textarea")
    said = at.execute_script("return document.querySelector('.detail .tools button').textContent")
    assert said == "Copied" or "carries openai/gpt-5.5's error" in copied[0].get_attribute("value")


@pytest.mark.slow
def test_every_control_has_a_name_and_both_themes_can_be_read(at: Any) -> None:
    controls = at.find_elements("css selector", "select, textarea, input, button")
    assert all(each.accessible_name for each in controls if each.is_displayed())

    def contrast() -> float:
        colours = at.execute_script(
            "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
        )
        light = sorted(luminance(each) for each in colours)
        return (light[1] + 0.05) / (light[0] + 0.05)

    before = contrast()
    at.find_element("id", "theme").click()
    assert min(before, contrast()) > 7
    keep(at, "report-other-theme")


def luminance(colour: str) -> float:
    parts = [int(each) / 255 for each in colour[4:-1].split(",")]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.slow
def test_of_many_so_many_are_drawn_as_can_be_looked_at(browser: Any, tmp_path: Path) -> None:
    views = [replace(each, trace_id=f"{trace:032x}") for trace in range(1, 402) for each in incident(f"r{trace}")]
    path = tmp_path / "page.html"
    path.write_text(page(entries_in(views), ["spans.jsonl"]), encoding="utf-8")
    browser.get(path.as_uri())
    assert "401 runs, 401 mismatches" in browser.find_element("id", "summary").text
    left = []
    while browser.find_element("id", "more").is_displayed():
        left.append((len(seen(browser)), browser.find_element("id", "more").text))
        browser.find_element("id", "more").click()
    assert left == [(200, "201 more"), (400, "1 more")]
    assert len(seen(browser)) == 401


@pytest.mark.slow
def test_on_paper_all_that_is_shown_is_open(at: Any) -> None:
    printed = base64.b64decode(at.print_page())
    assert printed.startswith(b"%PDF")
    assert len(at.find_elements("css selector", ".detail")) == 3


def keep(page: Any, name: str) -> None:
    """Keep a picture where somebody wants to look at it."""
    folder = os.environ.get("FAILOVER_PICTURES")
    if folder:
        page.save_screenshot(str(Path(folder) / f"{name}.png"))
