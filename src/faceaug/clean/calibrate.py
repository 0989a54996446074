"""How much likeness is enough on the pictures at hand.

What chance can do is read from decoys: pairs of a picture and the mirror image of another that pass the same search.
Faces are nearly symmetric, so such pairs are as alike as two different photos are, and (true mirror images aside, which
are left out) never the same photo. The tail of their correlations, on Fisher's scale, says how many of the real
candidates would pass a threshold by chance. What copies look like is read from copies made here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.verify import PairEvidence, compare
from faceaug.data.image import Image8, decode, encode_jpeg, load_cv2

STEPS = (0.93, 0.94, 0.95, 0.96, 0.97, 0.98)  # of the correlation of detail; never below the first
FACE_BLOCK, BROAD_BLOCK, COLOUR = 0.6, 0.5, 0.6
BURST = 0.84  # correlation of detail from which a pair that is no copy is told of
_SPREAD = 2.5  # grey levels of detail below which there is nothing to compare
_CLEAR = 0.75  # correlation below which a pair is of different photos, as seen on CelebA
_CENSORED = 0.90  # above it a decoy may be another moment of a mirrored session: it counts as just that high
_RATE = 9.0  # of the exponential tail on Fisher's scale, as measured on CelebA; where there are too few decoys
_ENOUGH = 40  # decoys from which their own tail is used


def is_same_photo(evidence: PairEvidence, detail: float) -> bool:
    """Whether a pair is one photo, given the threshold of detail; the blocks and the colour must agree too."""
    return (
        evidence.detail >= detail
        and evidence.face_block >= FACE_BLOCK
        and evidence.broad_block >= BROAD_BLOCK
        and evidence.colour >= COLOUR
        and evidence.spread >= _SPREAD
    )


def choose_threshold(
    pairs: Sequence[PairEvidence], decoys: Sequence[PairEvidence], *, at_least: float = STEPS[0], target: float = 1.0
) -> tuple[float, float]:
    """The lowest threshold of detail with few enough false pairs.

    Args:
        pairs: the candidates.
        decoys: mirrored pairs that passed the same search.
        at_least: a threshold used before on this folder: a second run must not set aside more.
        target: number of false pairs that is acceptable.

    Returns:
        The threshold, and the number of false pairs expected above it.
    """
    strangers = [decoy for decoy in decoys if not is_same_photo(decoy, STEPS[0])]  # the others are true mirror images
    real, null = (np.array([e.detail for e in group]) for group in (pairs, strangers))
    expected = 0.0
    for step in STEPS:
        expected = _expected(real, null, step)
        if expected <= target and step >= at_least:
            return step, expected
    return STEPS[-1], expected


def copies_of(image: Image8) -> list[Image8]:
    """Copies as people make them: recompressed, shrunk, cropped, blurred, brightened."""
    cv2 = load_cv2()
    height, width = image.shape[:2]
    dy, dx = max(1, height // 40), max(1, width // 40)
    lighter = (255 * (np.arange(256) / 255) ** 0.8).round().astype(np.uint8)
    half = cv2.resize(image, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(image, (0, 0), max(height, width) / 145)
    return [decode(encode_jpeg(image, quality=40)), half, image[dy:-dy, dx:-dx], blurred, lighter[image]]


def judge_copies(image: Image8) -> list[PairEvidence]:
    """How a picture compares with copies of itself."""
    return [compare(image, copy) for copy in copies_of(image)]


def _expected(real: NDArray[np.float64], null: NDArray[np.float64], step: float) -> float:
    """Expected number of pairs of different photos at or above a threshold."""
    different = int((real < _CLEAR).sum())
    if len(null) < _ENOUGH:
        start, share, rate = _height(_CLEAR), 0.02, _RATE
    else:
        heights = _fisher(np.minimum(null, _CENSORED))
        start = float(np.quantile(heights, 0.8))
        above = heights[heights > start] - start
        share, rate = len(above) / len(null), (len(above) + 1) / (float(above.sum()) + 1 / _RATE)
    return max(different, 1) * share * float(np.exp(-rate * max(0.0, _height(step) - start)))


def _fisher(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.arctanh(np.clip(correlation, -0.999, 0.999), dtype=np.float64)


def _height(correlation: float) -> float:
    return float(_fisher(np.array([correlation]))[0])
