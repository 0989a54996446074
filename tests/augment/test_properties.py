"""Properties of every map, for any drawn parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

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
from faceaug.augment.maps import Map
from faceaug.augment.pixels import render
from faceaug.augment.sample import Sample
from tests.conftest import picture

SIDES = st.integers(24, 300)
KEYS = st.integers(0, 2**62)
PARTS = st.sampled_from(
    [
        Rotate(25), Stretch(1.2), Perspective(0.1), HorizontalFlip(p=1), VerticalFlip(p=1), Twist(40),
        Twist(60, radius=30), Elastic(5), Elastic(3, grid=9), Elastic(8, grid=3),
    ]
)  # fmt: skip
CHAINS = st.lists(PARTS, min_size=1, max_size=5)
FIVE = np.array([[69, 111], [108, 111], [88, 135], [73, 152], [105, 152]], np.float32)


def maps_of(steps: list[Transform], key: int, size: tuple[int, int]) -> list[Map]:
    params = Compose(steps).params(key, size)
    return [steps[drawn["step"]].motion(drawn, size) for drawn in params]


def fused(steps: list[Transform], key: int, size: tuple[int, int]) -> Map:
    chain = Map(size)
    for motion in maps_of(steps, key, size):
        chain = chain.then(motion)
    return chain


def some_points(key: int, size: tuple[int, int], count: int = 20) -> NDArray[np.float64]:
    return np.random.default_rng(key).random((count, 2)) * [size[1] - 1, size[0] - 1]


@settings(max_examples=60, deadline=None)
@given(steps=CHAINS, key=KEYS, size=st.tuples(SIDES, SIDES))
def test_a_composed_map_moves_points_like_its_parts_in_sequence(
    steps: list[Transform], key: int, size: tuple[int, int]
) -> None:
    points = some_points(key, size)
    moved, inside = points, np.ones(len(points), np.bool_)
    for motion in maps_of(steps, key, size):
        moved = motion.move(moved)
        inside &= ((moved >= 0) & (moved <= [size[1] - 1, size[0] - 1])).all(axis=1)
    together = fused(steps, key, size).move(points)
    # Every interpolant keeps within some hundredths of a pixel of its formula; a chain adds up those of its parts.
    assert np.abs(together - moved)[inside].max(initial=0) < 0.15 * len(steps)


@settings(max_examples=60, deadline=None)
@given(steps=CHAINS, key=KEYS, size=st.tuples(SIDES, SIDES))
def test_every_point_of_a_chain_lies_where_its_pixel_lies(
    steps: list[Transform], key: int, size: tuple[int, int]
) -> None:
    chain, points = fused(steps, key, size), some_points(key, size)
    moved = chain.move(points)
    inside = ((moved >= 0) & (moved <= [size[1] - 1.001, size[0] - 1.001])).all(axis=1)
    grid = chain.source_grid().astype(np.float64)
    if chain.matrix is not None:
        exact = chain.sources(moved[inside])
        assert np.abs(exact - points[inside]).max(initial=0) < 1e-6
        return
    # Between pixels too: the interpolant at the whole pixels around, read bilinearly where nodes are pixels apart.
    lattice, _ = chain.interpolant()
    value, _, _ = lattice.at(moved[inside] @ np.array([1, 1j]))
    assert np.abs(value - points[inside] @ np.array([1, 1j])).max(initial=0) < 0.01
    whole = np.stack(np.meshgrid(np.arange(size[1]), np.arange(size[0])), axis=-1).reshape(-1, 2)
    value, _, _ = lattice.at(whole @ np.array([1, 1j]))
    assert np.abs(value - grid.reshape(-1, 2) @ np.array([1, 1j])).max() < 1e-3


@settings(max_examples=80, deadline=None)
@given(
    warp=st.one_of(
        st.builds(lambda a, r: Twist((a, a), radius=r), st.floats(-180, 180), st.none() | st.floats(1, 400)),
        st.builds(lambda a, g: Elastic((a, a), grid=g), st.floats(0, 2000), st.integers(1, 32)),
    ),
    key=KEYS,
    size=st.tuples(st.integers(8, 300), st.integers(8, 300)),
)
def test_no_warp_folds_between_pixels_however_strong(warp: Transform, key: int, size: tuple[int, int]) -> None:
    motion = warp.motion(warp.params(key, size)[0], size)
    lattice, stride = motion.interpolant()
    assert not lattice.folds()
    dense = lattice if stride == 1 else None
    corners = motion.source_grid().astype(np.float64)
    x, y = np.diff(corners, axis=1)[:-1], np.diff(corners, axis=0)[:, :-1]
    assert dense is not None or (x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0]).min() > 0


@settings(max_examples=40, deadline=None)
@given(steps=CHAINS, key=KEYS)
def test_a_chain_mirrors_as_often_as_its_parts_do(steps: list[Transform], key: int) -> None:
    parts = maps_of(steps, key, (60, 50))
    assert fused(steps, key, (60, 50)).mirrors == (sum(part.mirrors for part in parts) % 2 == 1)


@settings(max_examples=40, deadline=None)
@given(
    vertical=st.booleans(), height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 10**6),
    kind=st.sampled_from([np.uint8, np.float32]), channels=st.sampled_from([0, 1, 3, 4]),
)  # fmt: skip
def test_flipping_twice_gives_back_every_bit(
    vertical: bool, height: int, width: int, seed: int, kind: type, channels: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = (height, width, channels) if channels else (height, width)
    image = rng.integers(0, 256, shape, np.uint8) if kind is np.uint8 else rng.random(shape, np.float32)
    flip = (VerticalFlip if vertical else HorizontalFlip)(p=1)
    assert np.array_equal(flip(flip(image)), image)
    assert np.array_equal(Compose([flip, flip])(image), image)
    points = rng.integers(0, 50, (5, 2)).astype(np.float32)
    once = flip(image, landmarks=points)
    assert np.array_equal(flip(once["image"], landmarks=once["landmarks"])["landmarks"], points)


def tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())


def apart(ours: NDArray[np.uint8], theirs: torch.Tensor, margin: int) -> float:
    inner = np.s_[margin:-margin, margin:-margin]
    difference = ours[inner].astype(float) - theirs.permute(1, 2, 0).numpy()[inner]
    return float(np.abs(difference).mean())


@settings(max_examples=25, deadline=None)
@given(degrees=st.floats(-180, 180), expand=st.booleans(), seed=st.integers(0, 40))
def test_rotate_agrees_with_torchvision(degrees: float, expand: bool, seed: int) -> None:
    image = picture(seed, height=90, width=70)
    ours = Rotate((degrees, degrees), border="constant", expand=expand)(image)
    theirs = functional.rotate(tensor(image), degrees, interpolation=InterpolationMode.BILINEAR, expand=expand)
    if expand:  # its frame is rounded at both sides, ours once: up to two pixels larger, and then half a pixel beside
        assert np.abs(np.array(ours.shape[:2]) - theirs.shape[1:]).max() <= 2
        if tuple(theirs.shape[1:]) != ours.shape[:2]:
            return
    assert apart(ours, theirs, 12 if expand else 30) < 1.0


@settings(max_examples=25, deadline=None)
@given(degrees=st.floats(-45, 45), scale=st.floats(0.8, 1.25), seed=st.integers(0, 40))
def test_rotate_and_stretch_agree_with_torchvision_s_affine(degrees: float, scale: float, seed: int) -> None:
    image = picture(seed, height=90, width=70)
    chain = Compose([Stretch((scale, scale), border="constant"), Rotate((degrees, degrees), border="constant")])
    theirs = functional.affine(
        tensor(image), -degrees, [0, 0], scale, [0.0, 0.0], interpolation=InterpolationMode.BILINEAR
    )
    assert apart(chain(image), theirs, 32) < 1.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 40), key=KEYS)
def test_perspective_agrees_with_torchvision_at_its_pixel_edges(seed: int, key: int) -> None:
    image, transform = picture(seed, height=90, width=70), Perspective((0.08, 0.08), border="constant")
    params = transform.params(key, (90, 70))
    start = np.array([[0, 0], [69, 0], [69, 89], [0, 89]])
    end = start + np.array(params[0]["corners"]) * [69, 89]
    # torchvision's coefficients count pixel edges where ours count centres: half a pixel, in and out again.
    coefficients = torch_coefficients(start + 0.5, end + 0.5)
    theirs = functional.perspective(
        tensor(image), None, None, interpolation=InterpolationMode.BILINEAR, coefficients=coefficients
    )
    assert apart(transform.render(image, params), theirs, 12) < 1.0


def torch_coefficients(start: NDArray[np.float64], end: NDArray[np.float64]) -> list[float]:
    """Eight numbers of the homography from output to input, as torchvision wants them."""
    rows: list[list[Any]] = []
    for (u, v), (x, y) in zip(start, end, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return list(np.linalg.solve(np.array(rows), start.reshape(-1)))


@pytest.mark.parametrize("degrees", [-270, -90, 90, 180, 270, 450])
def test_expanded_quarter_turns_of_any_picture_copy_pixels(degrees: int) -> None:
    image = picture(1)
    turn = Rotate((degrees, degrees), expand=True)
    turned = turn(image, landmarks=FIVE, mask=image[..., 0])
    assert np.array_equal(turned["image"], np.rot90(image, degrees // 90))
    assert np.array_equal(turned["mask"], np.rot90(image[..., 0], degrees // 90))
    for (x, y), (u, v) in zip(FIVE.astype(int), turned["landmarks"], strict=True):
        assert (image[y, x] == turned["image"][int(v), int(u)]).all()


@settings(max_examples=30, deadline=None)
@given(degrees=st.floats(-180, 180), height=st.integers(1, 80), width=st.integers(1, 80))
def test_an_expanded_turn_keeps_every_pixel_in_the_frame(degrees: float, height: int, width: int) -> None:
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float64)
    image = np.zeros((height, width, 3), np.uint8)
    turned = Rotate((degrees, degrees), expand=True)(image, landmarks=corners)
    assert turned["visible"].all()
    across = width * abs(math.cos(math.radians(degrees))) + height * abs(math.sin(math.radians(degrees)))
    assert -1e-5 <= turned["image"].shape[1] - across < 1 + 1e-5


def test_a_transform_after_an_expanding_rotation_uses_the_larger_frame() -> None:
    image = picture(1)
    chain = Compose([Rotate((30, 30), expand=True), HorizontalFlip(p=1), Elastic(4), Twist(20)], swap=())
    moved = chain(image, key=3, landmarks=FIVE, mask=image[..., 0], boxes=np.array([[60, 100, 120, 160.0]]))
    assert moved["image"].shape == (278, 264, 3)
    assert moved["mask"].shape == (278, 264)
    assert moved["visible"].all()
    sample = Sample([image], [lambda array: array])
    for drawn in chain.params(3, (218, 178)):
        chain.transforms[drawn["step"]].apply(sample, drawn)
    assert sample.size == (278, 264)


@pytest.mark.parametrize("interpolation", ["linear", "cubic", "nearest"])
@pytest.mark.parametrize("border", ["reflect", "edge", "constant", "wrap"])
def test_floats_move_as_bytes_do(interpolation: Any, border: Any) -> None:
    image = picture(5)
    for warp in (Rotate, Perspective, Elastic, Twist):
        transform = warp(interpolation=interpolation, border=border, fill=(255, 128, 0))
        levels = transform(image, key=2).astype(float)
        units = transform(image.astype(np.float32) / 255, key=2)
        assert units.dtype == np.float32
        assert 0 <= units.min() <= units.max() <= 1
        # OpenCV 4 places bytes and floats alike at 1/32 pixel, 5 only warped bytes; edges then differ by some levels.
        assert np.abs(units * 255 - levels).mean() < 0.6


def test_a_map_without_parts_renders_the_picture_itself() -> None:
    image = picture(1)
    assert render(Map((218, 178)), image, Rotate()._sampling) is image
