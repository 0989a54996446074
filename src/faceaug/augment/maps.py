"""Geometric maps: composed once, then used for pixels, points, boxes and masks alike.

A map is the chain of all geometric changes between two resamplings. Pixels are fetched through it backwards (which
source position does this output pixel show?) and points move forwards through the very same function, so a landmark
stays on the pixel it marks.

Coordinates are x, y in pixel indices: the centre of the first pixel is (0, 0), as in CelebA's tables. The frame
reaches from -0.5 to width - 0.5. Boxes are given by edges, half a pixel further: 0 to width.

* Matrices multiply. A product that only permutes pixels (flips, quarter turns) copies them exactly.
* A chain with a warp in it is evaluated on a lattice with nodes 1 to 8 pixels apart, depending on its curvature, and
  is bilinear in between. Points are solved on that interpolant instead of the exact formula, because the pixels
  follow the interpolant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.lattice import Complexes, Lattice, Reals, Size, enlarged, picture_lattice

Points: TypeAlias = NDArray[np.float64]  # (n, 2), x and y in pixel indices
Nine: TypeAlias = tuple[float, float, float, float, float, float, float, float, float]  # 3 x 3, row by row
Permutation: TypeAlias = tuple[bool, bool, bool]  # exchange the axes, then reverse rows, then reverse columns
Border: TypeAlias = Literal["reflect", "edge", "constant", "wrap"]
Interpolation: TypeAlias = Literal["linear", "cubic", "nearest"]
BORDERS: tuple[str, ...] = ("reflect", "edge", "constant", "wrap")
INTERPOLATIONS: tuple[str, ...] = ("linear", "cubic", "nearest")

_TOLERANCE = 0.025  # px; largest error of the lattice against the formula; points follow the lattice
_PER_DETAIL = 4  # evaluations per smallest detail, enough for a spline to follow it
_COARSEST = 256.0  # px
_WIDEST = 8  # px between nodes
_GENTLE = 0.2  # slope change between nodes up to which no lattice was observed to fold
_HORIZON = 1e-3  # depth below which a projective map is clamped, lest it turn inside out
_STEPS = np.linspace(0, 1, 9)  # samples per side of a box; between them a warp bends an edge negligibly
_OUTLINE = np.stack(
    [
        np.concatenate([_STEPS, _STEPS, np.zeros(9), np.ones(9)]),
        np.concatenate([np.zeros(9), np.ones(9), _STEPS, _STEPS]),
    ],
    axis=1,
)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How pixels are sampled.

    Attributes:
        border: what lies outside the picture: "reflect" the picture mirrored about its outermost pixels, "edge" the
            nearest pixel, "constant" the fill, "wrap" the picture repeated.
        fill: colour for "constant", 0..255; one number, or one per channel.
        interpolation: between pixels; masks always use "nearest".
    """

    border: Border = "reflect"
    fill: int | tuple[int, ...] = 0
    interpolation: Interpolation = "linear"


class Part(Protocol):
    """One invertible step of a map, defined on the whole plane; coordinate arrays broadcast."""

    @property
    def mirrors(self) -> bool:
        """Whether left and right change places."""

    @property
    def detail(self) -> float:
        """Size of its smallest detail, pixels; 0 where its second derivative jumps."""

    @property
    def bend(self) -> float:
        """Approximate largest second derivative of ``backward``, 1 / pixel; 0 for affine maps."""

    @property
    def stretch(self) -> float:
        """Approximate largest first derivative of ``backward``."""

    def backward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Where the output positions come from."""

    def forward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Where the source positions go."""


class Matrix:
    """An affine or projective step.

    Plain floats: for nine numbers NumPy's overhead exceeds the arithmetic, and every picture passes here.

    Args:
        values: maps homogeneous source positions to output positions, row by row.
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
        """The inverse matrix."""
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
        """2 |gradient of the depth| times the slope."""
        back = self.inverse
        return 2 * math.hypot(back[6], back[7]) / abs(back[8]) * self.stretch

    @property
    def stretch(self) -> float:
        """The spectral norm of the linear part."""
        a, b, _, c, d, _, _, _, i = self.inverse
        return (math.hypot(a + d, b - c) + math.hypot(a - d, b + c)) / 2 / abs(i)

    def times(self, first: Matrix) -> Matrix:
        """The product: apply ``first``, then this."""
        a, b, c, d, e, f, g, h, i = self.values
        p, q, r, s, t, u, v, w, z = first.values
        return Matrix((
            a * p + b * s + c * v, a * q + b * t + c * w, a * r + b * u + c * z,
            d * p + e * s + f * v, d * q + e * t + f * w, d * r + e * u + f * z,
            g * p + h * s + i * v, g * q + h * t + i * w, g * r + h * u + i * z,
        ))  # fmt: skip

    def backward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Map output positions to source positions; positions beyond the horizon land far away."""
        a, b, c, d, e, f, g, h, i = self.inverse
        if self.is_affine:
            return (a / i) * x + ((b / i) * y + c / i), (d / i) * x + ((e / i) * y + f / i)
        share = 1 / np.maximum(g * x + (h * y + i), _HORIZON * abs(i))
        return (a * x + (b * y + c)) * share, (d * x + (e * y + f)) * share

    def forward(self, x: Reals, y: Reals) -> tuple[Reals, Reals]:
        """Map source positions to output positions; NaN beyond the horizon."""
        a, b, c, d, e, f, g, h, i = self.values
        depth = g * x + (h * y + i)
        # All matrices are built with positive depth in the frame; products and inverses preserve it.
        depth = np.where(depth > 1e-9, depth, np.nan)
        return (a * x + (b * y + c)) / depth, (d * x + (e * y + f)) / depth


