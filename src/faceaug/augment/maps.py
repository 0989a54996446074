"""One geometric map: composed, then used for pixels, points, boxes and masks alike.

A map is the chain of everything geometric that happens to a picture between two resamplings. Pixels are fetched
through it backwards (which source position does this output pixel show?), points move forwards through the very
same function, so that a landmark stays on the pixel it marks.

Coordinates are x, y in pixel indices: the centre of the first pixel is (0, 0), as in CelebA's tables. The frame
reaches from -0.5 to width - 0.5. Boxes are given by their edges, which lie half a pixel further: 0 to width.

* Matrices multiply. A product that only permutes pixels (flips, turns by 90 degrees) copies them exactly.
* A chain with a warp in it is evaluated at the nodes of a lattice, 1 to 8 pixels apart, as its bends need, and is
  bilinear between them. Points are solved on that interpolant, not on the formula behind it: what counts is where
  the pixels went.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.lattice import Complexes, Lattice, Reals, Size, enlarged, picture_lattice

Points: TypeAlias = NDArray[np.float64]  # (n, 2), x and y, pixel index
Nine: TypeAlias = tuple[float, float, float, float, float, float, float, float, float]  # 3 x 3, row by row
Permutation: TypeAlias = tuple[bool, bool, bool]  # of pixels: exchange the axes, then reverse rows, reverse columns
Border: TypeAlias = Literal["reflect", "edge", "constant", "wrap"]
Interpolation: TypeAlias = Literal["linear", "cubic", "nearest"]
BORDERS: tuple[str, ...] = ("reflect", "edge", "constant", "wrap")
INTERPOLATIONS: tuple[str, ...] = ("linear", "cubic", "nearest")

_TOLERANCE = 0.025  # px by which the lattice may leave the formula; points follow the lattice
_PER_DETAIL = 4  # evaluations in the least thing that is bent, for a spline to follow it
_COARSEST = 256.0  # px
_WIDEST = 8  # px between nodes
_GENTLE = 0.2  # change of the slope from node to node up to which no lattice was ever seen to fold
_HORIZON = 1e-3  # depth below which a projective map is stopped from turning inside out
_STEPS = np.linspace(0, 1, 9)  # places per side of a box: between them a warp bends an edge by less than matters
_OUTLINE = np.stack(
    [
        np.concatenate([_STEPS, _STEPS, np.zeros(9), np.ones(9)]),
        np.concatenate([np.zeros(9), np.ones(9), _STEPS, _STEPS]),
    ],
    axis=1,
)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How pixels are fetched.

    Attributes:
        border: what lies outside: "reflect" the picture mirrored at its outermost pixels, "edge" the nearest pixel,
            "constant" the fill, "wrap" the picture repeated.
        fill: colour of "constant", 0..255; one number, or one per channel.
        interpolation: between pixels; masks always take the nearest.
    """

    border: Border = "reflect"
    fill: int | tuple[int, ...] = 0
    interpolation: Interpolation = "linear"


class Part(Protocol):
    """One invertible step of a map, defined on the whole plane. Its coordinate arrays broadcast."""

    @property
    def mirrors(self) -> bool:
        """Whether left and right change places."""

    @property
    def detail(self) -> float:
        """The size of the least thing that it bends, pixels; 0 where its second derivative jumps."""

    @property
    def bend(self) -> float:
        """About the largest second derivative of ``backward``, 1 / pixel; 0 where straight lines stay straight."""

    @property
    def stretch(self) -> float:
        """About the largest first derivative of ``backward``."""

    def backward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Where the output positions come from."""

    def forward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Where the source positions go."""


