"""The types a picture may have: taken as an HWC array of bytes or unit floats, given back as they came."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceaug.errors import ArgumentError
from faceaug.data.image import load_cv2

Picture: TypeAlias = NDArray[Any]  # uint8, or float32 in 0..1; (height, width) or (height, width, channels)
Restore: TypeAlias = Callable[[Picture], Any]
_MODES = ("RGB", "RGBA", "L")
_CHANNELS = (1, 3, 4)
_BEYOND = 1e-3  # floats that were resized or decoded leave 0..1 by a little


def is_tensor(value: object) -> bool:
    """Whether it is a torch tensor; never imports torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_tv(value: object, name: str) -> bool:
    """Whether it is that class of ``torchvision.tv_tensors``; never imports torchvision."""
    tv_tensors = sys.modules.get("torchvision.tv_tensors")
    return tv_tensors is not None and hasattr(tv_tensors, name) and isinstance(value, getattr(tv_tensors, name))


def is_pil(value: object) -> bool:
    """Whether it is a PIL picture."""
    return isinstance(value, Image.Image)


def open_picture(x: Any) -> tuple[Picture, Restore]:
    """Take a picture as an array.

    Args:
        x: an array (height, width) or (height, width, 1|3|4), a tensor (1|3|4, height, width), plain or
            ``tv_tensors.Image``, of uint8 or of float32 in 0..1; a PIL picture (L, RGB, RGBA).

    Returns:
        (array, restore): uint8 or float32 (height, width) or (height, width, channels), and the function that makes
        such an array what ``x`` was: type, device, tv_tensor class.

    Raises:
        ArgumentError: anything else; the message says what to do.
    """
    if isinstance(x, np.ndarray):
        return _checked_array(x), _same
    if is_pil(x):
        return _open_pil(x)
    if is_tensor(x):
        return _open_tensor(x)
    raise ArgumentError(
        f"a picture of type {type(x).__name__}: expected an array (height, width, 3), a PIL picture, a tensor "
        "(3, height, width) or a tv_tensors.Image"
    )


def _same(array: Picture) -> Picture:
    return array


def _open_pil(x: Image.Image) -> tuple[Picture, Restore]:
    if x.mode not in _MODES:
        raise ArgumentError(f"a PIL picture of mode {x.mode}: expected {', '.join(_MODES)}; use .convert('RGB')")
    if min(x.size) < 1:
        raise ArgumentError(f"an empty PIL picture, {x.width}x{x.height}")
    return np.asarray(x), Image.fromarray


def _checked_array(x: Picture) -> Picture:
    if x.ndim not in {2, 3} or x.size == 0:
        what = "an empty array" if x.size == 0 else f"an array with {x.ndim} axes"
        raise ArgumentError(f"{what}, {x.shape}: expected one picture (height, width, 3)")
    if x.ndim == 3 and x.shape[2] not in _CHANNELS:
        looks_chw = x.shape[0] in _CHANNELS
        advice = (
            "it looks like (channels, height, width): use x.transpose(1, 2, 0)" if looks_chw else "1, 3 or 4 channels"
        )
        raise ArgumentError(f"an array {x.shape}: expected (height, width, channels); {advice}")
    if x.dtype != np.uint8:
        _check_values(x, x.dtype.name, f"a {x.dtype} array {x.shape}", cast="x.astype(np.{})")
    return x


def _check_values(x: Picture, dtype: str, found: str, *, cast: str) -> None:
    """Raise ArgumentError unless it is float32 in 0..1: values in another range are silently destroyed elsewhere."""
    if dtype != "float32":
        kind = np.dtype(dtype).kind if dtype != "bfloat16" else "f"
        fix = f"{cast.format('float32')} of values in 0..1" if kind == "f" else f"{cast.format('uint8')}, if in 0..255"
        raise ArgumentError(f"{found}: expected uint8, or float32 in 0..1; use {fix}")
    low, high = float(x.min()), float(x.max())
    if low >= -_BEYOND and high <= 1 + _BEYOND:
        return
    if not np.isfinite(x).all():
        count = int(x.size - np.isfinite(x).sum())
        fix = f"{count} values are NaN or infinite; repair them first (np.nan_to_num), they would spread"
    elif low >= -_BEYOND and high <= 255:
        fix = "divide by 255, or give uint8"
    else:
        fix = "augment first, and normalise after (v2.Normalize at the end)"
    raise ArgumentError(f"{found} with values from {low:.4g} to {high:.4g}: expected float32 in 0..1; {fix}")


def _open_tensor(x: Any) -> tuple[Picture, Restore]:
    import torch

    shape = tuple(x.shape)
    if x.ndim == 4:
        raise ArgumentError(f"a batch of pictures, {shape}: give one at a time, in the Dataset")
    if x.ndim != 3 or x.numel() == 0:
        what = "an empty tensor" if x.numel() == 0 else f"a tensor with {x.ndim} axes"
        raise ArgumentError(f"{what}, {shape}: expected one picture (3, height, width)")
    if shape[0] not in _CHANNELS:
        looks_hwc = shape[2] in _CHANNELS
        advice = (
            "it looks like (height, width, channels): use x.permute(2, 0, 1)" if looks_hwc else "1, 3 or 4 channels"
        )
        raise ArgumentError(f"a tensor {shape}: expected (channels, height, width); {advice}")
    dtype = str(x.dtype).removeprefix("torch.")
    if dtype not in {"uint8", "float32"}:
        _check_values(np.empty(0), dtype, f"a {x.dtype} tensor {shape}", cast="x.to(torch.{})")
    planes = x.detach().as_subclass(torch.Tensor).cpu().contiguous().numpy()
    if dtype == "float32":
        _check_values(planes, dtype, f"a {x.dtype} tensor {shape}", cast="x.to(torch.{})")
    tv_class = type(x) if is_tv(x, "Image") else None

    def restore(array: Picture) -> Any:
        tensor = torch.from_numpy(planar(array)).to(x.device)
        return tensor if tv_class is None else tv_class(tensor)

    return interleaved(planes), restore


def interleaved(planes: Picture) -> Picture:
    """(channels, height, width) as (height, width, channels), contiguous."""
    merged: Picture = load_cv2().merge(list(planes))  # several times as fast as copying a transposed view
    return merged if merged.ndim == 3 else merged[..., None]


def planar(image: Picture) -> Picture:
    """(height, width, channels) as (channels, height, width), contiguous."""
    out = np.empty((image.shape[2], *image.shape[:2]), image.dtype)
    if image.shape[2] == 1:
        out[0] = image[..., 0]
    else:
        load_cv2().split(np.ascontiguousarray(image), list(out))
    return out
