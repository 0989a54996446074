"""One geometric map: composed, then used for pixels, points, boxes and masks alike.

A map is the chain of everything geometric that happens to a picture between two resamplings. Pixels are fetched
through it backwards (which source position does this output pixel show?), points move forwards through the very
same function, so that a landmark stays on the pixel it marks.

Coordinates are x, y in pixel indices: the centre of the first pixel is (0, 0), as in CelebA's tables. The frame
reaches from -0.5 to width - 0.5. Boxes are given by their edges, which lie half a pixel further: 0 to width.

* Matrices multiply. A product that only permutes pixels (flips, turns by 90 degrees) copies them exactly.
* A chain with a warp in it is evaluated at 49 x 49 nodes and interpolated between them by Catmull-Rom splines
  (Keys 1981, "Cubic convolution interpolation", a = -1/2), which give back every affine map exactly. Points are
  solved on that interpolant, not on the formula behind it: what counts is where the pixels went.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.image import Image8, load_cv2

Points: TypeAlias = NDArray[np.float64]  # (n, 2), x and y, pixel index
Size: TypeAlias = tuple[int, int]  # (height, width)
Border: TypeAlias = Literal["reflect", "edge", "constant", "wrap"]
Interpolation: TypeAlias = Literal["linear", "cubic", "nearest"]
BORDERS: tuple[str, ...] = ("reflect", "edge", "constant", "wrap")
INTERPOLATIONS: tuple[str, ...] = ("linear", "cubic", "nearest")

_CELLS = 48  # per axis: a twist of 60 degrees then keeps within 0.05 px of its formula
_CONVERGED = 1e-9  # px


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
    """One invertible step of a map, defined on the whole plane."""

    @property
    def mirrors(self) -> bool:
        """Whether left and right change places."""

    def backward(self, points: Points) -> Points:
        """Where the output positions come from: (n, 2) -> (n, 2)."""

    def forward(self, points: Points) -> Points:
        """Where the source positions go: (n, 2) -> (n, 2)."""


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """An affine or projective step.

    Attributes:
        values: float64 (3, 3); takes homogeneous source positions to output positions.
    """

    values: NDArray[np.float64]

    @property
    def mirrors(self) -> bool:
        """Whether the determinant is negative."""
        return bool(np.linalg.det(self.values) < 0)

    @property
    def inverse(self) -> NDArray[np.float64]:
        """The matrix that leads back."""
        return np.asarray(np.linalg.inv(self.values), np.float64)

    @property
    def is_affine(self) -> bool:
        """Whether parallel lines stay parallel."""
        return bool(np.abs(self.values[2, :2]).max() < 1e-12)

    def backward(self, points: Points) -> Points:
        """Where the output positions come from."""
        return _project(self.inverse, points)

    def forward(self, points: Points) -> Points:
        """Where the source positions go; NaN for a point beyond the horizon."""
        return _project(self.values, points)


@dataclass(frozen=True, eq=False)
class Map:
    """A chain of parts for pictures of one size, in the order in which they happen.

    Attributes:
        size: (height, width) of the picture before and after.
        parts: neighbouring matrices are already multiplied.
    """

    size: Size
    parts: tuple[Part, ...] = ()

    def then(self, other: Map) -> Map:
        """This map and after it the other one, as one map."""
        parts = list(self.parts)
        for part in other.parts:
            if parts and isinstance(part, Matrix) and isinstance(parts[-1], Matrix):
                parts[-1] = Matrix(part.values @ parts[-1].values)
            else:
                parts.append(part)
        return Map(self.size, tuple(parts))

    @property
    def mirrors(self) -> bool:
        """Whether the whole chain exchanges left and right: true for one flip, false for two."""
        return sum(part.mirrors for part in self.parts) % 2 == 1

    def sources(self, points: Points) -> Points:
        """Where output positions come from, by the formulas: (n, 2) -> (n, 2)."""
        for part in reversed(self.parts):
            points = part.backward(points)
        return points

    def move(self, points: Points) -> Points:
        """Where source positions go, on the interpolant that the pixels use.

        Args:
            points: float64 (n, 2). NaN stays NaN.

        Returns:
            float64 (n, 2); also outside the frame.
        """
        moved = np.array(points, np.float64, copy=True)
        known = np.isfinite(moved).all(axis=1)
        targets = found = moved[known]
        for part in self.parts:
            found = part.forward(found)
        if self._lattice is not None and len(found):
            found = self._lattice.solve(targets, found)
        moved[known] = found
        return moved

    def move_boxes(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The upright box around each moved box.

        Args:
            boxes: float64 (n, 4), edges x1, y1, x2, y2. NaN stays NaN.

        Returns:
            float64 (n, 4), the hull of the moved outlines; not clipped to the frame.
        """
        # Nine places per side: between them a warp bends an edge by less than the hull matters.
        steps = np.linspace(0, 1, 9)
        x = np.concatenate([steps, steps, np.zeros(9), np.ones(9)])
        y = np.concatenate([np.zeros(9), np.ones(9), steps, steps])
        low, span = boxes[:, None, :2] - 0.5, boxes[:, None, 2:] - boxes[:, None, :2]
        outline = low + span * np.stack([x, y], axis=1)[None]
        moved = self.move(outline.reshape(-1, 2)).reshape(outline.shape) + 0.5
        return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)

    def render(self, image: Image8, sampling: Sampling) -> Image8:
        """Resample a picture once.

        Args:
            image: uint8 (height, width) or (height, width, 1..4).
            sampling: see there.

        Returns:
            A new array, same shape; the picture itself when nothing moves.
        """
        motion = _pixel_motion(self)
        if motion is not None:
            return _permuted(image, motion, axes=(0, 1))
        cv2 = load_cv2()
        width_height = (self.size[1], self.size[0])
        flags, border, fill = _cv2_sampling(sampling)
        if len(self.parts) == 1 and isinstance(self.parts[0], Matrix):
            inverse = self.parts[0].inverse
            options = {"flags": flags | cv2.WARP_INVERSE_MAP, "borderMode": border, "borderValue": fill}
            if self.parts[0].is_affine:
                out = cv2.warpAffine(image, inverse[:2] / inverse[2, 2], width_height, **options)
            else:
                out = cv2.warpPerspective(image, inverse, width_height, **options)
        else:
            x, y = self._source_grid()
            out = cv2.remap(image, x, y, flags, borderMode=border, borderValue=fill)
        result: Image8 = out.reshape(image.shape)  # OpenCV drops a single channel
        return result

    def render_mask(self, mask: NDArray[Any], border: Border) -> NDArray[Any]:
        """Resample a mask of any dtype, (..., height, width), by the nearest pixel; "constant" fills with 0."""
        height, width = self.size
        motion = _pixel_motion(self)
        if motion is not None:
            return _permuted(mask, motion, axes=(mask.ndim - 2, mask.ndim - 1))
        x, y = (np.rint(grid).astype(np.int64) for grid in self._source_grid())
        out = mask[..., _folded(y, height, border), _folded(x, width, border)]
        if border == "constant":
            out[..., (x < 0) | (x >= width) | (y < 0) | (y >= height)] = 0
        return out

    @cached_property
    def _lattice(self) -> _Lattice | None:
        return None if all(isinstance(part, Matrix) for part in self.parts) else _Lattice(self)

    def _source_grid(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Source x and y of every output pixel: float32 (height, width) each."""
        if self._lattice is not None:
            return self._lattice.dense()
        height, width = self.size
        y, x = np.mgrid[:height, :width].astype(np.float64)
        found = self.sources(np.stack([x.ravel(), y.ravel()], axis=1)).astype(np.float32)
        # Beyond the horizon there is nothing to fetch; far outside is where the border rules apply.
        found = np.nan_to_num(found, nan=-1e6).reshape(height, width, 2)
        return found[..., 0], found[..., 1]


class _Lattice:
    """The map at coarse nodes and the spline between them: the function that pixels and points share."""

    def __init__(self, chain: Map) -> None:
        self._axes = tuple(_Axis(side) for side in chain.size)
        rows, columns = (axis.nodes for axis in self._axes)
        x, y = np.meshgrid(columns, rows)
        places = np.stack([x.ravel(), y.ravel()], axis=1)
        self._size = chain.size
        # Displacements, not positions: float32 then keeps thousandths of a pixel in large pictures.
        self._shifts = (chain.sources(places) - places).reshape(len(rows), len(columns), 2)

    def dense(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Source x and y of every pixel: float32 (height, width) each."""
        height, width = self._size
        x, y = (_upsampled(self._shifts[..., k].astype(np.float32), self._size) for k in (0, 1))
        x += np.arange(width, dtype=np.float32)
        y += np.arange(height, dtype=np.float32)[:, None]
        return x, y

    def solve(self, targets: Points, found: Points) -> Points:
        """Newton's method from the exact solution ``found``; points outside the frame keep it."""
        found = found.copy()
        limit = np.array([self._size[1], self._size[0]], np.float64)
        inside = ((found >= -1) & (found <= limit)).all(axis=1)
        at, wanted = found[inside], targets[inside]
        for _ in range(8):
            value, jacobian = self._value(at)
            error = value - wanted
            if not len(at) or np.abs(error).max() < _CONVERGED:
                break
            at = at - np.linalg.solve(jacobian, error[..., None])[..., 0]
        found[inside] = at
        return found

    def _value(self, points: Points) -> tuple[Points, NDArray[np.float64]]:
        row, row_weights, row_slopes = self._axes[0].taps(points[:, 1])
        column, column_weights, column_slopes = self._axes[1].taps(points[:, 0])
        near = self._shifts[row[:, :, None], column[:, None, :]]  # (n, 4, 4, 2)
        value = points + np.einsum("nijk,ni,nj->nk", near, row_weights, column_weights)
        along_x = np.einsum("nijk,ni,nj->nk", near, row_weights, column_slopes)
        along_y = np.einsum("nijk,ni,nj->nk", near, row_slopes, column_weights)
        return value, np.stack([along_x, along_y], axis=2) + np.eye(2)


class _Axis:
    """Nodes along one side of the picture, one of them beyond each end."""

    def __init__(self, side: int) -> None:
        self.cells = max(1, min(side - 1, _CELLS))
        self.spacing = max(side - 1, 1) / self.cells
        self.nodes = (np.arange(self.cells + 3) - 1) * self.spacing

    def taps(self, places: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """The four nodes around each place, their weights and the slopes of these: (n, 4) each."""
        u = places / self.spacing
        cell = np.clip(np.floor(u), 0, self.cells - 1)
        t = (u - cell)[:, None]
        weights = np.concatenate(
            [
                ((-0.5 * t + 1) * t - 0.5) * t,
                (1.5 * t - 2.5) * t * t + 1,
                ((-1.5 * t + 2) * t + 0.5) * t,
                (0.5 * t - 0.5) * t * t,
            ],
            axis=1,
        )
        slopes = np.concatenate(
            [(-1.5 * t + 2) * t - 0.5, (4.5 * t - 5) * t, (-4.5 * t + 4) * t + 0.5, (1.5 * t - 1) * t], axis=1
        )
        return cell.astype(np.int64)[:, None] + np.arange(4), weights, slopes / self.spacing


def _upsampled(nodes: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """The spline through the nodes at every pixel.

    Four weighted copies per axis, not two matrix products: BLAS would start threads in every DataLoader worker, and
    round differently with their number.
    """
    for axis, side in enumerate(size):
        taken, weights = _pixel_taps(side)
        shape = (side, 1) if axis == 0 else (1, side)
        nodes = sum(
            (nodes.take(taken[k], axis=axis) * weights[k].reshape(shape) for k in range(1, 4)),
            start=nodes.take(taken[0], axis=axis) * weights[0].reshape(shape),
        )
    return nodes


@lru_cache(maxsize=64)
def _pixel_taps(side: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The four nodes around every pixel of a side and their weights: (4, side) each."""
    nodes, weights, _ = _Axis(side).taps(np.arange(side, dtype=np.float64))
    return np.ascontiguousarray(nodes.T), np.ascontiguousarray(weights.T, np.float32)


def _project(matrix: NDArray[np.float64], points: Points) -> Points:
    # Written out: for a whole picture of points BLAS would start its threads.
    x, y = points[:, 0], points[:, 1]
    across, down, depth = (row[0] * x + row[1] * y + row[2] for row in matrix)
    # Every matrix is made with positive depth in the frame, and products and inverses keep that.
    seen = depth > 1e-9
    depth = np.where(seen, depth, np.nan)
    return np.stack([across / depth, down / depth], axis=1)


PixelMotion: TypeAlias = tuple[bool, bool, bool]  # exchange the axes, then reverse rows, reverse columns


def _pixel_motion(chain: Map) -> PixelMotion | None:
    """The chain as a pure permutation of pixels, or None if it is not one."""
    if not chain.parts:
        return (False, False, False)
    if len(chain.parts) > 1 or not isinstance(chain.parts[0], Matrix) or not chain.parts[0].is_affine:
        return None
    values = chain.parts[0].values / chain.parts[0].values[2, 2]
    height, width = chain.size
    turn = np.rint(values[:2, :2])
    if np.abs(values[:2, :2] - turn).max() > 1e-9 or np.abs(turn).sum() != 2 or abs(np.linalg.det(turn)) != 1:
        return None
    reversed_axes = turn.sum(axis=1) < 0
    shift = np.where(reversed_axes, [width - 1, height - 1], 0)
    exchange = bool(turn[0, 0] == 0)
    if np.abs(values[:2, 2] - shift).max() > 1e-6 or (exchange and height != width):
        return None
    return exchange, bool(reversed_axes[1]), bool(reversed_axes[0])


def _permuted(image: NDArray[Any], motion: PixelMotion, *, axes: tuple[int, int]) -> NDArray[Any]:
    exchange, rows, columns = motion
    if not any(motion):
        return image
    if exchange:
        image = image.swapaxes(*axes)
    if image.dtype == np.uint8 and image.ndim <= 3 and axes[0] == 0 and (rows or columns):
        code = -1 if rows and columns else 0 if rows else 1
        flipped: NDArray[Any] = load_cv2().flip(np.ascontiguousarray(image), code)
        return flipped.reshape(image.shape)
    turned = [axis for axis, wanted in zip(axes, (rows, columns), strict=True) if wanted]
    return np.ascontiguousarray(np.flip(image, tuple(turned)))


def _cv2_sampling(sampling: Sampling) -> tuple[int, int, tuple[int, ...]]:
    cv2 = load_cv2()
    flags = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST}
    borders = {
        "reflect": cv2.BORDER_REFLECT_101,
        "edge": cv2.BORDER_REPLICATE,
        "constant": cv2.BORDER_CONSTANT,
        "wrap": cv2.BORDER_WRAP,
    }
    fill = (sampling.fill,) * 4 if isinstance(sampling.fill, int) else sampling.fill
    return flags[sampling.interpolation], borders[sampling.border], fill


def _folded(index: NDArray[np.int64], side: int, border: Border) -> NDArray[np.int64]:
    """Indices outside 0..side-1 led back inside as the border says."""
    if border == "wrap":
        return index % side
    if border == "reflect" and side > 1:
        index = index % (2 * side - 2)
        return np.where(index < side, index, 2 * side - 2 - index)
    return index.clip(0, side - 1)
