"""Crop and resize face pictures. The aspect ratio is always kept.

A model records its training crop, so that real faces are cropped like the synthetic ones they are mixed with. CelebA's
aligned photos are 178 wide and 218 high with the eyes at fixed positions; its centre squares of 178 (the full width)
and 140 (tight around the face, as in Song et al. 2021, DDIM) are the two in common use.

As everywhere in faceaug, a size is (width, height), as in Pillow, and a shape (height, width, ...), as in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import Image8, load_cv2
from faceaug.errors import ArgumentError

Crop: TypeAlias = Literal["center178", "center140", "square", "none"]
Size: TypeAlias = tuple[int, int]  # width, height
CROPS: tuple[Crop, ...] = get_args(Crop)
_TIGHT = 140 / 178


@dataclass(frozen=True, slots=True)
class Placement:
    """Geometry of a crop: a part of the picture is cut out, resized, and placed on a frame.

    Attributes:
        box: (left, top, width, height) of the part, in pixels of the picture.
        fitted: (width, height) of the resized part.
        offset: (left, top) of the resized part in the frame.
        frame: (width, height) of the result.
        whole: (width, height) of the picture.
    """

    box: tuple[int, int, int, int]
    fitted: Size
    offset: Size
    frame: Size
    whole: Size

    @property
    def cropped(self) -> bool:
        """Whether some of the picture is cut off."""
        return self.box[2:] != self.whole

    @property
    def padded(self) -> bool:
        """Whether the picture does not fill the frame."""
        return self.fitted != self.frame

    @property
    def reduced(self) -> bool:
        """Whether the part is downscaled."""
        return self.fitted[0] < self.box[2] or self.fitted[1] < self.box[3]

    @property
    def enlarged(self) -> bool:
        """Whether the part is upscaled."""
        return self.fitted[0] > self.box[2] or self.fitted[1] > self.box[3]


def words_of(size: Size) -> str:
    """A size as text, width x height: 178x218."""
    return f"{size[0]}x{size[1]}"


def crop_box(crop: Crop, width: int, height: int) -> tuple[int, int, int, int]:
    """The part of a width x height picture that a crop keeps: (left, top, width, height) in pixels.

    ``center178`` and ``square`` keep the centre square of the shorter side; ``center140`` keeps the centre square of
    140/178 of that side, so that it also works for faces already cropped to 178; ``none`` keeps everything.
    """
    if crop not in CROPS:
        raise ArgumentError(f"crop {crop!r}: expected one of {', '.join(CROPS)}")
    if crop == "none":
        return 0, 0, width, height
    side = min(width, height)
    if crop == "center140":
        side = max(1, round(side * _TIGHT))
    return (width - side) // 2, (height - side) // 2, side, side


@lru_cache(maxsize=1024)
def place(crop: Crop, whole: Size, frame: Size | None) -> Placement:
    """Compute the geometry of a crop.

    Args:
        crop: see ``crop_box``.
        whole: (width, height) of the picture, pixels.
        frame: (width, height) of the result; None for the size of the cropped part. A part of another aspect ratio is
            scaled to fit and centred.
    """
    box = crop_box(crop, *whole)
    part = box[2:]
    if frame is None:
        return Placement(box, part, (0, 0), part, whole)
    if min(frame) < 1:
        raise ArgumentError(f"size {words_of(frame)}: expected at least 1x1 pixel")
    scale = min(frame[0] / part[0], frame[1] / part[1])
    # Rounded to whole pixels, so that a fraction of a pixel makes no edge.
    fitted = tuple(min(most, max(1, round(side * scale))) for side, most in zip(part, frame, strict=True))
    left, top = (frame[0] - fitted[0]) // 2, (frame[1] - fitted[1]) // 2
    return Placement(box, (fitted[0], fitted[1]), (left, top), frame, whole)


def crop_face(image: Image8, crop: Crop, size: Size | None) -> Image8:
    """Crop and resize one picture. The aspect ratio is kept; the rest of the frame is black.

    Args:
        image: uint8 (height, width, 3).
        crop: see ``crop_box``.
        size: (width, height) of the result, pixels; None for the size of the cropped part. Downscaling averages areas
            to avoid aliasing; upscaling is cubic.

    Returns:
        uint8 (size[1], size[0], 3), contiguous.
    """
    where = place(crop, (image.shape[1], image.shape[0]), size)
    left, top, width, height = where.box
    part = image[top : top + height, left : left + width]
    part = np.ascontiguousarray(part) if where.fitted == (width, height) else _resized(part, where.fitted)
    if not where.padded:
        return part
    result = np.zeros((where.frame[1], where.frame[0], 3), np.uint8)
    left, top = where.offset
    result[top : top + where.fitted[1], left : left + where.fitted[0]] = part
    return result


def _resized(image: Image8, size: Size) -> Image8:
    """Resize to (width, height), one method per axis, so that a shrinking axis never aliases while the other grows."""
    cv2 = load_cv2()
    whole = (image.shape[1], image.shape[0])
    least = (min(size[0], whole[0]), min(size[1], whole[1]))
    if least != whole:
        image = cv2.resize(image, least, interpolation=cv2.INTER_AREA)
    if least != size:
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    return image


def crop_points(
    points: NDArray[np.float32], crop: Crop, size: Size | None, *, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Transform points like the picture in ``crop_face``.

    Args:
        points: float32 (n, 2), x and y, pixel index (the centre of the first pixel is 0, 0).
        crop: see ``crop_box``.
        size: see ``crop_face``.
        shape: shape of the original picture, (height, width, ...).

    Returns:
        float32 (n, 2) in the cropped picture; NaN stays NaN.
    """
    where = place(crop, (shape[1], shape[0]), size)
    left, top, width, height = where.box
    scale = np.array([where.fitted[0] / width, where.fitted[1] / height], np.float32)
    moved = (points - np.array([left, top], np.float32) + 0.5) * scale - 0.5
    return (moved + np.array(where.offset, np.float32)).astype(np.float32)


def in_frame(points: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether each point is known and inside the picture: float32 (n, 2) and (height, width, ...) -> bool (n,)."""
    inside: NDArray[np.bool_] = np.all((points >= -0.5) & (points <= np.array([shape[1], shape[0]]) - 0.5), axis=1)
    return inside  # NaN compares false
