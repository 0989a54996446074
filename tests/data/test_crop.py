from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image, ImageOps

from faceaug.data.crop import CROPS, Crop, crop_box, crop_face, crop_points, in_frame, place
from faceaug.errors import ArgumentError
from tests.conftest import picture

sides = st.integers(1, 2000)


@given(st.sampled_from(CROPS), sides, sides)
def test_a_crop_lies_inside_the_picture_and_in_its_middle(crop: Crop, width: int, height: int) -> None:
    left, top, w, h = crop_box(crop, width, height)
    assert left >= 0
    assert top >= 0
    assert w >= 1
    assert h >= 1
    assert left + w <= width
    assert top + h <= height
    assert abs((width - w) - 2 * left) <= 1
    assert abs((height - h) - 2 * top) <= 1
    assert crop == "none" or w == h


def test_the_crops_of_a_celeba_photo_are_the_published_ones() -> None:
    assert crop_box("center178", 178, 218) == (0, 20, 178, 178)
    assert crop_box("center140", 178, 218) == (19, 39, 140, 140)
    assert crop_box("square", 178, 218) == (0, 20, 178, 178)
    assert crop_box("none", 178, 218) == (0, 0, 178, 218)
    assert crop_box("center140", 64, 64) == (7, 7, 50, 50)


def test_an_unknown_crop_or_an_empty_size_is_refused() -> None:
    with pytest.raises(ArgumentError, match="crop 'tight': expected one of center178, center140, square, none"):
        crop_box("tight", 10, 10)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="at least 1x1"):
        crop_face(picture(0), "none", (0, 5))


def test_halving_averages_blocks_of_four() -> None:
    image = picture(1, height=64, width=48)
    blocks = image.reshape(32, 2, 24, 2, 3).astype(float).mean((1, 3))
    assert np.abs(crop_face(image, "none", (24, 32)) - blocks).max() <= 0.5


def test_nothing_is_resampled_where_the_size_fits() -> None:
    image = picture(2)
    part = crop_face(image, "square", (178, 178))
    assert np.array_equal(part, image[20:198])
    assert part.flags.c_contiguous


@pytest.mark.parametrize("size", [(32, 32), (33, 17), (256, 256), (301, 40), (40, 301), (1, 1), (218, 100)])
@pytest.mark.parametrize("crop", CROPS)
def test_every_size_is_reached(size: tuple[int, int], crop: Crop) -> None:
    result = crop_face(picture(3), crop, size)
    assert result.shape == (size[1], size[0], 3)
    assert result.dtype == np.uint8


@given(st.sampled_from(CROPS), sides, sides, sides, sides)
def test_the_aspect_ratio_is_kept_to_the_pixel(crop: Crop, width: int, height: int, w: int, h: int) -> None:
    where = place(crop, (width, height), (w, h))
    exact = min(w / where.box[2], h / where.box[3])
    for fitted, part in zip(where.fitted, where.box[2:], strict=True):
        assert fitted == 1 or abs(fitted - part * exact) <= 0.5 + 1e-9
    assert where.fitted[0] == w or where.fitted[1] == h
    for inner, outer, start in zip(where.fitted, where.frame, where.offset, strict=True):
        assert 0 <= start <= start + inner <= outer
        assert abs(outer - inner - 2 * start) <= 1


@given(st.sampled_from(CROPS), sides, sides)
def test_without_a_size_nothing_is_resized_or_padded(crop: Crop, width: int, height: int) -> None:
    where = place(crop, (width, height), None)
    assert not where.padded
    assert not where.reduced
    assert not where.enlarged
    assert where.cropped == (crop_box(crop, width, height)[2:] != (width, height))


def test_what_a_picture_does_not_fill_is_black_and_the_rest_is_the_picture_resized() -> None:
    image = picture(4, height=200, width=100)
    result = crop_face(image, "none", (90, 80))
    assert not result[:, :25].any()
    assert not result[:, 65:].any()
    assert np.array_equal(result[:, 25:65], cv2.resize(image, (40, 80), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(("whole", "side"), [((3000, 4000), 64), ((4000, 3000), 64), ((178, 218), 120)])
def test_fitting_in_agrees_with_pillow(whole: tuple[int, int], side: int) -> None:
    image = cv2.GaussianBlur(picture(5, height=whole[1], width=whole[0]), (0, 0), max(whole) / 60)
    theirs = ImageOps.pad(Image.fromarray(image), (side, side), method=Image.Resampling.BOX, color="black")
    difference = np.abs(crop_face(image, "none", (side, side)).astype(int) - np.asarray(theirs))
    assert difference.max() <= 8
    assert difference.mean() < 1


def test_a_circle_stays_a_circle() -> None:
    image = np.zeros((400, 300, 3), np.uint8)
    cv2.circle(image, (150, 200), 100, (255, 255, 255), -1)
    for crop in CROPS:
        inside = crop_face(image, crop, (60, 90))[:, :, 0] > 127
        assert abs(int(inside.any(axis=0).sum()) - int(inside.any(axis=1).sum())) <= 1, crop


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("size", [(64, 64), (65, 63), (128, 96), (300, 300)])
@pytest.mark.parametrize("shape", [(218, 178), (217, 177), (201, 301)])
def test_points_move_with_the_pixels(crop: Crop, size: tuple[int, int], shape: tuple[int, int]) -> None:
    point = np.array([shape[1] * 0.52, shape[0] * 0.47], np.float32)
    ys, xs = np.mgrid[: shape[0], : shape[1]]
    blob = np.exp(-((xs - point[0]) ** 2 + (ys - point[1]) ** 2) / (2 * 9.0**2)) * 250
    image = np.repeat(np.round(blob).astype(np.uint8)[:, :, None], 3, 2)
    result = crop_face(image, crop, size)[:, :, 0].astype(float)
    moments = cv2.moments(result)
    centroid = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    moved = crop_points(point[None], crop, size, shape=shape)
    assert moved.dtype == np.float32
    assert np.abs(moved[0] - centroid).max() < 0.05


def test_unknown_points_stay_unknown() -> None:
    points = np.array([[np.nan, np.nan], [10, 30]], np.float32)
    moved = crop_points(points, "center178", (64, 64), shape=(218, 178))
    assert np.isnan(moved[0]).all()
    assert np.isfinite(moved[1]).all()


def test_points_in_a_frame_are_told_by_width_and_height() -> None:
    points = np.array([[29, 39], [30, 10], [10, 40], [-0.5, -0.5], [np.nan, 1]], np.float32)
    assert in_frame(points, (40, 30, 3)).tolist() == [True, False, False, True, False]
