from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from faceaug.clean import clean_folder
from faceaug.clean.cutouts import read_layers, same_layers, shown_layer
from faceaug.clean.signatures import read_signature, same_content
from faceaug.data.image import encode_png
from tests.conftest import picture


def sketch(seed: int, ink: int) -> bytes:
    """Lines of one colour on a transparent ground."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGBA", (128, 128), (ink, ink, ink, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 12, 108, 118), outline=(ink, ink, ink, 255), width=3)
    for _ in range(6):
        draw.line([tuple(rng.integers(15, 113, 2).tolist()) for _ in range(3)], fill=(ink, ink, ink, 255), width=4)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("ink", [0, 128, 255])
def test_different_drawings_on_a_transparent_ground_are_kept_in_any_colour(ink: int, tmp_path: Path) -> None:
    for k in range(12):
        (tmp_path / f"photo{k:02d}.png").write_bytes(encode_png(picture(k, height=128, width=128)))
    for k in range(6):
        (tmp_path / f"sketch{k}.png").write_bytes(sketch(k, ink))
    (tmp_path / "sketch-again.png").write_bytes(sketch(2, ink))
    report = clean_folder(tmp_path)
    assert [entry.name for entry in report.set_aside] in (["sketch-again.png"], ["sketch2.png"])


def test_a_picture_is_seen_on_white_unless_it_is_blank_there() -> None:
    white, black = (read_layers(sketch(1, ink)) for ink in (255, 0))
    assert [len(white), len(black)] == [2, 2]
    assert np.ptp(shown_layer(white)) == 255
    assert shown_layer(white) is white[1]
    assert shown_layer(black) is black[0]
    assert not same_layers(white, black)


def test_an_opaque_fourth_channel_makes_no_difference(tmp_path: Path) -> None:
    image = picture(3, height=40, width=40)
    (tmp_path / "rgb.png").write_bytes(encode_png(image))
    Image.fromarray(image).convert("RGBA").save(tmp_path / "rgba.png")
    one, other = (read_signature(str(tmp_path / name)) for name in ("rgb.png", "rgba.png"))
    assert one.pixels == other.pixels
    assert same_content(tmp_path / "rgb.png", tmp_path / "rgba.png", pixels=True)


def test_pictures_alike_on_white_alone_are_not_the_same(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 40), (255, 255, 255, 0)).save(tmp_path / "empty.png")
    Image.new("RGB", (40, 40), (255, 255, 255)).save(tmp_path / "white.png")
    assert read_signature(str(tmp_path / "empty.png")).pixels != read_signature(str(tmp_path / "white.png")).pixels
    assert not same_content(tmp_path / "empty.png", tmp_path / "white.png", pixels=True)
