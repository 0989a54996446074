"""The warps without a matrix: exact inverses, and no folds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from faceaug.augment.fields import RandomField, Swirl

POINTS = np.random.default_rng(3).random((300, 2)) * 500 - 150


def forward(part: Swirl | RandomField, points: np.ndarray) -> np.ndarray:
    return np.stack(part.forward(points[:, 0], points[:, 1]), axis=1)


def there_and_back(part: Swirl | RandomField) -> float:
    back = np.stack(part.backward(*part.forward(POINTS[:, 0], POINTS[:, 1])), axis=1)
    return float(np.abs(back - POINTS).max())


@settings(max_examples=60, deadline=None)
@given(
    pixels=st.floats(0, 1000),
    cells=st.integers(1, 32),
    key=st.integers(0, 2**53 - 1),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
def test_a_random_field_leads_back_at_any_strength(pixels: float, cells: int, key: int, size: tuple[int, int]) -> None:
    field = RandomField(size, pixels, cells, key)
    assert field.limit <= pixels
    assert there_and_back(field) < 1e-6


def test_a_capped_field_is_the_same_when_made_again_from_its_cap() -> None:
    first = RandomField((218, 178), 1000.0, 6, 11)
    again = RandomField((218, 178), first.limit, 6, 11)
    assert (forward(first, POINTS) == forward(again, POINTS)).all()


@pytest.mark.parametrize("angle", [-3.0, 0.0, 0.4, 3.1])
def test_a_swirl_keeps_distances_from_its_centre_and_leads_back(angle: float) -> None:
    swirl = Swirl(angle, 90, (80.5, 70.0))
    moved = forward(swirl, POINTS)
    centre = np.array([80.5, 70.0])
    assert np.allclose(np.linalg.norm(moved - centre, axis=1), np.linalg.norm(POINTS - centre, axis=1))
    assert there_and_back(swirl) < 1e-9
    far = np.linalg.norm(POINTS - centre, axis=1) >= 90
    assert np.allclose(moved[far], POINTS[far])
