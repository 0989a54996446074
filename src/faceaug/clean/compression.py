"""How a JPEG was compressed, and the same done to another picture.

Compression adds noise of its own to each picture. A copy saved at quality 10 and its original, once it is saved at
quality 10 too, have the same noise: what differs then was not made by saving.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.signatures import jpeg_quantisation
from faceaug.data.image import Image8, decode, encode_jpeg

_SUBSAMPLINGS: dict[int, Literal[0, 1, 2]] = {0x11: 0, 0x21: 1, 0x22: 2}  # factors of the luma in the frame header
_FRAMES = (0xC0, 0xC1, 0xC2)  # markers of the usual frame headers


@dataclass(frozen=True, slots=True)
class Compression:
    """The settings of a JPEG.

    Attributes:
        quality: 1..100 of libjpeg with the same mean quantisation step; 101 for what is no JPEG.
        subsampling: see ``encode_jpeg``.
    """

    quality: int = 101
    subsampling: Literal[0, 1, 2] = 0

    def applied(self, image: Image8) -> Image8:
        """A picture after it was saved like this; the picture itself without a JPEG's settings."""
        if self.quality > 100:
            return image
        return decode(encode_jpeg(np.ascontiguousarray(image), quality=self.quality, subsampling=self.subsampling))


NOT_SAVED = Compression()


def compression_of(data: bytes) -> Compression:
    """The settings of a picture file."""
    step = jpeg_quantisation(data)
    if not step:
        return NOT_SAVED
    return Compression(1 + int(np.argmin(np.abs(_steps() - step))), _subsampling(data))


@lru_cache(maxsize=1)
def _steps() -> NDArray[np.float64]:
    """Mean quantisation step at quality 1..100."""
    blank = np.zeros((8, 8, 3), np.uint8)
    return np.array([jpeg_quantisation(encode_jpeg(blank, quality=quality)) for quality in range(1, 101)])


def _subsampling(data: bytes) -> Literal[0, 1, 2]:
    at = 2
    while at + 12 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] in _FRAMES:
            return _SUBSAMPLINGS.get(data[at + 11], 0)
        at += 2 + max(int.from_bytes(data[at + 2 : at + 4], "big"), 2)
    return 0
