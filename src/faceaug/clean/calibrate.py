"""Choose the similarity threshold for one folder.

The false positive rate is estimated from decoys: pairs of a picture and the mirror image of another that pass the same
search. Faces are nearly symmetric, so decoys are as similar as two different photos and (after true mirror images are
excluded) never the same photo. The tail of their correlations, after Fisher's z-transformation, gives the number of
candidates expected to pass a threshold by chance. The recall is estimated from copies made here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.verify import PairEvidence, compare
from faceaug.data.image import Image8, decode, encode_jpeg, load_cv2

STEPS = (0.93, 0.94, 0.95, 0.96, 0.97, 0.98)  # candidate thresholds of ``detail``
FACE_BLOCK = 0.6
BROAD_BLOCK = 0.5
COLOUR = 0.6
PARTS = 0.5
_LEAST = 16  # pixels of the shorter side of a picture of which copies are made
LOOSE = 0.0  # ``parts`` of two copies of a third picture: each has noise of its own
CERTAIN = 0.95  # ``parts`` of pictures that are the same to the bit once they are saved alike
BURST = 0.84  # ``detail`` from which a pair that is no copy is reported
_SPREAD = 2.5  # grey levels of detail; below, there is nothing to compare
_CLEAR = 0.75  # ``detail`` below which a pair shows different photos, measured on CelebA
_CENSORED = 0.90  # decoys above this may come from one (mirrored) session; they are clipped to it
_RATE = 9.0  # rate of the exponential tail in Fisher z, measured on CelebA; used with too few decoys
_ENOUGH = 40  # decoys needed to estimate the tail from them


def is_copy(evidence: PairEvidence, detail: float) -> bool:
    """Whether one picture is a copy of the other: they show one photo and agree in every part.

    What is laid over one of them (``PairEvidence.overlaid``) is no such part. Coarse compression takes detail from a
    copy; but then the other picture, saved as coarsely, is the same.
    """
    as_coarse = evidence.detail >= BURST and evidence.parts >= CERTAIN and evidence.spread >= _SPREAD
    return as_coarse or (is_same_photo(evidence, detail) and evidence.parts >= PARTS)


def is_same_photo(evidence: PairEvidence, detail: float = STEPS[0]) -> bool:
    """Whether a pair shows one photo as a whole: ``detail`` reaches the threshold, and blocks and colour agree too."""
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
    """Choose the lowest threshold of ``detail`` with an acceptable number of false positives.

    Args:
        pairs: the candidates.
        decoys: mirrored pairs that passed the same search.
        at_least: threshold of an earlier run on this folder; a second run must not set aside more.
        target: acceptable number of false positives.

    Returns:
        The threshold, and the expected number of false positives above it.
    """
    strangers = [decoy for decoy in decoys if not is_same_photo(decoy)]  # without true mirror images
    real, null = (np.array([e.detail for e in group]) for group in (pairs, strangers))
    expected = 0.0
    for step in STEPS:
        expected = _expected(real, null, step)
        if expected <= target and step >= at_least:
            return step, expected
    return STEPS[-1], expected


def copies_of(image: Image8) -> list[Image8]:
    """Typical copies of a picture: recompressed, downscaled, cropped, blurred, brightened."""
    cv2 = load_cv2()
    height, width = image.shape[:2]
    dy, dx = max(1, height // 40), max(1, width // 40)
    lighter = (255 * (np.arange(256) / 255) ** 0.8).round().astype(np.uint8)
    half = cv2.resize(image, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(image, (0, 0), max(height, width) / 145)
    return [decode(encode_jpeg(image, quality=40)), half, image[dy:-dy, dx:-dx], blurred, lighter[image]]


def judge_copies(image: Image8) -> list[PairEvidence]:
    """Compare a picture with copies of itself; with none if it is too small to be cropped and compared."""
    if min(image.shape[:2]) < _LEAST:
        return []
    return [compare(image, copy) for copy in copies_of(image)]


def _expected(real: NDArray[np.float64], null: NDArray[np.float64], step: float) -> float:
    """Expected number of pairs of different photos at or above a threshold."""
    different = int((real < _CLEAR).sum())
    if len(null) < _ENOUGH:
        start = _fisher_of(_CLEAR)
        share = 0.02
        rate = _RATE
    else:
        heights = _fisher(np.minimum(null, _CENSORED))
        start = float(np.quantile(heights, 0.8))
        above = heights[heights > start] - start
        share = len(above) / len(null)
        rate = (len(above) + 1) / (float(above.sum()) + 1 / _RATE)
    return max(different, 1) * share * float(np.exp(-rate * max(0.0, _fisher_of(step) - start)))


def _fisher(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.arctanh(np.clip(correlation, -0.999, 0.999), dtype=np.float64)


def _fisher_of(correlation: float) -> float:
    return float(_fisher(np.array([correlation]))[0])
