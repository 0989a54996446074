from __future__ import annotations

import io
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from faceaug.errors import ArgumentError
from faceaug.serve.function import allowed_origins
from faceaug.synthesize.weights import BUNDLED, BUNDLED_FOLDER
from tests.serve.conftest import EXAMPLE, Function, fetch, running_function

pytest.importorskip("fsspec", reason="the extra cloud is not installed")
HASH = BUNDLED["dcgan-32"]


@pytest.fixture
def function(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Function]:
    """functions-framework as a process that runs the example."""
    pytest.importorskip("functions_framework", reason="the extra cloud is not installed")
    model, sha256 = getattr(request, "param", ("", ""))
    with running_function(tmp_path, {"FACEAUG_MODEL": model, "FACEAUG_MODEL_SHA256": sha256}) as started:
        yield started


def test_the_example_answers_eight_callers_at_once(function: Function) -> None:
    url = function.url
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(fetch, [f"{url}?n=4&seed={k}" for k in range(8)]))
    assert {status for status, _, _ in answers} == {200}
    for _, body, headers in answers:
        assert headers["X-Faceaug-Grid"] == "2x2"
        with Image.open(io.BytesIO(body)) as picture:
            picture.load()
            assert picture.size == (128, 128)  # four of faces-64
            assert picture.info["synthetic"] == "true"
    assert len({body for _, body, _ in answers}) == 8
    tag = answers[0][2]["ETag"]
    assert fetch(f"{url}?n=4&seed=0", **{"If-None-Match": tag})[0] == 304
    wrong = fetch(f"{url}?n=0")
    assert wrong[0] == 400
    assert b'"parameter": "n"' in wrong[1]
    post = urllib.request.Request(url, data=b"x" * 1000, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(post)
    assert refused.value.code == 405
    refused.value.close()


@pytest.mark.parametrize("function", [(f"file://{BUNDLED_FOLDER}/dcgan-32", "0" * 64)], indirect=True)
def test_a_tampered_model_makes_no_faces_and_tells_the_log_only(function: Function) -> None:
    status, body, _ = fetch(f"{function.url}?seed=1")
    assert status == 500
    assert b"file:" not in body
    assert b"SHA" not in body
    assert "altered or another model" in function.log.read_text()


@pytest.mark.parametrize("function", [(f"file://{BUNDLED_FOLDER}/dcgan-32", HASH)], indirect=True)
def test_a_model_from_a_bucket_makes_the_faces_of_the_bundled_one(function: Function) -> None:
    status, body, _ = fetch(f"{function.url}?seed=1&n=2")
    assert status == 200
    from faceaug.synthesize import SyntheticFaceSource
    from tests.serve.conftest import tiles

    expected = SyntheticFaceSource("dcgan-32", seed=1).generate(2).permute(0, 2, 3, 1).numpy()
    assert (tiles(body, 2, 1) == expected).all()


def test_pages_of_named_origins_alone_may_read_the_answers(tmp_path: Path) -> None:
    pytest.importorskip("functions_framework", reason="the extra cloud is not installed")
    named = {"FACEAUG_ALLOW_ORIGINS": "https://shop.example, http://localhost:3000/"}
    with running_function(tmp_path, named) as function:
        for origin, allowed in (
            ("https://shop.example", "https://shop.example"), ("http://localhost:3000", "http://localhost:3000"),
            ("https://evil.example", None), ("http://shop.example", None), ("https://shop.example.evil", None),
            ("null", None), ("", None),
        ):  # fmt: skip
            status, _, headers = fetch(f"{function.url}?seed=1", **({"Origin": origin} if origin else {}))
            assert status == 200
            assert headers.get("Access-Control-Allow-Origin") == allowed
            assert headers["Vary"] == "Origin"
            assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        wrong = fetch(f"{function.url}?n=0", Origin="https://shop.example")
        assert (wrong[0], wrong[2]["Access-Control-Allow-Origin"]) == (400, "https://shop.example")
        asking = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}
        ask = urllib.request.Request(function.url, headers=asking, method="OPTIONS")
        with urllib.request.urlopen(ask) as preflight:
            assert preflight.status == 204
            assert preflight.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
        asking["Origin"] = "https://evil.example"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(function.url, headers=asking, method="OPTIONS"))
        assert refused.value.code == 405
        refused.value.close()


def test_no_origin_is_named_unless_it_is_and_any_may_be() -> None:
    assert allowed_origins("") == allowed_origins(" , ") == frozenset()
    assert allowed_origins("*") == {"*"}
    # A browser leaves out the usual port, whoever writes it.
    assert allowed_origins("https://a.example:443/, http://b.example:80") == {"https://a.example", "http://b.example"}
    assert allowed_origins("http://a.example:443") == {"http://a.example:443"}
    assert allowed_origins("HTTPS://Shop.Example:8443/,http://[::1]:3000") == {
        "https://shop.example:8443", "http://[::1]:3000",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["shop.example", "https://shop.example/path", "https://*.example", "null", "https://"])
def test_an_invalid_origin_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="is no origin"):
        allowed_origins(text)


def test_the_example_is_complete() -> None:
    text = (EXAMPLE / "README.md").read_text("utf-8")
    assert "--entry-point=generate" in text
    assert "FACEAUG_MODEL_SHA256" in text
    assert re.search(r"^faceaug", (EXAMPLE / "requirements.txt").read_text("utf-8"), re.MULTILINE)
