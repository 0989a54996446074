"""How fast 10,000 groups open in Chromium, in the report of `faceaug clean` and on the page of `--review`.

    python benchmarks/clean_review.py --groups 10000 --repeats 5

The pictures are faces of a bundled model, under as many names as are needed. Times are medians, in seconds: until the
first paint with content, until the first groups are drawn with their pictures, for one key (the 95th percentile of 300:
walk on, decide, walk on over the end of a screenful), and to make decisions.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import facts
from selenium import webdriver

from faceaug import SyntheticFaceSource
from faceaug.clean.findings import SetAside
from faceaug.clean.report import CleanReport
from faceaug.clean.tiers import DuplicateGroup, Member
from faceaug.serve.listening import listen, server_of
from faceaug.serve.review import Review
from faceaug.serve.review_app import HOST, ReviewApplication

FACES = 400
SHOWN = """const images = [...document.querySelectorAll('.group img')].filter((image) => {
  const box = image.getBoundingClientRect(); return box.top < innerHeight && box.bottom > 0; });
return document.querySelectorAll('.group').length === 50 && (images.every((image) => image.complete)
  ? performance.now() / 1000 : 0)"""
PAINTED = "return (performance.getEntriesByName('first-contentful-paint')[0]?.startTime || 0) / 1000"
KEYS = """const done = arguments[0], times = [];
const press = async () => {
  for (let k = 0; k < 300; k += 1) {
    const key = ['j', ' ', 's'][k % 3], start = performance.now();
    document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
    times.push((performance.now() - start) / 1000);
  }
  done(times.sort((a, b) => a - b)[284]);
};
press();"""
SAVE = """const start = performance.now(); document.getElementById('decide-save').click();
return (performance.now() - start) / 1000"""


def make_report(folder: Path, groups: int) -> CleanReport:
    """A plan of pairs of copies, whose pictures exist."""
    SyntheticFaceSource("faces-64", seed=0).save(folder / "made", FACES)
    faces = sorted((folder / "made").glob("*.png"))
    (folder / "faces").mkdir()
    found, aside = [], []
    for k in range(groups):
        keeper, copy = f"{k:06d}.png", f"{k:06d} (1).png"
        for name in (keeper, copy):
            os.link(faces[k % FACES], folder / "faces" / name)
        found.append(DuplicateGroup(keeper, (Member(copy, "same bytes", content=f"{k:032x}"),), keeper, f"{k:032x}"))
        aside.append(SetAside(copy, "same bytes", f"has the same bytes as {keeper}", keeper))
    return CleanReport(
        folder=str(folder / "faces"), run=None, dry_run=True, original=2 * groups, cleaned=groups, renames=(),
        set_aside=tuple(aside), unclear=(), conflicts=(), left=(), rows_without_file={}, notes=(), groups=tuple(found),
    )  # fmt: skip


@contextmanager
def served(report: CleanReport) -> Iterator[str]:
    """The address of the page of ``--review``."""
    review = Review(report, apply=lambda _: report, undo=lambda: None)  # type: ignore[arg-type, return-value]
    word = secrets.token_urlsafe()
    server = server_of(ReviewApplication(review, token=word, on_finish=lambda: None))
    with listen(HOST, 0) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        yield f"http://{HOST}:{listener.getsockname()[1]}/{word}/"
        server.should_exit = True
        thread.join()


def browser() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_window_size(1280, 1000)
    driver.set_script_timeout(300)
    return driver


def open_page(driver: webdriver.Chrome, url: str) -> dict[str, float]:
    """Times of one visit."""
    driver.get(url)
    shown = 0.0
    while not shown:
        shown = driver.execute_script(SHOWN) or 0.0
        time.sleep(0.01)
    painted = driver.execute_script(PAINTED)
    keys = driver.execute_async_script(KEYS)
    saved = driver.execute_script(SAVE)
    return {"first_paint": painted, "groups_shown": shown, "key_p95": keys, "save": saved}


def measure(url: str, repeats: int) -> dict[str, float]:
    """Medians over visits, each in a browser of its own, so that nothing is in a cache."""
    visits = []
    for _ in range(repeats):
        driver = browser()
        try:
            visits.append(open_page(driver, url))
        finally:
            driver.quit()
    return {name: round(statistics.median(visit[name] for visit in visits), 3) for name in visits[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = make_report(folder, asked.groups)
        page = folder / "report.html"
        page.write_bytes(report.to_html(workers=None).encode("utf-8", "backslashreplace"))
        found: dict[str, Any] = {"groups": asked.groups, "report_mb": round(page.stat().st_size / 1e6, 1)}
        found["report"] = measure(page.as_uri(), asked.repeats)
        with served(report) as url:
            found["review"] = measure(url, asked.repeats)
    print(json.dumps(found | facts("faceaug", "selenium")))


if __name__ == "__main__":
    main()
