"""The synthetic faces of a dataset: made once, in order, into a file that all workers map into memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.errors import FaceAugError
from faceaug.files import check_free_space, explained, remove_output
from faceaug.mix.filter import FaceFilter
from faceaug.synthesize.source import BLOCK, SyntheticFaceSource

_PATIENCE = 20  # faces looked at per face wanted before the model is called collapsed


class SyntheticFaces:
    """n uint8 faces (3, H, W) on disk, opened by every process that needs them.

    The file lies in the system's temporary folder and goes when this object goes, in the process that made it.

    Args:
        source: the generator.
        n: how many.
        filtered: leave out blanks and repeats, taking later faces of the stream instead.

    Attributes:
        keys: number of each face in the source's stream, int64 (n,).
        rejected: how many the filter left out, by reason.
    """

    def __init__(self, source: SyntheticFaceSource, n: int, *, filtered: bool) -> None:
        size = source.config.size
        self._shape = (n, 3, size, size)
        folder = Path(tempfile.mkdtemp(prefix="faceaug-"))
        self._remove = weakref.finalize(self, _remove_in, os.getpid(), folder)
        self._path = folder / "faces.u8"
        self._faces: NDArray[np.uint8] | None = None
        check_free_space(folder, n * 3 * size * size)
        self.keys, self.rejected = self._fill(source, filtered=filtered)

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, k: int) -> NDArray[np.uint8]:
        """Face k, uint8 (3, H, W), a copy."""
        if self._faces is None:
            self._faces = np.memmap(self._path, np.uint8, "r", shape=self._shape)
        return np.array(self._faces[k])

    def __getstate__(self) -> dict[str, Any]:
        # A memory map would be sent to workers by value; they open the file instead, and never remove it.
        return {k: v for k, v in self.__dict__.items() if k != "_remove"} | {"_faces": None}

    def _fill(self, source: SyntheticFaceSource, *, filtered: bool) -> tuple[NDArray[np.int64], dict[str, int]]:
        keys: list[int] = []
        sieve = FaceFilter()
        # Written, not mapped: on a full disk a write is an error that can be explained, a map kills the process.
        with explained(self._path.parent), self._path.open("wb") as handle:
            for key, face in _endless(source):
                if not filtered or sieve.accepts(face):
                    handle.write(face.tobytes())
                    keys.append(key)
                    if len(keys) == len(self):
                        break
                elif key > _PATIENCE * (len(self) + BLOCK):
                    raise FaceAugError(
                        f"model {source.config.name}: only {len(keys)} of {key} faces are usable ({sieve.rejected}); "
                        "it has collapsed, choose another model or filter=False"
                    )
        return np.array(keys, np.int64), sieve.rejected


def _remove_in(process: int, folder: Path) -> None:
    """Remove the faces, unless this is a fork of the process that made them."""
    if os.getpid() == process:
        remove_output(folder)


def _endless(source: SyntheticFaceSource) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    start = 0
    while True:
        for offset, face in enumerate(source.generate(BLOCK, start=start).numpy()):
            yield start + offset, face
        start += BLOCK
