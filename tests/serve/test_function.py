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
    assert "altered, or another model" in function.log.read_text()


@pytest.mark.parametrize("function", [(f"file://{BUNDLED_FOLDER}/dcgan-32", HASH)], indirect=True)
def test_a_model_from_a_bucket_makes_the_faces_of_the_bundled_one(function: Function) -> None:
    status, body, _ = fetch(f"{function.url}?seed=1&n=2")
    assert status == 200
    from faceaug.synthesize import SyntheticFaceSource
    from tests.serve.conftest import tiles

    expected = SyntheticFaceSource("dcgan-32", seed=1).generate(2).permute(0, 2, 3, 1).numpy()
    assert (tiles(body, 2, 1) == expected).all()


def test_the_example_is_complete() -> None:
    text = (EXAMPLE / "README.md").read_text("utf-8")
    assert "--entry-point=generate" in text
    assert "FACEAUG_MODEL_SHA256" in text
    assert re.search(r"^faceaug", (EXAMPLE / "requirements.txt").read_text("utf-8"), re.MULTILINE)