class Matrix:
    """An affine or projective step.

    Plain numbers: for nine of them NumPy costs more than the arithmetic, and this is on the way of every picture.

    Args:
        values: takes homogeneous source positions to output positions, row by row.
    """

    __slots__ = ("values",)
    detail = math.inf

    def __init__(self, values: Nine) -> None:
        self.values = values

    @property
    def mirrors(self) -> bool:
        """Whether the determinant is negative."""
        return _determinant(self.values) < 0

    @property
    def inverse(self) -> Nine:
        """The matrix that leads back."""
        a, b, c, d, e, f, g, h, i = self.values
        scale = 1 / _determinant(self.values)
        return (
            (e * i - f * h) * scale, (c * h - b * i) * scale, (b * f - c * e) * scale,
            (f * g - d * i) * scale, (a * i - c * g) * scale, (c * d - a * f) * scale,
            (d * h - e * g) * scale, (b * g - a * h) * scale, (a * e - b * d) * scale,
        )  # fmt: skip

    @property
    def is_affine(self) -> bool:
        """Whether parallel lines stay parallel."""
        return abs(self.values[6]) < 1e-12 and abs(self.values[7]) < 1e-12

    @property
    def bend(self) -> float:
        """2 |gradient of the depth|, for the slope it bends."""
        back = self.inverse
        return 2 * math.hypot(back[6], back[7]) / abs(back[8]) * self.stretch

    @property
    def stretch(self) -> float:
        """The spectral norm of the linear part."""
        a, b, _, c, d, _, _, _, i = self.inverse
        return (math.hypot(a + d, b - c) + math.hypot(a - d, b + c)) / 2 / abs(i)

    def times(self, first: Matrix) -> Matrix:
        """The product: ``first``, then this."""
        a, b, c, d, e, f, g, h, i = self.values
        p, q, r, s, t, u, v, w, z = first.values
        return Matrix((
            a * p + b * s + c * v, a * q + b * t + c * w, a * r + b * u + c * z,
            d * p + e * s + f * v, d * q + e * t + f * w, d * r + e * u + f * z,
            g * p + h * s + i * v, g * q + h * t + i * w, g * r + h * u + i * z,
        ))  # fmt: skip

    def backward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Where the output positions come from; beyond the horizon far away."""
        a, b, c, d, e, f, g, h, i = self.inverse
        if self.is_affine:
            return (a / i) * x + ((b / i) * y + c / i), (d / i) * x + ((e / i) * y + f / i)
        share = 1 / np.maximum(g * x + (h * y + i), _HORIZON * abs(i))
        return (a * x + (b * y + c)) * share, (d * x + (e * y + f)) * share

    def forward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Where the source positions go; NaN for a point beyond the horizon."""
        a, b, c, d, e, f, g, h, i = self.values
        depth = g * x + (h * y + i)
        # Every matrix is made with positive depth in the frame, and products and inverses keep that.
        depth = np.where(depth > 1e-9, depth, np.nan)
        return (a * x + (b * y + c)) / depth, (d * x + (e * y + f)) / depth


