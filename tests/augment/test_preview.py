"""The contact sheet of augmentations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceaug import ArgumentError, RefusedError
from faceaug.augment import HorizontalFlip, preview_sheet, write_preview
from faceaug.data.image import encode_png, read_image
from tests.conftest import picture

FIVE = np.array([[69, 111], [108, 111], [88, 135], [73, 152], [105, 152]], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "faces"
    path.mkdir()
    for k in range(3):
        (path / f"{k}.png").write_bytes(encode_png(picture(k, height=60, width=50)))
    (path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return path


def test_a_sheet_shows_every_operation_at_every_strength(folder: Path) -> None:
    sheet = preview_sheet(folder, strengths=(0, 0.5, 1), cell=64)
    assert sheet.dtype == np.uint8
    assert sheet.shape[0] == 20 + 14 * 68
    assert (preview_sheet(folder, strengths=(0, 0.5, 1), cell=64) == sheet).all()
    assert (preview_sheet(folder, strengths=(0, 0.5, 1), cell=64, seed=1) != sheet).any()


def test_known_landmarks_are_drawn() -> None:
    image = np.full((218, 178, 3), 128, np.uint8)
    bare = preview_sheet([image], cell=128)
    dotted = preview_sheet([(image, FIVE)], cell=128)
    named = preview_sheet([(image, {"landmarks": FIVE, "index": 0})], cell=128)
    assert (dotted != bare).any()
    assert (dotted == named).all()
    assert (preview_sheet([(image, FIVE * np.nan)], cell=128) == bare).all()


def test_small_grey_and_pil_pictures_and_a_recipe_are_shown() -> None:
    faces = [picture(1, height=32, width=32)[..., 0], Image.fromarray(picture(1)).convert("RGBA")]
    assert preview_sheet(faces, recipe=HorizontalFlip(p=1), strengths=[1]).shape[2] == 3


def test_a_sheet_is_written_and_replaced_but_nothing_else_is(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    size = write_preview(folder, out)
    assert read_image(out).shape[:2] == size
    assert write_preview(folder, out, seed=2) == size
    (tmp_path / "mine.png").write_bytes(b"a user's file")
    with pytest.raises(RefusedError, match="exists and is not a contact sheet of faceaug preview"):
        write_preview(folder, tmp_path / "mine.png")
    with pytest.raises(RefusedError, match="would become a part of it"):
        write_preview(folder, folder / "sheet.png")
    assert write_preview(folder, tmp_path / "new" / "sheet.png") == size
    with pytest.raises(RefusedError, match="mine.png is not a folder; choose another place"):
        write_preview(folder, tmp_path / "mine.png" / "sheet.png")
    assert (tmp_path / "mine.png").read_bytes() == b"a user's file"
    assert write_preview(folder, tmp_path / "mine.png", overwrite=True) == size


def test_nothing_to_show_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no faces to preview"):
        preview_sheet([])
    with pytest.raises(ArgumentError, match="strengths"):
        preview_sheet([picture(1)], strengths=[2])
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(RefusedError, match="none of the 1 pictures can be read"):
        preview_sheet(tmp_path)


@pytest.mark.slow
def test_real_faces_are_shown(celeba200: Path) -> None:
    assert preview_sheet(celeba200).shape[0] > 1000
