from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the test client is starlette's")
pytest.importorskip("httpx", reason="starlette's test client needs httpx")

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from faceaug import SyntheticFaceSource
from faceaug.errors import ArgumentError
from faceaug.serve import Engine, FaceService
from faceaug.serve.app import create_app
from faceaug.serve.limits import RateLimit, allowed_hosts, host_is_ours
from faceaug.synthesize import Model, load_model
from faceaug.synthesize.weights import DEFAULT_MODEL
from tests.serve.conftest import bundled, tiles


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(bundled()), base_url="http://127.0.0.1") as made:
        while made.get("/readyz").status_code != 200:
            pass
        yield made


def test_the_api_answers_with_faces(client: TestClient) -> None:
    answer = client.get("/api/faces?n=4&seed=7")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert (answer.headers["x-faceaug-seed"], answer.headers["x-faceaug-grid"]) == ("7", "2x2")
    expected = SyntheticFaceSource("dcgan-32", seed=7).generate(4).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(tiles(answer.content, 2, 2), expected)


def test_head_has_the_headers_of_get_and_no_body(client: TestClient) -> None:
    get, head = client.get("/api/faces?seed=7"), client.head("/api/faces?seed=7")
    assert head.content == b""
    for name in ("etag", "content-type", "content-length", "x-faceaug-seed"):
        assert head.headers[name] == get.headers[name]


def test_a_cached_answer_is_not_sent_again(client: TestClient) -> None:
    tag = client.get("/api/faces?seed=7").headers["etag"]
    again = client.get("/api/faces?seed=7", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "query", ["n=0", "n=1000000000", "seed=-1", "model=x", "format=exe", "attributes=Smiling:1", "z=1"]
)
def test_a_wrong_parameter_is_named(client: TestClient, query: str) -> None:
    answer = client.get(f"/api/faces?{query}")
    assert (answer.status_code, answer.json()["parameter"]) == (400, query.split("=", maxsplit=1)[0])


