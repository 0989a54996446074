"""Which part of a face picture is used, and at which size.

A model remembers the crop it was trained with, so that real faces beside its synthetic ones are cut the same way.
CelebA's aligned photos are 178 wide and 218 high with the eyes at fixed places; its centre squares of 178 (all of
the width) and 140 (tight around the face, as in Song et al. 2021, DDIM) are the two in common use.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from faceaug.errors import ArgumentError
from faceaug.data.image import Image8, load_cv2

Crop: TypeAlias = Literal["center178", "center140", "square", "none"]
CROPS: tuple[Crop, ...] = get_args(Crop)
_TIGHT = 140 / 178


def crop_box(crop: Crop, width: int, height: int) -> tuple[int, int, int, int]:
    """The part of a width x height picture that a crop keeps: (left, top, width, height) in pixels.

    ``center178`` and ``square`` keep the centre square over the shorter side, ``center140`` the centre square of
    140/178 of it (so that faces already cut to the 178 square are cut alike), ``none`` everything.
    """
    if crop not in CROPS:
        raise ArgumentError(f"crop {crop!r}: expected one of {', '.join(CROPS)}")
    if crop == "none":
        return 0, 0, width, height
    side = min(width, height)
    if crop == "center140":
        side = max(1, round(side * _TIGHT))
    return (width - side) // 2, (height - side) // 2, side, side


def crop_face(image: Image8, crop: Crop, size: tuple[int, int]) -> Image8:
    """Cut and resize one picture.

    Args:
        image: uint8 (height, width, 3).
        crop: see ``crop_box``.
        size: (height, width) of the result, pixels. Shrinking averages areas, so nothing aliases; enlarging is cubic;
            each axis goes its own way.

    Returns:
        uint8 (*size, 3), contiguous.
    """
    left, top, width, height = crop_box(crop, image.shape[1], image.shape[0])
    part = image[top : top + height, left : left + width]
    if (height, width) == size:
        return np.ascontiguousarray(part)
    if min(size) < 1:
        raise ArgumentError(f"size {size}: expected at least 1x1 pixel")
    cv2 = load_cv2()
    least = (min(size[1], width), min(size[0], height))
    if least != (width, height):
        part = cv2.resize(part, least, interpolation=cv2.INTER_AREA)
    if least != (size[1], size[0]):
        part = cv2.resize(part, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return part


def crop_points(
    points: NDArray[np.float32], crop: Crop, size: tuple[int, int], *, image_size: tuple[int, int]
) -> NDArray[np.float32]:
    """Move points with the picture that ``crop_face`` cuts.

    Args:
        points: float32 (n, 2), x and y, pixel index (the centre of the first pixel is 0, 0).
        crop: see ``crop_box``.
        size: (height, width) of the result.
        image_size: (height, width) of the picture before.

    Returns:
        float32 (n, 2) in the resized picture; NaN stays NaN.
    """
    left, top, width, height = crop_box(crop, image_size[1], image_size[0])
    scale = np.array([size[1] / width, size[0] / height], np.float32)
    corner = np.array([left, top], np.float32)
    return ((points - corner + 0.5) * scale - 0.5).astype(np.float32)


def in_frame(points: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which points are known and lie in a picture: float32 (n, 2) and (height, width) -> bool (n,)."""
    inside: NDArray[np.bool_] = np.all((points >= -0.5) & (points <= np.array(size[::-1]) - 0.5), axis=1)
    return inside  # NaN compares false
