"""Finds faces that repeat another face: candidates by perceptual hash, verified as in cleaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceaug.clean.calibrate import STEPS, is_same_photo
from faceaug.clean.hashes import hash_words, small_grey
from faceaug.clean.verify import compare
from faceaug.data.image import Image8

RADIUS = 6  # bits of the 64-bit pHash
_PAIRS = 8  # nearest candidates compared; a blank face is close to thousands


def hash_faces(faces: NDArray[np.uint8] | Sequence[Image8]) -> NDArray[np.uint64]:
    """Perceptual hashes of pictures and their mirror images: uint8 (n, H, W, 3) -> uint64 (n, 2)."""
    if not len(faces):
        return np.empty((0, 2), np.uint64)
    small = [small_grey(Image.fromarray(face).convert("L"), 32) for face in faces]
    words: NDArray[np.uint64] = hash_words(np.stack(small))[..., 0]
    return words


class Known:
    """Faces that new ones must not repeat.

    Args:
        hashes: uint64 (n,), perceptual hashes.
        picture: returns face k, uint8 (H, W, 3), or None if it cannot be read.
    """

    def __init__(self, hashes: NDArray[np.uint64], picture: Callable[[int], Image8 | None]) -> None:
        self._hashes = hashes
        self._picture = picture

    def repeats(self, image: Image8, words: NDArray[np.uint64]) -> bool:
        """Whether a face or its mirror image repeats one of these faces.

        Args:
            image: uint8 (H, W, 3).
            words: uint64 (2,), its hashes, see ``hash_faces``.
        """
        for mirrored, word in enumerate(words):
            distance = np.bitwise_count(self._hashes ^ word)
            near = np.flatnonzero(distance <= RADIUS)
            near = near[np.argsort(distance[near], kind="stable")][:_PAIRS]
            turned = np.ascontiguousarray(image[:, ::-1]) if mirrored and len(near) else image
            for place in near.tolist():
                other = self._picture(place)
                if other is not None and is_same_photo(compare(turned, other), STEPS[0]):
                    return True
        return False
