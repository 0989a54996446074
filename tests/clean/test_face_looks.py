from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from faceaug.clean.face_looks import FACE_LOOKS, face_look, fine_detail, outside_of, read_face_look
from faceaug.clean.signatures import read_exact_signature
from faceaug.data.image import Image8, encode_png
from faceaug.draws import stream
from tests.faces.photos import background, paste


def portrait(face: int = 0, *, side: int = 160) -> Image8:
    """A photo of 240x240 with one generated face."""
    photo = background(240, 240, seed=face)
    paste(photo, 40, 40, face=face, side=side)
    return photo


def test_a_portrait_has_one_face_upright_and_whole() -> None:
    look = face_look(portrait())
    assert (look["faces"], look["alike"], look["outside"]) == (1, 1, 0)
    assert abs(look["roll"]) < 10
    assert look["eyes"] == pytest.approx(34, rel=0.15)  # pixels: 0.21 of the face's side
    assert (look["width"], look["height"]) == (240, 240)


@pytest.mark.parametrize(("quarters", "roll"), [(1, 90), (2, 180), (3, 90)])
def test_a_turned_portrait_has_a_turned_face(quarters: int, roll: int) -> None:
    look = face_look(np.ascontiguousarray(np.rot90(portrait(), quarters)))
    assert abs(look["roll"]) == pytest.approx(roll, abs=10)


def test_two_faces_are_alike_unless_one_is_much_smaller() -> None:
    photo = background(480, 240)
    paste(photo, 20, 40, side=180)
    paste(photo, 250, 60, face=1, side=150)
    small = background(480, 240)
    paste(small, 20, 40, side=180)
    paste(small, 300, 60, face=1, side=64)
    assert face_look(photo)["alike"] == 2
    assert (face_look(small)["faces"], face_look(small)["alike"]) == (2, 1)


def test_a_picture_without_a_face_is_measured_as_a_whole() -> None:
    look = face_look(background(300, 200))
    assert (look["faces"], look["eyes"]) == (0, 0)
    assert look["light"] > 70


def test_the_more_a_picture_is_blurred_the_less_fine_detail_it_has_down_to_noise() -> None:
    sharp = np.clip(stream(0, slot="tests/sharp").normal(128, 60, (200, 200)), 0, 255).astype(np.uint8)
    sharp = cv2.GaussianBlur(sharp, (0, 0), 0.6)
    blurs = [cv2.GaussianBlur(sharp, (0, 0), sigma) for sigma in (2.0, 4.0, 8.0)]
    found = [fine_detail(image) for image in (sharp, *blurs)]
    assert found[0] > 0.9
    assert max(found[1:]) < 0.66


def test_fine_detail_does_not_depend_on_contrast() -> None:
    sharp = np.clip(stream(0, slot="tests/sharp").normal(128, 60, (200, 200)), 0, 255).astype(np.uint8)
    faint = (96 + sharp // 4).astype(np.uint8)
    assert fine_detail(faint) == pytest.approx(fine_detail(sharp), rel=0.05)


def test_dark_and_faint_portraits_still_show_their_face() -> None:
    dark = np.rint(portrait() * 0.1).astype(np.uint8)
    faint = np.rint(128 + (portrait() - 128.0) * 0.15).astype(np.uint8)
    for image in (dark, faint):
        assert face_look(image)["faces"] == 1
    assert face_look(dark)["light"] < 30
    assert face_look(faint)["spread"] < 45


def test_dark_skin_in_a_bright_picture_is_not_dark_but_a_face_in_the_dark_is() -> None:
    photo = background(240, 240)
    photo[:40] = 240  # a bright wall
    paste(photo, 40, 40, side=160)
    face = photo[40:200, 40:200]
    photo[40:200, 40:200] = np.rint(face * 0.4).astype(np.uint8)
    assert face_look(photo)["light"] > 90
    assert face_look(np.rint(photo * 0.4).astype(np.uint8))["light"] < 70


def test_half_a_face_lies_half_outside() -> None:
    points = np.float32([[-19, 50], [19, 50], [0, 75], [-16, 92], [16, 92]])  # about the left edge
    assert outside_of(points, np.zeros((200, 100, 3), np.uint8)) == pytest.approx(0.5, abs=0.05)
    assert outside_of(points + np.float32([60, 40]), np.zeros((240, 120, 3), np.uint8)) == 0


def test_a_large_photo_with_one_tiny_face_shows_it() -> None:
    photo = background(1400, 1000)
    paste(photo, 700, 500, side=36)
    look = face_look(photo)
    assert look["faces"] == 1
    assert look["eyes"] < 10


def test_a_blank_picture_holds_no_information() -> None:
    look = face_look(np.full((50, 60, 3), 90, np.uint8))
    assert (look["faces"], look["entropy"], look["spread"]) == (0, 0, 0)


def test_a_file_is_measured_as_its_pixels_are_and_an_unreadable_one_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode_png(portrait()))
    digest, look = read_face_look(str(path))
    assert digest == read_exact_signature(str(path)).content
    assert np.frombuffer(look, FACE_LOOKS)[0] == face_look(portrait())
    path.write_bytes(b"no picture")
    assert read_face_look(str(path)) == ("", b"")
    assert read_face_look(str(tmp_path / "missing.png")) == ("", b"")
