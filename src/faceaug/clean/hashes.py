"""Perceptual hashes, bit-identical to ``imagehash.phash`` of the same decoded picture.

A hash compares the lowest DCT coefficients of a small grey picture with their median. Each also exists for the mirrored
picture, from the same coefficients with every second column negated. A search for duplicates has cheaper hashes of its
own (``glances``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceaug.data.image import Image8

if TYPE_CHECKING:
    import imagehash

Words: TypeAlias = NDArray[np.uint64]
_SURE = 1e-5  # coefficients this close to the median (values reach 4e6) are decided by imagehash's own arithmetic


def phash_words(image: Image8, size: int = 8) -> Words:
    """The bits of ``imagehash.phash(Image.fromarray(image), hash_size=size)``, packed.

    Args:
        image: uint8 (height, width, 3), RGB.
        size: 8 for 64 bits, 16 for 256.

    Returns:
        uint64 (1,) or (4,), most significant bit first.
    """
    words: Words = hash_words(small_grey(Image.fromarray(image).convert("L"), size * 4)[None])[0, 0]
    return words


def hash_object(packed: Words | np.uint64) -> imagehash.ImageHash:
    """An ``imagehash.ImageHash`` from packed bits: one 64-bit word, or four."""
    import imagehash  # and with it SciPy, which most runs do not need

    words = np.atleast_1d(np.asarray(packed, np.uint64))
    side = {1: 8, 4: 16}[len(words)]
    return imagehash.ImageHash(np.unpackbits(words.astype(">u8").view(np.uint8)).astype(bool).reshape(side, side))


def small_grey(grey: Image.Image, side: int) -> NDArray[np.uint8]:
    """Scale a grey picture to ``side`` x ``side`` as imagehash does."""
    return np.asarray(grey.resize((side, side), Image.Resampling.LANCZOS))


def hash_words(small: NDArray[np.uint8]) -> Words:
    """The hashes of small grey pictures and of their mirror images.

    Args:
        small: uint8 (n, side, side), with a side four times that of the hash.

    Returns:
        uint64 (n, 2, 1) for a side of 32, (n, 2, 4) for 64; index 1 of axis 1 is the mirror image.
    """
    count = len(small)
    side = small.shape[1] // 4
    matrix = cosines(4 * side)
    low = matrix @ small @ matrix.T
    values = np.stack([low, low * _signs(side)], axis=1).reshape(2 * count, side * side)
    half = side * side // 2
    middle = np.partition(values, [half - 1, half], axis=1)[:, half - 1 : half + 1]
    median = middle.mean(axis=1, keepdims=True)  # np.median takes ten times as long
    bits = values > median
    for row in np.flatnonzero(np.abs(values - median).min(axis=1) < _SURE):
        bits[row] = _decided(small[row // 2, :, :: -1 if row % 2 else 1], side)
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).reshape(count, 2, -1)


def _decided(picture: NDArray[np.uint8], side: int) -> NDArray[np.bool_]:
    """The bits of a flat or symmetric picture: ties depend on rounding, so imagehash decides them."""
    import imagehash

    bits: NDArray[np.bool_] = imagehash.phash(Image.fromarray(np.ascontiguousarray(picture)), hash_size=side).hash
    return bits.ravel()


@lru_cache(maxsize=2)
def cosines(side: int) -> NDArray[np.float64]:
    """The first side/4 rows of the unnormalised DCT-II matrix (scipy.fftpack.dct, norm=None)."""
    k = np.arange(side // 4)[:, None]
    n = np.arange(side)
    return 2 * np.cos(np.pi * k * (2 * n + 1) / (2 * side))


@lru_cache(maxsize=2)
def _signs(side: int) -> NDArray[np.float64]:
    return np.where(np.arange(side) % 2, -1.0, 1.0)
