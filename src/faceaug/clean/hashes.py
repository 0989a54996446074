"""Perceptual hashes, bit-identical to ``imagehash.phash`` of the same decoded picture.

A hash compares the lowest DCT coefficients of a small grey picture with their median. A picture has three: 64 and 256
bits of the whole, and 64 bits of its middle (without 4 % at each edge, where cropped or shifted copies differ less).
Each also exists for the mirrored picture, from the same coefficients with every second column negated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceaug.data.image import Image8

Words: TypeAlias = NDArray[np.uint64]
_EDGE = 0.04  # share of each side cut off for the middle
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
    words = np.atleast_1d(np.asarray(packed, np.uint64))
    side = {1: 8, 4: 16}[len(words)]
    return imagehash.ImageHash(np.unpackbits(words.astype(">u8").view(np.uint8)).astype(bool).reshape(side, side))


class Hashes(Mapping[str, imagehash.ImageHash]):
    """Name of a picture -> its 64-bit pHash. Subtract two hashes for their Hamming distance.

    Args:
        places: name -> row of the hashes.
        whole: uint64 (n,), 64 bits each.
        fine: uint64 (n, 4), 256 bits each.
    """

    def __init__(self, places: Mapping[str, int], whole: Words, fine: Words) -> None:
        self._places = places
        self._whole = whole
        self._fine = fine

    def __getitem__(self, name: str) -> imagehash.ImageHash:
        return hash_object(self._whole[self._places[name]])

    def fine(self, name: str) -> imagehash.ImageHash:
        """The 256-bit pHash of a picture; KeyError if the name is not that of a readable picture."""
        return hash_object(self._fine[self._places[name]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


NO_HASHES = Hashes({}, np.empty(0, np.uint64), np.empty((0, 4), np.uint64))


def small_grey(grey: Image.Image, side: int, edge: float = 0.0) -> NDArray[np.uint8]:
    """Scale a grey picture to ``side`` x ``side`` as imagehash does, with a share ``edge`` cut off at each side."""
    width, height = grey.size
    box = (width * edge, height * edge, width * (1 - edge), height * (1 - edge))
    return np.asarray(grey.resize((side, side), Image.Resampling.LANCZOS, box=box if edge else None))


def hash_words(small: NDArray[np.uint8]) -> Words:
    """The hashes of small grey pictures and of their mirror images.

    Args:
        small: uint8 (n, side, side), with a side four times that of the hash.

    Returns:
        uint64 (n, 2, 1) for a side of 32, (n, 2, 4) for 64; index 1 of axis 1 is the mirror image.
    """
    count = len(small)
    side = small.shape[1] // 4
    matrix = _cosines(4 * side)
    low = matrix @ small @ matrix.T
    values = np.stack([low, low * _signs(side)], axis=1).reshape(2 * count, side * side)
    half = side * side // 2
    middle = np.partition(values, [half - 1, half], axis=1)[:, half - 1 : half + 1]
    median = middle.mean(axis=1, keepdims=True)  # np.median takes ten times as long
    bits = values > median
    for row in np.flatnonzero(np.abs(values - median).min(axis=1) < _SURE):
        # Ties in flat or symmetric pictures depend on rounding, so imagehash decides them.
        picture = small[row // 2, :, :: -1 if row % 2 else 1]
        bits[row] = imagehash.phash(Image.fromarray(np.ascontiguousarray(picture)), hash_size=side).hash.ravel()
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).reshape(count, 2, -1)


def middle_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle of a 64 x 64 grey picture, scaled to 32 x 32: the input of the 64-bit hash of the middle."""
    return small_grey(Image.fromarray(pixels), 32, _EDGE)


@lru_cache(maxsize=2)
def _cosines(side: int) -> NDArray[np.float64]:
    """The first side/4 rows of the unnormalised DCT-II matrix (scipy.fftpack.dct, norm=None)."""
    k = np.arange(side // 4)[:, None]
    n = np.arange(side)
    return 2 * np.cos(np.pi * k * (2 * n + 1) / (2 * side))


@lru_cache(maxsize=2)
def _signs(side: int) -> NDArray[np.float64]:
    return np.where(np.arange(side) % 2, -1.0, 1.0)
