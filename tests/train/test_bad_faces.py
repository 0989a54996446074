"""What people point a trainer at: clear errors or sound behaviour, never a stack of numbers that are not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from faceaug.data.image import encode_jpeg, encode_png
from faceaug.errors import RefusedError
from faceaug.synthesize import SyntheticFaceSource
from faceaug.train import TrainConfig, choose_config, train_gan
from faceaug.train.checkpoint import checkpoints, read_checkpoint
from tests.conftest import picture

CONFIG: dict[str, Any] = {
    "z_size": 4, "g_conv_dim": 2, "d_conv_dim": 2, "batch": 4, "images": 16, "precision": "fp32", "crop": "square",
    "checkpoint_every": 16, "sample_every": 16, "monitor_every": 16, "log_every": 4,
}  # fmt: skip


def trained(folder: Path, **changes: Any) -> tuple[int, tuple[str, ...]]:
    """Train a little; the weights are finite and the model makes faces."""
    run = folder.parent / "run"
    report = train_gan(folder, run, TrainConfig(**CONFIG | changes))
    assert report.finished
    assert all(torch.isfinite(v).all() for v in read_checkpoint(checkpoints(run)[-1]).tensors.values())
    assert len(SyntheticFaceSource(run).generate(2)) == 2
    return report.faces, report.unreadable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    faces = tmp_path / "faces"
    faces.mkdir()
    for k in range(6):
        (faces / f"{k}.png").write_bytes(encode_png(picture(k, height=40, width=36)))
    return faces


def pillow(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_a_truncated_picture_is_left_out_and_named(folder: Path) -> None:
    (folder / "cut.jpg").write_bytes(encode_jpeg(picture(9))[:900])
    faces, unreadable = trained(folder)
    assert faces == 6
    assert len(unreadable) == 1
    assert "cut.jpg" in unreadable[0]


def test_mixed_sizes_grey_and_transparent_pictures_are_all_learnt_from(folder: Path) -> None:
    (folder / "large.png").write_bytes(encode_png(picture(7, height=300, width=200)))
    (folder / "small.png").write_bytes(encode_png(picture(8, height=17, width=23)))
    (folder / "grey.png").write_bytes(pillow(Image.fromarray(picture(9)).convert("L"), "PNG"))
    (folder / "grey.jpg").write_bytes(pillow(Image.fromarray(picture(10)).convert("L"), "JPEG"))
    (folder / "alpha.png").write_bytes(pillow(Image.fromarray(picture(11)).convert("RGBA"), "PNG"))
    (folder / "palette.png").write_bytes(pillow(Image.fromarray(picture(12)).convert("P"), "PNG"))
    assert trained(folder) == (12, ())


@pytest.mark.parametrize("n", [1, 3])
def test_fewer_pictures_than_a_batch_are_refused_and_nothing_remains(folder: Path, n: int) -> None:
    for path in sorted(folder.iterdir())[n:]:
        path.unlink()
    remedy = "too few for any" if n == 1 else "a GAN needs thousands .* --init MODEL.* --set batch=2 "
    with pytest.raises(RefusedError, match=rf"{n} (face is|faces are) fewer than one batch of 4.*{remedy}"):
        trained(folder)
    assert not (folder.parent / "run").exists()


def test_too_few_faces_for_fine_tuning_are_told_the_batch_that_would_do(folder: Path) -> None:
    changes: dict[str, Any] = {"crop": "square", "images": 4, "warmup": 0}
    with pytest.raises(RefusedError, match=r"6 faces are fewer than one batch of 32; .* --set batch=4 "):
        train_gan(folder, folder.parent / "run", choose_config(init="dcgan-32", **changes), init="dcgan-32")
    config = choose_config(init="dcgan-32", **changes, batch=4)
    assert train_gan(folder, folder.parent / "run", config, init="dcgan-32").finished


def test_three_pictures_are_enough_for_a_batch_of_two(folder: Path) -> None:
    for path in sorted(folder.iterdir())[3:]:
        path.unlink()
    assert trained(folder, batch=2) == (3, ())


@pytest.mark.parametrize("level", [0, 255])
def test_a_folder_of_one_colour_is_refused(folder: Path, level: int) -> None:
    for path in folder.iterdir():
        path.write_bytes(encode_png(np.full((40, 36, 3), level, np.uint8)))
    with pytest.raises(RefusedError, match="all 6 faces are the same picture"):
        trained(folder)
    assert not (folder.parent / "run").exists()


def test_black_pictures_among_others_do_no_harm(folder: Path) -> None:
    for k in range(4):
        (folder / f"black{k}.png").write_bytes(encode_png(np.zeros((40, 36, 3), np.uint8)))
    assert trained(folder) == (10, ())


def test_an_empty_folder_and_one_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "page.jpg").write_bytes(b"<html>404</html>")
    with pytest.raises(RefusedError, match="none of its 1 pictures can be read"):
        train_gan(tmp_path / "faces", tmp_path / "run", TrainConfig(**CONFIG))
    assert not (tmp_path / "run").exists()
