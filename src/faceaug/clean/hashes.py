"""Perceptual hashes, equal bit for bit to ``imagehash.phash`` of the same decoded picture.

A hash is the signs of the lowest DCT coefficients of a small grey picture, against their median. Of one picture four
are kept: 64 and 256 bits of the whole, 64 bits of its middle (without 4 % at each edge: a copy that was cropped or
shifted is closer there), and for each the hash of the mirrored picture, which comes from the same coefficients with
every second column negated.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceaug.image import Image8

Bits: TypeAlias = NDArray[np.bool_]  # (8, 8) or (16, 16)
_EDGE = 0.04  # share of each side left out of the middle
_SURE = 1e-5  # a coefficient this close to the median (of values up to 4e6) is decided by imagehash's own arithmetic


def phash_bits(image: Image8, size: int = 8) -> Bits:
    """The bits of ``imagehash.phash(Image.fromarray(image), hash_size=size)``.

    Args:
        image: uint8 (height, width, 3), RGB.
        size: 8 for 64 bits, 16 for 256.
    """
    return small_hash(small_grey(Image.fromarray(image).convert("L"), size * 4))


def hash_object(packed: NDArray[np.uint64] | np.uint64) -> imagehash.ImageHash:
    """An ``imagehash.ImageHash`` from packed bits: one 64-bit word, or four."""
    words = np.atleast_1d(np.asarray(packed, np.uint64))
    side = {1: 8, 4: 16}[len(words)]
    return imagehash.ImageHash(np.unpackbits(words.astype(">u8").view(np.uint8)).astype(bool).reshape(side, side))


def pack(bits: Bits) -> NDArray[np.uint64]:
    """Bits as 64-bit words, the first bit the highest: uint64 (1,) or (4,)."""
    return np.packbits(bits.ravel()).view(">u8").astype(np.uint64)


def small_grey(grey: Image.Image, side: int, edge: float = 0.0) -> NDArray[np.uint8]:
    """A grey picture scaled to ``side`` x ``side`` as imagehash does, without ``edge`` of it at each side."""
    width, height = grey.size
    box = (width * edge, height * edge, width * (1 - edge), height * (1 - edge))
    return np.asarray(grey.resize((side, side), Image.Resampling.LANCZOS, box=box if edge else None))


def small_hash(pixels: NDArray[np.uint8], *, mirrored: bool = False) -> Bits:
    """The hash of a small grey picture whose side is four times that of the hash."""
    return hash_pair(pixels)[int(mirrored)]


def hash_pair(pixels: NDArray[np.uint8]) -> tuple[Bits, Bits]:
    """The hash of a small grey picture and that of its mirror image."""
    side = len(pixels)
    matrix = _cosines(side)
    low = matrix @ pixels @ matrix.T
    mirrored = low * _signs(side // 4)
    return _above_median(low, pixels), _above_median(mirrored, pixels[:, ::-1])


def middle_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle of a 64 x 64 grey picture, 32 x 32: what the 64-bit hash of the middle is made of."""
    return small_grey(Image.fromarray(pixels), 32, _EDGE)


def _above_median(low: NDArray[np.float64], pixels: NDArray[np.uint8]) -> Bits:
    flat = np.partition(low.ravel(), [low.size // 2 - 1, low.size // 2])
    median = (flat[low.size // 2 - 1] + flat[low.size // 2]) / 2  # np.median takes ten times as long
    if np.abs(low - median).min() < _SURE:  # ties, in flat or symmetric pictures: rounding decides, so round alike
        bits: Bits = imagehash.phash(Image.fromarray(np.ascontiguousarray(pixels)), hash_size=len(low)).hash
        return bits
    found: Bits = low > median
    return found


@lru_cache(maxsize=2)
def _cosines(side: int) -> NDArray[np.float64]:
    """The first side/4 rows of the unnormalised DCT-II matrix (scipy.fftpack.dct, norm=None)."""
    k, n = np.arange(side // 4)[:, None], np.arange(side)
    return 2 * np.cos(np.pi * k * (2 * n + 1) / (2 * side))


@lru_cache(maxsize=2)
def _signs(side: int) -> NDArray[np.float64]:
    return np.where(np.arange(side) % 2, -1.0, 1.0)
