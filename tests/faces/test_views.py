from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from faceaug.faces.views import (
    GLANCE,
    SMALLEST,
    TILE,
    WHOLE,
    View,
    eighth_turned,
    glance_scale,
    levels,
    places,
    quarter_turned,
    spans,
    tiles,
    whole_view,
)

X, Y = 150, 90


def photo(width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    """Black, with a soft white spot whose middle is at (X, Y)."""
    y, x = np.mgrid[:height, :width]
    spot = 255 * np.exp(-((x - X) ** 2 + (y - Y) ** 2) / (2 * 6.0**2))
    return np.repeat(spot.round().astype(np.uint8)[..., None], 3, axis=2)


def middle(view: View) -> NDArray[np.float64]:
    """The middle of the spot in a view, as a place of the photo."""
    light = view.picture[..., 0].astype(np.float64)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    return places(view.matrix, np.array([(x * light).sum(), (y * light).sum()]) / light.sum())


@pytest.mark.parametrize("scale", [0.4, 0.77, 1.0, 1.3, 2.5])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("oblique", [False, True])
def test_a_place_of_a_view_is_that_of_the_photo(scale: float, quarters: int, oblique: bool) -> None:
    view = whole_view(photo(), scale)
    turned = quarter_turned(eighth_turned(view) if oblique else view, quarters)
    assert middle(turned) == pytest.approx([X, Y], abs=0.1)
    assert turned.scale == pytest.approx(1 / scale, rel=0.02)
    expected = np.radians(90 * quarters + 45 * oblique)
    assert np.exp(1j * turned.turn) == pytest.approx(np.exp(1j * expected), abs=0.02)


def test_an_oblique_view_shows_every_corner() -> None:
    view = eighth_turned(View(np.full((60, 90, 3), 255, np.uint8), np.eye(2, 3)))
    assert (view.picture[..., 0] / 255).sum() == pytest.approx(60 * 90, rel=0.03)


@given(st.integers(1, 30_000))
def test_spans_cover_a_side_and_overlap(length: int) -> None:
    found = spans(length)
    assert (found[0][0], found[-1][1]) == (0, length)
    assert all(end - begin <= TILE for begin, end in found)
    assert all(before[1] - after[0] >= 200 for before, after in pairwise(found))


def test_a_tile_says_where_the_photo_goes_on() -> None:
    view = View(np.zeros((900, 2100, 3), np.uint8), np.eye(2, 3))
    found = [(tile.picture.shape[:2], tile.matrix[:, 2].tolist(), tile.open) for tile in tiles(view)]
    assert found == [
        ((900, 1024), [0, 0], (False, False, True, False)),
        ((900, 1024), [538, 0], (True, False, True, False)),
        ((900, 1024), [1076, 0], (True, False, False, False)),
    ]


def test_a_place_of_a_tile_is_that_of_the_photo() -> None:
    large = np.zeros((1500, 1500, 3), np.uint8)
    large[:240, :320] = photo()
    first = next(iter(tiles(View(large, np.eye(2, 3)))))
    assert middle(first) == pytest.approx([X, Y], abs=0.05)


@given(st.integers(1, 30_000), st.integers(1, 30_000), st.floats(0.02, 3))
def test_levels_begin_with_the_whole_photo_and_end_where_the_smallest_faces_are_seen(
    width: int, height: int, needed: float
) -> None:
    scales = levels(width, height, needed=needed)
    longer = max(width, height)
    assert longer * scales[0] <= max(TILE, WHOLE) + 1e-6
    assert longer * scales[0] >= min(longer, SMALLEST) - 1e-6
    assert scales[-1] >= 0.89 * min(1, needed)
    assert all(a < b <= 4.01 * a for a, b in pairwise(scales))
    assert all(scale <= 1 for scale in scales) or longer < SMALLEST


@given(width=st.integers(1, 2000), height=st.integers(1, 2000), needed=st.floats(0.05, 2))
def test_a_first_look_is_coarser_than_the_coarsest_level_and_shows_the_smallest_faces(
    width: int, height: int, needed: float
) -> None:
    scale = glance_scale(width, height, needed=needed)
    longer = max(width, height)
    if longer >= SMALLEST:
        assert scale is None
    elif scale is not None:
        assert needed <= scale < levels(width, height, needed=needed)[0]
        assert scale * longer >= min(GLANCE, SMALLEST) - 1e-6
