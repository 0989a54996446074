"""Views: the pictures that the detector gets, and where their pixels lie in the photo."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import Image8, load_cv2

Matrix: TypeAlias = NDArray[np.float64]  # (2, 3): pixel indices -> pixel indices
WHOLE = 640  # pixels: longer side of the view of a whole photo
SMALLEST = 400  # pixels: smaller photos are enlarged to it, since a face that fills one is hardly found otherwise
GLANCE = 192  # pixels: enough to find the faces of most small photos
TILE = 1024  # pixels
_OVERLAP = 224  # pixels: a face up to this size lies whole in at least one tile
_STEP = 4.0  # from one level to the next finer one; larger faces than a tile's overlap were found a level before


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A picture for the detector.

    Attributes:
        picture: uint8 (h, w, 3), RGB.
        matrix: (2, 3), from pixel indices of the view to those of the photo; a turn, a scale and a shift.
        open: left, top, right, bottom: whether the photo goes on beyond that edge, so that faces there may be cut off.
    """

    picture: Image8
    matrix: Matrix
    open: tuple[bool, bool, bool, bool] = (False, False, False, False)

    @property
    def scale(self) -> float:
        """Photo pixels per pixel of the view."""
        return math.hypot(self.matrix[0, 0], self.matrix[1, 0])

    @property
    def turn(self) -> float:
        """Radians from the view's x axis to its direction in the photo."""
        return math.atan2(self.matrix[1, 0], self.matrix[0, 0])


def places(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply a matrix to points (..., 2)."""
    moved: NDArray[np.float64] = points @ matrix[:, :2].T + matrix[:, 2]
    return moved


def joined(outer: Matrix, inner: Matrix) -> Matrix:
    """The matrix that applies ``inner`` first, then ``outer``."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], places(outer, inner[:, 2])])


def levels(width: int, height: int, *, needed: float) -> list[float]:
    """Scales at which a photo is looked at, coarse to fine; the first shows it whole.

    Args:
        width: of the photo, pixels.
        height: of the photo, pixels.
        needed: scale at which the smallest faces are found.
    """
    longer = max(width, height)
    if longer < SMALLEST:
        return [SMALLEST / longer]
    fits = needed if longer * needed <= TILE else 0.0  # one view shows all
    scales = [min(1.0, max(WHOLE / longer, fits))]
    while scales[-1] < 0.9 * min(1.0, needed):
        scales.append(min(scales[-1] * _STEP, needed, 1.0))
    return scales


def glance_scale(width: int, height: int, *, needed: float) -> float | None:
    """Scale of a first look at a photo below ``SMALLEST``, which takes a fraction of the time of the coarsest level.

    Args:
        width: of the photo, pixels.
        height: of the photo, pixels.
        needed: scale at which the smallest faces are found.

    Returns:
        None for photos that are not smaller, and where the coarsest level is no finer.
    """
    longer = max(width, height)
    scale = max(GLANCE / longer, needed)
    return scale if longer < SMALLEST and scale < SMALLEST / longer else None


def whole_view(photo: Image8, scale: float) -> View:
    """The whole photo at a scale, by areas where it shrinks."""
    if scale == 1:
        return View(photo, np.eye(2, 3))
    cv2 = load_cv2()
    height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    x, y = photo.shape[1] / width, photo.shape[0] / height
    # cv2 lets the edges of both pictures meet, so that indices are half a pixel off.
    matrix = np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5]])
    return View(cv2.resize(photo, (width, height), interpolation=way), matrix)


def quarter_turned(view: View, quarters: int) -> View:
    """The view turned counterclockwise by quarters of a circle."""
    if quarters == 0:
        return view
    height, width = view.picture.shape[:2]
    back = {
        1: [[0, -1, width - 1], [1, 0, 0]],
        2: [[-1, 0, width - 1], [0, -1, height - 1]],
        3: [[0, 1, 0], [-1, 0, height - 1]],
    }
    picture = np.ascontiguousarray(np.rot90(view.picture, quarters))
    return View(picture, joined(view.matrix, np.array(back[quarters], np.float64)))


def eighth_turned(view: View) -> View:
    """The view turned counterclockwise by 45 degrees, whole, on black."""
    height, width = view.picture.shape[:2]
    side = math.ceil((width + height) * math.sqrt(0.5))
    c = math.sqrt(0.5)
    back = np.array([[c, -c, 0.0], [c, c, 0.0]])
    back[:, 2] = np.array([(width - 1) / 2, (height - 1) / 2]) - back[:, :2] @ [(side - 1) / 2, (side - 1) / 2]
    cv2 = load_cv2()
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return View(cv2.warpAffine(view.picture, back, (side, side), flags=flags), joined(view.matrix, back))


def tiles(view: View) -> Iterator[View]:
    """Cut a view into tiles that overlap."""
    height, width = view.picture.shape[:2]
    for top, bottom in spans(height):
        for left, right in spans(width):
            shift = np.array([[1.0, 0, left], [0, 1.0, top]])
            cut = (left > 0, top > 0, right < width, bottom < height)
            yield View(np.ascontiguousarray(view.picture[top:bottom, left:right]), joined(view.matrix, shift), cut)


def spans(length: int) -> list[tuple[int, int]]:
    """Begin and end of tiles along a side of this length, evenly spread, that overlap enough."""
    count = max(1, math.ceil((length - _OVERLAP) / (TILE - _OVERLAP)))
    if count == 1:
        return [(0, length)]
    starts = [round(k * (length - TILE) / (count - 1)) for k in range(count)]
    return [(start, start + TILE) for start in starts]
