"""Fixtures shared by all tests: real faces where FACEAUG_DATA names them, generated ones everywhere."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from faceaug.draws import stream


def picture(seed: int, *, height: int = 218, width: int = 178) -> NDArray[np.uint8]:
    """A smooth, face-sized picture with detail, different for every seed: uint8 (height, width, 3)."""
    coarse = stream(seed, slot="tests/picture").integers(0, 256, (9, 7, 3)).astype(np.float32)
    fine = stream(seed, slot="tests/detail").normal(0, 6, (height // 2, width // 2, 3)).astype(np.float32)
    size = (width, height)
    mixed = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) + cv2.resize(fine, size)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _unpacked(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = os.environ.get("FACEAUG_DATA")
    if not data:
        pytest.skip("FACEAUG_DATA is not set: no real faces here")
    archive = Path(data) / f"{name}.tar.gz"
    if not archive.is_file():
        pytest.skip(f"{archive.name} is not in FACEAUG_DATA")
    out = tmp_path_factory.mktemp(name)
    with tarfile.open(archive) as tar:
        tar.extractall(out, filter="data")
    return out / name


@pytest.fixture(scope="session")
def celeba64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """27,097 real CelebA faces at 64x64 with their tables. Read only: copy what a test changes."""
    return _unpacked("celeba64", tmp_path_factory)


@pytest.fixture(scope="session")
def celeba200(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,500 real CelebA faces of about 200 pixels with their tables. Read only: copy what a test changes."""
    return _unpacked("celeba200", tmp_path_factory)
