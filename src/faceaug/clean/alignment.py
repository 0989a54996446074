"""Align two pictures: a robust Gauss-Newton search for an affine map close to the identity, with gain and offset."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import Image8, load_cv2

Grey: TypeAlias = NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)
_Range: TypeAlias = tuple[int, int]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
WORK = 96  # pixels of the longer side aligned: more costs time and adds noise, not evidence
_LEVELS = ((32, 4), (64, 2), (WORK, 2))  # of the alignment: longer side, iterations
MARGIN = 0.03  # share of each side ignored, because frames and shifts may spoil it
_CUT = 0.012  # share of the area that a crop lacks at least
_OVERLAP = 0.006  # share of a side by which the map may be wrong
FAR = 0.16  # largest deviation of the affine map from the identity
_RUN = 3_000  # pixels multiplied at once: with more, BLAS starts threads, which cost more than they help
_DIAGONAL = np.diag_indices(8)


@dataclass(frozen=True, slots=True)
class Affine:
    """The map x' = xx x + xy y + tx, y' = yx x + yy y + ty, in pixels from the middle; close to the identity."""

    xx: float = 1.0
    xy: float = 0.0
    tx: float = 0.0
    yx: float = 0.0
    yy: float = 1.0
    ty: float = 0.0

    def at_scale(self, factor: float) -> Affine:
        """The same map for pictures ``factor`` times as large."""
        return Affine(self.xx, self.xy, self.tx * factor, self.yx, self.yy, self.ty * factor)

    def stretched(self, across: float, down: float) -> Affine:
        """The same map for pictures ``across`` times as wide and ``down`` times as high."""
        return Affine(
            self.xx, self.xy * across / down, self.tx * across, self.yx * down / across, self.yy, self.ty * down
        )

    def at(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where the map takes places: float64 (n, 2), x and y from the middle."""
        moved: NDArray[np.float64] = places @ self.square()[:2, :2].T + (self.tx, self.ty)
        return moved

    def square(self) -> NDArray[np.float64]:
        """The (3, 3) matrix about the middle."""
        return np.array([[self.xx, self.xy, self.tx], [self.yx, self.yy, self.ty], [0, 0, 1]])

    def inverse(self) -> Affine:
        """The map from the second picture to the first."""
        return Affine(*np.linalg.inv(self.square())[:2].ravel().tolist())

    def contained(self, height: int, width: int) -> int:
        """Which of two pictures of this size shows only a part of the other: 1, 2, or 0 for neither.

        A cropped picture lies inside the other's frame, up to ``_OVERLAP`` of a side, and fills less of it.
        """
        matrix = np.array([[self.xx, self.xy], [self.yx, self.yy]])
        shift = np.array([self.tx, self.ty])
        half = np.array([width, height]) / 2
        corners = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]]) * half
        area = abs(float(np.linalg.det(matrix)))
        if area < 1 - _CUT:
            reach = np.abs(corners @ matrix.T + shift).max(0) / half
            return 1 if float(reach.max()) <= 1 + 2 * _OVERLAP else 0
        if area > 1 / (1 - _CUT):
            reach = np.abs((corners - shift) @ np.linalg.inv(matrix).T).max(0) / half
            return 2 if float(reach.max()) <= 1 + 2 * _OVERLAP else 0
        return 0

    def plus(self, change: Sequence[float], side: int) -> tuple[Affine, float]:
        """The map after a Gauss-Newton step.

        Args:
            change: change of tx, xx, xy, ty, yx, yy.
            side: longer side of the pictures, pixels; it limits each step and their sum.

        Returns:
            The map, and the size of the step relative to the convergence tolerance.
        """
        tx, xx, xy, ty, yx, yy = change
        tx, ty = _clip(tx, 0.03 * side), _clip(ty, 0.03 * side)
        xx, xy, yx, yy = _clip(xx, 0.05), _clip(xy, 0.05), _clip(yx, 0.05), _clip(yy, 0.05)
        moved = max(max(abs(tx), abs(ty)) / 0.02, max(abs(xx), abs(xy), abs(yx), abs(yy)) * side / 0.04)
        changed = Affine(
            1 + _clip(self.xx - 1 + xx, FAR),
            _clip(self.xy + xy, FAR),
            _clip(self.tx + tx, 0.1 * side),
            _clip(self.yx + yx, FAR),
            1 + _clip(self.yy - 1 + yy, FAR),
            _clip(self.ty + ty, 0.1 * side),
        )
        return changed, moved

    def matrix(self, height: int, width: int) -> NDArray[np.float64]:
        """The (2, 3) matrix in pixel coordinates, for pictures of one size."""
        cx, cy = (width - 1) / 2, (height - 1) / 2
        return np.array(
            [
                [self.xx, self.xy, self.tx + cx - self.xx * cx - self.xy * cy],
                [self.yx, self.yy, self.ty + cy - self.yx * cx - self.yy * cy],
            ]
        )


