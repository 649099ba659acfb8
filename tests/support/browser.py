"""A real browser without a window, where there is one."""

from __future__ import annotations

import importlib
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def opened(*arguments: str, size: str = "900,1150") -> Iterator[Any]:
    """Open Chromium, driven by Selenium; skip where one of them is not installed.

    Args:
        arguments: Of Chromium, besides what it needs in a container.
        size: Of the window: width and height, in pixels.
    """
    selenium = pytest.importorskip(
        "selenium.webdriver", reason="the page is looked at with selenium: pip install selenium"
    )
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium or no chromedriver here: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={size}", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = importlib.import_module("selenium.webdriver.chrome.service").Service(driver)
    browser = selenium.Chrome(options=options, service=service)
    try:
        yield browser
    finally:
        browser.quit()
