"""Reports in a real browser: on a narrow screen and on paper. Skips where Chromium or selenium is missing."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver

from faceaug.reports.render import render_page
from faceaug.reports.sections import Gallery
from tests.chromium import open_browser
from tests.reports.blocks import EVIL, GROUPS, LONG, every_block, pictures

NARROW = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": False}
BEYOND = """return [...document.querySelectorAll('body *')].filter((e) => !e.closest('.scroll, pre')
  && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A page with every kind of block, on a screen 360 pixels wide."""
    folder = tmp_path_factory.mktemp("pictures")
    blocks = [block for text in (EVIL, LONG) for block in every_block(text) if not isinstance(block, Gallery)]
    page = folder / "report.html"
    page.write_text(render_page(LONG, [*blocks, pictures(folder)]), "utf-8")
    with open_browser() as driver:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", NARROW)
        driver.get(page.as_uri())
        yield driver


def test_a_narrow_screen_does_not_scroll_sideways(browser: webdriver.Chrome) -> None:
    browser.execute_script("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    width, window = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert window == 360
    assert browser.execute_script(BEYOND) == []
    assert width <= window
    browser.execute_script("document.querySelectorAll('details').forEach((details) => { details.open = false; })")


def test_nothing_in_a_page_fails_or_asks_for_another_file(browser: webdriver.Chrome) -> None:
    assert browser.get_log("browser") == []
    assert (
        browser.execute_script(
            "return performance.getEntriesByType('resource').map((e) => e.name)"
            ".filter((name) => !name.startsWith('data:'))"
        )
        == []
    )


def test_groups_are_drawn_a_screenful_at_a_time_and_found_by_name(browser: webdriver.Chrome) -> None:
    count = "return document.querySelectorAll('.group').length"
    assert browser.execute_script(count) == 50
    assert "1 to 50 of 60" in browser.execute_script("return document.getElementById('groups-at').textContent")
    find = "const f = document.getElementById('groups-find'); f.value = arguments[0]; f.oninput();"
    browser.execute_script(find, "118.PNG")
    assert browser.execute_script(count) == 1
    browser.execute_script(find, "")
    assert browser.execute_script(count) == 50


def test_paper_holds_every_picture_and_what_is_folded(browser: webdriver.Chrome) -> None:
    pdf = base64.b64decode(
        browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})["data"]
    )
    # Those of the gallery, and seven in other blocks, one of them folded.
    assert pdf.count(b"/Subtype /Image") == 2 * GROUPS + 7
    assert browser.execute_script("return document.querySelectorAll('details[open]').length") == 0  # folded again
    assert browser.execute_script("return document.querySelectorAll('.group').length") == 50
