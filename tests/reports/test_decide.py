"""Deciding about groups in a report, in a real browser. Skips where Chromium or selenium is missing."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from faceaug.clean import CleanPolicy, clean_folder, read_decisions
from faceaug.reports.gallery import Choices, Group, Shown
from faceaug.reports.render import render_page
from faceaug.reports.sections import Gallery
from tests.chromium import open_browser
from tests.clean.zoo import good, jpeg, write

ALL = CleanPolicy(max_remove=1)
NARROW = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": False}
GROUPS = 60  # more than a screenful
ODD = 'é "quoted" <script> \udcff.jpg'


class Page:
    """What a person does with a report."""

    def __init__(self, driver: webdriver.Chrome, page: Path) -> None:
        self.driver = driver
        driver.get_log("browser")
        driver.get(page.as_uri())
        self.run("localStorage.clear()")
        driver.get(page.as_uri())

    def run(self, script: str, *values: object) -> Any:
        return self.driver.execute_script(script, *values)

    def press(self, *keys: str) -> None:
        for key in keys:
            webdriver.ActionChains(self.driver).send_keys(key).perform()

    def click(self, selector: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def text(self, selector: str) -> str:
        found: str = self.run("return document.querySelector(arguments[0]).textContent", selector)
        return found

    def marks(self) -> list[str]:
        """What the current group says of its pictures."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll('.group.current figcaption')].map((c) => c.firstChild.textContent)"
        )
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of copies, one of them with an odd name, one of three."""
    root = tmp_path_factory.mktemp("decide")
    for name, data in good(*range(1, GROUPS + 1)).items():
        write(root / "faces" / name, data)
        write(root / "faces" / f"copy-{name}", data)
    write(root / "faces" / "third-000002.jpg", jpeg(2))
    (root / "faces" / "copy-000003.jpg").rename(root / "faces" / ODD)
    report = clean_folder(root / "faces", CleanPolicy(max_remove=1, repair_names=False), dry_run=True)
    (root / "report.html").write_bytes(report.to_html().encode("utf-8", "backslashreplace"))
    return root


@pytest.fixture(scope="module")
def chromium(folder: Path) -> Iterator[webdriver.Chrome]:
    with open_browser() as driver:
        driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder / "downloads")}
        )
        yield driver


@pytest.fixture
def page(chromium: webdriver.Chrome, folder: Path) -> Iterator[Page]:
    chromium.set_window_size(1280, 1000)
    yield Page(chromium, folder / "report.html")
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []


def downloaded(folder: Path) -> Path:
    path = folder / "downloads" / "decisions.json"
    for _ in range(200):
        if path.exists() and path.stat().st_size:
            return path
        time.sleep(0.05)
    raise AssertionError("nothing was downloaded")


def test_keys_walk_keep_all_swap_and_take_back(page: Page) -> None:
    assert page.text("#decide-sum") == f"{GROUPS + 1} pictures leave. {GROUPS} groups to look at."
    page.press("j", "j")
    assert page.marks() == ["stays", "would be set aside", "would be set aside"]
    page.press(" ")
    assert page.marks() == ["stays", "stays", "stays"]
    assert page.text("#decide-sum").startswith(f"{GROUPS - 1} pictures leave.")
    page.press(" ")
    assert page.marks() == ["stays", "would be set aside", "would be set aside"]
    page.press("s", "s")
    assert page.marks() == ["would be set aside", "would be set aside", "stays"]
    assert page.text("#decide-said") == "000002.jpg: third-000002.jpg stays, 2 leave"
    page.press("s", "k", " ")
    assert page.marks() == ["stays", "stays"]
    page.press("u")
    assert page.marks() == ["stays", "would be set aside"]
    page.press("u", "u")
    assert page.marks() == ["would be set aside", "stays", "would be set aside"]
    assert page.text("#decide-said") == "taken back: 000002.jpg: copy-000002.jpg stays, 2 leave"


def test_walking_turns_the_page_and_taking_back_returns_to_the_group(page: Page) -> None:
    page.press(*"j" * 51)
    assert "51 to 60 of 60" in page.text("#groups-at")
    assert page.run("return document.activeElement.classList.contains('current')")
    page.press("k")
    assert "1 to 50 of 60" in page.text("#groups-at")
    page.press(" ", *"j" * 2, "u")
    assert "1 to 50 of 60" in page.text("#groups-at")
    assert page.run("return document.activeElement.dataset.at") == "49"
    page.press(*"j" * 20)
    assert page.text("#decide-said") == "this is the last group"


def test_keys_are_letters_in_the_search_and_buttons_work_with_the_keyboard(page: Page) -> None:
    page.driver.find_element(By.ID, "groups-find").send_keys("jksu ")
    assert page.text("#decide-sum").startswith(f"{GROUPS + 1} pictures leave.")
    page.driver.find_element(By.ID, "groups-find").clear()
    page.run("const f = document.getElementById('groups-find'); f.value = ''; f.oninput()")
    page.press("j", Keys.TAB)
    assert page.run("return document.activeElement.className") == "keep-all"
    page.press(" ")
    assert page.run("return document.activeElement.getAttribute('aria-pressed')") == "true"
    assert page.marks() == ["stays", "stays"]


def test_the_saved_file_is_what_python_reads_and_obeys(page: Page, folder: Path) -> None:
    page.press("j", "s", "j", " ", "j", "s")
    page.click("#decide-save")
    path = downloaded(folder)
    decisions = read_decisions(path)
    plan = clean_folder(folder / "faces", CleanPolicy(max_remove=1, repair_names=False), dry_run=True)
    assert decisions == plan.decisions().keep("copy-000001.jpg").release("000002.jpg").keep(ODD)
    report = clean_folder(folder / "faces", CleanPolicy(max_remove=1, repair_names=False), decisions=path, dry_run=True)
    assert report.set_aside[0].name == "000001.jpg"
    assert len(report.set_aside) == GROUPS - 1
    path.unlink()


def test_the_copied_text_is_the_file(page: Page, folder: Path) -> None:
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    page.press("j", " ")
    page.click("#decide-copy")
    time.sleep(0.2)
    assert page.text("#decide-said") == "the content of decisions.json is in the clipboard"
    text = page.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    (folder / "pasted.json").write_text(text, "utf-8")
    assert read_decisions(folder / "pasted.json").counts() == {"keep": GROUPS - 1, "swap": 0, "release": 1}


def test_decisions_survive_a_reload_and_start_over_can_be_taken_back(page: Page, folder: Path) -> None:
    page.press("j", "s", "j", " ")
    page.driver.get((folder / "report.html").as_uri())
    assert "another picture stays in 1, all stay in 1" in page.text("#decide-sum")
    page.click("#decide-reset")
    assert f"{GROUPS} groups to look at" in page.text("#decide-sum")
    page.click("#decide-back")
    assert "another picture stays in 1, all stay in 1" in page.text("#decide-sum")


def test_groups_that_are_only_reported_cannot_be_decided_about(page: Page, folder: Path) -> None:
    shown = folder / "one.html"
    group = Group((Shown("a.jpg", None), Shown("b.jpg", None)), ("mirror images, stay",))
    pair = Group((Shown("c.jpg", None), Shown("d.jpg", None, stays=False)), ("same bytes",), choice=0, fixed=True)
    document = {"groups": [{"decision": "keep", "stays": "c.jpg", "pictures": [{"name": "c.jpg"}, {"name": "d.jpg"}]}]}
    choices = Choices(document, "decisions.json", ["faceaug clean x"], 1, "leaves")
    shown.write_text(render_page("x", [Gallery([group, pair], choices)]), "utf-8")
    page.driver.get(shown.as_uri())
    page.press("j", " ")
    assert page.text("#decide-said") == "nothing to decide here: these pictures were only reported"
    page.press("j", "s")
    assert page.text("#decide-said") == "c.jpg has to stay; space keeps all"
    assert page.run("return document.querySelectorAll('.group .keep').length") == 0
    page.press(" ")
    assert page.text("#decide-sum").startswith("0 pictures leave.")
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page.driver.get(shown.as_uri())
    bar = page.driver.find_element(By.ID, "decide").is_displayed()
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert not bar


def test_every_control_has_a_name_and_shows_the_focus(page: Page) -> None:
    nameless = """return [...document.querySelectorAll('button, input, select, .group')].filter((e) =>
      !(e.getAttribute('aria-label') || e.textContent || '').trim()).map((e) => e.outerHTML)"""
    assert page.run(nameless) == []
    names = page.run("return [...document.querySelectorAll('.group:first-child button')].map((b) => b.ariaLabel)")
    assert names == ["keep all 2 pictures of this group", "keep 000001.jpg", "keep copy-000001.jpg"]
    page.press("j")
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.run("return document.activeElement.ariaLabel") == "000001.jpg: 000001.jpg stays, 1 leaves"
    page.press(Keys.TAB)
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_narrow_screen_does_not_scroll_sideways(page: Page) -> None:
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", NARROW)
    try:
        page.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        assert page.run("return [innerWidth, document.documentElement.scrollWidth <= innerWidth]") == [360, True]
        beyond = """return [...document.querySelectorAll('body *')].filter((e) => !e.closest('.scroll, pre')
          && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"""
        assert page.run(beyond) == []
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_paper_shows_the_decisions_and_no_buttons(page: Page) -> None:
    page.press("j", " ")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    visible = "return [...document.querySelectorAll('button')].filter((b) => b.checkVisibility()).length"
    assert page.run(visible) == 0
    assert page.marks() == ["stays", "stays"]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    pdf = base64.b64decode(page.driver.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.count(b"/Subtype /Image") >= GROUPS
