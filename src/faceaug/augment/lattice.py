"""Maps sampled on a regular lattice and bilinear in between: the form that pixels and points share.

Positions are x, y in pixel indices; pairs (x, y) are stored as complex numbers x + iy, which halves the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import load_cv2

Size: TypeAlias = tuple[int, int]  # (height, width)
Complexes: TypeAlias = NDArray[np.complexfloating[Any, Any]]  # x + iy, pixel index

Reals: TypeAlias = NDArray[np.floating[Any]]

Evaluate: TypeAlias = Callable[[Reals, Reals], tuple[Reals, Reals]]

_CONVERGED = 1e-8  # px
_BLAS_ALONE = 2**18  # multiplications up to which OpenBLAS uses one thread
_GUESSES = 12  # nodes per axis tried as starting points of a search


class Lattice:
    """A map of the plane, bilinear in each cell and extrapolated from the outermost cells.

    Args:
        nodes: complex (rows, columns), image of each node.
        origin: x and y of the first node.
        spacing: distance between nodes, x and y, pixels.
    """

    def __init__(self, nodes: Complexes, origin: tuple[float, float], spacing: tuple[float, float]) -> None:
        self.nodes = nodes
        self._origin, self._spacing = origin, spacing
        rows, columns = nodes.shape
        self._ends = (columns - 2, rows - 2)

    def at(self, points: Complexes) -> tuple[Complexes, Complexes, Complexes]:
        """Map points; also return the derivatives along x and y: complex (n,) each."""
        (x0, y0), (dx, dy), columns = self._origin, self._spacing, self.nodes.shape[1]
        u, v = (points.real - x0) / dx, (points.imag - y0) / dy
        column = np.minimum(np.maximum(u.astype(np.int64), 0), self._ends[0])
        row = np.minimum(np.maximum(v.astype(np.int64), 0), self._ends[1])
        u, v = u - column, v - row
        first, flat = row * columns + column, self.nodes.reshape(-1)
        corner, right = flat.take(first), flat.take(first + 1)
        below, across = flat.take(first + columns), flat.take(first + columns + 1)
        right, below, across = right - corner, below - corner, across - right - below + corner
        along_x, along_y = right + v * across, below + u * across
        return corner + u * along_x + v * below, along_x / dx, along_y / dy

    def values(self, x: Reals, y: Reals) -> Complexes:
        """Map many points inside the lattice, of any shape, without derivatives."""
        (x0, y0), (dx, dy), columns = self._origin, self._spacing, self.nodes.shape[1]
        u, v = (x - x0) * (1 / dx), (y - y0) * (1 / dy)
        column = np.minimum(u.astype(np.intp), self._ends[0])
        row = np.minimum(v.astype(np.intp), self._ends[1])
        u, v = (u - column).astype(x.dtype), (v - row).astype(y.dtype)
        first, flat = row * columns + column, self.nodes.reshape(-1)
        upper, lower = flat.take(first), flat.take(first + columns)
        upper = upper + u * (flat.take(first + 1) - upper)
        lower = lower + u * (flat.take(first + (columns + 1)) - lower)
        moved: Complexes = upper + v * (lower - upper)
        return moved

    def solve(self, wanted: Complexes, start: Complexes | None = None) -> tuple[Complexes, NDArray[np.bool_]]:
        """Find the points mapped to ``wanted`` by Newton's method on the bilinear cells.

        Args:
            wanted: complex (n,).
            start: complex (n,), near the solutions; None searches the nodes for starting points.

        Returns:
            (points, found): complex (n,), and a mask of those that are solutions.
        """
        found = self._nearest(wanted) if start is None else np.array(start, np.complex128)
        best, least = found, np.full(len(found), np.inf)
        for _ in range(24):
            value, along_x, along_y = self.at(found)
            error = value - wanted
            miss = np.abs(error)
            best, least = np.where(miss < least, found, best), np.fmin(miss, least)
            if not (least >= _CONVERGED).any():
                break
            # Two real equations in the step (s, t): s along_x + t along_y = error.
            determinant = along_x.real * along_y.imag - along_x.imag * along_y.real
            determinant = np.where(determinant == 0, 1e-12, determinant)
            s = error.real * along_y.imag - error.imag * along_y.real
            t = along_x.real * error.imag - along_x.imag * error.real
            found = found - (s + 1j * t) / determinant
        return best, least < 1e-6

    def folds(self) -> bool:
        """Whether any cell is turned inside out, so that two positions are mapped to one."""
        x, y = np.diff(self.nodes, axis=1), np.diff(self.nodes, axis=0)
        # A bilinear cell keeps its orientation if its four corners do.
        signs = [(a.real * b.imag - a.imag * b.real) for a in (x[:-1], x[1:]) for b in (y[:, :-1], y[:, 1:])]
        return not (min(s.min() for s in signs) > 0 or max(s.max() for s in signs) < 0)

    def _nearest(self, wanted: Complexes) -> Complexes:
        rows, columns = self.nodes.shape
        down, across = max(1, rows // _GUESSES), max(1, columns // _GUESSES)
        coarse = self.nodes[::down, ::across]
        nearest = np.abs(coarse.reshape(1, -1) - wanted[:, None]).argmin(axis=1)
        row, column = np.divmod(nearest, coarse.shape[1])
        x, y = (o + k * s for o, k, s in zip(self._origin, (column * across, row * down), self._spacing, strict=True))
        start: Complexes = x + 1j * y
        return start


def picture_lattice(size: Size, stride: int, evaluate: Evaluate, *, each: int) -> Lattice:
    """Sample a map on a lattice over a picture.

    Args:
        size: (height, width) of the picture.
        stride: distance between nodes, pixels.
        evaluate: the map; takes x (1, columns) and y (rows, 1).
        each: evaluate the map at every ``each``-th node; a cubic spline through these gives the others.

    Returns:
        A lattice that reaches beyond the edges of the picture; nodes complex64.
    """
    down, across = (_axis(side, stride, each) for side in size)
    x, y = evaluate(across.places[None], down.places[:, None])
    nodes = np.empty((down.count, across.count), np.complex64)
    if each > 1:
        x, y = (_product(_product(down.spline, each), across.spline.T) for each in (x, y))
    nodes.real, nodes.imag = x, y
    first = -0.5 * stride - 0.5
    return Lattice(nodes, (first, first), (float(stride), float(stride)))


@dataclass(frozen=True, eq=False)
class _Axis:
    """One side of a picture's lattice.

    The nodes are the centres that ``cv2.resize`` assumes when it enlarges by the stride, so that it computes exactly
    the bilinear function between them.

    Attributes:
        count: number of nodes.
        places: positions where the map is evaluated, float32.
        spline: matrix from values at ``places`` to values at the nodes, float32 (count, len(places)).
    """

    count: int
    places: NDArray[np.float32]
    spline: NDArray[np.float32]


@lru_cache(maxsize=64)
def _axis(side: int, stride: int, each: int) -> _Axis:
    count = -(-side // stride) + 2
    known = max(4, -(-(count - 1) // each) + 1) if each > 1 else count
    places = ((np.arange(known) * each - 0.5) * stride - 0.5).astype(np.float32)
    spline = _spline(known, np.arange(count) / each) if each > 1 else np.eye(1, dtype=np.float32)
    return _Axis(count, places, spline)


def _spline(known: int, wanted: NDArray[np.float64]) -> NDArray[np.float32]:
    """Matrix of the cubic spline through values at 0, 1, ..: float32 (wanted, known).

    Its second derivatives follow from the values (de Boor 1978, "A practical guide to splines", chapter IV). The
    not-a-knot end conditions reproduce cubics exactly.
    """
    left, right = np.zeros((known, known)), np.zeros((known, known))
    for row in range(1, known - 1):
        left[row, row - 1 : row + 2] = 1, 4, 1
        right[row, row - 1 : row + 2] = 6, -12, 6
    left[0, :3] = left[-1, -3:] = 1, -2, 1
    second = np.linalg.solve(left, right)
    cell = np.clip(wanted.astype(int), 0, known - 2)
    t, unit = (wanted - cell)[:, None], np.eye(known)
    straight = (1 - t) * unit[cell] + t * unit[cell + 1]
    bent = ((1 - t) ** 3 - (1 - t)) * second[cell] + (t**3 - t) * second[cell + 1]
    return np.ascontiguousarray(straight + bent / 6, np.float32)


def _product(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """A @ b in blocks of rows small enough that no BLAS starts threads, which would slow DataLoader workers down."""
    rows = max(1, _BLAS_ALONE // (b.size or 1))
    if rows >= len(a):
        whole: NDArray[np.float32] = a @ b
        return whole
    return np.concatenate([a[top : top + rows] @ b for top in range(0, len(a), rows)])


def enlarged(nodes: NDArray[np.complex64], size: Size, stride: int) -> NDArray[np.float32]:
    """Interpolate a lattice bilinearly at every pixel: float32 (height, width, 2), x and y."""
    rows, columns = nodes.shape
    pairs = nodes.view(np.float32).reshape(rows, columns, 2)
    cv2 = load_cv2()
    if stride > 1:
        pairs = cv2.resize(pairs, (columns * stride, rows * stride), interpolation=cv2.INTER_LINEAR)
    grid: NDArray[np.float32] = pairs[stride : stride + size[0], stride : stride + size[1]]
    return grid
