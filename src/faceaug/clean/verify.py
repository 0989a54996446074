"""Verify that two pictures show one photo, by comparing aligned pixels, never by hashes alone.

Two copies of a photo differ in gain, offset, slightly in position, scale and rotation, in compression and sharpness.
They share medium-scale detail, which two photos of one person do not: strands of hair, folds, letters in the
background. So the pictures are aligned (robust Gauss-Newton on an affine map close to the identity, jointly with gain
and offset) and then compared in that frequency band: as a whole, block by block, and in colour. Correlation of the raw
pixels is not enough: different people on dark backgrounds reach 0.98.
"""

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
_Range: TypeAlias = tuple[int, int]
Number = TypeVar("Number", bound=np.generic)
_WORK = 96  # pixels of the longer side compared: more costs time and adds noise, not evidence
_LEVELS = ((32, 4), (64, 2), (_WORK, 2))  # of the alignment: longer side, iterations
_MARGIN = 0.03  # share of each side ignored, because frames and shifts may spoil it
_FAR = 0.16  # largest deviation of the affine map from the identity
_FINE = 110  # the detail band: sigmas are the longer side divided by these
_COARSE = 22
_BLOCKS = 8
_DIAGONAL = np.diag_indices(8)
_NOISE = 3.0  # grey levels of compression noise tolerated in a block
_EMPTY = 1.1  # grey levels that compression alone adds to empty frequencies
_TINTED = 4.0  # standard deviation, grey levels, from which a picture counts as coloured
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class PairEvidence:
    """The similarity of two pictures after alignment. Correlations are -1..1.

    Attributes:
        correlation: correlation of the grey values.
        detail: correlation of the medium-scale detail, the main criterion.
        face_block: agreement of the worst of the 16 blocks in the middle, where the face is; 1 identical, 0 or less
            unrelated.
        broad_block: agreement of the seventh worst of all 64 blocks, because a logo or a black corner spoils a few.
        colour: correlation of the colour differences; 1 if one of the two has no colour.
        spread: standard deviation of the detail, grey levels, the smaller of the two; near 0 there is nothing to
            compare.
        gain: contrast of the first over the second.
        scale: size of the second's content over the first's.
        shift: distance of the centres, as a share of the longer side.
        enlarged: 1 if the first is an upscaled version of the second, 2 the other way round, 0 otherwise.
    """

    correlation: float
    detail: float
    face_block: float
    broad_block: float
    colour: float
    spread: float
    gain: float
    scale: float
    shift: float
    enlarged: int = 0


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
            1 + _clip(self.xx - 1 + xx, _FAR),
            _clip(self.xy + xy, _FAR),
            _clip(self.tx + tx, 0.1 * side),
            _clip(self.yx + yx, _FAR),
            1 + _clip(self.yy - 1 + yy, _FAR),
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


def compare(one: Image8, other: Image8) -> PairEvidence:
    """Align two pictures and measure their similarity.

    Args:
        one: uint8 (height, width, 3), RGB.
        other: likewise, of any size.
    """
    cv2 = load_cv2()
    height, width = _common_size(one, other)
    first, second = (_resized(image, width, height).astype(np.float32) for image in (one, other))
    affine = _align(first @ _LUMA, second @ _LUMA)
    second = _warp(second, affine)
    rows, columns = _inside(affine, height, width)
    first, second = first[rows, columns], second[rows, columns]
    a, b = first @ _LUMA, second @ _LUMA
    if min(a.shape) < 2 * _BLOCKS:
        return PairEvidence(0, 0, 0, 0, 0, 0, 1, 1, 0)
    fine, coarse = max(height, width) / _FINE, max(height, width) / _COARSE
    da, db = (cv2.GaussianBlur(x, (0, 0), fine) - cv2.GaussianBlur(x, (0, 0), coarse) for x in (a, b))
    face, broad = _blocks(da, db)
    return PairEvidence(
        correlation=_correlation(a, b),
        detail=_correlation(da, db),
        face_block=face,
        broad_block=broad,
        colour=_colour(first, second, 2 * fine),
        spread=float(min(da.std(), db.std())),
        gain=float(np.sqrt(a.var() / max(float(b.var()), 1e-6))),
        scale=math.sqrt(abs(affine.xx * affine.yy - affine.xy * affine.yx)),
        shift=math.hypot(affine.tx, affine.ty) / max(height, width),
        enlarged=_enlarged(one, other),
    )


