"""Resampling through a map: permuted pixels are copied, moved pixels are interpolated once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.maps import Border, Map, Permutation, Sampling
from faceaug.augment.pictures import Picture
from faceaug.data.image import load_cv2
from faceaug.errors import ArgumentError

_CV2_TYPES = ("uint8", "bool", "int16", "uint16", "float32")
_FAR = 30_000  # px beyond the picture; borders repeat long before
_WIDEST = 32_766  # px; the sides that OpenCV's remap takes, and the positions that its version 4 stores in 16 bits


def render(motion: Map, image: Picture, sampling: Sampling) -> Picture:
    """Resample a picture once.

    Args:
        motion: the map.
        image: uint8, or float32 in 0..1; (height, width) or (height, width, 1..4).
        sampling: interpolation and border.

    Returns:
        A new array of size ``motion.out``; the picture itself when nothing moves.

    Raises:
        ArgumentError: the picture is wider or higher than OpenCV can warp.
    """
    if motion.permutation is not None:
        return _permuted(motion.permutation, image, axes=(0, 1))
    flags, border, fill = _cv2_sampling(sampling, unit=image.dtype != np.uint8)
    out = _resampled(motion, image, flags, border, fill)
    if flags == _codes()["cubic"] and image.dtype != np.uint8:
        np.clip(out, 0, 1, out=out)  # cubic weights overshoot; uint8 saturates anyway
    return out if out.ndim == image.ndim else out[..., None]  # OpenCV drops a single channel


def render_mask(motion: Map, mask: NDArray[Any], border: Border) -> NDArray[Any]:
    """Resample a mask of any dtype, (..., height, width), by nearest neighbour; "constant" fills with 0."""
    if motion.permutation is not None:
        return _permuted(motion.permutation, mask, axes=(mask.ndim - 2, mask.ndim - 1))
    if mask.ndim == 2 and mask.dtype.name in _CV2_TYPES:
        plain = mask.view(np.uint8) if mask.dtype == np.bool_ else mask
        codes = _codes()
        out = _resampled(motion, plain, codes["nearest"], codes[border], 0)
        return out.view(mask.dtype)
    return _gathered(motion, mask, border)


def _resampled(motion: Map, image: Picture, flags: int, border: int, fill: Any) -> NDArray[Any]:
    if (
        flags == _codes()["linear"]
        and image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
        and _is_five()
    ):
        cv2 = load_cv2()
        four = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
        three: NDArray[Any] = cv2.cvtColor(_fetched(motion, four, flags, border, fill), cv2.COLOR_RGBA2RGB)
        return three
    return _fetched(motion, image, flags, border, fill)


@lru_cache(maxsize=1)
def _is_five() -> bool:
    """Whether OpenCV is 5: four channels then warp faster than three, and a matrix moves pictures of any size."""
    return int(load_cv2().__version__.split(".")[0]) >= 5


def _fetched(motion: Map, image: Picture, flags: int, border: int, fill: Any) -> NDArray[Any]:
    cv2 = load_cv2()
    matrix = motion.matrix
    width_height = (motion.out[1], motion.out[0])
    if max(*image.shape[:2], *motion.out) > _WIDEST and (matrix is None or not _is_five()):
        raise ArgumentError(
            f"a picture {image.shape[1]}x{image.shape[0]} (width x height) cannot be warped: OpenCV {cv2.__version__} "
            f"takes up to {_WIDEST:,} pixels a side; make it smaller, or cut it into parts"
        )
    if matrix is None:
        grid = motion.source_grid()
        if flags == cv2.INTER_NEAREST:  # rounded here, because OpenCV versions disagree about halves
            grid = np.rint(grid)
        out: NDArray[Any] = cv2.remap(image, grid, None, flags, borderMode=border, borderValue=fill)
        return out
    inverse = np.array(matrix.inverse).reshape(3, 3)
    flags |= cv2.WARP_INVERSE_MAP
    if matrix.is_affine:
        inverse = inverse[:2] / inverse[2, 2]
        affine: NDArray[Any] = cv2.warpAffine(
            image, inverse, width_height, flags=flags, borderMode=border, borderValue=fill
        )
        return affine
    slanted: NDArray[Any] = cv2.warpPerspective(
        image, inverse, width_height, flags=flags, borderMode=border, borderValue=fill
    )
    return slanted


def _gathered(motion: Map, mask: NDArray[Any], border: Border) -> NDArray[Any]:
    height, width = motion.size
    grid = np.rint(np.clip(motion.source_grid(), -_FAR, _FAR + max(height, width))).astype(np.int64)
    x, y = grid[..., 0], grid[..., 1]
    out = mask[..., _folded(y, height, border), _folded(x, width, border)]
    if border == "constant":
        out[..., (x < 0) | (x >= width) | (y < 0) | (y >= height)] = 0
    return out


def _permuted(change: Permutation, image: NDArray[Any], *, axes: tuple[int, int]) -> NDArray[Any]:
    exchange, rows, columns = change
    if exchange:
        image = image.swapaxes(*axes)
    elif not (rows or columns):
        return image
    if axes[0] == 0 and image.ndim <= 3 and image.dtype == np.uint8 and (rows or columns):
        code = -1 if rows and columns else 0 if rows else 1
        flipped: NDArray[Any] = load_cv2().flip(np.ascontiguousarray(image) if exchange else image, code)
        return flipped if flipped.ndim == image.ndim else flipped[..., None]
    turned = [axis for axis, wanted in zip(axes, (rows, columns), strict=True) if wanted]
    return np.ascontiguousarray(np.flip(image, tuple(turned)))


@lru_cache(maxsize=1)
def _codes() -> dict[str, int]:
    cv2 = load_cv2()
    return {
        "linear": cv2.INTER_LINEAR,
        "cubic": cv2.INTER_CUBIC,
        "nearest": cv2.INTER_NEAREST,
        "reflect": cv2.BORDER_REFLECT_101,
        "edge": cv2.BORDER_REPLICATE,
        "constant": cv2.BORDER_CONSTANT,
        "wrap": cv2.BORDER_WRAP,
    }


def _cv2_sampling(sampling: Sampling, *, unit: bool) -> tuple[int, int, tuple[float, ...]]:
    codes = _codes()
    fill = sampling.fill
    colour: tuple[float, ...] = (fill,) * 4 if isinstance(fill, int) else fill
    if unit:
        colour = tuple(channel / 255 for channel in colour)
    return codes[sampling.interpolation], codes[sampling.border], colour


def _folded(index: NDArray[np.int64], side: int, border: Border) -> NDArray[np.int64]:
    """Fold indices outside 0..side-1 back inside according to the border."""
    if border == "wrap":
        return index % side
    if border == "reflect" and side > 1:
        index = index % (2 * side - 2)
        return np.where(index < side, index, 2 * side - 2 - index)
    return index.clip(0, side - 1)
