"""Fixtures shared by all tests: real faces where FACEAUG_DATA names them, generated ones everywhere."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from faceaug.data.image import encode_png
from faceaug.data.tables import ATTRIBUTES, LANDMARKS
from faceaug.draws import stream

# The same examples in every run, so that a change fails for what it changed; FACEAUG_NEW_EXAMPLES=1 (.ci/full) draws
# others.
settings.register_profile("repeatable", derandomize=True)
if "FACEAUG_NEW_EXAMPLES" not in os.environ:
    settings.load_profile("repeatable")

CELEBA_FACES = 60  # in the folder of the fixture celeba_folder: 42 to train, 9 to validate, 9 to test


def picture(seed: int, *, height: int = 218, width: int = 178) -> NDArray[np.uint8]:
    """A smooth, face-sized picture with detail, different for every seed: uint8 (height, width, 3)."""
    coarse = stream(seed, slot="tests/picture").integers(0, 256, (9, 7, 3)).astype(np.float32)
    fine = stream(seed, slot="tests/detail").normal(0, 6, (height // 2, width // 2, 3)).astype(np.float32)
    size = (width, height)
    mixed = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) + cv2.resize(fine, size)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def write_celeba(folder: Path, pictures: list[NDArray[np.uint8]]) -> Path:
    """Pictures as a CelebA folder with its tables: every tenth face wears glasses, every third is male."""
    images = folder / "img_align_celeba"
    images.mkdir(parents=True)
    names = [f"{k + 1:06d}.png" for k in range(len(pictures))]
    for name, image in zip(names, pictures, strict=True):
        (images / name).write_bytes(encode_png(image))
    signs = stream(1, slot="tests/attributes").choice([-1, 1], (len(names), len(ATTRIBUTES)))
    signs[:, ATTRIBUTES.index("Eyeglasses")] = np.where(np.arange(len(names)) % 10 == 0, 1, -1)
    signs[:, ATTRIBUTES.index("Male")] = np.where(np.arange(len(names)) % 3 == 0, 1, -1)
    _write_table(folder / "list_attr_celeba.txt", ATTRIBUTES, names, signs)
    height, width = pictures[0].shape[:2]
    eyes = np.array([[0.39, 0.51], [0.6, 0.51], [0.5, 0.62], [0.41, 0.7], [0.59, 0.7]]) * (width, height)
    points = eyes.reshape(1, -1) + stream(2, slot="tests/landmarks").integers(-2, 3, (len(names), len(LANDMARKS)))
    _write_table(folder / "list_landmarks_align_celeba.txt", LANDMARKS, names, points.round().astype(int))
    lines = [f"{name} {k // 2}\n" for k, name in enumerate(names)]
    (folder / "identity_CelebA.txt").write_text("".join(lines))
    parts = [(0 if k % 10 < 7 else 1 if k % 20 < 10 else 2) for k in range(len(names))]
    (folder / "list_eval_partition.txt").write_text(
        "".join(f"{name} {part}\n" for name, part in zip(names, parts, strict=True))
    )
    return folder


def _write_table(path: Path, columns: tuple[str, ...], names: list[str], values: NDArray[np.int64]) -> None:
    rows = [f"{name} {' '.join(map(str, row))}\n" for name, row in zip(names, values.tolist(), strict=True)]
    path.write_text(f"{len(names)}\n{' '.join(columns)}\n" + "".join(rows))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For what is tiny: threads that wait for one another cost more than they bring."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def celeba_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 generated faces at 48x40 as a CelebA folder with all its tables. Read only: copy what a test changes."""
    from faceaug.synthesize import SyntheticFaceSource

    faces = SyntheticFaceSource("dcgan-32", seed=77).generate(CELEBA_FACES).permute(0, 2, 3, 1).numpy()
    pictures = [cv2.resize(face, (40, 48), interpolation=cv2.INTER_CUBIC) for face in faces]
    return write_celeba(tmp_path_factory.mktemp("celeba"), pictures)


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


@pytest.fixture(scope="session")
def align_truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real photos with the places of faces and landmarks, one folder and truth.json per set. Read only."""
    return _unpacked("align-truth", tmp_path_factory)


@pytest.fixture(scope="session")
def conditional_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untaught model of 32 pixels that takes attributes, with 300 typical rows: glasses in a tenth of them."""
    import torch

    from faceaug.synthesize import ModelConfig, save_model
    from faceaug.synthesize.conditional import build_conditional

    _, generator = build_conditional(8, 16, 12, size=32)
    draws = stream(0, slot="tests/conditional")
    rows = np.where(draws.random((300, 40)) < 0.3, 1, -1).astype(np.int8)
    rows[:, ATTRIBUTES.index("Eyeglasses")] = np.where(np.arange(300) % 10 == 0, 1, -1)
    with torch.no_grad():
        for _ in range(20):  # statistics of its maps, and colours that differ
            generator(torch.from_numpy(draws.standard_normal((64, 12), "f4")), torch.from_numpy(rows[:64].astype("f4")))
        generator.paint.weight.mul_(20)
    folder = tmp_path_factory.mktemp("conditional") / "tiny-faces"
    config = ModelConfig(
        name="tiny-faces", architecture="film-subpixel", z_size=12, conv_dim=16, attributes=ATTRIBUTES, embedding=64,
        training={"data": "none"},
    )  # fmt: skip
    save_model(folder, generator.eval(), config, rows)
    return folder
