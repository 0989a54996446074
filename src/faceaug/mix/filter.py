"""Which generated faces are good enough to train on: no blanks, no repeats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FLAT = 12.0  # grey levels; over 27,097 real faces at 32 pixels the least standard deviation is well above
_SAME = 3.0  # grey levels, root mean square over an 8x8 thumbnail: closer than two different faces come
_THUMB = 8


class FaceFilter:
    """Looks at faces in order and accepts those that are neither flat nor a repeat of an accepted one.

    A generator that has collapsed makes the same face again and again, or none; both add rows without adding
    information. A rejected face is replaced by the next of the stream, so the counts stay as asked.
    """

    def __init__(self) -> None:
        self._seen: dict[int, list[NDArray[np.float32]]] = {}
        self.rejected: dict[str, int] = {"flat": 0, "repeat": 0}

    def accepts(self, face: NDArray[np.uint8]) -> bool:
        """Whether to keep a face, uint8 (3, H, W); counts it if not."""
        reason = self._reason(face)
        if reason:
            self.rejected[reason] += 1
        return not reason

    def _reason(self, face: NDArray[np.uint8]) -> str:
        grey = face.mean(axis=0, dtype=np.float32)
        if float(grey.std()) < _FLAT:
            return "flat"
        thumb = _thumbnail(grey)
        bits = int.from_bytes(np.packbits(thumb > np.median(thumb)).tobytes(), "big")
        neighbours = self._seen.setdefault(bits, [])
        if any(float(np.sqrt(np.mean((thumb - other) ** 2))) < _SAME for other in neighbours):
            return "repeat"
        neighbours.append(thumb)
        return ""


def _thumbnail(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Area means on an 8x8 grid: float32 (8, 8)."""
    rows = np.array_split(grey, _THUMB, axis=0)
    cells = [[cell.mean() for cell in np.array_split(row, _THUMB, axis=1)] for row in rows]
    return np.array(cells, np.float32)
