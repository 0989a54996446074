"""The page of `faceaug serve` in a real browser, and what a person does with it."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

import numpy as np
import uvicorn
from numpy.typing import NDArray
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from faceaug.serve import Engine
from faceaug.serve.app import ASGI, create_app
from tests.chromium import open_browser
from tests.serve.conftest import pixels

__all__ = ["Page", "open_browser", "serve"]


def serve(engine: Engine, start: str = "", between: Callable[[ASGI], ASGI] = lambda app: app) -> Iterator[str]:
    """The page's address; ``between`` stands before the application."""
    app = between(create_app(engine, host="127.0.0.1", start=start))
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[door])))
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}/"
        server.should_exit = True
        thread.join(30)


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
