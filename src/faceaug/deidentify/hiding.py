"""Hides regions of a photo: blur, mosaic or one colour.

All but ``fill`` first reduce the region to a few means, however large the face is: what the means do not hold cannot be
brought back by sharpening, enlarging or deconvolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import Image8, load_cv2
from faceaug.deidentify.region import Region, Square
from faceaug.errors import ArgumentError
from faceaug.faces.finder import check_photo

Plain: TypeAlias = Literal["blur", "mosaic", "fill"]
PLAIN: tuple[Plain, ...] = get_args(Plain)
CELLS = 5  # means along the longer axis of a face; with 6 an embedding recognised 1 of 120
_SOFT = 0.6  # sigma of the blur on top of the means, in their distances
_FADE = 0.06  # width of the transition from blur to photo, outside the ellipse, as a share of its axis
_GREY = 128


def hide_faces(image: Image8, regions: Iterable[Region], how: Plain) -> Image8:
    """Hide regions of a photo.

    Args:
        image: uint8 (height, width, 3); it stays as it is.
        regions: ellipses; see ``faceaug.deidentify.region.region_of``.
        how: "blur", "mosaic" or "fill".

    Returns:
        uint8 (height, width, 3), where pixels outside the regions and their soft edge are those of the photo.

    Raises:
        ArgumentError: there is no such way, or the photo is of another type or shape.

    Example:
        >>> import numpy as np
        >>> from faceaug.deidentify import hide_faces
        >>> from faceaug.deidentify.region import region_of
        >>> photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
        >>> hidden = hide_faces(photo, [region_of((20, 10, 50, 50), 0)], "fill")
        >>> hidden[30, 35].tolist(), bool((hidden[0] == photo[0]).all())
        ([128, 128, 128], True)
    """
    if how not in PLAIN:
        raise ArgumentError(f"how {how!r}: expected one of {', '.join(PLAIN)}")
    check_photo(image)
    hidden = image.copy()
    for region in regions:
        _hide(hidden, region, how)
    return hidden


def _hide(image: Image8, region: Region, how: Plain) -> None:
    fade = _FADE if how == "blur" else 0.0
    square = region.bounds(image.shape, beyond=fade * region.size)
    part = image[square]
    if not part.size:
        return
    distance = region.distances(square)
    share = np.clip((1 + 2 * fade - distance) / (2 * fade), 0, 1) if fade else (distance <= 1).astype(np.float32)
    cover = _cover(image, region, square, how).astype(np.float32)
    image[square] = np.rint(part + share[:, :, None] * (cover - part)).astype(np.uint8)


def _cover(image: Image8, region: Region, square: Square, how: Plain) -> NDArray[np.uint8]:
    """What the rectangle shows when the face is hidden."""
    part = image[square]
    if how == "fill":
        return np.full_like(part, _GREY)
    cv2 = load_cv2()
    cell = max(2, math.ceil(region.size / CELLS))
    height, width = part.shape[:2]
    high, wide = -(-height // cell), -(-width // cell)
    # Whole cells: a narrow one at the edge would hold more detail than the others.
    whole = cv2.copyMakeBorder(part, 0, high * cell - height, 0, wide * cell - width, cv2.BORDER_REPLICATE)
    means = cv2.resize(whole, (wide, high), interpolation=cv2.INTER_AREA)
    if how == "mosaic":
        blocks: NDArray[np.uint8] = np.repeat(np.repeat(means, cell, axis=0), cell, axis=1)[:height, :width]
        return blocks
    smooth = cv2.resize(means, (wide * cell, high * cell), interpolation=cv2.INTER_LINEAR)
    soft: NDArray[np.uint8] = cv2.GaussianBlur(smooth, (0, 0), _SOFT * cell)[:height, :width]
    return soft
