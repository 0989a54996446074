"""The geometric transforms: exact where possible, else compared with torchvision and scipy."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from faceaug import ArgumentError
from faceaug.augment import (
    Compose,
    Elastic,
    HorizontalFlip,
    Perspective,
    Rotate,
    Stretch,
    Transform,
    Twist,
    VerticalFlip,
)
from tests.conftest import picture

FIVE = np.array([[69, 111], [108, 111], [88, 135], [73, 152], [105, 152]], np.float32)
GEOMETRIC = [Rotate(), HorizontalFlip(p=1), VerticalFlip(p=1), Stretch(), Twist(), Elastic(), Perspective()]


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8], *, margin: int) -> float:
    inner = np.s_[margin:-margin, margin:-margin]
    error = ((a[inner].astype(float) - b[inner].astype(float)) ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-12)))


def tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())


def array(image: torch.Tensor) -> NDArray[np.uint8]:
    return image.permute(1, 2, 0).numpy()


def test_flips_are_exact_and_the_same_as_torchvision() -> None:
    image = picture(1)
    assert (HorizontalFlip(p=1)(image) == image[:, ::-1]).all()
    assert (VerticalFlip(p=1)(image) == image[::-1]).all()
    assert (HorizontalFlip(p=1)(image) == array(functional.horizontal_flip(tensor(image)))).all()


@pytest.mark.parametrize("turns", [-3, -1, 0, 1, 2, 3, 5])
def test_quarter_turns_of_a_square_copy_pixels_exactly(turns: int) -> None:
    image = picture(1, height=90, width=90)
    assert (Rotate((90 * turns, 90 * turns))(image) == np.rot90(image, turns)).all()


def test_half_a_turn_copies_pixels_exactly_at_any_size() -> None:
    image = picture(1)
    assert (Rotate((180, 180))(image) == np.rot90(image, 2)).all()


def test_a_chain_that_comes_back_gives_the_very_pixels() -> None:
    image = picture(1)
    there_and_back = Compose([Rotate((20, 20)), HorizontalFlip(p=1), Rotate((20, 20)), HorizontalFlip(p=1)])
    assert (there_and_back(image) == image).all()


@pytest.mark.parametrize("degrees", [-20.0, 7.3, 45.0])
def test_turning_agrees_with_torchvision(degrees: float) -> None:
    image = picture(2)
    ours = Rotate((degrees, degrees), border="constant")(image)
    theirs = functional.rotate(tensor(image), degrees, interpolation=InterpolationMode.BILINEAR)
    assert psnr(ours, array(theirs), margin=60) > 40


def test_perspective_agrees_with_torchvision() -> None:
    image = picture(3)
    transform = Perspective((0.1, 0.1))
    params = transform.params(4, (218, 178))
    start = np.array([[0, 0], [177, 0], [177, 217], [0, 217]])
    end = start + np.array(params[0]["corners"]) * [177, 217]
    theirs = functional.perspective(
        tensor(image), start.tolist(), end.tolist(), interpolation=InterpolationMode.BILINEAR
    )
    # torchvision takes whole numbers to the library of its own convention: a share of a pixel apart.
    assert psnr(transform.render(image, params), array(theirs), margin=45) > 33


@pytest.mark.parametrize("transform", [Twist((40, 40)), Elastic((6, 6)), Stretch((1.1, 1.1))], ids=lambda t: t.name)
@pytest.mark.parametrize(("border", "mode"), [("reflect", "mirror"), ("edge", "nearest")])
def test_pixels_agree_with_scipy_at_the_formula_s_positions(transform: Transform, border: str, mode: str) -> None:
    image = picture(4)
    transform = dataclasses.replace(transform, border=border)
    params = transform.params(2, (218, 178))
    y, x = np.mgrid[:218, :178].astype(float)
    source = transform.motion(params[0], (218, 178)).sources(np.stack([x.ravel(), y.ravel()], axis=1)).T
    expected = [map_coordinates(image[..., c].astype(float), source[::-1], order=1, mode=mode) for c in range(3)]
    expected = np.rint(np.stack(expected, axis=1)).reshape(image.shape)
    difference = np.abs(transform.render(image, params).astype(float) - expected)
    assert difference.max() <= 6  # OpenCV before 5 places samples on a raster of 1/32 pixel
    assert difference.mean() < 0.5


def test_a_positive_turn_is_counter_clockwise_for_rotate_and_twist() -> None:
    right = np.array([[120.0, 108.5]])
    image = picture(1)
    assert Rotate((10, 10))(image, landmarks=right)["landmarks"][0, 1] < 104
    assert Twist((10, 10))(image, landmarks=right)["landmarks"][0, 1] < 107


def test_a_twist_leaves_everything_beyond_its_radius() -> None:
    image = picture(1)
    far = np.array([[88.5 + 61, 108.5], [88.5, 108.5]])
    moved = Twist((90, 90), radius=60)(image, landmarks=far)
    assert np.allclose(moved["landmarks"], far, atol=0.1)
    assert (moved["image"][:40] == image[:40]).all()


def test_the_largest_displacement_of_an_elastic_is_the_requested_one() -> None:
    transform = Elastic((5, 5))
    for key in range(5):
        grid = transform.motion(transform.params(key, (218, 178))[0], (218, 178)).source_grid()
        x, y = grid[..., 0], grid[..., 1]
        far = np.hypot(x - np.arange(178), y - np.arange(218)[:, None]).max()
        assert 4.7 <= far <= 5.1


def test_a_strong_elastic_is_capped_and_says_so_in_its_parameters() -> None:
    assert Elastic((50, 50)).params(1, (64, 64))[0]["pixels"] < 8


def test_a_number_becomes_a_range_and_a_pair_is_the_range_itself() -> None:
    assert Rotate(20).degrees == (-20, 20)
    assert Twist((5, 9)).degrees == (5, 9)
    assert Stretch(1.25).x == (0.8, 1.25) == Stretch(0.8).y
    assert Perspective(0.08).amount == (0, 0.08)
    assert Elastic(6).pixels == (0, 6)
    assert HorizontalFlip().p == 0.5
    assert Rotate().p == 1


def test_equal_ends_fix_the_value() -> None:
    for key in range(5):
        assert Rotate((7, 7)).params(key, (9, 9)) == [{"name": "Rotate", "degrees": 7.0}]
        assert Stretch((1.1, 1.1)).params(key, (9, 9)) == [{"name": "Stretch", "x": 1.1, "y": 1.1}]


def test_drawn_values_cover_their_range_evenly() -> None:
    degrees = [Rotate(20).params(key, (9, 9))[0]["degrees"] for key in range(400)]
    assert -20 <= min(degrees) < -19
    assert 19 < max(degrees) <= 20
    assert abs(np.mean(degrees)) < 2
    logs = [np.log(Stretch(1.2).params(key, (9, 9))[0]["x"]) for key in range(400)]
    assert abs(np.mean(logs)) < 0.02


def test_p_is_how_often_it_acts() -> None:
    acted = [bool(Rotate(20, p=0.3).params(key, (9, 9))) for key in range(1000)]
    assert 0.25 < np.mean(acted) < 0.35
    assert Rotate(20, p=0)(image := picture(1), key=1) is image


def test_a_mirror_exchanges_left_and_right_landmarks() -> None:
    moved = HorizontalFlip(p=1)(picture(1), landmarks=FIVE)
    assert moved["landmarks"].tolist() == [[69, 111], [108, 111], [89, 135], [72, 152], [104, 152]]
    assert moved["landmarks"].dtype == np.float32
    upside_down = VerticalFlip(p=1)(picture(1), landmarks=FIVE)
    assert upside_down["landmarks"][:, 0].tolist() == [108, 69, 88, 105, 73]


def test_two_mirrors_exchange_nothing() -> None:
    moved = Compose([HorizontalFlip(p=1), VerticalFlip(p=1)])(picture(1), landmarks=FIVE)
    assert (moved["landmarks"] == np.array([177, 217]) - FIVE).all()


def test_68_landmarks_are_exchanged_as_in_300_w() -> None:
    points = np.random.default_rng(0).random((68, 2)) * 100
    moved = HorizontalFlip(p=1)(picture(1), landmarks=points)["landmarks"]
    for left, right in (
        (0, 16),
        (8, 8),
        (17, 26),
        (36, 45),
        (39, 42),
        (48, 54),
        (60, 64),
        (65, 67),
        (57, 57),
        (30, 30),
    ):
        assert np.allclose(moved[left], [177 - points[right, 0], points[right, 1]])
    assert np.allclose(HorizontalFlip(p=1)(picture(1), landmarks=moved)["landmarks"], points)


def test_other_numbers_of_landmarks_need_swap_under_a_mirror() -> None:
    points = np.zeros((7, 2))
    with pytest.raises(ArgumentError, match=r"7 landmarks under a mirror.*swap=\[\(0, 1\)"):
        HorizontalFlip(p=1)(picture(1), landmarks=points)
    points[:, 0] = range(7)
    moved = HorizontalFlip(p=1, swap=[(0, 6)])(picture(1), landmarks=points)["landmarks"]
    assert moved[:, 0].tolist() == [171, 176, 175, 174, 173, 172, 177]
    assert Compose([HorizontalFlip(p=1)], swap=())(picture(1), landmarks=points)["landmarks"][0, 0] == 177
    assert len(Rotate()(picture(1), landmarks=points)["landmarks"]) == 7


@pytest.mark.parametrize(
    ("name", "pairs"),
    [("celebamask-hq", [(4, 5), (6, 7), (8, 9)]), ("face-parsing", [(2, 3), (4, 5), (7, 8)]), ([(1, 300)], [(1, 300)])],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_labels_with_a_side_change_places_under_a_mirror(name: object, pairs: list, dtype: type) -> None:
    labels = np.arange(19 * 8).reshape(8, 19).astype(dtype) % 19
    image = np.zeros((8, 19, 3), np.uint8)
    expected = labels[:, ::-1].copy()
    for a, b in pairs:
        left, right = expected == a, expected == b
        expected[left], expected[right] = np.array([b, a]).astype(dtype)
    if dtype is np.uint8 and name == [(1, 300)]:
        expected = labels[:, ::-1]  # 300 is no label of bytes
    flip = HorizontalFlip(p=1, label_swap=name)
    assert np.array_equal(flip(image, mask=labels)["mask"], expected)
    assert np.array_equal(Compose([HorizontalFlip(p=1)], label_swap=name)(image, mask=labels)["mask"], expected)
    assert np.array_equal(Compose([flip, flip])(image, mask=labels)["mask"], labels)
    upside_down = Compose([flip, VerticalFlip(p=1)])(image, mask=labels)["mask"]  # a half turn mirrors nothing
    assert np.array_equal(upside_down, labels[::-1, ::-1])
    assert np.array_equal(HorizontalFlip(p=1)(image, mask=labels)["mask"], labels[:, ::-1])


def test_a_twist_of_a_few_pixels_is_capped_and_says_so() -> None:
    assert Twist((180, 180), radius=7).params(1, (64, 64))[0]["degrees"] == pytest.approx(180 / np.pi)
    assert Twist((-180, -180), radius=7).params(1, (64, 64))[0]["degrees"] == pytest.approx(-180 / np.pi)
    assert Twist((180, 180)).params(1, (218, 178))[0]["degrees"] == 180


def test_unknown_landmarks_stay_unknown_and_invisible() -> None:
    points = FIVE.copy()
    points[2] = np.nan
    for transform in GEOMETRIC:
        moved = transform(picture(1), landmarks=points, key=1)
        assert np.isnan(moved["landmarks"][2]).all()
        assert moved["visible"].tolist() == [True, True, False, True, True]


def test_a_landmark_outside_the_frame_is_kept_but_not_visible() -> None:
    points = np.array([[-0.4, 0], [-0.6, 0], [177.4, 217], [170, 300]])
    moved = Rotate((0, 0))(picture(1), landmarks=points)
    assert moved["visible"].tolist() == [True, False, True, False]
    assert (moved["landmarks"] == points).all()


def test_boxes_are_edges_and_become_the_bounding_box_of_their_moved_outline() -> None:
    image, box = picture(1), np.array([[10, 20, 60, 80]], np.float32)
    assert HorizontalFlip(p=1)(image, boxes=box)["boxes"].tolist() == [[118, 20, 168, 80]]
    whole = np.array([[0, 0, 178, 218]])
    assert Rotate((180, 180))(image, boxes=whole)["boxes"].tolist() == [[0, 0, 178, 218]]
    turned = Rotate((45, 45))(image, boxes=np.array([[78.0, 98.0, 100.0, 120.0]]))["boxes"][0]
    assert np.allclose(turned, [89 - 11 * 2**0.5, 109 - 11 * 2**0.5, 89 + 11 * 2**0.5, 109 + 11 * 2**0.5], atol=1e-3)


def test_a_mask_takes_the_nearest_pixel_through_the_same_map() -> None:
    image = np.zeros((218, 178), np.uint8)
    image[90:140, 60:120] = 255
    for dtype in (np.uint8, np.bool_, np.int64, np.float32):
        mask = (image > 0).astype(dtype)
        for transform in GEOMETRIC:
            moved = transform(image, key=3, mask=mask)
            assert moved["mask"].dtype == dtype
            assert set(np.unique(moved["mask"])) <= {0, 1}
            assert ((moved["image"] > 127) != (moved["mask"] > 0)).sum() <= 12  # ties at half grey


def test_constant_border_fills_pictures_with_the_colour_and_masks_with_nothing() -> None:
    image, mask = np.full((40, 40, 3), 9, np.uint8), np.ones((40, 40), np.int32)
    moved = Rotate((45, 45), border="constant", fill=(1, 2, 3))(image, mask=mask)
    assert moved["image"][0, 0].tolist() == [1, 2, 3]
    assert moved["mask"][0, 0] == 0
    assert moved["mask"][20, 20] == 1


@pytest.mark.parametrize("border", ["reflect", "edge", "wrap"])
@pytest.mark.parametrize("interpolation", ["linear", "cubic", "nearest"])
@pytest.mark.parametrize("make", [Rotate, Perspective, Elastic], ids=lambda make: make.__name__)
def test_no_border_but_constant_brings_in_new_colours(make: type, border: str, interpolation: str) -> None:
    image = np.full((40, 40, 3), (10, 100, 250), np.uint8)
    assert (make(border=border, interpolation=interpolation)(image, key=2) == image).all()


def test_wrap_repeats_the_picture() -> None:
    image = picture(1, height=50, width=50)
    shrunk = Stretch((0.5, 0.5), border="wrap", interpolation="nearest")(image)
    assert (shrunk[:, 0] == shrunk[:, 25]).mean() > 0.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rotate(-20), r"degrees=-20: a strength is not negative"),
        (lambda: Rotate((20, -20)), r"the range is reversed; write \(-20, 20\)"),
        (lambda: Rotate("20"), r"expected a number \(degrees\) or a pair"),
        (lambda: Rotate(float("nan")), r"expected a number"),
        (lambda: Rotate(True), r"expected a number"),
        (lambda: Rotate(20, p=1.5), r"p=1.5: expected a probability from 0"),
        (lambda: Rotate(20, border="mirror"), r"border='mirror': expected one of 'reflect', 'edge'"),
        (lambda: Rotate(20, interpolation=1), r"interpolation=1: expected one of 'linear'"),
        (lambda: Rotate(20, fill=300), r"fill=300: expected integers from 0 to 255"),
        (lambda: Stretch(0), r"x=0: a factor is positive"),
        (lambda: Stretch(1, y=(0, 2)), r"y=\(0, 2\): expected between 0.05 and 20"),
        (lambda: Perspective(0.3), r"amount=0.3: expected between 0 and 0.2499"),
        (lambda: Elastic((-1, 3)), r"pixels=\(-1, 3\): expected at least 0"),
        (lambda: Elastic(3, grid=0), r"grid=0: expected a whole number of cells from 1 to 32"),
        (lambda: Twist(200), r"degrees=200: expected between -180 and 180"),
        (lambda: Twist(20, radius=0), r"radius=0: expected one number of pixels above 0"),
        (lambda: HorizontalFlip(swap=[(0, 1), (1, 2)]), r"each landmark number may occur once"),
        (lambda: Rotate(20, expand=1), r"expand=1: expected True or False"),
        (lambda: HorizontalFlip(label_swap="celeba"), r"known names are 'celebamask-hq', 'face-parsing'"),
        (lambda: HorizontalFlip(label_swap=3), r"label_swap=3: expected a name or pairs of labels"),
        (lambda: Compose([], label_swap=[(1, 2), (2, 3)]), r"each label occurs once"),
        (lambda: HorizontalFlip(swap=3), r"swap=3: expected pairs of landmark numbers"),
    ],
)
def test_a_wrong_option_is_named_with_what_was_expected(make: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


@settings(max_examples=60, deadline=None)
@given(
    which=st.integers(0, len(GEOMETRIC) - 1),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([0, 1, 3, 4]),
    count=st.sampled_from([0, 5, 68]),
    key=st.integers(0, 2**62),
)
def test_shape_type_and_number_of_landmarks_never_change(
    which: int, height: int, width: int, channels: int, count: int, key: int
) -> None:
    rng = np.random.default_rng(key)
    shape = (height, width, channels) if channels else (height, width)
    image = rng.integers(0, 256, shape, np.uint8)
    points = (rng.random((count, 2)) * [width, height]).astype(np.float32)
    transform = GEOMETRIC[which]
    moved = transform(image, key=key, landmarks=points)
    assert moved["image"].shape == shape
    assert moved["image"].dtype == np.uint8
    assert moved["landmarks"].shape == (count, 2)
    assert moved["visible"].shape == (count,)
    params = json.loads(json.dumps(transform.params(key, shape[:2])))
    again = transform.render(image, params, landmarks=points)
    assert (again["image"] == moved["image"]).all()
    assert np.array_equal(again["landmarks"], moved["landmarks"], equal_nan=True)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), vertical=st.booleans())
def test_flipping_twice_gives_back_picture_and_landmarks(seed: int, vertical: bool) -> None:
    flip = (VerticalFlip if vertical else HorizontalFlip)(p=1)
    image = picture(seed % 50, height=30, width=21)
    points = np.random.default_rng(seed).random((5, 2)).astype(np.float32) * 20
    for twice in (Compose([flip, flip]), lambda x, landmarks: flip(**_named(flip(x, landmarks=landmarks)))):
        back = twice(image, landmarks=points)
        assert (back["image"] == image).all()
        assert np.allclose(back["landmarks"], points, atol=1e-5)


def _named(result: dict) -> dict:
    return {"x": result["image"], "landmarks": result["landmarks"]}
