"""Sources of real pictures that can be sent to other processes; nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from faceaug.data.crop import Crop, crop_face
from faceaug.data.image import WHITE, Colour, Image8, read_image
from faceaug.errors import ImageError
from faceaug.mix.likeness import hash_faces


class Pictures(Protocol):
    """A source of real pictures."""

    def read(self, row: int, /) -> Image8:
        """Read picture ``row``; ImageError if that fails."""

    def name(self, row: int, /) -> str:
        """Name of picture ``row``."""


@dataclass(frozen=True, slots=True)
class Named:
    """Pictures of a folder by row."""

    root: str
    names: dict[int, str]
    ground: Colour = WHITE

    def read(self, row: int) -> Image8:
        """See ``Pictures``."""
        return read_image(Path(self.root) / self.names[row], ground=self.ground)

    def name(self, row: int) -> str:
        """See ``Pictures``."""
        return self.names[row]


def small_picture(pictures: Pictures, row: int, crop: Crop, side: int) -> Image8 | None:
    """Read, crop and resize a picture: uint8 (side, side, 3), or None if it cannot be read."""
    try:
        return crop_face(pictures.read(row), crop, (side, side))
    except ImageError:
        return None


def hash_some(task: tuple[Pictures, list[int], Crop, int]) -> dict[int, int]:
    """Perceptual hashes of pictures by row; unreadable pictures are skipped."""
    pictures, rows, crop, side = task
    small = {row: image for row in rows if (image := small_picture(pictures, row, crop, side)) is not None}
    if not small:
        return {}
    words = hash_faces(list(small.values()))[:, 0]
    return dict(zip(small, words.tolist(), strict=True))
