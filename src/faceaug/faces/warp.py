"""Cuts a turned and scaled frame out of a photo in one resample of its pixels.

Where the frame shrinks the photo, every pixel of the result is a mean of the area around it, weighted by a Gaussian,
which is the same in all directions. One sample for each pixel would alias, and so would means of squares in a turned
frame.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from faceaug.data.crop import Size
from faceaug.data.image import Image8, load_cv2
from faceaug.faces.templates import Affine, Points, inverse, move_points, scale_of

Padding: TypeAlias = Literal["replicate", "reflect", "blur"]
PADDINGS: tuple[Padding, ...] = get_args(Padding)
_SIGMA = 0.4  # of the Gaussian, pixels of the frame: 0.45 of the contrast is left at the frame's finest detail
_MANY = 6  # pixels of the photo for one of the frame from which whole blocks of them are averaged first, ...
_LEFT = 3  # ... down to at least so many
_MARGIN = 4  # sigmas, and pixels of the cubic, around what is needed
_EDGE = 0.5  # pixels from the centre of an outermost pixel to the edge of the picture
_BLUR, _SOFT, _FADE = 0.02, 0.06, 0.3  # shares of the frame: sigma, width of the transition to blur and to one colour


def cut_frame(image: Image8, matrix: Affine, size: Size, *, padding: Padding = "replicate") -> Image8:
    """Cut a frame out of a photo.

    Args:
        image: uint8 (height, width, 3).
        matrix: similarity from the photo to the frame, pixel indices; see ``place_face``.
        size: (width, height) of the frame.
        padding: what lies outside the photo: its outermost pixels ("replicate"), the photo mirrored about them
            ("reflect"), or that mirrored photo, blurred and fading to one colour ("blur", as in FFHQ).

    Returns:
        uint8 (size[1], size[0], 3).
    """
    cv2 = load_cv2()
    border = cv2.BORDER_REPLICATE if padding == "replicate" else cv2.BORDER_REFLECT_101
    back = inverse(matrix)
    frame = _sampled(image, back, size, border)
    if padding == "blur" and not _covers(image, back, size):
        return _blurred_outside(frame, _distance_outside(image, back, size))
    return frame


def outside_share(image: Image8, matrix: Affine, size: Size) -> float:
    """Share of a frame that lies outside the photo, 0..1."""
    back = inverse(matrix)
    if _covers(image, back, size):
        return 0.0
    step = max(1, max(size) // 64)
    return float((_distance_outside(image, back, size)[::step, ::step] > 0).mean())


def _sampled(image: Image8, back: Affine, size: Size, border: int) -> Image8:
    """The frame, with the photo continued beyond its edges by OpenCV's ``border``."""
    cv2 = load_cv2()
    ratio = scale_of(back)
    part, corner = _needed(image, back, size, margin=_MARGIN * (1 + ratio * _SIGMA))
    block = int(ratio / _LEFT) if ratio >= _MANY else 1
    if block > 1:
        high, wide = (-side % block for side in part.shape[:2])
        part = cv2.copyMakeBorder(part, 0, high, 0, wide, border)
        part = cv2.resize(part, (part.shape[1] // block, part.shape[0] // block), interpolation=cv2.INTER_AREA)
    if ratio > block:
        sigma = _SIGMA * math.sqrt((ratio / block) ** 2 - 1)
        part = cv2.GaussianBlur(part, (0, 0), sigma, borderType=border)
    place = back.copy()
    place[:, 2] += 0.5 - corner  # blocks count from the edge of the first pixel
    place /= block
    place[:, 2] -= 0.5
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    found: Image8 = cv2.warpAffine(part, place, size, flags=flags, borderMode=border)
    return found


def _needed(image: Image8, back: Affine, size: Size, *, margin: float) -> tuple[Image8, NDArray[np.float64]]:
    """The part of the photo that a frame shows, with a margin and what is mirrored into it; and its first pixel."""
    corners = move_points(back, _corners(size))
    whole = np.array(image.shape[1::-1])
    low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin
    first = np.clip(np.floor(np.minimum(low, 2 * whole - high)), 0, whole - 1).astype(int)
    last = np.clip(np.ceil(np.maximum(high, -low)), first, whole - 1).astype(int)
    return np.ascontiguousarray(image[first[1] : last[1] + 1, first[0] : last[0] + 1]), first.astype(np.float64)


def _corners(size: Size) -> Points:
    return np.array([[x, y] for x in (-_EDGE, size[0] - _EDGE) for y in (-_EDGE, size[1] - _EDGE)])


def _covers(image: Image8, back: Affine, size: Size) -> bool:
    """Whether the frame lies in the photo."""
    found = move_points(back, _corners(size))
    return bool((found >= -_EDGE).all() and (found <= np.array(image.shape[1::-1]) - _EDGE).all())


def _distance_outside(image: Image8, back: Affine, size: Size) -> NDArray[np.float32]:
    """Distance of each pixel of the frame from the photo, pixels of the frame; 0 in the photo: (height, width)."""
    x, y = np.arange(size[0], dtype=np.float32)[None], np.arange(size[1], dtype=np.float32)[:, None]
    away = np.zeros((size[1], size[0]), np.float32)
    for row, length in zip(back.astype(np.float32), image.shape[1::-1], strict=True):
        place = row[0] * x + (row[1] * y + row[2])
        np.maximum(away, np.maximum(-_EDGE - place, place - (length - _EDGE)), out=away)
    return away / np.float32(scale_of(back))


def _blurred_outside(frame: Image8, away: NDArray[np.float32]) -> Image8:
    """Blur what lies outside the photo, and let it fade to the photo's median colour; the photo itself stays."""
    cv2 = load_cv2()
    side = float(max(frame.shape[:2]))
    inside = frame[away <= 0]
    colour = np.median(inside if len(inside) else frame.reshape(-1, 3), axis=0).astype(np.float32)
    soft = cv2.GaussianBlur(frame, (0, 0), _BLUR * side).astype(np.float32)
    blur = np.clip(away / (_SOFT * side), 0, 1)[:, :, None]
    fade = np.clip(away / (_FADE * side), 0, 1)[:, :, None]
    mixed = frame + blur * (soft - frame)
    mixed += fade * (colour - mixed)
    result: Image8 = np.rint(mixed).astype(np.uint8)
    return result