class Map:
    """A chain of parts in order of application.

    Args:
        size: (height, width) of the input picture.
        parts: the steps; adjacent matrices are already multiplied.
        out: (height, width) of the output; None means the same.
    """

    __slots__ = ("_interpolant", "_permutation", "out", "parts", "size")

    def __init__(self, size: Size, parts: tuple[Part, ...] = (), out: Size | None = None) -> None:
        self.size = size
        self.parts = parts
        self.out = out or size
        self._interpolant: tuple[Lattice, int] | None = None
        self._permutation: Permutation | bool | None = False  # False: not computed yet

    def then(self, other: Map) -> Map:
        """Compose with another map that is applied after this one."""
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
        """Whether the whole chain mirrors: true for one flip, false for two."""
        mirrored = False
        for part in self.parts:
            mirrored ^= part.mirrors
        return mirrored

    @property
    def matrix(self) -> Matrix | None:
        """The chain as one matrix, or None if it contains a warp."""
        if not self.parts:
            return Matrix((1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
        only = self.parts[0]
        return only if len(self.parts) == 1 and isinstance(only, Matrix) else None

    @property
    def permutation(self) -> Permutation | None:
        """The chain as a permutation of pixels, or None where it needs resampling."""
        if isinstance(self._permutation, bool):
            matrix = self.matrix
            self._permutation = None if matrix is None else _permutation(matrix, self.size, self.out)
            return self.permutation
        return self._permutation

    def sources(self, points: Points) -> Points:
        """Map output positions to source positions by the exact formulas: (n, 2) -> (n, 2)."""
        return np.stack(self._backward(points[:, 0], points[:, 1]), axis=1)

    def move(self, points: Points) -> Points:
        """Map source positions to output positions on the interpolant that the pixels use.

        Args:
            points: float64 (n, 2). NaN stays NaN.

        Returns:
            float64 (n, 2); outside the frame the exact formulas are used.
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
        """Map boxes to the upright bounding boxes of their moved outlines.

        Args:
            boxes: float64 (n, 4), edges x1, y1, x2, y2. NaN stays NaN.

        Returns:
            float64 (n, 4), not clipped to the frame.
        """
        low, span = boxes[:, None, :2] - 0.5, boxes[:, None, 2:] - boxes[:, None, :2]
        outline = low + span * _OUTLINE
        moved = self.move(outline.reshape(-1, 2)).reshape(outline.shape) + 0.5
        return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)

    def source_grid(self) -> NDArray[np.float32]:
        """Source position of every output pixel on the interpolant: float32 (height, width, 2), x and y."""
        if self.matrix is None:
            lattice, stride = self.interpolant()
            return enlarged(lattice.nodes, self.out, stride)
        height, width = self.out
        x, y = self._backward(np.arange(width)[None].astype(float), np.arange(height)[:, None].astype(float))
        grid = np.empty((height, width, 2), np.float32)
        grid[..., 0], grid[..., 1] = x, y
        return grid

    def interpolant(self) -> tuple[Lattice, int]:
        """The interpolant that pixels and points share where there is a warp, with its node distance in pixels."""
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
        """Node distance that keeps the bilinear error within the tolerance, and the curvature."""
        bend, slope = 0.0, 1.0
        for part in reversed(self.parts):
            bend = part.bend * slope * slope + part.stretch * bend
            slope *= part.stretch
        wanted = math.sqrt(8 * _TOLERANCE / max(bend, 1e-6))
        return max(1, min(_WIDEST, int(wanted))), bend

    def _detail(self) -> float:
        """Smallest detail of all parts, output pixels."""
        least, slope = _COARSEST, 1.0
        for part in reversed(self.parts):
            least = min(least, part.detail / max(slope, 1.0))
            slope *= part.stretch
        return least

    def _solved(self, wanted: Complexes) -> Complexes:
        """Find the lattice positions that show ``wanted``; outside the frame use the formulas."""
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
        # Strong warps mislead the search; starting from the formula's answer, it is hundredths of a pixel away.
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
