from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceaug.clean.calibrate import STEPS, choose_threshold, copies_of, is_same_photo
from faceaug.clean.verify import PairEvidence, compare
from faceaug.data.image import Image8, decode, encode_jpeg
from tests.conftest import picture


def same(one: Image8, other: Image8) -> bool:
    return is_same_photo(compare(one, other), STEPS[0])


def moved(image: Image8, *, angle: float = 0.0, scale: float = 1.0, dx: float = 0.0, dy: float = 0.0) -> Image8:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    matrix[:, 2] += dx, dy
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE))


def detailed(seed: int) -> Image8:
    """A picture with detail down to its pixels, falling off like that of photos."""
    noise = np.random.Generator(np.random.PCG64(seed)).normal(0, 60, (218, 178, 3)).astype(np.float32)
    return np.clip(picture(seed) + cv2.GaussianBlur(noise, (0, 0), 0.9), 0, 255).astype(np.uint8)


EDITS = {
    "itself": lambda x: x,
    "jpeg 40": lambda x: decode(encode_jpeg(x, quality=40)),
    "half": lambda x: cv2.resize(x, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "larger": lambda x: cv2.resize(x, None, fx=1.4, fy=1.4, interpolation=cv2.INTER_CUBIC),
    "darker": lambda x: (x * 0.9).astype(np.uint8),
    "less contrast": lambda x: (x * 0.8 + 25).astype(np.uint8),
    "gamma": lambda x: (255 * (x / 255.0) ** 0.8).astype(np.uint8),
    "cropped": lambda x: x[5:-6, 3:-6],
    "shifted": lambda x: moved(x, dx=3, dy=-3),
    "turned": lambda x: moved(x, angle=2, scale=1.03),
    "blurred": lambda x: cv2.GaussianBlur(x, (0, 0), 1.5),
    "grey": lambda x: np.repeat(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_copy_is_the_same_photo(edit: str) -> None:
    for seed in range(3):
        image = picture(seed)
        copy = np.ascontiguousarray(EDITS[edit](image))
        assert same(image, copy), compare(image, copy)
        assert same(copy, image), compare(copy, image)


def test_different_pictures_are_not_the_same_photo() -> None:
    assert not any(same(picture(a), picture(b)) for a in range(6) for b in range(a))


def test_a_mirror_image_is_not_the_same_photo() -> None:
    image = picture(5)
    assert not same(image, np.ascontiguousarray(image[:, ::-1]))


def test_dark_pictures_with_one_bright_patch_are_told_apart() -> None:
    # Alike as a whole (an oval on black), different in all detail: correlation alone would call them one photo.
    oval = cv2.ellipse(np.zeros((218, 178), np.float32), (89, 109), (55, 75), 0, 0, 360, 1, -1)
    oval = cv2.GaussianBlur(oval, (0, 0), 8)[..., None]
    one, other = ((180 * oval + 0.25 * oval * (picture(k) - 128.0)).clip(0, 255).astype(np.uint8) for k in (1, 2))
    evidence = compare(one, other)
    assert evidence.correlation > 0.9
    assert not is_same_photo(evidence, STEPS[0])


def test_another_expression_is_not_the_same_photo() -> None:
    image = picture(3)
    other = image.copy()
    other[80:140, 50:130] = picture(4)[80:140, 50:130]
    assert not same(image, other)


def test_a_logo_in_a_corner_is_forgiven() -> None:
    image = picture(3)
    other = image.copy()
    cv2.putText(other, "PHOTO", (4, 212), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
    assert same(image, other)


def test_other_colours_are_another_picture() -> None:
    image = picture(3)
    assert not same(image, np.ascontiguousarray(image[..., [1, 2, 0]]))


@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank_pictures_prove_nothing(value: int) -> None:
    blank = np.full((218, 178, 3), value, np.uint8)
    assert not same(blank, blank.copy())
    assert not same(blank, picture(1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (9, 9), (16, 16), (4000, 3)])
def test_odd_shapes_are_compared_without_an_error(shape: tuple[int, int]) -> None:
    image = picture(1, height=max(8, shape[0]), width=max(8, shape[1]))[: shape[0], : shape[1]]
    evidence = compare(np.ascontiguousarray(image), picture(2))
    assert all(np.isfinite(getattr(evidence, name)) for name in PairEvidence.__slots__)


def test_an_enlarged_file_is_known_whichever_side_it_is_on() -> None:
    image = detailed(1)
    larger = cv2.resize(image, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC)
    smaller = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert (compare(larger, image).enlarged, compare(image, larger).enlarged) == (1, 2)
    assert compare(image, smaller).enlarged == compare(smaller, image).enlarged == 0


def evidence(detail: float) -> PairEvidence:
    return PairEvidence(detail, detail, 1, 1, 1, 9, 1, 1, 0)


def test_the_threshold_rises_with_what_chance_can_do() -> None:
    tame = [evidence(x) for x in np.linspace(0.1, 0.6, 300)]
    wild = [evidence(x) for x in np.linspace(0.1, 0.92, 300)]
    assert choose_threshold(tame, tame)[0] == STEPS[0]
    step, expected = choose_threshold(wild * 20, wild)
    assert step > STEPS[0]
    assert expected > choose_threshold(tame, tame)[1]


def test_a_second_run_never_lowers_the_threshold() -> None:
    tame = [evidence(x) for x in np.linspace(0.1, 0.6, 300)]
    assert choose_threshold(tame, tame, at_least=0.96)[0] == 0.96


def test_the_copies_made_for_calibration_are_found() -> None:
    image = picture(8)
    assert all(same(image, np.ascontiguousarray(copy)) for copy in copies_of(image))
