from __future__ import annotations

import numpy as np
import pytest

from faceaug import ArgumentError
from faceaug.augment import (
    Compose,
    Elastic,
    GaussianBlur,
    HorizontalFlip,
    Perspective,
    Rotate,
    Stretch,
    Transform,
    Twist,
    pixels,
)  # fmt: skip
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
        monkeypatch.setattr(pixels, "_is_five", lambda: wide)
        return np.asarray(Compose(chain)(picture(key), key=key))

    for key in range(5):
        assert np.array_equal(made(key, wide=False), made(key, wide=True))


@pytest.mark.parametrize("shape", [(4, 33_000, 3), (33_000, 4, 3)])
def test_a_picture_that_opencv_cannot_warp_is_refused_with_the_reason_and_all_others_work(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp = (np.arange(33_000) // 150).astype(np.uint8).reshape((1, -1, 1) if shape[0] == 4 else (-1, 1, 1))
    image = np.ascontiguousarray(np.broadcast_to(ramp, shape))
    for step in (Elastic((1, 1)), Twist((1, 1)), Compose([Rotate((1, 1)), Elastic((1, 1))])):
        with pytest.raises(ArgumentError, match=rf"{shape[1]}x{shape[0]} .*OpenCV .* takes up to 32,766 pixels a side"):
            step(image, key=1)
    for step in (HorizontalFlip(p=1), GaussianBlur((1, 1)), Rotate((180, 180))):
        assert step(image).shape == shape
    matrices = (Rotate((0.001, 0.001)), Stretch((0.99999, 0.99999)), Perspective((1e-7, 1e-7)))
    monkeypatch.setattr(pixels, "_is_five", lambda: False)
    for step in matrices:  # OpenCV 4 would place pixels beyond 32,767 wrongly, without a word
        with pytest.raises(ArgumentError, match="cannot be warped"):
            step(image, key=1)
    monkeypatch.undo()
    for step in matrices if pixels._is_five() else ():
        assert np.abs(step(image, key=1).astype(int) - image).max() <= 2


def test_a_mask_of_a_wide_picture_is_moved_with_it_to_its_end() -> None:
    if not pixels._is_five():
        pytest.skip("OpenCV 4 warps no picture that wide")
    image = np.zeros((4, 33_000, 3), np.uint8)
    mask = np.broadcast_to(np.arange(33_000, dtype=np.int64), (4, 33_000))
    moved = Stretch(x=(0.99999, 0.99999), y=(1, 1))(image, key=1, mask=mask)["mask"]
    assert np.abs(moved - mask).max() <= 2
