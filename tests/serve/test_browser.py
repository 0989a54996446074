"""The page in a real browser: headless Chromium, driven by selenium. Skips where either is missing."""

from __future__ import annotations

import asyncio
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

import numpy as np
from numpy.typing import NDArray
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from faceaug.serve import Engine
from faceaug.serve.app import ASGI, Receive, Scope, Send
from faceaug.synthesize import load_model
from faceaug.synthesize.weights import DEFAULT_MODEL
from tests.serve.browser import Page, open_browser, serve
from tests.serve.conftest import bundled

WIDTHS = (360, 1280, 2560)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    yield from serve(bundled())


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    with open_browser() as driver:
        yield driver


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


def test_a_wrong_seed_is_reported_below_the_button(page: Page) -> None:
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
    assert "trained without attributes" in page.find("#no-wishes").text


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


@contextmanager
def screen(driver: webdriver.Chrome, width: int, *features: tuple[str, str]) -> Iterator[None]:
    """A screen of this width; below 500 px no window is as narrow."""
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = [{"name": name, "value": value} for name, value in features]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    try:
        yield
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


class Gate:
    """Stands before the application and holds requests for faces, or fails them."""

    def __init__(self) -> None:
        self.open, self.broken = threading.Event(), False

    def __call__(self, app: ASGI) -> ASGI:
        async def held(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] == "/api/faces":
                await asyncio.to_thread(self.open.wait, 60)
                if self.broken:
                    raise ConnectionError("the answer is lost")
            await app(scope, receive, send)

        return held


@pytest.fixture
def held(conditional_model: Path) -> Iterator[tuple[str, Gate]]:
    """A page whose faces come when the gate is opened."""
    gate = Gate()
    engine = Engine({DEFAULT_MODEL: partial(load_model, conditional_model)})
    for url in serve(engine, between=gate):
        yield url, gate
        gate.open.set()


_TOPS = "return ['grid', 'look', 'way'].map((id) => document.getElementById(id).getBoundingClientRect().top + scrollY)"
_SHIFT = """
    const [done] = arguments;
    let total = 0;
    new PerformanceObserver((list) => { for (const entry of list.getEntries()) total += entry.value; })
        .observe({ type: "layout-shift", buffered: true });
    setTimeout(() => done(total), 200);"""


@pytest.mark.parametrize("width", [390, 1280])
def test_places_for_the_faces_are_seen_before_they_come_and_nothing_jumps_then(
    chromium: webdriver.Chrome, held: tuple[str, Gate], width: int
) -> None:
    url, gate = held
    with screen(chromium, width):
        chromium.get(url)
        grid = chromium.find_element(By.ID, "grid")
        places = chromium.find_elements(By.CSS_SELECTOR, "#grid .blank")
        assert len(places) == 24
        assert all(place.is_displayed() and place.size["height"] > 40 for place in places)
        assert grid.get_attribute("aria-busy") == "true"
        assert places[0].value_of_css_property("animation-name") == "wait"
        before = [place.rect for place in places]
        tops = chromium.execute_script(_TOPS)
        gate.open.set()
        WebDriverWait(chromium, 60).until(lambda d: d.execute_script("return document.body.dataset.walk"))
        assert grid.get_attribute("aria-busy") is None
        assert [face.rect for face in chromium.find_elements(By.CSS_SELECTOR, ".face")] == before
        assert chromium.execute_script(_TOPS) == tops
        assert chromium.find_elements(By.CSS_SELECTOR, ".blank") == []
        assert chromium.execute_async_script(_SHIFT) < 0.02


def test_who_wants_no_motion_sees_places_that_do_not_move(chromium: webdriver.Chrome, held: tuple[str, Gate]) -> None:
    with screen(chromium, 390, ("prefers-reduced-motion", "reduce")):
        chromium.get(held[0])
        place = chromium.find_element(By.CSS_SELECTOR, "#grid .blank")
        assert place.is_displayed()
        assert place.value_of_css_property("animation-name") == "none"


def test_places_stop_waiting_when_no_faces_will_come(chromium: webdriver.Chrome, held: tuple[str, Gate]) -> None:
    url, gate = held
    chromium.get(url)
    gate.broken = True
    gate.open.set()
    WebDriverWait(chromium, 20).until(lambda d: d.find_element(By.ID, "status").text)
    assert chromium.find_element(By.ID, "status").get_attribute("class") == "status bad"
    assert chromium.find_element(By.ID, "grid").get_attribute("aria-busy") is None
    place = chromium.find_element(By.CSS_SELECTOR, "#grid .blank")
    assert place.value_of_css_property("animation-name") == "none"
    chromium.get_log("browser")  # the failed request is there, as it should be


def test_on_a_phone_the_faces_come_before_the_attributes_for_eye_and_keyboard(
    chromium: webdriver.Chrome, switched: Page
) -> None:
    order = "return ['controls', 'faces', 'look', 'way'].map((id) => document.getElementById(id))"
    sorted_by = "const all = arguments[0]; return all.every((e, k) => !k || all[k - 1].compareDocumentPosition(e) & 4)"
    with screen(chromium, 390):
        cards = chromium.execute_script(order)
        WebDriverWait(chromium, 20).until(lambda d: d.execute_script(sorted_by, cards))
        bottoms = [card.rect["y"] + card.rect["height"] for card in cards]
        assert all(card.rect["y"] >= bottom for card, bottom in zip(cards[1:], bottoms[:-1], strict=True))
        assert cards[1].rect["y"] < 844 / 1.5  # seen without scrolling
    inside = "return arguments[0].contains(arguments[1])"  # on a wide screen beside the faces; the next frame tells
    WebDriverWait(chromium, 20).until(lambda d: d.execute_script(inside, cards[0], cards[2]))


def test_everything_to_press_on_a_phone_is_as_large_as_a_thumb(chromium: webdriver.Chrome, switched: Page) -> None:
    with screen(chromium, 360):
        switched.run("document.getElementById('more').open = true")
        small = switched.run("""
            return [...document.querySelectorAll("button, a[href]:not(.skip), select, summary, input, label")]
                .filter((e) => e.checkVisibility() && !e.matches("label > input, label:not(:has(input))"))
                .map((e) => [e.outerHTML, e.getBoundingClientRect()])
                .filter(([, box]) => box.width < 44 || box.height < 44)""")
        assert small == []


@pytest.mark.parametrize("width", [320, 360, 390])
def test_nothing_has_to_be_scrolled_sideways_on_a_phone(chromium: webdriver.Chrome, switched: Page, width: int) -> None:
    with screen(chromium, width):
        switched.run("document.getElementById('more').open = true")
        ask_for(switched, "Wearing_Necklace", "1")
        assert switched.run("return document.documentElement.scrollWidth") <= width
        switched.find("#seed").clear()
        switched.find("#seed").send_keys("9223372036854775807")
        switched.change(switched.find("#generate").click)
        assert switched.run("return document.documentElement.scrollWidth") <= width


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


def test_switches_are_remembered_while_a_model_without_attributes_is_selected(switched: Page) -> None:
    glasses, _ = ask_for(switched, "Eyeglasses", "1")
    switched.find("#keep").click()
    switched.change(lambda: switched.find("#model option:first-child").click())
    assert "trained without attributes" in switched.find("#no-wishes").text
    assert "attributes" not in switched.find("#get-png").get_attribute("href")
    switched.change(lambda: switched.find("#model option:last-child").click())
    assert alike(switched.faces(), glasses).all()
