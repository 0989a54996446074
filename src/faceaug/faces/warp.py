"""Cuts a turned and scaled frame out of a photo in one resample of the original pixels.

Where the frame shrinks the photo, every pixel of the result is the mean of the area it covers: of k x k samples no
further apart than the photo's pixels. One sample for each pixel would alias.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from faceaug.data.crop import Size
from faceaug.data.image import Image8, load_cv2
from faceaug.faces.templates import Affine, inverse, move_points, scale_of

Padding: TypeAlias = Literal["replicate", "reflect", "blur"]
PADDINGS: tuple[Padding, ...] = get_args(Padding)
_BAND = 1 << 22  # most samples at a time: 12 MB
_LONGEST = 32_000  # samples in a row; OpenCV's limit is 32,767
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
    """Mean of the samples of each pixel, in bands of rows that bound the memory."""
    cv2 = load_cv2()
    width, height = size
    each = min(max(1, math.ceil(scale_of(back) - 1e-6)), _LONGEST // width)
    flags = (cv2.INTER_CUBIC if each <= 2 else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    # Sample j of a pixel is at (j + 0.5) / each - 0.5 from its centre.
    fine = back.copy()
    fine[:, :2] /= each
    fine[:, 2] += back[:, :2] @ np.full(2, (1 / each - 1) / 2)
    rows = max(1, _BAND // (width * each * each))
    result = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        band = fine.copy()
        band[:, 2] += fine[:, 1] * top * each
        samples = cv2.warpAffine(image, band, (width * each, (bottom - top) * each), flags=flags, borderMode=border)
        if each > 1:
            samples = cv2.resize(samples, (width, bottom - top), interpolation=cv2.INTER_AREA)
        result[top:bottom] = samples
    return result


def _covers(image: Image8, back: Affine, size: Size) -> bool:
    """Whether the frame lies in the photo."""
    corners = np.array([[x, y] for x in (-_EDGE, size[0] - _EDGE) for y in (-_EDGE, size[1] - _EDGE)])
    found = move_points(back, corners)
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
    return np.rint(mixed).astype(np.uint8)
