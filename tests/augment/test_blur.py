"""The blurs against their formulas, scipy and torchvision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.ndimage import gaussian_filter
from torchvision.transforms.v2 import functional

from faceaug import ArgumentError
from faceaug.augment import GaussianBlur, MotionBlur
from faceaug.augment.blur import line_kernel
from tests.conftest import picture


@pytest.mark.parametrize("sigma", [0.4, 1.0, 1.5, 3.7, 12.0])
def test_gaussian_blur_agrees_with_scipy(sigma: float) -> None:
    image = picture(1)
    truncate = max(1, math.ceil(3 * sigma - 0.5)) / sigma
    expected = gaussian_filter(image.astype(float), (sigma, sigma, 0), mode="mirror", truncate=truncate)
    assert np.abs(GaussianBlur((sigma, sigma))(image) - expected).max() <= 1.6


def test_gaussian_blur_agrees_with_torchvision() -> None:
    image = picture(2)
    theirs = functional.gaussian_blur(torch.from_numpy(image.transpose(2, 0, 1).copy()), [13, 13], [2.0, 2.0])
    ours = GaussianBlur((2, 2))(image).astype(int)
    assert np.abs(ours - theirs.permute(1, 2, 0).numpy()).max() <= 1


def test_no_blur_changes_nothing() -> None:
    image = picture(1)
    assert GaussianBlur(0)(image) is image
    assert MotionBlur(0)(image) is image


@settings(max_examples=80, deadline=None)
@given(length=st.floats(0, 60), angle=st.floats(-360, 360))
def test_a_line_kernel_sums_to_one_and_has_the_requested_centre_length_and_angle(length: float, angle: float) -> None:
    kernel = line_kernel(length, angle).astype(float)
    (rows, columns) = kernel.shape
    y, x = np.mgrid[:rows, :columns]
    y, x = y - rows // 2, x - columns // 2
    assert rows % 2 == columns % 2 == 1
    assert kernel.min() >= 0
    assert abs(kernel.sum() - 1) < 1e-5
    assert (kernel == kernel[::-1, ::-1]).all()
    along = x * math.cos(math.radians(angle)) - y * math.sin(math.radians(angle))
    across = x * math.sin(math.radians(angle)) + y * math.cos(math.radians(angle))
    # Shares of whole columns change the spread along it by up to a twelfth, those across by up to a quarter; passing
    # up to 0.2 pixels beside a centre counts as in it, which at both ends is up to 0.1 of the length in the spread.
    assert abs((kernel * along**2).sum() - length**2 / 12) <= 0.3 + length * 0.1
    assert -1e-3 <= (kernel * across**2).sum() <= 0.3


def test_motion_blur_smears_along_its_angle_only() -> None:
    image = np.zeros((41, 41), np.uint8)
    image[20, 20] = 255
    across = MotionBlur((9, 9), angle=(0, 0))(image)
    assert (across[20, 17:24] > 20).all()
    assert across[18].max() == across[22].max() == 0
    rising = MotionBlur((15, 15), angle=(45, 45))(image)
    assert rising[16, 24] > 5
    assert rising[24, 24] == 0


def test_blurs_keep_the_mean_brightness_and_move_no_landmark() -> None:
    image, points = picture(1), np.array([[3.25, 7.5]])
    for blur in (GaussianBlur((2.5, 2.5)), MotionBlur((8.5, 8.5), angle=(33, 33))):
        moved = blur(image, landmarks=points)
        assert abs(moved["image"].mean() - image.mean()) < 1
        assert (moved["landmarks"] == points).all()


def test_a_picture_smaller_than_the_kernel_is_blurred() -> None:
    for size in ((1, 1), (1, 6), (5, 4)):
        image = np.full((*size, 3), 77, np.uint8)
        assert (GaussianBlur((9, 9))(image) == 77).all()
        assert (MotionBlur((20, 20))(image) == 77).all()


def test_blurry_begins_at_a_share_of_the_shorter_side() -> None:
    def blurry(transform: GaussianBlur | MotionBlur, side: int) -> bool:
        known = transform(np.zeros((side, side, 3), np.uint8), attributes=np.full(40, -1, np.int8))
        return bool(known["attributes"][10] == 1)

    assert [blurry(GaussianBlur((1, 1)), side) for side in (64, 80, 96)] == [True, True, False]
    assert [blurry(MotionBlur((9, 9)), side) for side in (64, 178, 256)] == [True, True, False]
    assert not blurry(GaussianBlur((0, 0), blurry_from=0), 64)


@pytest.mark.parametrize("make", [lambda: GaussianBlur(-1), lambda: MotionBlur(9, -1), lambda: GaussianBlur(1e9)])
def test_impossible_blurs_are_refused(make: object) -> None:
    with pytest.raises(ArgumentError, match=r"expected|not negative"):
        make()
