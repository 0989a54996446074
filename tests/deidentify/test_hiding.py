from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceaug.data.image import Image8
from faceaug.deidentify.hiding import CELLS, PLAIN, Plain, hide_faces
from faceaug.deidentify.region import Region
from faceaug.draws import stream
from faceaug.errors import ArgumentError

FACE = Region(100, 110, 40, 52, 0)
INSIDE = FACE.distances((slice(0, 220), slice(0, 200))) <= 1


def noise(seed: int = 0, *, scale: int = 1) -> Image8:
    small = stream(seed, slot="tests/hiding").integers(0, 256, (220, 200, 3)).astype(np.uint8)
    return np.repeat(np.repeat(small, scale, axis=0), scale, axis=1)


@pytest.mark.parametrize("how", PLAIN)
def test_nothing_changes_beyond_the_soft_edge_and_the_photo_stays(how: Plain) -> None:
    photo = noise()
    before = photo.copy()
    hidden = hide_faces(photo, [FACE], how)
    assert (photo == before).all()
    changed = (hidden != photo).any(axis=2)
    assert changed[INSIDE].mean() > 0.99
    beyond = FACE.distances((slice(0, 220), slice(0, 200))) > 1.13
    assert not changed[beyond].any()


@pytest.mark.parametrize("how", PLAIN)
def test_what_is_finer_than_the_cells_leaves_no_trace(how: Plain) -> None:
    """Two photos that differ only in detail within each cell look the same when they are hidden."""
    coarse = cv2.resize(noise(1), (200, 220))
    smooth = cv2.GaussianBlur(coarse, (0, 0), 12)
    ripple = (40 * (np.indices((220, 200)).sum(axis=0) % 2 * 2 - 1))[:, :, None]
    detailed = np.clip(smooth.astype(int) + ripple, 0, 255).astype(np.uint8)
    a, b = (hide_faces(photo, [FACE], how)[INSIDE].astype(int) for photo in (smooth, detailed))
    assert np.abs(a - b).max() <= 4


@pytest.mark.parametrize("how", ["blur", "mosaic"])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_larger_face_keeps_no_more_detail(how: Plain, scale: int) -> None:
    photo = noise(2, scale=scale)
    face = Region(100 * scale, 110 * scale, 40 * scale, 52 * scale, 0)
    hidden = hide_faces(photo, [face], how)
    inside = face.distances((slice(0, 220 * scale), slice(0, 200 * scale))) <= 1
    if how == "mosaic":
        assert len(np.unique(hidden[inside], axis=0)) <= (CELLS + 1) ** 2
        return
    steps = np.abs(np.diff(hidden.astype(int), axis=1))[inside[:, 1:] & inside[:, :-1]]
    assert steps.max() <= 255 / (face.size / CELLS), "the steepest edge is as wide as the distance of two means"


def test_a_mosaic_has_whole_blocks_at_its_edge_too() -> None:
    """The mean of a block counts pixels outside the ellipse; else the blocks at the edge would hold more detail."""
    photo = noise(3)
    hidden = hide_faces(photo, [FACE], "mosaic")
    rows, columns = FACE.bounds(photo.shape)
    cell = -(-int(FACE.size) // CELLS)
    block = photo[rows.start : rows.start + cell, columns.start + cell : columns.start + 2 * cell].reshape(-1, 3)
    shown = INSIDE[rows.start : rows.start + cell, columns.start + cell : columns.start + 2 * cell]
    seen = hidden[rows.start : rows.start + cell, columns.start + cell : columns.start + 2 * cell][shown]
    assert len(seen)
    assert np.abs(seen.astype(float) - block.mean(axis=0)).max() <= 1


def test_fill_leaves_nothing_of_the_face() -> None:
    assert (hide_faces(noise(4), [FACE], "fill")[INSIDE] == 128).all()


@pytest.mark.parametrize("how", PLAIN)
@pytest.mark.parametrize(
    "region", [Region(0, 0, 30, 40, 20), Region(198, 219, 300, 400, 0), Region(185, 99, 40, 52, 0)]
)
def test_faces_at_the_edge_are_hidden_as_far_as_they_are_in_the_photo(how: Plain, region: Region) -> None:
    photo = noise(5)
    hidden = hide_faces(photo, [region], how)
    inside = region.distances((slice(0, 220), slice(0, 200))) <= 1
    assert inside.any()
    assert (hidden != photo).any(axis=2)[inside].mean() > 0.98


@pytest.mark.parametrize("how", PLAIN)
def test_a_face_outside_the_photo_changes_nothing(how: Plain) -> None:
    photo = noise(5)
    assert (hide_faces(photo, [Region(-90, 5, 20, 20, 0)], how) == photo).all()


def test_what_is_no_photo_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="expected a uint8 array"):
        hide_faces(np.zeros((9, 9, 3), np.float32), [FACE], "fill")  # type: ignore[arg-type]


def test_another_way_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="expected one of blur, mosaic, fill"):
        hide_faces(noise(), [FACE], "sparkle")  # type: ignore[arg-type]
