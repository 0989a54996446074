from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st

from faceaug.data.crop import CROPS, Crop, crop_box, crop_face, crop_points
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
    assert np.abs(crop_face(image, "none", (32, 24)) - blocks).max() <= 0.5


def test_nothing_is_resampled_where_the_size_fits() -> None:
    image = picture(2)
    part = crop_face(image, "square", (178, 178))
    assert np.array_equal(part, image[20:198])
    assert part.flags.c_contiguous


@pytest.mark.parametrize("size", [(32, 32), (33, 17), (256, 256), (301, 40), (40, 301), (1, 1), (218, 100)])
@pytest.mark.parametrize("crop", CROPS)
def test_every_size_is_reached(size: tuple[int, int], crop: Crop) -> None:
    result = crop_face(picture(3), crop, size)
    assert result.shape == (*size, 3)
    assert result.dtype == np.uint8


def test_an_axis_that_shrinks_does_not_alias_because_the_other_grows() -> None:
    stripes = np.zeros((20, 160, 3), np.uint8)
    stripes[:, ::2] = 255
    result = crop_face(stripes, "none", (40, 40))
    assert np.abs(result.astype(int) - 128).max() <= 1


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
    moved = crop_points(point[None], crop, size, image_size=shape)
    assert moved.dtype == np.float32
    assert np.abs(moved[0] - centroid).max() < 0.05


def test_unknown_points_stay_unknown() -> None:
    points = np.array([[np.nan, np.nan], [10, 30]], np.float32)
    moved = crop_points(points, "center178", (64, 64), image_size=(218, 178))
    assert np.isnan(moved[0]).all()
    assert np.isfinite(moved[1]).all()
