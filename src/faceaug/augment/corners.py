"""The homography of four moved corners, and how near it brings the horizon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from faceaug.augment.lattice import Size
from faceaug.augment.maps import Matrix, Nine

Corners: TypeAlias = Sequence[Sequence[float]]  # four points (x, y): top left, top right, bottom right, bottom left


def homography(moves: Corners, size: Size) -> Nine:
    """The homography that moves the corner pixels by ``moves``, shares of the size.

    Heckbert 1989, "Fundamentals of texture mapping and image warping", section 2.2.3: square to quadrangle.
    """
    right, bottom = max(size[1] - 1, 1), max(size[0] - 1, 1)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (
        ((u + x) * right, (v + y) * bottom)
        for (u, v), (x, y) in zip(((0, 0), (1, 0), (1, 1), (0, 1)), moves, strict=True)
    )
    ax, ay, bx, by = x1 - x2, y1 - y2, x3 - x2, y3 - y2
    cx, cy = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    area = ax * by - bx * ay
    g, h = (cx * by - bx * cy) / area, (ax * cy - cx * ay) / area
    return (
        (x1 - x0 + g * x1) / right, (x3 - x0 + h * x3) / bottom, x0,
        (y1 - y0 + g * y1) / right, (y3 - y0 + h * y3) / bottom, y0,
        g / right, h / bottom, 1.0,
    )  # fmt: skip


def horizon(matrix: Nine) -> float:
    """Least depth of the backward map at the frame's corners relative to its centre; 0 is the horizon."""
    g, h, i = Matrix(matrix).inverse[6:]
    return min(g * x + h * y + i for x in (-0.05, 1.05) for y in (-0.05, 1.05)) / (0.5 * g + 0.5 * h + i)
