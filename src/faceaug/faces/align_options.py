"""What may be chosen when a folder of photos is aligned, and what finds the faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from faceaug.data.crop import Size, words_of
from faceaug.data.image import Image8
from faceaug.errors import ArgumentError
from faceaug.faces.templates import Template, template_size
from faceaug.faces.warp import PADDINGS, Padding

Which: TypeAlias = Literal["largest", "all", "center"]
FileFormat: TypeAlias = Literal["png", "jpg"]
WHICH: tuple[Which, ...] = get_args(Which)
FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
_PADDING: dict[Template, Padding] = {"ffhq": "blur"}  # as published; the others repeat the outermost pixels


class FoundFace(Protocol):
    """A face as ``faceaug.faces.Face`` describes it."""

    @property
    def box(self) -> Any:
        """x0, y0, x1, y1 in the photo, pixels."""

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """float32 (5, 2), pixel indices."""

    @property
    def score(self) -> float:
        """How sure the finder is, 0..1."""

    @property
    def roll(self) -> float:
        """Turn in the plane of the picture, degrees."""

    @property
    def eye_distance(self) -> float:
        """Distance of the eyes, pixels."""


class Finder(Protocol):
    """Finds faces. It must be picklable where several processes work."""

    def find(self, image: Image8, /) -> Sequence[FoundFace]:
        """The faces of a picture, uint8 (height, width, 3), RGB; the largest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignOptions:
    """How faces are aligned; see ``faceaug.align_folder`` for the meaning of each.

    Attributes:
        template: name of the template.
        size: (width, height) of the aligned pictures; an int is a side; None for the template's own.
        faces: which faces of a photo: "largest", "all" or "center".
        padding: what lies outside the photo; None for the template's own: "blur" for ffhq, else "replicate".
        min_eyes: least distance of the eyes in the photo, pixels.
        format: "png" or "jpg".

    Example:
        >>> from faceaug.faces import AlignOptions
        >>> options = AlignOptions(template="ffhq", size=256)
        >>> options.frame, options.border
        ((256, 256), 'blur')
    """

    template: Template = "celeba"
    size: int | Size | None = None
    faces: Which = "largest"
    padding: Padding | None = None
    min_eyes: float = 10.0
    format: FileFormat = "png"

    def __post_init__(self) -> None:
        own = template_size(self.template)
        for name, value, known in (
            ("faces", self.faces, WHICH),
            ("padding", self.padding or PADDINGS[0], PADDINGS),
            ("format", self.format, FORMATS),
        ):
            if value not in known:
                raise ArgumentError(f"{name} {value!r}: expected one of {', '.join(known)}")
        if not self.min_eyes >= 0:
            raise ArgumentError(f"min_eyes {self.min_eyes!r}: expected a number of pixels, 0 or more")
        if not all(isinstance(side, int) and 8 <= side <= 8192 for side in _pair(self.size, own)):
            raise ArgumentError(f"size {self.size!r}: expected a side from 8 to 8192 pixels, or (width, height)")

    @property
    def frame(self) -> Size:
        """(width, height) of the aligned pictures."""
        return _pair(self.size, template_size(self.template))

    @property
    def border(self) -> Padding:
        """What lies outside the photo."""
        return self.padding or _PADDING.get(self.template, "replicate")

    def to_json(self) -> dict[str, Any]:
        """The options as plain values."""
        return {
            "template": self.template,
            "size": words_of(self.frame),
            "faces": self.faces,
            "padding": self.border,
            "min_eyes": self.min_eyes,
            "format": self.format,
        }


def _pair(size: Any, own: Size) -> Size:
    if size is None:
        return own
    return (size[0], size[1]) if isinstance(size, tuple | list) and len(size) == 2 else (size, size)
