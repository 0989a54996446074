"""The part of a photo that is hidden for a face: an ellipse around forehead, chin and cheeks, turned with the face."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

MARGIN = 1.18  # of the detector's box, whose upper edge often lies below the hairline
_SHAPE = 0.78  # width over height of a face where its box does not tell, because it is turned by an eighth of a circle
_SHAPES = (0.6, 1.25)
_CLEAR = 0.35  # of the cosine of twice the roll, from which on a box tells the shape
Square: TypeAlias = tuple[slice, slice]  # rows and columns of a photo


@dataclass(frozen=True, slots=True)
class Region:
    """An ellipse in a photo, pixel indices.

    Attributes:
        x: of its centre.
        y: of its centre.
        across: half axis along the line of the eyes, pixels.
        down: half axis from forehead to chin, pixels.
        roll: degrees by which it is turned, clockwise.
    """

    x: float
    y: float
    across: float
    down: float
    roll: float

    @property
    def size(self) -> float:
        """Its longer axis, pixels."""
        return 2 * max(self.across, self.down)

    def bounds(self, shape: tuple[int, ...], *, beyond: float = 0.0) -> Square:
        """The rectangle of a photo around the ellipse and ``beyond`` pixels more; empty if that lies outside."""
        c, s = math.cos(math.radians(self.roll)), math.sin(math.radians(self.roll))
        wide = math.hypot(self.across * c, self.down * s) + beyond
        high = math.hypot(self.across * s, self.down * c) + beyond
        top, bottom = (_clipped(edge, shape[0]) for edge in (math.floor(self.y - high), math.ceil(self.y + high) + 1))
        left, right = (_clipped(edge, shape[1]) for edge in (math.floor(self.x - wide), math.ceil(self.x + wide) + 1))
        return slice(top, bottom), slice(left, right)

    def distances(self, square: Square) -> NDArray[np.float32]:
        """How far out each pixel of a rectangle lies: 0 at the centre of the ellipse, 1 on it; float32 (h, w)."""
        rows, columns = square
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(self.y)
        x = np.arange(columns.start, columns.stop, dtype=np.float32)[None] - np.float32(self.x)
        c, s = (np.float32(f(math.radians(self.roll))) for f in (math.cos, math.sin))
        across, down = (x * c + y * s) / np.float32(self.across), (y * c - x * s) / np.float32(self.down)
        found: NDArray[np.float32] = np.hypot(across, down)
        return found


def region_of(box: Any, roll: float) -> Region:
    """The region of a face.

    Args:
        box: x0, y0, x1, y1 of the upright rectangle around it, pixel indices.
        roll: degrees by which it is turned.
    """
    x0, y0, x1, y1 = map(float, box)
    wide, high = max(x1 - x0, 1.0) / 2, max(y1 - y0, 1.0) / 2
    across, down = _axes(wide, high, math.radians(roll))
    return Region((x0 + x1) / 2, (y0 + y1) / 2, MARGIN * across, MARGIN * down, roll)


def _axes(wide: float, high: float, turn: float) -> tuple[float, float]:
    """Half axes of a turned ellipse in an upright rectangle with these half sides."""
    # wide^2 = a^2 cos^2 + b^2 sin^2 and high^2 = a^2 sin^2 + b^2 cos^2, so that sum and difference give a and b.
    total, twice = wide**2 + high**2, math.cos(2 * turn)
    shape = _SHAPE
    if abs(twice) > _CLEAR:
        difference = (wide**2 - high**2) / twice
        if abs(difference) < total:
            shape = math.sqrt((total + difference) / (total - difference))
    shape = min(max(shape, _SHAPES[0]), _SHAPES[1])
    down = math.sqrt(total / (1 + shape**2))
    return shape * down, down


def _clipped(edge: float, length: int) -> int:
    return int(min(max(edge, 0), length))
