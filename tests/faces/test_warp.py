from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from faceaug.faces.templates import Affine
from faceaug.faces.warp import cut_frame, outside_share
from tests.conftest import picture


def about(scale: float, degrees: float, middle: tuple[float, float], size: tuple[int, int]) -> Affine:
    """The similarity that brings ``middle`` to the centre of the frame."""
    turn = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = (np.array(size) - 1) / 2
    return np.column_stack([linear, centre - linear @ middle])


def worst(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    return int(np.abs(one.astype(int) - other).max())


def test_a_frame_that_is_the_photo_is_the_photo() -> None:
    image = picture(1)
    same = np.array([[1.0, 0, 0], [0, 1, 0]])
    assert np.array_equal(cut_frame(image, same, (178, 218)), image)


def test_a_shift_by_whole_pixels_copies() -> None:
    image = picture(2)
    assert np.array_equal(cut_frame(image, np.array([[1.0, 0, -7], [0, 1, -11]]), (100, 120)), image[11:131, 7:107])


@pytest.mark.parametrize("factor", [2, 3, 7, 16])
def test_shrinking_by_a_whole_number_keeps_the_place_and_the_mean(factor: int) -> None:
    image = cv2.GaussianBlur(picture(3, height=27 * 16, width=21 * 16), (0, 0), 3 * factor)
    scale = 1 / factor
    matrix = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]])
    height, width = 27 * 16 // factor, 21 * 16 // factor
    found = cut_frame(image, matrix, (width, height))
    blocks = image[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    expected = blocks.mean(axis=(1, 3))
    assert np.abs(found - expected)[1:-1, 1:-1].max() <= 1.5


@pytest.mark.parametrize("degrees", [0, 17, 45, 90])
@pytest.mark.parametrize("scale", [0.5, 0.31, 0.11])
def test_a_fine_checkerboard_becomes_grey(scale: float, degrees: float) -> None:
    y, x = np.indices((800, 800))
    board = np.repeat(np.where((x + y) % 2, 255, 0).astype(np.uint8)[:, :, None], 3, axis=2)
    size = (round(400 * scale), round(400 * scale))
    matrix = about(scale, degrees, (399.7, 400.2), size)
    assert worst(cut_frame(board, matrix, size), np.full((*size, 3), 127, np.uint8)) <= 6


def test_one_sample_for_each_pixel_would_alias() -> None:
    y, x = np.indices((800, 800))
    board = np.repeat(np.where((x + y) % 2, 255, 0).astype(np.uint8)[:, :, None], 3, axis=2)
    aliased = cv2.warpAffine(board, about(0.31, 17, (400, 400), (124, 124)), (124, 124), flags=cv2.INTER_LINEAR)
    assert worst(aliased, np.full((124, 124, 3), 127, np.uint8)) > 40


@pytest.mark.parametrize("scale", [0.45, 0.2])
@pytest.mark.parametrize("degrees", [0, 30])
def test_a_shrunk_photo_is_as_pillow_shrinks_it(scale: float, degrees: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (900, 900, 3)).astype(np.uint8)
    size = (100, 100)
    matrix = about(scale, degrees, (450, 450), size)
    turned = Image.fromarray(image).rotate(-degrees, Image.Resampling.BICUBIC, center=(450.5, 450.5))
    half = 50 / scale
    box = (450.5 - half, 450.5 - half, 450.5 + half, 450.5 + half)
    expected = np.asarray(
        turned.resize(size, Image.Resampling.BOX if degrees == 0 else Image.Resampling.HAMMING, box=box)
    )
    found = cut_frame(image, matrix, size).astype(float)
    plain = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC).astype(float)
    error, of_plain = np.abs(found - expected).mean(), np.abs(plain - expected).mean()
    assert error < 0.4 * of_plain


def test_enlarging_is_cubic_and_in_place() -> None:
    image = cv2.GaussianBlur(picture(4), (0, 0), 3)
    matrix = np.array([[2.0, 0, 0.5], [0, 2, 0.5]])  # the edges of the picture stay
    found = cut_frame(image, matrix, (356, 436))
    expected = cv2.resize(image, (356, 436), interpolation=cv2.INTER_CUBIC)
    assert worst(found[8:-8, 8:-8], expected[8:-8, 8:-8]) <= 2


@pytest.mark.parametrize("padding", ["replicate", "reflect"])
@pytest.mark.parametrize("scale", [1.7, 0.4, 0.12])
def test_only_the_part_that_is_needed_is_read_and_gives_the_same(padding: str, scale: float) -> None:
    image = picture(5, height=500, width=400)
    size = (round(300 * scale), round(300 * scale))
    for middle in ((200, 250), (30, 40), (380, 490)):
        matrix = about(scale, 20, middle, size)
        found = cut_frame(image, matrix, size, padding=padding)  # type: ignore[arg-type]
        mode = "edge" if padding == "replicate" else "reflect"
        wide = np.pad(image, ((320, 320), (320, 320), (0, 0)), mode)  # type: ignore[call-overload]
        whole = matrix.copy()
        whole[:, 2] -= matrix[:, :2] @ (320, 320)
        assert worst(found, cut_frame(wide, whole, size)) <= (3 if scale > 0.15 else 12)


def test_replicate_and_reflect_are_what_numpy_pads() -> None:
    image = picture(6, height=60, width=50)
    moved = np.array([[1.0, 0, 10], [0, 1, 8]])
    for padding, mode in (("replicate", "edge"), ("reflect", "reflect")):
        expected = np.pad(image, ((8, 12), (10, 10), (0, 0)), mode)  # type: ignore[call-overload]
        assert np.array_equal(cut_frame(image, moved, (70, 80), padding=padding), expected)  # type: ignore[arg-type]


def test_blurred_padding_leaves_the_photo_alone_and_fades_outside() -> None:
    image = picture(7, height=120, width=100)
    moved = np.array([[1.0, 0, 60], [0, 1, 50]])
    found = cut_frame(image, moved, (220, 220), padding="blur")
    reflected = cut_frame(image, moved, (220, 220), padding="reflect")
    assert np.array_equal(found[50:170, 60:160], image)
    rough = [np.abs(np.diff(part[:40].astype(int), axis=1)).mean() for part in (found, reflected)]
    assert rough[0] < 0.4 * rough[1]


def test_blurred_padding_of_a_frame_within_the_photo_is_none() -> None:
    image = picture(8)
    matrix = about(0.8, 5, (89, 109), (80, 90))
    assert np.array_equal(cut_frame(image, matrix, (80, 90), padding="blur"), cut_frame(image, matrix, (80, 90)))


def test_the_share_outside_the_photo_is_measured() -> None:
    image = picture(9, height=100, width=100)
    assert outside_share(image, np.array([[1.0, 0, 0], [0, 1, 0]]), (100, 100)) == 0
    assert outside_share(image, np.array([[1.0, 0, 50], [0, 1, 0]]), (100, 100)) == pytest.approx(0.5, abs=0.02)
