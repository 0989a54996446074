"""Fixtures of the server's tests: an engine with the bundled models, and a model that takes attributes."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from faceaug.serve import Engine, FaceService
from faceaug.synthesize import load_model
from faceaug.synthesize.render import RenderPrecision
from faceaug.synthesize.weights import DEFAULT_MODEL

EXAMPLE = Path(__file__).parents[2] / "examples" / "cloud_function"
PLAIN = ("dcgan-32", "dcgan-32-report")  # bundled, and take no attributes


def bundled(precision: RenderPrecision = "fp32") -> Engine:
    return Engine({name: partial(load_model, name) for name in PLAIN}, precision=precision)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = bundled()
    yield made
    made.close()


@pytest.fixture(scope="module")
def service(engine: Engine) -> FaceService:
    return FaceService(engine)


@pytest.fixture
def conditional_engine(conditional_model: Path) -> Iterator[Engine]:
    """An engine whose first model takes no attributes, and whose second does; it has learnt nothing yet."""
    made = Engine({"dcgan-32": partial(load_model, "dcgan-32"), DEFAULT_MODEL: partial(load_model, conditional_model)})
    yield made
    made.close()


def pixels(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        return np.array(picture.convert("RGB"))


def tiles(data: bytes, columns: int, rows: int) -> NDArray[np.uint8]:
    """A sprite as faces: uint8 (n, H, W, 3)."""
    sprite = pixels(data)
    height, width = sprite.shape[0] // rows, sprite.shape[1] // columns
    cut = sprite.reshape(rows, height, columns, width, 3).swapaxes(1, 2)
    return cut.reshape(rows * columns, height, width, 3)


@dataclass(frozen=True, slots=True)
class Function:
    """A cloud function that runs: its URL, and the file with what it logs."""

    url: str
    log: Path


@contextmanager
def running_function(folder: Path, environment: dict[str, str], *, port: int = 0) -> Iterator[Function]:
    """functions-framework as a process of its own that runs a copy of the example."""
    port = port or free_port()
    shutil.copytree(EXAMPLE, folder / "function")
    started = Function(f"http://127.0.0.1:{port}/", folder / "log.txt")
    command = [sys.executable, "-m", "functions_framework", "--target", "generate", "--source", "main.py"]
    with started.log.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder / "function", stdout=log, stderr=log,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        )  # fmt: skip
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield started
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def fetch(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of what is at an address, errors included."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=120) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)
