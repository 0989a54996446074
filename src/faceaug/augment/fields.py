"""The two warps that are no matrix: a swirl and a smooth random field."""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.lattice import Lattice, Size
from faceaug.draws import Dice, Words

Reals: TypeAlias = NDArray[np.floating[Any]]

# A displacement whose slope stays below 1 is injective (Banach), and so are its bilinear interpolants, whose slopes are
# averages of its own; the rest is margin for rounding.
_STEEPEST = 0.9
_CONVERGED = 1e-10  # px
# Folds between pixels were observed at 180 degrees up to a radius of 20 px, 150 up to 12.5, 120 up to 7, 90 up to 3.
_PIXELS_PER_RADIAN = 7.0
_STEPS = 32  # per cell; linear between them, the spline is off by thousandths of a pixel
_DENSE = 96  # lattice nodes in the frame for scattered points; off by hundredths of a pixel
_PROBES = 4  # per cell, to find the largest displacement and slope


class Swirl:
    """Rotation about the centre that fades out: angle(r) = angle * (1 - (r / radius)**2)**2, 0 beyond the radius.

    The profile and its slope vanish at the radius, so no ring shows. Every circle keeps its radius: the map cannot
    fold, and its inverse is the opposite swirl.

    Args:
        angle: at the centre, radians; positive is counter-clockwise as seen.
        radius: pixels, > 0.
        centre: x and y.
    """

    __slots__ = ("angle", "centre", "radius")
    mirrors = False
    detail = 0.0  # the second derivative jumps at the radius

    def __init__(self, angle: float, radius: float, centre: tuple[float, float]) -> None:
        self.angle, self.radius, self.centre = angle, radius, centre

    @staticmethod
    def steepest(radius: float) -> float:
        """Largest angle, radians, at which bilinear interpolation of the swirl between pixels does not fold."""
        return min(math.pi, radius / _PIXELS_PER_RADIAN)

    @property
    def bend(self) -> float:
        """Bound from the second derivative of r exp(i angle(r)), which is largest between centre and rim."""
        angle = abs(self.angle)
        return (4 * angle + 1.5 * angle * angle) / self.radius

    @property
    def stretch(self) -> float:
        """Bound from the shear between neighbouring circles, at most the angle."""
        angle = abs(self.angle)
        return (angle + math.sqrt(angle * angle + 4)) / 2

    def backward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Where the output positions come from."""
        return self._turned(x, y, -self.angle)

    def forward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Where the source positions go."""
        return self._turned(x, y, self.angle)

    def _turned(self, x: Reals, y: Reals, angle: float) -> tuple[Reals, Reals]:
        x, y = x - self.centre[0], y - self.centre[1]
        scale = 1 / self.radius
        fade = np.maximum(1 - ((x * scale) ** 2 + (y * scale) ** 2), 0)
        turn = angle * fade * fade
        cosine, sine = np.cos(turn), np.sin(turn)
        return cosine * x + sine * y + self.centre[0], cosine * y - sine * x + self.centre[1]


