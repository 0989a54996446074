"""A first look at a picture: a thumbnail and three hashes of its luma, by one resampling.

The hashes are pHashes (the signs of the lowest DCT coefficients, about their median) of areas where ``imagehash`` takes
Lanczos: they cost a tenth, and find the same copies. Resampling and DCT are both linear, so one matrix does them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.hashes import Words, cosines
from faceaug.data.image import load_cv2

LEAST = 64  # pixels that the shorter side of the luma should keep
_SIDE = 32  # of thumbnails, pixels
_BITS = 8  # a side of the square of coefficients
_EDGE = 0.04  # share of each side cut off for the middle
_SURE = 1.0  # more than rounding adds to a coefficient, less than a thousandth of a grey level does
_FLIPPED = np.where(np.arange(_BITS * _BITS) % 2, -1, 1).astype(np.float32)  # coefficients of the mirror image


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """What is seen of a picture at first.

    Attributes:
        thumbnail: uint8 (32, 32), luma.
        words: uint64 (3,), hashes of the whole, of its mirror image, and of the middle, without 4 % at each edge, which
            differs less in cropped and shifted copies.
    """

    thumbnail: NDArray[np.uint8]
    words: Words


def glance_of(luma: NDArray[np.uint8]) -> Glance:
    """Look at a picture.

    Args:
        luma: uint8 (h, w).
    """
    if min(luma.shape) > LEAST:  # larger products of matrices would start threads, which cost more than they help
        luma = load_cv2().resize(luma, (LEAST, LEAST), interpolation=load_cv2().INTER_AREA)
    height, width = luma.shape
    down, across = _matrix(height), _matrix(width)
    rows = down @ luma.astype(np.float32)
    thumbnail = rows[:_SIDE] @ across[:_SIDE].T
    whole = (rows[_SIDE : _SIDE + _BITS] @ across[_SIDE : _SIDE + _BITS].T).ravel()
    middle = (rows[_SIDE + _BITS :] @ across[_SIDE + _BITS :].T).ravel()
    values = np.stack([whole, whole * _FLIPPED, middle])
    values[:, 0] = np.inf  # the mean is above all others in every picture
    half = _BITS * _BITS // 2
    median = np.partition(values, (half - 1, half), axis=1)[:, half - 1 : half + 1].mean(axis=1, keepdims=True)
    words = np.packbits(values > median + _SURE, axis=1).view(">u8")[:, 0].astype(np.uint64)
    return Glance(np.rint(thumbnail).astype(np.uint8), words)


@lru_cache(maxsize=256)
def _matrix(side: int) -> NDArray[np.float32]:
    """From pixels to those of the thumbnail, to coefficients of the whole, and to those of the middle: (48, side)."""
    whole = _areas(side, 0.0)
    parts = [whole, *(cosines(_SIDE) @ areas for areas in (whole, _areas(side, _EDGE)))]
    return np.concatenate(parts).astype(np.float32)


def _areas(side: int, edge: float) -> NDArray[np.float64]:
    """The means over the areas of thumbnail pixels, with a share ``edge`` cut off at each side."""
    edges = np.linspace(edge * side, side - edge * side, _SIDE + 1)
    pixels = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    means: NDArray[np.float64] = np.maximum(overlap, 0) / (edges[1] - edges[0])
    return means
