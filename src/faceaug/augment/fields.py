"""The two warps that no matrix can describe: a swirl, and a smooth random field."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.maps import Points, Size
from faceaug.draws import stream

Field: TypeAlias = NDArray[np.float64]  # (cells + 5, cells + 5, 2): control vectors by row and column

_CONVERGED = 1e-9  # px
# The field may change by at most this much from one pixel to the next. Below 1 no two places can meet, so the map
# cannot fold (Banach); the rest is margin for what lies between the samples.
_STEEPEST = 0.7
_SAMPLES = 4  # per cell, to find the largest displacement and slope


@dataclass(frozen=True, slots=True, eq=False)
class Swirl:
    """A turn about the centre that fades out: angle(r) = angle * (1 - (r / radius)**2)**2, 0 beyond the radius.

    The profile and its slope are zero at the radius, so no ring shows. Every circle keeps its radius: the map cannot
    fold, and its inverse is the swirl the other way.

    Attributes:
        angle: at the centre, radians; positive turns counter-clockwise as seen.
        radius: pixels, > 0.
        centre: x and y.
    """

    angle: float
    radius: float
    centre: tuple[float, float]

    @property
    def mirrors(self) -> bool:
        """Never."""
        return False

    def backward(self, points: Points) -> Points:
        """Where the output positions come from."""
        return self._turned(points, -self.angle)

    def forward(self, points: Points) -> Points:
        """Where the source positions go."""
        return self._turned(points, self.angle)

    def _turned(self, points: Points, angle: float) -> Points:
        offset = points - np.array(self.centre)
        share = (offset**2).sum(axis=1) / self.radius**2
        turn = angle * np.clip(1 - share, 0, None) ** 2
        cosine, sine = np.cos(turn), np.sin(turn)
        x, y = offset[:, 0], offset[:, 1]
        moved: Points = np.stack([cosine * x + sine * y, cosine * y - sine * x], axis=1) + self.centre
        return moved


@dataclass(frozen=True, eq=False)
class RandomField:
    """A smooth random displacement: uniform cubic B-splines over a grid of drawn vectors.

    Lee, Wolberg & Shin 1997, "Scattered data interpolation with multilevel B-splines". The drawn field is scaled so
    that the farthest moved pixel moves ``pixels``; less where more would make the map steeper than 0.7, near which
    faces crumple and beyond 1 they fold.

    Attributes:
        size: (height, width) of the picture.
        pixels: the largest displacement wanted, >= 0.
        cells: of the grid, per axis.
        key: the field's own random key, 0..2**53-1.
    """

    size: Size
    pixels: float
    cells: int
    key: int

    @property
    def mirrors(self) -> bool:
        """Never: a map that cannot fold cannot mirror."""
        return False

    @cached_property
    def limit(self) -> float:
        """The displacement actually reached, pixels: ``pixels``, or where the field would get too steep."""
        return min(self.pixels, _STEEPEST / _unit_field(self.size, self.cells, self.key)[1])

    def backward(self, points: Points) -> Points:
        """Where the output positions come from: displaced by the field."""
        return points + _shift(self._field, points, self.size)

    def forward(self, points: Points) -> Points:
        """Where the source positions go: the one place whose displacement leads back here."""
        found = points.copy()
        for _ in range(8):
            error = self.backward(found) - points
            if not len(points) or np.abs(error).max() < _CONVERGED:
                return found
            slope = _slope(self._field, found, self.size) + np.eye(2)
            found = found - np.linalg.solve(slope, error[..., None])[..., 0]
        found = points.copy()
        for _ in range(70):  # 0.7**70 < 1e-10: where Newton cycles between two cells, contraction still arrives
            found = points - _shift(self._field, found, self.size)
        return found

    @cached_property
    def _field(self) -> Field:
        """The control vectors, pixels."""
        unit, _ = _unit_field(self.size, self.cells, self.key)
        return unit * self.limit


@lru_cache(maxsize=16)
def _unit_field(size: Size, cells: int, key: int) -> tuple[Field, float]:
    """The drawn control vectors, scaled so that the largest displacement is 1, and the largest slope then."""
    drawn: Field = stream(key, slot="augment/field").random((cells + 5, cells + 5, 2)) * 2 - 1
    height, width = size
    share = np.arange(-_SAMPLES, (cells + 1) * _SAMPLES + 1) / (cells * _SAMPLES)
    x, y = np.meshgrid(share * width - 0.5, share * height - 0.5)
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    framed = ((places >= -0.5) & (places <= [width - 0.5, height - 0.5])).all(axis=1)
    reach = float(np.linalg.norm(_shift(drawn, places[framed], size), axis=1).max())
    slope = _slope(drawn, places, size)
    (a, b), (c, d) = slope[:, 0].T, slope[:, 1].T
    steepest = (np.hypot(a + d, b - c) + np.hypot(a - d, b + c)) / 2  # spectral norm of a 2 x 2 matrix
    return drawn / reach, float(steepest.max()) / reach


def _shift(field: Field, points: Points, size: Size) -> Points:
    """Displacement (n, 2); one cell outside the frame it ends, and goes on as at that end."""
    near, down, across, _, _ = _taps(field, points, size)
    shift: Points = np.einsum("nijk,ni,nj->nk", near, down, across)
    return shift


def _slope(field: Field, points: Points, size: Size) -> NDArray[np.float64]:
    """Jacobian of the displacement: (n, 2, 2), rows x and y of the displacement, columns along x and y."""
    near, down, across, down_slope, across_slope = _taps(field, points, size)
    along_x = np.einsum("nijk,ni,nj->nk", near, down, across_slope)
    along_y = np.einsum("nijk,ni,nj->nk", near, down_slope, across)
    return np.stack([along_x, along_y], axis=2)


def _taps(field: Field, points: Points, size: Size) -> tuple[NDArray[np.float64], ...]:
    """Control vectors around each point (n, 4, 4, 2), their weights down and across, and the slopes of these."""
    cells = len(field) - 5
    row, down, down_slope = _weights(points[:, 1], size[0], cells)
    column, across, across_slope = _weights(points[:, 0], size[1], cells)
    return field[row[:, :, None], column[:, None, :]], down, across, down_slope, across_slope


def _weights(
    places: NDArray[np.float64], side: int, cells: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The four control vectors of each place along one side, their weights and slopes: (n, 4) each."""
    free = (places + 0.5) * (cells / side)
    u = np.clip(free, -1, cells + 1)
    cell = np.minimum(np.floor(u), cells)
    t = (u - cell)[:, None]
    weights = np.concatenate([(1 - t) ** 3, (3 * t - 6) * t * t + 4, ((-3 * t + 3) * t + 3) * t + 1, t * t * t], axis=1)
    slopes = np.concatenate([-((1 - t) ** 2) / 2, (1.5 * t - 2) * t, (-1.5 * t + 1) * t + 0.5, t * t / 2], axis=1)
    slopes = slopes * (cells / side) * (u == free)[:, None]
    return cell.astype(np.int64)[:, None] + np.arange(1, 5), weights / 6, slopes