class Map:
    """A chain of parts, in the order in which they happen.

    Args:
        size: (height, width) of the picture before.
        parts: what happens; neighbouring matrices are already multiplied.
        out: (height, width) after; None for the same.
    """

    __slots__ = ("_interpolant", "_permutation", "out", "parts", "size")

    def __init__(self, size: Size, parts: tuple[Part, ...] = (), out: Size | None = None) -> None:
        self.size = size
        self.parts = parts
        self.out = out or size
        self._interpolant: tuple[Lattice, int] | None = None
        self._permutation: Permutation | bool | None = False  # not yet known

    def then(self, other: Map) -> Map:
        """This map and after it the other one, as one map."""
        parts = self.parts
        for part in other.parts:
            last = parts[-1] if parts else None
            if isinstance(part, Matrix) and isinstance(last, Matrix):
                parts = (*parts[:-1], part.times(last))
            else:
                parts = (*parts, part)
        return Map(self.size, parts, other.out)

    @property
    def mirrors(self) -> bool:
        """Whether the whole chain exchanges left and right: true for one flip, false for two."""
        mirrored = False
        for part in self.parts:
            mirrored ^= part.mirrors
        return mirrored

    @property
    def matrix(self) -> Matrix | None:
        """The chain as one matrix, or None where there is a warp in it."""
        if not self.parts:
            return Matrix((1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
        only = self.parts[0]
        return only if len(self.parts) == 1 and isinstance(only, Matrix) else None

    @property
    def permutation(self) -> Permutation | None:
        """The chain as a change of places among pixels, or None where they have to be resampled."""
        if isinstance(self._permutation, bool):
            matrix = self.matrix
            self._permutation = None if matrix is None else _permutation(matrix, self.size, self.out)
            return self.permutation
        return self._permutation

    def sources(self, points: Points) -> Points:
        """Where output positions come from, by the formulas: (n, 2) -> (n, 2)."""
        return np.stack(self._backward(points[:, 0], points[:, 1]), axis=1)

    def move(self, points: Points) -> Points:
        """Where source positions go, on the interpolant that the pixels use.

        Args:
            points: float64 (n, 2). NaN stays NaN.

        Returns:
            float64 (n, 2); also outside the frame, where the formulas decide.
        """
        if not len(points) or not self.parts:
            return points.copy()
        if self.matrix is not None:
            return np.stack(self.matrix.forward(points[:, 0], points[:, 1]), axis=1)
        wanted = points[:, 0] + 1j * points[:, 1]
        moved = np.full(len(points), complex(np.nan, np.nan))
        known = np.flatnonzero(np.isfinite(points).all(axis=1))
        if len(known):
            moved[known] = self._solved(wanted[known])
        return np.stack([moved.real, moved.imag], axis=1)

    def move_boxes(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The upright box around each moved box.

        Args:
            boxes: float64 (n, 4), edges x1, y1, x2, y2. NaN stays NaN.

        Returns:
            float64 (n, 4), the hull of the moved outlines; not clipped to the frame.
        """
        low, span = boxes[:, None, :2] - 0.5, boxes[:, None, 2:] - boxes[:, None, :2]
        outline = low + span * _OUTLINE
        moved = self.move(outline.reshape(-1, 2)).reshape(outline.shape) + 0.5
        return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)

    def source_grid(self) -> NDArray[np.float32]:
        """Where every output pixel comes from, on the interpolant: float32 (height, width, 2), x and y."""
        if self.matrix is None:
            lattice, stride = self.interpolant()
            return enlarged(lattice.nodes, self.out, stride)
        height, width = self.out
        x, y = self._backward(np.arange(width)[None].astype(float), np.arange(height)[:, None].astype(float))
        grid = np.empty((height, width, 2), np.float32)
        grid[..., 0], grid[..., 1] = x, y
        return grid

    def interpolant(self) -> tuple[Lattice, int]:
        """The function that pixels and points share where there is a warp, and its nodes' distance in pixels."""
        if self._interpolant is None:
            stride, bend = self._stride()
            lattice = self._lattice(stride)
            while stride > 1 and bend * stride > _GENTLE and lattice.folds():
                stride //= 2
                lattice = self._lattice(stride)
            self._interpolant = lattice, stride
        return self._interpolant

    def _lattice(self, stride: int) -> Lattice:
        each = max(1, int(self._detail() / (_PER_DETAIL * stride)))
        return picture_lattice(self.out, stride, self._backward, each=each)

    def _stride(self) -> tuple[int, float]:
        """The distance of nodes at which the bilinear function keeps within the tolerance, and the bend."""
        bend, slope = 0.0, 1.0
        for part in reversed(self.parts):
            bend = part.bend * slope * slope + part.stretch * bend
            slope *= part.stretch
        wanted = math.sqrt(8 * _TOLERANCE / max(bend, 1e-6))
        return max(1, min(_WIDEST, int(wanted))), bend

    def _detail(self) -> float:
        """The least size of what the parts bend, pixels of the result."""
        least, slope = _COARSEST, 1.0
        for part in reversed(self.parts):
            least = min(least, part.detail / max(slope, 1.0))
            slope *= part.stretch
        return least

    def _solved(self, wanted: Complexes) -> Complexes:
        """The places on the lattice that show ``wanted``; those outside the frame by the formulas."""
        lattice, _ = self.interpolant()
        moved, found = lattice.solve(wanted)
        found &= self._framed(moved)
        if found.all():
            return moved
        rest = np.flatnonzero(~found)
        x, y = wanted[rest].real, wanted[rest].imag
        for part in self.parts:
            x, y = part.forward(x, y)
        formula = x + 1j * y
        # Strong warps lead the search astray: from the formula's answer it is a matter of hundredths of a pixel.
        near = np.flatnonzero(self._framed(formula, margin=1.0))
        if len(near):
            again, found = lattice.solve(wanted[rest[near]], formula[near])
            kept = found & self._framed(again)
            formula[near[kept]] = again[kept]
        moved[rest] = formula
        return moved

    def _framed(self, points: Complexes, margin: float = 0.0) -> NDArray[np.bool_]:
        height, width = self.out
        low = -0.5 - margin
        inside = (points.real >= low) & (points.real <= width + low + 2 * margin)
        framed: NDArray[np.bool_] = inside & (points.imag >= low) & (points.imag <= height + low + 2 * margin)
        return framed

    def _backward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        for part in reversed(self.parts):
            x, y = part.backward(x, y)
        return x, y


def _determinant(m: Nine) -> float:
    a, b, c, d, e, f, g, h, i = m
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _permutation(matrix: Matrix, size: Size, out: Size) -> Permutation | None:
    a, b, c, d, e, f, g, h, i = matrix.values
    if abs(g) > 1e-12 or abs(h) > 1e-12:
        return None
    exchange = abs(a) < abs(b)
    across, down, zero, nought = (b, d, a, e) if exchange else (a, e, b, d)
    if max(abs(abs(across / i) - 1), abs(abs(down / i) - 1), abs(zero / i), abs(nought / i)) > 1e-9:
        return None
    (height, width), reverse_x, reverse_y = size, across / i < 0, down / i < 0
    if exchange:
        height, width = width, height
    if (height, width) != out:
        return None
    shift_x, shift_y = (width - 1) * reverse_x, (height - 1) * reverse_y
    if abs(c / i - shift_x) > 1e-6 or abs(f / i - shift_y) > 1e-6:
        return None
    return exchange, reverse_y, reverse_x
