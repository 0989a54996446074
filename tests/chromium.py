"""A real browser for the tests: headless Chromium, driven by selenium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver


@contextmanager
def open_browser(*arguments: str) -> Iterator[webdriver.Chrome]:
    """Chromium; skips where it or its driver is missing."""
    browser, remote = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not remote:
        pytest.skip("chromium and chromedriver are not both installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(remote))
    driver.set_window_size(1280, 1200)
    try:
        yield driver
    finally:
        driver.quit()
