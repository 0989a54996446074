"""Real faces as one array, cut and sized once, and the order in which they are shown."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from faceaug.crop import Crop, crop_face
from faceaug.draws import permutation
from faceaug.errors import ImageError, RefusedError
from faceaug.folder import FaceFolder

_CHUNK = 1024  # files in flight: bounds the decoded pictures in memory


def load_faces(
    folder: FaceFolder, *, crop: Crop, size: int, rows: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], list[str]]:
    """Decode, cut and size pictures.

    Args:
        folder: where they lie.
        crop: which part is used.
        size: height and width of the result, pixels.
        rows: which pictures, in this order.

    Returns:
        (faces, problems): uint8 (n, 3, size, size) of the readable ones, and a line for each that is not.

    Raises:
        RefusedError: none is readable.
    """
    faces = np.empty((len(rows), 3, size, size), np.uint8)
    problems: list[str] = []

    def face(row: int) -> NDArray[np.uint8] | str:
        try:
            return crop_face(folder.read(row), crop, (size, size)).transpose(2, 0, 1)
        except ImageError as error:
            return str(error)

    count = 0
    with ThreadPoolExecutor(2) as pool:  # OpenCV decodes outside the interpreter lock
        for start in range(0, len(rows), _CHUNK):
            for result in pool.map(face, rows[start : start + _CHUNK].tolist()):
                if isinstance(result, str):
                    problems.append(result)
                else:
                    faces[count] = result
                    count += 1
    if not count:
        raise RefusedError(f"{folder.root}: none of its {len(rows)} pictures can be read ({problems[0]})")
    return faces[:count], problems


def fingerprint(faces: NDArray[np.uint8]) -> str:
    """SHA-256 of the faces: a resumed run must see the same ones."""
    return hashlib.sha256(np.ascontiguousarray(faces).data).hexdigest()


class ShowingOrder:
    """Which face is shown when: every epoch a new permutation that depends on (seed, epoch) only."""

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._seed = n, seed
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __call__(self, start: int, count: int) -> NDArray[np.int64]:
        """Indices of the faces shown from position ``start`` on, int64 (count,); batches run across epochs."""
        return np.array([self._at(position) for position in range(start, start + count)], np.int64)

    def _at(self, position: int) -> int:
        epoch, offset = divmod(position, self._n)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, permutation(self._n, self._seed, epoch=epoch, slot="train/order")
        return int(self._order[offset])
