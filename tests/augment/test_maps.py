"""The map: how parts compose, and which maps copy pixels instead of resampling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from faceaug.augment.fields import Swirl
from faceaug.augment.maps import Map, Matrix, Sampling
from faceaug.augment.pixels import render, render_mask

SIZE = (20, 30)


def matrix(*rows: tuple[float, float, float]) -> Map:
    return Map(SIZE, (Matrix(tuple(float(value) for row in rows for value in row)),))


FLIP = matrix((-1, 0, 29), (0, 1, 0), (0, 0, 1))
SHIFT = matrix((1, 0, 2.5), (0, 1, -1), (0, 0, 1))
SLANT = matrix((1, 0, 0), (0, 1, 0), (0.01, 0, 1))


def test_neighbouring_matrices_become_one_part_and_warps_stay_apart() -> None:
    warp = Map(SIZE, (Swirl(0.3, 9, (15, 10)),))
    assert len(FLIP.then(SHIFT).then(SLANT).parts) == 1
    assert len(FLIP.then(SHIFT).then(warp).then(SLANT).then(FLIP).parts) == 3


def test_a_chain_moves_points_one_part_after_another() -> None:
    points = np.array([[3.0, 4.0], [11.5, 7.25]])
    assert np.allclose(SHIFT.then(FLIP).move(points), FLIP.move(SHIFT.move(points)))
    assert np.allclose(SHIFT.then(FLIP).move(points)[0], [29 - 5.5, 3])


def test_mirrors_count() -> None:
    assert [FLIP.mirrors, FLIP.then(FLIP).mirrors, FLIP.then(SLANT).then(FLIP).then(FLIP).mirrors] == [
        True,
        False,
        True,
    ]


def test_a_point_beyond_the_horizon_is_unknown() -> None:
    assert np.isnan(SLANT.move(np.array([[-150.0, 3.0]]))).all()
    assert np.isfinite(SLANT.move(np.array([[-50.0, 3.0]]))).all()


@pytest.mark.parametrize("border", ["reflect", "edge", "wrap"])
def test_whole_pixel_shifts_agree_with_numpy_s_padding(border: str) -> None:
    image = np.arange(600, dtype=np.int64).reshape(SIZE)
    mode = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}[border]
    for dx, dy in itertools.product((-7, 0, 12), (-3, 0, 5)):
        moved = matrix((1, 0, dx), (0, 1, dy), (0, 0, 1))
        expected = np.pad(image, 19, mode=mode)[19 - dy : 39 - dy, 19 - dx : 49 - dx]
        assert (render_mask(moved, image, border) == expected).all()
        small = (image % 251).astype(np.uint8)
        expected = np.pad(small, 19, mode=mode)[19 - dy : 39 - dy, 19 - dx : 49 - dx]
        assert (render(moved, small, Sampling(border=border)) == expected).all()


def test_nothing_to_do_gives_the_picture_itself() -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    assert render(Map(SIZE), image, Sampling()) is image
    assert render(FLIP.then(FLIP), image, Sampling()) is image
