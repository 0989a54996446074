"""Landmarks stay on the pixels they mark: painted blobs, and the pixels' own coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

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
from faceaug.augment.maps import Map, Sampling
from faceaug.augment.pixels import render
from faceaug.draws import stream

SIZE = (218, 178)
EYES = np.array([[69, 111], [108, 111], [88, 135], [73, 152], [105, 152]], np.float64)
MATRICES = {
    "rotate": Rotate((20, 20), border="constant"),
    "stretch": Stretch(x=(1.15, 1.15), y=(0.9, 0.9), border="constant"),
    "horizontal flip": HorizontalFlip(p=1, swap=()),
    "vertical flip": VerticalFlip(p=1, swap=()),
}
EVERYTHING: dict[str, Transform] = {
    **MATRICES,
    "perspective": Perspective((0.08, 0.08), border="constant"),
    "strong perspective": Perspective((0.24, 0.24), border="constant"),
    "twist": Twist((60, 60), border="constant"),
    "strong twist": Twist((180, 180), border="constant"),
    "elastic": Elastic((6, 6), border="constant"),
    "elastic at its limit": Elastic((1000, 1000), border="constant"),
    "fine elastic": Elastic((4, 4), grid=12, border="constant"),
    "matrix chain": Compose(
        [Rotate(border="constant"), HorizontalFlip(p=1), Perspective(border="constant"), Stretch(border="constant")],
        swap=(),
    ),
    "warp chain": Compose(
        [
            Rotate(border="constant"), Elastic(border="constant"), HorizontalFlip(p=1), Twist(40, border="constant"),
            Perspective(border="constant"), Elastic(border="constant"), Rotate(border="constant"),
        ],
        swap=(),
    ),
}  # fmt: skip


def blob(at: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A Gaussian of sigma 2.5 pixels on black."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    value = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 2.5**2))
    return np.rint(value).astype(np.uint8)


def centroid(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    weight = image.astype(np.float64)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def blob_errors(transform: Transform, key: int) -> NDArray[np.float64]:
    moved = [transform(blob(at), key=key, landmarks=at[None]) for at in EYES]
    return np.array([np.linalg.norm(centroid(m["image"]) - m["landmarks"][0]) for m in moved])


def whole_map(transform: Transform, key: int) -> Map:
    """Everything a geometric transform does to a picture, as the one map it makes of it."""
    chain = Map(SIZE)
    for params in transform.params(key, SIZE):
        steps = getattr(transform, "transforms", [transform])
        chain = chain.then(steps[params.get("step", 0)].motion(params, SIZE))
    return chain


def coordinate_errors(chain: Map, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Resample pictures whose values are their own x and y, and read them where the landmarks went."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    moved = chain.move(points)
    inside = ((moved > 2) & (moved < np.array([SIZE[1], SIZE[0]]) - 3)).all(axis=1)
    at = moved[inside].T[::-1]
    rendered = [render(chain, value / 255, Sampling(border="edge")) * 255 for value in (x, y)]
    read = [map_coordinates(value.astype(float), at, order=3) for value in rendered]
    return np.linalg.norm(np.stack(read, axis=1) - points[inside], axis=1)


@pytest.mark.parametrize("name", MATRICES)
def test_a_blob_ends_where_its_landmark_ends_under_affine_maps(name: str) -> None:
    errors = np.concatenate([blob_errors(MATRICES[name], key) for key in range(4)])
    assert errors.max() <= 0.02


@pytest.mark.parametrize("name", ["perspective", "elastic", "twist", "matrix chain", "warp chain"])
def test_a_blob_ends_where_its_landmark_ends_as_far_as_blobs_can_tell(name: str) -> None:
    errors = np.concatenate([blob_errors(EVERYTHING[name], key) for key in range(4)])
    # The map bends the blob itself; its centroid then lies some hundredths to tenths of a pixel beside its centre.
    assert errors.mean() <= 0.2
    assert errors.max() <= 0.45


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_pixel_at_a_moved_landmark_came_from_the_landmark(name: str) -> None:
    chance = stream(5, slot="tests/landmarks")
    points = np.concatenate([EYES, 3 + chance.random((60, 2)) * [SIZE[1] - 7, SIZE[0] - 7]])
    chains = [whole_map(EVERYTHING[name], key) for key in range(8)]
    errors = np.concatenate([coordinate_errors(chain, points) for chain in chains])
    assert len(errors) > 200
    assert errors.max() <= 0.05


@pytest.mark.parametrize("name", EVERYTHING)
def test_points_go_exactly_back_through_the_map(name: str) -> None:
    chain = whole_map(EVERYTHING[name], 3)
    chance = stream(6, slot="tests/landmarks").random((200, 2)) * 400 - 100  # also far outside the frame
    moved = chain.move(chance)
    # The interpolant, on which the points lie, leaves the formula most where a half turn is wound into the picture.
    allowed = 0.2 if name == "strong twist" else 0.05
    assert np.abs(chain.sources(moved) - chance)[np.isfinite(moved)].max() < allowed
    if chain.matrix is None:
        framed = ((moved >= 0) & (moved < [SIZE[1] - 1, SIZE[0] - 1])).all(axis=1)
        x, y = moved[framed].T
        value, _, _ = chain.interpolant()[0].at(x + 1j * y)
        assert np.abs(value - (chance[framed] @ [1, 1j])).max() < 1e-6


@pytest.mark.parametrize("name", ["elastic", "elastic at its limit", "fine elastic", "strong twist", "warp chain"])
def test_a_warp_never_folds(name: str) -> None:
    for key in range(6):
        grid = whole_map(EVERYTHING[name], key).source_grid()
        x, y = grid[..., 0], grid[..., 1]
        determinant = np.diff(x, axis=1)[:-1] * np.diff(y, axis=0)[:, :-1]
        determinant -= np.diff(x, axis=0)[:, :-1] * np.diff(y, axis=1)[:-1]
        sign = -1 if name == "warp chain" else 1
        assert (sign * determinant).min() > 0


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (3, 40), (32, 32), (400, 300)])
@pytest.mark.parametrize("transform", [Rotate(), Stretch(), Twist(), Elastic(), Perspective()], ids=lambda t: t.name)
def test_every_size_of_picture_is_moved(transform: Transform, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 200, np.uint8)
    moved = transform(image, key=1, landmarks=np.array([[(size[1] - 1) / 2, (size[0] - 1) / 2]]))
    assert (moved["image"] == 200).all()
    assert np.isfinite(moved["landmarks"]).all()


def test_fusing_a_chain_keeps_more_of_the_picture_than_resampling_step_by_step() -> None:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float64)

    def scene(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return 128 + 50 * np.sin(x * 0.9) * np.cos(y * 0.7) + 40 * np.sin(0.31 * x + 0.53 * y)

    image = np.rint(scene(x, y)).astype(np.uint8)
    steps = [Rotate((14, 14)), Stretch((1.1, 1.1)), Perspective((0.05, 0.05)), Rotate((-9, -9))]
    chain = Compose(steps)
    params = chain.params(1, SIZE)
    source = whole_map(chain, 1).sources(np.stack([x.ravel(), y.ravel()], axis=1)).T.reshape(2, *SIZE)
    truth = scene(source[0], source[1])
    one_by_one = image
    for step, drawn in zip(steps, params, strict=True):
        one_by_one = step.render(one_by_one, [drawn])
    inner = np.s_[60:-60, 50:-50]

    def psnr(result: NDArray[np.uint8]) -> float:
        return float(10 * np.log10(255**2 / ((result - truth)[inner] ** 2).mean()))

    assert psnr(chain.render(image, params)) > psnr(one_by_one) + 5