def glance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of the detail of two aligned grey thumbnails, enough to rule out most pairs of different photos.

    Args:
        one: uint8 (32, 32).
        other: uint8 (32, 32).
    """
    cv2 = load_cv2()
    first, second = one.astype(np.float32), other.astype(np.float32)
    affine = _align(first, second)
    place = _inside(affine, *first.shape)
    a, b = first[place], _warp(second, affine)[place]
    if min(a.shape) < _BLOCKS:
        return 0.0
    coarse = max(one.shape) / _COARSE
    da, db = (x - cv2.GaussianBlur(x, (0, 0), coarse) for x in (a, b))
    return _correlation(da, db)


def _common_size(one: Image8, other: Image8) -> tuple[int, int]:
    height, width = min(one.shape[0], other.shape[0]), min(one.shape[1], other.shape[1])
    factor = min(1.0, _WORK / max(height, width))
    return max(2, round(height * factor)), max(2, round(width * factor))


def _resized(image: NDArray[Number], width: int, height: int) -> NDArray[Number]:
    if image.shape[:2] == (height, width):
        return image
    cv2 = load_cv2()
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    resized: NDArray[Number] = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return resized


def _align(one: Grey, other: Grey) -> Affine:
    """The affine map, about the centre and in pixels, that takes places in ``one`` to places in ``other``."""
    longer = max(one.shape)
    affine = Affine()
    for side, steps in _LEVELS:
        factor = min(1.0, side / longer)
        width, height = max(2, round(one.shape[1] * factor)), max(2, round(one.shape[0] * factor))
        small = _resized(one, width, height), _resized(other, width, height)
        affine = affine.at_scale(factor)
        for _ in range(steps):
            affine, moved = _step(*small, affine)
            if moved < 1:
                break
        affine = affine.at_scale(1 / factor)
        if factor == 1.0:
            break
    return affine


def _step(one: Grey, other: Grey, affine: Affine) -> tuple[Affine, float]:
    """One Gauss-Newton step: gain, offset and a change of the map, by weighted least squares.

    Returns:
        The new map, and how far the step went; below 1 there is no need for another.
    """
    cv2 = load_cv2()
    height, width = one.shape
    warped = _warp(other, affine)
    place = _inside(affine, height, width)
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
    products = (weighted @ basis.T).astype(np.float64)
    normal = products[:, :8]
    normal[_DIAGONAL] = normal[_DIAGONAL] * (1 + 1e-4) + 1e-3
    _, fit = cv2.solve(normal, products[:, 8:], flags=cv2.DECOMP_CHOLESKY)
    return np.asarray(fit[:, 0], np.float32)


@lru_cache(maxsize=64)
def _places(side: int) -> Grey:
    """Pixel coordinates relative to the middle."""
    return np.arange(side, dtype=np.float32) - (side - 1) / 2


def _warp(image: Grey, affine: Affine) -> Grey:
    cv2 = load_cv2()
    height, width = image.shape[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: Grey = cv2.warpAffine(
        image, affine.matrix(height, width), (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return warped


def _inside(affine: Affine, height: int, width: int) -> tuple[slice, slice]:
    """The axis-aligned rectangle that the map takes inside the other picture, without the margins of either."""
    margin = max(1.0, _MARGIN * max(height, width))
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


def _correlation(a: Grey, b: Grey) -> float:
    x, y = a.ravel() - a.mean(), b.ravel() - b.mean()
    power = float(x @ x) * float(y @ y)
    return float(x @ y) / power**0.5 if power > 1e-3 else 0.0


def _blocks(a: Grey, b: Grey) -> tuple[float, float]:
    """Agreement of detail by block: (worst in the middle, seventh worst of all)."""
    gain = float((a * b).sum() / max(float((b * b).sum()), 1e-6))
    b = b * gain
    ys, xs = (np.linspace(0, side, _BLOCKS + 1).astype(int)[:-1] for side in a.shape)
    total = [np.add.reduceat(np.add.reduceat(x, ys, 0), xs, 1) for x in (np.ones_like(a), a * a, b * b, (a - b) ** 2)]
    count, of_a, of_b, different = total
    agreement = 1 - different / (of_a + of_b + 2 * _NOISE**2 * count)
    middle = agreement[_BLOCKS // 4 : -_BLOCKS // 4, _BLOCKS // 4 : -_BLOCKS // 4]
    return float(middle.min()), float(np.sort(agreement.ravel())[_BLOCKS - 2])


def _colour(one: Grey, other: Grey, sigma: float) -> float:
    """Correlation of red - green and of blue - green, the lower of those in which both pictures have colour."""
    cv2 = load_cv2()
    found = [1.0]
    for channel in (0, 2):
        a, b = (cv2.GaussianBlur(x[..., channel] - x[..., 1], (0, 0), sigma) for x in (one, other))
        if min(a.std(), b.std()) > _TINTED:
            found.append(_correlation(a, b))
    return min(found)


def _enlarged(one: Image8, other: Image8) -> int:
    """Which picture is an upscaled version of the other: 1, 2, or 0 for neither."""
    areas = one.shape[0] * one.shape[1], other.shape[0] * other.shape[1]
    if max(areas) < 1.2 * min(areas) or min(*one.shape[:2], *other.shape[:2]) < 8:
        return 0
    large, small = (one, other) if areas[0] > areas[1] else (other, one)
    if _beyond(large, small.shape[0] / large.shape[0], small.shape[1] / large.shape[1]) > _EMPTY:
        return 0
    return 1 if areas[0] > areas[1] else 2


def _beyond(image: Image8, down: float, across: float) -> float:
    """RMS amplitude, grey levels, of the frequencies lost when the picture is scaled by ``down`` and ``across``."""
    height, width = image.shape[:2]
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    grey = image.astype(np.float32) @ _LUMA
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2 / (window**2).sum()
    rows, columns = np.abs(np.fft.fftfreq(height))[:, None] * 2, np.fft.rfftfreq(width)[None] * 2
    fine = np.maximum(rows / down, columns / across) > 1.2  # enlarging leaks a little beyond 1
    return float(np.sqrt(power[fine].mean())) if fine.any() else 0.0
