"""Photos with generated faces at known places."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceaug import SyntheticFaceSource
from faceaug.data.image import Image8
from faceaug.draws import stream

# Where a face of faces-64 has eyes, nose and corners of the mouth, to about a sixth of the eye distance: the means of
# CelebA's table, cut and sized like it.
USUAL = (np.array([[69.5, 111.2], [107.7, 111], [88.2, 135.4], [71.3, 152.2], [105.3, 152.2]]) - [0, 20] + 0.5) * (
    64 / 178
) - 0.5


@cache
def faces() -> NDArray[np.uint8]:
    """Eight generated faces, uint8 (8, 64, 64, 3)."""
    made: NDArray[np.uint8] = SyntheticFaceSource("faces-64", seed=3).generate(8).permute(0, 2, 3, 1).numpy()
    return made


def background(width: int, height: int, *, seed: int = 0) -> Image8:
    """Soft colours without a face."""
    coarse = stream(seed, slot="tests/background").integers(70, 190, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def paste(photo: Image8, x: int, y: int, *, face: int = 0, side: int = 64) -> NDArray[np.float64]:
    """Put a face into a photo, its corner at (x, y); its usual landmarks there."""
    photo[y : y + side, x : x + side] = cv2.resize(faces()[face], (side, side), interpolation=cv2.INTER_CUBIC)
    return (USUAL + 0.5) * (side / 64) - 0.5 + [x, y]
