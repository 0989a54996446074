from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from faceaug.errors import ArgumentError, WeightsError
from faceaug.serve.bucket import fetch_from_bucket
from faceaug.synthesize.weights import BUNDLED, BUNDLED_FOLDER

fsspec = pytest.importorskip("fsspec", reason="the extra cloud is not installed")
EXAMPLE = Path(__file__).parents[2] / "examples" / "cloud_function"
HASH = BUNDLED["dcgan-32"]


@pytest.fixture
def bucket() -> Iterator[str]:
    """A model in fsspec's bucket in memory."""
    store = fsspec.filesystem("memory")
    store.put(str(BUNDLED_FOLDER / "dcgan-32"), "/bucket/faces", recursive=True)
    yield "memory://bucket/faces"
    store.rm("/bucket", recursive=True)


def test_a_model_is_loaded_from_a_bucket(bucket: str) -> None:
    assert fetch_from_bucket(bucket + "/", sha256=HASH.upper()).config.name == "dcgan-32"


def test_another_model_than_the_one_agreed_on_is_refused(bucket: str) -> None:
    with pytest.raises(WeightsError, match="altered, or another model"):
        fetch_from_bucket(bucket, sha256="0" * 64)
    data = bytearray(fsspec.filesystem("memory").cat("/bucket/faces/model.safetensors"))
    data[-1] ^= 1
    fsspec.filesystem("memory").pipe("/bucket/faces/model.safetensors", bytes(data))
    with pytest.raises(WeightsError, match=hashlib.sha256(data).hexdigest()):
        fetch_from_bucket(bucket, sha256=HASH)


def test_a_bucket_needs_a_hash_and_the_files(bucket: str) -> None:
    for wrong in ("", "abc", "x" * 64):
        with pytest.raises(ArgumentError, match="SHA-256"):
            fetch_from_bucket(bucket, sha256=wrong)
    with pytest.raises(WeightsError, match="cannot be fetched"):
        fetch_from_bucket("memory://bucket/nobody", sha256=HASH)


@pytest.fixture
def function(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """functions-framework as a process that runs the example; its URL and its log."""
    pytest.importorskip("functions_framework", reason="the extra cloud is not installed")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    shutil.copytree(EXAMPLE, tmp_path / "function")
    log = tmp_path / "log.txt"
    model, sha256, *_ = getattr(request, "param", ("", ""))
    with log.open("wb") as handle:
        process = subprocess.Popen(
            [sys.executable, "-m", "functions_framework", "--target", "generate", "--source", "main.py",
             "--host", "127.0.0.1", "--port", str(port)],
            cwd=tmp_path / "function", stdout=handle, stderr=handle,
            env=os.environ | {"PYTHONPATH": ":".join(sys.path), "FACEAUG_MODEL": model, "FACEAUG_MODEL_SHA256": sha256},
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.1)
    yield url, log
    process.terminate()
    process.wait(30)


def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_the_example_answers_eight_callers_at_once(function: tuple[str, Path]) -> None:
    url, _ = function
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(get, [f"{url}?n=4&seed={k}" for k in range(8)]))
    assert {status for status, _, _ in answers} == {200}
    for _, body, headers in answers:
        assert headers["X-Faceaug-Grid"] == "2x2"
        with Image.open(io.BytesIO(body)) as picture:
            picture.load()
            assert picture.size == (64, 64)
            assert picture.info["synthetic"] == "true"
    assert len({body for _, body, _ in answers}) == 8
    tag = answers[0][2]["ETag"]
    assert get(f"{url}?n=4&seed=0", **{"If-None-Match": tag})[0] == 304
    wrong = get(f"{url}?n=0")
    assert wrong[0] == 400
    assert b'"parameter": "n"' in wrong[1]
    post = urllib.request.Request(url, data=b"x" * 1000, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(post)
    assert refused.value.code == 405
    refused.value.close()


@pytest.mark.parametrize("function", [(f"file://{BUNDLED_FOLDER}/dcgan-32", "0" * 64)], indirect=True)
def test_a_tampered_model_makes_no_faces_and_tells_the_log_only(function: tuple[str, Path]) -> None:
    url, log = function
    status, body, _ = get(f"{url}?seed=1")
    assert status == 500
    assert b"file:" not in body
    assert b"SHA" not in body
    assert "altered, or another model" in log.read_text()


@pytest.mark.parametrize("function", [(f"file://{BUNDLED_FOLDER}/dcgan-32", HASH)], indirect=True)
def test_a_model_from_a_bucket_makes_the_faces_of_the_bundled_one(function: tuple[str, Path]) -> None:
    status, body, _ = get(f"{function[0]}?seed=1&n=2")
    assert status == 200
    from faceaug.synthesize import SyntheticFaceSource
    from tests.serve.conftest import tiles

    expected = SyntheticFaceSource(seed=1).generate(2).permute(0, 2, 3, 1).numpy()
    assert (tiles(body, 2, 1) == expected).all()


def test_the_example_is_complete() -> None:
    text = (EXAMPLE / "README.md").read_text("utf-8")
    assert "--entry-point=generate" in text
    assert "FACEAUG_MODEL_SHA256" in text
    assert re.search(r"^faceaug", (EXAMPLE / "requirements.txt").read_text("utf-8"), re.MULTILINE)
