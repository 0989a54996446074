"""The page in a real browser: headless Chromium, driven by selenium. Skips where either is missing."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

import numpy as np
import uvicorn
from numpy.typing import NDArray
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from faceaug.serve import Engine
from faceaug.serve.app import create_app
from faceaug.synthesize import load_model
from faceaug.synthesize.weights import DEFAULT_MODEL
from tests.serve.conftest import bundled, pixels

WIDTHS = (360, 1280, 2560)


def serve(engine: Engine, start: str = "") -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = uvicorn.Server(
            uvicorn.Config(create_app(engine, host="127.0.0.1", start=start), log_level="warning", ws="none")
        )
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[door])))
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}/"
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    yield from serve(bundled())


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    browser, remote = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not remote:
        pytest.skip("chromium and chromedriver are not both installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(remote))
    driver.set_window_size(1280, 1200)
    yield driver
    driver.quit()


class Page:
    """What a person does with the page."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        driver.get_log("browser")
        driver.get_log("performance")
        driver.get(url)
        self.requests: list[str] = []
        self.settled()

    def find(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def settled(self, before: str = "") -> str:
        """Wait until faces and walk are there, other than before; which."""
        script = "return document.body.dataset.walk"
        WebDriverWait(self.driver, 60).until(lambda _: (self.run(script) or before) != before)
        found: str = self.run(script)
        return found

    def change(self, act: Any) -> str:
        before = self.run("return document.body.dataset.walk")
        act()
        return self.settled(before)

    def picture(self, selector: str = "#grid canvas") -> str:
        found: str = self.run(f"return document.querySelector('{selector}').toDataURL()")
        return found

    def at_rest(self) -> str:
        """The picture when no answer is awaited any more and nothing melts into another, which takes 0.3 s."""
        WebDriverWait(self.driver, 60).until(lambda _: not self.find("#generate").get_attribute("aria-busy"))
        looks = ["", self.picture()]
        while looks[-1] != looks[-2]:
            time.sleep(0.5)
            looks.append(self.picture())
        return looks[-1]

    def faces(self) -> NDArray[np.int16]:
        """All faces as they are shown: (n, H, W, 3)."""
        found = self.run("return [...document.querySelectorAll('#grid canvas')].map((face) => face.toDataURL())")
        return np.stack([pixels(base64.b64decode(url.partition(",")[2])) for url in found]).astype(np.int16)

    def sent(self) -> list[str]:
        """Addresses requested since the last look."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def page(chromium: webdriver.Chrome, url: str) -> Iterator[Page]:
    made = Page(chromium, url)
    yield made
    assert made.errors() == []
    elsewhere = [u for u in made.sent() if urlsplit(u).hostname != "127.0.0.1" and not u.startswith(("blob:", "data:"))]
    assert elsewhere == []


def test_a_click_makes_faces_and_the_next_one_others(page: Page) -> None:
    assert len(page.driver.find_elements(By.CSS_SELECTOR, ".face")) == 24
    first = page.picture()
    page.change(page.find("#generate").click)
    second = page.picture()
    page.change(page.find("#generate").click)
    assert len({first, second, page.picture()}) == 3


def test_the_same_seed_is_the_same_faces(page: Page) -> None:
    def with_seed(seed: str) -> str:
        page.find("#seed").clear()
        page.find("#seed").send_keys(seed)
        page.change(page.find("#generate").click)
        return page.picture()

    first, other = with_seed("9223372036854775807"), with_seed("8")
    assert first == with_seed("9223372036854775807") != other
    with urlopen(page.find("#get-png").get_attribute("href")) as answer:
        assert answer.headers["X-Faceaug-Seed"] == "9223372036854775807"


def test_a_seed_can_be_kept(page: Page) -> None:
    before = page.picture()
    page.find("#keep").click()
    page.find("#generate").click()
    assert page.at_rest() == before
    page.find("#keep").click()
    page.change(page.find("#generate").click)
    assert page.picture() != before


def test_the_slider_changes_the_picture_and_makes_no_request(page: Page) -> None:
    page.sent()
    seen = set()
    for value in range(0, 1001, 50):
        page.run(
            f"const s = document.getElementById('slider'); s.value = {value};"
            "s.dispatchEvent(new Event('input', {bubbles: true}))"
        )
        seen.add(page.picture("#walk"))
    assert len(seen) == 21
    assert page.sent() == []


def test_another_face_moves_the_end_of_the_walk(page: Page) -> None:
    faces = page.driver.find_elements(By.CSS_SELECTOR, ".face")
    walk = page.change(faces[5].click)
    assert walk.endswith(":1-5")
    assert (faces[1].get_attribute("data-end"), faces[5].get_attribute("data-end")) == ("A", "B")
    assert "face=5" in page.find("#get-to").get_attribute("href")


def test_play_walks_by_itself_and_stops(page: Page) -> None:
    page.find("#play").click()
    first = page.picture("#walk")
    time.sleep(0.4)
    assert page.picture("#walk") != first
    page.find("#play").click()
    still = page.picture("#walk")
    time.sleep(0.3)
    assert page.picture("#walk") == still


def test_the_downloads_are_the_faces_on_the_page(page: Page) -> None:
    with urlopen(page.find("#get-zip").get_attribute("href")) as answer:
        archive = zipfile.ZipFile(io.BytesIO(answer.read()))
    assert archive.testzip() is None
    with urlopen(page.find("#get-from").get_attribute("href")) as answer:
        assert answer.read() == archive.read("000000.png")
    assert len(archive.namelist()) == 25


def test_it_can_all_be_done_with_the_keyboard(page: Page) -> None:
    page.find("#n").send_keys(Keys.CONTROL, "a")
    page.change(lambda: page.find("#n").send_keys("9", Keys.ENTER))
    faces = page.driver.find_elements(By.CSS_SELECTOR, ".face")
    assert len(faces) == 9
    faces[0].send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.driver.switch_to.active_element == faces[2]
    assert page.change(lambda: faces[2].send_keys(Keys.ENTER)).endswith(":1-2")
    before = page.picture("#walk")
    page.find("#slider").send_keys(Keys.HOME)
    assert page.picture("#walk") != before
    faces[2].send_keys(Keys.TAB)
    assert page.driver.switch_to.active_element == page.find("#play")


def test_every_control_has_a_name(page: Page) -> None:
    unnamed = page.run("""
        return [...document.querySelectorAll("input, select, button, a, canvas[role]")].filter((e) =>
            !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map((e) => e.outerHTML)""")
    assert unnamed == []


def test_a_wrong_seed_is_named_beside_the_button(page: Page) -> None:
    page.run("document.getElementById('seed').removeAttribute('pattern')")
    page.find("#seed").send_keys("99999999999999999999"[:19])
    page.find("#generate").click()
    WebDriverWait(page.driver, 20).until(lambda _: page.find("#status").text.startswith("seed:"))
    assert page.find("#seed").get_attribute("aria-invalid") == "true"
    assert len(page.errors()) == 1  # the browser's own line about the answer 400


def test_another_model_makes_other_faces(page: Page) -> None:
    before = page.picture()
    page.change(lambda: page.find("#model option:last-child").click())
    assert page.picture() != before
    assert page.find("#model-name").text == "dcgan-32-report"
    assert "cannot be asked" in page.find("#no-wishes").text


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_fits_from_a_phone_to_a_wall_in_both_schemes(page: Page, scheme: str) -> None:
    driver = page.driver
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    for width in (*WIDTHS, 3840):
        size = {"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        assert page.run("return document.documentElement.scrollWidth") <= width
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    ground = page.run("return getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, ground[4:-1].split(","))) < 60) == (scheme == "dark")


def test_it_works_as_a_form_without_script(chromium: webdriver.Chrome, url: str) -> None:
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chromium.get(url)
        chromium.find_element(By.ID, "seed").send_keys("7")
        chromium.find_element(By.ID, "generate").click()
        WebDriverWait(chromium, 20).until(lambda d: "seed=7" in d.current_url)
        picture = chromium.find_element(By.CSS_SELECTOR, "img.sprite")
        WebDriverWait(chromium, 20).until(lambda _: int(picture.get_property("naturalWidth")) == 5 * 32)
        assert not chromium.find_element(By.ID, "slider").is_displayed()
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.fixture
def switched(chromium: webdriver.Chrome, conditional_model: Path) -> Iterator[Page]:
    loaders = {"dcgan-32": "dcgan-32", DEFAULT_MODEL: conditional_model}
    engine = Engine({name: partial(load_model, model) for name, model in loaders.items()})
    calm = [{"name": "prefers-reduced-motion", "value": "reduce"}]  # no fading: a picture is there or it is not
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": calm})
    for url in serve(engine, start=DEFAULT_MODEL):
        page = Page(chromium, url)
        yield page
        assert page.errors() == []
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def alike(one: NDArray[np.int16], other: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which faces are the same: (n,). Browsers enlarge pictures in more than one way, a grey level or two apart."""
    return (np.abs(one - other) <= 3).all(axis=(1, 2, 3))


def ask_for(page: Page, name: str, value: str) -> tuple[NDArray[np.int16], list[dict[str, list[str]]]]:
    """Switch an attribute; the picture then, and what was asked for it."""
    page.sent()
    radio = page.find(f"input[data-wish={name}][value='{value}']")
    page.change(lambda: page.driver.execute_script("arguments[0].click()", radio))
    return page.faces(), [parse_qs(urlsplit(sent).query) for sent in page.sent() if "/api/faces" in sent]


def test_a_switch_changes_the_request_and_the_picture_of_the_same_faces(switched: Page) -> None:
    before, seed = switched.faces(), switched.run("return document.getElementById('facts').textContent")
    smiling, (faces, walk) = ask_for(switched, "Smiling", "1")
    assert (faces["attributes"], faces["unasked"], faces["model"]) == (["Smiling:1"], ["kept"], [DEFAULT_MODEL])
    assert walk["attributes"] == ["Smiling:1"]
    serious, (faces, _) = ask_for(switched, "Smiling", "-1")
    assert faces["attributes"] == ["Smiling:-1"]
    changed = [~alike(one, other) for one, other in ((before, smiling), (before, serious))]
    assert (changed[0] != changed[1]).all()  # each face smiled or did not: one of the two is the face as it was
    assert changed[0].any()
    assert changed[1].any()
    assert alike(ask_for(switched, "Smiling", "")[0], before).all()
    glasses, (faces, _) = ask_for(switched, "Eyeglasses", "1")
    assert faces["attributes"] == ["Eyeglasses:1"]
    assert not alike(glasses, before).all()
    assert switched.run("return document.getElementById('facts').textContent") == seed


def test_rarer_switches_are_folded_away_and_all_can_be_taken_back(switched: Page) -> None:
    assert len(switched.driver.find_elements(By.CSS_SELECTOR, ".wish")) == 40
    assert len([wish for wish in switched.driver.find_elements(By.CSS_SELECTOR, ".wish") if wish.is_displayed()]) == 8
    assert not switched.find("#no-wish").is_displayed()
    before = switched.faces()
    ask_for(switched, "Bald", "1")
    ask_for(switched, "Male", "-1")
    switched.change(switched.find("#no-wish").click)
    assert alike(switched.faces(), before).all()
    assert not switched.find("#no-wish").is_displayed()


def test_a_link_opens_the_same_faces_with_their_switches(switched: Page) -> None:
    ask_for(switched, "Bald", "1")
    smiling, _ = ask_for(switched, "Smiling", "1")
    again = Page(switched.driver, switched.find("#get-link").get_attribute("href"))
    assert alike(again.faces(), smiling).all()
    assert again.run("return document.getElementById('more').open")
    assert again.find("input[data-wish=Bald][value='1']").is_selected()


def test_switches_are_remembered_beside_a_model_that_takes_none(switched: Page) -> None:
    glasses, _ = ask_for(switched, "Eyeglasses", "1")
    switched.find("#keep").click()
    switched.change(lambda: switched.find("#model option:first-child").click())
    assert "cannot be asked" in switched.find("#no-wishes").text
    assert "attributes" not in switched.find("#get-png").get_attribute("href")
    switched.change(lambda: switched.find("#model option:last-child").click())
    assert alike(switched.faces(), glasses).all()
