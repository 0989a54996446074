from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceaug.clean.alignment import Affine
from faceaug.clean.compression import compression_of
from faceaug.clean.grids import Overlay, Sample, lay_over
from faceaug.clean.verify import compare_aligned
from faceaug.data.image import Image8, decode, encode_jpeg
from tests.clean.test_verify import detailed, moved


def laid(one: Sample, other: Sample) -> Overlay:
    return lay_over(one, other, compare_aligned(one.image, other.image)[1])


def apart(pair: Overlay) -> float:
    target, source = pair.shown()
    return float(np.abs(target.astype(int) - source).mean())


def saved(image: Image8, quality: int) -> Sample:
    data = encode_jpeg(np.ascontiguousarray(image), quality=quality, subsampling=2)
    return Sample(decode(data), compression_of(data))


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_a_picture_saved_like_its_copy_is_its_copy(quality: int) -> None:
    original = Sample(detailed(1))
    copy = saved(original.image, quality)
    for pair in (laid(original, copy), laid(copy, original)):
        assert apart(pair) == 0
        assert np.array_equal(pair.target, copy.image)
        assert pair.cropped == 0
    assert not laid(original, copy).target_is_first


def test_a_smaller_copy_is_made_again_from_the_larger_one() -> None:
    image = detailed(2)
    copy = saved(cv2.resize(image, (89, 109), interpolation=cv2.INTER_AREA), 60)
    assert apart(laid(Sample(image), copy)) < 0.5


@pytest.mark.parametrize("cut", [(5, 5, 5, 5), (0, 0, 12, 0), (3, 3, 0, 9)])
def test_the_part_of_a_photo_is_told_from_the_whole(cut: tuple[int, int, int, int]) -> None:
    image = detailed(3)
    top, bottom, left, right = cut
    part = Sample(np.ascontiguousarray(image[top : 218 - bottom, left : 178 - right]))
    whole = Sample(image)
    assert (laid(part, whole).cropped, laid(whole, part).cropped) == (1, 2)
    assert apart(laid(part, whole)) < 3


def test_neither_of_two_shifted_photos_is_a_part_of_the_other() -> None:
    image = detailed(4)
    assert laid(Sample(image), Sample(moved(image, dx=4, dy=-3))).cropped == 0
    assert laid(Sample(image), Sample(image)).cropped == 0


def test_a_map_and_its_inverse_cancel() -> None:
    affine = Affine(1.02, 0.03, 4.0, -0.02, 0.97, -2.0)
    places = np.array([[0.0, 0.0], [50.0, -30.0]])
    assert np.allclose(affine.inverse().at(affine.at(places)), places)
    wide = affine.stretched(2.0, 3.0)
    assert np.allclose(wide.at(places * (2, 3)), affine.at(places) * (2, 3))
