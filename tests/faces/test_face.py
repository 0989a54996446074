from __future__ import annotations

import numpy as np
import pytest

from faceaug import Face


def test_roll_is_clockwise_and_turns_with_the_face() -> None:
    level = np.array([[10, 20], [30, 20], [20, 30], [12, 40], [28, 40]], np.float64)
    for degrees in (-170, -90, 0, 15, 90, 179):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turned = level @ np.array([[c, s], [-s, c]])  # clockwise, y points down
        face = Face((0.0, 0.0, 40.0, 50.0), turned.astype(np.float32), 0.9)
        assert face.roll == pytest.approx(degrees, abs=1e-3)
        assert face.eye_distance == pytest.approx(20)
        assert face.size == 50
