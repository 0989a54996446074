"""`faceaug clean --review` as a person uses it: the command, and its page in a real browser."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from faceaug.clean import CleanPolicy, clean_folder, undo_clean
from tests.chromium import open_browser
from tests.clean.zoo import celeba, good, jpeg, names, tree

ALL = CleanPolicy(max_remove=1)


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    with open_browser() as driver:
        yield driver


def folder_of(root: Path) -> Path:
    """Groups: 1 and 13, 2 and 14, 3 with 15 and 16; 11 is torn."""
    copies = {"000013.jpg": jpeg(1), "000014.jpg": jpeg(2), "000015.jpg": jpeg(3), "000016.jpg": jpeg(3)}
    return celeba(root, good(*range(1, 13)) | copies | {"000011.jpg": b"torn"}, known=16)


@contextmanager
def reviewing(folder: Path, *more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command, and the address that it prints."""
    words = [sys.executable, "-m", "faceaug", "clean", str(folder), "--review", "--max-remove", "100%", *more]
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, env=os.environ | {"NO_COLOR": "1"})
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        stream = process.stderr if "--json" in more else process.stdout
        url = next((line for line in stream if line.startswith("http")), "").split()[0]
        yield url, process
    finally:
        process.kill()
        process.communicate(timeout=30)


class Page:
    """What a person does with the page."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        driver.get_log("browser")
        driver.get_log("performance")
        driver.get(url)
        self.wait("open")

    def run(self, script: str, *values: object) -> Any:
        return self.driver.execute_script(script, *values)

    def press(self, *keys: str) -> None:
        for key in keys:
            webdriver.ActionChains(self.driver).send_keys(key).perform()

    def click(self, selector: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def wait(self, state: str) -> None:
        WebDriverWait(self.driver, 60).until(lambda _: self.run("return document.body.dataset.state") == state)

    def said(self) -> str:
        found: str = self.run("return document.getElementById('decide-said').textContent")
        return found

    def check(self) -> None:
        """Nothing failed, and nothing was asked of another machine."""
        assert [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"] == []
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        assert {urlsplit(url).hostname for url in asked if not url.startswith(("blob:", "data:"))} == {"127.0.0.1"}


def test_a_group_is_swapped_one_released_applied_and_undone(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    before = tree(folder)
    with reviewing(folder) as (url, process):
        page = Page(chromium, url)
        page.press("j", "s", "j", " ")
        assert tree(folder) == before
        page.click("#decide-apply")
        page.wait("applied")
        assert page.said() == "Done: 4 pictures were set aside (run 0001). Nothing was deleted."
        assert names(folder) == [f"{k:06d}.jpg" for k in (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14)]
        marks = "return [...document.querySelectorAll('.group figcaption b')].slice(0, 4).map((b) => b.textContent)"
        assert page.run(marks) == ["set aside", "stays", "stays", "stays"]
        page.press(" ")
        assert page.run("return document.querySelectorAll('.group button:enabled').length") == 0
        chromium.refresh()
        page.wait("applied")
        assert page.run("return document.querySelectorAll('.group.decided').length") == 2
        page.click("#decide-revert")
        page.wait("open")
        assert page.said() == "Undone: 4 files are as before."
        assert tree(folder) == before
        page.press("j", "u")
        page.click("#decide-apply")
        page.wait("applied")
        page.click("#decide-finish")
        page.wait("ended")
        page.check()
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert f"undo:   faceaug undo {folder}" in said
    assert undo_clean(folder).left == ()
    assert tree(folder) == before


def test_pictures_are_loaded_when_they_are_shown(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    with reviewing(folder) as (url, _):
        page = Page(chromium, url)
        images = "return [...document.images].map((i) => [i.loading, i.complete && i.naturalWidth > 0])"
        WebDriverWait(chromium, 30).until(lambda _: all(done for _, done in page.run(images)))
        assert {loading for loading, _ in page.run(images)} == {"lazy"}
        chromium.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": False},
        )
        assert page.run("return [innerWidth, document.documentElement.scrollWidth <= innerWidth]") == [360, True]
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.check()


def test_a_refusal_is_told_on_the_page_and_nothing_moves(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    with reviewing(folder) as (url, process):
        page = Page(chromium, url)
        (folder / "img_align_celeba" / "000013.jpg").write_bytes(jpeg(99))
        before = tree(folder)
        page.click("#decide-apply")
        page.wait("failed")
        assert "000013.jpg has changed" in page.said()
        assert tree(folder) == before
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "celeba: nothing was applied, and nothing was changed" in said
        page.click("#decide-apply")
        page.wait("failed")
        assert page.said() == "No answer: the command has ended. Run it again."


def test_only_this_machine_is_listened_to_and_json_comes_at_the_end(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    with reviewing(folder, "--json") as (url, process):
        place = urlsplit(url)
        assert place.hostname == "127.0.0.1"
        assert len(place.path) > 30
        assert place.port is not None
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", place.port), timeout=5):
            pass
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert json.loads(said)["dry_run"]
    assert not (folder / ".faceaug").exists()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (good(1, 2, 3), "nothing to repair and nothing to set aside among 3 pictures"),
        (good(1, 2) | {"000003.jpg": b"torn"}, "no duplicates to decide about; run the same without --review"),
    ],
    ids=["clean", "torn"],
)
def test_where_there_is_nothing_to_decide_there_is_no_page(files: dict[str, bytes], said: str, tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", files, known=3)
    before = tree(folder)
    words = [sys.executable, "-m", "faceaug", "clean", str(folder), "--review"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert said in done.stdout
    assert "http" not in done.stdout
    assert tree(folder) == before


def test_the_report_that_was_asked_for_is_of_what_was_applied(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "celeba")
    with reviewing(folder, "--report", str(tmp_path / "made.json")) as (url, process):
        page = Page(chromium, url)
        page.press("j", " ")
        page.click("#decide-apply")
        page.wait("applied")
        page.click("#decide-finish")
        process.communicate(timeout=60)
    found = json.loads((tmp_path / "made.json").read_text())
    assert (found["run"], found["counts"]["byte duplicates"]) == ("0001", 3)
    assert clean_folder(folder, ALL, dry_run=True).byte_duplicates == 1  # what was released is proposed again
