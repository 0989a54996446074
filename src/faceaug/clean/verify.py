"""Verify that two pictures show one photo, by comparing aligned pixels, never by hashes alone.

Two copies of a photo differ in gain, offset, slightly in position, scale and rotation, in compression and sharpness.
They share medium-scale detail, which two photos of one person do not: strands of hair, folds, letters in the
background. So the pictures are aligned (robust Gauss-Newton on an affine map close to the identity, jointly with gain
and offset) and then compared in that frequency band: as a whole, block by block, and in colour. Correlation of the raw
pixels is not enough: different people on dark backgrounds reach 0.98.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from faceaug.clean.alignment import LUMA, Affine, Grey, align, common_size, inside, luma_of, resized, warp
from faceaug.data.image import Image8, load_cv2

_FINE = 110  # the detail band: sigmas are the longer side divided by these
_COARSE = 22
_BLOCKS = 8
_NOISE = 3.0  # grey levels of compression noise tolerated in a block
_FRAMED = 0.02  # difference of scale below which two pictures show the same of a scene
_EMPTY = 1.1  # grey levels that compression alone adds to empty frequencies
_UNMOVED = 32  # pixels of the shorter side below which pictures are always aligned
_TINTED = 4.0  # standard deviation, grey levels, from which a picture counts as coloured


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
        parts: agreement of the worst part: 1 identical, 0.5 the most that a copy may differ; -1 if the pictures as a
            whole rule a copy out already. See ``faceaug.clean.parts``.
        cropped: 1 if the first shows only a part of the second, 2 the other way round, 0 otherwise.
        overlaid: 1 if something is laid over the first, 2 over the second, 0 otherwise.
        covers_face: 1 if that lies on a face, 0 otherwise.
        misread: 1 if the first was decoded without the ICC profile that its numbers mean, 2 the second, 0 otherwise.
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
    parts: float = -1.0
    cropped: int = 0
    overlaid: int = 0
    covers_face: int = 0
    misread: int = 0


def compare(one: Image8, other: Image8) -> PairEvidence:
    """Align two pictures and measure their similarity.

    Args:
        one: uint8 (height, width, 3), RGB.
        other: likewise, of any size.
    """
    return compare_aligned(one, other)[0]


def compare_aligned(one: Image8, other: Image8) -> tuple[PairEvidence, Affine]:
    """``compare``, and the map from the first to the second at ``common_size``."""
    first, second = _at_one_size(one, other)
    affine = align(luma_of(first), luma_of(second))
    return _evidence((one, other), first, warp(second, affine), affine), affine


def compare_unmoved(one: Image8, other: Image8, least: float) -> PairEvidence | None:
    """``compare`` without alignment, for pictures of one frame; None if their detail agrees to less than ``least``."""
    height, width = common_size(one, other)
    apart = one.shape[0] * other.shape[1] / (one.shape[1] * other.shape[0])
    if min(height, width) < _UNMOVED or abs(apart - 1) * max(height, width) > 1:
        return None
    evidence = _evidence((one, other), *_at_one_size(one, other), Affine(), least)
    return evidence if evidence.detail >= least else None


def _at_one_size(one: Image8, other: Image8) -> tuple[Grey, Grey]:
    height, width = common_size(one, other)
    first, second = (resized(image, width, height).astype(np.float32) for image in (one, other))
    return first, second


def _evidence(
    pair: tuple[Image8, Image8], first: Grey, second: Grey, affine: Affine, least: float = -1.0
) -> PairEvidence:
    """The similarity of two aligned pictures of one size; that of their detail alone if it is less than ``least``."""
    cv2 = load_cv2()
    height, width = first.shape[:2]
    rows, columns = inside(affine, height, width)
    first, second = first[rows, columns], second[rows, columns]
    a, b = luma_of(first), luma_of(second)
    if min(a.shape) < 2 * _BLOCKS:
        return PairEvidence(0, 0, 0, 0, 0, 0, 1, 1, 0)
    fine, coarse = max(height, width) / _FINE, max(height, width) / _COARSE
    da, db = (cv2.GaussianBlur(x, (0, 0), fine) - cv2.GaussianBlur(x, (0, 0), coarse) for x in (a, b))
    detail = _correlation(da, db)
    if detail < least:
        return PairEvidence(0, detail, 0, 0, 0, 0, 1, 1, 0)
    face, broad = _blocks(da, db)
    scale = math.sqrt(abs(affine.xx * affine.yy - affine.xy * affine.yx))
    return PairEvidence(
        correlation=_correlation(a, b),
        detail=detail,
        face_block=face,
        broad_block=broad,
        colour=_colour(first, second, 2 * fine),
        spread=float(min(da.std(), db.std())),
        gain=float(np.sqrt(a.var() / max(float(b.var()), 1e-6))),
        scale=scale,
        shift=math.hypot(affine.tx, affine.ty) / max(height, width),
        enlarged=_enlarged(*pair) if abs(scale - 1) < _FRAMED else 0,
    )


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
    grey = image.astype(np.float32) @ LUMA
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2 / (window**2).sum()
    rows, columns = np.abs(np.fft.fftfreq(height))[:, None] * 2, np.fft.rfftfreq(width)[None] * 2
    fine = np.maximum(rows / down, columns / across) > 1.2  # enlarging leaks a little beyond 1
    return float(np.sqrt(power[fine].mean())) if fine.any() else 0.0
