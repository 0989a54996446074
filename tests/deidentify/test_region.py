from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from faceaug.deidentify.region import MARGIN, Region, region_of


def test_the_region_of_an_upright_face_reaches_beyond_its_box_by_the_margin() -> None:
    region = region_of((10, 20, 50, 70), 0)
    assert (region.x, region.y) == (30, 45)
    assert (region.across, region.down) == pytest.approx((20 * MARGIN, 25 * MARGIN))


@given(st.floats(0.62, 1.2), st.floats(-180, 180))
def test_a_turned_face_gets_the_ellipse_that_its_box_is_around(shape: float, roll: float) -> None:
    truth = Region(200, 200, 60 * shape, 60, roll)
    rows, columns = truth.bounds((400, 400))
    found = region_of((columns.start, rows.start, columns.stop - 1, rows.stop - 1), roll)
    if abs(np.cos(2 * np.radians(roll))) > 0.4:  # else the box does not tell how wide a face is
        assert found.across / MARGIN == pytest.approx(truth.across, abs=6)
        assert found.down / MARGIN == pytest.approx(truth.down, abs=6)
    assert found.down >= 0.75 * truth.down


@pytest.mark.parametrize("roll", [0, 30, 45, 90, 200])
def test_the_bounds_hold_the_whole_ellipse(roll: float) -> None:
    region = Region(100.3, 80.6, 30, 40, roll)
    everywhere = region.distances((slice(0, 200), slice(0, 200))) <= 1
    rows, columns = region.bounds((200, 200))
    inside = np.zeros_like(everywhere)
    inside[rows, columns] = True
    assert not (everywhere & ~inside).any()
    assert everywhere.sum() == pytest.approx(np.pi * 30 * 40, rel=0.01)


def test_a_region_outside_the_photo_has_no_pixels() -> None:
    rows, columns = Region(-100, 50, 20, 20, 0).bounds((100, 100))
    assert columns.start == columns.stop
    assert rows.start < rows.stop
