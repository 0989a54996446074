from __future__ import annotations

import numpy as np
import pytest

from faceaug.augment import Compose, Elastic, Perspective, Rotate, Transform, pixels
from faceaug.augment.maps import Border
from tests.conftest import picture


@pytest.mark.parametrize("border", ["reflect", "edge", "constant", "wrap"])
@pytest.mark.parametrize("warp", [False, True])
def test_a_fourth_channel_on_the_way_changes_no_byte(
    border: Border, warp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = (10, 200, 30)
    chain: list[Transform] = [Rotate(40, border=border, fill=fill), Perspective(0.1, border=border, fill=fill)]
    chain += [Elastic(4, border=border, fill=fill)] if warp else []

    def made(key: int, wide: bool) -> np.ndarray:
        monkeypatch.setattr(pixels, "_wide", lambda: wide)
        return np.asarray(Compose(chain)(picture(key), key=key))

    for key in range(5):
        assert np.array_equal(made(key, wide=False), made(key, wide=True))