@pytest.mark.parametrize(
    "path",
    ["/", "/api/faces?seed=1", "/api/faces?n=0", "/api/meta", "/healthz", "/readyz", "/static/app.js", "/x"],
)
def test_every_answer_carries_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_get_and_head(client: TestClient, method: str) -> None:
    answer = client.request(method, "/api/faces")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_body_and_a_long_query_are_refused_unread(client: TestClient) -> None:
    assert client.request("GET", "/api/faces", content=b"x" * 10_000_000).status_code == 413
    assert client.request("GET", "/api/faces", content=iter([b"x"] * 3)).status_code == 413
    assert client.get("/api/faces?seed=" + "1" * 3000).status_code == 414


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/%2e%2e/app.py", "/static/index.html", "/static//etc/passwd", "/etc/passwd",
        "/api/faces/../../x", "/static/app.js%00",
    ],
)  # fmt: skip
def test_no_path_reaches_the_disk(client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def caught(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr("builtins.open", caught)
    monkeypatch.setattr("os.open", caught)
    answer = client.get(path)
    assert (answer.status_code, answer.json()["status"]) == (404, 404)


def test_the_page_names_nothing_elsewhere_and_nothing_inline(client: TestClient) -> None:
    page = client.get("/").text
    assert "//" not in page.replace("<!doctype", "")
    assert "style=" not in page
    assert " onclick" not in page
    assert '<script type="module" src="static/app.js" blocking="render"></script>' in page
    assert '="/' not in page  # it may lie below any path
    for name in ("app.js", "app.css"):
        assert not re.search(r"""["'`(]/(api|static)""", client.get(f"/static/{name}").text)
        assert "https://" not in client.get(f"/static/{name}").text
        assert "innerHTML" not in client.get(f"/static/{name}").text


def test_the_page_works_as_a_form_without_script(client: TestClient) -> None:
    page = client.get("/?n=9&seed=7&model=dcgan-32-report").text
    assert '<img class="sprite" src="api/faces?n=9&amp;model=dcgan-32-report&amp;seed=7&amp;digest=' in page
    assert '<option value="dcgan-32-report" selected>' in page
    assert 'value="7"' in page
    wrong = client.get("/?n=9&seed=%3Cscript%3Ealert(1)%3C/script%3E")
    assert wrong.status_code == 400
    assert "seed: " in wrong.text
    assert "<script>alert" not in wrong.text


def test_the_page_states_that_faces_are_synthetic_and_their_licence(client: TestClient) -> None:
    page = client.get("/").text
    assert "Every face here is synthetic" in page
    assert "LicenseRef-CelebA-NonCommercial" in page
    assert "non-commercial research" in page


def test_health_and_readiness_are_two_things() -> None:
    def broken() -> Model:
        raise OSError("no such bucket")

    with TestClient(create_app(Engine({"broken": broken})), raise_server_exceptions=False) as client:
        assert client.get("/healthz").status_code == 200
        waiting = client.get("/readyz")
        assert (waiting.status_code, waiting.headers["retry-after"]) == (503, "1")
        page = client.get("/")
        assert page.status_code == 500
        assert page.headers["content-type"] == "application/json"
        assert "bucket" not in page.text


def test_meta_lists_the_models(client: TestClient) -> None:
    meta = client.get("/api/meta").json()
    assert {model["name"] for model in meta["models"]} == {"dcgan-32", "dcgan-32-report"}
    assert meta["max_faces"] == 64


def test_attributes_are_offered_for_a_model_that_takes_them(conditional_engine: Engine) -> None:
    with TestClient(create_app(conditional_engine, start=DEFAULT_MODEL)) as client:
        assert [model["attributes"][:1] for model in client.get("/api/meta").json()["models"]] == [
            [],
            ["5_o_Clock_Shadow"],
        ]
        assert client.get("/api/faces?seed=1&attributes=Smiling:1").status_code == 200
        page = client.get("/").text
        assert f'<option value="{DEFAULT_MODEL}" selected>' in page
        assert "disabled>" not in page.split('name="attributes"')[1][:200]
        asked = client.get(f"/?seed=1&model={DEFAULT_MODEL}&attributes=Smiling:1&unasked=kept").text
        assert 'data-wishes="Smiling:1"' in asked
        assert "seed=1&amp;attributes=Smiling:1&amp;unasked=kept" in asked


def test_without_a_seed_the_form_s_picture_and_downloads_are_the_same_faces(client: TestClient) -> None:
    page = client.get("/?n=4").text.partition('<img class="sprite"')[2]
    seeds = re.findall(r"seed=(\d+)", page)
    assert len(seeds) == 4
    assert len(set(seeds)) == 1
    assert f"Seed {seeds[0]}." in page
    assert seeds[0] not in client.get("/?n=4").text


def test_one_client_over_its_rate_waits_and_the_others_do_not(client: TestClient) -> None:
    app = create_app(bundled(), rate=2)
    with TestClient(app, client=("10.0.0.1", 1)) as greedy:
        found = [greedy.get("/api/faces?seed=1") for _ in range(8)]
        assert [answer.status_code for answer in found[:4]] == [200] * 4
        late = found[-1]
        assert (late.status_code, late.headers["retry-after"]) == (429, "1")
        assert greedy.get("/healthz").status_code == 200
        honest = TestClient(app, client=("10.0.0.2", 1))
        assert honest.get("/api/faces?seed=1").status_code == 200


def test_a_rate_fills_up_again_and_forgets_the_oldest_clients() -> None:
    now = [0.0]
    limit = RateLimit(2, clock=lambda: now[0])
    assert [limit.wait("a") for _ in range(5)] == [0, 0, 0, 0, 1]
    now[0] = 0.5
    assert [limit.wait("a"), limit.wait("a")] == [0, 1]
    for k in range(20_000):
        limit.wait(str(k))
    assert len(limit._buckets) <= 10_001
    assert all(RateLimit(0).wait("a") == 0 for _ in range(1000))


@pytest.mark.parametrize(
    ("header", "bound", "ours"),
    [
        ("127.0.0.1:8000", "127.0.0.1", True), ("localhost", "127.0.0.1", True), ("[::1]:80", "::1", True),
        ("evil.example", "127.0.0.1", False), ("127.0.0.1.evil.example:8000", "127.0.0.1", False),
        ("", "127.0.0.1", False), ("faces.example", "0.0.0.0", True), ("192.168.0.9", "localhost", False),
    ],
)  # fmt: skip
def test_a_loopback_server_answers_to_loopback_names_only(header: str, bound: str, ours: bool) -> None:
    assert host_is_ours(header, bound) is ours


def test_a_foreign_host_is_refused() -> None:
    with TestClient(
        create_app(Engine({"x": partial(load_model, "dcgan-32")}), host="127.0.0.1"), base_url="http://evil.example"
    ) as client:
        assert client.get("/").status_code == 421


def test_a_refused_host_gets_advice_on_how_to_be_allowed(conditional_model: Path) -> None:
    engine = Engine({"x": partial(load_model, conditional_model)})
    with TestClient(create_app(engine, host="127.0.0.1"), base_url="http://x-8000.app.example") as client:
        line = client.get("/").json()["error"]
    assert "--allow-host x-8000.app.example" in line
    assert "--host 0.0.0.0" in line


@pytest.mark.parametrize(
    ("header", "ours"),
    [
        ("faces.example", True), ("FACES.example:443", True), ("faces.example.", True), ("127.0.0.1:8000", True),
        ("a.b.dev.example:80", True), ("dev.example", False), ("xdev.example", False), ("example", False),
        ("faces.example.evil", False), ("", False), ("[2001:db8::1]:80", True), ("[2001:db8::2]", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
def test_named_hosts_are_answered_and_no_others_wherever_it_listens(header: str, ours: bool, bound: str) -> None:
    allowed = allowed_hosts(("Faces.Example", "*.dev.example", "[2001:db8::1]"))
    assert host_is_ours(header, bound, allowed) is ours
    assert host_is_ours(header, bound, allowed_hosts(["*"]))


@pytest.mark.parametrize(
    "name", ["https://faces.example", "faces.example:80", "faces.example/x", "", "*.", "a b", "*x"]
)
def test_an_invalid_host_name_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(ArgumentError, match="expected a host name"):
        allowed_hosts([name])


@pytest.mark.parametrize("root", ["/faces", "faces/", "/a/b~1/"])
def test_a_proxy_may_keep_or_strip_the_root_path(root: str) -> None:
    path = "/" + root.strip("/")
    with TestClient(create_app(bundled(), root_path=root), base_url="http://127.0.0.1") as client:
        page = client.get(f"{path}?n=2", follow_redirects=False)
        assert page.status_code == 308
        assert client.get(f"{path}?n=2").url == f"http://127.0.0.1{path}/?n=2"
        for prefix in (path, ""):
            assert client.get(f"{prefix}/?n=2").status_code == 200
            assert client.get(f"{prefix}/static/app.js").status_code == 200
            assert client.get(f"{prefix}/api/faces?seed=7").content == client.get("/api/faces?seed=7").content
        assert client.get(f"{path}x/").status_code == 404
        assert client.get(f"{path}{path}/").status_code == 404


def test_as_a_part_of_another_application_it_lies_below_its_path() -> None:
    whole = Starlette(routes=[Mount("/part", create_app(bundled()))])
    client = TestClient(whole, base_url="http://127.0.0.1")
    assert client.get("/part/api/faces?seed=7").status_code == 200
    assert client.get("/part").url == "http://127.0.0.1/part/"


@pytest.mark.parametrize("root", ["/a b", "/a?b", "//x//y", "/..", "/a/../b", "/<script>", "http://x/"])
def test_an_invalid_root_path_is_refused_at_the_start(root: str) -> None:
    with pytest.raises(ArgumentError, match="expected a URL path"):
        create_app(Engine({"x": load_model}), root_path=root)


def test_foreign_parameters_in_a_link_do_no_harm(client: TestClient) -> None:
    marks = "utm_source=mail&utm_medium=x&utm_source=again&fbclid=IwAR0&gclid=1&mc_cid=2"
    assert client.get(f"/api/faces?{marks}&seed=7").content == client.get("/api/faces?seed=7").content
    page = client.get(f"/?{marks}&seed=7&n=9")
    assert page.status_code == 200
    assert page.text == client.get("/?seed=7&n=9").text
    odd = client.get("/?sed=7&%3Cb%3E=1&n=9")  # a stranger's, or ours and mistyped: it is told
    assert odd.status_code == 200
    assert "Ignored unknown parameters: &lt;b&gt;, sed." in odd.text
    assert 'value="9"' in odd.text


def test_a_link_of_another_model_of_the_same_name_says_that_these_are_other_faces(client: TestClient) -> None:
    page = client.get(f"/?seed=7&digest={'0' * 16}")
    assert page.status_code == 200
    assert "dcgan-32 has changed since this link was made" in page.text
    digest = client.get("/api/meta").json()["models"][0]["digest"]
    assert "has changed" not in client.get(f"/?seed=7&digest={digest}").text
    assert f"seed=7&amp;digest={digest}" in page.text


def test_nothing_is_computed_for_a_client_that_has_gone() -> None:
    gate = threading.Event()

    def slow() -> Model:
        gate.wait(60)
        return load_model()

    engine = Engine({"held": slow})
    app, sent = create_app(engine), list[MutableMapping[str, Any]]()

    async def ask() -> None:
        messages = iter([{"type": "http.request"}, {"type": "http.disconnect"}])

        async def receive() -> MutableMapping[str, Any]:
            return next(messages)

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        query = {"path": "/api/faces", "query_string": b"seed=2"}
        await app({"type": "http", "method": "GET", "headers": []} | query, receive, send)

    before = FaceService(engine).ask("seed=1")  # what the engine is busy with
    asyncio.run(ask())
    assert sent[0]["status"] == 503
    assert not before.done()
    gate.set()
    assert before.result(60).status == 200
    engine.close()
    assert engine.passes == 1


def test_a_failure_is_one_line_and_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine({"x": partial(load_model, "dcgan-32")})

    def bad(*_: object) -> None:
        raise RuntimeError("secret")

    with TestClient(create_app(engine), raise_server_exceptions=False) as client:
        monkeypatch.setattr("faceaug.serve.faces.FaceService.meta", bad)
        answer = client.get("/api/meta")
        assert answer.status_code == 500
        assert json.loads(answer.text)["error"] == "internal server error; see the server's log"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