def common_size(one: Image8, other: Image8, side: int = WORK) -> tuple[int, int]:
    """(height, width) at which two pictures are compared: the smaller of each, at most ``side`` pixels."""
    height, width = min(one.shape[0], other.shape[0]), min(one.shape[1], other.shape[1])
    factor = min(1.0, side / max(height, width))
    return max(2, round(height * factor)), max(2, round(width * factor))


def luma_of(image: Grey) -> Grey:
    """Luma of float32 (h, w, 3)."""
    if not image.size:
        return image[..., 0]
    cv2 = load_cv2()
    luma: Grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)  # twice as fast as a product with ``LUMA``
    return luma


def resized(image: NDArray[Number], width: int, height: int) -> NDArray[Number]:
    """A picture at another size, by areas where it shrinks."""
    if image.shape[:2] == (height, width):
        return image
    cv2 = load_cv2()
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    scaled: NDArray[Number] = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return scaled


def align(one: Grey, other: Grey) -> Affine:
    """The affine map, about the centre and in pixels, that takes places in ``one`` to places in ``other``."""
    longer = max(one.shape)
    affine = Affine()
    for side, steps in _LEVELS:
        factor = min(1.0, side / longer)
        width, height = max(2, round(one.shape[1] * factor)), max(2, round(one.shape[0] * factor))
        small = resized(one, width, height), resized(other, width, height)
        affine = affine.at_scale(factor)
        for _ in range(steps):
            affine, moved = step(*small, affine)
            if moved < 1:
                break
        affine = affine.at_scale(1 / factor)
        if factor == 1.0:
            break
    return affine


def step(one: Grey, other: Grey, affine: Affine) -> tuple[Affine, float]:
    """One Gauss-Newton step: gain, offset and a change of the map, by weighted least squares.

    Returns:
        The new map, and how far the step went; below 1 there is no need for another.
    """
    cv2 = load_cv2()
    height, width = one.shape
    warped = warp(other, affine)
    place = inside(affine, height, width)
    target = one[place]
    if target.size < 64:
        return affine, 0.0
    x, y = _places(width)[None, place[1]], _places(height)[place[0], None]
    basis = np.empty((9, *target.shape), np.float32)
    basis[0], basis[1], basis[8] = warped[place], 1, target
    for row, (dx, dy) in ((2, (1, 0)), (5, (0, 1))):
        basis[row] = cv2.Sobel(warped, cv2.CV_32F, dx, dy, ksize=3, scale=0.125)[place]
        np.multiply(basis[row], x, out=basis[row + 1])
        np.multiply(basis[row], y, out=basis[row + 2])
    flat = basis.reshape(9, -1)
    residual = np.abs(flat[8] - _solve(flat, None) @ flat[:8])
    middle = len(residual) // 2
    limit = 2 * max(1.0, 1.4826 * float(np.partition(residual, middle)[middle]))
    gain, _, *change = _solve(flat, np.minimum(1, limit / np.maximum(residual, 1e-3))).tolist()
    gain = gain if abs(gain) > 0.2 else 0.2
    return affine.plus([value / gain for value in change], max(height, width))


def _solve(basis: Grey, weight: Grey | None) -> NDArray[np.float32]:
    """Least-squares coefficients of the ninth row in the first eight: float32 (8,)."""
    cv2 = load_cv2()
    weighted = basis[:8] if weight is None else basis[:8] * weight
    products = np.zeros((8, 9))
    for start in range(0, basis.shape[1], _RUN):
        products += weighted[:, start : start + _RUN] @ basis[:, start : start + _RUN].T
    normal = products[:, :8]
    normal[_DIAGONAL] = normal[_DIAGONAL] * (1 + 1e-4) + 1e-3
    _, fit = cv2.solve(normal, products[:, 8:], flags=cv2.DECOMP_CHOLESKY)
    return np.asarray(fit[:, 0], np.float32)


@lru_cache(maxsize=64)
def _places(side: int) -> Grey:
    """Pixel coordinates relative to the middle."""
    return np.arange(side, dtype=np.float32) - (side - 1) / 2


def warp(image: Grey, affine: Affine) -> Grey:
    """The second picture as the map says it lies on the first: float32, same shape."""
    cv2 = load_cv2()
    height, width = image.shape[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: Grey = cv2.warpAffine(
        image, affine.matrix(height, width), (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return warped


def inside(affine: Affine, height: int, width: int) -> tuple[slice, slice]:
    """The axis-aligned rectangle that the map takes inside the other picture, without the margins of either."""
    margin = max(1.0, MARGIN * max(height, width))
    half = (width - 1) / 2, (height - 1) / 2
    across = _between(half[0], half[1], margin, affine.xx, affine.xy, affine.tx)
    down = _between(half[1], half[0], margin, affine.yy, affine.yx, affine.ty)
    return slice(down[0], max(down)), slice(across[0], max(across))


def _between(half: float, other_half: float, margin: float, stretch: float, turn: float, shift: float) -> _Range:
    reach = half - margin
    turned = abs(turn) * other_half
    low = max(-reach, (-reach + turned - shift) / max(stretch, 0.5)) + half
    high = min(reach, (reach - turned - shift) / max(stretch, 0.5)) + half
    return math.ceil(low), math.floor(high) + 1


def _clip(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))
