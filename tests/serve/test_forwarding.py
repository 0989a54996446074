"""The page as others reach it: behind nginx, below a path, under another name; and its pictures on a page elsewhere.

Skips where nginx, chromium or a package is missing.
"""

from __future__ import annotations

import http.server
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from tests.serve.browser import Page, open_browser
from tests.serve.conftest import fetch, free_port, running_function

NAME = "faces.example"  # resolved by the browser alone, to this machine
CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port};
    proxy_set_header Host $host;
    location /taken/off/ {{ proxy_pass http://127.0.0.1:{behind}/; }}
    location /kept {{ proxy_pass http://127.0.0.1:{behind}; }}
  }}
}}
"""


@contextmanager
def running(command: list[str], port: int, *, log: Path, ready: str) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        for _ in range(600):
            try:
                if fetch(f"http://127.0.0.1:{port}{ready}")[0] in {200, 404}:
                    break
            except OSError:
                pass
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of nginx, in front of the real command."""
    nginx = shutil.which("nginx", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))
    if nginx is None:
        pytest.skip("nginx is not installed")
    folder, port, behind = tmp_path_factory.mktemp("nginx"), free_port(), free_port()
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, port=port, behind=behind))
    serve = [sys.executable, "-m", "faceaug", "serve", "--port", str(behind), "--model", "dcgan-32", "--rate", "0"]
    serve += ["--root-path", "/kept", "--allow-host", NAME]
    with (
        running(serve, behind, log=folder / "serve.log", ready="/readyz"),
        running([nginx, "-p", str(folder), "-c", str(file)], port, log=folder / "nginx.log", ready="/"),
    ):
        yield port


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    with open_browser(f"--host-resolver-rules=MAP {NAME} 127.0.0.1") as driver:
        yield driver


@pytest.mark.parametrize("path", ["/taken/off/", "/kept/", "/kept"])
def test_page_api_and_zip_work_below_a_path_and_under_another_name(
    front: int, chromium: webdriver.Chrome, path: str
) -> None:
    page = Page(chromium, f"http://{NAME}:{front}{path}?utm_source=mail&fbclid=IwAR0&n=4&seed=7")
    below = f"http://{NAME}:{front}{path.rstrip('/')}/"
    assert page.driver.current_url.startswith(below)
    assert len(page.faces()) == 4
    assert all(address.startswith((below[:-1], "blob:", "data:")) for address in page.sent())
    # Without TLS a browser says that it leaves one header unheeded; nothing else may be wrong.
    assert [error for error in page.errors() if "Cross-Origin-Opener-Policy" not in error] == []

    def get(selector: str) -> tuple[int, bytes, dict[str, str]]:
        link = page.find(selector).get_attribute("href")
        assert link.startswith(below)
        return fetch(f"http://127.0.0.1:{front}{urlsplit(link).path}?{urlsplit(link).query}", Host=NAME)

    status, picture, headers = get("#get-png")
    assert (status, picture[:4], headers["x-faceaug-grid"]) == (200, b"\x89PNG", "2x2")
    assert "immutable" in headers["cache-control"]
    archive = zipfile.ZipFile(io.BytesIO(get("#get-zip")[1]))
    assert archive.testzip() is None
    assert len(archive.namelist()) == 5
    assert get("#get-from")[1] == archive.read("000000.png")
    again = Page(chromium, page.find("#get-link").get_attribute("href"))
    assert again.run("return document.getElementById('facts').textContent") == "seed 7"
    again.find("#keep").click()  # the seed is let go
    again.change(again.find("#generate").click)
    assert again.run("return document.getElementById('facts').textContent") != "seed 7"


def test_another_name_is_still_refused(front: int) -> None:
    status, body, _ = fetch(f"http://127.0.0.1:{front}/kept/", Host="evil.example")
    assert status == 421
    assert b"--allow-host evil.example" in body


@contextmanager
def elsewhere(faces: str) -> Iterator[str]:
    """A page of another site that shows a face, and tries to read it."""
    text = f"""<!doctype html><title>wait</title><img id="shown" src="{faces}?seed=7"><script type="module">
        await document.getElementById("shown").decode().catch(() => 0);
        const answer = await fetch("{faces}?n=4&seed=7").catch(() => null);
        const read = answer ? answer.headers.get("X-Faceaug-Seed") : "refused";
        document.title = `${{document.getElementById("shown").naturalWidth}} ${{read}}`;
        </script>""".encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{NAME}:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("named", [True, False])
def test_a_page_elsewhere_shows_faces_of_the_function_and_reads_them_where_it_is_named(
    chromium: webdriver.Chrome, tmp_path: Path, named: bool
) -> None:
    pytest.importorskip("functions_framework", reason="the extra cloud is not installed")
    port = free_port()
    with elsewhere(f"http://127.0.0.1:{port}/") as page:
        environment = {"FACEAUG_ALLOW_ORIGINS": f"https://other.example, {page}/" if named else ""}
        with running_function(tmp_path, environment, port=port):
            chromium.get(page)
            WebDriverWait(chromium, 120).until(lambda driver: driver.title != "wait")
            assert chromium.title == ("64 7" if named else "64 refused")
    chromium.get_log("browser")
