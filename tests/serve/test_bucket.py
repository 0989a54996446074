from __future__ import annotations

import hashlib
import io
import json
import logging
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceaug.errors import ArgumentError, WeightsError
from faceaug.serve.bucket import fetch_from_bucket
from faceaug.synthesize import SyntheticFaceSource
from faceaug.synthesize.weights import BUNDLED, BUNDLED_FOLDER
from tests.serve.conftest import fetch, free_port, running_function, tiles

fsspec = pytest.importorskip("fsspec", reason="the extra cloud is not installed")
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
    with pytest.raises(WeightsError, match="altered or another model"):
        fetch_from_bucket(bucket, sha256="0" * 64)
    data = bytearray(fsspec.filesystem("memory").cat("/bucket/faces/model.safetensors"))
    data[-1] ^= 1
    fsspec.filesystem("memory").pipe("/bucket/faces/model.safetensors", bytes(data))
    with pytest.raises(WeightsError, match="memory://bucket/faces/model.safetensors: damaged or altered"):
        fetch_from_bucket(bucket, sha256=HASH)


def test_a_model_whose_config_was_changed_is_refused(bucket: str) -> None:
    store = fsspec.filesystem("memory")
    config = json.loads(store.cat("/bucket/faces/config.json"))
    for change in (
        {"license": "CC0-1.0"},
        {"latent": "uniform"},
        {"name": "another"},
        {"license": 7},
        {"crop": "none"},
    ):
        store.pipe("/bucket/faces/config.json", json.dumps(config | change).encode())
        with pytest.raises(WeightsError, match="memory://bucket/faces/config.json: SHA-256 is"):
            fetch_from_bucket(bucket, sha256=HASH)


def test_a_hash_of_the_weights_alone_is_refused_with_the_one_to_give(bucket: str) -> None:
    weights = hashlib.sha256(fsspec.filesystem("memory").cat("/bucket/faces/model.safetensors")).hexdigest()
    with pytest.raises(WeightsError, match=f"of model.safetensors alone.*{HASH}"):
        fetch_from_bucket(bucket, sha256=weights)


def test_a_bucket_needs_a_hash_and_the_files(bucket: str) -> None:
    for wrong in ("", "abc", "x" * 64):
        with pytest.raises(ArgumentError, match="SHA-256"):
            fetch_from_bucket(bucket, sha256=wrong)
    with pytest.raises(WeightsError, match="cannot be fetched"):
        fetch_from_bucket("memory://bucket/nobody", sha256=HASH)


class Storage:
    """Google's object storage, emulated on this machine, with one bucket."""

    def __init__(self) -> None:
        emulator = pytest.importorskip("gcp_storage_emulator.server", reason="gcp-storage-emulator is not installed")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="faces")
        self.served: list[str] = []  # first lines of requests
        self._notes = logging.Handler()
        self._notes.emit = lambda record: self.served.append(record.getMessage())  # type: ignore[method-assign]
        self._log = logging.getLogger("gcp_storage_emulator.server")

    def __enter__(self) -> Storage:
        self._log.addHandler(self._notes)
        self._log.setLevel(logging.INFO)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        self._log.removeHandler(self._notes)
        self._log.setLevel(logging.NOTSET)

    def upload(self, name: str, data: bytes) -> None:
        address = f"{self.url}/upload/storage/v1/b/faces/o?uploadType=media&name={name.replace('/', '%2F')}"
        request = urllib.request.Request(address, data=data, method="POST")
        request.add_header("Content-Type", "application/octet-stream")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["name"] == name

    def downloads(self, name: str) -> int:
        return sum("GET /download/" in line and name in line for line in self.served)


@pytest.fixture
def storage() -> Iterator[Storage]:
    pytest.importorskip("gcsfs", reason="the extra cloud is not installed")
    pytest.importorskip("functions_framework", reason="the extra cloud is not installed")
    with Storage() as started:
        for file in (BUNDLED_FOLDER / "dcgan-32").iterdir():
            started.upload(f"models/mine/{file.name}", file.read_bytes())
        yield started


def environment(storage: Storage) -> dict[str, str]:
    return {
        "FACEAUG_MODEL": "gs://faces/models/mine",
        "FACEAUG_MODEL_SHA256": HASH,
        "STORAGE_EMULATOR_HOST": storage.url,
        # gcsfs first asks a gRPC service what kind of bucket this is; the emulator has none, and it waits a minute.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }


def test_the_function_fetches_its_model_once_for_eight_callers(storage: Storage, tmp_path: Path) -> None:
    with running_function(tmp_path, environment(storage)) as function, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(fetch, [f"{function.url}?n=4&seed={k}" for k in range(8)]))
        later = fetch(f"{function.url}?seed=9")
    assert [status for status, _, _ in [*answers, later]] == [200] * 9
    for seed, (_, body, headers) in enumerate(answers):
        with Image.open(io.BytesIO(body)) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert picture.info["model"] == "dcgan-32"
        assert headers["X-Faceaug-Grid"] == "2x2"
        expected = SyntheticFaceSource("dcgan-32", seed=seed).generate(4).permute(0, 2, 3, 1).numpy()
        assert np.array_equal(tiles(body, 2, 2), expected)
    assert storage.downloads("model.safetensors") == 1
    assert storage.downloads("config.json") == 1


@pytest.mark.parametrize("change", ["weights", "config"])
def test_a_model_changed_in_the_bucket_makes_no_faces(storage: Storage, tmp_path: Path, change: str) -> None:
    folder = BUNDLED_FOLDER / "dcgan-32"
    if change == "weights":
        data = bytearray((folder / "model.safetensors").read_bytes())
        data[-1] ^= 1
        storage.upload("models/mine/model.safetensors", bytes(data))
    else:
        storage.upload(
            "models/mine/config.json", (folder / "config.json").read_bytes().replace(b'"z_size": 100', b'"z_size": 99')
        )
    with running_function(tmp_path, environment(storage)) as function:
        status, body, _ = fetch(f"{function.url}?seed=1")
        assert status == 500
        assert json.loads(body)["error"] == "the faces could not be generated; see the server's log"
        assert b"gs:" not in body
        log = function.log.read_text()
        assert ("damaged or altered" if change == "weights" else "altered or another model") in log
        if change == "weights":  # the right one is back: no restart is needed
            storage.upload("models/mine/model.safetensors", (folder / "model.safetensors").read_bytes())
            assert fetch(f"{function.url}?seed=1")[0] == 200