class RandomField:
    """A smooth random displacement: uniform cubic B-splines over a grid of drawn vectors.

    Lee, Wolberg & Shin 1997, "Scattered data interpolation with multilevel B-splines". The field is scaled so that its
    largest displacement in the frame is ``pixels``, or less where the map could fold. The field ends one cell outside
    the frame and is constant beyond.

    Args:
        size: (height, width) of the picture.
        pixels: the largest displacement wanted, >= 0.
        cells: grid cells per axis.
        key: random key of the field, 0..2**53-1.
    """

    mirrors = False
    stretch = 1.0

    def __init__(self, size: Size, pixels: float, cells: int, key: int) -> None:
        self.size, self.cells, self.key = size, cells, key
        self._vectors, across, down = _unit_field(cells, key)
        self._slopes = across * cells / size[1], down * cells / size[0]
        self.limit = min(pixels, _STEEPEST / math.hypot(*self._slopes))
        """The largest displacement actually used, pixels."""

    @property
    def bend(self) -> float:
        """Estimate: per cell the slope changes by about twice its size."""
        return 2.5 * max(self._slopes) * self.limit * self.cells / min(self.size)

    @property
    def detail(self) -> float:
        """The size of a cell."""
        return min(self.size) / self.cells

    def backward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Displace output positions by the field."""
        if x.ndim == 2 and x.shape[0] == 1 and y.shape[1] == 1:  # a grid: the axes separate
            vectors = self._vectors.astype(x.dtype) * x.dtype.type(self.limit)
            shift = self._weights(y[:, 0], 0) @ vectors @ self._weights(x[0], 1).T
            return x + shift[0], y + shift[1]
        across, down = self.size[1] / self.cells, self.size[0] / self.cells
        moved = self._lattice.values(
            np.minimum(np.maximum(x, -0.5 - across), self.size[1] - 0.5 + across),
            np.minimum(np.maximum(y, -0.5 - down), self.size[0] - 0.5 + down),
        )
        return x + moved.real, y + moved.imag

    def forward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Solve for the position whose displacement leads back to the source position."""
        at_x, at_y, step = x, y, 1e-4
        for _ in range(8):  # Newton's method with slopes by finite differences
            near_x, near_y = np.stack([at_x, at_x + step, at_x]), np.stack([at_y, at_y, at_y + step])
            u, v = self.backward(near_x, near_y)
            miss_x, miss_y = u[0] - x, v[0] - y
            if max(np.abs(miss_x).max(initial=0), np.abs(miss_y).max(initial=0)) < _CONVERGED:
                return at_x, at_y
            (a, b), (c, d) = ((w[1:] - w[0]) / step for w in (u, v))
            determinant = a * d - b * c
            at_x, at_y = at_x - (d * miss_x - b * miss_y) / determinant, at_y - (a * miss_y - c * miss_x) / determinant
        at_x, at_y = x, y
        for _ in range(200):  # where Newton cycles, fixed-point iteration still converges: 0.9**200 < 1e-9
            u, v = self.backward(at_x, at_y)
            at_x, at_y = x - (u - at_x), y - (v - at_y)
        return at_x, at_y

    @cached_property
    def _lattice(self) -> Lattice:
        """The displacement as a lattice from one cell before the frame to one behind, dense enough for bilinear use."""
        (height, width), steps = self.size, max(4, _DENSE // self.cells)
        table = _table(self.cells, steps)[:-1]
        x, y = table @ (self._vectors.astype(np.float32) * np.float32(self.limit)) @ table.T
        nodes = np.empty(x.shape, np.complex64)
        nodes.real, nodes.imag = x, y
        origin = -0.5 - width / self.cells, -0.5 - height / self.cells
        return Lattice(nodes, origin, (width / (self.cells * steps), height / (self.cells * steps)))

    def _weights(self, places: Reals, axis: int) -> Reals:
        """B-spline weights of the drawn vectors at positions along one side: (n, cells + 5)."""
        table, scale = _table(self.cells, _STEPS), _STEPS * self.cells / self.size[axis]
        at = np.minimum(np.maximum(places * scale + (0.5 * scale + _STEPS), 0), (self.cells + 2) * _STEPS)
        step = at.astype(np.intp)
        low = table.take(step, axis=0)
        share = (at - step).astype(np.float32)[:, None]
        weights: Reals = low + share * (table.take(step + 1, axis=0) - low)
        return weights


@lru_cache(maxsize=16)
def _unit_field(cells: int, key: int) -> tuple[Reals, float, float]:
    """Draw the field and scale it to a largest displacement of 1 within the frame.

    Returns:
        The control vectors (2, cells + 5, cells + 5), x and y by row and column, and the field's largest slope across
        and down, per cell.
    """
    side, probe = cells + 5, _table(cells, _PROBES)[:-1]
    vectors = Dice(Words(key), b"augment/field").array(2 * side * side).reshape(2, side, side) * 2 - 1
    values = probe @ vectors.astype(np.float32) @ probe.T
    reach = _largest(values[:, _PROBES:-_PROBES, _PROBES:-_PROBES])
    across, down = np.diff(values, axis=2), np.diff(values, axis=1)
    return vectors / reach, _largest(across) * _PROBES / reach, _largest(down) * _PROBES / reach


def _largest(vectors: Reals) -> float:
    """Largest length of vectors (2, ...)."""
    return math.sqrt(float((vectors[0] ** 2 + vectors[1] ** 2).max()))


@lru_cache(maxsize=64)
def _table(cells: int, steps: int) -> NDArray[np.float32]:
    """Tabulate uniform cubic B-splines from -1 to cells + 1, last row repeated: float32 (nodes, cells + 5)."""
    places = np.arange((cells + 2) * steps + 1) / steps  # 0 is one cell before the frame
    cell = np.minimum(places.astype(np.int64), cells + 1)
    t = (places - cell)[:, None]
    four = np.concatenate([(1 - t) ** 3, (3 * t - 6) * t * t + 4, ((-3 * t + 3) * t + 3) * t + 1, t * t * t], axis=1)
    table = np.zeros((len(places) + 1, cells + 5), np.float32)
    np.put_along_axis(table[:-1], cell[:, None] + np.arange(4), four / 6, axis=1)
    table[-1] = table[-2]
    table.flags.writeable = False
    return table
